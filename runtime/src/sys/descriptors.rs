//! Descriptors that were there before us: counted, marked, never passed on by accident.

use rustix::io::Errno;

fn last_error() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11).
///
/// # Errors
/// ENOSYS on an older kernel.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: sets a flag on descriptors, whoever owns them; numbers that are not open are skipped.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}

/// Takes the mark off one descriptor, which must be open.
///
/// # Errors
/// EBADF when it is not.
pub fn keep_on_exec(fd: i32) -> Result<(), Errno> {
    // SAFETY: sets a flag on a descriptor that the caller of the runtime asked to be passed on.
    let done = unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}
