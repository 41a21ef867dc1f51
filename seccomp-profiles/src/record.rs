//! A profile made of the calls that were seen: the least that a program needs, as far as it was watched.

use crate::profile::{Action, Architecture, Arg, Operator, Profile, Rule};
use crate::syscalls::{Arch, Syscall};
use std::collections::{BTreeMap, BTreeSet};

/// Calls whose first argument says what is done: a family, an operation, a set of flags.
pub const FIRST_ARGUMENT: [&str; 6] = ["clone", "personality", "prctl", "socket", "socketpair", "unshare"];

/// Whether a run makes these is chance, or the kernel's decision: every program is started by the first, ends by the
/// second or third, and goes on after a signal by the others.
const ALWAYS: [&str; 5] = ["execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn"];

/// CLONE_NEW* of clone(2).
const NAMESPACES: u64 = 0x7e02_0000;

/// CLONE_NEWTIME, for unshare(2) only: in clone(2) that bit is one of the exit signal.
const TIME_NAMESPACE: u64 = 0x80;

/// More values than this say that the argument is data.
const MOST_VALUES: usize = 16;

/// What is known of the first arguments of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Any,
    Values(BTreeSet<u64>),
}

/// Calls that were seen.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    calls: BTreeMap<&'static str, Seen>,
    architectures: BTreeSet<Arch>,
    unnamed: BTreeSet<(Arch, u32)>,
}

impl Recording {
    /// Adds a call by its number, the x32 bit included. With `argument`, the value of its first one, the profile will
    /// allow no other than those seen; for the calls of [`FIRST_ARGUMENT`] only.
    pub fn see(&mut self, arch: Arch, number: u32, argument: Option<u64>) {
        let Some(call) = Syscall::from_number(arch, number) else {
            self.unnamed.insert((arch, number));
            return;
        };
        self.architectures.insert(arch);
        let seen = self.calls.entry(call.name()).or_insert_with(|| Seen::Values(BTreeSet::new()));
        match (argument, &mut *seen) {
            (Some(value), Seen::Values(values)) => {
                values.insert(value);
            }
            (_, seen) => *seen = Seen::Any,
        }
    }

    /// How many calls were seen, by name.
    #[must_use]
    pub fn count(&self) -> usize {
        self.calls.len()
    }

    /// Numbers that no name is known for: no profile can allow them.
    pub fn unnamed(&self) -> impl Iterator<Item = (Arch, u32)> {
        self.unnamed.iter().copied()
    }

    /// The profile that allows what was seen through `native` and other ABIs, and what any of `bases` allows; the first
    /// of them has the default action and the flags.
    ///
    /// # Errors
    /// A base that is no list of what is allowed, by its place: its default action lets calls through, or a rule of it
    /// does something else than to allow.
    pub fn profile(&self, native: Arch, bases: &[Profile]) -> Result<Profile, (usize, String)> {
        let mut merged: Option<Profile> = None;
        for (at, base) in bases.iter().enumerate() {
            let base = allow_list(base).map_err(|why| (at, why))?;
            match &mut merged {
                None => merged = Some(base),
                Some(merged) => {
                    merged.syscalls.extend(base.syscalls);
                    base.architectures.into_iter().for_each(|word| add(&mut merged.architectures, word));
                }
            }
        }
        let mut profile = merged.unwrap_or_else(|| Profile::with_default(Action::Errno));
        for arch in self.architectures.iter().copied().chain([native]) {
            let mut known = Architecture::ALL.iter().copied().filter(|word| *word != Architecture::Native);
            let word = known.find(|word| word.arch(native) == Some(arch));
            word.into_iter().for_each(|word| add(&mut profile.architectures, word));
        }
        // What has no conditions is one rule, in front; the others follow by name.
        let rules = std::mem::take(&mut profile.syscalls);
        let (plain, mut conditional): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(|rule| rule.args.is_empty());
        let mut names: BTreeSet<String> = BTreeSet::new();
        names.extend(plain.into_iter().flat_map(|rule| rule.names));
        names.extend(ALWAYS.map(str::to_owned));
        for (name, seen) in &self.calls {
            match conditions(name, seen) {
                None => {
                    names.insert((*name).to_owned());
                }
                Some(conditions) => conditional.extend(conditions.into_iter().map(|arg| allow([*name], vec![arg]))),
            }
        }
        let mut rules: Vec<Rule> = Vec::new();
        for mut rule in conditional {
            rule.names.retain(|name| !names.contains(name));
            if !rule.names.is_empty() && !rules.contains(&rule) {
                rules.insert(rules.partition_point(|before| before.names <= rule.names), rule);
            }
        }
        profile.syscalls = [allow(names, Vec::new())].into_iter().chain(rules).collect();
        Ok(profile)
    }
}

fn add(words: &mut Vec<Architecture>, word: Architecture) {
    if !words.contains(&word) {
        words.push(word);
    }
}

fn allow<S: Into<String>>(names: impl IntoIterator<Item = S>, args: Vec<Arg>) -> Rule {
    Rule { names: names.into_iter().map(Into::into).collect(), action: Action::Allow, errno_ret: None, args }
}

/// The base without what has no effect.
fn allow_list(base: &Profile) -> Result<Profile, String> {
    if !matches!(
        base.default_action,
        Action::Errno | Action::Kill | Action::KillThread | Action::KillProcess | Action::Trap
    ) {
        return Err(format!("its default action {} lets calls through", base.default_action));
    }
    let mut profile = base.clone();
    profile.syscalls.retain(|rule| rule.action != base.default_action || rule.errno_ret != base.default_errno_ret);
    match profile.syscalls.iter().position(|rule| rule.action != Action::Allow) {
        Some(at) => Err(format!("a rule of it does not allow (rule {at} of those with effect)")),
        None => Ok(profile),
    }
}

