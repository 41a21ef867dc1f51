//! `state`: one container, for engines.

use std::io::Write;

use super::{Root, passwd, print};
use crate::cli::ContainerId;
use crate::error::{Error, Kind, Result};
use crate::policy;
use crate::spec::{Report, Status};
use crate::state::Container;

/// Prints the container's state as one JSON object.
///
/// # Errors
/// `container does not exist`; a record that cannot be used; a failed call.
pub fn run(root: &Root, id: &ContainerId, out: &mut dyn Write) -> Result<()> {
    let container = Container::load(&root.existing()?, id.as_str())?;
    let report = report(&container, passwd::name(container.record.owner_uid))?;
    let text = serde_json::to_string_pretty(&report);
    let text = text.map_err(|error| Error::new(Kind::System, format!("write json: {error}")))?;
    print(out, &format!("{text}\n")).map(drop)
}

/// What is printed of a container.
pub(super) fn report(container: &Container, owner: String) -> Result<Report> {
    let (status, process) = container.look()?;
    let record = &container.record;
    let mut annotations = record.annotations.clone();
    if let Some(enforcement) = &record.enforcement {
        annotations.extend(policy::show::annotations(enforcement, &record.notes));
    }
    Ok(Report {
        oci_version: record.oci_version.clone(),
        id: record.id.clone(),
        // A container that counts as stopped has no process, even if its init has not noticed yet.
        pid: process.filter(|_| status != Status::Stopped).map_or(0, |process| process.pid()),
        status,
        bundle: record.bundle.clone(),
        rootfs: record.rootfs.clone(),
        created: record.created.clone(),
        annotations,
        owner,
    })
}

#[cfg(test)]
mod tests;
