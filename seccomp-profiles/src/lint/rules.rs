//! What is wrong with the rules of a profile as they are written.

use super::calls::SINCE;
use super::{Findings, Severity};
use crate::compile::check::{check, title};
use crate::profile::Profile;
use crate::syscalls::{Arch, Syscall};

pub(super) fn of_profile(profile: &Profile, native: Arch, kernel: Option<(u32, u32)>, findings: &mut Findings) {
    for (index, rule) in profile.syscalls.iter().enumerate() {
        for name in &rule.names {
            match Syscall::from_name(name) {
                None => {
                    let text = format!("{}: Linux 6.18 has no such call; the name is left out", title(index, rule));
                    findings.add("unknown-call", Severity::Warning, name, text);
                }
                Some(call) => {
                    if let (Some(kernel), Some(since)) = (kernel, call.number(native).and_then(since))
                        && kernel < since
                    {
                        let text =
                            format!("Linux {}.{} has it first, this is {}.{}", since.0, since.1, kernel.0, kernel.1);
                        findings.add("newer-than-kernel", Severity::Note, name, text);
                    }
                }
            }
        }
    }
    for architecture in profile.architectures.iter().filter(|word| word.arch(native).is_none()) {
        let text = "there is no table of its calls: it is left out";
        findings.add("unknown-architecture", Severity::Note, architecture.word(), text);
    }
    // What is invalid is told elsewhere.
    if let Ok(checked) = check(profile, native) {
        unreachable(profile, &checked, findings);
    }
}

/// The version that has a number first; numbers from 424 on are the same everywhere.
fn since(number: u32) -> Option<(u32, u32)> {
    SINCE.iter().rev().find(|(first, _)| *first <= number).map(|(_, version)| *version)
}

/// For each call one rule without conditions decides, the first; every other rule of the call is void then.
fn unreachable(profile: &Profile, checked: &crate::compile::check::Checked, findings: &mut Findings) {
    let name_of = |index: usize| profile.syscalls.get(index).map_or_else(String::new, |rule| title(index, rule));
    for call in Syscall::all() {
        let mut of_call = checked.rules.iter().filter(|rule| rule.calls.contains(&call)).peekable();
        let always = |rule: &&crate::compile::check::CheckedRule| rule.alternatives.iter().any(Vec::is_empty);
        let winner = of_call.clone().filter(|rule| rule.action != checked.default).find(always);
        if of_call.peek().is_none() {
            continue;
        }
        for rule in of_call {
            if rule.action == checked.default {
                let text = format!("{}: the default action says the same", name_of(rule.index));
                findings.add("no-effect", Severity::Note, call.name(), text);
            } else if let Some(winner) = winner.filter(|winner| winner.index != rule.index) {
                let text = format!("{} never decides: {} always does", name_of(rule.index), name_of(winner.index));
                let same = rule.action == winner.action;
                let severity = if same { Severity::Note } else { Severity::Warning };
                findings.add("unreachable-rule", severity, call.name(), text);
            }
        }
    }
}
