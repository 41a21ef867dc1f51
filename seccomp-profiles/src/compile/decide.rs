//! For each number of each ABI, what happens: ranges of numbers that are treated alike.

use super::CompileError;
use super::check::{Checked, CheckedRule, ENOSYS};
use super::clause::{Clause, Cond, arranged, narrowed};
use crate::bpf::Action;
use crate::profile::Operator;
use crate::syscalls::{Arch, Syscall, Width, X32_BIT};

/// What happens to a call with a certain number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Tested in this order.
    pub(crate) clauses: Vec<Clause>,
    /// Where no clause holds.
    pub(crate) otherwise: Action,
}

impl Verdict {
    /// What it says to these arguments, and the place of the clause that says so.
    pub(crate) fn answer(&self, args: &[u64; 6], width: Width) -> (Action, Option<usize>) {
        let found = self.clauses.iter().enumerate().find(|(_, clause)| clause.holds(args, width));
        found.map_or((self.otherwise, None), |(place, clause)| (clause.action, Some(place)))
    }
}

/// Everything that a filter decides.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    /// The native one first.
    pub(crate) groups: Vec<Group>,
    /// What [`Range::verdict`] counts.
    pub(crate) verdicts: Vec<Verdict>,
}

/// The numbers of one audit value: one ABI, or x86_64 and x32.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) audit: u32,
    /// From 0 on without gaps, neighbours differ.
    pub(crate) ranges: Vec<Range>,
}

/// Numbers from `first` up to the next range's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) verdict: u16,
}

/// For calls through an ABI that the profile does not list: no rule can have been meant for them, and a process that makes
/// one tries to get around the filter.
pub(crate) const BAD_ARCH: Action = Action::KillProcess;

pub(crate) fn decide(checked: &Checked) -> Result<Decided, CompileError> {
    let mut verdicts = Verdicts { list: Vec::with_capacity(32) };
    let mut problems = Vec::new();
    let mut groups: Vec<Group> = Vec::with_capacity(checked.archs.len());
    for arch in &checked.archs {
        if groups.iter().any(|group| group.audit == arch.audit()) {
            continue;
        }
        let ranges = if arch.audit() == Arch::X86_64.audit() {
            x86_64_and_x32(checked, &mut verdicts, &mut problems)
        } else {
            let numbers = numbers(*arch, checked, &mut verdicts, &mut problems);
            let mut ranges = Ranges::new();
            numbers.fill(*arch, &mut ranges);
            ranges.list
        };
        groups.push(Group { audit: arch.audit(), ranges });
    }
    if problems.is_empty() { Ok(Decided { groups, verdicts: verdicts.list }) } else { Err(CompileError { problems }) }
}

/// Both ABIs have one audit value: bit 30 of the number tells them apart. Where x32 is not listed, -1 still belongs to
/// x86_64: a tracer sets it to skip a call, seccomp(2), and must not get the process killed.
fn x86_64_and_x32(checked: &Checked, verdicts: &mut Verdicts, problems: &mut Vec<String>) -> Vec<Range> {
    let bad = verdicts.always(BAD_ARCH);
    let mut ranges = Ranges::new();
    let mut minus_one = bad;
    if checked.archs.contains(&Arch::X86_64) {
        let numbers = numbers(Arch::X86_64, checked, verdicts, problems);
        numbers.fill(Arch::X86_64, &mut ranges);
        minus_one = numbers.above;
    } else {
        ranges.add(0, bad);
    }
    if checked.archs.contains(&Arch::X32) {
        numbers(Arch::X32, checked, verdicts, problems).fill(Arch::X32, &mut ranges);
    } else {
        ranges.add(X32_BIT, bad);
        ranges.add(u32::MAX, minus_one);
    }
    ranges.list
}

/// The numbers of one ABI that the profile names.
struct Numbers {
    /// Number and verdict, ascending.
    named: Vec<(u32, u16)>,
    /// For numbers between them.
    unnamed: u16,
    /// For ordinary numbers above the highest one named.
    above: u16,
}

impl Numbers {
    fn fill(&self, arch: Arch, ranges: &mut Ranges) {
        let private = arch.private_base().unwrap_or(u32::MAX);
        let mut next = arch.number_bits();
        let mut rest = self.named.iter().peekable();
        while let Some((number, verdict)) = rest.next_if(|(number, _)| *number < private) {
            ranges.add(next, self.unnamed);
            ranges.add(*number, *verdict);
            next = number + 1;
        }
        ranges.add(next, self.above);
        if arch.private_base().is_some() {
            next = private;
            for (number, verdict) in rest {
                ranges.add(next, self.unnamed);
                ranges.add(*number, *verdict);
                next = number + 1;
            }
            ranges.add(next, self.unnamed);
        }
    }
}

fn numbers(arch: Arch, checked: &Checked, verdicts: &mut Verdicts, problems: &mut Vec<String>) -> Numbers {
    // Key: number, then place of the rule; a call reached through a multiplexer has the selector as well.
    let mut named: Vec<(u32, u32, u8)> = Vec::with_capacity(512);
    for (place, rule) in (0_u32..).zip(&checked.rules) {
        for call in &rule.calls {
            if let Some(number) = call.number(arch) {
                named.push((number, place, 0));
            }
            if let Some((number, selector)) = call.multiplexed(arch) {
                named.push((number, place, selector as u8));
            }
        }
    }
    named.sort_unstable();
    let unnamed = verdicts.always(checked.default);
    // Numbers apart say nothing of the kernel that the profile was written for.
    let ordinary = named.first().is_some_and(|(number, _, _)| arch.private_base().is_none_or(|base| *number < base));
    let above = if checked.enosys_above && ordinary { verdicts.always(Action::Errno(ENOSYS)) } else { unnamed };
    let mut decided = Vec::with_capacity(named.len());
    for of_number in named.chunk_by(|left, right| left.0 == right.0) {
        let Some((number, _, _)) = of_number.first() else { continue };
        let verdict = verdict(arch, *number, of_number, checked, verdicts, problems);
        decided.push((*number, verdict));
    }
    Numbers { named: decided, unnamed, above }
}

