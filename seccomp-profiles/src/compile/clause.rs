//! Conditions on arguments, brought into the one form that the compiler and the explanation share.

use crate::bpf::Action;
use crate::profile::{Arg, Operator};
use crate::syscalls::Width;
use std::cmp::Ordering;

/// A condition on one argument, with values already cut to the width that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cond {
    /// 0 to 5.
    pub(crate) index: u8,
    pub(crate) op: Operator,
    /// What the argument is compared with; for `MaskedEqual` cut to the mask.
    pub(crate) value: u64,
    /// What counts of the argument: all of it, or its low half; for `MaskedEqual` as the rule has it.
    pub(crate) mask: u64,
}

/// Conditions that must all hold, at most one an argument, in the order of the arguments; none means always.
pub(crate) type Conds = Vec<Cond>;

/// Conditions and what happens where they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) conds: Conds,
    pub(crate) action: Action,
    /// Index of the rule in the profile.
    pub(crate) rule: usize,
}

impl Clause {
    /// Whether a call with these arguments fulfils all conditions.
    pub(crate) fn holds(&self, args: &[u64; 6], width: Width) -> bool {
        let arg = |index: u8| args.get(usize::from(index)).copied().unwrap_or(0);
        self.conds.iter().all(|cond| cond.holds(arg(cond.index), width))
    }
}

impl Cond {
    /// The condition that `arg` states; its index has been checked.
    pub(crate) fn new(arg: &Arg, index: u8) -> Cond {
        match arg.op {
            Operator::MaskedEqual => Cond { index, op: arg.op, value: arg.value_two & arg.value, mask: arg.value },
            Operator::NotEqual
            | Operator::LessThan
            | Operator::LessOrEqual
            | Operator::Equal
            | Operator::GreaterOrEqual
            | Operator::GreaterThan => Cond { index, op: arg.op, value: arg.value, mask: u64::MAX },
        }
    }

    /// The condition on what counts of the argument; `None` where it then always holds, as an empty mask does.
    fn narrowed(self, width: Width) -> Option<Cond> {
        let cond = match width {
            Width::Full64 => self,
            Width::Low32 => Cond { value: self.value & 0xffff_ffff, mask: self.mask & 0xffff_ffff, ..self },
        };
        (cond.mask != 0).then_some(cond)
    }

    /// Whether an argument fulfils it. Cuts the argument as the condition was cut.
    pub(crate) fn holds(&self, arg: u64, width: Width) -> bool {
        let arg = self.mask
            & match width {
                Width::Full64 => arg,
                Width::Low32 => arg & 0xffff_ffff,
            };
        match self.op {
            Operator::NotEqual => arg != self.value,
            Operator::LessThan => arg < self.value,
            Operator::LessOrEqual => arg <= self.value,
            Operator::Equal => arg == self.value,
            Operator::GreaterOrEqual => arg >= self.value,
            Operator::GreaterThan => arg > self.value,
            Operator::MaskedEqual => arg == self.value,
        }
    }
}

/// `conds` as an ABI of this width sees them.
pub(crate) fn narrowed(conds: &[Cond], width: Width) -> Conds {
    conds.iter().filter_map(|cond| cond.narrowed(width)).collect()
}

/// A comparison of one 32-bit word, as libseccomp arranges them: the order of its tree decides which of several rules
/// with different actions wins where more than one holds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Node {
    index: u8,
    high: bool,
    /// Equalities are tested before `<` and `<=`, those before `>` and `>=`.
    rank: u8,
    masked: bool,
    value: u32,
    mask: u32,
}

impl Node {
    fn all(cond: &Cond, width: Width) -> impl Iterator<Item = Node> {
        let rank = match cond.op {
            Operator::Equal | Operator::NotEqual | Operator::MaskedEqual => 0,
            Operator::LessThan | Operator::LessOrEqual => 1,
            Operator::GreaterThan | Operator::GreaterOrEqual => 2,
        };
        let (index, masked) = (cond.index, cond.op == Operator::MaskedEqual);
        let halves = [(true, cond.value >> 32, cond.mask >> 32), (false, cond.value, cond.mask)];
        let node =
            move |(high, value, mask)| Node { index, high, rank, masked, value: value as u32, mask: mask as u32 };
        halves.into_iter().skip(usize::from(width == Width::Low32)).map(node)
    }

    /// The later argument first, its high half first, then the rank, then the narrower bound.
    fn precedence(&self, other: &Node) -> Ordering {
        let by_value = if self.rank == 1 { self.value.cmp(&other.value) } else { other.value.cmp(&self.value) };
        let by_place = (other.index, other.high).cmp(&(self.index, self.high));
        by_place.then(self.rank.cmp(&other.rank)).then(by_value)
    }
}

/// A clause behind the comparisons that it makes.
type Compared = (Vec<Node>, Clause);

/// Clauses of one call in the order in which they are tested. Those that begin with the same comparisons stay together,
/// the shortest of them first; else comparisons decide, and among equal ones the order of the profile.
pub(crate) fn arranged(clauses: Vec<Clause>, width: Width) -> Vec<Clause> {
    let nodes = |clause: &Clause| clause.conds.iter().flat_map(|cond| Node::all(cond, width)).collect();
    let with_nodes = clauses.into_iter().map(|clause| (nodes(&clause), clause)).collect();
    let mut arranged = Vec::new();
    arrange(with_nodes, 0, &mut arranged);
    arranged
}

fn arrange(clauses: Vec<Compared>, depth: usize, arranged: &mut Vec<Clause>) {
    let mut groups: Vec<(Node, Vec<Compared>)> = Vec::new();
    for (nodes, clause) in clauses {
        match nodes.get(depth).copied() {
            None => arranged.push(clause),
            Some(node) => match groups.iter_mut().find(|(known, _)| *known == node) {
                Some((_, group)) => group.push((nodes, clause)),
                None => {
                    let place = groups.partition_point(|(before, _)| before.precedence(&node).is_le());
                    groups.insert(place, (node, vec![(nodes, clause)]));
                }
            },
        }
    }
    for (_, group) in groups {
        arrange(group, depth + 1, arranged);
    }
}
