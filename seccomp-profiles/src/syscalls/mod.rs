//! The system calls of Linux 6.18 by name and number, for each ABI that the compiler knows.
//!
//! Everything that differs between architectures is data here: the audit value that the kernel puts in `seccomp_data`,
//! the width of an argument, the bit that marks x32, where ARM's private numbers begin, which x86 calls multiplex others.
//! No other room names an architecture.

mod table;

use std::fmt;
use table::{COUNT, SYSCALLS};

/// One line of the table: a name and its number in each ABI, -1 where there is none.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) numbers: [i32; Arch::COUNT],
}

/// An ABI that the compiler has a table of system calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86, which a 64-bit kernel serves through `int 0x80` and `sysenter`.
    X86,
    /// 32-bit pointers in 64-bit mode; shares the audit value of x86_64 and sets bit 30 of the number.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM, EABI.
    Arm,
}

/// Width of the arguments that a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Only the low 32 bits: the upper half is not part of the argument.
    Low32,
    /// All 64 bits.
    Full64,
}

/// The bit that the kernel's x32 ABI sets in the number (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 1 << 30;

impl Arch {
    /// How many ABIs there are.
    pub const COUNT: usize = 5;

    /// All of them, in the order of the table's columns.
    pub const ALL: [Arch; Arch::COUNT] = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm];

    /// The ABI this program is built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Arch = Arch::X86_64;
    /// The ABI this program is built for.
    #[cfg(target_arch = "x86")]
    pub const NATIVE: Arch = Arch::X86;
    /// The ABI this program is built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Arch = Arch::Aarch64;
    /// The ABI this program is built for.
    #[cfg(target_arch = "arm")]
    pub const NATIVE: Arch = Arch::Arm;

    /// `AUDIT_ARCH_*` of linux/audit.h: what `seccomp_data.arch` holds for a call through this ABI.
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Arch::X86_64 | Arch::X32 => 0xc000_003e,
            Arch::X86 => 0x4000_0003,
            Arch::Aarch64 => 0xc000_00b7,
            Arch::Arm => 0x4000_0028,
        }
    }

    /// How much of an argument counts. x32 passes arguments in 64-bit registers, yet its callers only promise the low
    /// half; libseccomp compares 32 bits there too.
    #[must_use]
    pub const fn width(self) -> Width {
        match self {
            Arch::X86_64 | Arch::Aarch64 => Width::Full64,
            Arch::X86 | Arch::X32 | Arch::Arm => Width::Low32,
        }
    }

    /// What is set in every number of this ABI: bit 30 for x32, nothing elsewhere.
    #[must_use]
    pub const fn number_bits(self) -> u32 {
        match self {
            Arch::X32 => X32_BIT,
            Arch::X86_64 | Arch::X86 | Arch::Aarch64 | Arch::Arm => 0,
        }
    }

    /// First of a range of numbers apart from the ordinary ones (`__ARM_NR_BASE`); such a number says nothing about how
    /// new the kernel is that a profile was written for.
    #[must_use]
    pub const fn private_base(self) -> Option<u32> {
        match self {
            Arch::Arm => Some(0xf_0000),
            Arch::X86_64 | Arch::X86 | Arch::X32 | Arch::Aarch64 => None,
        }
    }

    /// The name in lower case, as `uname -m` or the kernel's ABI tables have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::X86 => "x86",
            Arch::X32 => "x32",
            Arch::Aarch64 => "aarch64",
            Arch::Arm => "arm",
        }
    }

    /// The ABI with this [`Arch::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    const fn column(self) -> usize {
        match self {
            Arch::X86_64 => 0,
            Arch::X86 => 1,
            Arch::X32 => 2,
            Arch::Aarch64 => 3,
            Arch::Arm => 4,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A system call known by name in at least one ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall(usize);

impl Syscall {
    /// The call of this name. The pseudo names of libseccomp that differ from the kernel's are not known.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Syscall> {
        let mut slot = hash(name.as_bytes()) as usize % SLOTS;
        loop {
            // The table of slots is never full, so that an empty one ends every search.
            let line = usize::from(*INDEX.get(slot)?).checked_sub(1)?;
            if SYSCALLS.get(line)?.name == name {
                return Some(Syscall(line));
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The call that the kernel finds at `number` (with the x32 bit for x32).
    #[must_use]
    pub fn from_number(arch: Arch, number: u32) -> Option<Syscall> {
        Syscall::all().find(|call| call.number(arch) == Some(number))
    }

    /// Every call in the table, by name.
    pub fn all() -> impl Iterator<Item = Syscall> {
        (0..COUNT).map(Syscall)
    }

    /// The name that the kernel gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        SYSCALLS.get(self.0).map_or("", |entry| entry.name)
    }

    /// The number as `seccomp_data.nr` has it: for x32 with bit 30 set.
    #[must_use]
    pub fn number(self, arch: Arch) -> Option<u32> {
        let number = *SYSCALLS.get(self.0)?.numbers.get(arch.column())?;
        u32::try_from(number).ok().map(|number| number | arch.number_bits())
    }

    /// The call that serves this one too, and the value of its first argument that selects it: on x86 the calls of
    /// sockets and of System V IPC go through `socketcall` (102) and `ipc` (117), see socketcall(2), ipc(2).
    #[must_use]
    pub fn multiplexed(self, arch: Arch) -> Option<(u32, u32)> {
        if arch != Arch::X86 {
            return None;
        }
        match *SELECTORS.get(self.0)? {
            0 => None,
            id if id & OF_IPC != 0 => Some((117, u32::from(id & !OF_IPC))),
            id => Some((102, u32::from(id))),
        }
    }
}

/// `SYS_*` of linux/net.h.
const SOCKETCALL: [(&str, u8); 20] = [
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];

/// `SEMOP` and the others of linux/ipc.h.
const IPC: [(&str, u8); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// A power of two over twice the number of names: a search takes one or two comparisons.
const SLOTS: usize = 2048;

/// Open addressing by [`hash`], built at compile time: 0 for an empty slot, else one more than the index of the name.
static INDEX: [u16; SLOTS] = index();

const fn hash(name: &[u8]) -> u32 {
    // FNV-1a, 32 bits.
    let mut hash = 0x811c_9dc5_u32;
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    hash ^ (hash >> 15)
}

const fn index() -> [u16; SLOTS] {
    let mut slots = [0_u16; SLOTS];
    let mut line = 0;
    while line < COUNT {
        let mut slot = hash(SYSCALLS[line].name.as_bytes()) as usize % SLOTS;
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        line += 1;
        slots[slot] = line as u16;
    }
    slots
}

/// Marks a selector of `ipc`; the others are of `socketcall`.
const OF_IPC: u8 = 0x80;

/// For each line of the table the selector of its call, 0 for a call that is not multiplexed; built at compile time.
static SELECTORS: [u8; COUNT] = selectors();

const fn selectors() -> [u8; COUNT] {
    let mut selectors = [0_u8; COUNT];
    let mut line = 0;
    while line < COUNT {
        let name = SYSCALLS[line].name.as_bytes();
        selectors[line] = match (selector(&SOCKETCALL, name), selector(&IPC, name)) {
            (0, 0) => 0,
            (0, id) => OF_IPC | id,
            (id, _) => id,
        };
        line += 1;
    }
    selectors
}

const fn selector(calls: &[(&str, u8)], name: &[u8]) -> u8 {
    let mut at = 0;
    while at < calls.len() {
        if equal(calls[at].0.as_bytes(), name) {
            return calls[at].1;
        }
        at += 1;
    }
    0
}

const fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again() {
        for call in Syscall::all() {
            assert_eq!(Syscall::from_name(call.name()).unwrap().name(), call.name());
        }
        for unknown in ["", "opne", "openat3", "socket ", "OPEN"] {
            assert!(Syscall::from_name(unknown).is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(SYSCALLS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn a_number_has_one_name_but_for_aliases() {
        for arch in Arch::ALL {
            let mut numbers: Vec<_> = Syscall::all().filter_map(|call| call.number(arch)).collect();
            numbers.sort_unstable();
            let before = numbers.len();
            numbers.dedup();
            let aliases = if arch == Arch::Arm { 1 } else { 0 };
            assert_eq!(before - numbers.len(), aliases, "{arch}");
        }
    }

    #[test]
    fn x32_has_its_own_numbers() {
        let number = |name: &str| Syscall::from_name(name).unwrap().number(Arch::X32);
        assert_eq!(number("read"), Some(X32_BIT));
        assert_eq!(number("execve"), Some(X32_BIT + 520));
        assert_eq!(number("pwritev2"), Some(X32_BIT + 547));
        assert_eq!(number("mseal"), Some(X32_BIT + 462));
        assert_eq!(number("uretprobe"), None);
    }

    #[test]
    fn multiplexed_calls_exist_only_on_x86() {
        let call = Syscall::from_name("accept4").unwrap();
        assert_eq!(call.multiplexed(Arch::X86), Some((102, 18)));
        assert_eq!(call.multiplexed(Arch::X86_64), None);
        assert_eq!(Syscall::from_name("shmctl").unwrap().multiplexed(Arch::X86), Some((117, 24)));
        assert_eq!(Syscall::from_name("read").unwrap().multiplexed(Arch::X86), None);
        for (name, _) in SOCKETCALL.iter().chain(&IPC) {
            assert!(Syscall::from_name(name).is_some(), "{name}");
        }
    }
}
