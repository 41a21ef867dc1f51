//! System calls by number, the first instructions, and the functions that the compiler expects of a C library. All of the
//! floor's unsafe code.
#![allow(unsafe_code)]

use crate::nr;
use core::arch::{asm, global_asm};
use core::ffi::CStr;

/// A system call that failed.
#[derive(Clone, Copy)]
pub struct Fail {
    call: usize,
    errno: i32,
}

pub type Done<T = ()> = Result<T, Fail>;

const ENOENT: i32 = 2;
const EINTR: i32 = 4;
const EINVAL: i32 = 22;

impl Fail {
    /// The command line makes no sense.
    pub const USAGE: Self = Self { call: 999, errno: EINVAL };

    /// Writes `call C: errno E` to standard error.
    pub fn tell(self) {
        let mut text = *b"floor: call 000: errno 000\n";
        for (end, mut left) in [(15, self.call), (26, self.errno as usize)] {
            for digit in text[end - 3..end].iter_mut().rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
        }
        // Failing is right: there is nobody else to tell.
        let _ = write(2, &text);
    }
}

/// Something that is missing is no error.
pub fn if_there<T>(done: Done<T>) -> Done<Option<T>> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(fail) if fail.errno == ENOENT => Ok(None),
        Err(fail) => Err(fail),
    }
}

/// A path that is put together, in a buffer of its own.
pub struct Path([u8; 256]);

impl Path {
    pub fn join(front: &CStr, back: &CStr) -> Done<Self> {
        let mut buffer = [0; 256];
        let (front, back) = (front.to_bytes(), back.to_bytes_with_nul());
        let (start, rest) = buffer.split_at_mut_checked(front.len()).ok_or(Fail::USAGE)?;
        start.copy_from_slice(front);
        rest.get_mut(..back.len()).ok_or(Fail::USAGE)?.copy_from_slice(back);
        Ok(Self(buffer))
    }
    pub fn text(&self) -> &CStr {
        // The buffer was filled up to and with a NUL.
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

/// The list of pointers to strings that the kernel puts on the stack of a new program, from some word on.
#[derive(Clone, Copy)]
pub struct Arguments(*const *const u8);

impl Arguments {
    pub fn first(self) -> Option<&'static CStr> {
        // SAFETY: the list ends with a null pointer, which `next` does not pass; what comes before are strings that live as
        // long as the program.
        unsafe { if (*self.0).is_null() { None } else { Some(CStr::from_ptr((*self.0).cast())) } }
    }
    pub fn next(&mut self) -> Option<&'static CStr> {
        let first = self.first()?;
        // SAFETY: the word was not null, so another one follows.
        self.0 = unsafe { self.0.add(1) };
        Some(first)
    }
}

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
        // SAFETY: every pointer that the functions below pass comes from a reference or a string that lives across the
        // call, with the length that belongs to it; the kernel checks the rest.
        let r = unsafe { raw(n, a) };
        if r >= 0 {
            return Ok(r as usize);
        }
        if -r as i32 != EINTR {
            return Err(Fail { call: n, errno: -r as i32 });
        }
    }
}

macro_rules! sys {
    ($n:ident $(, $a:expr)*) => {{
        let given: &[usize] = &[$($a as usize),*];
        let mut all = [0usize; 6];
        all[..given.len()].copy_from_slice(given);
        call(nr::$n, all)
    }};
}

pub const AT_FDCWD: i32 = -100;
const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const AT_REMOVEDIR: usize = 0x200;
const O_CLOEXEC: usize = 0o2000000;
pub const O_WRONLY: usize = 1;
pub const O_CREAT: usize = 0o100;
pub const O_EXCL: usize = 0o200;
pub const O_PATH: usize = 0o10000000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: usize = 0o200000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: usize = 0o40000;