/// Any one of which lets a call through; none when the argument does not count.
fn conditions(name: &str, seen: &Seen) -> Option<Vec<Arg>> {
    let Seen::Values(values) = seen else { return None };
    let masked = |mask: u64, value: u64| Arg { index: 0, value: mask, value_two: value, op: Operator::MaskedEqual };
    if name == "clone" || name == "unshare" {
        let made = values.iter().fold(0, |made, flags| made | flags);
        // The namespaces that nobody made stay closed; other flags are free.
        let namespaces = if name == "clone" { NAMESPACES } else { NAMESPACES | TIME_NAMESPACE };
        return match namespaces & !made {
            0 => None,
            never => Some(vec![masked(never, 0)]),
        };
    }
    // They are ints: what is in the upper half is not looked at by the kernel either.
    let mut words: BTreeSet<u64> = BTreeSet::new();
    words.extend(values.iter().map(|value| value & 0xffff_ffff));
    (words.len() <= MOST_VALUES).then(|| words.into_iter().map(|word| masked(0xffff_ffff, word)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{Action as Answer, SeccompData};
    use crate::compile::compile;

    fn number(name: &str) -> u32 {
        Syscall::from_name(name).unwrap().number(Arch::X86_64).unwrap()
    }

    fn recorded(calls: &[(&str, Option<u64>)]) -> Recording {
        let mut recording = Recording::default();
        for (name, argument) in calls {
            recording.see(Arch::X86_64, number(name), *argument);
        }
        recording
    }

    fn allows(profile: &Profile, name: &str, argument: u64) -> bool {
        let filter = compile(profile, Arch::X86_64).unwrap();
        let data = SeccompData::new(Arch::X86_64, number(name), [argument, 0, 0, 0, 0, 0]);
        filter.verdict(&data) == Answer::Allow
    }

    #[test]
    fn what_was_seen_is_allowed_and_nothing_else() {
        let profile = recorded(&[("read", None), ("socket", None)]).profile(Arch::X86_64, &[]).unwrap();
        for name in ["read", "socket", "execve", "exit_group", "rt_sigreturn"] {
            assert!(allows(&profile, name, 77), "{name}");
        }
        for name in ["write", "mount", "socketpair"] {
            assert!(!allows(&profile, name, 0), "{name}");
        }
        assert_eq!(profile.architectures, [Architecture::X86_64]);
        assert_eq!(profile.syscalls.len(), 1);
    }

    #[test]
    fn arguments_that_were_seen_are_allowed_and_no_others() {
        let seen = [("socket", Some(1)), ("socket", Some(0xf_0000_0002)), ("clone", Some(0x0120_0011))];
        let profile = recorded(&seen).profile(Arch::X86_64, &[]).unwrap();
        for (name, argument, wanted) in [
            ("socket", 1, true),
            ("socket", 2, true),
            ("socket", 38, false),
            ("clone", 0x11, true),
            ("clone", 0x1000_0011, false),
        ] {
            assert_eq!(allows(&profile, name, argument), wanted, "{name} {argument}");
        }
        let mixed = recorded(&[("socket", Some(1)), ("socket", None)]).profile(Arch::X86_64, &[]).unwrap();
        assert!(allows(&mixed, "socket", 38));
        let many = recorded(&(0..20).map(|value| ("prctl", Some(value))).collect::<Vec<_>>());
        assert!(allows(&many.profile(Arch::X86_64, &[]).unwrap(), "prctl", 99));
    }

    #[test]
    fn a_merged_profile_allows_what_either_allows() {
        let first = recorded(&[("socket", Some(1)), ("prctl", Some(15))]).profile(Arch::X86_64, &[]).unwrap();
        let second = recorded(&[("socket", Some(2)), ("prctl", None), ("mount", None)]);
        let both = second.profile(Arch::X86_64, &[first]).unwrap();
        for (name, argument, wanted) in
            [("socket", 1, true), ("socket", 2, true), ("socket", 3, false), ("prctl", 4, true), ("mount", 0, true)]
        {
            assert_eq!(allows(&both, name, argument), wanted, "{name} {argument}");
        }
        assert_eq!(
            second.profile(Arch::X86_64, std::slice::from_ref(&both)).unwrap(),
            both,
            "merging again changes nothing"
        );
    }

    #[test]
    fn what_is_no_allow_list_is_not_merged() {
        for text in [
            r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#,
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_TRAP"}]}"#,
        ] {
            let base = Profile::from_json(text.as_bytes()).unwrap();
            assert!(Recording::default().profile(Arch::X86_64, &[base]).is_err(), "{text}");
        }
        let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO"}]}"#;
        let base = Profile::from_json(text.as_bytes()).unwrap();
        assert!(!allows(&Recording::default().profile(Arch::X86_64, &[base]).unwrap(), "read", 0));
    }

    #[test]
    fn other_abis_are_listed_and_numbers_without_a_name_are_told() {
        let mut recording = Recording::default();
        recording.see(Arch::X86, 4, None);
        recording.see(Arch::X86_64, 9999, None);
        let profile = recording.profile(Arch::X86_64, &[]).unwrap();
        assert_eq!(profile.architectures, [Architecture::X86, Architecture::X86_64]);
        assert_eq!(recording.unnamed().collect::<Vec<_>>(), [(Arch::X86_64, 9999)]);
        assert!(allows(&profile, "write", 1));
    }
}
