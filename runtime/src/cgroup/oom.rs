//! Out of memory: whether it happened, and being told when it does.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fs::OFlags;
use rustix::io::{Errno, read};

use super::dir::{Dir, keyed, read_all};
use super::freeze::reread;
use super::{Cgroup, Error};

/// What a notification meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oom {
    /// The memory limit was hit and the OOM killer was called.
    Happened,
    /// Something else changed.
    Quiet,
    /// The cgroup is gone; nothing more will come.
    Gone,
}

/// A descriptor to poll for OOM events of a container.
#[derive(Debug)]
pub struct OomWatch {
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The kernel signals the eventfd; `control` must stay open for the registration to hold.
    V1 { event: OwnedFd, control: OwnedFd, dir: String },
    /// `memory.events` and the last count of `oom_kill` seen.
    V2 { events: OwnedFd, seen: u64, file: String },
}

impl Cgroup {
    /// How many processes the OOM killer killed in this container and below.
    ///
    /// # Errors
    /// A failed call. Without a memory controller, or a cgroup, the answer is 0.
    pub fn oom_killed(&self) -> Result<u64, Error> {
        let count = match self.v1("memory")? {
            Some(dir) => dir.read_key("memory.oom_control", "oom_kill")?,
            None => match self.unified()? {
                Some(dir) => dir.read_key("memory.events", "oom_kill")?,
                None => None,
            },
        };
        Ok(count.unwrap_or(0))
    }

    /// Opens the OOM notification for `events`: an eventfd on v1, `memory.events` on v2.
    ///
    /// # Errors
    /// [`Error::Gone`], or a failed call: without a memory controller there is no such file.
    pub fn watch_oom(&self) -> Result<OomWatch, Error> {
        let source = match self.v1("memory")? {
            Some(dir) => register(dir)?,
            None => {
                let dir = self.unified()?.ok_or(Error::Gone)?;
                let file = format!("{}/memory.events", dir.name);
                let events = dir
                    .open_file("memory.events", OFlags::RDONLY)
                    .map_err(|errno| Error::call("openat2", file.clone(), errno))?;
                let text = read_all(&events).map_err(|errno| Error::call("read", file.clone(), errno))?;
                Source::V2 { events, seen: keyed(&text, "oom_kill").unwrap_or(0), file }
            }
        };
        Ok(OomWatch { source })
    }
}

/// Registers an eventfd as the kernel's `Documentation/admin-guide/cgroup-v1/memory.rst` says.
fn register(dir: &Dir) -> Result<Source, Error> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| Error::call("eventfd2", dir.name.clone(), errno))?;
    let control = dir
        .open_file("memory.oom_control", OFlags::RDONLY)
        .map_err(|errno| Error::call("openat2", format!("{}/memory.oom_control", dir.name), errno))?;
    dir.write("cgroup.event_control", &format!("{} {}", event.as_raw_fd(), control.as_raw_fd()))?;
    Ok(Source::V1 { event, control, dir: dir.name.clone() })
}

impl OomWatch {
    /// What to poll the descriptor for.
    #[must_use]
    pub fn poll_flags(&self) -> PollFlags {
        match self.source {
            Source::V1 { .. } => PollFlags::IN,
            Source::V2 { .. } => PollFlags::PRI,
        }
    }

    /// Takes the notification that poll(2) reported.
    ///
    /// # Errors
    /// A failed read.
    pub fn take(&mut self) -> Result<Oom, Error> {
        match &mut self.source {
            Source::V1 { event, control, dir } => {
                let fail = |errno| Error::call("read", format!("{dir}/memory.oom_control"), errno);
                let mut count = [0; 8];
                match read(&*event, &mut count) {
                    Ok(_) => {}
                    Err(Errno::AGAIN) => return Ok(Oom::Quiet),
                    Err(errno) => return Err(fail(errno)),
                }
                // The kernel signals the removal of the cgroup in the same way as an OOM.
                match reread(control) {
                    Ok(_) => Ok(Oom::Happened),
                    Err(Errno::NODEV) => Ok(Oom::Gone),
                    Err(errno) => Err(fail(errno)),
                }
            }
            Source::V2 { events, seen, file } => {
                let text = match reread(events) {
                    Ok(text) => text,
                    Err(Errno::NODEV) => return Ok(Oom::Gone),
                    Err(errno) => return Err(Error::call("read", file.clone(), errno)),
                };
                let now = keyed(&text, "oom_kill").unwrap_or(0);
                let grew = now > *seen;
                *seen = now;
                Ok(if grew { Oom::Happened } else { Oom::Quiet })
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::V1 { event, .. } => event.as_fd(),
            Source::V2 { events, .. } => events.as_fd(),
        }
    }
}
