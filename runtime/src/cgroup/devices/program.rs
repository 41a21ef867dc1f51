//! The compiler from device rules to a `BPF_PROG_TYPE_CGROUP_DEVICE` program.
//!
//! The kernel runs the program with a pointer to `struct bpf_cgroup_dev_ctx` in r1: access in the
//! high and type in the low half of the first word, then the major and the minor number. It returns 1
//! to allow, 0 to deny. The rules are tried from the last to the first, so that the later wins; r3
//! holds the kinds of access that no rule has decided yet, and all of them have to be allowed.
//!
//! Numbers are compared with the 32-bit jumps of Linux 5.1: the 64-bit ones extend the sign.

use super::{Access, Kind, Rule};
use crate::sys::bpf::Insn;

/// `BPF_LDX | BPF_MEM | BPF_W`
pub const LOAD_WORD: u8 = 0x61;
/// `BPF_ALU | BPF_MOV | BPF_X`
pub const MOVE: u8 = 0xbc;
/// `BPF_ALU | BPF_MOV | BPF_K`
pub const SET: u8 = 0xb4;
/// `BPF_ALU | BPF_AND | BPF_K`
pub const AND: u8 = 0x54;
/// `BPF_ALU | BPF_RSH | BPF_K`
pub const SHIFT_RIGHT: u8 = 0x74;
/// `BPF_JMP32 | BPF_JNE | BPF_K`
pub const JUMP_NE: u8 = 0x56;
/// `BPF_JMP32 | BPF_JEQ | BPF_K`
pub const JUMP_EQ: u8 = 0x16;
/// `BPF_JMP | BPF_EXIT`
pub const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const UNDECIDED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// `BPF_DEVCG_DEV_BLOCK`
const BLOCK: u32 = 1;
/// `BPF_DEVCG_DEV_CHAR`
const CHAR: u32 = 2;

/// Compiles a list of rules as [`super::effective`] gives it.
#[must_use]
pub fn compile(rules: &[Rule]) -> Vec<Insn> {
    let mut program = vec![
        Insn::new(LOAD_WORD, UNDECIDED, CONTEXT, 0, 0),
        Insn::new(MOVE, TYPE, UNDECIDED, 0, 0),
        Insn::new(AND, TYPE, 0, 0, 0xffff),
        Insn::new(SHIFT_RIGHT, UNDECIDED, 0, 0, 16),
        Insn::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Insn::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(compile_rule(rule));
        if rule.is_everything() {
            // Nothing is left to decide, and the kernel refuses code that cannot be reached.
            return program;
        }
    }
    program.extend(decide(false));
    program
}

fn compile_rule(rule: &Rule) -> Vec<Insn> {
    let kind = match rule.kind {
        Kind::All => None,
        Kind::Char => Some(CHAR),
        Kind::Block => Some(BLOCK),
    };
    let conditions = [(TYPE, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
    let body = compile_body(rule.allow, rule.access);
    let conditions: Vec<(u8, u32)> = conditions.into_iter().filter_map(|(r, v)| Some((r, v?))).collect();
    let mut code = Vec::with_capacity(conditions.len() + body.len());
    for (i, &(register, value)) in conditions.iter().enumerate() {
        // On to the next rule: over the other conditions and the body.
        let skip = conditions.len() - i - 1 + body.len();
        code.push(Insn::new(JUMP_NE, register, 0, short(skip), value));
    }
    code.extend(body);
    code
}

fn compile_body(allow: bool, access: Access) -> Vec<Insn> {
    let bits = u32::from(access.bits());
    let mut code = Vec::with_capacity(5);
    match (allow, access == Access::ALL) {
        (_, true) => {}
        (true, false) => {
            code.push(Insn::new(AND, UNDECIDED, 0, 0, !bits));
            code.push(Insn::new(JUMP_NE, UNDECIDED, 0, 2, 0));
        }
        (false, false) => {
            code.push(Insn::new(MOVE, SCRATCH, UNDECIDED, 0, 0));
            code.push(Insn::new(AND, SCRATCH, 0, 0, bits));
            code.push(Insn::new(JUMP_EQ, SCRATCH, 0, 2, 0));
        }
    }
    code.extend(decide(allow));
    code
}

fn decide(allow: bool) -> [Insn; 2] {
    [Insn::new(SET, RESULT, 0, 0, u32::from(allow)), Insn::new(EXIT, 0, 0, 0, 0)]
}

/// A jump within one rule: at most seven instructions.
fn short(distance: usize) -> i16 {
    i16::try_from(distance).unwrap_or(i16::MAX)
}
