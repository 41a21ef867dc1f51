//! Where a container's cgroups are: a pure function of `linux.cgroupsPath`, the id and the host's layout.

use serde::{Deserialize, Serialize};

use super::Error;
use super::layout::{Hierarchy, Layout, Mode, Version};

/// One directory of a container, as it is written to the state file before it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the hierarchy.
    pub version: Version,
    /// The controllers of a v1 hierarchy; empty for the unified one, whose controllers can change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<String>,
    /// Where the hierarchy is mounted.
    pub mount_point: String,
    /// The cgroup below the mount point: at least one component, no slash at either end.
    pub path: String,
}

impl Record {
    /// The hierarchy's name in messages: `memory`, `cpu,cpuacct`, `name=systemd`, `unified`.
    #[must_use]
    pub fn hierarchy(&self) -> String {
        match self.version {
            Version::V1 => self.controllers.join(","),
            Version::V2 => "unified".to_owned(),
        }
    }

    /// The directory's path on the host, for messages and for readers of the state file.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("{}/{}", self.mount_point, self.path)
    }
}

/// The cgroup of a container: one directory in each hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// The directories, in the order of the layout.
    pub records: Vec<Record>,
}

impl Path {
    /// Places a container.
    ///
    /// An absolute `cgroups_path` counts from the mount of each hierarchy. A relative one counts from
    /// the caller's own cgroup, on a purely unified host from the one above it: a cgroup with
    /// processes in it cannot hand controllers to its children (cgroups(7), "no internal processes").
    /// Without one the id is the path. `..` cannot lead above the starting point.
    ///
    /// # Errors
    /// A path with a NUL, a line break or a component over 255 bytes, or one that names no cgroup
    /// below the starting point.
    pub fn from_spec(cgroups_path: Option<&str>, id: &str, layout: &Layout) -> Result<Self, Error> {
        let given = cgroups_path.filter(|p| !p.is_empty()).unwrap_or(id);
        let clean = clean(given)?;
        let records = layout.hierarchies.iter().map(|hierarchy| {
            let start = if given.starts_with('/') { "" } else { start(hierarchy, layout.mode()) };
            Record {
                version: hierarchy.version,
                controllers: match hierarchy.version {
                    Version::V1 => hierarchy.controllers.clone(),
                    Version::V2 => Vec::new(),
                },
                mount_point: hierarchy.mount_point.clone(),
                path: if start.is_empty() { clean.clone() } else { format!("{start}/{clean}") },
            }
        });
        Ok(Self { records: records.collect() })
    }
}

/// Where relative paths begin in a hierarchy, without slashes at the ends.
fn start(hierarchy: &Hierarchy, mode: Mode) -> &str {
    let own = hierarchy.own.trim_matches('/');
    match mode {
        Mode::Unified => own.rsplit_once('/').map_or("", |(parent, _)| parent),
        Mode::V1 | Mode::Hybrid => own,
    }
}

/// Removes `.`, `..` and doubled slashes; the result has no slash at either end.
pub(super) fn clean(path: &str) -> Result<String, Error> {
    let bad = |reason| Error::BadPath { path: path.to_owned(), reason };
    if path.contains(['\0', '\n']) {
        // A line break would forge lines of /proc/PID/cgroup, which every tool parses by line.
        return Err(bad("contains a NUL or a line break"));
    }
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            // At the top `..` stays where it is, as in a root directory.
            ".." => drop(components.pop()),
            name if name.len() > 255 => return Err(bad("has a component of more than 255 bytes")),
            name => components.push(name),
        }
    }
    if components.is_empty() {
        return Err(bad("names no cgroup of the container's own"));
    }
    Ok(components.join("/"))
}
