//! The programs that watch, for Linux on x86_64: pure, from maps' descriptors to instructions.
//!
//! A call that a filter refuses never reaches `sys_enter` (the kernel asks the filters first), yet passes `sys_exit` with
//! the filter's errno. So what is seen at `sys_enter` was allowed, and what is seen at `sys_exit` with an errno of the
//! filter's may have been denied: the filter, run by the interpreter, has the last word. A call that ends in SIGSYS is seen
//! at `signal_generate`.
//!
//! Only threads below the cgroup that have a filter are looked at: a process on its way into the container is below the
//! cgroup early, and has its filter last.
//!
//! The kernel lends what these programs need to programs under its own licence only: the instructions made here, and
//! nothing else of casemate, are offered under MIT or GPL-2.0 too.

use crate::sys::bpf::Insn;

/// The key of a call that was made: number, [`COMPAT`] or 0 (32 bits each), first argument where it counts.
pub const CALL_KEY: usize = 16;
/// The key of a call that was denied: pid, number, [`COMPAT`] or 0, result or [`SIGSYS`] (32 bits each), and those of the
/// six arguments that the filter looks at.
pub const DENIED_KEY: usize = 64;
/// Its value: how often, the six arguments of the first time, the name of the thread.
pub const DENIED_VALUE: usize = 72;
/// TS_COMPAT of the kernel's thread_info: the call came through the 32-bit ABI.
pub const COMPAT: u32 = 2;
/// In place of a result: the thread got SIGSYS.
pub const SIGSYS: u32 = 1 << 31;

/// The maps, by the numbers of their descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Maps {
    /// One cgroup.
    pub cgroup: u32,
    /// Calls made.
    pub calls: u32,
    /// Calls denied, perhaps.
    pub denied: u32,
    /// Two counters: what found no place among the calls made, and among those denied.
    pub lost: u32,
}

// Registers. 1 to 5 are a helper's arguments and lost by the call, 0 is its answer, 6 to 9 stay.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
/// The tracepoint's arguments.
const CONTEXT: u8 = 6;
/// [`COMPAT`] or 0.
const ABI: u8 = 7;
/// The number at `sys_enter`, the result at `sys_exit`.
const ARGUMENT: u8 = 8;
const STACK: u8 = 10;

// Helpers of bpf-helpers(7).
const MAP_LOOKUP: u32 = 1;
const MAP_UPDATE: u32 = 2;
const PID_TGID: u32 = 14;
const COMM: u32 = 16;
const GET_CURRENT_TASK: u32 = 35;
const UNDER_CGROUP: u32 = 37;
const PROBE_READ_KERNEL: u32 = 113;

// Operations, on 64 bits.
const LOAD: u8 = 0x79;
const LOAD_WORD: u8 = 0x61;
const STORE: u8 = 0x7b;
const STORE_WORD: u8 = 0x63;
const SET: u8 = 0x7a;
const SET_WORD: u8 = 0x62;
const MOVE: u8 = 0xbf;
const MOVE_TO: u8 = 0xb7;
const ADD: u8 = 0x07;
const AND: u8 = 0x57;
const RIGHT: u8 = 0x77;
const ATOMIC_ADD: u8 = 0xdb;
const IF_EQUAL: u8 = 0x15;
const IF_NOT: u8 = 0x55;
const GO: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const LOAD_MAP: u8 = 0x18;
/// BPF_PSEUDO_MAP_FD, as the source of [`LOAD_MAP`].
const BY_FD: u8 = 1;

// The stack, below register 10. All of it is written before it is read.
/// 24 bytes: the beginning of thread_info, which is that of task_struct: flags, syscall_work (since Linux 5.11), status.
const THREAD: i16 = -24;
/// 128 bytes: the beginning of pt_regs, up to orig_ax; or of siginfo.
const REGS: i16 = THREAD - 128;
/// [`DENIED_KEY`] or [`CALL_KEY`] bytes.
const KEY: i16 = REGS - 64;
/// [`DENIED_VALUE`] bytes.
const VALUE: i16 = KEY - 72;
/// 4 bytes.
const COUNTER: i16 = VALUE - 4;

// Offsets in pt_regs of x86_64 (asm/ptrace.h), in the order of a call's arguments.
const NATIVE_ARGUMENTS: [i16; 6] = [112, 104, 96, 56, 72, 64];
const COMPAT_ARGUMENTS: [i16; 6] = [40, 88, 96, 104, 112, 32];
const ORIG_AX: i16 = 120;

/// `si_code` of a SIGSYS that a filter sent.
const SYS_SECCOMP: u32 = 1;

/// A place that is jumped to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Out,
    New,
    Argument,
    Store,
    Hit,
    Compat,
    Key,
}

