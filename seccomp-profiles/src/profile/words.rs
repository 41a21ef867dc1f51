//! The closed vocabularies of a profile: actions, operators, architectures, flags.

use crate::syscalls::Arch;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Declares an enum whose values are words of the specification, with reading and writing of the words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $noun:literal: $($(#[$word_doc:meta])* $variant:ident = $word:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$word_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the specification.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word of the specification.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }

            /// The value of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<$name> {
                match word {
                    $($word => Some($name::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct Word;
                impl de::Visitor<'_> for Word {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "a seccomp {}", $noun)
                    }

                    fn visit_str<E: de::Error>(self, word: &str) -> Result<$name, E> {
                        $name::from_word(word).ok_or_else(|| E::custom(format_args!("unknown {} \"{word}\"", $noun)))
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }
    };
}

words! {
    /// What a filter does with a call, strictest first; seccomp(2), seccomp_rule_add(3).
    Action, "action":
    /// The old name of [`Action::KillThread`].
    Kill = "SCMP_ACT_KILL",
    /// Kills the process with SIGSYS.
    KillProcess = "SCMP_ACT_KILL_PROCESS",
    /// Kills the calling thread with SIGSYS.
    KillThread = "SCMP_ACT_KILL_THREAD",
    /// Sends SIGSYS to the thread, which may handle it.
    Trap = "SCMP_ACT_TRAP",
    /// Returns an errno; the call is not made.
    Errno = "SCMP_ACT_ERRNO",
    /// Hands the call to a listener in user space, seccomp_unotify(2).
    Notify = "SCMP_ACT_NOTIFY",
    /// Hands the call to a ptrace(2) tracer; without one it returns ENOSYS.
    Trace = "SCMP_ACT_TRACE",
    /// Makes the call and logs it.
    Log = "SCMP_ACT_LOG",
    /// Makes the call.
    Allow = "SCMP_ACT_ALLOW",
}

words! {
    /// How an argument is compared with the value of a rule; all comparisons are unsigned.
    Operator, "operator":
    /// `!=`
    NotEqual = "SCMP_CMP_NE",
    /// `<`
    LessThan = "SCMP_CMP_LT",
    /// `<=`
    LessOrEqual = "SCMP_CMP_LE",
    /// `==`
    Equal = "SCMP_CMP_EQ",
    /// `>=`
    GreaterOrEqual = "SCMP_CMP_GE",
    /// `>`
    GreaterThan = "SCMP_CMP_GT",
    /// `argument & value == valueTwo & value`
    MaskedEqual = "SCMP_CMP_MASKED_EQ",
}

words! {
    /// The architectures of the specification, and libseccomp's word for the native one.
    Architecture, "architecture":
    /// Whatever the filter is compiled for.
    Native = "SCMP_ARCH_NATIVE",
    /// 32-bit x86.
    X86 = "SCMP_ARCH_X86",
    /// 64-bit x86.
    X86_64 = "SCMP_ARCH_X86_64",
    /// x32.
    X32 = "SCMP_ARCH_X32",
    /// 32-bit ARM.
    Arm = "SCMP_ARCH_ARM",
    /// 64-bit ARM.
    Aarch64 = "SCMP_ARCH_AARCH64",
    /// MIPS O32, big-endian.
    Mips = "SCMP_ARCH_MIPS",
    /// MIPS N64, big-endian.
    Mips64 = "SCMP_ARCH_MIPS64",
    /// MIPS N32, big-endian.
    Mips64N32 = "SCMP_ARCH_MIPS64N32",
    /// MIPS O32, little-endian.
    Mipsel = "SCMP_ARCH_MIPSEL",
    /// MIPS N64, little-endian.
    Mipsel64 = "SCMP_ARCH_MIPSEL64",
    /// MIPS N32, little-endian.
    Mipsel64N32 = "SCMP_ARCH_MIPSEL64N32",
    /// 32-bit PowerPC.
    Ppc = "SCMP_ARCH_PPC",
    /// 64-bit PowerPC, big-endian.
    Ppc64 = "SCMP_ARCH_PPC64",
    /// 64-bit PowerPC, little-endian.
    Ppc64le = "SCMP_ARCH_PPC64LE",
    /// 31-bit s390.
    S390 = "SCMP_ARCH_S390",
    /// 64-bit s390.
    S390x = "SCMP_ARCH_S390X",
    /// 32-bit PA-RISC.
    Parisc = "SCMP_ARCH_PARISC",
    /// 64-bit PA-RISC.
    Parisc64 = "SCMP_ARCH_PARISC64",
    /// 64-bit RISC-V.
    Riscv64 = "SCMP_ARCH_RISCV64",
    /// 64-bit LoongArch.
    Loongarch64 = "SCMP_ARCH_LOONGARCH64",
    /// Motorola 68000.
    M68k = "SCMP_ARCH_M68K",
    /// SuperH, little-endian.
    Sh = "SCMP_ARCH_SH",
    /// SuperH, big-endian.
    Sheb = "SCMP_ARCH_SHEB",
}

words! {
    /// Flags of seccomp(2) that a profile may ask for.
    Flag, "flag":
    /// Apply the filter to all threads. A runtime loads it in a process of one thread, so that nothing is left to do.
    Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
    /// Log every action but ALLOW.
    Log = "SECCOMP_FILTER_FLAG_LOG",
    /// Do not turn on the mitigation of speculative store bypass.
    SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    /// A call that a listener has received is only interrupted by fatal signals.
    WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
}

impl Architecture {
    /// The ABI with a table of system calls behind this word; `None` where there is no such table.
    #[must_use]
    pub const fn arch(self, native: Arch) -> Option<Arch> {
        match self {
            Architecture::Native => Some(native),
            Architecture::X86 => Some(Arch::X86),
            Architecture::X86_64 => Some(Arch::X86_64),
            Architecture::X32 => Some(Arch::X32),
            Architecture::Arm => Some(Arch::Arm),
            Architecture::Aarch64 => Some(Arch::Aarch64),
            Architecture::Mips
            | Architecture::Mips64
            | Architecture::Mips64N32
            | Architecture::Mipsel
            | Architecture::Mipsel64
            | Architecture::Mipsel64N32
            | Architecture::Ppc
            | Architecture::Ppc64
            | Architecture::Ppc64le
            | Architecture::S390
            | Architecture::S390x
            | Architecture::Parisc
            | Architecture::Parisc64
            | Architecture::Riscv64
            | Architecture::Loongarch64
            | Architecture::M68k
            | Architecture::Sh
            | Architecture::Sheb => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        assert_eq!((Action::ALL.len(), Operator::ALL.len()), (9, 7));
        assert_eq!((Architecture::ALL.len(), Flag::ALL.len()), (24, 4));
        assert!(Action::ALL.iter().all(|action| Action::from_word(action.word()) == Some(*action)));
        assert!(Operator::ALL.iter().all(|operator| Operator::from_word(operator.word()) == Some(*operator)));
        assert!(Architecture::ALL.iter().all(|arch| Architecture::from_word(arch.word()) == Some(*arch)));
        assert!(Flag::ALL.iter().all(|flag| Flag::from_word(flag.word()) == Some(*flag)));
    }
}
