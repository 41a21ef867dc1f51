//! System calls by number, and the few functions the compiler expects of a C library. The only unsafe room of init.
//!
//! Every call answers `Result<_, Fail>`, and a [`Fail`] knows which call it was: the report needs nothing else.
#![allow(unsafe_code)]

use crate::nr;
use core::arch::{asm, global_asm};

/// A system call that failed (`call` = its number), or a refusal of init's own (`call` = 0).
#[derive(Clone, Copy)]
pub struct Fail {
    pub call: u32,
    pub errno: i32,
    pub detail: u32,
}

impl Fail {
    pub const fn refusal(reason: i32) -> Fail {
        Fail { call: 0, errno: reason, detail: 0 }
    }
    pub const fn at(self, detail: u32) -> Fail {
        Fail { detail, ..self }
    }
}

pub type Done<T = ()> = Result<T, Fail>;

/// A NUL-terminated string that lives at least as long as the call it is given to.
#[derive(Clone, Copy)]
pub struct Text(*const u8);

impl Text {
    /// The string at the start of `bytes`; `None` when it has no end.
    pub fn from_bytes(bytes: &[u8]) -> Option<Text> {
        if bytes.contains(&0) { Some(Text(bytes.as_ptr())) } else { None }
    }
    pub const fn from_literal(text: &'static core::ffi::CStr) -> Text {
        Text(text.as_ptr() as *const u8)
    }
    /// The string from byte `at` on; `None` past its end.
    pub fn from(&self, at: usize) -> Option<Text> {
        // SAFETY: `at` is at most the distance to the NUL, so the pointer stays inside the string.
        if at <= self.bytes().len() { Some(Text(unsafe { self.0.add(at) })) } else { None }
    }
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: both constructors checked that a NUL ends the string; the memory is a literal, the program's mapping,
        // or a buffer of the caller's that outlives this value by convention of this room.
        unsafe { core::slice::from_raw_parts(self.0, strlen(self.0)) }
    }
}

pub const AT_FDCWD: i32 = -100;
pub const AT_EMPTY_PATH: usize = 0x1000;
pub const AT_SYMLINK_NOFOLLOW: usize = 0x100;
pub const AT_RECURSIVE: usize = 0x8000;
pub const O_WRONLY: usize = 1;
pub const O_RDWR: usize = 2;
pub const O_CREAT: usize = 0o100;
pub const O_EXCL: usize = 0o200;
pub const O_NOCTTY: usize = 0o400;
pub const O_NONBLOCK: usize = 0o4000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: usize = 0o200000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: usize = 0o400000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: usize = 0o40000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: usize = 0o100000;
pub const O_CLOEXEC: usize = 0o2000000;
pub const O_PATH: usize = 0o10000000;

pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const ESRCH: i32 = 3;
pub const EINTR: i32 = 4;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const EEXIST: i32 = 17;
pub const ENOTDIR: i32 = 20;
pub const EINVAL: i32 = 22;
pub const ENOSYS: i32 = 38;
pub const ELOOP: i32 = 40;

