//! A filter as text, one instruction a line, with names where numbers have one.

use crate::bpf::{
    AND_K, ARCH_OFFSET, Action, Insn, JA, JEQ_K, JGE_K, JGT_K, JSET_K, LD_ABS, NR_OFFSET, RET_K, SeccompData,
};
use crate::syscalls::{Arch, Syscall};
use std::fmt::Write;

/// The text of a program. The comment behind a comparison names the architecture or the call meant by its value, as far
/// as the instructions before it tell.
#[must_use]
pub fn disassemble(insns: &[Insn]) -> String {
    let mut text = String::new();
    let mut loaded = None;
    // The ABIs whose part of the program begins at an instruction: where the comparisons of the audit value lead to.
    let mut parts: Vec<(usize, u32)> = Vec::new();
    let mut audit = None;
    for (at, insn) in insns.iter().enumerate() {
        if let Some((_, part)) = parts.iter().find(|(to, _)| *to == at) {
            audit = Some(*part);
        }
        if insn.code == LD_ABS {
            loaded = Some(insn.k);
        }
        if insn.code == JEQ_K && loaded == Some(ARCH_OFFSET) {
            parts.push((destination(insns, at + 1 + usize::from(insn.jt)), insn.k));
        }
        let comment = comment(*insn, loaded, audit);
        let line = format!("{at:4}: {}", operation(at, *insn));
        let written =
            if comment.is_empty() { writeln!(text, "{line}") } else { writeln!(text, "{line:<44}; {comment}") };
        // Writing to a string does not fail.
        debug_assert!(written.is_ok());
    }
    text
}

/// Where a jump to `at` ends up behind unconditional jumps.
fn destination(insns: &[Insn], mut at: usize) -> usize {
    while let Some(Insn { code: JA, k, .. }) = insns.get(at) {
        at = at.saturating_add(1).saturating_add(*k as usize);
    }
    at
}

fn operation(at: usize, insn: Insn) -> String {
    let branch = |test: &str| {
        let (yes, no) = (at + 1 + usize::from(insn.jt), at + 1 + usize::from(insn.jf));
        format!("{test} {:#x}, {yes}, {no}", insn.k)
    };
    match insn.code {
        LD_ABS => format!("ld [{}]", insn.k),
        AND_K => format!("and {:#x}", insn.k),
        JA => format!("ja {}", at.saturating_add(1).saturating_add(insn.k as usize)),
        JEQ_K => branch("jeq"),
        JGT_K => branch("jgt"),
        JGE_K => branch("jge"),
        JSET_K => branch("jset"),
        RET_K => format!("ret {}", Action::from_ret(insn.k)),
        code => format!("code {code:#x} jt {} jf {} k {:#x}", insn.jt, insn.jf, insn.k),
    }
}

fn comment(insn: Insn, loaded: Option<u32>, audit: Option<u32>) -> String {
    match (insn.code, loaded) {
        (LD_ABS, Some(NR_OFFSET)) => "nr".to_owned(),
        (LD_ABS, Some(ARCH_OFFSET)) => "arch".to_owned(),
        (LD_ABS, Some(offset)) if (16..SeccompData::SIZE).contains(&offset) => {
            let half = if offset % 8 == 0 { "low" } else { "high" };
            format!("args[{}], {half} half", (offset - 16) / 8)
        }
        (JEQ_K, Some(ARCH_OFFSET)) => {
            let name = Arch::ALL.into_iter().find(|arch| arch.audit() == insn.k).map_or("", Arch::name);
            name.to_owned()
        }
        (JEQ_K | JGE_K, Some(NR_OFFSET)) => {
            let of_audit = Arch::ALL.into_iter().filter(|arch| Some(arch.audit()) == audit);
            let mut calls = of_audit.filter_map(|arch| Syscall::from_number(arch, insn.k));
            calls.next().map_or_else(String::new, |call| call.name().to_owned())
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use crate::profile::Profile;

    #[test]
    fn numbers_have_names() {
        let profile = Profile::from_json(
            br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO",
                "args":[{"index":1,"value":511,"op":"SCMP_CMP_EQ"}]}]}"#,
        )
        .unwrap();
        let text = disassemble(&compile(&profile, Arch::X86_64).unwrap().insns);
        for part in ["; x86_64", "; mkdir", "; args[1], low half", "; args[1], high half", "ret ERRNO(1)", "ret ALLOW"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
