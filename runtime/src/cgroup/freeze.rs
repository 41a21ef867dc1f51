//! Freezing a container, and waiting for events of its cgroup.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;

use super::dir::{Dir, keyed, read_all};
use super::{Cgroup, Error};

impl Cgroup {
    /// Stops every process of the container and waits until the kernel says that all are stopped.
    ///
    /// # Errors
    /// [`Error::Gone`]; [`Error::Deadline`] if a process is in an uninterruptible wait: the cgroup is
    /// thawed again then, so that it is never left half frozen; a failed call.
    pub fn freeze(&self, deadline: Duration) -> Result<(), Error> {
        let frozen = match self.freezer()? {
            Freezer::Unified(dir) => {
                dir.write("cgroup.freeze", "1")?;
                wait_event(dir, "frozen", 1, deadline)
            }
            Freezer::V1(dir) => freeze_v1(dir, deadline),
        };
        match frozen {
            Ok(true) => Ok(()),
            failed => {
                let timeout = Error::Deadline { what: "the container's processes to freeze".to_owned() };
                let mut errors = vec![failed.err().unwrap_or(timeout)];
                errors.extend(self.thaw().err());
                Error::collect(errors)
            }
        }
    }

    /// Lets the processes go on.
    ///
    /// # Errors
    /// [`Error::Gone`] or a failed call.
    pub fn thaw(&self) -> Result<(), Error> {
        match self.freezer()? {
            Freezer::Unified(dir) => dir.write("cgroup.freeze", "0").and_then(|()| self.thaw_v1()),
            Freezer::V1(dir) => dir.write("freezer.state", "THAWED"),
        }
    }

    /// Whether the container is paused; a cgroup that is gone is not. On a hybrid host by either freezer: this runtime
    /// uses the unified one there, but a process that joins what the other has stopped does not return either.
    ///
    /// # Errors
    /// A failed call.
    pub fn is_frozen(&self) -> Result<bool, Error> {
        let unified = self.unified()?.map(|dir| dir.read("cgroup.freeze")).transpose()?.flatten();
        let v1 = self.v1("freezer")?.map(|dir| dir.read("freezer.state")).transpose()?.flatten();
        Ok(unified.is_some_and(|freeze| freeze.trim() == "1") || v1.is_some_and(|state| state.trim() != "THAWED"))
    }

    fn freezer(&self) -> Result<Freezer<'_>, Error> {
        if let Some(dir) = self.unified()? {
            return Ok(Freezer::Unified(dir));
        }
        self.v1("freezer")?.map(Freezer::V1).ok_or(Error::Gone)
    }
}

enum Freezer<'a> {
    Unified(&'a Dir),
    V1(&'a Dir),
}

/// The v1 freezer, which tells nobody when it is done and can miss a task that was just being forked.
fn freeze_v1(dir: &Dir, deadline: Duration) -> Result<bool, Error> {
    let until = Instant::now() + deadline;
    let mut pause = Duration::from_micros(50);
    loop {
        // Written again each time: that is what picks up tasks that came in between.
        dir.write("freezer.state", "FROZEN")?;
        match dir.read("freezer.state")?.as_deref().map(str::trim) {
            Some("FROZEN") => return Ok(true),
            None => return Err(Error::Gone),
            Some(_) if Instant::now() >= until => return Ok(false),
            Some(_) => sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Waits until a key of `cgroup.events` has a value; `false` at the deadline. A cgroup that goes away
/// meanwhile counts as having it, for nothing is in it any more.
pub(super) fn wait_event(dir: &Dir, key: &str, value: u64, deadline: Duration) -> Result<bool, Error> {
    let fail = |call, errno| Error::call(call, format!("{}/cgroup.events", dir.name), errno);
    let until = Instant::now() + deadline;
    let events = match dir.open_file("cgroup.events", OFlags::RDONLY) {
        Ok(events) => events,
        Err(Errno::NOENT | Errno::NODEV) => return Ok(true),
        Err(errno) => return Err(fail("openat2", errno)),
    };
    loop {
        match reread(&events) {
            Ok(text) if keyed(&text, key) == Some(value) => return Ok(true),
            Ok(_) => {}
            Err(Errno::NODEV) => return Ok(true),
            Err(errno) => return Err(fail("read", errno)),
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        wait_pri(&events, left).map_err(|errno| fail("poll", errno))?;
    }
}

/// Reads a file from its start; this also arms poll(2) for the next change.
pub(super) fn reread(file: &OwnedFd) -> Result<String, Errno> {
    seek(file, SeekFrom::Start(0))?;
    read_all(file)
}

/// Waits for a kernfs file to change.
fn wait_pri(file: &OwnedFd, timeout: Duration) -> Result<(), Errno> {
    let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::PRI)];
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}
