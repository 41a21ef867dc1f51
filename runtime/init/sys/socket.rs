//! Descriptors as such, pipes, sockets, ioctl(2).

use super::*;

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
