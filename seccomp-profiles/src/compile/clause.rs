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
    /// All ones but for `MaskedEqual`.
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
        let arg = match width {
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
            Operator::MaskedEqual => arg & self.mask == self.value,
        }
    }

    /// Which of two conditions libseccomp tests first: the later argument, then equalities before `<` before `>`, then
    /// the narrower bound.
    fn precedence(&self, other: &Cond) -> Ordering {
        let rank = |op| match op {
            Operator::Equal | Operator::NotEqual | Operator::MaskedEqual => 0,
            Operator::LessThan | Operator::LessOrEqual => 1,
            Operator::GreaterThan | Operator::GreaterOrEqual => 2,
        };
        let by_value = match self.op {
            Operator::LessThan | Operator::LessOrEqual => self.value.cmp(&other.value),
            Operator::NotEqual
            | Operator::Equal
            | Operator::GreaterOrEqual
            | Operator::GreaterThan
            | Operator::MaskedEqual => other.value.cmp(&self.value),
        };
        other.index.cmp(&self.index).then(rank(self.op).cmp(&rank(other.op))).then(by_value)
    }
}

/// `conds` as an ABI of this width sees them.
pub(crate) fn narrowed(conds: &[Cond], width: Width) -> Conds {
    conds.iter().filter_map(|cond| cond.narrowed(width)).collect()
}

/// Which of two clauses of one call is tested first; where one has the other's conditions and more, the shorter.
pub(crate) fn precedence(left: &Clause, right: &Clause) -> Ordering {
    left.conds
        .iter()
        .zip(&right.conds)
        .map(|(left, right)| left.precedence(right))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| left.conds.len().cmp(&right.conds.len()))
}
