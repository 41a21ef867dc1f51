//! The deny list below every profile, whatever the profile says: calls that reach other containers or the kernel itself.
//!
//! `profiles/overlay.json` holds it. Unlike a profile it is an ordered list, the first rule whose conditions hold decides,
//! and it compares the low 32 bits of arguments, as the kernel does where it takes an `int`: a value with something in
//! its upper half is the same value for the kernel. A rule is taken away by its token only.

use crate::bpf::{Action, SeccompData};
use crate::capability::CapabilitySet;
use crate::compile::clause::{Clause, Cond, Conds, narrowed};
use crate::compile::condition;
use crate::compile::decide::{Decided, Group, Ranges, Verdict, Verdicts};
use crate::families::FamilyError;
use crate::families::file::{Answer, Calls, File};
use crate::syscalls::{Arch, Syscall, Width};

/// The deny list for one container. [`crate::compile_layers`] makes a filter of it, alone or below profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Calls and their clauses, first match first; a call that none matches is let through.
    calls: Vec<(Syscall, Vec<Clause>)>,
    /// For each rule of the file, by which clauses know it, its token and its reasons.
    rules: Vec<(&'static str, Calls<'static>)>,
}

pub(crate) const TEXT: &str = include_str!("../profiles/overlay.json");

/// The tokens that [`Overlay::load`] knows and what each takes away, in words.
///
/// # Errors
/// A wrong embedded text; the tests keep it from happening.
pub fn tokens() -> Result<Vec<(String, String)>, FamilyError> {
    let mut tokens: Vec<(String, String)> = Vec::new();
    for rule in open()?.rules {
        let Some(token) = rule.token else { continue };
        let calls = rule.calls.names().collect::<Vec<_>>().join(" ");
        match tokens.iter_mut().find(|(known, _)| known == token) {
            Some((_, known)) if known.split(' ').eq(calls.split(' ')) => {}
            Some((_, known)) => {
                known.push(' ');
                known.push_str(&calls);
            }
            None => tokens.push((token.into(), calls)),
        }
    }
    Ok(tokens)
}

impl Overlay {
    /// The overlay for a container with these capabilities (the bounding set), without the rules of the tokens `allowed`.
    ///
    /// # Errors
    /// An unknown token: one that means nothing would be a surprise for whoever wrote it.
    pub fn load(caps: &CapabilitySet, allowed: &[&str]) -> Result<Overlay, FamilyError> {
        let text = |why: String| FamilyError::Text("overlay".to_owned(), why);
        let file = open()?;
        let known = |token: &str| file.rules.iter().any(|rule| rule.token == Some(token));
        if let Some(unknown) = allowed.iter().find(|token| !known(token)) {
            return Err(text(format!("unknown token \"{unknown}\"")));
        }
        let mut calls: Vec<(Syscall, Vec<Clause>)> = Vec::new();
        for (index, rule) in file.rules.iter().enumerate() {
            let taken_away = rule.token.is_some_and(|token| allowed.contains(&token));
            if taken_away || !rule.holds_with(caps) {
                continue;
            }
            let action = match rule.answer {
                Some(Answer::Allow) => Action::Allow,
                None | Some(Answer::Eperm) => Action::Errno(1),
                Some(Answer::Enosys) => Action::Errno(38),
            };
            let alternatives = alternatives(&rule.when).map_err(text)?;
            for name in rule.calls.names() {
                let call = Syscall::from_name(name).ok_or_else(|| text(format!("unknown system call \"{name}\"")))?;
                let clauses = alternatives.iter().map(|conds| Clause { conds: conds.clone(), action, rule: index });
                match calls.iter_mut().find(|(known, _)| *known == call) {
                    Some((_, known)) => known.extend(clauses),
                    None => calls.push((call, clauses.collect())),
                }
            }
        }
        let rules = file.rules.into_iter().map(|rule| (rule.token.unwrap_or_default(), rule.calls)).collect();
        Ok(Overlay { calls, rules })
    }

    /// What the overlay does with a call, and why.
    pub(crate) fn explain(&self, data: &SeccompData) -> (Action, String) {
        let archs = Arch::ALL.into_iter().filter(|arch| arch.audit() == data.arch);
        let numbers: Vec<Arch> = archs.collect();
        let of_call =
            self.calls.iter().find(|(call, _)| numbers.iter().any(|arch| call.number(*arch) == Some(data.nr)));
        let found = of_call.and_then(|(call, clauses)| {
            let clause = clauses.iter().find(|clause| clause.holds(&data.args, Width::Low32))?;
            let (token, reasons) = self.rules.get(clause.rule)?;
            let reason = reasons.get(call.name()).unwrap_or_default();
            Some((clause.action, format!("overlay, token \"{token}\": {reason}")))
        });
        found.unwrap_or_else(|| (Action::Allow, "no rule of the overlay".to_owned()))
    }

    /// Every ABI that a kernel with this native one has, so that the overlay never stands in the way of another layer.
    pub(crate) fn decided(&self, native: Arch) -> (Decided, Vec<Arch>) {
        let archs = match native {
            Arch::X86_64 | Arch::X32 => vec![Arch::X86_64, Arch::X86, Arch::X32],
            Arch::X86 => vec![Arch::X86],
            Arch::Aarch64 => vec![Arch::Aarch64, Arch::Arm],
            Arch::Arm => vec![Arch::Arm],
        };
        let mut verdicts = Verdicts { list: Vec::new() };
        let mut groups: Vec<Group> = Vec::new();
        for arch in &archs {
            if groups.iter().any(|group| group.audit == arch.audit()) {
                continue;
            }
            let mut numbers: Vec<(u32, u16)> = Vec::new();
            for one in archs.iter().filter(|one| one.audit() == arch.audit()) {
                for (call, clauses) in &self.calls {
                    if let Some(number) = call.number(*one) {
                        numbers.push((number, verdicts.intern(verdict(clauses))));
                    }
                }
            }
            numbers.sort_unstable();
            let allow = verdicts.always(Action::Allow);
            let mut ranges = Ranges::new();
            ranges.add(0, allow);
            for (number, verdict) in numbers {
                ranges.add(number, verdict);
                ranges.add(number + 1, allow);
            }
            groups.push(Group { audit: arch.audit(), ranges: ranges.list });
        }
        (Decided { groups, verdicts: verdicts.list }, archs)
    }
}

fn verdict(clauses: &[Clause]) -> Verdict {
    let end = clauses.iter().position(|clause| clause.conds.is_empty());
    let otherwise = end.and_then(|end| clauses.get(end)).map_or(Action::Allow, |clause| clause.action);
    Verdict { clauses: clauses.iter().take(end.unwrap_or(clauses.len())).cloned().collect(), otherwise }
}

fn alternatives(when: &[&str]) -> Result<Vec<Conds>, String> {
    if when.is_empty() {
        return Ok(vec![Vec::new()]);
    }
    when.iter()
        .map(|line| {
            let args = condition::parse(line)?;
            if args.iter().any(|arg| arg.value.max(arg.value_two) > 0xffff_ffff) {
                return Err(format!("condition \"{line}\" is wider than 32 bits"));
            }
            let conds: Conds = args.iter().map(|arg| Cond::new(arg, arg.index as u8)).collect();
            Ok(narrowed(&conds, Width::Low32))
        })
        .collect()
}

fn open() -> Result<File<'static>, FamilyError> {
    serde_json::from_str(TEXT).map_err(|why| FamilyError::Text("overlay".to_owned(), why.to_string()))
}
