//! A container's init, told from every other process that may have had or may get its pid.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::procfs::Procfs;
use crate::error::{Call as _, Error, Kind, Result};
use crate::sys;

/// Which process is meant: a pid alone is given to others after its process is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitProcess {
    /// The pid in the pid namespace of the runtime.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
    /// The boot in which the two above mean something (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// The inode of its pidfds, which no other process has in this boot (Linux 6.9): two processes can have started in
    /// the same tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pidfd_inode: Option<u64>,
}

impl InitProcess {
    /// Describes a process of ours that was just made. It must not have been waited for, so that its pid is its own.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it is gone; a failed call.
    pub fn of(pid: i32) -> Result<InitProcess> {
        let procfs = Procfs::open()?;
        let stat = procfs.stat(pid)?.ok_or_else(|| Error::call("open", format!("/proc/{pid}/stat"), Errno::NOENT))?;
        let raw = Some(pid).filter(|&pid| pid > 0).and_then(Pid::from_raw).ok_or(Errno::SRCH);
        let pidfd = raw
            .and_then(|raw| pidfd_open(raw, PidfdFlags::empty()))
            .call("pidfd_open", format_args!("process {pid}"))?;
        let (start_time, boot_id) = (stat.start_time, procfs.boot_id()?);
        Ok(InitProcess { pid, start_time, boot_id, pidfd_inode: inode(&pidfd)? })
    }
}

/// A process that was alive when it was opened, and what refers to it alone from then on.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
}

impl Process {
    /// Opens the process that is meant; `None` when it is gone, a zombie, or when its pid belongs to another one.
    ///
    /// # Errors
    /// A failed call: then nothing is known of the process.
    pub fn open(init: &InitProcess) -> Result<Option<Process>> {
        // rustix panics on a negative one.
        let Some(pid) = Some(init.pid).filter(|&pid| pid > 0).and_then(Pid::from_raw) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // No such process; or, before Linux 6.9 (EINVAL) and after (ENOENT), a thread that is no process.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::call("pidfd_open", format!("process {pid}"), errno)),
        };
        let process = Process { pid: init.pid, pidfd };
        // After pidfd_open: if the pid had another owner when the descriptor was opened, the times below are that
        // one's, or of one that came later still. An equal time means the descriptor is of the process meant.
        let procfs = Procfs::open()?;
        let Some(stat) = procfs.stat(init.pid)? else { return Ok(None) };
        if stat.start_time != init.start_time || procfs.boot_id()? != init.boot_id {
            return Ok(None);
        }
        // Without an inode on either side the start time has to do.
        if let (Some(recorded), Some(found)) = (init.pidfd_inode, inode(&process.pidfd)?)
            && recorded != found
        {
            return Ok(None);
        }
        if process.is_gone()? { Ok(None) } else { Ok(Some(process)) }
    }

    /// The pid, for messages and for files that engines read.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal, 0 to 64; 0 only asks whether the process is there. `false` when the process is gone.
    ///
    /// # Errors
    /// What pidfd_send_signal(2) reports.
    pub fn signal(&self, signal: i32) -> Result<bool> {
        // Asked before and not after: a zombie takes signals, and SIGKILL makes one.
        if self.is_gone()? {
            return Ok(false);
        }
        match sys::pidfd::send_signal(self.pidfd.as_fd(), signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(Error::call("pidfd_send_signal", format!("process {}", self.pid), errno)),
        }
    }

    /// Whether all its threads have ended; a zombie is gone. The state in `/proc/PID/stat` would say `Z` as soon as the
    /// first thread has ended.
    ///
    /// # Errors
    /// What poll(2) reports.
    pub fn is_gone(&self) -> Result<bool> {
        self.wait_gone(Duration::ZERO)
    }

    /// Waits until it is gone, at most `deadline`; `false` when it is still there then.
    ///
    /// # Errors
    /// What poll(2) reports.
    pub fn wait_gone(&self, deadline: Duration) -> Result<bool> {
        let until = Instant::now() + deadline;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::call("poll", format!("process {}", self.pid), errno)),
            }
        }
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// A process that is still there at the deadline (in an uninterruptible wait, or frozen), or a failed call.
    pub fn kill(&self, deadline: Duration) -> Result<()> {
        if self.signal(libc::SIGKILL)? && !self.wait_gone(deadline)? {
            let what = format!("process {} is still there {} s after SIGKILL", self.pid, deadline.as_secs());
            let hint = "it may wait for a device or a file system, or its cgroup may be frozen";
            return Err(Error::new(Kind::System, what).hint(hint));
        }
        Ok(())
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The inode of a pidfd; `None` before Linux 6.9, where all of them share one.
fn inode(pidfd: &OwnedFd) -> Result<Option<u64>> {
    /// PID_FS_MAGIC in linux/magic.h: "PIDF".
    const PIDFS: i64 = 0x5049_4446;
    if fstatfs(pidfd).call("fstatfs", "pidfd")?.f_type != PIDFS {
        return Ok(None);
    }
    Ok(Some(fstat(pidfd).call("fstat", "pidfd")?.st_ino))
}

#[cfg(test)]
pub(super) mod tests;