#[inline(always)]
#[cfg(target_arch = "x86_64")]
unsafe fn raw(n: usize, a: [usize; 6]) -> isize {
    let r: isize;
    // SAFETY: the x86_64 syscall convention; rcx and r11 are clobbered by the instruction. What the kernel does with
    // the arguments is the caller's to justify.
    unsafe {
        asm!("syscall", inlateout("rax") n as isize => r, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    r
}

#[inline(always)]
#[cfg(target_arch = "aarch64")]
unsafe fn raw(n: usize, a: [usize; 6]) -> isize {
    let r: isize;
    // SAFETY: the aarch64 syscall convention.
    unsafe {
        asm!("svc 0", in("x8") n, inlateout("x0") a[0] as isize => r, in("x1") a[1], in("x2") a[2], in("x3") a[3],
             in("x4") a[4], in("x5") a[5], options(nostack));
    }
    r
}

#[inline(never)]
fn call(n: usize, a: [usize; 6]) -> Done<usize> {
    loop {
        // SAFETY: every pointer that the wrappers below pass comes from a reference or a Text that lives across the call,
        // with the length that belongs to it; the kernel checks the rest.
        let r = unsafe { raw(n, a) };
        if r >= 0 {
            return Ok(r as usize);
        }
        if -r as i32 != EINTR {
            return Err(Fail { call: n as u32, errno: -r as i32, detail: 0 });
        }
    }
}

macro_rules! sys {
    ($n:ident $(, $a:expr)*) => {{
        let given = [$($a as usize),*];
        let mut all = [0usize; 6];
        all[..given.len()].copy_from_slice(&given);
        call(nr::$n, all)
    }};
}

pub fn read(fd: i32, into: &mut [u8]) -> Done<usize> {
    sys!(READ, fd, into.as_mut_ptr(), into.len())
}
pub fn write(fd: i32, from: &[u8]) -> Done<usize> {
    sys!(WRITE, fd, from.as_ptr(), from.len())
}
pub fn close(fd: i32) {
    // Failing is right: the only errors of close(2) on a descriptor of ours say that it is gone already.
    let _ = sys!(CLOSE, fd);
}
pub fn rewind(fd: i32) -> Done {
    sys!(LSEEK, fd, 0, 0).map(drop)
}
pub fn openat(dir: i32, path: Text, flags: usize, mode: usize) -> Done<i32> {
    sys!(OPENAT, dir, path.0, flags | O_CLOEXEC, mode).map(|fd| fd as i32)
}

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}
pub const RESOLVE_NO_XDEV: u64 = 1;
pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
pub const RESOLVE_NO_SYMLINKS: u64 = 4;
pub const RESOLVE_BENEATH: u64 = 8;
pub const RESOLVE_IN_ROOT: u64 = 16;

/// openat2(2), with the retries that its EAGAIN asks for when a rename races with the resolution.
pub fn openat2(dir: i32, path: Text, flags: usize, mode: u64, resolve: u64) -> Done<i32> {
    let how = OpenHow { flags: (flags | O_CLOEXEC) as u64, mode, resolve };
    let mut tries = 0;
    loop {
        match sys!(OPENAT2, dir, path.0, &how as *const OpenHow, size_of::<OpenHow>()) {
            Err(f) if f.errno == EAGAIN && tries < 128 => tries += 1,
            other => return other.map(|fd| fd as i32),
        }
    }
}
pub fn mkdirat(dir: i32, path: Text, mode: usize) -> Done {
    sys!(MKDIRAT, dir, path.0, mode).map(drop)
}
pub fn mknodat(dir: i32, path: Text, mode: usize, dev: u64) -> Done {
    sys!(MKNODAT, dir, path.0, mode, dev).map(drop)
}
pub fn symlinkat(target: Text, dir: i32, path: Text) -> Done {
    sys!(SYMLINKAT, target.0, dir, path.0).map(drop)
}
pub fn readlinkat(dir: i32, path: Text, into: &mut [u8]) -> Done<usize> {
    sys!(READLINKAT, dir, path.0, into.as_mut_ptr(), into.len())
}
pub fn fchmod(fd: i32, mode: usize) -> Done {
    sys!(FCHMOD, fd, mode).map(drop)
}
pub fn fchown(fd: i32, uid: u32, gid: u32) -> Done {
    sys!(FCHOWN, fd, uid, gid).map(drop)
}
pub fn fchownat(dir: i32, path: Text, uid: u32, gid: u32, flags: usize) -> Done {
    sys!(FCHOWNAT, dir, path.0, uid, gid, flags).map(drop)
}
pub fn fchdir(fd: i32) -> Done {
    sys!(FCHDIR, fd).map(drop)
}
pub fn getcwd(into: &mut [u8]) -> Done<usize> {
    sys!(GETCWD, into.as_mut_ptr(), into.len())
}
pub fn getdents(fd: i32, into: &mut [u8]) -> Done<usize> {
    sys!(GETDENTS64, fd, into.as_mut_ptr(), into.len())
}
pub fn faccess_executable(path: Text) -> Done {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    sys!(FACCESSAT2, AT_FDCWD, path.0, X_OK, AT_EACCESS).map(drop)
}

/// The part of `struct statx` that init looks at.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Statx {
    pub mask: u32,
    _blksize: u32,
    _attributes: u64,
    _nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    _pad: u16,
    pub ino: u64,
    pub size: u64,
    _blocks: u64,
    _attributes_mask: u64,
    _times: [u64; 8],
    pub rdev_major: u32,
    pub rdev_minor: u32,
    _dev: [u32; 2],
    pub mnt_id: u64,
    _rest: [u64; 13],
}
pub const S_IFMT: u16 = 0o170000;
pub const S_IFDIR: u16 = 0o040000;
pub const S_IFCHR: u16 = 0o020000;
pub const S_IFREG: u16 = 0o100000;
pub const S_IFIFO: u16 = 0o010000;
pub const S_IFSOCK: u16 = 0o140000;
pub const S_IFLNK: u16 = 0o120000;

