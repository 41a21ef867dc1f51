//! Namespaces, identity, signals, processes, time, and the two calls at the end: seccomp(2) and execve(2).

use super::*;

pub fn unshare(flags: u64) -> Done {
    sys!(UNSHARE, flags).map(drop)
}
pub fn setns(fd: i32, kind: u64) -> Done {
    sys!(SETNS, fd, kind).map(drop)
}
pub fn sethostname(name: &[u8]) -> Done {
    sys!(SETHOSTNAME, name.as_ptr(), name.len()).map(drop)
}
pub fn setdomainname(name: &[u8]) -> Done {
    sys!(SETDOMAINNAME, name.as_ptr(), name.len()).map(drop)
}
pub fn setsid() -> Done {
    sys!(SETSID).map(drop)
}
pub fn setpgid() -> Done {
    sys!(SETPGID, 0, 0).map(drop)
}
pub fn setgroups(groups: &[u32]) -> Done {
    sys!(SETGROUPS, groups.len(), groups.as_ptr()).map(drop)
}
pub fn setresgid(gid: u32) -> Done {
    sys!(SETRESGID, gid, gid, gid).map(drop)
}
pub fn setresuid(uid: u32) -> Done {
    sys!(SETRESUID, uid, uid, uid).map(drop)
}
pub fn umask(mask: u32) -> Done {
    sys!(UMASK, mask).map(drop)
}
pub fn getpid() -> u32 {
    // getpid(2) cannot fail.
    sys!(GETPID).map_or(0, |p| p as u32)
}
/// capset(2), version 3: effective, permitted and inheritable as 64-bit sets.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Done {
    let header = [0x2008_0522u32, 0];
    let low = |s: u64| s as u32;
    let high = |s: u64| (s >> 32) as u32;
    let data = [low(effective), low(permitted), low(inheritable), high(effective), high(permitted), high(inheritable)];
    sys!(CAPSET, header.as_ptr(), data.as_ptr()).map(drop)
}
pub const PR_SET_PDEATHSIG: usize = 1;
pub const PR_SET_DUMPABLE: usize = 4;
pub const PR_SET_KEEPCAPS: usize = 8;
pub const PR_SET_NAME: usize = 15;
pub const PR_CAPBSET_DROP: usize = 24;
pub const PR_SET_NO_NEW_PRIVS: usize = 38;
pub const PR_CAP_AMBIENT: usize = 47;
pub fn prctl(op: usize, a: usize, b: usize) -> Done<usize> {
    sys!(PRCTL, op, a, b, 0, 0)
}
pub fn set_name(name: Text) -> Done {
    sys!(PRCTL, PR_SET_NAME, name.0, 0, 0, 0).map(drop)
}
pub fn prlimit(resource: u64, soft: u64, hard: u64) -> Done {
    let limit = [soft, hard];
    sys!(PRLIMIT64, 0, resource, limit.as_ptr(), 0).map(drop)
}
/// Joins a new anonymous session keyring (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).
pub fn new_session_keyring() -> Done {
    match sys!(KEYCTL, 1, 0, 0, 0, 0) {
        // A kernel without keyrings, or a filter around casemate, which is around the container as well.
        Err(f) if f.errno == ENOSYS || f.errno == EPERM => Ok(()),
        other => other.map(drop),
    }
}

