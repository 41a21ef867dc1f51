//! `pause` and `resume`: the freezer.

use super::{DEADLINE, Root, not_running};
use crate::cli::ContainerId;
use crate::error::{Error, Kind, Result};
use crate::spec::Status;
use crate::state::{Container, of_cgroup};

/// Freezes all processes of a running or created container.
///
/// # Errors
/// `container not running`, also when it is paused already; processes that do not freeze, which are thawed again then.
pub fn pause(root: &Root, id: &ContainerId) -> Result<()> {
    let container = Container::load_locked(&root.existing()?, id.as_str())?;
    match container.status()? {
        Status::Running | Status::Created => {
            container.refuse_from_inside("pause")?;
            container.cgroup().freeze(DEADLINE).map_err(of_cgroup)
        }
        Status::Creating | Status::Paused | Status::Stopped => Err(not_running()),
    }
}

/// Thaws a paused container.
///
/// # Errors
/// `container not paused`; a failed call.
pub fn resume(root: &Root, id: &ContainerId) -> Result<()> {
    let container = Container::load_locked(&root.existing()?, id.as_str())?;
    match container.status()? {
        Status::Paused => container.cgroup().thaw().map_err(of_cgroup),
        Status::Creating | Status::Created | Status::Running | Status::Stopped => {
            Err(Error::new(Kind::WrongState, "container not paused"))
        }
    }
}

#[cfg(test)]
mod tests;
