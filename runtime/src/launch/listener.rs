//! The seccomp listener: fetched from init, handed to the agent that the config names (config-linux.md, "seccomp").

use crate::error::{Call, Context, Result};
use crate::plan::filter::Listener;
use crate::spec::{ContainerProcessState, State};
use crate::terminal::console_socket;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Copies descriptor `number` out of init (pidfd_getfd(2)).
///
/// # Errors
/// What the call says; it takes the right to trace init.
pub(super) fn fetch(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd> {
    pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()).call("pidfd_getfd", "seccomp listener")
}

/// Sends the listener with the container's state to the agent.
///
/// # Errors
/// An agent that is not there or does not take it.
pub fn deliver(to: &Listener, fd: BorrowedFd<'_>, pid: i32, state: State) -> Result<()> {
    let process = ContainerProcessState {
        oci_version: state.oci_version.clone(),
        fds: vec!["seccompFd".into()],
        pid,
        metadata: to.metadata.clone(),
        state,
    };
    let json = serde_json::to_vec(&process).unwrap_or_default();
    console_socket::send_bytes(to.path.as_ref(), fd, &json).context("send the seccomp listener to its agent")
}
