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

/// RLIMIT_NOFILE of getrlimit(2): one more than the highest descriptor; `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// What counts.
    pub soft: u64,
    /// How far it may be raised.
    pub hard: u64,
}

/// This process's limit. rustix's getrlimit panics where a filter forbids the call.
///
/// # Errors
/// What prlimit(2) says.
pub fn limit() -> Result<Limit, Errno> {
    let mut now = Limit { soft: 0, hard: 0 };
    let none = std::ptr::null::<Limit>();
    // SAFETY: Limit is the kernel's struct rlimit64, which it fills in; nothing is set.
    let done = unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, none, &raw mut now) };
    if done == 0 { Ok(now) } else { Err(last_error()) }
}

/// Sets this process's limit.
///
/// # Errors
/// EPERM for a hard limit above the present one.
pub fn set_limit(to: Limit) -> Result<(), Errno> {
    let none = std::ptr::null_mut::<Limit>();
    // SAFETY: Limit is the kernel's struct rlimit64, which lives across the call; the old one is not asked for.
    let done = unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &raw const to, none) };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}
