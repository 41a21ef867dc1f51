//! Removing a container's cgroups.

use std::ffi::CStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::dir::Dir;
use super::freeze::wait_event;
use super::layout::Version;
use super::walk::walk;
use super::{Cgroup, Error, Place};

impl Cgroup {
    /// Removes every directory of the container, children first; see [`super::Driver::remove`].
    pub(super) fn remove(&self, deadline: Duration) -> Result<(), Error> {
        let until = Instant::now() + deadline;
        let mut errors = Vec::new();
        // The unified cgroup first: it alone can tell when the last process is out, and then the v1
        // directories are empty too, since a process leaves all its cgroups at once.
        let (unified, v1): (Vec<_>, Vec<_>) = self.places.iter().partition(|p| p.record.version == Version::V2);
        for place in unified.into_iter().chain(v1) {
            if let Err(error) = place.remove(until) {
                errors.push(error);
            }
        }
        Error::collect(errors)
    }
}

impl Place {
    fn remove(&self, until: Instant) -> Result<(), Error> {
        let mount = Dir::open_mount(self.record.version, &self.record.mount_point)?;
        let (above, leaf) = self.record.path.rsplit_once('/').unwrap_or(("", &self.record.path));
        let parent = if above.is_empty() { Some(mount) } else { mount.open(above)? };
        // Without the parent there is no child.
        let Some(parent) = parent else { return Ok(()) };
        remove_tree(self.record.version, &parent, leaf, until)
    }
}

/// Removes a cgroup and all below it. The first rmdir is the common case: empty, without children.
fn remove_tree(version: Version, parent: &Dir, name: &str, until: Instant) -> Result<(), Error> {
    let mut pause = Duration::from_micros(100);
    loop {
        match parent.rmdir(name) {
            Ok(()) | Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(Error::call("rmdir", format!("{}/{name}", parent.name), errno)),
        }
        let Some(dir) = parent.open(name)? else { return Ok(()) };
        walk(&dir, &mut |dir| thaw(version, dir), &mut remove_child)?;
        match parent.rmdir(name) {
            Ok(()) | Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            Err(_) => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(still_used(&dir));
        }
        if version == Version::V2 && !wait_event(&dir, "populated", 0, left)? {
            return Err(still_used(&dir));
        }
        // v1 has no event for this. On v2 the directory can stay busy for a moment after the event.
        sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// One that is in use stays, and keeps those above it, for the next round.
fn remove_child(parent: &Dir, name: &CStr) -> Result<(), Error> {
    match parent.rmdir(name) {
        Ok(()) | Err(Errno::NOENT | Errno::NODEV | Errno::BUSY) => Ok(()),
        Err(errno) => Err(Error::call("rmdir", format!("{}/{}", parent.name, name.to_bytes().escape_ascii()), errno)),
    }
}

/// Frozen processes of v1 cannot die.
fn thaw(version: Version, dir: &Dir) -> Result<(), Error> {
    let (file, value) = match version {
        Version::V1 => ("freezer.state", "THAWED"),
        Version::V2 => ("cgroup.freeze", "0"),
    };
    match dir.try_write(file, value) {
        Ok(()) | Err(Errno::NOENT | Errno::NODEV) => Ok(()),
        Err(errno) => Err(dir.refused(file, value, errno)),
    }
}

fn still_used(dir: &Dir) -> Error {
    let mut pids = Vec::new();
    // Only to say more in the message: without the list it says less.
    let _unlisted = super::processes::collect(dir, &mut pids);
    Error::Deadline { what: format!("\"{}\" to become empty ({} process(es) left)", dir.name, pids.len()) }
}
