//! What the container's own filter answers, by the interpreter.

use super::super::start::program_of;
use crate::error::{Error, Kind, Result};
use crate::program::Op;
use crate::spec;
use crate::state::{CONFIG, Container};
use seccomp_profiles::interpret::Program;
use seccomp_profiles::{Action, Insn, SeccompData};

/// A filter, ready to be asked.
pub struct Verdict {
    program: Program,
    insns: Vec<Insn>,
}

impl Verdict {
    /// The filter that the container's processes were started under, made again from what was stored at `create`; `None`
    /// where there is none.
    ///
    /// # Errors
    /// A stored configuration that cannot be read.
    pub fn of(container: &Container) -> Result<Option<Verdict>> {
        let config = container.entry.read_file(CONFIG, spec::MAX_BYTES)?;
        let words = program_of(&config, container)?.into_iter().find_map(|op| match op {
            Op::Seccomp { filter, .. } => Some(filter),
            _ => None,
        });
        words.map(|words| Verdict::new(words.into_iter().map(insn).collect())).transpose()
    }

    fn new(insns: Vec<Insn>) -> Result<Verdict> {
        let program = Program::new(&insns).map_err(|invalid| Error::new(Kind::System, invalid.to_string()))?;
        Ok(Verdict { program, insns })
    }

    /// What the filter answers.
    pub fn answer(&self, data: &SeccompData) -> Action {
        self.program.run(data)
    }

    /// Whether the filter answers the call with this errno.
    pub fn denies(&self, data: &SeccompData, errno: u16) -> bool {
        self.answer(data) == Action::Errno(errno)
    }

    /// The errnos that it can answer with.
    pub fn errnos(&self) -> Vec<u16> {
        let returns = self.insns.iter().filter(|insn| insn.code == seccomp_profiles::bpf::RET_K);
        let mut errnos: Vec<u16> = Vec::new();
        for insn in returns {
            if let Action::Errno(errno) = Action::from_ret(insn.k)
                && let Err(place) = errnos.binary_search(&errno)
            {
                errnos.insert(place, errno);
            }
        }
        errnos
    }

    /// The arguments that it looks at.
    pub fn examined(&self) -> [bool; 6] {
        let loads = |index: u8| {
            let offset = seccomp_profiles::bpf::arg_offset(index);
            let load = |insn: &Insn| insn.code == seccomp_profiles::bpf::LD_ABS && insn.k & !4 == offset;
            self.insns.iter().any(load)
        };
        [loads(0), loads(1), loads(2), loads(3), loads(4), loads(5)]
    }
}

/// `struct sock_filter` as it stands in init's program.
fn insn(word: u64) -> Insn {
    let [a, b, jt, jf, c, d, e, f] = word.to_ne_bytes();
    Insn { code: u16::from_ne_bytes([a, b]), jt, jf, k: u32::from_ne_bytes([c, d, e, f]) }
}
