//! The processes of a container: who they are, and how to end them all.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::dir::{Dir, read_all};
use super::walk::walk;
use super::{Cgroup, Error};

/// Adds the pids of a cgroup and of all below it, as seen from the caller's pid namespace.
pub(super) fn collect(top: &Dir, pids: &mut Vec<i32>) -> Result<(), Error> {
    let mut enter = |dir: &Dir| {
        let text = read_procs(dir)?.unwrap_or_default();
        // Processes of another pid namespace, which is none below ours, show as 0.
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|&pid| pid > 0));
        Ok(())
    };
    walk(top, &mut enter, &mut |_, _| Ok(()))
}

/// `cgroup.procs`, empty for a threaded cgroup: its processes are listed by the domain above it.
fn read_procs(dir: &Dir) -> Result<Option<String>, Error> {
    match dir.open_file("cgroup.procs", rustix::fs::OFlags::RDONLY).and_then(read_all) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::OPNOTSUPP) => Ok(Some(String::new())),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(errno) => Err(Error::call("read", format!("{}/cgroup.procs", dir.name), errno)),
    }
}

impl Cgroup {
    /// The directory that lists the container's processes: the unified one where there is one.
    pub(super) fn listing(&self) -> Result<Option<&Dir>, Error> {
        if let Some(dir) = self.unified()? {
            return Ok(Some(dir));
        }
        for place in &self.places {
            if let Some(dir) = place.dir()? {
                return Ok(Some(dir));
            }
        }
        Ok(None)
    }

    /// All processes of the container, those in child cgroups included, in ascending order; none if
    /// the cgroup is gone.
    ///
    /// # Errors
    /// A failed call.
    pub fn pids(&self) -> Result<Vec<i32>, Error> {
        let mut pids = Vec::new();
        if let Some(dir) = self.listing()? {
            collect(dir, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Sends SIGKILL to every process of the container, frozen ones included; does not wait for their
    /// end. `cgroup.kill` (Linux 5.14) does it at one stroke; without it the cgroup is frozen first,
    /// so that no process can fork faster than it is found, for at most `deadline`.
    ///
    /// # Errors
    /// A failed call.
    pub fn kill_all(&self, deadline: Duration) -> Result<(), Error> {
        if let Some(dir) = self.unified()? {
            match dir.try_write("cgroup.kill", "1") {
                Ok(()) => return self.thaw_v1(),
                Err(Errno::NODEV) => return Ok(()),
                // Before 5.14, or a threaded cgroup.
                Err(Errno::NOENT | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(dir.refused("cgroup.kill", "1", errno)),
            }
        }
        if self.listing()?.is_none() {
            return Ok(());
        }
        let until = Instant::now() + deadline;
        let mut errors = Vec::new();
        // A cgroup that will not freeze (a process in an uninterruptible wait) is killed all the same.
        let frozen = self.freeze(deadline).is_ok();
        loop {
            let pids = self.pids()?;
            for &pid in &pids {
                if let Err(error) = self.kill_one(pid) {
                    errors.push(error);
                }
            }
            // Frozen, nobody was born since the list was read. Otherwise look again until it is empty.
            if frozen || pids.is_empty() || !errors.is_empty() || Instant::now() >= until {
                break;
            }
        }
        if let Err(error) = self.thaw() {
            errors.push(error);
        }
        Error::collect(errors)
    }

    /// Thaws the v1 freezer of a hybrid host. This runtime never freezes there, but someone else may
    /// have, and unlike that of v2 the v1 freezer does not let a killed process die.
    pub(super) fn thaw_v1(&self) -> Result<(), Error> {
        match self.v1("freezer")? {
            Some(dir) => dir.write("freezer.state", "THAWED"),
            None => Ok(()),
        }
    }

    /// Kills one process by pidfd. The list is read again after the pidfd is open: if the pid is still
    /// in it, the descriptor cannot belong to an unrelated process that got the number since.
    fn kill_one(&self, pid: i32) -> Result<(), Error> {
        let Some(raw) = Pid::from_raw(pid) else { return Ok(()) };
        let pidfd = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(()),
            Err(errno) => return Err(Error::call("pidfd_open", format!("process {pid}"), errno)),
        };
        if !self.pids()?.contains(&pid) {
            return Ok(());
        }
        match pidfd_send_signal(pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(Error::call("pidfd_send_signal", format!("process {pid}"), errno)),
        }
    }
}
