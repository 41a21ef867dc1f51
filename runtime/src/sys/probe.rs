//! Asking the kernel what it has, by calls that cannot succeed: the error tells whether the call exists.

use rustix::io::Errno;
use std::ptr;

/// `statmount` and `listmount` have the same numbers on every architecture, since Linux 6.8.
const STATMOUNT: libc::c_long = 457;
const LISTMOUNT: libc::c_long = 458;

/// `MOUNT_ATTR_IDMAP` of mount_setattr(2).
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
/// `LANDLOCK_CREATE_RULESET_VERSION` of landlock_create_ruleset(2).
const LANDLOCK_VERSION: u32 = 1;
/// `SECCOMP_SET_MODE_FILTER` of seccomp(2).
const SET_MODE_FILTER: u32 = 1;
/// `CLONE_INTO_CGROUP` of clone3(2).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// A descriptor that is not open: above every limit of open files.
const NO_FD: i32 = i32::MAX;

/// A system call that can be probed, by its name.
pub const CALLS: [&str; 16] = [
    "clone3",
    "close_range",
    "execveat",
    "fsmount",
    "fsopen",
    "landlock_create_ruleset",
    "listmount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "openat2",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "seccomp",
    "statmount",
];

/// The kernel's answer to the call with arguments that are never right; nothing for a name that is not in [`CALLS`].
pub fn call(name: &str) -> Option<Errno> {
    let (number, arguments): (_, [i64; 5]) = match name {
        // A null or short structure, a descriptor that is not open, an empty range: refused before anything is done.
        "clone3" => (libc::SYS_clone3, [0, 0, 0, 0, 0]),
        "close_range" => (libc::SYS_close_range, [1, 0, 0, 0, 0]),
        "execveat" => (libc::SYS_execveat, [-1, 0, 0, 0, -1]),
        "fsmount" => (libc::SYS_fsmount, [-1, 0, 0, 0, 0]),
        "fsopen" => (libc::SYS_fsopen, [0, 0, 0, 0, 0]),
        "landlock_create_ruleset" => (libc::SYS_landlock_create_ruleset, [0, 0, 0, 0, 0]),
        "listmount" => (LISTMOUNT, [0, 0, 0, 0, 0]),
        "mount_setattr" => (libc::SYS_mount_setattr, [-1, 0, 0, 0, 0]),
        "move_mount" => (libc::SYS_move_mount, [-1, 0, -1, 0, 0]),
        "open_tree" => (libc::SYS_open_tree, [-1, 0, 0, 0, 0]),
        "openat2" => (libc::SYS_openat2, [-1, 0, 0, 0, 0]),
        "pidfd_getfd" => (libc::SYS_pidfd_getfd, [-1, -1, 0, 0, 0]),
        "pidfd_open" => (libc::SYS_pidfd_open, [-1, 0, 0, 0, 0]),
        "pidfd_send_signal" => (libc::SYS_pidfd_send_signal, [-1, 0, 0, 0, 0]),
        "seccomp" => (libc::SYS_seccomp, [-1, 0, 0, 0, 0]),
        "statmount" => (STATMOUNT, [0, 0, 0, 0, 0]),
        _ => return None,
    };
    let [a, b, c, d, e] = arguments;
    // SAFETY: every argument list is one that the call refuses; the pointers in it are null.
    Some(errno_of(unsafe { libc::syscall(number, a, b, c, d, e) }))
}

/// Whether seccomp(2) has a filter flag: flags are looked at before the filter, which is at no address here.
pub fn has_seccomp_flag(flag: u64) -> bool {
    // SAFETY: without a filter there is nothing to attach; the kernel answers EFAULT.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flag, ptr::null::<u8>()) };
    errno_of(done) == Errno::FAULT
}

/// Whether mount_setattr(2) makes id-mapped mounts: the user namespace is looked at before the mount.
pub fn has_idmapped_mounts() -> bool {
    // `struct mount_attr`: set, clear, propagation, userns_fd.
    let attributes: [u64; 4] = [MOUNT_ATTR_IDMAP, 0, 0, NO_FD as u64];
    // SAFETY: the structure is initialised and its size is given; neither descriptor is open, so no mount changes.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, NO_FD, c"".as_ptr(), 0, attributes.as_ptr(), size_of_val(&attributes))
    };
    errno_of(done) == Errno::BADF
}

/// Whether clone3(2) can start a process in a cgroup: the cgroup's descriptor is looked at before there is a process.
pub fn has_clone_into_cgroup() -> bool {
    // `struct clone_args`, version 2: flags first, exit_signal fifth, cgroup last.
    let arguments: [u64; 11] = [CLONE_INTO_CGROUP, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0, 0, 0, NO_FD as u64];
    // SAFETY: the structure is initialised and its size is given. The descriptor is above the limit of open files, so
    // that the call fails; were there a child all the same, it would leave at once, and be no more than a copy.
    unsafe {
        let done = libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments));
        if done == 0 {
            libc::_exit(0);
        }
        errno_of(done) == Errno::BADF
    }
}

/// The version of landlock(7); nothing where there is none, or it is not enabled.
pub fn landlock_abi() -> Option<u32> {
    // SAFETY: this flag asks for the version only, and wants no structure.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0usize, LANDLOCK_VERSION) };
    u32::try_from(version).ok()
}

/// The error of the last call of this thread. A call that succeeded exists as well, which any other error says too.
fn errno_of(done: libc::c_long) -> Errno {
    if done >= 0 {
        return Errno::EXIST;
    }
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
