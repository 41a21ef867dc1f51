//! ptrace(2), as much of it as reading the seccomp filters of a process takes.
//!
//! A tracer is a thread: what one thread seized, another cannot ask anything. When the thread ends, however it ends, the
//! kernel lets go of all that it traced, and they go on; PTRACE_O_EXITKILL, which would kill them, is never set.

use rustix::io::Errno;
use std::marker::PhantomData;

const PTRACE_DETACH: libc::c_long = 17;
const PTRACE_SEIZE: libc::c_long = 0x4206;
const PTRACE_INTERRUPT: libc::c_long = 0x4207;
const PTRACE_SECCOMP_GET_FILTER: libc::c_long = 0x420c;
/// What the upper half of a status says for a stop that no signal made (PTRACE_EVENT_STOP).
const EVENT_STOP: i32 = 128;

/// The longest program that the kernel takes (BPF_MAXINSNS).
const MAX_INSNS: usize = 4096;

/// A thread that this thread traces.
#[derive(Debug)]
pub struct Tracee {
    pid: i32,
    /// Only the thread that seized it may use it.
    here: PhantomData<*const ()>,
}

/// What a traced process came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It stands still; this signal was on its way to it and has to be handed on, 0 for none.
    Stopped(i32),
    /// It ended.
    Ended,
}

impl Tracee {
    /// Becomes the tracer of a process, which runs on (PTRACE_SEIZE without options).
    ///
    /// # Errors
    /// `EPERM` for one that is traced already or that the caller may not trace, `ESRCH` for one that ended.
    pub fn seize(pid: i32) -> Result<Tracee, Errno> {
        ptrace(PTRACE_SEIZE, pid, 0, 0)?;
        Ok(Tracee { pid, here: PhantomData })
    }

    /// Asks it to stop; see [`Tracee::stop`].
    ///
    /// # Errors
    /// `ESRCH` when it ended.
    pub fn interrupt(&self) -> Result<(), Errno> {
        ptrace(PTRACE_INTERRUPT, self.pid, 0, 0).map(drop)
    }

    /// Whether it has stopped; does not wait.
    ///
    /// # Errors
    /// What waitpid(2) reports.
    pub fn stop(&self) -> Result<Option<Stop>, Errno> {
        let mut status = 0;
        // SAFETY: `status` is an int that outlives the call. __WALL: it is not a child of this process.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG | libc::__WALL) };
        match pid {
            0 => Ok(None),
            pid if pid < 0 => Err(last_error()),
            _ if !libc::WIFSTOPPED(status) => Ok(Some(Stop::Ended)),
            _ if status >> 16 == EVENT_STOP => Ok(Some(Stop::Stopped(0))),
            _ => Ok(Some(Stop::Stopped(libc::WSTOPSIG(status)))),
        }
    }

    /// A filter, 0 for the oldest, each instruction (`struct sock_filter`) as the bytes of one number; `None` behind the
    /// newest. The process has to stand still.
    ///
    /// # Errors
    /// `EACCES` without CAP_SYS_ADMIN in the initial user namespace, or when the caller is under a filter itself; `EIO`
    /// on a kernel without CONFIG_CHECKPOINT_RESTORE; `ESRCH` when it is not stopped.
    pub fn filter(&self, index: usize) -> Result<Option<Vec<u64>>, Errno> {
        let mut instructions = vec![0_u64; MAX_INSNS];
        let address = instructions.as_mut_ptr().expose_provenance();
        // The kernel writes the filter's instructions, 8 bytes each and never more than BPF_MAXINSNS of them.
        match ptrace(PTRACE_SECCOMP_GET_FILTER, self.pid, index, address) {
            Ok(count) => {
                instructions.truncate(count);
                Ok(Some(instructions))
            }
            // Of a process that is under none the kernel says EINVAL.
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::INVAL) if index == 0 => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Lets it go on, with the signal that its stop held back. It has to stand still.
    ///
    /// # Errors
    /// `ESRCH` when it ended.
    pub fn detach(self, signal: i32) -> Result<(), Errno> {
        ptrace(PTRACE_DETACH, self.pid, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
    }
}

/// The requests of this file only: they write no memory of ours but the buffer of [`Tracee::filter`], which is as large
/// as the largest filter.
fn ptrace(request: libc::c_long, pid: i32, address: usize, data: usize) -> Result<usize, Errno> {
    // SAFETY: see above; `pid`, `address` and `data` are numbers, and `data` is a live buffer where the kernel writes.
    let done = unsafe { libc::syscall(libc::SYS_ptrace, request, libc::c_long::from(pid), address, data) };
    usize::try_from(done).map_err(|_| last_error())
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
