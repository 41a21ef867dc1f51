//! pidfd_send_signal(2): rustix's takes named signals only, and nix has none.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

/// Sends any signal, real-time ones and 0 (which only asks) included, to the process of a pidfd.
///
/// # Errors
/// `ESRCH` for a process that was waited for, `EINVAL` for no signal, `EPERM`.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is borrowed for the call; without siginfo the kernel reads and writes no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0_u32) };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))),
    }
}
