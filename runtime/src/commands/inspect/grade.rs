//! The container held against standards: what each asks for that can be seen in the kernel, and whether it is so.
//!
//! A control passes by facts only. What a runtime cannot see (images, registries, ports, health checks) is not listed.

use super::kernel::Kernel;
use super::mounts::{Cover, Mounts, is_below};
use super::planned::{Planned, SYS_ADMIN};
use crate::cgroup::DeviceAccess;
use crate::host::capability_names;
use crate::plan::Facts;
use crate::plan::namespace::NamespaceKind;
use crate::plan::security::capability_bit;
use crate::policy::standard;
use casemate_selinux::Context;
use serde::Serialize;

/// How a control came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome", content = "because")]
pub enum Outcome {
    /// It is as the standard asks.
    Pass,
    /// It is not, and why.
    Fail(String),
    /// It cannot be seen, and why.
    Unknown(String),
}

/// One control.
#[derive(Debug, Clone, Serialize)]
pub struct Control {
    /// The standard's own number or name of it.
    pub item: &'static str,
    /// What it asks for.
    pub title: &'static str,
    /// How it came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All controls of one standard.
#[derive(Debug, Clone, Serialize)]
pub struct Grade {
    /// The standard.
    pub standard: &'static str,
    /// In the standard's order.
    pub controls: Vec<Control>,
}

impl Grade {
    fn having(&self, wanted: fn(&Outcome) -> bool) -> Vec<&Control> {
        self.controls.iter().filter(|control| wanted(&control.outcome)).collect()
    }

    /// Those that fail.
    pub fn failed(&self) -> Vec<&Control> {
        self.having(|outcome| matches!(outcome, Outcome::Fail(_)))
    }

    /// The grade in a word or two: `pass`, `3 of 8 fail`, `pass, 1 unknown`.
    pub fn short(&self) -> String {
        let unknown = self.having(|outcome| matches!(outcome, Outcome::Unknown(_))).len();
        let word = match self.failed().len() {
            0 => "pass".to_owned(),
            failed => format!("{failed} of {} fail", self.controls.len()),
        };
        if unknown == 0 { word } else { format!("{word}, {unknown} unknown") }
    }

    /// The grade in one line, with the controls that fail.
    pub fn line(&self) -> String {
        let name = |control: &&Control| match control.item.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("{} {}", control.item, control.title),
            false => control.item.to_owned(),
        };
        let failed: Vec<String> = self.failed().iter().map(name).collect();
        let colon = if failed.is_empty() { "" } else { ": " };
        format!("{}{colon}{}", self.short(), failed.join(", "))
    }
}

/// What is asked, whoever asks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    HostPid,
    HostIpc,
    HostNetwork,
    HostUts,
    HostUser,
    NotPrivileged,
    StandardCapabilities,
    NoCapabilities,
    Seccomp,
    NoNewPrivileges,
    NonRoot,
    Apparmor,
    Selinux,
    ProcMasks,
    HostPaths,
    Sockets,
    Propagation,
    ReadOnlyRoot,
    Devices,
    Memory,
    Cpu,
    Pids,
    Cgroup,
    Sysctls,
}

type Item = (&'static str, &'static str, Check);

const PSS_BASELINE: &[Item] = &[
    ("hostNetwork", "host network", Check::HostNetwork),
    ("hostPID", "host pid", Check::HostPid),
    ("hostIPC", "host ipc", Check::HostIpc),
    ("privileged", "privileged", Check::NotPrivileged),
    ("capabilities", "capabilities", Check::StandardCapabilities),
    ("hostPath", "host paths", Check::HostPaths),
    ("appArmor", "apparmor", Check::Apparmor),
    ("seLinux", "selinux", Check::Selinux),
    ("procMount", "unmasked proc", Check::ProcMasks),
    ("seccomp", "seccomp", Check::Seccomp),
    ("sysctls", "sysctls", Check::Sysctls),
];

