//! clone3(2): the one fork of the runtime, and the few calls between it and init's execve.

use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What the child is to be.
pub struct Spawn<'a> {
    /// `CLONE_NEW*` flags.
    pub namespaces: u64,
    /// The unified cgroup to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Init's image, sealed, not open for writing anywhere.
    pub image: BorrowedFd<'a>,
    /// Descriptors that init is to find open.
    pub inherit: &'a [BorrowedFd<'a>],
    /// argv[1]: the descriptor of the program.
    pub argument: &'a CStr,
    /// Capabilities, effective and permitted, of the caller.
    pub effective: u64,
    /// See `effective`.
    pub permitted: u64,
}

/// A child that was cloned.
pub struct Child {
    /// Its pid as the caller sees it.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

/// `struct clone_args`, version 2 (Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// Clones and executes init. The caller sleeps until init's image runs (CLONE_VFORK), so a failed execve is known by
/// the exit status 123 and no half-started child is ever seen.
///
/// # Errors
/// What clone3(2) says; EAGAIN, EBUSY and EOPNOTSUPP may come from the cgroup (`CLONE_INTO_CGROUP`), ENOSYS only
/// together with a cgroup.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Child, Errno> {
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD | CLONE_VFORK | CLONE_CLEAR_SIGHAND | spawn.namespaces,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = spawn.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // capset(2): an image that its own executor may not read makes a process that nobody may look into (execve(2)
    // clears dumpable), from its first instruction on. Root reads everything by these two capabilities; execve gives
    // them back.
    const DAC_OVERRIDE_AND_READ_SEARCH: u64 = 0b110;
    let effective = spawn.effective & !DAC_OVERRIDE_AND_READ_SEARCH;
    let header: [u32; 2] = [0x2008_0522, 0];
    let permitted = spawn.permitted;
    let sets: [u32; 6] = [effective as u32, permitted as u32, 0, (effective >> 32) as u32, (permitted >> 32) as u32, 0];
    let argv = [c"casemate-init".as_ptr(), spawn.argument.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null::<libc::c_char>()];
    // SAFETY: args and what it points to live across the call. Without CLONE_VM the child has its own copy of memory;
    // until execve it makes only the raw calls below, on data that was prepared above: no allocation, no lock, no libc
    // state, so it does not matter whether the caller had threads.
    unsafe {
        let mut pid = libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>());
        if pid < 0 && last_error() == Errno::NOSYS && spawn.cgroup.is_none() {
            // A filter around casemate that does not know clone3 says so. clone(2) has no flag for the handlers of
            // signals, which init resets, and takes the place of the pidfd as its third argument.
            let flags = (args.flags & !CLONE_CLEAR_SIGHAND) | args.exit_signal;
            pid = libc::syscall(libc::SYS_clone, flags, 0usize, args.pidfd, 0usize, 0usize);
        }
        if pid == 0 {
            let mut inherited = true;
            for fd in spawn.inherit {
                inherited &= libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_SETFD, 0) == 0;
            }
            let mut failed = if inherited { CAPSET_FAILED } else { INHERIT_FAILED };
            if inherited && libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) == 0 {
                failed = EXEC_FAILED;
                let image = spawn.image.as_raw_fd();
                let flags = libc::AT_EMPTY_PATH;
                libc::syscall(libc::SYS_execveat, image, c"".as_ptr(), argv.as_ptr(), envp.as_ptr(), flags);
            }
            loop {
                libc::syscall(libc::SYS_exit_group, failed);
            }
        }
        if pid < 0 {
            return Err(last_error());
        }
        // SAFETY (of from_raw_fd): the kernel just made this descriptor for us.
        Ok(Child { pid: pid as i32, pidfd: OwnedFd::from_raw_fd(pidfd) })
    }
}

fn last_error() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Exit status of a child that could not keep a descriptor for init open.
pub const INHERIT_FAILED: i32 = 121;
/// Exit status of a child that could not give up what makes its image readable.
pub const CAPSET_FAILED: i32 = 122;
/// Exit status of a child whose image could not be executed.
pub const EXEC_FAILED: i32 = 123;
