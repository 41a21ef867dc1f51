//! `start`: the other end of the socket on which a created init waits.

use super::channel::{Channel, FromInit};
use super::{PATIENCE, Wait, died, out_of_turn};
use crate::cgroup::Cgroup;
use crate::error::{Call, Result};
use crate::program::format::report_state;
use crate::program::{Op, words};
use crate::state::{Entry, START};
use crate::sys::object::Shared;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The socket on which init will wait, bound in the entry's directory.
///
/// # Errors
/// What socket(2), bind(2) and listen(2) say.
pub fn listen(entry: &Entry) -> Result<OwnedFd> {
    let socket = socket()?;
    // The mode of the socket's file, as of all files of an entry, is 0600.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = rustix::net::bind(&socket, &address(entry)?);
    rustix::process::umask(before);
    bound.call("bind", START)?;
    rustix::net::listen(&socket, 1).call("listen", START)?;
    Ok(socket)
}

fn socket() -> Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .call("socket", START)
}

/// By descriptor: a socket address holds 107 bytes, and the paths of engines are longer.
fn address(entry: &Entry) -> Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{START}", entry.as_fd().as_raw_fd());
    SocketAddrUnix::new(path.as_str()).call("bind", path)
}

/// Connects to a created container. To be done before its `start` file is removed, which makes it count as started.
///
/// # Errors
/// A container whose init does not wait.
pub fn connect(entry: &Entry) -> Result<Channel> {
    let socket = socket()?;
    rustix::net::connect(&socket, &address(entry)?).call("connect", START)?;
    Ok(Channel::from_socket(socket))
}

/// What init does between start and execve besides.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// It hands out a seccomp listener.
    pub listener: bool,
    /// It runs startContainer hooks, which may take any time.
    pub hooks: bool,
}

/// Tells init to run the process and waits until it does.
///
/// # Errors
/// What init reports, or how it died.
pub fn start(
    channel: &Channel,
    pidfd: BorrowedFd<'_>,
    expected: Expected,
    program: &dyn Fn() -> Vec<Op>,
    cgroup: &Cgroup,
    on_listener: &mut dyn FnMut(OwnedFd) -> Result<()>,
) -> Result<()> {
    let object = match channel.receive(Some(PATIENCE))? {
        FromInit::Program(object) => object,
        FromInit::Closed => return Err(died("closed its socket", cgroup)),
        _ => return Err(out_of_turn()),
    };
    let shared = Shared::map(&object).call("mmap", "program")?;
    channel.start()?;
    let patience = if expected.hooks { None } else { Some(PATIENCE) };
    Wait { channel, shared: &shared, pidfd, patience }.for_exec(expected.listener, on_listener)?;
    let report = shared.report();
    match report.state {
        report_state::EXECUTING => Ok(()),
        report_state::FAILED => {
            // Made again from the configuration that was stored at create, only to have the words. What may fail here
            // is near the end, so it is counted from there.
            let program = program();
            let mut report = report;
            let from_end = shared.operations().saturating_sub(report.op);
            report.op = (program.len() as u32).saturating_sub(from_end);
            Err(words::failure(&program, &report))
        }
        _ => Err(died("ended", cgroup)),
    }
}
