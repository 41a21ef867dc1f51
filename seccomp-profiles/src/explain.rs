//! Why a call is treated as it is: the rule of the profile that decides.
//!
//! The answer comes from the rules themselves, not from the compiled filter, so that each checks the other in the tests.

use crate::bpf::{Action, SeccompData};
use crate::compile::CompileError;
use crate::compile::check::{CheckedRule, ENOSYS, check, title};
use crate::compile::clause::{Clause, arranged};
use crate::compile::decide::{BAD_ARCH, push_clauses};
use crate::profile::Profile;
use crate::syscalls::{Arch, X32_BIT};
use std::fmt;

/// What a profile does with a call, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the kernel will do.
    pub action: Action,
    /// What in the profile says so.
    pub reason: Reason,
}

/// What decides about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule, by its index in the profile, in words.
    Rule(usize, String),
    /// No rule: the default action.
    Default,
    /// The number is above the highest one that the profile names for this ABI: the kernel's own answer to a call it does
    /// not have.
    AboveHighest,
    /// The call came through an ABI that the profile does not list.
    BadArch,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Rule(_, title) => f.write_str(title),
            Reason::Default => f.write_str("no rule matches: the default action"),
            Reason::AboveHighest => f.write_str("newer than every call that the profile names for this architecture"),
            Reason::BadArch => f.write_str("the profile does not list this architecture"),
        }
    }
}

/// Explains what `profile`, on a kernel whose native ABI is `native`, does with a call.
///
/// # Errors
/// The problems for which [`crate::compile()`] refuses the profile, but for contradicting rules and its length.
pub fn explain(profile: &Profile, native: Arch, data: &SeccompData) -> Result<Explanation, CompileError> {
    let checked = check(profile, native)?;
    let Some(arch) = abi(&checked.archs, data) else {
        return Ok(Explanation { action: BAD_ARCH, reason: Reason::BadArch });
    };
    let mut highest = None;
    let mut clauses: Vec<Clause> = Vec::new();
    let mut always: Option<&CheckedRule> = None;
    for rule in &checked.rules {
        for call in &rule.calls {
            let direct = call.number(arch);
            let multiplexed = call.multiplexed(arch);
            for number in direct.into_iter().chain(multiplexed.map(|(number, _)| number)) {
                if arch.private_base().is_none_or(|base| number < base) {
                    highest = highest.max(Some(number));
                }
            }
            if rule.action == checked.default {
                continue;
            }
            let before = clauses.len();
            if direct == Some(data.nr) {
                push_clauses(rule, arch.width(), 0, &mut clauses);
            }
            if let Some((number, selector)) = multiplexed
                && number == data.nr
            {
                push_clauses(rule, arch.width(), selector as u8, &mut clauses);
            }
            if always.is_none() && clauses.iter().skip(before).any(|clause| clause.conds.is_empty()) {
                always = Some(rule);
            }
        }
    }
    let by_rule = |index: usize, action| {
        let words = profile.syscalls.get(index).map_or_else(String::new, |rule| title(index, rule));
        Explanation { action, reason: Reason::Rule(index, words) }
    };
    if let Some(rule) = always {
        return Ok(by_rule(rule.index, rule.action));
    }
    let clauses = arranged(clauses, arch.width());
    if let Some(clause) = clauses.iter().find(|clause| clause.holds(&data.args, arch.width())) {
        return Ok(by_rule(clause.rule, clause.action));
    }
    let ordinary = arch.private_base().is_none_or(|base| data.nr < base);
    if checked.enosys_above && ordinary && highest.is_some_and(|highest| data.nr > highest) {
        return Ok(Explanation { action: Action::Errno(ENOSYS), reason: Reason::AboveHighest });
    }
    Ok(Explanation { action: checked.default, reason: Reason::Default })
}

/// The listed ABI that a call belongs to.
fn abi(listed: &[Arch], data: &SeccompData) -> Option<Arch> {
    let is_x32 = |arch: Arch| match arch {
        // -1 is no call of x32, see decide.
        Arch::X86_64 if data.nr == u32::MAX => listed.contains(&Arch::X32),
        Arch::X86_64 | Arch::X32 => data.nr & X32_BIT != 0 || data.nr > X32_BIT,
        Arch::X86 | Arch::Aarch64 | Arch::Arm => false,
    };
    listed.iter().copied().find(|arch| arch.audit() == data.arch && is_x32(*arch) == (*arch == Arch::X32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
        "syscalls":[{"names":["read","socket"],"action":"SCMP_ACT_ALLOW"},
        {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}]}"#;

    fn reason(arch: Arch, nr: u32, arg: u64) -> Reason {
        let profile = Profile::from_json(PROFILE.as_bytes()).unwrap();
        explain(&profile, Arch::X86_64, &SeccompData::new(arch, nr, [arg, 0, 0, 0, 0, 0])).unwrap().reason
    }

    #[test]
    fn the_rule_is_named() {
        let first = Reason::Rule(0, r#"rule 0 ("read" and others)"#.to_owned());
        assert_eq!(reason(Arch::X86_64, 0, 0), first);
        assert_eq!(reason(Arch::X86, 102, 1), first);
        assert_eq!(reason(Arch::X86_64, 135, 8), Reason::Rule(1, r#"rule 1 ("personality")"#.to_owned()));
    }

    #[test]
    fn without_a_rule_the_reason_is_told() {
        assert_eq!(reason(Arch::X86_64, 135, 9), Reason::Default);
        assert_eq!(reason(Arch::X86_64, 136, 0), Reason::AboveHighest);
        assert_eq!(reason(Arch::X86, 102, 2), Reason::Default);
        assert_eq!(reason(Arch::X32, X32_BIT, 0), Reason::BadArch);
        assert_eq!(reason(Arch::X86_64, u32::MAX, 0), Reason::AboveHighest);
        assert_eq!(reason(Arch::Aarch64, 63, 0), Reason::BadArch);
    }
}
