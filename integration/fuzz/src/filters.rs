//! Filters as the kernel gives them back: a container may have loaded any program that seccomp(2) takes, and `inspect`
//! says what it answers. Eight bytes are an instruction; one that is all ones begins the next filter.

use casemate::commands::inspect::risk::verdicts;
use seccomp_profiles::disasm::disassemble;
use seccomp_profiles::interpret::Program;
use seccomp_profiles::strictness::wider;
use seccomp_profiles::{Arch, Insn, SeccompData};

/// `BPF_RET | BPF_A`
const RET_A: u16 = 0x16;

pub fn run(data: &[u8]) {
    let words: Vec<u64> = data.chunks_exact(8).map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap())).collect();
    let filters: Vec<Vec<u64>> = words.split(|word| *word == u64::MAX).map(<[u64]>::to_vec).collect();
    if let Ok(verdicts) = verdicts(&filters, 0xa804_25fb) {
        assert!(verdicts.iter().all(|verdict| !verdict.answer.is_empty()));
    }
    let mut programs = Vec::new();
    for filter in &filters {
        let insns: Vec<Insn> = filter.iter().map(|word| instruction(*word)).collect();
        assert!(disassemble(&insns).lines().count() >= insns.len());
        let Ok(program) = Program::new(&insns) else { continue };
        for nr in [0, 59, 435, 0x4000_0001] {
            let call = SeccompData::new(Arch::X86_64, nr, [1, 2, 3, 4, 5, 6]);
            let (action, way) = program.trace(&call);
            assert_eq!(action, program.run(&call));
            assert!(way.windows(2).all(|pair| pair[0] < pair[1]), "a way that goes back: {way:?}");
            let answers = program.answers(call.arch, nr);
            let returns_a = insns.iter().any(|insn| insn.code == RET_A);
            assert!(returns_a || answers.contains(&action), "{action} is no answer that there is");
        }
        programs.push(program);
    }
    if let [first, .., last] = programs.as_slice()
        && let Ok(Some(wider)) = wider(first, last)
    {
        assert_eq!(first.run(&wider.call), wider.before);
        assert_eq!(last.run(&wider.call), wider.after);
    }
}

fn instruction(word: u64) -> Insn {
    let [a, b, jt, jf, c, d, e, f] = word.to_ne_bytes();
    Insn { code: u16::from_ne_bytes([a, b]), jt, jf, k: u32::from_ne_bytes([c, d, e, f]) }
}
