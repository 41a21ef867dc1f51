//! What rustix does not ask of namespace files, and a mount namespace of one's own.

use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The `CLONE_NEW*` flag of a namespace file (ioctl_ns(2), NS_GET_NSTYPE).
///
/// # Errors
/// ENOTTY for a file that is not a namespace.
pub fn namespace_type(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the descriptor is borrowed for the call; this ioctl takes no argument.
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    u64::try_from(kind)
        .map_err(|_| Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)))
}

/// Moves the calling process into a mount namespace of its own, with the mounts of the old one (unshare(2)).
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub fn unshare_mounts() -> Result<(), Errno> {
    // SAFETY: CLONE_NEWNS changes which mounts this process sees and touches no memory.
    match unsafe { libc::unshare(libc::CLONE_NEWNS) } {
        0 => Ok(()),
        _ => Err(Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))),
    }
}
