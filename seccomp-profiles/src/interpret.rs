//! Runs a filter outside the kernel: what it answers to a call, and what it could answer to any.

use crate::bpf::{Action, Insn, LD_ABS, MAX_INSNS, NR_OFFSET, RET_K, SeccompData};
use crate::compile::Filter;
use crate::syscalls::{Arch, Syscall};
use std::{error, fmt};

/// Why the kernel would not take a program (`seccomp_check_filter`, `bpf_check_classic`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// No instruction, or more than [`MAX_INSNS`].
    Length(usize),
    /// An instruction that seccomp(2) does not allow or that this interpreter does not know, at this place.
    Instruction(usize),
    /// A jump beyond the end, at this place.
    Jump(usize),
    /// A load outside `seccomp_data` or across its words, at this place.
    Load(usize),
    /// The last instruction is no return.
    End,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Length(length) => write!(f, "a filter of {length} instructions, 1 to {MAX_INSNS} are valid"),
            Invalid::Instruction(at) => write!(f, "instruction {at} is not allowed in a seccomp filter"),
            Invalid::Jump(at) => write!(f, "instruction {at} jumps beyond the end of the filter"),
            Invalid::Load(at) => write!(f, "instruction {at} loads from outside of the call's data"),
            Invalid::End => f.write_str("the filter does not end with a return"),
        }
    }
}

impl error::Error for Invalid {}

/// An instruction that is known to be valid where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Load(u32),
    And(u32),
    Jump(usize),
    Branch(Test, u32, usize, usize),
    Return(u32),
    ReturnA,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnySet,
}

impl Test {
    pub(crate) fn holds(self, a: u32, k: u32) -> bool {
        match self {
            Test::Equal => a == k,
            Test::Greater => a > k,
            Test::GreaterOrEqual => a >= k,
            Test::AnySet => a & k != 0,
        }
    }
}

/// A program that the kernel would take, of those instructions that compilers of seccomp filters use: no scratch memory,
/// no arithmetic but AND.
#[derive(Clone, Debug)]
pub struct Program {
    steps: Vec<Step>,
}

