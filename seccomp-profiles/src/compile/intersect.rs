//! Two decisions made one: each call gets the stricter of both answers, as if two filters had been loaded.
//!
//! The kernel asks all filters of a process, the newest first, and keeps the strictest action; of equal actions the data
//! (the errno) of the newest (`seccomp_run_filters`). One filter that says the same costs one walk instead of two, and
//! can express what the specification's profiles cannot: "everything but".

use super::clause::{Clause, Cond, Conds};
use super::decide::{Decided, Group, Range, Ranges, Verdict, Verdicts};
use crate::bpf::Action;
use crate::profile::Operator;

/// As if `first` had been loaded before `later`. An ABI that either does not serve stays unserved: killing is strictest.
pub(super) fn intersect(first: &Decided, later: &Decided) -> Decided {
    let mut join = Join { first, later, known: Vec::new(), verdicts: Verdicts { list: Vec::new() } };
    let mut groups = Vec::with_capacity(later.groups.len());
    for group in &later.groups {
        if let Some(other) = first.groups.iter().find(|other| other.audit == group.audit) {
            groups.push(Group { audit: group.audit, ranges: join.ranges(&other.ranges, &group.ranges) });
        }
    }
    Decided { groups, verdicts: join.verdicts.list }
}

struct Join<'a> {
    first: &'a Decided,
    later: &'a Decided,
    /// Pairs of verdicts that have been joined: most ranges share theirs.
    known: Vec<((u16, u16), u16)>,
    verdicts: Verdicts,
}

impl Join<'_> {
    fn ranges(&mut self, first: &[Range], later: &[Range]) -> Vec<Range> {
        let mut ranges = Ranges::new();
        let (mut in_first, mut in_later) = (first.iter().peekable(), later.iter().peekable());
        // Both begin at number 0.
        let (mut left, mut right) = (0, 0);
        loop {
            let (next_first, next_later) = (in_first.peek().map(|r| r.first), in_later.peek().map(|r| r.first));
            let Some(at) = next_first.into_iter().chain(next_later).min() else { return ranges.list };
            if let Some(range) = in_first.next_if(|range| range.first == at) {
                left = range.verdict;
            }
            if let Some(range) = in_later.next_if(|range| range.first == at) {
                right = range.verdict;
            }
            let verdict = self.verdict(left, right);
            ranges.add(at, verdict);
        }
    }

    fn verdict(&mut self, left: u16, right: u16) -> u16 {
        if let Some((_, known)) = self.known.iter().find(|(pair, _)| *pair == (left, right)) {
            return *known;
        }
        let both = (self.first.verdicts.get(usize::from(left)), self.later.verdicts.get(usize::from(right)));
        let joined = match both {
            (Some(first), Some(later)) => join(first, later),
            // Places come from the same decisions; without one the strictest answer is right.
            (None, _) | (_, None) => Verdict { clauses: Vec::new(), otherwise: super::decide::BAD_ARCH },
        };
        let place = self.verdicts.intern(joined);
        self.known.push(((left, right), place));
        place
    }
}

/// Every pair of clauses that can hold together, in the order in which both sides test theirs: the first pair that holds
/// is the pair of the first ones that hold.
fn join(first: &Verdict, later: &Verdict) -> Verdict {
    let strictest = options(first).map(|(_, action)| rank(action)).min().unwrap_or(u8::MAX);
    let mut clauses: Vec<Clause> = Vec::new();
    'later: for (later_conds, later_action) in options(later) {
        for (first_conds, first_action) in options(first) {
            let decided = rank(later_action) <= strictest;
            let conds = if decided { Some(later_conds.to_vec()) } else { together(first_conds, later_conds) };
            let action = stricter(first_action, later_action);
            if let Some(conds) = conds
                && !clauses.iter().any(|before| before.conds.iter().all(|cond| conds.contains(cond)))
            {
                clauses.push(Clause { conds, action: if decided { later_action } else { action }, rule: 0 });
            }
            if decided {
                continue 'later;
            }
        }
    }
    // The last pair has no conditions on either side, or an earlier one had none and made it void.
    let end = clauses.iter().position(|clause| clause.conds.is_empty());
    let otherwise = end.and_then(|end| clauses.get(end)).map_or(super::decide::BAD_ARCH, |clause| clause.action);
    clauses.truncate(end.unwrap_or(0));
    while clauses.pop_if(|last| last.action == otherwise).is_some() {}
    Verdict { clauses, otherwise }
}

/// What a verdict may say, in its order; the last one has no conditions.
fn options(verdict: &Verdict) -> impl Iterator<Item = (&[Cond], Action)> {
    let clauses = verdict.clauses.iter().map(|clause| (clause.conds.as_slice(), clause.action));
    clauses.chain([(&[][..], verdict.otherwise)])
}

/// The answer that counts where one filter is loaded before another.
pub(crate) fn stricter(first: Action, later: Action) -> Action {
    if rank(first) < rank(later) { first } else { later }
}

/// The kernel's order of actions, strictest first; their data do not count.
pub(crate) fn rank(action: Action) -> u8 {
    match action {
        Action::KillProcess => 0,
        Action::KillThread => 1,
        Action::Trap(_) => 2,
        Action::Errno(_) => 3,
        Action::Notify => 4,
        Action::Trace(_) => 5,
        Action::Log => 6,
        Action::Allow => 7,
    }
}

/// Both lists at once, without what another condition implies; `None` where no argument can fulfil them.
fn together(first: &[Cond], later: &[Cond]) -> Option<Conds> {
    let mut conds: Conds = Vec::with_capacity(first.len() + later.len());
    for cond in first.iter().chain(later) {
        if conds.iter().any(|known| excludes(known, cond)) {
            return None;
        }
        if !conds.iter().any(|known| implies(known, cond)) {
            conds.retain(|known| !implies(cond, known));
            conds.push(*cond);
        }
    }
    Some(conds)
}

/// Bits that a condition fixes: all that it looks at, when it is an equality.
fn fixed(cond: &Cond) -> Option<(u64, u64)> {
    matches!(cond.op, Operator::Equal | Operator::MaskedEqual).then_some((cond.mask, cond.value))
}

fn excludes(left: &Cond, right: &Cond) -> bool {
    match (fixed(left), fixed(right)) {
        (Some((left_mask, left_value)), Some((right_mask, right_value))) if left.index == right.index => {
            (left_value ^ right_value) & left_mask & right_mask != 0
        }
        _ => false,
    }
}

/// Whether whatever fulfils `left` fulfils `right`; told only where it is plain.
fn implies(left: &Cond, right: &Cond) -> bool {
    match (fixed(left), fixed(right)) {
        (Some((left_mask, left_value)), Some((right_mask, right_value))) if left.index == right.index => {
            right_mask & !left_mask == 0 && (left_value ^ right_value) & right_mask == 0
        }
        _ => left == right,
    }
}