pub fn statx(dir: i32, path: Text, flags: usize) -> Done<Statx> {
    // STATX_BASIC_STATS, STATX_MNT_ID and, where the kernel has it (6.8), STATX_MNT_ID_UNIQUE.
    const BASIC_AND_MNT_ID: usize = 0x7ff | 0x1000 | 0x4000;
    // SAFETY: Statx is integers only; all zeroes is a value of it.
    let mut st: Statx = unsafe { core::mem::zeroed() };
    sys!(STATX, dir, path.0, flags, BASIC_AND_MNT_ID, &mut st as *mut Statx)?;
    Ok(st)
}
/// statx(2) of an open descriptor.
pub fn fstat(fd: i32) -> Done<Statx> {
    statx(fd, Text::from_literal(c""), AT_EMPTY_PATH)
}
/// The filesystem's magic number.
pub fn fs_magic(fd: i32) -> Done<u64> {
    let mut buf = [0u64; 15];
    sys!(FSTATFS, fd, buf.as_mut_ptr())?;
    Ok(buf[0])
}
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

// Mounts.
pub const OPEN_TREE_CLONE: usize = 1;
pub const MOUNT_ATTR_RDONLY: u64 = 1;
pub const MOUNT_ATTR_NOSUID: u64 = 2;
pub const MOUNT_ATTR_NODEV: u64 = 4;
pub const MOUNT_ATTR_NOEXEC: u64 = 8;
pub fn open_tree(dir: i32, path: Text, flags: usize) -> Done<i32> {
    sys!(OPEN_TREE, dir, path.0, flags | O_CLOEXEC).map(|fd| fd as i32)
}
/// Attaches the mount `from` on the file that `target` is open on.
pub fn move_mount(from: i32, target: i32) -> Done {
    const F_EMPTY_PATH: usize = 4;
    const T_EMPTY_PATH: usize = 0x40;
    let none = Text::from_literal(c"");
    sys!(MOVE_MOUNT, from, none.0, target, none.0, F_EMPTY_PATH | T_EMPTY_PATH).map(drop)
}
/// Attaches the mount `from` on the working directory.
pub fn move_mount_here(from: i32) -> Done {
    const F_EMPTY_PATH: usize = 4;
    sys!(MOVE_MOUNT, from, Text::from_literal(c"").0, AT_FDCWD, Text::from_literal(c".").0, F_EMPTY_PATH).map(drop)
}
pub fn fsopen(fstype: Text) -> Done<i32> {
    const FSOPEN_CLOEXEC: usize = 1;
    sys!(FSOPEN, fstype.0, FSOPEN_CLOEXEC).map(|fd| fd as i32)
}
pub fn fsconfig_flag(fs: i32, key: Text) -> Done {
    sys!(FSCONFIG, fs, 0, key.0, 0, 0).map(drop)
}
pub fn fsconfig_string(fs: i32, key: Text, value: Text) -> Done {
    sys!(FSCONFIG, fs, 1, key.0, value.0, 0).map(drop)
}
pub fn fsconfig_create(fs: i32) -> Done {
    sys!(FSCONFIG, fs, 6, 0, 0, 0).map(drop)
}
pub fn fsmount(fs: i32, attrs: u64) -> Done<i32> {
    const FSMOUNT_CLOEXEC: usize = 1;
    sys!(FSMOUNT, fs, FSMOUNT_CLOEXEC, attrs).map(|fd| fd as i32)
}
/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
pub struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns: u64,
}
pub fn mount_setattr(fd: i32, path: Text, flags: usize, attr: &MountAttr) -> Done {
    sys!(MOUNT_SETATTR, fd, path.0, flags, attr as *const MountAttr, size_of::<MountAttr>()).map(drop)
}
/// Whether mount ids are the unique ones that only grow.
pub fn ids_are_unique(st: &Statx) -> bool {
    st.mask & 0x4000 != 0
}
/// How many mounts of this namespace have an id of `first` or above (listmount(2), Linux 6.8).
pub fn count_mounts_from(first: u64) -> Done<usize> {
    const LSMT_ROOT: u64 = u64::MAX;
    // struct mnt_id_req: size and spare, mount id, last id seen.
    let mut request = [24u64, LSMT_ROOT, first - 1];
    let mut ids = [0u64; 64];
    let mut count = 0;
    loop {
        let n = sys!(LISTMOUNT, request.as_mut_ptr(), ids.as_mut_ptr(), ids.len(), 0)?;
        count += n;
        match ids[..n].last() {
            Some(last) if n == ids.len() => request[2] = *last,
            _ => return Ok(count),
        }
    }
}
pub fn chmod_here(dir: i32, mode: usize) -> Done {
    sys!(FCHMODAT, dir, Text::from_literal(c".").0, mode).map(drop)
}
/// mount(2) on the working directory.
pub fn mount_here(source: Text, fstype: Text, flags: u64, data: Text) -> Done {
    sys!(MOUNT, source.0, Text::from_literal(c".").0, fstype.0, flags, data.0).map(drop)
}
/// Stacks the old root on the working directory, which becomes the root (pivot_root(2), "pivot_root(".", ".")").
pub fn pivot_root_here() -> Done {
    let here = Text::from_literal(c".");
    sys!(PIVOT_ROOT, here.0, here.0).map(drop)
}
pub fn unmount_here() -> Done {
    const MNT_DETACH: usize = 2;
    sys!(UMOUNT2, Text::from_literal(c".").0, MNT_DETACH).map(drop)
}