/// Beside those of the baseline.
const PSS_RESTRICTED: &[Item] = &[
    ("allowPrivilegeEscalation", "new privileges", Check::NoNewPrivileges),
    ("runAsNonRoot", "runs as root", Check::NonRoot),
    ("capabilities.drop", "capabilities left", Check::NoCapabilities),
];

const CIS_DOCKER: &[Item] = &[
    ("5.2", "apparmor", Check::Apparmor),
    ("5.3", "selinux", Check::Selinux),
    ("5.4", "capabilities", Check::StandardCapabilities),
    ("5.5", "privileged", Check::NotPrivileged),
    ("5.6", "host paths", Check::HostPaths),
    ("5.10", "host network", Check::HostNetwork),
    ("5.11", "memory limit", Check::Memory),
    ("5.12", "cpu priority", Check::Cpu),
    ("5.13", "read-only root", Check::ReadOnlyRoot),
    ("5.16", "host pid", Check::HostPid),
    ("5.17", "host ipc", Check::HostIpc),
    ("5.18", "host devices", Check::Devices),
    ("5.20", "shared propagation", Check::Propagation),
    ("5.21", "host uts", Check::HostUts),
    ("5.22", "seccomp", Check::Seccomp),
    ("5.25", "cgroup", Check::Cgroup),
    ("5.26", "new privileges", Check::NoNewPrivileges),
    ("5.29", "pids limit", Check::Pids),
    ("5.31", "host user namespace", Check::HostUser),
    ("5.32", "engine socket", Check::Sockets),
];

const NIST_800_190: &[Item] = &[
    ("4.4.2", "host network", Check::HostNetwork),
    ("4.4.3", "privileged", Check::NotPrivileged),
    ("4.4.3", "capabilities", Check::StandardCapabilities),
    ("4.4.3", "seccomp", Check::Seccomp),
    ("4.4.3", "new privileges", Check::NoNewPrivileges),
    ("4.4.3", "apparmor", Check::Apparmor),
    ("4.4.3", "selinux", Check::Selinux),
    ("4.4.3", "host pid", Check::HostPid),
    ("4.4.3", "host ipc", Check::HostIpc),
    ("4.4.3", "unmasked proc", Check::ProcMasks),
    ("4.4.3", "host devices", Check::Devices),
    ("4.4.3", "memory limit", Check::Memory),
    ("4.4.3", "pids limit", Check::Pids),
    ("4.4.4", "read-only root", Check::ReadOnlyRoot),
    ("4.5.5", "host paths", Check::HostPaths),
];

/// Capabilities that the Pod Security Standard "baseline" allows, as bits.
fn standard_capabilities() -> u64 {
    standard::CAPABILITIES.iter().filter_map(|name| capability_bit(name)).fold(0, |all, bit| all | bit)
}

/// CAP_NET_BIND_SERVICE, the one that "restricted" allows.
const NET_BIND_SERVICE: u64 = 1 << 10;

/// Masked by newer engines only: seeing them is not what the standard calls unmasked.
const RECENT: [&str; 3] = ["/proc/interrupts", "/sys/devices/virtual/powercap", "/proc/asound"];

/// Directories of the host that a container must not have, nor anything that contains them.
pub const HOST_PATHS: [&str; 15] = [
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/lib/modules",
    "/proc",
    "/root",
    "/run",
    "/usr",
    "/var/lib/casemate",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/run",
];
/// Sockets that give the host away.
pub const SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/systemd/private",
];

/// What a container is graded by.
pub struct Seen<'a> {
    /// What the kernel says of it.
    pub kernel: &'a Kernel,
    /// The plan, for the kernel parameters; `None` when it could not be made again.
    pub planned: Option<&'a Planned>,
    /// The host, for its security modules.
    pub facts: &'a Facts,
    /// The caller's mounts, to tell what of the host a container has.
    pub host: &'a Mounts,
}

