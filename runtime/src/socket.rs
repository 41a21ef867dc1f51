//! AF_UNIX sockets by path, whatever the path's length.
//!
//! `sun_path` has 108 bytes and engines use longer paths. So the socket's file is opened first, with `O_PATH`, and its
//! address is then `/proc/self/fd/N`: always short, and the very file that was checked. Used by the parent on the
//! host's side only.

use crate::error::{Call, Error, Kind, Result};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A descriptor's path in procfs.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Connects a close-on-exec socket to the one at `path`, and bounds this and every later wait to send by `limit`.
///
/// # Errors
/// There is no such file, it is no socket, nobody listens on it, or nobody accepts within `limit`.
pub fn connect(path: &Path, kind: SocketType, limit: Duration) -> Result<OwnedFd> {
    let name = path.display();
    let file = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call("open", name)?;
    let stat = rustix::fs::fstat(&file).call("fstat", path.display())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(Error::new(Kind::Usage, format!("\"{}\" is not a socket", path.display())));
    }
    let address = SocketAddrUnix::new(proc_path(file.as_fd())).call("connect", path.display())?;
    connect_to(&address, kind, limit).map_err(|errno| {
        let error = Error::call("connect", path.display(), errno);
        match errno {
            Errno::CONNREFUSED => error.hint("nobody listens on this socket any more"),
            Errno::AGAIN => error.hint("its owner accepts no connections"),
            Errno::PROTOTYPE => error.hint("the socket is of another type"),
            _ => error,
        }
    })
}

/// Connects to an address that needs no opening, such as an abstract one.
///
/// # Errors
/// What socket(2), setsockopt(2) and connect(2) report; `EAGAIN` when nobody accepts within `limit`.
pub fn connect_to(address: &SocketAddrUnix, kind: SocketType, limit: Duration) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    // Bounds connect(2) too, which waits while the backlog is full.
    set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    rustix::net::connect(&socket, address)?;
    Ok(socket)
}