#[derive(Default)]
struct Code {
    insns: Vec<Insn>,
    jumps: Vec<(usize, Label)>,
    places: Vec<(Label, usize)>,
}

impl Code {
    fn add(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: u32) {
        self.insns.push(Insn::new(code, to, from, offset, immediate));
    }

    fn jump(&mut self, code: u8, register: u8, value: u32, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.add(code, register, 0, 0, value);
    }

    fn place(&mut self, label: Label) {
        self.places.push((label, self.insns.len()));
    }

    fn map(&mut self, register: u8, fd: u32) {
        self.add(LOAD_MAP, register, BY_FD, 0, fd);
        self.add(0, 0, 0, 0, 0);
    }

    /// `register` = the address of the stack at `offset`.
    fn stack(&mut self, register: u8, offset: i16) {
        self.add(MOVE, register, STACK, 0, 0);
        self.add(ADD, register, 0, 0, i32::from(offset).cast_unsigned());
    }

    /// Copies `length` bytes of the kernel's memory from register 3.
    fn read(&mut self, to: i16, length: u32) {
        self.stack(R1, to);
        self.add(MOVE_TO, R2, 0, 0, length);
        self.add(CALL, 0, 0, 0, PROBE_READ_KERNEL);
        self.jump(IF_NOT, R0, 0, Label::Out);
    }

    /// Ends the program unless the thread is one of the container's.
    fn of_container(&mut self, maps: &Maps) {
        self.add(MOVE, CONTEXT, R1, 0, 0);
        self.map(R1, maps.cgroup);
        self.add(MOVE_TO, R2, 0, 0, 0);
        self.add(CALL, 0, 0, 0, UNDER_CGROUP);
        self.jump(IF_NOT, R0, 1, Label::Out);
        self.add(CALL, 0, 0, 0, GET_CURRENT_TASK);
        self.add(MOVE, R3, R0, 0, 0);
        self.read(THREAD, 24);
        // SYSCALL_WORK_SECCOMP is bit 0 of syscall_work.
        self.add(LOAD, R1, STACK, THREAD + 8, 0);
        self.add(AND, R1, 0, 0, 1);
        self.jump(IF_EQUAL, R1, 0, Label::Out);
        self.add(LOAD_WORD, ABI, STACK, THREAD + 16, 0);
        self.add(AND, ABI, 0, 0, COMPAT);
    }

    /// Adds one to the first word of the value at [`KEY`], which is made from register 3 and [`VALUE`] where it is not
    /// there; ends the program.
    fn count(&mut self, map: u32, lost: u32, counter: u32) {
        self.map(R1, map);
        self.stack(R2, KEY);
        self.add(CALL, 0, 0, 0, MAP_LOOKUP);
        self.jump(IF_EQUAL, R0, 0, Label::New);
        self.add(MOVE_TO, R1, 0, 0, 1);
        self.add(ATOMIC_ADD, R0, R1, 0, 0);
        self.jump(GO, 0, 0, Label::Out);
        self.place(Label::New);
        self.add(SET, STACK, 0, VALUE, 1);
        self.map(R1, map);
        self.stack(R2, KEY);
        self.stack(R3, VALUE);
        self.add(MOVE_TO, R4, 0, 0, 0);
        self.add(CALL, 0, 0, 0, MAP_UPDATE);
        self.jump(IF_EQUAL, R0, 0, Label::Out);
        self.add(SET_WORD, STACK, 0, COUNTER, counter);
        self.map(R1, lost);
        self.stack(R2, COUNTER);
        self.add(CALL, 0, 0, 0, MAP_LOOKUP);
        self.jump(IF_EQUAL, R0, 0, Label::Out);
        self.add(MOVE_TO, R1, 0, 0, 1);
        self.add(ATOMIC_ADD, R0, R1, 0, 0);
    }

    /// Pid, ABI and name of the thread.
    fn who(&mut self) {
        self.add(CALL, 0, 0, 0, PID_TGID);
        self.add(RIGHT, R0, 0, 0, 32);
        self.add(STORE_WORD, STACK, R0, KEY, 0);
        self.add(STORE_WORD, STACK, ABI, KEY + 8, 0);
        self.stack(R1, VALUE + 56);
        self.add(MOVE_TO, R2, 0, 0, 16);
        self.add(CALL, 0, 0, 0, COMM);
    }

    fn finish(mut self) -> Vec<Insn> {
        self.place(Label::Out);
        self.add(MOVE_TO, R0, 0, 0, 0);
        self.add(EXIT, 0, 0, 0, 0);
        for (at, label) in &self.jumps {
            let place = self.places.iter().find(|(known, _)| known == label).map_or(0, |(_, place)| *place);
            if let Some(insn) = self.insns.get_mut(*at) {
                // Short programs, forward jumps: it fits. One that did not would be refused by the verifier.
                insn.offset = i16::try_from(place.wrapping_sub(at + 1)).unwrap_or(i16::MIN);
            }
        }
        self.insns
    }
}

