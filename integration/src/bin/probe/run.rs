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

/// Adds a key of this name to the session keyring.
pub fn add_key(name: &str) -> ExitCode {
    const KEY_SPEC_SESSION_KEYRING: libc::c_long = -3;
    let Ok(name) = std::ffi::CString::new(name) else { return ExitCode::FAILURE };
    // SAFETY: two live strings that end in NUL, and one byte that is there.
    #[allow(unsafe_code)]
    let key = unsafe {
        libc::syscall(libc::SYS_add_key, c"user".as_ptr(), name.as_ptr(), c"x".as_ptr(), 1, KEY_SPEC_SESSION_KEYRING)
    };
    if key < 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Takes a key of this name from the session keyring.
pub fn unlink_key(name: &str) -> ExitCode {
    const KEYCTL_UNLINK: i64 = 9;
    const KEYCTL_SEARCH: libc::c_long = 10;
    const KEY_SPEC_SESSION_KEYRING: i64 = -3;
    let Ok(name) = std::ffi::CString::new(name) else { return ExitCode::FAILURE };
    // SAFETY: two live strings that end in NUL.
    #[allow(unsafe_code)]
    let key = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, c"user".as_ptr(), name.as_ptr(), 0)
    };
    match raw(libc::SYS_keyctl, [KEYCTL_UNLINK, key, KEY_SPEC_SESSION_KEYRING]) {
        Ok(()) if key > 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
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
