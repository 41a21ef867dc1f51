//! What was planned for a container, made again from what was stored of it, and held against what the kernel says.

use super::kernel::{Kernel, named};
use super::mounts::Cover;
use crate::cgroup::DeviceAccess;
use crate::cgroup::devices::Kind as DeviceKind;
use crate::error::Result;
use crate::host::capability_names;
use crate::plan::namespace::NamespaceKind;
use crate::plan::security::{CapabilitySets, capabilities};
use crate::plan::{self, CreateRequest, Facts};
use crate::policy::{self, Enforcement, Level, judge};
use crate::program::Op;
use crate::spec::{self, Spec, Status};
use crate::state::{CONFIG, Container};

/// What a plan promises, as far as the kernel can be asked about it.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// The sets that init gives itself before `execve`.
    pub capabilities: CapabilitySets,
    /// The user.
    pub uid: u32,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// The filters, each instruction as one number.
    pub filters: Vec<Vec<u64>>,
    /// Namespaces other than the host's.
    pub private: Vec<NamespaceKind>,
    /// The root filesystem is read-only.
    pub read_only_root: bool,
    /// Masked paths.
    pub masked: Vec<String>,
    /// Read-only paths.
    pub read_only: Vec<String>,
    /// All devices are allowed.
    pub all_devices: bool,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Tasks.
    pub pids: Option<u64>,
    /// Thousandths of a CPU.
    pub millicpu: Option<u64>,
    /// Kernel parameters that are set.
    pub sysctls: Vec<String>,
}

/// Makes the plan of a container again, from its stored configuration and from what the policy made of it.
///
/// # Errors
/// A configuration that cannot be read or planned any more.
pub fn planned(container: &Container, facts: &Facts) -> Result<Planned> {
    let record = &container.record;
    let spec = Spec::parse(&container.entry.read_file(CONFIG, spec::MAX_BYTES)?)?;
    let without = Enforcement::new(Level::Privileged, "made without policy");
    let enforcement = record.enforcement.as_ref().unwrap_or(&without);
    let verdict = judge::create(&spec, enforcement, facts);
    // Admitted once, and not by the rules as they are now: there is no plan to hold it against.
    if let Some(refused) = policy::denied(&verdict.refusals, enforcement) {
        return Err(refused);
    }
    let (spec, confinement) = (verdict.spec, verdict.confinement);
    let request = CreateRequest {
        id: record.id.clone(),
        bundle: record.bundle.clone(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
        confinement,
    };
    let plan = plan::create(&spec, &request, facts)?;
    let process = spec.process.as_ref();
    let mut planned = Planned {
        capabilities: capabilities(process.and_then(|p| p.capabilities.as_ref()), facts, &mut Vec::new()),
        read_only_root: spec.root.as_ref().is_some_and(|root| root.readonly),
        ..Planned::default()
    };
    planned.private =
        plan.namespaces.new.iter().chain(plan.namespaces.joined.iter().map(|(kind, _)| kind)).copied().collect();
    for op in plan.program {
        match op {
            Op::Identity { uid, .. } => planned.uid = uid,
            Op::NoNewPrivileges => planned.no_new_privileges = true,
            Op::Seccomp { filter, .. } => planned.filters.push(filter),
            Op::Mask { path } => planned.masked.push(path),
            Op::ReadonlyPath { path } => planned.read_only.push(path),
            Op::Sysctl { name, .. } => planned.sysctls.push(name),
            _ => {}
        }
    }
    if let Some(cgroup) = plan.cgroup {
        planned.all_devices = cgroup.device_rules.first().is_some_and(|rule| {
            rule.allow && rule.kind == DeviceKind::All && rule.major.is_none() && rule.minor.is_none()
        });
        let above_zero =
            |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
        let resources = cgroup.resources;
        planned.memory = above_zero(resources.memory.and_then(|memory| memory.limit));
        planned.pids = above_zero(resources.pids.and_then(|pids| pids.limit));
        planned.millicpu = resources.cpu.and_then(|cpu| {
            let period = cpu.period.filter(|period| *period > 0).unwrap_or(100_000);
            above_zero(cpu.quota).map(|quota| quota.saturating_mul(1000) / period)
        });
    }
    Ok(planned)
}

/// What the kernel says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Differences {
    /// The container is less confined than was planned.
    pub mismatches: Vec<String>,
    /// It is otherwise, and the container may have done that itself, or somebody by `update`.
    pub notes: Vec<String>,
}

/// Compares; `status` tells whether the program was started already.
pub fn compare(planned: &Planned, kernel: &Kernel, status: Status) -> Differences {
    let mut found = Differences::default();
    compare_privileges(planned, kernel, status, &mut found);
    if status != Status::Created {
        compare_filters(planned, kernel, &mut found);
    }
    compare_surroundings(planned, kernel, &mut found);
    compare_limits(planned, kernel, &mut found);
    found
}

/// CAP_SYS_ADMIN, which a waiting init keeps until `execve` where a filter without no_new_privs is to be loaded.
pub const SYS_ADMIN: u64 = 1 << 21;
/// CAP_SETUID.
const SETUID: u64 = 1 << 7;

