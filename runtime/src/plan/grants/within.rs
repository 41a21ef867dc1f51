//! The order of grants: no more than.

use super::super::security::CapabilitySets;
use super::{CgroupPlan, Filter, Grants, Namespace, NamespaceKind, devices, mounts};
use crate::program::words::capabilities as names;
use crate::spec::{Pids, Resources};
use seccomp_profiles::interpret::Program;
use seccomp_profiles::{Insn, flag, strictness};
use std::collections::BTreeSet;

impl Grants {
    /// Ok where everything that these give is given by `other` too.
    ///
    /// # Errors
    /// Each excess in words.
    pub fn within(&self, other: &Grants) -> Result<(), Vec<String>> {
        let mut found = Vec::new();
        capabilities(&self.capabilities, &other.capabilities, &mut found);
        self.identity_within(other, &mut found);
        if other.no_new_privileges && !self.no_new_privileges {
            found.push("no_new_privs is missing".to_string());
        }
        calls(&self.filters, &other.filters, &mut found);
        if self.listener.is_some() && self.listener != other.listener {
            found.push("a seccomp listener goes to somebody else".to_string());
        }
        if other.scoped & !self.scoped != 0 {
            found.push("a landlock scope is missing".to_string());
        }
        found.extend(mounts::excess(&self.mounts, &other.mounts));
        if self.host_propagation != other.host_propagation {
            found.push("propagation of the host's mounts is another".to_string());
        }
        self.covers_within(other, &mut found);
        self.namespaces_within(other, &mut found);
        self.devices_within(other, &mut found);
        cgroup(self.cgroup.as_ref(), other.cgroup.as_ref(), &mut found);
        if self.hierarchies != other.hierarchies {
            found.push("the cgroup hierarchies are other ones".to_string());
        }
        self.process_within(other, &mut found);
        if self.hooks != other.hooks || self.inner_hooks_differ(other) {
            found.push("the hooks are other ones".to_string());
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Another id is not more or less, but root is more than anybody, and a group is more than none.
    fn identity_within(&self, other: &Grants, found: &mut Vec<String>) {
        let (Some((uid, gid, groups)), before) = (&self.identity, &other.identity) else { return };
        let Some((uid_before, gid_before, groups_before)) = before else {
            found.push("there is a process".to_string());
            return;
        };
        if *uid == 0 && *uid_before != 0 {
            found.push("the user is root".to_string());
        }
        if *gid == 0 && *gid_before != 0 {
            found.push("the group is root".to_string());
        }
        let more = groups.iter().filter(|group| !groups_before.contains(group) && *group != gid_before);
        found.extend(more.map(|group| format!("group {group} is added")));
    }

    fn covers_within(&self, other: &Grants, found: &mut Vec<String>) {
        for path in other.masked_paths.iter().filter(|path| !covered(path, &self.masked_paths)) {
            found.push(format!("masked path {path}: it is visible"));
        }
        let mut both = self.readonly_paths.clone();
        both.extend(self.masked_paths.iter().cloned());
        for path in other.readonly_paths.iter().filter(|path| !covered(path, &both)) {
            found.push(format!("read-only path {path}: it can be written to"));
        }
    }

    fn namespaces_within(&self, other: &Grants, found: &mut Vec<String>) {
        for kind in NamespaceKind::ALL {
            let (now, before) = (self.namespace(kind), other.namespace(kind));
            if now != Namespace::New && now != before {
                found.push(format!("{} namespace: {now:?}, before {before:?}", kind.spec_name()));
            }
        }
        if self.container_namespaces != other.container_namespaces {
            found.push("the namespaces of the container that are joined are other ones".to_string());
        }
    }

    fn devices_within(&self, other: &Grants, found: &mut Vec<String>) {
        for (path, now) in &self.devices {
            let fits = other.devices.get(path).is_some_and(|before| {
                let permissions = now.0 & 0o7777;
                (now.0 & !0o7777, now.1, now.2, now.3, now.4)
                    == (before.0 & !0o7777, before.1, before.2, before.3, before.4)
                    && permissions & !before.0 == 0
            });
            if !fits {
                found.push(format!("device node {path} with mode {:o}, number {}:{}", now.0, now.1, now.2));
            }
        }
    }

    fn process_within(&self, other: &Grants, found: &mut Vec<String>) {
        for (name, before) in &other.rlimits {
            let less = self.rlimits.get(name).is_some_and(|now| now.0 <= before.0 && now.1 <= before.1);
            if !less {
                found.push(format!("{name} is higher or not set"));
            }
        }
        // Of a limit that was inherited only "nothing" is known to be less.
        for (name, _) in self.rlimits.iter().filter(|(name, now)| !other.rlimits.contains_key(*name) && **now != (0, 0))
        {
            found.push(format!("{name} was not set before"));
        }
        for (name, value) in self.sysctls.iter().filter(|(name, value)| other.sysctls.get(*name) != Some(*value)) {
            found.push(format!("sysctl {name} = {value}"));
        }
        for (file, before) in other.labels.iter().filter(|(file, before)| self.labels.get(*file) != Some(*before)) {
            found.push(format!("label {before} of {file} is another or not set"));
        }
        if other.keyring && !self.keyring {
            found.push("the session keyring is the caller's".to_string());
        }
        if self.oom_score_adj != other.oom_score_adj {
            found.push("oom_score_adj is another".to_string());
        }
    }

    /// Whatever handle number their working directory has.
    fn inner_hooks_differ(&self, other: &Grants) -> bool {
        let plain = |hooks: &[crate::program::InnerHook]| {
            let fields = hooks.iter().cloned().map(|hook| crate::program::InnerHook { cwd: None, ..hook });
            fields.collect::<Vec<_>>()
        };
        plain(&self.inner_hooks) != plain(&other.inner_hooks)
    }
}

fn capabilities(now: &CapabilitySets, before: &CapabilitySets, found: &mut Vec<String>) {
    for (set, now, before) in [
        ("bounding", now.bounding, before.bounding),
        ("effective", now.effective, before.effective),
        ("permitted", now.permitted, before.permitted),
        ("inheritable", now.inheritable, before.inheritable),
        ("ambient", now.ambient, before.ambient),
    ] {
        if now & !before != 0 {
            found.push(format!("{set} capabilities: {}", names(now & !before)));
        }
    }
}

/// The kernel takes the strictest answer of all filters, so that it is enough when each filter of before has one that is
/// as strict. No filter allows everything, and leaves speculation as it is.
fn calls(now: &[Filter], before: &[Filter], found: &mut Vec<String>) {
    for before in before {
        if now.contains(before) {
            continue;
        }
        let Some(before_program) = program(before) else {
            found.push("system calls: a filter is not one that the kernel takes".to_string());
            continue;
        };
        let mut why = "system calls: there is no filter".to_string();
        let fits = now.iter().any(|now| {
            let Some(now_program) = program(now) else { return false };
            if now.flags & !before.flags & flag::SPEC_ALLOW != 0 {
                why = "system calls: speculative store bypass is left alone".to_string();
                return false;
            }
            match strictness::wider(&before_program, &now_program) {
                Ok(None) => true,
                Ok(Some(wider)) => {
                    why = format!("system calls: {wider}");
                    false
                }
                Err(incomparable) => {
                    why = format!("system calls: {incomparable}");
                    false
                }
            }
        });
        if !fits {
            found.push(why);
        }
    }
}

/// The filter as the interpreter takes it; [`crate::program::Op::Seccomp`] has `struct sock_filter` in memory order.
fn program(filter: &Filter) -> Option<Program> {
    let insns: Vec<Insn> = filter
        .instructions
        .iter()
        .map(|word| {
            let [c0, c1, jt, jf, k0, k1, k2, k3] = word.to_ne_bytes();
            Insn { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
        })
        .collect();
    Program::new(&insns).ok()
}

/// Whether a path or something above it is among these.
fn covered(path: &str, by: &BTreeSet<String>) -> bool {
    let mut path = path;
    loop {
        if by.contains(path) {
            return true;
        }
        match path.rsplit_once('/') {
            Some((above, _)) if !above.is_empty() => path = above,
            _ => return false,
        }
    }
}

fn cgroup(now: Option<&CgroupPlan>, before: Option<&CgroupPlan>, found: &mut Vec<String>) {
    let (now, before) = match (now, before) {
        (None, None) => return,
        (Some(now), Some(before)) => (now, before),
        _ => return found.push("there are cgroups in one plan only".to_string()),
    };
    if now.path != before.path {
        found.push("the cgroup is another".to_string());
    }
    found.extend(devices::excess(&now.device_rules, &before.device_rules));
    // Below 0 is no limit, as none is. The file of v2 is written last.
    let tasks = |resources: &Resources| {
        let limit = resources.pids.as_ref().and_then(|Pids { limit }| *limit);
        match resources.unified.get("pids.max") {
            Some(verbatim) => verbatim.trim().parse().unwrap_or(u64::MAX),
            None => limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(u64::MAX),
        }
    };
    if tasks(&now.resources) > tasks(&before.resources) {
        found.push("the limit of tasks is higher".to_string());
    }
    let others = |resources: &Resources| {
        let mut others = Resources { devices: Vec::new(), pids: None, ..resources.clone() };
        others.unified.remove("pids.max");
        others
    };
    if others(&now.resources) != others(&before.resources) {
        found.push("limits of the cgroup are other ones".to_string());
    }
}
