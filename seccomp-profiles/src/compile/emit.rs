//! Ranges to instructions, written from the last one to the first.
//!
//! Jumps of classic BPF only go forward, so that in this order every target is already in its place and its distance
//! known. A conditional jump reaches 255 instructions; a target further away gets a stepping stone right behind the jump:
//! the same return once more, or an unconditional jump, which reaches everything.

use super::clause::{Clause, Cond};
use super::decide::{BAD_ARCH, Decided, Range, Verdict};
use crate::bpf::{
    AND_K, ARCH_OFFSET, Action, Insn, JA, JEQ_K, JGE_K, JGT_K, JSET_K, LD_ABS, NR_OFFSET, RET_K, arg_offset,
};
use crate::profile::Operator;

/// The filter: the audit value, then a search tree over the numbers of that value, then conditions.
pub(super) fn emit(decided: &Decided) -> Vec<Insn> {
    let mut program = Program { backwards: Vec::with_capacity(1024), returns: Vec::new() };
    let mut entries = Vec::with_capacity(decided.groups.len());
    // Values and masks are cut to the width of the ABI already: what reads alike is alike for every ABI.
    let mut labels = vec![None; decided.verdicts.len()];
    for group in decided.groups.iter().rev() {
        let root = program.tree(&group.ranges, decided, &mut labels);
        entries.push((group.audit, program.load(NR_OFFSET, root)));
    }
    let mut first = program.ret(BAD_ARCH);
    for (audit, entry) in entries {
        first = program.branch(JEQ_K, audit, entry, first);
    }
    program.load(ARCH_OFFSET, first);
    program.backwards.reverse();
    program.backwards
}

/// Place of an instruction, counted from the end of the program.
type Label = usize;

struct Program {
    /// Last instruction first.
    backwards: Vec<Insn>,
    /// The place nearest to the beginning where each value is returned.
    returns: Vec<(u32, Label)>,
}

impl Program {
    fn push(&mut self, insn: Insn) -> Label {
        self.backwards.push(insn);
        self.backwards.len() - 1
    }

    /// How many instructions lie between the next one to be written and `target`.
    fn distance(&self, target: Label) -> usize {
        self.backwards.len() - 1 - target
    }

    fn insn(&self, label: Label) -> Option<Insn> {
        self.backwards.get(label).copied()
    }

    fn ret(&mut self, action: Action) -> Label {
        let value = action.to_ret();
        match self.returns.iter().find(|(known, _)| *known == value) {
            Some((_, label)) if self.distance(*label) < 200 => *label,
            _ => self.write_ret(value),
        }
    }

    fn write_ret(&mut self, value: u32) -> Label {
        let label = self.push(Insn { code: RET_K, jt: 0, jf: 0, k: value });
        self.returns.retain(|(known, _)| *known != value);
        self.returns.push((value, label));
        label
    }

    /// A place right behind the next instruction from which `target` goes on.
    fn stepping_stone(&mut self, target: Label) -> Label {
        match self.insn(target) {
            Some(Insn { code: RET_K, k, .. }) => self.write_ret(k),
            _ => {
                let k = self.distance(target) as u32;
                self.push(Insn { code: JA, jt: 0, jf: 0, k })
            }
        }
    }

    /// An instruction that is followed by `next`.
    fn then(&mut self, code: u16, k: u32, next: Label) -> Label {
        if self.distance(next) != 0 {
            self.stepping_stone(next);
        }
        self.push(Insn { code, jt: 0, jf: 0, k })
    }

    fn load(&mut self, offset: u32, next: Label) -> Label {
        self.then(LD_ABS, offset, next)
    }

    fn branch(&mut self, code: u16, k: u32, mut yes: Label, mut no: Label) -> Label {
        if yes == no {
            return yes;
        }
        // A stepping stone moves the other target one further away: at most three rounds.
        loop {
            match (u8::try_from(self.distance(yes)), u8::try_from(self.distance(no))) {
                (Ok(jt), Ok(jf)) => return self.push(Insn { code, jt, jf, k }),
                (Err(_), _) => yes = self.stepping_stone(yes),
                (_, Err(_)) => no = self.stepping_stone(no),
            }
        }
    }

