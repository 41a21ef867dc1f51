//! Everything that `doctor` reports about a host.

use super::{HostFacts, read_if_there, seccomp_flags};
use crate::cgroup::{Layout, Mode};
use crate::error::{Call, Result};
use crate::sys::probe;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;

/// The kernel's answer to a system call that was probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The kernel has it.
    Present,
    /// `ENOSYS`: the kernel is too old, or a filter hides the call.
    Missing,
    /// `EPERM`: a privilege is lacking, or a filter refuses the call.
    Refused,
}

/// The cgroup hierarchies of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cgroups {
    /// `v1`, `hybrid` or `v2`.
    pub mode: String,
    /// The controllers of all hierarchies, sorted, as the kernel spells them.
    pub controllers: Vec<String>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    /// What `create` looks at.
    pub facts: HostFacts,
    /// The hierarchies, or why there are none.
    pub cgroups: Result<Cgroups, String>,
    /// The security modules in their order; nothing where securityfs is not mounted.
    pub lsms: Option<Vec<String>>,
    /// The actions of seccomp filters, in the kernel's words.
    pub seccomp_actions: Vec<String>,
    /// The flags of seccomp filters, in the runtime-spec's words.
    pub seccomp_flags: Vec<String>,
    /// The kinds of namespaces, by their names in `/proc/PID/ns`.
    pub namespaces: Vec<String>,
    /// The limit of user namespaces (`user.max_user_namespaces`); 0 where the kernel has none.
    pub max_user_namespaces: u64,
    /// Whether a user without privileges may make them.
    pub unprivileged_user_namespaces: bool,
    /// System calls by name.
    pub calls: BTreeMap<String, Answer>,
    /// mount_setattr(2) makes id-mapped mounts.
    pub idmapped_mounts: bool,
    /// clone3(2) has `CLONE_INTO_CGROUP`.
    pub clone_into_cgroup: bool,
    /// `vm.memfd_noexec`: 0 and 1 allow an executable memfd to who asks for it, 2 does not.
    pub memfd_noexec: u32,
    /// The version of landlock(7), if it is enabled.
    pub landlock_abi: Option<u32>,
}

impl Survey {
    pub(super) fn probe() -> Result<Survey> {
        let facts = HostFacts::probe_for_create()?;
        let mut calls = BTreeMap::new();
        calls.extend(probe::CALLS.iter().filter_map(|&name| Some((name.to_owned(), answer(probe::call(name)?)))));
        let max_user_namespaces = read_if_there("/proc/sys/user/max_user_namespaces")?;
        let max_user_namespaces = max_user_namespaces.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Survey {
            cgroups: cgroups(),
            lsms: read_if_there("/sys/kernel/security/lsm")?.map(|text| list(&text, ',')),
            seccomp_actions: read_if_there("/proc/sys/kernel/seccomp/actions_avail")?
                .map(|text| list(&text, ' '))
                .unwrap_or_default(),
            seccomp_flags: seccomp_flags().iter().map(ToString::to_string).collect(),
            namespaces: namespaces()?,
            max_user_namespaces,
            unprivileged_user_namespaces: max_user_namespaces > 0 && !is_restricted()?,
            calls,
            idmapped_mounts: probe::has_idmapped_mounts(),
            clone_into_cgroup: probe::has_clone_into_cgroup(),
            memfd_noexec: match read_if_there("/proc/sys/vm/memfd_noexec")? {
                Some(text) => text.parse().map_err(|_| super::content("/proc/sys/vm/memfd_noexec"))?,
                None => 0,
            },
            landlock_abi: probe::landlock_abi(),
            facts,
        })
    }
}

fn answer(errno: Errno) -> Answer {
    match errno {
        Errno::NOSYS => Answer::Missing,
        Errno::PERM => Answer::Refused,
        _ => Answer::Present,
    }
}

fn list(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn cgroups() -> Result<Cgroups, String> {
    let layout = Layout::discover().map_err(|error| error.to_string())?;
    let mode = match layout.mode() {
        Mode::V1 => "v1",
        Mode::Hybrid => "hybrid",
        Mode::Unified => "v2",
    };
    let mut controllers: Vec<_> = layout.hierarchies.into_iter().flat_map(|hierarchy| hierarchy.controllers).collect();
    controllers.retain(|controller| !controller.starts_with("name="));
    controllers.sort_unstable();
    Ok(Cgroups { mode: mode.to_owned(), controllers })
}

fn namespaces() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("/proc/self/ns").call("opendir", "/proc/self/ns")? {
        let name = entry.call("readdir", "/proc/self/ns")?.file_name().to_string_lossy().into_owned();
        // What children will be in, not a kind of its own.
        if !name.ends_with("_for_children") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Debian's and Ubuntu's switches.
fn is_restricted() -> Result<bool> {
    let clone = read_if_there("/proc/sys/kernel/unprivileged_userns_clone")?;
    let apparmor = read_if_there("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")?;
    Ok(clone.is_some_and(|text| text == "0") || apparmor.is_some_and(|text| text == "1"))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn survey_of_this_host_agrees_with_its_kernel() {
        let survey = HostFacts::probe_all().unwrap();
        // Every kernel that can build this has these.
        for call in ["openat2", "clone3", "pidfd_open", "close_range", "seccomp"] {
            assert_eq!(survey.calls.get(call), Some(&Answer::Present), "{call}");
        }
        assert_eq!(survey.calls.len(), probe::CALLS.len());
        assert!(survey.namespaces.iter().any(|name| name == "mnt"), "{:?}", survey.namespaces);
        let actions = read("/proc/sys/kernel/seccomp/actions_avail").unwrap();
        assert_eq!(survey.seccomp_actions.len(), actions.split_whitespace().count());
    }

    #[test]
    fn every_call_of_the_list_is_refused_by_the_kernel_and_no_other_name_is_known() {
        for name in probe::CALLS {
            // EEXIST stands for a call that succeeded.
            assert!(!matches!(probe::call(name), None | Some(Errno::EXIST)), "{name}");
        }
        assert_eq!(probe::call("nosuchcall"), None);
    }

    #[test]
    fn newer_features_come_with_the_older_ones() {
        let (into_cgroup, idmapped) = (probe::has_clone_into_cgroup(), probe::has_idmapped_mounts());
        assert!(into_cgroup || !idmapped, "Linux 5.7 and 5.12");
    }

    #[test]
    fn survey_survives_json() {
        let survey = HostFacts::probe_all().unwrap();
        let text = serde_json::to_string(&survey).unwrap();
        assert_eq!(serde_json::from_str::<Survey>(&text).unwrap(), survey);
    }
}
