//! Classic BPF as seccomp(2) uses it: instructions, the data they read, the values they return. Only words, no decisions.

use crate::syscalls::Arch;
use std::fmt;

/// `struct sock_filter` of linux/filter.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Insn {
    /// Class, size or operation, mode or source of the operand.
    pub code: u16,
    /// How many instructions to skip when the condition holds.
    pub jt: u8,
    /// How many instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `BPF_MAXINSNS`: the longest program that the kernel takes.
pub const MAX_INSNS: usize = 4096;

/// `BPF_LD | BPF_W | BPF_ABS`: A = the word of `seccomp_data` at offset k.
pub const LD_ABS: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`: A &= k.
pub const AND_K: u16 = 0x54;
/// `BPF_JMP | BPF_JA`: skip k instructions.
pub const JA: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`
pub const JEQ_K: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`
pub const JGT_K: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`
pub const JGE_K: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`
pub const JSET_K: u16 = 0x45;
/// `BPF_RET | BPF_K`
pub const RET_K: u16 = 0x06;

/// `struct seccomp_data`: what a filter sees of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeccompData {
    /// Number of the call, with bit 30 set for x32.
    pub nr: u32,
    /// `AUDIT_ARCH_*`
    pub arch: u32,
    /// Address of the instruction that made the call.
    pub instruction_pointer: u64,
    /// The six arguments, zero-extended on a 32-bit ABI.
    pub args: [u64; 6],
}

impl SeccompData {
    /// Size of the structure in bytes.
    pub const SIZE: u32 = 64;

    /// A call through `arch`, whose number already holds the x32 bit where there is one.
    #[must_use]
    pub fn new(arch: Arch, nr: u32, args: [u64; 6]) -> SeccompData {
        SeccompData { nr, arch: arch.audit(), instruction_pointer: 0, args }
    }

    /// The 32-bit word at `offset` bytes, as a little-endian kernel lays the structure out; `None` where the kernel would
    /// refuse the load.
    #[must_use]
    pub fn word(&self, offset: u32) -> Option<u32> {
        let half = |value: u64, high: bool| if high { (value >> 32) as u32 } else { value as u32 };
        match offset {
            0 => Some(self.nr),
            4 => Some(self.arch),
            8 | 12 => Some(half(self.instruction_pointer, offset == 12)),
            16..Self::SIZE if offset.is_multiple_of(4) => {
                let arg = self.args.get((offset as usize - 16) / 8)?;
                Some(half(*arg, offset % 8 == 4))
            }
            _ => None,
        }
    }
}

/// Offset of the number in [`SeccompData`].
pub const NR_OFFSET: u32 = 0;
/// Offset of the audit value in [`SeccompData`].
pub const ARCH_OFFSET: u32 = 4;

/// Offset of the low half of argument `index` (0 to 5); the high half follows it.
#[must_use]
pub const fn arg_offset(index: u8) -> u32 {
    16 + 8 * index as u32
}

/// What the kernel does with a call: the value that a filter returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `SECCOMP_RET_KILL_PROCESS`
    KillProcess,
    /// `SECCOMP_RET_KILL_THREAD`
    KillThread,
    /// `SECCOMP_RET_TRAP` with its data (`si_errno`).
    Trap(u16),
    /// `SECCOMP_RET_ERRNO` with the errno, 0 to 4095.
    Errno(u16),
    /// `SECCOMP_RET_USER_NOTIF`
    Notify,
    /// `SECCOMP_RET_TRACE` with its data (`PTRACE_GETEVENTMSG`).
    Trace(u16),
    /// `SECCOMP_RET_LOG`
    Log,
    /// `SECCOMP_RET_ALLOW`
    Allow,
}

impl Action {
    /// The 32-bit value for `BPF_RET`.
    #[must_use]
    pub const fn to_ret(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0,
            Action::Trap(data) => 0x0003_0000 | data as u32,
            Action::Errno(errno) => 0x0005_0000 | errno as u32,
            Action::Notify => 0x7fc0_0000,
            Action::Trace(data) => 0x7ff0_0000 | data as u32,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }

    /// What the kernel makes of a returned value; a value that it does not know kills the process.
    #[must_use]
    pub const fn from_ret(ret: u32) -> Action {
        let data = (ret & 0xffff) as u16;
        match ret & 0xffff_0000 {
            0 => Action::KillThread,
            0x0003_0000 => Action::Trap(data),
            0x0005_0000 => Action::Errno(if data > 4095 { 4095 } else { data }),
            0x7fc0_0000 => Action::Notify,
            0x7ff0_0000 => Action::Trace(data),
            0x7ffc_0000 => Action::Log,
            0x7fff_0000 => Action::Allow,
            _ => Action::KillProcess,
        }
    }

    /// Whether the call certainly is not made: no tracer and no listener can decide otherwise.
    #[must_use]
    pub const fn refuses(self) -> bool {
        match self {
            Action::KillProcess | Action::KillThread | Action::Trap(_) | Action::Errno(_) => true,
            Action::Notify | Action::Trace(_) | Action::Log | Action::Allow => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::KillProcess => f.write_str("KILL_PROCESS"),
            Action::KillThread => f.write_str("KILL_THREAD"),
            Action::Trap(0) => f.write_str("TRAP"),
            Action::Trap(data) => write!(f, "TRAP({data})"),
            Action::Errno(errno) => write!(f, "ERRNO({errno})"),
            Action::Notify => f.write_str("NOTIFY"),
            Action::Trace(data) => write!(f, "TRACE({data})"),
            Action::Log => f.write_str("LOG"),
            Action::Allow => f.write_str("ALLOW"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_survives_the_way_through_its_value() {
        for action in [
            Action::KillProcess,
            Action::KillThread,
            Action::Trap(7),
            Action::Errno(38),
            Action::Notify,
            Action::Trace(0xffff),
            Action::Log,
            Action::Allow,
        ] {
            assert_eq!(Action::from_ret(action.to_ret()), action);
        }
        assert_eq!(Action::from_ret(0x1234_0000), Action::KillProcess);
        assert_eq!(Action::from_ret(0x0005_ffff), Action::Errno(4095));
    }

    #[test]
    fn words_of_the_data_lie_as_in_the_kernel() {
        let data = SeccompData {
            nr: 1,
            arch: 2,
            instruction_pointer: 0x4_0000_0003,
            args: [0x6_0000_0005, 0, 0, 0, 0, 0x8_0000_0007],
        };
        let words: Vec<_> = [0, 4, 8, 12, 16, 20, 56, 60].map(|at| data.word(at).unwrap()).into();
        assert_eq!(words, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(arg_offset(5), 56);
        for refused in [64, 2, 17, 30, 62, u32::MAX] {
            assert_eq!(data.word(refused), None, "{refused}");
        }
    }
}
