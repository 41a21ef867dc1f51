//! `update`: other limits for a container.

use std::path::Path;

use super::gate::{self, Gate};
use super::{Root, not_running};
use crate::cgroup;
use crate::cli::{Change, Update};
use crate::error::{Context as _, Error, Kind, Result};
use crate::host;
use crate::log::Log;
use crate::policy;
use crate::spec::{self, Resources, Status};
use crate::state::{Container, of_cgroup};

/// Writes the new limits. What is absent or zero stays as it is; device rules are not changed, for a rule left out of
/// an update would be one taken away.
///
/// # Errors
/// JSON that is not `linux.resources`; `container not running`; a limit that cannot be set.
pub fn run(root: &Root, gate: &Gate, update: &Update, log: &Log) -> Result<()> {
    let mut resources = resources(&update.change)?;
    for (option, schema) in [("l3-cache-schema", &update.l3_cache_schema), ("mem-bw-schema", &update.mem_bw_schema)] {
        if schema.is_some() {
            let what = format!("update --{option}: containers have no resctrl group here");
            let hint = "linux.intelRdt is not supported by this version";
            return Err(Error::new(Kind::Unsupported, what).hint(hint));
        }
    }
    let container = Container::load_locked(&root.existing()?, update.id.as_str())?;
    match container.status()? {
        Status::Created | Status::Running | Status::Paused => {}
        Status::Creating | Status::Stopped => return Err(not_running()),
    }
    let enforcement = gate.tighten(container.record.enforcement.as_ref());
    let verdict = policy::update(&mut resources, &enforcement, &host::facts()?);
    if let Some(error) = policy::denied(&verdict.refusals, &enforcement) {
        return Err(error.context("update"));
    }
    gate::tell(&verdict.notes, log);
    let driver = cgroup::driver(container.record.systemd_cgroup).map_err(of_cgroup)?;
    for warning in driver.apply(&container.cgroup(), &resources).map_err(of_cgroup)? {
        log.warn(&warning);
    }
    Ok(())
}

fn resources(change: &Change) -> Result<Resources> {
    let mut resources: Resources = match change {
        Change::Stdin => spec::read(std::io::stdin().lock(), Path::new("stdin")).map_err(Error::from),
        Change::File(path) => spec::load(path).map_err(Error::from),
        Change::Limits(resources) => return Ok((**resources).clone()),
    }
    .context("update --resources")?;
    resources.devices.clear();
    Ok(resources)
}

#[cfg(test)]
mod tests;
