//! bpf(2), as much of it as device programs of cgroups need. What tracing needs is in `tracing`.

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

pub(super) const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_PROG_QUERY: libc::c_long = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

/// One instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// The operation.
    pub code: u8,
    /// The destination register in the low half, the source register in the high one.
    pub registers: u8,
    /// The offset of a jump or of memory.
    pub offset: i16,
    /// The constant.
    pub immediate: u32,
}

impl Insn {
    /// An instruction on the registers `to` and `from`.
    #[must_use]
    pub const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: u32) -> Self {
        // The order of the halves is that of a C bit-field on the machine.
        let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        Self { code, registers, offset, immediate }
    }
}

/// How a program is attached.
#[derive(Debug, Clone, Copy)]
pub enum Attach<'a> {
    /// Beside the programs that are there.
    Beside,
    /// In the place of one that is there (Linux 5.6).
    Replacing(BorrowedFd<'a>),
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

impl Load {
    /// The attributes point to the program and the licence, which have to outlive their use.
    pub(super) fn new(kind: u32, program: &[Insn], licence: &CStr) -> Result<Load, Errno> {
        Ok(Load {
            prog_type: kind,
            insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
            insns: address(program.as_ptr()),
            license: address(licence.as_ptr()),
            ..Load::default()
        })
    }
}

/// The same for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Default)]
struct AttachTo {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The same for `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The same for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The same for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
struct InfoBy {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The beginning of `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    r#type: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// Loads a program that decides on device access.
///
/// # Errors
/// `EPERM` without CAP_BPF or CAP_SYS_ADMIN, `EINVAL` or `EACCES` for a program the verifier refuses.
pub fn load_cgroup_device(program: &[Insn], name: &str) -> Result<OwnedFd, Errno> {
    let mut attr = Load::new(BPF_PROG_TYPE_CGROUP_DEVICE, program, c"Apache-2.0")?;
    attr.expected_attach_type = BPF_CGROUP_DEVICE;
    // The last byte stays zero: the kernel wants the name terminated.
    for (to, from) in attr.prog_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: `program` and the licence outlive the call, and their lengths are those given.
    unsafe { bpf_fd(BPF_PROG_LOAD, &mut attr) }
}

/// Attaches a program to a cgroup of the unified hierarchy, open to other programs beside it.
///
/// # Errors
/// `EPERM` if a program of an ancestor forbids further ones, `EINVAL` on a kernel without device
/// programs, `ENOENT` if the one to be replaced is not attached.
pub fn attach_cgroup_device(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, how: Attach<'_>) -> Result<(), Errno> {
    let (flags, replaced) = match how {
        Attach::Beside => (BPF_F_ALLOW_MULTI, 0),
        Attach::Replacing(old) => (BPF_F_ALLOW_MULTI | BPF_F_REPLACE, number(old)),
    };
    let mut attr = AttachTo {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: flags,
        replace_bpf_fd: replaced,
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr) }.map(drop)
}

/// Detaches a program from a cgroup.
///
/// # Errors
/// `ENOENT` if it is not attached.
pub fn detach_cgroup_device(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attr = AttachTo {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        ..AttachTo::default()
    };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf(BPF_PROG_DETACH, &mut attr) }.map(drop)
}

/// The ids of the device programs attached to a cgroup itself.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN or CAP_SYS_ADMIN.
pub fn query_cgroup_device(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    // The kernel allows 64 programs of one type on a cgroup (`BPF_CGROUP_MAX_PROGS`).
    let mut ids = [0_u32; 64];
    let mut attr = Query {
        target_fd: number(cgroup),
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: 64,
        ..Query::default()
    };
    // SAFETY: `ids` has the 64 elements given, and outlives the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr) }?;
    let count = usize::try_from(attr.prog_cnt).unwrap_or(0);
    Ok(ids.iter().copied().take(count).collect())
}

/// Opens a loaded program.
///
/// # Errors
/// `ENOENT` if it is gone.
pub fn open_program(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the attributes hold no pointers.
    unsafe { bpf_fd(BPF_PROG_GET_FD_BY_ID, &mut attr) }
}

/// The name a program was loaded with, at most 15 bytes.
///
/// # Errors
/// Whatever bpf(2) reports.
pub fn program_name(program: BorrowedFd<'_>) -> Result<String, Errno> {
    let mut info = ProgramInfo::default();
    let mut attr = InfoBy {
        bpf_fd: number(program),
        info_len: u32::try_from(size_of::<ProgramInfo>()).map_err(|_| Errno::INVAL)?,
        info: address(&raw mut info),
    };
    // SAFETY: `info` has the length given, is plain integers and outlives the call.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let name = info.name.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

pub(super) fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

pub(super) fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// # Safety
/// `A` is the beginning of `union bpf_attr` for `command`, and every pointer in it is valid for what
/// the command does with it.
pub(super) unsafe fn bpf<A>(command: libc::c_long, attr: &mut A) -> Result<RawFd, Errno> {
    // SAFETY: the kernel reads, and for some commands writes, at most `size_of::<A>()` bytes of `attr`;
    // the caller vouches for the pointers in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<A>()) };
    match RawFd::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// # Safety
/// As for [`bpf`], and `command` returns a new descriptor; bpf(2) makes them close-on-exec.
pub(super) unsafe fn bpf_fd<A>(command: libc::c_long, attr: &mut A) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller keeps the promises of `bpf`.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the descriptor is new, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
