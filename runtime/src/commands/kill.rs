//! `kill`: a signal to a container.

use std::os::fd::AsFd as _;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{DEADLINE, Root, not_running};
use crate::cgroup::Cgroup;
use crate::cli::{Kill, Signal};
use crate::error::{Error, Result};
use crate::state::{Container, of_cgroup};
use crate::sys;

/// Sends a signal to the container's init; with `--all`, and with SIGKILL if the pid namespace is shared, to all its
/// processes. It does not wait for what the signal does.
///
/// # Errors
/// `container does not exist`; `container not running`, unless `--all`; what the kernel refuses.
pub fn run(root: &Root, kill: &Kill) -> Result<()> {
    let container = Container::load(&root.existing()?, kill.id.as_str())?;
    let signal = kill.signal.number();
    let alive = match container.process()? {
        Some(process) => process.signal(signal)?,
        None => false,
    };
    // Those of a pid namespace of their own die with init. When it is dead, the cgroup may be another container's.
    let others = alive || !container.record.own_pid_namespace;
    if kill.signal == Signal::KILL {
        let all = kill.all || !container.record.own_pid_namespace;
        // Engines kill a paused container and may resume it only afterwards: the kill has to get through the freezer.
        if others && (all || container.cgroup().is_frozen().map_err(of_cgroup)?) {
            container.kill_all(DEADLINE)?;
        }
    } else if kill.all && others && signal != 0 {
        signal_all(&container.cgroup(), signal, container.record.init.as_ref().map(|init| init.pid))?;
    }
    if alive || kill.all { Ok(()) } else { Err(not_running()) }
}

/// Sends a signal to each process in the cgroup but `except`, which has got it.
fn signal_all(cgroup: &Cgroup, signal: i32, except: Option<i32>) -> Result<()> {
    let own = i32::try_from(std::process::id()).ok();
    for pid in cgroup.pids().map_err(of_cgroup)? {
        let Some(raw) = Pid::from_raw(pid).filter(|_| Some(pid) != except && Some(pid) != own) else { continue };
        let pidfd = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => continue,
            Err(errno) => return Err(Error::call("pidfd_open", format!("process {pid}"), errno)),
        };
        // Read again: if the pid is still there, the descriptor cannot be of a process that got the number since.
        if !cgroup.pids().map_err(of_cgroup)?.contains(&pid) {
            continue;
        }
        match sys::pidfd::send_signal(pidfd.as_fd(), signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(Error::call("pidfd_send_signal", format!("process {pid}"), errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
