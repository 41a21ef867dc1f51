//! A container as its record and the kernel together describe it.

use std::time::Duration;

use super::entry::Entry;
use super::process::Process;
use super::record::{Phase, Record};
use super::store::Store;
use crate::cgroup::{self, Cgroup};
use crate::error::{Error, Kind, Result};
use crate::spec::{State, Status};

/// A container with its entry and its record.
#[derive(Debug)]
pub struct Container {
    /// Its directory, perhaps with the lock.
    pub entry: Entry,
    /// What `state.json` says, checked.
    pub record: Record,
}

impl Container {
    /// Opens a container to look at it or to signal it.
    ///
    /// # Errors
    /// `container does not exist`; a record that cannot be used.
    pub fn load(store: &Store, id: &str) -> Result<Container> {
        Container::of(store.entry(id)?)
    }

    /// Opens a container to change it.
    ///
    /// # Errors
    /// As [`Container::load`], and a lock that somebody keeps.
    pub fn load_locked(store: &Store, id: &str) -> Result<Container> {
        Container::of(store.lock(id)?)
    }

    fn of(entry: Entry) -> Result<Container> {
        let record = entry.read()?;
        Ok(Container { entry, record })
    }

    /// The status, as it is now.
    ///
    /// A container whose `create` was killed is stopped: init ends when it loses its parent before it is ready.
    ///
    /// # Errors
    /// A failed call; nothing is guessed then.
    pub fn status(&self) -> Result<Status> {
        Ok(self.look()?.0)
    }

    /// The status, and the process if it has one that is alive.
    ///
    /// # Errors
    /// As [`Container::status`].
    pub fn look(&self) -> Result<(Status, Option<Process>)> {
        let process = self.process()?;
        let status = match (&process, self.record.phase) {
            (_, Phase::Creating) if self.entry.is_locked_by_another()? => Status::Creating,
            (_, Phase::Creating) | (None, Phase::Created) => Status::Stopped,
            // Paused before created, as engines expect: `start` of a paused container would not return.
            (Some(_), Phase::Created) if self.is_frozen()? => Status::Paused,
            (Some(_), Phase::Created) if self.entry.is_waiting()? => Status::Created,
            (Some(_), Phase::Created) => Status::Running,
        };
        Ok((status, process))
    }

    /// The container's init, if it is alive.
    ///
    /// # Errors
    /// See [`Process::open`].
    pub fn process(&self) -> Result<Option<Process>> {
        self.record.init.as_ref().map_or(Ok(None), Process::open)
    }

    /// The container's cgroups; nothing is opened yet.
    pub fn cgroup(&self) -> Cgroup {
        Cgroup::open(&self.record.cgroups)
    }

    /// Kills all processes in the container's cgroups, frozen ones too, and waits for none.
    ///
    /// # Errors
    /// See [`Container::refuse_from_inside`] and [`Cgroup::kill_all`].
    pub fn kill_all(&self, deadline: Duration) -> Result<()> {
        self.refuse_from_inside("kill")?;
        match self.cgroup().kill_all(deadline) {
            // Where there is no cgroup there is no process.
            Ok(()) | Err(cgroup::Error::Gone) => Ok(()),
            Err(error) => Err(of_cgroup(error)),
        }
    }

    /// Refuses to kill or to freeze cgroups that this process is in: it would not live to finish. A record that names
    /// them is wrong, or the command was called by a process of the container.
    ///
    /// # Errors
    /// [`Kind::Denied`]; a failed call.
    pub fn refuse_from_inside(&self, what: &str) -> Result<()> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        if !self.cgroup().pids().map_err(of_cgroup)?.contains(&own) {
            return Ok(());
        }
        let error =
            Error::new(Kind::Denied, format!("{what} container \"{}\": this process is in it", self.entry.id()));
        Err(error.hint("call the runtime from a process outside of the container's cgroup"))
    }

    fn is_frozen(&self) -> Result<bool> {
        self.cgroup().is_frozen().map_err(of_cgroup)
    }

    /// What a hook reads on its stdin.
    pub fn state(&self, status: Status, pid: i32) -> State {
        self.record.state(status, pid)
    }
}

/// An error of the cgroup room as one of the runtime.
pub fn of_cgroup(error: cgroup::Error) -> Error {
    Error::new(Kind::System, error.to_string())
}

#[cfg(test)]
mod tests;
