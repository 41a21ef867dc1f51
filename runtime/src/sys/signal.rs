//! Dispositions of signals.

use std::{io, mem, ptr};

/// Sets SIGCHLD to its default. Whoever starts a process with SIGCHLD ignored takes its exit statuses away (wait(2)).
/// To be called once, before any child is started.
///
/// # Errors
/// What sigaction(2) reports.
pub fn default_sigchld() -> io::Result<()> {
    // SAFETY: the structure is plain data for which all zero bytes is a value: SIG_DFL, no flags, an empty mask.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the action is initialised and installs no handler.
    match unsafe { libc::sigaction(libc::SIGCHLD, &default, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
