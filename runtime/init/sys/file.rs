//! Files and directories, by descriptor.

use super::*;

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
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
pub const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