// Namespaces and identity.
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
    let data = [
        low(effective),
        low(permitted),
        low(inheritable),
        high(effective),
        high(permitted),
        high(inheritable),
    ];
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

// Signals, processes, time.
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

// Descriptors and sockets.
pub fn dup_to(fd: i32, to: i32) -> Done {
    sys!(DUP3, fd, to, 0).map(drop)
}
pub fn close_range(first: u32, last: u32) -> Done {
    sys!(CLOSE_RANGE, first, last, 0).map(drop)
}
pub fn close_range_on_exec(first: u32) -> Done {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    sys!(CLOSE_RANGE, first, u32::MAX, CLOSE_RANGE_CLOEXEC).map(drop)
}
pub fn memfd(name: Text) -> Done<i32> {
    const CLOEXEC: usize = 1;
    const NOEXEC_SEAL: usize = 8;
    match sys!(MEMFD_CREATE, name.0, CLOEXEC | NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(f) if f.errno == EINVAL => sys!(MEMFD_CREATE, name.0, CLOEXEC),
        other => other,
    }
    .map(|fd| fd as i32)
}
pub fn pipe() -> Done<(i32, i32)> {
    let mut fds = [0i32; 2];
    sys!(PIPE2, fds.as_mut_ptr(), O_CLOEXEC)?;
    Ok((fds[0], fds[1]))
}
pub fn datagram_socket() -> Done<i32> {
    sys!(SOCKET, 2, 2 | O_CLOEXEC, 0).map(|fd| fd as i32)
}
pub fn ioctl(fd: i32, request: usize, argument: usize) -> Done<usize> {
    sys!(IOCTL, fd, request, argument)
}
/// ioctl(2) with a structure that the kernel reads and writes.
pub fn ioctl_with<T>(fd: i32, request: usize, argument: &mut T) -> Done<usize> {
    sys!(IOCTL, fd, request, argument as *mut T)
}
pub fn accept(listener: i32) -> Done<i32> {
    sys!(ACCEPT4, listener, 0, 0, O_CLOEXEC).map(|fd| fd as i32)
}
#[repr(C)]
struct IoVec {
    base: *const u8,
    len: usize,
}
#[repr(C)]
struct MsgHdr {
    name: usize,
    namelen: usize,
    iov: *const IoVec,
    iovlen: usize,
    control: *const u8,
    controllen: usize,
    flags: usize,
}
/// struct cmsghdr with one descriptor behind it.
#[repr(C)]
struct Rights {
    len: usize,
    level: i32,
    kind: i32,
    fd: i32,
    pad: i32,
}
const MSG_NOSIGNAL: usize = 0x4000;
/// Sends one byte and, if given, one descriptor.
pub fn send(socket: i32, byte: u8, fd: Option<i32>) -> Done {
    let iov = IoVec { base: &byte, len: 1 };
    let rights = Rights { len: 20, level: 1, kind: 1, fd: fd.unwrap_or(-1), pad: 0 };
    let (control, controllen) = match fd {
        Some(_) => (&rights as *const Rights as *const u8, size_of::<Rights>()),
        None => (core::ptr::null(), 0),
    };
    let msg = MsgHdr { name: 0, namelen: 0, iov: &iov, iovlen: 1, control, controllen, flags: 0 };
    sys!(SENDMSG, socket, &msg as *const MsgHdr, MSG_NOSIGNAL).map(drop)
}
/// Receives one byte; `None` when the other end is closed.
pub fn receive(socket: i32) -> Done<Option<u8>> {
    let mut byte = [0u8; 1];
    Ok(if read(socket, &mut byte)? == 1 { Some(byte[0]) } else { None })
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

/// Maps `len` bytes of a shared memory object.
pub fn map_shared(fd: i32, len: usize) -> Done<&'static mut [u8]> {
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    let at = sys!(MMAP, 0, len, READ_WRITE, SHARED, fd, 0)?;
    // SAFETY: a fresh mapping of exactly `len` bytes that is never unmapped. The parent writes it before the clone and
    // then only `ack`, which is read through an atomic.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut u8, len) })
}

