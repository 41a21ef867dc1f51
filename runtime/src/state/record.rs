//! `state.json`: what is known of a container, small enough to be read by every command.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::process::InitProcess;
use super::store::is_id;
use crate::cgroup;
use crate::error::{Error, Kind, Result};
use crate::spec::field::Read;
use crate::spec::{self, Hook, State, Status};

/// The version of the format. A record of another version is refused.
pub const VERSION: u32 = 1;

/// Limit of `state.json`, in bytes: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// The largest pid there can be (PID_MAX_LIMIT, 2^22), and the largest pid_t a kernel without that limit could give.
const MAX_PID: i32 = 1 << 22;

/// How far `create` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// `create` is at work, or was ended in the middle of it.
    Creating,
    /// `create` was successful.
    Created,
}

/// A container as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The container's id, which is also the name of the directory.
    pub id: String,
    /// The bundle, an absolute path.
    pub bundle: String,
    /// The root filesystem, an absolute path.
    pub rootfs: String,
    /// When it was made; see [`now`].
    pub created: String,
    /// The user who made it.
    pub owner_uid: u32,
    /// `ociVersion` of the configuration.
    pub oci_version: String,
    /// The annotations of the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique_keys")]
    pub annotations: BTreeMap<String, String>,
    /// The policy that the container was made under; absent for one made before there was policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<crate::policy::Enforcement>,
    /// Protections that are missing, and what rules in mode warn or audit would have done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<crate::policy::Note>,
    /// How far `create` came.
    pub phase: Phase,
    /// The container's init, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitProcess>,
    /// The container's directories in the cgroup hierarchies, recorded before they are made.
    pub cgroups: Vec<cgroup::Record>,
    /// Whether systemd made the cgroups and is the one to remove them.
    #[serde(default)]
    pub systemd_cgroup: bool,
    /// Whether all processes end with init, because it is the first of its own pid namespace.
    pub own_pid_namespace: bool,
    /// Where a seccomp listener goes when the process starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<crate::plan::filter::Listener>,
    /// Hooks to run after `start`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// Hooks to run after `delete`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

impl Record {
    /// What hooks and seccomp agents read.
    pub fn state(&self, status: Status, pid: i32) -> State {
        State {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            status,
            pid,
            bundle: self.bundle.clone(),
            annotations: self.annotations.clone(),
        }
    }

    /// Reads a record of the container `id`.
    ///
    /// # Errors
    /// What is no record of this version, of another container, or has a value that cannot be right.
    pub fn parse(bytes: &[u8], id: &str) -> Result<Record> {
        if bytes.len() > MAX_BYTES {
            return Err(bad(&format!("is larger than {MAX_BYTES} bytes")));
        }
        let record: Record = spec::parse(bytes).map_err(|error| bad(&error.to_string()))?;
        record.check(id)?;
        Ok(record)
    }

    /// The cgroups in what is perhaps no good record: of another version, or with a value that cannot be right. They
    /// are good enough to be removed if they are empty, and for nothing else.
    ///
    /// # Errors
    /// What is no JSON object, or has no cgroups.
    pub fn salvage_cgroups(bytes: &[u8]) -> Result<Vec<cgroup::Record>> {
        #[derive(Deserialize)]
        struct Part {
            cgroups: Vec<cgroup::Record>,
        }
        let part: Part = spec::parse(bytes).map_err(|error| bad(&error.to_string()))?;
        part.cgroups.iter().try_for_each(check_cgroup)?;
        Ok(part.cgroups)
    }

    /// The record as it is written.
    ///
    /// # Errors
    /// A record that [`Record::parse`] would refuse: what cannot be read again is not written.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        self.check(&self.id)?;
        let bytes = serde_json::to_vec(self).map_err(|error| bad(&error.to_string()))?;
        if bytes.len() > MAX_BYTES {
            return Err(
                bad(&format!("would be larger than {MAX_BYTES} bytes")).hint("shorten the annotations or hooks")
            );
        }
        Ok(bytes)
    }

    fn check(&self, id: &str) -> Result<()> {
        if self.version != VERSION {
            let error = bad(&format!("has version {}, not {VERSION}", self.version));
            return Err(error.hint("use the release that created the container"));
        }
        if self.id != id || !is_id(id) {
            return Err(bad(&format!("is of container \"{}\", not of \"{id}\"", self.id.escape_debug())));
        }
        for (name, path) in [("bundle", &self.bundle), ("rootfs", &self.rootfs)] {
            if !path.starts_with('/') || path.contains('\0') {
                return Err(bad(&format!("{name} \"{}\" is not an absolute path", path.escape_debug())));
            }
        }
        if !is_time(&self.created) {
            return Err(bad(&format!("created \"{}\" is not a time of RFC 3339", self.created.escape_debug())));
        }
        if let Some(init) = &self.init {
            check_init(init)?;
        } else if self.phase == Phase::Created {
            return Err(bad("has no init though it is of a created container"));
        }
        self.cgroups.iter().try_for_each(check_cgroup)
    }
}

fn check_init(init: &InitProcess) -> Result<()> {
    // 1 is the init of the host, or of the container the runtime itself is in.
    if init.pid <= 1 || init.pid > MAX_PID {
        return Err(bad(&format!("init.pid {} is not the pid of a container", init.pid)));
    }
    let digits = init.boot_id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if init.boot_id.len() != 36 || !digits {
        return Err(bad(&format!("init.boot_id \"{}\" is not the id of a boot", init.boot_id.escape_debug())));
    }
    Ok(())
}

/// What a record lists is killed and removed, so it must be below a mount, and not all of it.
fn check_cgroup(cgroup: &cgroup::Record) -> Result<()> {
    let plain = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0');
    if plain(&cgroup.path) && cgroup.mount_point.strip_prefix('/').is_some_and(plain) {
        return Ok(());
    }
    Err(bad(&format!("cgroup \"{}\" is not a directory below a hierarchy", cgroup.directory().escape_debug())))
}

fn bad(what: &str) -> Error {
    Error::new(Kind::InvalidConfig, format!("state.json {what}"))
}

fn unique_keys<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<BTreeMap<String, String>, D::Error> {
    Read::deserialize(deserializer).map(|read| read.0)
}

/// The present time as the record and `state` have it: RFC 3339 in UTC with nanoseconds.
pub fn now() -> String {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    format_time(time.tv_sec, time.tv_nsec)
}

/// Formats seconds since 1970 and nanoseconds; zeros at the end of the fraction are left out, as Go does.
fn format_time(seconds: i64, nanoseconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days count from 0000-03-01, so that a leap day is the last of its year; 400 years have 146097 days.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let fraction = if nanoseconds == 0 { String::new() } else { format!(".{nanoseconds:09}") };
    let fraction = fraction.trim_end_matches('0');
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}{fraction}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Whether a text has the form that [`format_time`] gives.
fn is_time(text: &str) -> bool {
    let Some((whole, fraction)) = text.strip_suffix('Z').and_then(|text| text.split_at_checked(19)) else {
        return false;
    };
    let shape: String = whole.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let digits = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    shape == "0000-00-00T00:00:00" && (fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits))
}

#[cfg(test)]
pub(super) mod tests;