/// Grades by all standards.
pub fn all(seen: &Seen<'_>) -> Vec<Grade> {
    let grade = |standard, items: &[&[Item]]| Grade {
        standard,
        controls: items
            .iter()
            .flat_map(|items| items.iter())
            .map(|(item, title, check)| Control { item, title, outcome: seen.ask(*check) })
            .collect(),
    };
    vec![
        grade("pss-baseline", &[PSS_BASELINE]),
        grade("pss-restricted", &[PSS_BASELINE, PSS_RESTRICTED]),
        grade("cis-docker", &[CIS_DOCKER]),
        grade("nist-800-190", &[NIST_800_190]),
    ]
}

/// Passes when there is nothing to complain of.
fn nothing(complaints: &[String]) -> Outcome {
    if complaints.is_empty() { Outcome::Pass } else { Outcome::Fail(complaints.join(", ")) }
}

fn unless(wrong: bool, because: &str) -> Outcome {
    if wrong { Outcome::Fail(because.to_owned()) } else { Outcome::Pass }
}

impl Seen<'_> {
    fn ask(&self, check: Check) -> Outcome {
        let kernel = self.kernel;
        match check {
            Check::HostPid => self.namespace(NamespaceKind::Pid),
            Check::HostIpc => self.namespace(NamespaceKind::Ipc),
            Check::HostNetwork => self.namespace(NamespaceKind::Network),
            Check::HostUts => self.namespace(NamespaceKind::Uts),
            Check::HostUser => self.namespace(NamespaceKind::User),
            Check::NotPrivileged => {
                let all_devices = kernel.devices.access == DeviceAccess::Everything;
                unless(
                    all_devices && kernel.capabilities.bounding & !standard_capabilities() != 0,
                    "capabilities and all devices",
                )
            }
            Check::StandardCapabilities => self.capabilities(standard_capabilities()),
            Check::NoCapabilities => self.capabilities(NET_BIND_SERVICE),
            Check::Seccomp if kernel.seccomp.pending => match self.planned.is_some_and(|plan| !plan.filters.is_empty())
            {
                true => Outcome::Unknown("the filter comes with start".to_owned()),
                false => Outcome::Fail("no filter is planned".to_owned()),
            },
            Check::Seccomp => unless(kernel.seccomp.mode == 0, "no filter"),
            Check::NoNewPrivileges => unless(!kernel.no_new_privileges, "no_new_privs is off"),
            Check::NonRoot => unless(kernel.uids.contains(&0), "user 0"),
            Check::Apparmor => self.apparmor(),
            Check::Selinux => self.selinux(),
            Check::ProcMasks => self.proc_masks(),
            Check::HostPaths => nothing(&self.exposed(&HOST_PATHS)),
            Check::Sockets => nothing(&self.exposed(&SOCKETS)),
            Check::Propagation => {
                let shared = kernel.mounts.iter().filter(|mount| mount.shared).map(|mount| mount.point.clone());
                nothing(&shared.collect::<Vec<_>>())
            }
            Check::ReadOnlyRoot => {
                let read_only = kernel.mounts.iter().any(|mount| mount.point == "/" && mount.read_only);
                unless(!read_only, "the root filesystem can be written")
            }
            Check::Devices => self.devices(),
            Check::Memory => unless(kernel.limits.memory.is_none(), "no limit in its own cgroup"),
            Check::Cpu => {
                // 1024 shares (v1) and a weight of 100 (v2) are what everybody has.
                let default = matches!(kernel.limits.cpu_weight, None | Some(1024 | 100));
                unless(kernel.limits.millicpu.is_none() && default, "neither quota nor shares in its own cgroup")
            }
            Check::Pids => unless(kernel.limits.pids.is_none(), "no limit in its own cgroup"),
            Check::Cgroup => nothing(&kernel.left_cgroups),
            Check::Sysctls => self.sysctls(),
        }
    }

    fn namespace(&self, kind: NamespaceKind) -> Outcome {
        let host = self.kernel.namespaces.iter().any(|namespace| namespace.kind == kind && namespace.host);
        unless(host, "it is the host's")
    }

    /// The bounding set counts for who can gain from it; what a process has already counts in any case.
    fn capabilities(&self, allowed: u64) -> Outcome {
        let sets = &self.kernel.capabilities;
        // Until its execve a waiting init keeps what it loads a filter with.
        let until_execve = if self.kernel.seccomp.pending { SYS_ADMIN } else { 0 };
        let beyond = (sets.bounding | sets.permitted & !until_execve | sets.inheritable) & !allowed;
        nothing(&capability_names(beyond))
    }

    fn apparmor(&self) -> Outcome {
        if !self.facts.apparmor {
            return Outcome::Pass;
        }
        let label = self.kernel.apparmor.as_ref().or(self.kernel.label.as_ref());
        match label {
            Some(label) => unless(label.starts_with("unconfined"), "unconfined"),
            None => Outcome::Unknown("no label can be read".to_owned()),
        }
    }

    fn selinux(&self) -> Outcome {
        if !self.facts.selinux {
            return Outcome::Pass;
        }
        let label = self.kernel.label.as_deref().unwrap_or_default();
        match label.parse::<Context>() {
            Ok(context) => {
                let name = context.to_string().split(':').nth(2).unwrap_or_default().to_owned();
                unless(!standard::SELINUX_TYPES.contains(&name.as_str()), &format!("type {name}"))
            }
            Err(_) => Outcome::Unknown(format!("label \"{label}\"")),
        }
    }

    fn proc_masks(&self) -> Outcome {
        let mut open = Vec::new();
        for (path, cover) in &self.kernel.paths {
            let path = path.as_str();
            let must_mask = standard::MASKED.contains(&path) && !RECENT.contains(&path);
            match cover {
                Cover::Unknown if must_mask => return Outcome::Unknown(format!("{path} was not looked at")),
                Cover::ReadOnly | Cover::Writable if must_mask => open.push(path.to_owned()),
                Cover::Writable if standard::READ_ONLY.contains(&path) => open.push(path.to_owned()),
                _ => {}
            }
        }
        nothing(&open)
    }

    /// Where the container has one of these paths of the host's, or a directory that it is in. Told by the filesystem
    /// and the place in it, so that no name can hide it.
    fn exposed(&self, paths: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for path in paths {
            // A path that is not there cannot be had; one that is a link is where it leads.
            let Ok(path) = std::fs::canonicalize(path) else { continue };
            let Some((device, place)) = self.host.place(&path.to_string_lossy()) else { continue };
            for mount in self.kernel.mounts.iter().filter(|mount| mount.device == device) {
                // A clone of a mask or of a node is a file: nothing is in it.
                if is_below(&place, &mount.root) {
                    found.push(format!("{} at {}", path.display(), mount.point));
                }
            }
        }
        found.dedup();
        found
    }

    fn devices(&self) -> Outcome {
        let devices = &self.kernel.devices;
        let extra = devices.nodes.iter().filter(|node| !node.is_ordinary() && node.reachable != Some(false));
        let extra: Vec<String> = extra.map(|node| node.path.clone()).collect();
        match extra.is_empty() {
            true if devices.access == DeviceAccess::Everything => Outcome::Fail("the cgroup allows all devices".into()),
            true if devices.incomplete => Outcome::Unknown("not all of /dev was looked at".into()),
            _ => nothing(&extra),
        }
    }

    fn sysctls(&self) -> Outcome {
        let Some(planned) = self.planned else { return Outcome::Unknown("no plan".to_owned()) };
        let others =
            planned.sysctls.iter().filter(|name| !standard::SYSCTLS.contains(&name.replace('/', ".").as_str()));
        nothing(&others.cloned().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests;
