//! Watching a container's calls from outside: programs in the kernel count them, this process reads the counts.
//!
//! Nothing of the container is stopped, changed or asked, and all of it is gone when this process is.

use super::denied::{Call, Denied, Outcome};
use super::program::{self, CALL_KEY, COMPAT, DENIED_KEY, DENIED_VALUE, Maps, SIGSYS};
use super::verdict::Verdict;
use crate::cgroup::{self, Version};
use crate::error::{Call as _, Error, Kind, Result};
use crate::sys::tracing::{Map, MapKind, attach};
use rustix::fs::{Mode, OFlags};
use seccomp_profiles::record::{FIRST_ARGUMENT, Recording};
use seccomp_profiles::syscalls::X32_BIT;
use seccomp_profiles::{Arch, SeccompData, Syscall};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// How many different calls (number, and first argument where it counts) find a place.
const CALLS: u32 = 4096;
/// How many different denials (process, call, arguments that the filter looks at) find a place.
const DENIALS: u32 = 8192;

/// What is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Calls that are denied.
    Denied,
    /// The calls that are made, too; with their first arguments where these count.
    Made {
        /// `--arguments`.
        arguments: bool,
    },
}

/// Programs at work.
pub struct Watch {
    calls: Map<CALL_KEY, 8>,
    denied: Map<DENIED_KEY, DENIED_VALUE>,
    lost: Map<4, 8>,
    arguments: Vec<u32>,
    _links: Vec<OwnedFd>,
}

impl Watch {
    /// Begins to watch the processes in the container's cgroup and below.
    ///
    /// # Errors
    /// A kernel that cannot do it, a caller who may not, a container without a cgroup in the unified hierarchy.
    pub fn begin(cgroups: &[cgroup::Record], verdict: Option<&Verdict>, what: What) -> Result<Watch> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Error::new(Kind::Unsupported, "calls can be watched on x86_64 only"));
        }
        let unified = cgroups.iter().find(|record| record.version == Version::V2).ok_or_else(|| {
            Error::new(Kind::Unsupported, "the container has no cgroup in the unified hierarchy (cgroup v2)")
        })?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = unified.directory();
        let cgroup = rustix::fs::open(&directory, flags, Mode::empty()).call("open", &directory)?;
        let hint = "it takes CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, and a kernel with CONFIG_BPF_EVENTS";
        let of_map = |errno| Error::call("bpf", "map", errno).hint(hint);
        let cgroups: Map<4, 4> = Map::new(MapKind::Cgroups, 1).map_err(of_map)?;
        cgroups.set(&[0; 4], &cgroup.as_raw_fd().to_ne_bytes()).map_err(of_map)?;
        let calls: Map<CALL_KEY, 8> = Map::new(MapKind::Hash, CALLS).map_err(of_map)?;
        let denied: Map<DENIED_KEY, DENIED_VALUE> = Map::new(MapKind::Hash, DENIALS).map_err(of_map)?;
        let lost: Map<4, 8> = Map::new(MapKind::Array, 2).map_err(of_map)?;
        let number = |fd: std::os::fd::BorrowedFd<'_>| fd.as_raw_fd().cast_unsigned();
        let maps = Maps {
            cgroup: number(cgroups.as_fd()),
            calls: number(calls.as_fd()),
            denied: number(denied.as_fd()),
            lost: number(lost.as_fd()),
        };
        let mut links = Vec::new();
        let mut run = |tracepoint: &std::ffi::CStr, program: &[crate::sys::bpf::Insn]| {
            let at = tracepoint.to_string_lossy();
            attach(tracepoint, program)
                .map(|link| links.push(link))
                .map_err(|errno| Error::call("bpf", format!("program at {at}"), errno).hint(hint))
        };
        let mut arguments = Vec::new();
        if let What::Made { arguments: wanted } = what {
            if wanted {
                let number = |name: &str| Syscall::from_name(name)?.number(Arch::X86_64);
                arguments = FIRST_ARGUMENT.into_iter().filter_map(number).collect();
            }
            run(c"sys_enter", &program::entered(&maps, &arguments))?;
        }
        if let Some(verdict) = verdict {
            let errnos = verdict.errnos();
            if !errnos.is_empty() {
                run(c"sys_exit", &program::left(&maps, &errnos, verdict.examined()))?;
            }
            run(c"signal_generate", &program::signalled(&maps))?;
        }
        Ok(Watch { calls, denied, lost, arguments, _links: links })
    }

    /// The calls that were made so far.
    ///
    /// # Errors
    /// A failed call.
    pub fn made(&self) -> Result<Recording> {
        let mut recording = Recording::default();
        for (key, _) in self.calls.elements().call("bpf", "map of calls")? {
            let [number, compat] = [word(&key, 0), word(&key, 4)];
            let counts = compat == 0 && self.arguments.contains(&number);
            recording.see(arch(number, compat), number, counts.then(|| long(&key, 8)));
        }
        Ok(recording)
    }

    /// The calls that were denied, and whether they are forgotten now: they are when they take half of the places or
    /// more, for processes come and go, and each needs places.
    ///
    /// # Errors
    /// A failed call.
    pub fn denied(&self, verdict: &Verdict) -> Result<(Vec<Denied>, bool)> {
        let mut all = Vec::new();
        let elements = self.denied.elements().call("bpf", "map of denied calls")?;
        let forget = elements.len() >= DENIALS as usize / 2;
        for (key, value) in elements {
            if forget {
                self.denied.remove(&key).call("bpf", "map of denied calls")?;
            }
            let (number, compat, result) = (word(&key, 4), word(&key, 8), word(&key, 12));
            let arch = arch(number, compat);
            let arguments = std::array::from_fn(|i| long(&value, 8 + 8 * i));
            let outcome = if result == SIGSYS {
                Outcome::Signal
            } else {
                let data = SeccompData::new(arch, number, arguments);
                let errno = u16::try_from(result.cast_signed().wrapping_neg()).ok();
                match errno.filter(|errno| verdict.denies(&data, *errno)) {
                    Some(errno) => Outcome::Errno(errno),
                    // The call itself failed so.
                    None => continue,
                }
            };
            let name = value.get(56..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
            all.push(Denied {
                call: Call { arch, number, arguments },
                pid: word(&key, 0),
                comm: String::from_utf8_lossy(name).into_owned(),
                outcome,
                count: long(&value, 0),
            });
        }
        Ok((all, forget))
    }

    /// How many calls found no place: of those made, and of those denied.
    ///
    /// # Errors
    /// A failed call.
    pub fn lost(&self) -> Result<[u64; 2]> {
        let counter = |which: u32| self.lost.get(&which.to_ne_bytes()).call("bpf", "map of lost calls");
        Ok([counter(0)?.map_or(0, u64::from_ne_bytes), counter(1)?.map_or(0, u64::from_ne_bytes)])
    }
}

/// The ABI of a call on x86_64.
fn arch(number: u32, compat: u32) -> Arch {
    match (compat & COMPAT, number & X32_BIT) {
        (0, 0) => Arch::X86_64,
        (0, _) => Arch::X32,
        _ => Arch::X86,
    }
}

/// The same by `AUDIT_ARCH_*`.
pub fn arch_of(audit: u32, number: u32) -> Option<Arch> {
    let compat = if audit == Arch::X86.audit() { COMPAT } else { 0 };
    Some(arch(number, compat)).filter(|arch| arch.audit() == audit)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |long| u64::from_ne_bytes(*long))
}
