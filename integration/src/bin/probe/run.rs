//! Other programs, run in a way that the suite cannot do itself.

use crate::raw::raw;
use std::process::ExitCode;

/// Becomes a program whose session keyring is a new one, as that of a login is.
pub fn in_a_new_session_keyring(program: &str, arguments: &[&str]) -> ExitCode {
    use std::os::unix::process::CommandExt;
    const KEYCTL_JOIN_SESSION_KEYRING: i64 = 1;
    if let Err(errno) = raw(libc::SYS_keyctl, [KEYCTL_JOIN_SESSION_KEYRING, 0, 0]) {
        eprintln!("probe: keyctl: {errno}");
        return ExitCode::FAILURE;
    }
    eprintln!("probe: {}", std::process::Command::new(program).args(arguments).exec());
    ExitCode::FAILURE
}

/// Runs a program and writes the largest resident set in KiB of it and of what it waited for. The benchmark is too large
/// to do this itself: a process begins with the resident set of the one it was forked from.
pub fn weigh(file: &str, program: &str, arguments: &[&str]) -> ExitCode {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let ended = std::process::Command::new(program).args(arguments).status();
    // SAFETY: the pointer is to a live, writable rusage, and one of zeroes is valid if the call fails.
    #[allow(unsafe_code)]
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    match (ended, std::fs::write(file, usage.ru_maxrss.to_string())) {
        (Ok(status), Ok(())) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
