//! The seccomp filters of a process, read back from the kernel instruction by instruction.
//!
//! The kernel shows them to a tracer of a process that stands still, so init is stopped for a moment: PTRACE_SEIZE,
//! PTRACE_INTERRUPT, PTRACE_SECCOMP_GET_FILTER, PTRACE_DETACH. It goes on as if nothing had been, but that a blocking
//! call which stop signals interrupt (epoll_wait(2), semop(2), others of signal(7)) ends with EINTR. When casemate is
//! killed in the middle, the kernel lets go and init goes on.

use crate::error::errno_text;
use crate::state::Process;
use crate::sys::ptrace::{Stage, filters};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long the process is given to stop.
const DEADLINE: Duration = Duration::from_millis(500);

/// Reads the filters of the main thread of a process, the oldest first, each instruction as one number.
///
/// # Errors
/// Why they cannot be read, in words.
pub fn read(process: &Process) -> Result<Vec<Vec<u64>>, String> {
    filters(process.pid(), process.as_fd(), DEADLINE).map_err(|(stage, errno)| match (stage, errno) {
        (_, Errno::SRCH) => "the process ended".to_owned(),
        (Stage::Seize, Errno::PERM) => {
            "ptrace(PTRACE_SEIZE): another process traces it, or the caller may not".to_owned()
        }
        (Stage::Wait, Errno::TIMEDOUT) => {
            format!("it did not stop within {} ms: frozen, or in an uninterruptible wait", DEADLINE.as_millis())
        }
        (Stage::Read, Errno::ACCESS) => {
            "ptrace(PTRACE_SECCOMP_GET_FILTER): takes CAP_SYS_ADMIN of the host, and a caller without a filter of its own"
                .to_owned()
        }
        (Stage::Read, Errno::IO) => {
            "ptrace(PTRACE_SECCOMP_GET_FILTER): the kernel has no CONFIG_CHECKPOINT_RESTORE".to_owned()
        }
        (stage, errno) => {
            let call = match stage {
                Stage::Seize => "ptrace(PTRACE_SEIZE)",
                Stage::Interrupt => "ptrace(PTRACE_INTERRUPT)",
                Stage::Wait => "waitpid",
                Stage::Read => "ptrace(PTRACE_SECCOMP_GET_FILTER)",
                Stage::Detach => "ptrace(PTRACE_DETACH)",
                Stage::Fork => "fork",
                Stage::Child => "the tracing process gave no answer",
            };
            format!("{call}: {}", errno_text(errno))
        }
    })
}

#[cfg(test)]
mod tests;