/// Default disposition for every signal, none blocked.
pub fn reset_signals() -> Done {
    // struct kernel_sigaction { handler, flags, restorer, mask }: all zero is SIG_DFL.
    let default = [0u64; 4];
    for signal in 1..=64usize {
        if signal != 9 && signal != 19 {
            sys!(RT_SIGACTION, signal, default.as_ptr(), 0, 8)?;
        }
    }
    const SIG_SETMASK: usize = 2;
    let none = 0u64;
    sys!(RT_SIGPROCMASK, SIG_SETMASK, &none as *const u64, 0, 8).map(drop)
}
/// `struct clone_args` of clone3(2), as far as a fork needs it.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    rest: [u64; 6],
}
/// Forks; answers (0, -1) in the child and (pid, pidfd) in init.
pub fn fork() -> Done<(usize, i32)> {
    const SIGCHLD: u64 = 17;
    fork_with(0, SIGCHLD)
}
/// Forks a child of this process's parent; answers (0, -1) in it and (pid, pidfd) here.
pub fn fork_sibling() -> Done<(usize, i32)> {
    const CLONE_PARENT: u64 = 0x8000;
    fork_with(CLONE_PARENT, 0)
}
/// clone3(2), or clone(2) where a filter around casemate does not know clone3.
fn fork_with(flags: u64, exit_signal: u64) -> Done<(usize, i32)> {
    const CLONE_PIDFD: u64 = 0x1000;
    let mut pidfd: i32 = -1;
    let flags = flags | CLONE_PIDFD;
    let at = &mut pidfd as *mut i32 as u64;
    let args = CloneArgs { flags, pidfd: at, exit_signal, ..Default::default() };
    let pid = match sys!(CLONE3, &args as *const CloneArgs, size_of::<CloneArgs>()) {
        Err(f) if f.errno == ENOSYS => sys!(CLONE, flags | exit_signal, 0, at, 0, 0)?,
        other => other?,
    };
    Ok((pid, pidfd))
}
/// Waits for the child behind a pidfd; answers its wait status in waitpid(2)'s form.
pub fn wait(pidfd: i32) -> Done<u32> {
    const P_PIDFD: usize = 3;
    const WEXITED: usize = 4;
    const CLD_EXITED: u32 = 1;
    let mut info = [0u32; 32];
    sys!(WAITID, P_PIDFD, pidfd, info.as_mut_ptr(), WEXITED, 0)?;
    let (code, status) = (info[2], info[6]);
    Ok(if code == CLD_EXITED { (status & 0xff) << 8 } else { status & 0x7f })
}
pub fn kill_group(pid: usize) -> Done {
    const SIGKILL: usize = 9;
    sys!(KILL, (pid as isize).wrapping_neg(), SIGKILL).map(drop)
}
/// SIGKILL for the process behind a pidfd.
pub fn kill_behind(pidfd: i32) -> Done {
    const SIGKILL: usize = 9;
    sys!(PIDFD_SEND_SIGNAL, pidfd, SIGKILL, 0, 0).map(drop)
}
/// Milliseconds of the monotonic clock.
pub fn now_ms() -> Done<u64> {
    let mut t = [0u64; 2];
    sys!(CLOCK_GETTIME, 1, t.as_mut_ptr())?;
    Ok(t[0] * 1000 + t[1] / 1_000_000)
}
#[repr(C)]
pub struct PollFd {
    pub fd: i32,
    pub events: i16,
    pub revents: i16,
}
pub const POLLIN: i16 = 1;
/// ppoll(2); `None` waits for ever.
pub fn poll(fds: &mut [PollFd], timeout_ms: Option<u64>) -> Done<usize> {
    let span = [timeout_ms.unwrap_or(0) / 1000, (timeout_ms.unwrap_or(0) % 1000) * 1_000_000];
    let timeout = if timeout_ms.is_some() { span.as_ptr() } else { core::ptr::null() };
    sys!(PPOLL, fds.as_mut_ptr(), fds.len(), timeout, 0, 8)
}
/// execve(2); `argv` and `envp` are offset lists that [`crate::program`] turned into pointers.
pub fn execve(path: Text, argv: List, envp: List) -> Fail {
    match sys!(EXECVE, path.0, argv.0, envp.0) {
        Ok(_) => Fail::refusal(0),
        Err(f) => f,
    }
}
pub fn exit(code: i32) -> ! {
    loop {
        // Failing cannot be handled by anything; a filter that forbids exit_group gets the trap below.
        let _ = sys!(EXIT_GROUP, code);
        trap();
    }
}
fn trap() {
    // SAFETY: an undefined instruction kills the process with SIGILL; that is its purpose.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("ud2")
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("udf #0")
    }
}
/// `struct sock_fprog`.
#[repr(C)]
struct SockFprog {
    len: u16,
    filter: *const u64,
}
/// seccomp(2), SECCOMP_SET_MODE_FILTER; answers the listener's descriptor or 0.
pub fn seccomp(filter: &[u64], flags: u64) -> Done<usize> {
    let program = SockFprog { len: filter.len() as u16, filter: filter.as_ptr() };
    sys!(SECCOMP, 1, flags, &program as *const SockFprog)
}
/// landlock_create_ruleset(2) with nothing but scopes (`LANDLOCK_SCOPE_*`).
pub fn landlock_ruleset(scoped: u64) -> Done<i32> {
    // struct landlock_ruleset_attr { handled_access_fs, handled_access_net, scoped }, as of ABI 6.
    let attr = [0, 0, scoped];
    sys!(LANDLOCK_CREATE_RULESET, attr.as_ptr(), size_of_val(&attr), 0).map(|fd| fd as i32)
}
pub fn landlock_restrict_self(ruleset: i32) -> Done {
    sys!(LANDLOCK_RESTRICT_SELF, ruleset, 0).map(drop)
}