/// At `sys_enter`: counts the calls that are made. `with_argument` are native numbers whose first argument counts.
pub fn entered(maps: &Maps, with_argument: &[u32]) -> Vec<Insn> {
    let mut code = Code::default();
    code.of_container(maps);
    code.add(LOAD, ARGUMENT, CONTEXT, 8, 0);
    code.add(STORE_WORD, STACK, ARGUMENT, KEY, 0);
    code.add(STORE_WORD, STACK, ABI, KEY + 4, 0);
    code.add(SET, STACK, 0, KEY + 8, 0);
    // The verifier refuses what cannot be reached.
    if !with_argument.is_empty() {
        code.jump(IF_NOT, ABI, 0, Label::Store);
        for number in with_argument {
            code.jump(IF_EQUAL, ARGUMENT, *number, Label::Argument);
        }
        code.jump(GO, 0, 0, Label::Store);
        code.place(Label::Argument);
        code.add(LOAD, R3, CONTEXT, 0, 0);
        code.add(ADD, R3, 0, 0, u32::from(NATIVE_ARGUMENTS[0].cast_unsigned()));
        code.read(KEY + 8, 8);
        code.place(Label::Store);
    }
    code.count(maps.calls, maps.lost, 0);
    code.finish()
}

/// At `sys_exit`: counts the calls that end with one of these errnos, of which there is one at least. `examined`: the arguments that the filter looks at.
pub fn left(maps: &Maps, errnos: &[u16], examined: [bool; 6]) -> Vec<Insn> {
    let mut code = Code::default();
    // First what most calls are not.
    code.add(LOAD, ARGUMENT, R1, 8, 0);
    for errno in errnos {
        code.jump(IF_EQUAL, ARGUMENT, (-i32::from(*errno)).cast_unsigned(), Label::Hit);
    }
    code.jump(GO, 0, 0, Label::Out);
    code.place(Label::Hit);
    code.of_container(maps);
    code.add(LOAD, R3, CONTEXT, 0, 0);
    code.read(REGS, 128);
    code.who();
    code.add(LOAD, R1, STACK, REGS + ORIG_AX, 0);
    code.add(STORE_WORD, STACK, R1, KEY + 4, 0);
    code.add(STORE_WORD, STACK, ARGUMENT, KEY + 12, 0);
    let copy = |code: &mut Code, offsets: [i16; 6], load: u8| {
        for (offset, place) in offsets.into_iter().zip((VALUE + 8..).step_by(8)) {
            code.add(load, R1, STACK, REGS + offset, 0);
            code.add(STORE, STACK, R1, place, 0);
        }
    };
    code.jump(IF_NOT, ABI, 0, Label::Compat);
    copy(&mut code, NATIVE_ARGUMENTS, LOAD);
    code.jump(GO, 0, 0, Label::Key);
    code.place(Label::Compat);
    copy(&mut code, COMPAT_ARGUMENTS, LOAD_WORD);
    code.place(Label::Key);
    for (examined, offset) in examined.into_iter().zip((0i16..).step_by(8)) {
        if examined {
            code.add(LOAD, R1, STACK, VALUE + 8 + offset, 0);
            code.add(STORE, STACK, R1, KEY + 16 + offset, 0);
        } else {
            code.add(SET, STACK, 0, KEY + 16 + offset, 0);
        }
    }
    code.count(maps.denied, maps.lost, 1);
    code.finish()
}

/// At `signal_generate`: counts the calls for which a filter sent SIGSYS.
pub fn signalled(maps: &Maps) -> Vec<Insn> {
    let mut code = Code::default();
    code.add(LOAD, ARGUMENT, R1, 0, 0);
    code.jump(IF_NOT, ARGUMENT, libc::SIGSYS.cast_unsigned(), Label::Out);
    code.of_container(maps);
    code.add(LOAD, R3, CONTEXT, 8, 0);
    // siginfo: signo, errno, code, padding; the address of the call, its number, its audit value.
    code.read(REGS, 32);
    code.add(LOAD_WORD, R1, STACK, REGS + 8, 0);
    code.jump(IF_NOT, R1, SYS_SECCOMP, Label::Out);
    code.who();
    code.add(LOAD_WORD, R1, STACK, REGS + 24, 0);
    code.add(STORE_WORD, STACK, R1, KEY + 4, 0);
    code.add(SET_WORD, STACK, 0, KEY + 12, SIGSYS);
    for offset in (0i16..48).step_by(8) {
        code.add(SET, STACK, 0, KEY + 16 + offset, 0);
        code.add(SET, STACK, 0, VALUE + 8 + offset, 0);
    }
    code.count(maps.denied, maps.lost, 1);
    code.finish()
}