fn compare_privileges(planned: &Planned, kernel: &Kernel, status: Status, found: &mut Differences) {
    let sets = &planned.capabilities;
    let uid = kernel.uids.get(1).copied().unwrap_or_default();
    // capabilities(7), "Transformation of capabilities during execve()": root, and whoever executes a file with
    // capabilities or a set-user-ID bit, gets what is in the bounding and the inheritable set; nobody gets more.
    let gains = planned.uid == 0 || !planned.no_new_privileges;
    let most = sets.permitted | if gains { sets.bounding | sets.inheritable } else { 0 };
    let waiting = if status == Status::Created { SYS_ADMIN } else { 0 };
    // A process may take into its inheritable set what it has, and with CAP_SETPCAP what is in the bounding set.
    let bounds = [sets.bounding, most | waiting, most | waiting, most | sets.inheritable, most | sets.inheritable];
    for (((name, has), (_, wanted)), bound) in named(&kernel.capabilities).into_iter().zip(named(sets)).zip(bounds) {
        let list = |set: u64| capability_names(set).join(" ");
        if has & !bound != 0 {
            found.mismatches.push(format!("the {name} set has {} beyond the plan", list(has & !bound)));
        } else if has & !wanted & !waiting != 0 {
            found
                .notes
                .push(format!("the {name} set has {}, which execve gave or the program took", list(has & !wanted)));
        }
    }
    if planned.no_new_privileges && !kernel.no_new_privileges {
        found.mismatches.push("no_new_privs is planned, and off".into());
    }
    if uid != planned.uid {
        let what = format!("user {uid}, where {} is planned", planned.uid);
        match gains || most & SETUID != 0 {
            true => found.notes.push(format!("{what}: the program changed it")),
            false => found.mismatches.push(what),
        }
    }
}

fn compare_filters(planned: &Planned, kernel: &Kernel, found: &mut Differences) {
    let seccomp = &kernel.seccomp;
    if !planned.filters.is_empty() && seccomp.mode == 0 {
        found.mismatches.push("a seccomp filter is planned, and there is none".into());
        return;
    }
    if let Some(why) = &seccomp.unread
        && seccomp.programs.is_empty()
    {
        // Something is in force; whether it is what was planned is not known.
        found.notes.push(format!("the seccomp filters could not be compared: {why}"));
        return;
    }
    if seccomp.mode != 2 {
        return;
    }
    let mut own = seccomp.programs.len();
    for filter in &planned.filters {
        match seccomp.programs.contains(filter) {
            true => own = own.saturating_sub(1),
            false => found.mismatches.push(format!(
                "none of the {} seccomp filters is the planned one of {} instructions (or another release of casemate \
                 made it)",
                seccomp.programs.len(),
                filter.len()
            )),
        }
    }
    if own > 0 && (own < seccomp.programs.len() || planned.filters.is_empty()) {
        found.notes.push(format!("{own} of the seccomp filters came from the program or from around casemate"));
    }
}

fn compare_surroundings(planned: &Planned, kernel: &Kernel, found: &mut Differences) {
    for namespace in &kernel.namespaces {
        let name = namespace.kind.spec_name();
        match (planned.private.contains(&namespace.kind), namespace.host) {
            (true, true) => found.mismatches.push(format!("the {name} namespace is the host's, another is planned")),
            (false, false) => found.notes.push(format!("the {name} namespace is not the host's, as was planned")),
            _ => {}
        }
    }
    let read_only = kernel.mounts.iter().any(|mount| mount.point == "/" && mount.read_only);
    if planned.read_only_root && !read_only {
        found.mismatches.push("the root filesystem is planned read-only, and can be written".into());
    }
    for (path, cover) in &kernel.paths {
        match cover {
            Cover::ReadOnly | Cover::Writable if planned.masked.contains(path) => {
                found.mismatches.push(format!("{path} is planned masked, and can be read"));
            }
            Cover::Writable if planned.read_only.contains(path) => {
                found.mismatches.push(format!("{path} is planned read-only, and can be written"));
            }
            _ => {}
        }
    }
    if kernel.devices.access == DeviceAccess::Everything && !planned.all_devices {
        found.mismatches.push("the cgroup allows all devices, the plan does not".into());
    }
    for directory in &kernel.left_cgroups {
        found.mismatches.push(format!("init is not in the cgroup {directory}"));
    }
}

fn compare_limits(planned: &Planned, kernel: &Kernel, found: &mut Differences) {
    let limits = [
        ("memory", planned.memory, kernel.limits.memory),
        ("pids", planned.pids, kernel.limits.pids),
        ("cpu", planned.millicpu, kernel.limits.millicpu),
    ];
    for (name, wanted, has) in limits {
        match (wanted, has) {
            (Some(wanted), None) => {
                found.mismatches.push(format!("a {name} limit of {wanted} is planned, there is none"))
            }
            // The stored configuration is that of `create`; `update` does not change it.
            (Some(wanted), Some(has)) if has > wanted => {
                found
                    .notes
                    .push(format!("the {name} limit is {has}, {wanted} was planned: changed since, as `update` does"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
