//! A container that is being made: what exists of it so far, and how it is undone.

use super::create::json;
use crate::bundle::Bundle;
use crate::cgroup::{Cgroup, Driver};
use crate::error::Error;
use crate::hooks;
use crate::launch::Init;
use crate::spec::Status;
use crate::state::{Entry, Record, Unknown, of_cgroup};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long processes may take to end after SIGKILL.
const DYING: Duration = Duration::from_secs(10);

/// What exists of a container so far. Either it is finished, or [`Unfinished::undo`] leaves nothing of it.
pub struct Unfinished {
    /// Its state directory, locked.
    pub entry: Entry,
    /// What is on disk, once something is.
    pub record: Option<Record>,
    /// Its cgroups, once they are made.
    pub cgroup: Option<Cgroup>,
    /// Its first process, once it is cloned.
    pub init: Option<Init>,
}

impl Unfinished {
    /// Nothing but a state directory.
    pub fn new(entry: Entry) -> Unfinished {
        Unfinished { entry, record: None, cgroup: None, init: None }
    }

    /// Leaves nothing behind. Answers the error that led here, with whatever went wrong on the way back.
    pub fn undo(self, bundle: &Bundle, driver: &dyn Driver, error: Error) -> Error {
        let mut failures: Vec<Error> = Vec::new();
        if let Some(init) = &self.init {
            failures.extend(init.end().err());
        }
        if let Some(cgroup) = &self.cgroup {
            failures.extend(cgroup.kill_all(DYING).map_err(of_cgroup).err());
            failures.extend(driver.remove(cgroup, DYING).map_err(of_cgroup).err());
        }
        // runtime.md, lifecycle: what fails after something was made goes on with the poststop hooks.
        if let (Some(record), Some(_)) = (&self.record, &self.cgroup) {
            let state = json(&record.state(Status::Stopped, 0));
            failures.extend(hooks::warn_all(&record.poststop, "poststop", &state, bundle.as_fd()));
        }
        failures.extend(self.entry.remove(Unknown::Remove).err());
        failures.iter().fold(error, |error, failure| error.and(format!("while undoing: {failure}")))
    }
}
