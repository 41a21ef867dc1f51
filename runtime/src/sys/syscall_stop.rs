//! ptrace(2) for a tracer that looks at the calls of many threads and changes nothing; what one thread's filters take is in
//! `ptrace`. Linux detaches from all tracees, and lets them go on, when the tracer ends in whatever way.

use rustix::io::Errno;
use std::{io, ptr};

/// What a thread stopped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The entry to a call, or the exit from one.
    Syscall,
    /// It is new, or was interrupted, or made a process or thread, or called execve(2).
    Event,
    /// A signal stops its whole process (signal(7), "Stop").
    Group,
    /// A signal is about to be delivered.
    Signal(i32),
    /// None: it has ended.
    Ended,
}

/// A call at its entry: `AUDIT_ARCH_*`, number, arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The ABI.
    pub arch: u32,
    /// The number.
    pub number: u32,
    /// The arguments.
    pub arguments: [u64; 6],
}

/// How a stopped thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// To the next entry or exit, with this signal or 0.
    WithSignal(i32),
    /// Not at all before a SIGCONT comes (`PTRACE_LISTEN`).
    Listen,
}

const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC;

/// Begins to trace a thread, and what it will make, and interrupts it.
///
/// # Errors
/// `ESRCH` for one that is gone, `EPERM` for one that is traced already or may not be traced.
pub fn seize(thread: i32) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE, thread, 0, OPTIONS as usize)?;
    request(libc::PTRACE_INTERRUPT, thread, 0, 0).map(drop)
}

/// Lets a stopped thread go on.
///
/// # Errors
/// `ESRCH` for one that was killed meanwhile.
pub fn resume(thread: i32, how: Resume) -> Result<(), Errno> {
    let done = match how {
        Resume::WithSignal(signal) => request(libc::PTRACE_SYSCALL, thread, 0, usize::try_from(signal).unwrap_or(0)),
        Resume::Listen => request(libc::PTRACE_LISTEN, thread, 0, 0),
    };
    done.map(drop)
}

/// The call at whose entry a thread is stopped; `None` at an exit.
///
/// # Errors
/// `ESRCH` for one that was killed meanwhile; `EIO` before Linux 5.3.
pub fn entry(thread: i32) -> Result<Option<Entry>, Errno> {
    // `struct ptrace_syscall_info`: op, padding, arch; ip; sp; number; six arguments.
    let mut info = [0u64; 11];
    let size = size_of_val(&info);
    request(libc::PTRACE_GET_SYSCALL_INFO, thread, size, info.as_mut_ptr().expose_provenance())?;
    let [head, _, _, number, arguments @ .., _] = info;
    if head & 0xff != u64::from(libc::PTRACE_SYSCALL_INFO_ENTRY) {
        return Ok(None);
    }
    // The number is a u64 there; the kernel itself looks at the low half.
    Ok(Some(Entry { arch: (head >> 32) as u32, number: number as u32, arguments }))
}

/// The next thread that stopped or ended; `None` when there is none now.
///
/// # Errors
/// `ECHILD` when nothing is traced any more.
pub fn next() -> Result<Option<(i32, Stop)>, Errno> {
    let mut status = 0;
    // SAFETY: the status is written to a variable of ours.
    let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match thread {
        -1 => Err(last_error()),
        0 => Ok(None),
        _ if !libc::WIFSTOPPED(status) => Ok(Some((thread, Stop::Ended))),
        _ => Ok(Some((thread, stop(status)))),
    }
}

fn stop(status: libc::c_int) -> Stop {
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stop::Group,
        0 if signal == libc::SIGTRAP | 0x80 => Stop::Syscall,
        0 => Stop::Signal(signal),
        _ => Stop::Event,
    }
}

fn request(request: libc::c_uint, thread: i32, address: usize, data: usize) -> Result<(), Errno> {
    // SAFETY: none of the requests of this file writes memory of the tracer but PTRACE_GET_SYSCALL_INFO, which gets the
    // address and the length of a live array; addresses in the tracee are not used.
    let done = unsafe {
        libc::ptrace(request, thread, ptr::without_provenance::<u8>(address), ptr::with_exposed_provenance::<u8>(data))
    };
    if done == -1 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
