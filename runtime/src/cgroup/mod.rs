//! The container's cgroups, on hosts with cgroup v1, v2 or both (hybrid).
//!
//! What happens, in order, and who calls it:
//!
//! 1. [`Layout::discover`] tells which hierarchies the host has; [`Path::from_spec`] is the pure
//!    decision where the container goes in each of them, [`devices::effective`] and [`Layout::check`] those
//!    about what it may do there.
//! 2. [`Driver::prepare`] refuses a cgroup that is in use. [`Path::records`] goes to the state file
//!    *before* [`Driver::create`], so that a runtime killed in between leaves nothing unaccounted for.
//!    In this order a record never names a cgroup that was found to belong to someone else.
//! 3. [`Driver::create`] makes the directories and gives a [`Join`]: the child is cloned into the
//!    unified cgroup and, while it has one thread, writes `0` to each `tasks` file of v1. Nobody moves
//!    a process by its pid: that takes a lock of the whole system and waits for an RCU grace period,
//!    5 to 11 ms on an idle machine.
//! 4. [`Driver::apply`] writes the limits before the process starts, and again for `update`.
//!    [`Cgroup::apply_devices`] comes after init made its device nodes.
//! 5. Later commands find the container again with [`Cgroup::open`], which tolerates directories that
//!    are gone, and [`Cgroup::freeze`], [`Cgroup::pids`], [`Cgroup::kill_all`], [`Cgroup::stats`] ... it;
//!    [`Driver::remove`] ends it.
//!
//! Everything below a mount is reached by directory descriptors; no path is resolved twice.

use std::cell::OnceCell;
use std::time::Duration;

use crate::spec::Resources;

mod create;
mod delegate;
pub mod devices;
mod dir;
mod error;
mod freeze;
mod join;
pub mod layout;
#[cfg(test)]
mod live;
mod look;
mod oom;
mod path;
mod processes;
mod remove;
mod resources;
pub mod stats;
#[cfg(test)]
mod tests;
mod walk;

pub use create::Prepared;
pub use error::Error;
pub use join::Join;
pub use layout::{Hierarchy, Layout, Mode, Version};
pub use look::{DeviceAccess, Limits};
pub use oom::{Oom, OomWatch};
pub use path::{Path, Record};
pub use stats::Stats;

use dir::Dir;

/// Who makes, changes and removes cgroups: the runtime itself, or systemd on its behalf.
///
/// Everything that only looks at a cgroup, freezes or kills is the same for both and is on [`Cgroup`].
pub trait Driver {
    /// Opens the hierarchies and looks for what is there already; changes nothing.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] and [`Error::Frozen`] for a cgroup in use, or a failed call.
    fn prepare(&self, path: &Path) -> Result<Prepared, Error>;

    /// Makes the directories; what was made is removed again on failure.
    ///
    /// # Errors
    /// A failed call, or a cgroup that someone else took in the meantime.
    fn create(&self, prepared: Prepared) -> Result<(Cgroup, Join), Error>;

    /// Writes the limits; gives warnings for the administrator about fields that have no effect.
    ///
    /// # Errors
    /// A limit that cannot be set: unknown controller, refused value, below the usage.
    fn apply(&self, cgroup: &Cgroup, resources: &Resources) -> Result<Vec<String>, Error>;

    /// Removes the container's cgroups and their children, waiting at most `deadline` for processes
    /// that are still on their way out.
    ///
    /// # Errors
    /// All failures, collected; removal goes on after each.
    fn remove(&self, cgroup: &Cgroup, deadline: Duration) -> Result<(), Error>;
}

/// The driver that writes to the cgroup file systems itself.
#[derive(Debug, Clone, Copy)]
pub struct Cgroupfs;

impl Driver for Cgroupfs {
    fn prepare(&self, path: &Path) -> Result<Prepared, Error> {
        Prepared::open(path)
    }

    fn create(&self, prepared: Prepared) -> Result<(Cgroup, Join), Error> {
        prepared.create()
    }

    fn apply(&self, cgroup: &Cgroup, resources: &Resources) -> Result<Vec<String>, Error> {
        cgroup.apply(resources)
    }

    fn remove(&self, cgroup: &Cgroup, deadline: Duration) -> Result<(), Error> {
        cgroup.remove(deadline)
    }
}

/// The driver for `--systemd-cgroup` or its absence.
///
/// # Errors
/// [`Error::NoSystemd`] for systemd.
pub fn driver(systemd: bool) -> Result<&'static dyn Driver, Error> {
    if systemd { Err(Error::NoSystemd) } else { Ok(&Cgroupfs) }
}

/// The cgroups of one container.
#[derive(Debug)]
pub struct Cgroup {
    places: Vec<Place>,
    created: Vec<create::Made>,
}

/// One directory of the container, opened when it is first needed: `state` needs one of ten.
#[derive(Debug)]
struct Place {
    record: Record,
    dir: OnceCell<Option<Dir>>,
}

impl Place {
    fn dir(&self) -> Result<Option<&Dir>, Error> {
        if self.dir.get().is_none() {
            let mount = Dir::open_mount(self.record.version, &self.record.mount_point)?;
            let dir = mount.open(&self.record.path)?;
            return Ok(self.dir.get_or_init(|| dir).as_ref());
        }
        Ok(self.dir.get().and_then(Option::as_ref))
    }
}

impl Cgroup {
    /// The cgroups of an existing container, from its state file; nothing is opened yet.
    #[must_use]
    pub fn open(records: &[Record]) -> Self {
        let places = records.iter().map(|record| Place { record: record.clone(), dir: OnceCell::new() });
        Self { places: places.collect(), created: Vec::new() }
    }

    /// The directory in the unified hierarchy.
    fn unified(&self) -> Result<Option<&Dir>, Error> {
        match self.places.iter().find(|p| p.record.version == Version::V2) {
            Some(place) => place.dir(),
            None => Ok(None),
        }
    }

    /// The directory in the v1 hierarchy of a controller.
    fn v1(&self, controller: &str) -> Result<Option<&Dir>, Error> {
        match self.places.iter().find(|p| p.record.controllers.iter().any(|c| c == controller)) {
            Some(place) => place.dir(),
            None => Ok(None),
        }
    }
}