impl Program {
    /// Checks a program as seccomp(2) does.
    ///
    /// # Errors
    /// The first instruction that is not valid.
    pub fn new(insns: &[Insn]) -> Result<Program, Invalid> {
        if insns.is_empty() || insns.len() > MAX_INSNS {
            return Err(Invalid::Length(insns.len()));
        }
        let steps: Vec<Step> =
            insns.iter().enumerate().map(|(at, insn)| step(at, *insn, insns.len())).collect::<Result<_, _>>()?;
        match steps.last() {
            Some(Step::Return(_) | Step::ReturnA) => Ok(Program { steps }),
            Some(Step::Load(_) | Step::And(_) | Step::Jump(_) | Step::Branch(..)) | None => Err(Invalid::End),
        }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What the program answers to a call, and the places of the instructions on the way.
    #[must_use]
    pub fn trace(&self, data: &SeccompData) -> (Action, Vec<usize>) {
        let mut way = Vec::new();
        let action = self.walk(data, |at| way.push(at));
        (action, way)
    }

    /// What the program answers to a call.
    #[must_use]
    pub fn run(&self, data: &SeccompData) -> Action {
        self.walk(data, |_| ())
    }

    fn walk(&self, data: &SeccompData, mut visit: impl FnMut(usize)) -> Action {
        let (mut at, mut a) = (0, 0);
        // Jumps only go forward and a return ends the program, so that the loop is over before the program is; a way out
        // of it would be a mistake here, and then the strictest answer is right.
        while let Some(step) = self.steps.get(at) {
            visit(at);
            at += 1;
            match *step {
                Step::Load(offset) => a = data.word(offset).unwrap_or(0),
                Step::And(k) => a &= k,
                Step::Jump(to) => at = to,
                Step::Branch(test, k, yes, no) => at = if test.holds(a, k) { yes } else { no },
                Step::Return(value) => return Action::from_ret(value),
                Step::ReturnA => return Action::from_ret(a),
            }
        }
        Action::KillProcess
    }

    /// Every answer that some arguments get for this number; one that only contradictory arguments would get may be
    /// among them, none is missing. A program that returns a word of the call (`BPF_RET | BPF_A`) can answer anything:
    /// for that, ALLOW is among them.
    #[must_use]
    pub fn answers(&self, audit: u32, nr: u32) -> Vec<Action> {
        let call = SeccompData { nr, arch: audit, instruction_pointer: 0, args: [0; 6] };
        let mut answers = Vec::new();
        let mut answer = |one: Action| {
            if let Err(place) = answers.binary_search(&one) {
                answers.insert(place, one);
            }
        };
        // A is known as long as it holds the number or the audit value. One look at each place in each state suffices.
        let mut seen = vec![false; self.steps.len()];
        let mut pending = vec![(0_usize, Some(0_u32))];
        while let Some((at, a)) = pending.pop() {
            let Some(step) = self.steps.get(at) else { continue };
            if a.is_none() {
                match seen.get_mut(at) {
                    Some(visited) if !*visited => *visited = true,
                    Some(_) | None => continue,
                }
            }
            match *step {
                Step::Load(offset) => {
                    let known = if offset <= NR_OFFSET + 4 { call.word(offset) } else { None };
                    pending.push((at + 1, known));
                }
                Step::And(k) => pending.push((at + 1, a.map(|a| a & k))),
                Step::Jump(to) => pending.push((to, a)),
                Step::Branch(test, k, yes, no) => match a {
                    Some(a) => pending.push((if test.holds(a, k) { yes } else { no }, Some(a))),
                    None => pending.extend([(yes, None), (no, None)]),
                },
                Step::Return(value) => answer(Action::from_ret(value)),
                Step::ReturnA => answer(a.map_or(Action::Allow, Action::from_ret)),
            }
        }
        answers
    }
}

fn step(at: usize, insn: Insn, length: usize) -> Result<Step, Invalid> {
    let target = |skip: usize| match at.checked_add(1).and_then(|next| next.checked_add(skip)) {
        Some(to) if to < length => Ok(to),
        Some(_) | None => Err(Invalid::Jump(at)),
    };
    let branch = |test| Ok(Step::Branch(test, insn.k, target(insn.jt.into())?, target(insn.jf.into())?));
    match insn.code {
        LD_ABS if insn.k < SeccompData::SIZE && insn.k.is_multiple_of(4) => Ok(Step::Load(insn.k)),
        LD_ABS => Err(Invalid::Load(at)),
        crate::bpf::AND_K => Ok(Step::And(insn.k)),
        crate::bpf::JA => Ok(Step::Jump(target(insn.k as usize)?)),
        crate::bpf::JEQ_K => branch(Test::Equal),
        crate::bpf::JGT_K => branch(Test::Greater),
        crate::bpf::JGE_K => branch(Test::GreaterOrEqual),
        crate::bpf::JSET_K => branch(Test::AnySet),
        RET_K => Ok(Step::Return(insn.k)),
        // BPF_RET | BPF_A
        0x16 => Ok(Step::ReturnA),
        _ => Err(Invalid::Instruction(at)),
    }
}

impl Filter {
    /// What the filter answers to a call. A filter that the kernel would not take kills: nothing runs under it.
    #[must_use]
    pub fn verdict(&self, data: &SeccompData) -> Action {
        Program::new(&self.insns).map_or(Action::KillProcess, |program| program.run(data))
    }
}

/// Whether the filter refuses execve(2) of this ABI whatever its arguments: then no program can be started under it, and
/// a runtime says so before it creates anything.
#[must_use]
pub fn denies_execve(filter: &Filter, arch: Arch) -> bool {
    let Some(number) = Syscall::from_name("execve").and_then(|call| call.number(arch)) else { return true };
    let Ok(program) = Program::new(&filter.insns) else { return true };
    program.answers(arch.audit(), number).into_iter().all(Action::refuses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{JA, JEQ_K, JSET_K};
    use crate::compile::compile;
    use crate::profile::Profile;

    const fn insn(code: u16, jt: u8, jf: u8, k: u32) -> Insn {
        Insn { code, jt, jf, k }
    }

    fn filter(rules: &str) -> Filter {
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{rules}]}}"#);
        compile(&Profile::from_json(json.as_bytes()).unwrap(), Arch::X86_64).unwrap()
    }

    #[test]
    fn programs_that_the_kernel_refuses_are_refused() {
        let error = |insns: &[Insn]| Program::new(insns).unwrap_err();
        assert_eq!(error(&[]), Invalid::Length(0));
        assert_eq!(error(&vec![insn(RET_K, 0, 0, 0); 4097]), Invalid::Length(4097));
        assert_eq!(error(&[insn(LD_ABS, 0, 0, 0)]), Invalid::End);
        assert_eq!(error(&[insn(LD_ABS, 0, 0, 64), insn(RET_K, 0, 0, 0)]), Invalid::Load(0));
        assert_eq!(error(&[insn(LD_ABS, 0, 0, 2), insn(RET_K, 0, 0, 0)]), Invalid::Load(0));
        assert_eq!(error(&[insn(JEQ_K, 1, 0, 0), insn(RET_K, 0, 0, 0)]), Invalid::Jump(0));
        assert_eq!(error(&[insn(JA, 0, 0, u32::MAX), insn(RET_K, 0, 0, 0)]), Invalid::Jump(0));
        // BPF_LD | BPF_H | BPF_ABS
        assert_eq!(error(&[insn(0x28, 0, 0, 0), insn(RET_K, 0, 0, 0)]), Invalid::Instruction(0));
    }

    #[test]
    fn the_way_through_a_program_is_told() {
        let program = Program::new(&[
            insn(LD_ABS, 0, 0, 16),
            insn(JSET_K, 0, 1, 4),
            insn(RET_K, 0, 0, 0x7fff_0000),
            insn(RET_K, 0, 0, 0x0005_0001),
        ])
        .unwrap();
        let (action, way) = program.trace(&SeccompData::new(Arch::X86_64, 0, [3, 0, 0, 0, 0, 0]));
        assert_eq!((action, way), (Action::Errno(1), vec![0, 1, 3]));
        assert_eq!(program.answers(0, 0), [Action::Errno(1), Action::Allow]);
    }

    #[test]
    fn execve_is_denied_only_when_no_argument_helps() {
        let denies = |rules: &str| denies_execve(&filter(rules), Arch::X86_64);
        assert!(denies(""));
        assert!(denies(r#"{"names":["execveat","read"],"action":"SCMP_ACT_ALLOW"}"#));
        assert!(denies(r#"{"names":["execve"],"action":"SCMP_ACT_KILL_PROCESS"}"#));
        assert!(!denies(r#"{"names":["execve"],"action":"SCMP_ACT_ALLOW"}"#));
        assert!(!denies(r#"{"names":["execve"],"action":"SCMP_ACT_LOG"}"#));
        assert!(!denies(r#"{"names":["execve"],"action":"SCMP_ACT_TRACE"}"#));
        let conditional =
            r#"{"names":["execve"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":7,"op":"SCMP_CMP_EQ"}]}"#;
        assert!(!denies(conditional));
        assert!(denies_execve(&filter(r#"{"names":["execve"],"action":"SCMP_ACT_ALLOW"}"#), Arch::X86));
    }
}
