//! What a profile says, checked: every word that cannot be meant is a problem, all problems are collected.

use super::clause::{Cond, Conds};
use super::{CompileError, flag};
use crate::bpf::{Action, MAX_INSNS};
use crate::profile::{self, Flag, Profile, Rule};
use crate::syscalls::{Arch, Syscall};

/// A profile without contradictions in itself.
pub(crate) struct Checked {
    /// For calls that no rule matches.
    pub(crate) default: Action,
    /// Whether numbers above the highest one named answer ENOSYS.
    pub(crate) enosys_above: bool,
    /// The native ABI first, each one once.
    pub(crate) archs: Vec<Arch>,
    /// Those rules of the profile that name a known call, in its order.
    pub(crate) rules: Vec<CheckedRule>,
    pub(crate) flags: u32,
    pub(crate) notify: bool,
    pub(crate) warnings: Vec<String>,
}

/// A rule with its names resolved.
pub(crate) struct CheckedRule {
    /// Index in the profile.
    pub(crate) index: usize,
    pub(crate) calls: Vec<Syscall>,
    pub(crate) action: Action,
    /// Any of them suffices; one without conditions always holds.
    pub(crate) alternatives: Vec<Conds>,
}

/// The most conditions, each counted for every call of its rule. Each of them takes more than one instruction where it is
/// not shared, and they are compared with each other: a profile with more is no filter, and would take minutes to be found
/// out as none.
pub(crate) const MOST_CONDITIONS: usize = 2 * MAX_INSNS;

const EPERM: u16 = 1;
/// What the kernel answers to a number that it does not know.
pub(crate) const ENOSYS: u16 = 38;

pub(crate) fn check(profile: &Profile, native: Arch) -> Result<Checked, CompileError> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();

    let default = default_action(profile, &mut problems);
    let archs = architectures(profile, native, &mut warnings);
    let rules = rules(profile, &mut problems, &mut warnings);
    let notify = profile.syscalls.iter().any(|rule| rule.action == profile::Action::Notify && !rule.names.is_empty());
    if notify && profile.listener_path.is_empty() {
        problems.push("a rule notifies and listenerPath is not set: name the socket of the agent".to_owned());
    }
    if profile.listener_path.is_empty() && !profile.listener_metadata.is_empty() {
        problems.push("listenerMetadata without listenerPath: set listenerPath or remove the metadata".to_owned());
    }
    let flags = flags(profile, notify, &mut warnings);

    match default {
        Some(default) if problems.is_empty() => {
            Ok(Checked { default, enosys_above: answers_enosys_above(default), archs, rules, flags, notify, warnings })
        }
        _ => Err(CompileError { problems }),
    }
}

/// A program probes for a new call and falls back when it is missing; EPERM, or death, would break it where the kernel's
/// own ENOSYS does not. A filter that lets unnamed calls through, or hands them to a tracer, needs no such help.
fn answers_enosys_above(default: Action) -> bool {
    match default {
        Action::Allow | Action::Log | Action::Trace(_) | Action::Errno(ENOSYS) => false,
        Action::KillProcess | Action::KillThread | Action::Trap(_) | Action::Errno(_) | Action::Notify => true,
    }
}

fn default_action(profile: &Profile, problems: &mut Vec<String>) -> Option<Action> {
    if profile.default_action == profile::Action::Notify {
        problems.push(
            "SCMP_ACT_NOTIFY cannot be the defaultAction: the runtime's own calls would wait for the agent".to_owned(),
        );
    }
    match action(profile.default_action, profile.default_errno_ret) {
        Ok(action) => Some(action),
        Err(why) => {
            problems.push(format!("defaultErrnoRet {why}"));
            None
        }
    }
}

/// The kernel's action for the specification's, or what is wrong with the errno.
fn action(action: profile::Action, errno: Option<u32>) -> Result<Action, String> {
    let data = |highest: u16| match errno {
        None => Ok(EPERM),
        Some(value) => u16::try_from(value)
            .ok()
            .filter(|value| *value <= highest)
            .ok_or_else(|| format!("{value} is out of range: {action} takes 0 to {highest}")),
    };
    let plain = |plain| match errno {
        None => Ok(plain),
        Some(value) => Err(format!("{value} has no meaning: {action} takes no errno")),
    };
    match action {
        profile::Action::Kill | profile::Action::KillThread => plain(Action::KillThread),
        profile::Action::KillProcess => plain(Action::KillProcess),
        profile::Action::Trap => plain(Action::Trap(0)),
        // The kernel cuts an errno to MAX_ERRNO.
        profile::Action::Errno => data(4095).map(Action::Errno),
        profile::Action::Trace => data(u16::MAX).map(Action::Trace),
        profile::Action::Notify => plain(Action::Notify),
        profile::Action::Log => plain(Action::Log),
        profile::Action::Allow => plain(Action::Allow),
    }
}