    /// A search tree: at its leaves the number in A is known to lie in one range.
    fn tree(&mut self, ranges: &[Range], decided: &Decided, labels: &mut [Option<Label>]) -> Label {
        match ranges {
            [] => self.ret(BAD_ARCH),
            [only] => self.leaf(only.verdict, decided, labels),
            // One number apart from its surroundings.
            [before, alone, after] if before.verdict == after.verdict && after.first - alone.first == 1 => {
                let around = self.leaf(before.verdict, decided, labels);
                let here = self.leaf(alone.verdict, decided, labels);
                self.branch(JEQ_K, alone.first, here, around)
            }
            _ => {
                let (low, high) = ranges.split_at(ranges.len() / 2);
                let Some(middle) = high.first() else { return self.tree(low, decided, labels) };
                let above = self.tree(high, decided, labels);
                let below = self.tree(low, decided, labels);
                self.branch(JGE_K, middle.first, above, below)
            }
        }
    }

    fn leaf(&mut self, verdict: u16, decided: &Decided, labels: &mut [Option<Label>]) -> Label {
        let Some(what) = decided.verdicts.get(usize::from(verdict)) else { return self.ret(BAD_ARCH) };
        if what.clauses.is_empty() {
            return self.ret(what.otherwise);
        }
        let Some(label) = labels.get_mut(usize::from(verdict)) else { return self.ret(BAD_ARCH) };
        *label.get_or_insert_with(|| self.clauses(what))
    }

    fn clauses(&mut self, verdict: &Verdict) -> Label {
        let mut next = self.ret(verdict.otherwise);
        for Clause { conds, action, .. } in verdict.clauses.iter().rev() {
            let mut holds = self.ret(*action);
            for cond in conds.iter().rev() {
                holds = self.cond(cond, holds, next);
            }
            next = holds;
        }
        next
    }

    /// Goes to `yes` where the condition holds, else to `no`. The half that decides most is looked at first; a 32-bit
    /// ABI has no upper half, which its values and masks do not have either.
    fn cond(&mut self, cond: &Cond, yes: Label, no: Label) -> Label {
        let (low, high) = (arg_offset(cond.index), arg_offset(cond.index) + 4);
        let (value_low, value_high) = (cond.value as u32, (cond.value >> 32) as u32);
        let (mask_low, mask_high) = (cond.mask as u32, (cond.mask >> 32) as u32);
        match cond.op {
            Operator::Equal | Operator::MaskedEqual => {
                let above = self.masked_equal(high, mask_high, value_high, yes, no);
                self.masked_equal(low, mask_low, value_low, above, no)
            }
            Operator::NotEqual => {
                let above = self.masked_equal(high, mask_high, value_high, no, yes);
                self.masked_equal(low, mask_low, value_low, above, yes)
            }
            Operator::GreaterThan => self.greater(JGT_K, cond, yes, no),
            Operator::GreaterOrEqual => self.greater(JGE_K, cond, yes, no),
            Operator::LessOrEqual => self.greater(JGT_K, cond, no, yes),
            Operator::LessThan => self.greater(JGE_K, cond, no, yes),
        }
    }

    /// Compares the halves of an argument, the upper one first, with `code` (greater, or greater or equal).
    fn greater(&mut self, code: u16, cond: &Cond, yes: Label, no: Label) -> Label {
        let low = arg_offset(cond.index);
        let lower = self.test(low, code, cond.value as u32, yes, no);
        if cond.mask >> 32 == 0 {
            return lower;
        }
        let high = (cond.value >> 32) as u32;
        let equal = self.branch(JEQ_K, high, lower, no);
        let greater = self.branch(JGT_K, high, yes, equal);
        self.load(low + 4, greater)
    }

    fn masked_equal(&mut self, offset: u32, mask: u32, value: u32, yes: Label, no: Label) -> Label {
        match (mask, value) {
            (0, _) => yes,
            (u32::MAX, _) => self.test(offset, JEQ_K, value, yes, no),
            (_, 0) => self.test(offset, JSET_K, mask, no, yes),
            (_, _) => {
                let compare = self.branch(JEQ_K, value, yes, no);
                let masked = self.then(AND_K, mask, compare);
                self.load(offset, masked)
            }
        }
    }

    /// Loads a word and compares it; a target that begins with the same load is entered behind that.
    fn test(&mut self, offset: u32, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let (yes, no) = (self.behind_load(offset, yes), self.behind_load(offset, no));
        let compare = self.branch(code, k, yes, no);
        self.load(offset, compare)
    }

    fn behind_load(&self, offset: u32, label: Label) -> Label {
        match self.insn(label) {
            Some(Insn { code: LD_ABS, k, .. }) if k == offset => label - 1,
            _ => label,
        }
    }
}
