//! Containers for which something else holds, until a day.

use super::entry::Entry;
use super::{ReadProfile, Settings};
use crate::error::Result;
use crate::policy::date::Date;
use crate::policy::enforcement::Said;

/// An exemption. It applies to containers for which all of `cgroup`, `rootfs` and `annotations` hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// What it is called.
    pub name: Said<String>,
    /// What it is for.
    pub reason: String,
    /// The last day on which it applies.
    pub expires: Said<Date>,
    /// The container's cgroup is this one or below it.
    pub cgroup: Option<String>,
    /// The root filesystem is this directory or below it.
    pub rootfs: Option<String>,
    /// Annotations with exactly these values.
    pub annotations: Vec<(String, Said<String>)>,
    /// The profile it names.
    pub(super) profile: Option<Said<String>>,
    /// What holds instead, the profile's or its own.
    pub settings: Settings,
}

impl Exemption {
    pub(super) fn read(table: Entry<'_>, read: ReadProfile<'_>) -> Result<Exemption> {
        let (mut name, mut reason, mut expires, mut profile) = (None, None, None, None);
        let (mut cgroup, mut rootfs, mut annotations) = (None, None, Vec::new());
        let mut settings = Settings::default();
        for entry in table.table()? {
            match entry.key {
                "name" => name = Some(entry.line()?),
                "reason" => reason = Some(entry.line()?.value),
                "expires" => expires = Some(entry.date()?),
                "cgroup" => cgroup = Some(entry.path()?.value),
                "rootfs" => rootfs = Some(entry.path()?.value),
                "annotations" => {
                    for entry in entry.table()? {
                        annotations.push((entry.key.to_owned(), entry.said(entry.text()?.to_owned())));
                    }
                }
                "profile" => profile = Some(entry.said(entry.text()?.to_owned())),
                _ => {
                    if !settings.take(entry, read)? {
                        return Err(entry.unknown());
                    }
                }
            }
        }
        let missing = |key| table.wrong(&format_args!("exemption: {key} is missing"));
        let exemption = Exemption {
            name: name.ok_or_else(|| missing("name"))?,
            reason: reason.ok_or_else(|| missing("reason"))?,
            expires: expires.ok_or_else(|| missing("expires, the last day on which it applies,"))?,
            cgroup,
            rootfs,
            annotations,
            profile,
            settings,
        };
        if exemption.cgroup.is_none() && exemption.rootfs.is_none() && exemption.annotations.is_empty() {
            return Err(table.wrong(&"exemption: say for which containers: cgroup, rootfs or annotations"));
        }
        match (&exemption.profile, exemption.settings.is_empty()) {
            (Some(_), false) => Err(table.wrong(&"exemption: name a profile or say what holds, not both")),
            (None, true) => {
                Err(table.wrong(&"exemption: say what holds instead: profile, level, rules, seccomp, binds or exec"))
            }
            _ => Ok(exemption),
        }
    }
}
