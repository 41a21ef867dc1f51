//! The seccomp filters of a process, read back from the kernel instruction by instruction.
//!
//! The kernel shows them to a tracer of a process that stands still, so init is stopped for a moment: PTRACE_SEIZE,
//! PTRACE_INTERRUPT, PTRACE_SECCOMP_GET_FILTER, PTRACE_DETACH. It goes on as if nothing had been, but that a blocking
//! call which stop signals interrupt (epoll_wait(2), semop(2), others of signal(7)) ends with EINTR.
//!
//! All of it happens in a thread of its own, the only one that casemate ever makes. A process that does not come to a
//! stop in time, being frozen or in an uninterruptible wait, cannot be detached from; but when the tracing thread ends,
//! the kernel lets go of it. The same holds when casemate is killed in the middle.

use crate::error::errno_text;
use crate::state::Process;
use crate::sys::ptrace::{Stop, Tracee};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How long the process is given to stop.
const DEADLINE: Duration = Duration::from_millis(500);

/// More filters than this are not read. Each is at most 4096 instructions, all together at most 32768.
const MAX_FILTERS: usize = 512;

/// Reads the filters of the main thread of a process, the oldest first, each instruction as one number.
///
/// # Errors
/// Why they cannot be read, in words.
pub fn read(process: &Process) -> Result<Vec<Vec<u64>>, String> {
    std::thread::scope(|scope| {
        let tracer = std::thread::Builder::new().spawn_scoped(scope, || trace(process));
        let tracer = tracer.map_err(|error| format!("thread: {error}"))?;
        tracer.join().unwrap_or_else(|_| Err("the tracing thread ended".to_owned()))
    })
}

fn trace(process: &Process) -> Result<Vec<Vec<u64>>, String> {
    let failed = |call: &str, errno: Errno| format!("{call}: {}", errno_text(errno));
    let ended = || "the process ended".to_owned();
    let tracee = Tracee::seize(process.pid()).map_err(|errno| match errno {
        Errno::PERM => "ptrace(PTRACE_SEIZE): another process traces it, or the caller may not".to_owned(),
        errno => failed("ptrace(PTRACE_SEIZE)", errno),
    })?;
    // Alive still, so the pid that was seized was its own.
    if process.is_gone().map_err(|error| error.to_string())? {
        return Err(ended());
    }
    tracee.interrupt().map_err(|errno| failed("ptrace(PTRACE_INTERRUPT)", errno))?;
    let until = Instant::now() + DEADLINE;
    let mut pause = Duration::from_micros(20);
    let signal = loop {
        match tracee.stop().map_err(|errno| failed("waitpid", errno))? {
            Some(Stop::Stopped(signal)) => break signal,
            Some(Stop::Ended) => return Err(ended()),
            None if Instant::now() >= until => {
                let waited = DEADLINE.as_millis();
                return Err(format!("it did not stop within {waited} ms: frozen, or in an uninterruptible wait"));
            }
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    let filters = all(&tracee);
    // If it cannot be let go of it has ended: the end of this thread does the rest.
    let detached = tracee.detach(signal);
    match (filters, detached) {
        (Ok(_), Err(Errno::SRCH)) => Err(ended()),
        (Err(error), _) => Err(error),
        (Ok(_), Err(errno)) => Err(failed("ptrace(PTRACE_DETACH)", errno)),
        (Ok(filters), Ok(())) => Ok(filters),
    }
}

fn all(tracee: &Tracee) -> Result<Vec<Vec<u64>>, String> {
    let mut filters = Vec::new();
    loop {
        match tracee.filter(filters.len()) {
            Ok(None) => return Ok(filters),
            Ok(Some(_)) if filters.len() == MAX_FILTERS => return Err(format!("more than {MAX_FILTERS} filters")),
            Ok(Some(filter)) => filters.push(filter),
            Err(Errno::ACCESS) => {
                return Err(
                    "ptrace(PTRACE_SECCOMP_GET_FILTER): takes CAP_SYS_ADMIN of the host, and a caller without a \
                            filter of its own"
                        .to_owned(),
                );
            }
            Err(Errno::IO) => {
                return Err("ptrace(PTRACE_SECCOMP_GET_FILTER): the kernel has no CONFIG_CHECKPOINT_RESTORE".to_owned());
            }
            Err(errno) => return Err(format!("ptrace(PTRACE_SECCOMP_GET_FILTER): {}", errno_text(errno))),
        }
    }
}

#[cfg(test)]
mod tests;