/// A list of pointers to strings, ended by a null pointer: argv and envp.
#[derive(Clone, Copy)]
pub struct List(*const *const u8);

impl List {
    /// Turns an array of offsets into an array of pointers, in place.
    pub fn relocate(offsets: &mut [u64], base: *const u8) -> List {
        for slot in offsets.iter_mut() {
            if *slot != 0 {
                *slot += base as u64;
            }
        }
        List(offsets.as_ptr() as *const *const u8)
    }
    /// An empty list.
    pub fn empty() -> List {
        static NONE: [u64; 1] = [0];
        List(NONE.as_ptr() as *const *const u8)
    }
    /// The strings. The program's encoder wrote them inside the mapping; see [`crate::program`].
    pub fn get(&self, index: usize) -> Option<Text> {
        // SAFETY: the list ends with a null pointer and callers count up from 0 and stop at the first None.
        let p = unsafe { *self.0.add(index) };
        if p.is_null() { None } else { Some(Text(p)) }
    }
}

/// Views aligned words of the mapping. `None` when out of bounds or misaligned.
pub fn words(bytes: &mut [u8], offset: usize, count: usize) -> Option<&mut [u64]> {
    let part = bytes.get_mut(offset..offset.checked_add(count.checked_mul(8)?)?)?;
    // SAFETY: the range was checked by get_mut; align_to_mut only yields the aligned middle.
    let (head, middle, _) = unsafe { part.align_to_mut::<u64>() };
    if head.is_empty() && middle.len() == count { Some(middle) } else { None }
}

