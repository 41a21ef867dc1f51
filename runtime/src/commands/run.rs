//! `run`: create, start, wait, delete.

use super::Root;
use super::caller::Caller;
use super::create::{self, Made, Mode};
use super::gate::Gate;
use crate::cli::{Delete, Run};
use crate::error::{Call, Result};
use crate::foreground::{Signals, become_subreaper};
use crate::launch;
use crate::log::Log;
use crate::notify;
use crate::spec::Status;
use crate::terminal::Proxy;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

/// `casemate run`; answers the process's exit code.
///
/// # Errors
/// What `create` or `start` would say.
pub fn run(root: &Root, systemd_cgroup: bool, gate: &Gate, request: &Run, log: &Log) -> Result<ExitCode> {
    // Before anything is opened here: a number that the caller counts and did not open would be ours.
    let caller = Caller::secure(request.create.preserve_fds)?;
    watched(root, systemd_cgroup, gate, request, caller, &mut |_| Ok(()), log)
}

/// The same; `before_start` is called when the container is created, and its failure ends it. `caller` was secured before
/// anything was opened.
///
/// # Errors
/// See [`run`].
pub(super) fn watched(
    root: &Root,
    systemd_cgroup: bool,
    gate: &Gate,
    request: &Run,
    caller: Caller,
    before_start: &mut dyn FnMut(&Made) -> Result<()>,
    log: &Log,
) -> Result<ExitCode> {
    if request.detach {
        let made = create::make(root, systemd_cgroup, gate, &request.create, Mode::RunDetached, caller, log)?;
        start(made)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the clone: a child that ends at once must not be missed.
    let signals = Signals::block()?;
    if !request.no_subreaper {
        become_subreaper()?;
    }
    let made = create::make(root, systemd_cgroup, gate, &request.create, Mode::RunForeground, caller, log)?;
    if let Err(error) = before_start(&made) {
        return Err(made.abandon(error));
    }
    let host_socket = notify::host_socket();
    // Before the start: the service may be ready at once.
    let socket = host_socket.as_ref().map(|_| notify::setup(made.entry.as_fd())).transpose()?;
    let mut made = start(made)?;
    let proxy = made.init.terminal.take().map(Proxy::stdio).transpose()?;
    let pid = made.init.pid;
    let forward = match (&socket, &host_socket) {
        (Some(socket), Some(host)) => Some(socket.forward(host, pid)?),
        _ => None,
    };
    let pidfd: OwnedFd = made.init.pidfd.try_clone().call("fcntl", "pidfd")?;
    let entry = made.entry;
    // Other commands may work on the container while it runs.
    drop(entry);
    let code = signals.wait(pidfd.as_fd(), pid, proxy, forward)?;
    if !request.keep {
        super::delete::run(root, &Delete { id: request.create.id.clone(), force: false }, log)?;
    }
    Ok(code)
}

/// Starts what was made; whatever fails on the way ends it.
fn start(mut made: Made) -> Result<Made> {
    let listener = made.record.listener.clone();
    let state = made.state(Status::Running);
    let mut deliver = |fd: OwnedFd, pid: i32| match &listener {
        Some(to) => launch::deliver_listener(to, fd.as_fd(), pid, state.clone()),
        None => Ok(()),
    };
    let started = made.init.start(&made.cgroup, &mut deliver);
    let started = started.map_err(|e| e.context("unable to start container process")).and_then(|()| made.poststart());
    match started {
        Ok(()) => Ok(made),
        Err(error) => Err(made.abandon(error)),
    }
}