fn architectures(profile: &Profile, native: Arch, warnings: &mut Vec<String>) -> Vec<Arch> {
    let mut archs = vec![native];
    for architecture in &profile.architectures {
        match architecture.arch(native) {
            Some(arch) if archs.contains(&arch) => {}
            Some(arch) => archs.push(arch),
            // Nothing is let through that way: calls of an architecture that the filter lacks kill the process.
            None => warnings.push(format!("architecture {architecture} is left out: no table of its calls")),
        }
    }
    archs
}

fn rules(profile: &Profile, problems: &mut Vec<String>, warnings: &mut Vec<String>) -> Vec<CheckedRule> {
    let conditions = profile.syscalls.iter().map(|rule| rule.names.len().saturating_mul(rule.args.len()));
    let conditions = conditions.fold(0, usize::saturating_add);
    if conditions > MOST_CONDITIONS {
        problems.push(format!(
            "the rules have {conditions} conditions, counted for each call; {MOST_CONDITIONS} are possible: name fewer"
        ));
        return Vec::new();
    }
    let mut checked = Vec::with_capacity(profile.syscalls.len());
    for (index, rule) in profile.syscalls.iter().enumerate() {
        if rule.names.is_empty() {
            warnings.push(format!("rule {index} names no system call"));
        }
        let action = action(rule.action, rule.errno_ret);
        if let Err(why) = &action {
            problems.push(format!("{}: errnoRet {why}", title(index, rule)));
        }
        let alternatives = alternatives(index, rule, problems);
        let mut calls = Vec::with_capacity(rule.names.len());
        for name in &rule.names {
            match Syscall::from_name(name) {
                Some(call) => calls.push(call),
                None if name.is_empty() => problems.push(format!("rule {index} has an empty name")),
                None => warnings.push(format!("unknown system call \"{name}\" in rule {index} is left out")),
            }
            if name == "write" && rule.action == profile::Action::Notify {
                problems.push(format!(
                    "rule {index}: SCMP_ACT_NOTIFY cannot be used for write: the runtime hands over the listener by it"
                ));
            }
        }
        if let Ok(action) = action {
            checked.push(CheckedRule { index, calls, action, alternatives });
        }
    }
    checked
}

/// How messages call a rule: its place and the first name in it.
pub(crate) fn title(index: usize, rule: &Rule) -> String {
    match rule.names.as_slice() {
        [] => format!("rule {index}"),
        [name] => format!("rule {index} (\"{name}\")"),
        [name, ..] => format!("rule {index} (\"{name}\" and others)"),
    }
}

/// Conditions of a rule: all of them together, or, where one argument has several, any single one (as runc has it).
fn alternatives(index: usize, rule: &Rule, problems: &mut Vec<String>) -> Vec<Conds> {
    let mut conds: Conds = Vec::with_capacity(rule.args.len());
    for arg in &rule.args {
        match u8::try_from(arg.index) {
            Ok(arg_index @ 0..=5) => conds.push(Cond::new(arg, arg_index)),
            Ok(_) | Err(_) => {
                problems.push(format!("{}: argument {} does not exist, 0 to 5 do", title(index, rule), arg.index));
            }
        }
    }
    let repeats = conds.iter().enumerate().any(|(at, cond)| conds.iter().skip(at + 1).any(|o| o.index == cond.index));
    if repeats {
        return conds.into_iter().map(|cond| vec![cond]).collect();
    }
    vec![(0..6).filter_map(|index| conds.iter().find(|cond| cond.index == index)).copied().collect()]
}

fn flags(profile: &Profile, notify: bool, warnings: &mut Vec<String>) -> u32 {
    let mut flags = if notify { flag::NEW_LISTENER } else { 0 };
    let Some(listed) = &profile.flags else {
        return flags | flag::SPEC_ALLOW;
    };
    for listed in listed {
        flags |= match listed {
            // The filter is loaded in a process of one thread.
            Flag::Tsync => 0,
            Flag::Log => flag::LOG,
            Flag::SpecAllow => flag::SPEC_ALLOW,
            Flag::WaitKillableRecv if notify => flag::WAIT_KILLABLE_RECV,
            // seccomp(2) answers EINVAL to it without NEW_LISTENER.
            Flag::WaitKillableRecv => {
                warnings.push(format!("{listed} is left out: no rule notifies"));
                0
            }
        };
    }
    flags
}