pub fn exit(code: i32) -> ! {
    loop {
        // The call does not return, and there is nothing to do should it.
        let _ = sys!(EXIT_GROUP, code);
    }
}
pub fn open(path: &CStr, flags: usize) -> Done<i32> {
    sys!(OPENAT, AT_FDCWD, path.as_ptr(), flags | O_CLOEXEC, 0o600).map(|fd| fd as i32)
}
pub fn close(fd: i32) -> Done {
    sys!(CLOSE, fd).map(drop)
}
/// No descriptor from `first` on outlives execve(2).
pub fn close_on_exec_from(first: u32) -> Done {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    sys!(CLOSE_RANGE, first, u32::MAX, CLOSE_RANGE_CLOEXEC).map(drop)
}
pub fn read(fd: i32, into: &mut [u8]) -> Done<usize> {
    sys!(READ, fd, into.as_mut_ptr(), into.len())
}
pub fn write(fd: i32, from: &[u8]) -> Done {
    sys!(WRITE, fd, from.as_ptr(), from.len()).map(drop)
}
pub fn mkdir(path: &CStr, mode: usize) -> Done {
    mkdir_in(AT_FDCWD, path, mode)
}
pub fn mkdir_in(dir: i32, path: &CStr, mode: usize) -> Done {
    sys!(MKDIRAT, dir, path.as_ptr(), mode).map(drop)
}
pub fn rmdir(path: &CStr) -> Done {
    sys!(UNLINKAT, AT_FDCWD, path.as_ptr(), AT_REMOVEDIR).map(drop)
}
pub fn unlink(path: &CStr) -> Done {
    sys!(UNLINKAT, AT_FDCWD, path.as_ptr(), 0).map(drop)
}
pub fn rename(from: &CStr, to: &CStr) -> Done {
    sys!(RENAMEAT2, AT_FDCWD, from.as_ptr(), AT_FDCWD, to.as_ptr(), 0).map(drop)
}
/// A character device that all may read and write.
pub fn mknod(dir: i32, path: &CStr, device: u64) -> Done {
    const S_IFCHR: usize = 0o20000;
    sys!(MKNODAT, dir, path.as_ptr(), S_IFCHR | 0o666, device).map(drop)
}
pub fn symlink(target: &CStr, path: &CStr) -> Done {
    sys!(SYMLINKAT, target.as_ptr(), AT_FDCWD, path.as_ptr()).map(drop)
}
pub fn chdir(path: &CStr) -> Done {
    sys!(CHDIR, path.as_ptr()).map(drop)
}
pub fn fchdir(fd: i32) -> Done {
    sys!(FCHDIR, fd).map(drop)
}
pub fn pipe() -> Done<(i32, i32)> {
    let mut fds = [0i32; 2];
    sys!(PIPE2, fds.as_mut_ptr(), O_CLOEXEC)?;
    Ok((fds[0], fds[1]))
}

pub fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: usize, data: &CStr) -> Done {
    sys!(MOUNT, source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr()).map(drop)
}
/// A copy of what is mounted at `path` and below, attached nowhere.
pub fn clone_tree(path: &CStr) -> Done<i32> {
    const OPEN_TREE_CLONE: usize = 1;
    sys!(OPEN_TREE, AT_FDCWD, path.as_ptr(), OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE).map(|fd| fd as i32)
}
/// The same of a name in a directory, without what is mounted below.
pub fn clone_tree_in(dir: i32, name: &CStr) -> Done<i32> {
    const OPEN_TREE_CLONE: usize = 1;
    sys!(OPEN_TREE, dir, name.as_ptr(), OPEN_TREE_CLONE | O_CLOEXEC).map(|fd| fd as i32)
}
pub fn move_mount(from: i32, path: &CStr) -> Done {
    const F_EMPTY_PATH: usize = 4;
    sys!(MOVE_MOUNT, from, c"".as_ptr(), AT_FDCWD, path.as_ptr(), F_EMPTY_PATH).map(drop)
}
pub fn move_mount_onto(from: i32, target: i32) -> Done {
    const BOTH_EMPTY_PATH: usize = 0x44;
    sys!(MOVE_MOUNT, from, c"".as_ptr(), target, c"".as_ptr(), BOTH_EMPTY_PATH).map(drop)
}
/// No mount in the tree tells another of what is mounted in it.
pub fn make_private(tree: i32) -> Done {
    const MS_PRIVATE: u64 = 0x40000;
    set_mount(tree, AT_RECURSIVE, [0, 0, MS_PRIVATE, 0])
}
pub fn set_nodev(mount: i32) -> Done {
    const MOUNT_ATTR_NODEV: u64 = 4;
    set_mount(mount, 0, [MOUNT_ATTR_NODEV, 0, 0, 0])
}
/// `struct mount_attr`: what to set, to clear, propagation, user namespace.
fn set_mount(mount: i32, flags: usize, attributes: [u64; 4]) -> Done {
    sys!(MOUNT_SETATTR, mount, c"".as_ptr(), AT_EMPTY_PATH | flags, attributes.as_ptr(), 32).map(drop)
}
/// The working directory becomes the root; the old one lies on it.
pub fn pivot_root() -> Done {
    sys!(PIVOT_ROOT, c".".as_ptr(), c".".as_ptr()).map(drop)
}
pub fn unmount_here() -> Done {
    const MNT_DETACH: usize = 2;
    sys!(UMOUNT2, c".".as_ptr(), MNT_DETACH).map(drop)
}