/// The first `count` 32-bit halves of some words.
pub fn halves(words: &[u64], count: usize) -> &[u32] {
    // SAFETY: u32 has no invalid values and a smaller alignment; the length is cut to what is there.
    let (_, halves, _) = unsafe { words.align_to::<u32>() };
    halves.get(..count).unwrap_or(halves)
}

/// Views a structure of integers inside the mapping.
pub fn view<T>(bytes: &mut [u8], offset: usize) -> Option<&mut T> {
    let part = bytes.get_mut(offset..offset.checked_add(size_of::<T>())?)?;
    let at = part.as_mut_ptr() as *mut T;
    // SAFETY: bounds checked above, alignment below; Header and Record are integers only, any bytes are a value.
    if at.is_aligned() { Some(unsafe { &mut *at }) } else { None }
}

/// Spins until another process stores a non-zero value into the word: no system call is allowed at that point, not even
/// to look at a clock. Answers whether it did; gives up after some ten seconds to some minutes, as pauses cost on this
/// processor.
pub fn spin_until_set(word: &u32) -> bool {
    // SAFETY: a u32 inside the shared mapping, aligned as part of a repr(C) structure.
    let word = unsafe { core::sync::atomic::AtomicU32::from_ptr(word as *const u32 as *mut u32) };
    for _ in 0..1u64 << 31 {
        if word.load(core::sync::atomic::Ordering::Acquire) != 0 {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}
/// Makes all earlier plain stores visible before this one.
pub fn publish(word: &mut u32, value: u32) {
    // SAFETY: as in spin_until_set.
    let word = unsafe { core::sync::atomic::AtomicU32::from_ptr(word) };
    word.store(value, core::sync::atomic::Ordering::Release);
}

// Entry: the kernel leaves argc and argv on the stack.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {entry}", "ud2", entry = sym entry);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl {entry}", "udf #0", entry = sym entry);

extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: the initial stack holds argc, then argv[0..argc], each a NUL-terminated string (elf auxiliary layout).
    let argument = unsafe {
        if *stack >= 2 { Some(Text(*stack.add(2) as *const u8)) } else { None }
    };
    crate::run(argument)
}

#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with valid ranges.
unsafe extern "C" fn memcpy(d: *mut u8, s: *const u8, n: usize) -> *mut u8 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n, and the caller owns n bytes at both ends. Volatile keeps the loop from becoming a call to itself.
        unsafe { d.add(i).write_volatile(*s.add(i)) };
        i += 1;
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: as memcpy; the direction avoids overwriting what is still to be read.
unsafe extern "C" fn memmove(d: *mut u8, s: *const u8, n: usize) -> *mut u8 {
    if (d as usize) <= (s as usize) {
        // SAFETY: forward copying is right when the destination starts first.
        return unsafe { memcpy(d, s, n) };
    }
    let mut i = n;
    while i > 0 {
        i -= 1;
        // SAFETY: i < n.
        unsafe { d.add(i).write_volatile(*s.add(i)) };
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with a valid range.
unsafe extern "C" fn memset(d: *mut u8, c: i32, n: usize) -> *mut u8 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n.
        unsafe { d.add(i).write_volatile(c as u8) };
        i += 1;
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with valid ranges.
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n.
        let x = unsafe { *a.add(i) as i32 - *b.add(i) as i32 };
        if x != 0 {
            return x;
        }
        i += 1;
    }
    0
}
#[unsafe(no_mangle)]
// SAFETY: as memcmp.
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: same contract.
    unsafe { memcmp(a, b, n) }
}
#[unsafe(no_mangle)]
// SAFETY: called with NUL-terminated strings only.
unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: the string ends before this leaves it. Volatile keeps the loop from becoming a call to itself.
    while unsafe { s.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}
/// libcore is built to unwind and names this symbol; nothing ever calls it here (panic = abort).
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