/// Rules of one number: one without conditions wins, the first of several; else the clauses in their precedence.
fn verdict(
    arch: Arch,
    number: u32,
    named: &[(u32, u32, u8)],
    checked: &Checked,
    verdicts: &mut Verdicts,
    problems: &mut Vec<String>,
) -> u16 {
    let mut clauses: Vec<Clause> = Vec::new();
    for (_, place, selector) in named {
        let Some(rule) = checked.rules.get(*place as usize) else { continue };
        if rule.action == checked.default {
            // As for runc, such a rule is not there: it does not take part in precedence.
            continue;
        }
        if *selector == 0 && rule.alternatives.iter().any(Vec::is_empty) {
            return verdicts.always(rule.action);
        }
        push_clauses(rule, arch.width(), *selector, &mut clauses);
        if let Some(always) = clauses.iter().find(|clause| clause.conds.is_empty()) {
            // An empty mask, or one above what counts of the argument, always holds.
            let action = always.action;
            return verdicts.always(action);
        }
    }
    if clauses.iter().any(|clause| Some(clause.action) != clauses.first().map(|first| first.action)) {
        clauses = arranged(clauses, arch.width());
    }
    report_contradictions(arch, number, &clauses, problems);
    verdicts.intern(Verdict { clauses, otherwise: checked.default })
}

/// The alternatives of a rule as clauses. Behind a multiplexer the first argument is the selector, so that a condition on
/// it cannot be checked and gives way; the others stay, as libseccomp has it.
pub(crate) fn push_clauses(rule: &CheckedRule, width: Width, selector: u8, clauses: &mut Vec<Clause>) {
    for alternative in &rule.alternatives {
        let mut conds = narrowed(alternative, width);
        if selector != 0 {
            conds.retain(|cond| cond.index != 0);
            // Multiplexers exist on 32-bit ABIs only.
            conds.insert(0, Cond { index: 0, op: Operator::Equal, value: u64::from(selector), mask: 0xffff_ffff });
        }
        let clause = Clause { conds, action: rule.action, rule: rule.index };
        if !clauses.iter().any(|known| known.conds == clause.conds && known.action == clause.action) {
            clauses.push(clause);
        }
    }
}

/// Two rules with the same conditions and different actions; or a later rule with fewer conditions that would make an
/// earlier one void. In the other order the earlier, wider rule counts, as for libseccomp.
fn report_contradictions(arch: Arch, number: u32, clauses: &[Clause], problems: &mut Vec<String>) {
    for wide in clauses {
        for narrow in clauses {
            let covers = narrow.conds.starts_with(&wide.conds) && wide.action != narrow.action;
            if !covers || wide.rule <= narrow.rule {
                continue;
            }
            let name = Syscall::from_number(arch, number).map_or("", Syscall::name);
            let what = if wide.conds == narrow.conds { "has the same conditions as" } else { "makes void" };
            let problem = format!(
                "rule {} ({}) {what} rule {} ({}) for \"{name}\": remove one or make the conditions exclude each other",
                wide.rule, wide.action, narrow.rule, narrow.action
            );
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

/// Verdicts, each one once.
pub(crate) struct Verdicts {
    pub(crate) list: Vec<Verdict>,
}

impl Verdicts {
    pub(crate) fn always(&mut self, action: Action) -> u16 {
        let known = self.list.iter().position(|known| known.clauses.is_empty() && known.otherwise == action);
        known.map_or_else(|| self.push(Verdict { clauses: Vec::new(), otherwise: action }), |at| at as u16)
    }

    pub(crate) fn intern(&mut self, verdict: Verdict) -> u16 {
        let alike = |known: &Verdict| {
            known.otherwise == verdict.otherwise
                && known.clauses.len() == verdict.clauses.len()
                && known.clauses.iter().zip(&verdict.clauses).all(|(l, r)| l.action == r.action && l.conds == r.conds)
        };
        let known = self.list.iter().position(alike);
        known.map_or_else(|| self.push(verdict), |at| at as u16)
    }

    /// There are fewer verdicts than names times ABIs, some 2400.
    fn push(&mut self, verdict: Verdict) -> u16 {
        self.list.push(verdict);
        (self.list.len() - 1) as u16
    }
}

/// Ranges in the making.
pub(crate) struct Ranges {
    pub(crate) list: Vec<Range>,
}

impl Decided {
    /// What is said of a number; `None` where the audit value is not served, whose calls end as [`BAD_ARCH`].
    pub(crate) fn verdict(&self, audit: u32, number: u32) -> Option<&Verdict> {
        let group = self.groups.iter().find(|group| group.audit == audit)?;
        let after = group.ranges.partition_point(|range| range.first <= number);
        let range = group.ranges.get(after.checked_sub(1)?)?;
        self.verdicts.get(usize::from(range.verdict))
    }
}

impl Ranges {
    pub(crate) fn new() -> Ranges {
        Ranges { list: Vec::with_capacity(256) }
    }

    /// From `first` on `verdict`, until the next call says otherwise; `first` never decreases.
    pub(crate) fn add(&mut self, first: u32, verdict: u16) {
        if self.list.last().is_some_and(|last| last.first == first) {
            self.list.pop();
        }
        if self.list.last().is_none_or(|last| last.verdict != verdict) {
            self.list.push(Range { first, verdict });
        }
    }
}