/// Forks into new mount, uts, ipc, pid and network namespaces and, if given, into a cgroup; answers 0 in the child.
pub fn clone(unified: Option<i32>) -> Done<usize> {
    const NAMESPACES: u64 = 0x2_0000 | 0x400_0000 | 0x800_0000 | 0x2000_0000 | 0x4000_0000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    const SIGCHLD: u64 = 17;
    // `struct clone_args`: flags, pidfd, child_tid, parent_tid, exit_signal, stack, its size, tls, tids, their number,
    // cgroup.
    let mut arguments = [NAMESPACES, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0];
    if let Some(cgroup) = unified {
        arguments[0] |= CLONE_INTO_CGROUP;
        arguments[10] = cgroup as u64;
    }
    sys!(CLONE3, arguments.as_ptr(), size_of_val(&arguments))
}
/// Waits for a child; answers its exit code, or 128 + the signal.
pub fn wait(pid: usize) -> Done<i32> {
    let mut status = 0i32;
    sys!(WAIT4, pid, &raw mut status, 0, 0)?;
    Ok(if status & 0x7f == 0 { status >> 8 & 0xff } else { 128 + (status & 0x7f) })
}
pub fn umask(mask: usize) -> Done {
    sys!(UMASK, mask).map(drop)
}
pub fn setsid() -> Done {
    sys!(SETSID).map(drop)
}
pub fn setgroups(groups: &[u32]) -> Done {
    sys!(SETGROUPS, groups.len(), groups.as_ptr()).map(drop)
}
pub fn sethostname(name: &[u8]) -> Done {
    sys!(SETHOSTNAME, name.as_ptr(), name.len()).map(drop)
}
pub fn new_session_keyring() -> Done {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    sys!(KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, 0).map(drop)
}
/// Drops what is not in `keep` from the bounding set. A program of root's gets what is left, so that no other set has to
/// be changed.
pub fn drop_bounding(keep: u64) -> Done {
    const PR_CAPBSET_DROP: usize = 24;
    for capability in (0..64).filter(|n| keep & (1 << n) == 0) {
        match sys!(PRCTL, PR_CAPBSET_DROP, capability, 0, 0, 0) {
            // Past the last that the kernel knows.
            Err(fail) if fail.errno == EINVAL => break,
            other => other?,
        };
    }
    Ok(())
}
/// Brings up `lo`.
pub fn loopback() -> Done {
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP_AND_LOOPBACK: u8 = 9;
    // `struct ifreq`: the name, then the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = IFF_UP_AND_LOOPBACK;
    let socket = sys!(SOCKET, 2, 2 | O_CLOEXEC, 0)? as i32;
    sys!(IOCTL, socket, SIOCSIFFLAGS, request.as_ptr())?;
    close(socket)
}
/// Loads a filter that is in a file.
pub fn seccomp(file: i32) -> Done {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    const SECCOMP_FILTER_FLAG_SPEC_ALLOW: usize = 4;
    const MOST: usize = 4096;
    let mut filter = [const { core::mem::MaybeUninit::<u64>::uninit() }; MOST];
    let bytes = sys!(READ, file, filter.as_mut_ptr(), size_of_val(&filter))?;
    // `struct sock_fprog`.
    let program = [bytes / 8, filter.as_ptr() as usize];
    sys!(SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program.as_ptr()).map(drop)
}
/// Returns only with an error.
pub fn execve(program: &CStr, arguments: Arguments, environment: &[&CStr; 2]) -> Done {
    let environment = [environment[0].as_ptr(), environment[1].as_ptr(), core::ptr::null()];
    sys!(EXECVE, program.as_ptr(), arguments.0, environment.as_ptr()).map(drop)
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {entry}", "ud2", entry = sym entry);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl {entry}", "udf #0", entry = sym entry);

extern "C" fn entry(stack: *const *const u8) -> ! {
    // SAFETY: the initial stack holds argc, then the pointers to the arguments, then a null pointer.
    crate::run(Arguments(unsafe { stack.add(1) }))
}

#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with valid ranges.
unsafe extern "C" fn memcpy(d: *mut u8, s: *const u8, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: i < n, and the caller owns n bytes at both ends. Volatile keeps the loop from becoming a call to itself.
        unsafe { d.add(i).write_volatile(*s.add(i)) };
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with a valid range.
unsafe extern "C" fn memset(d: *mut u8, c: i32, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: i < n.
        unsafe { d.add(i).write_volatile(c as u8) };
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with valid ranges.
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: i < n.
        let difference = unsafe { i32::from(*a.add(i)) - i32::from(*b.add(i)) };
        if difference != 0 {
            return difference;
        }
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
