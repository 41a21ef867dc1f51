//! The items of the standards, and how each is looked at: by rules of casemate, by a look at the configuration where no
//! rule stands for it, or not at all, with the reason.
//!
//! Titles are ours; numbers and names of controls are those of the standards.

use super::{Finding, Outcome};
use crate::plan::Facts;
use crate::policy::Rule;
use crate::policy::catalogue::{Severity, Standard};
use crate::spec::{Place, Resources, Spec};

/// One item.
pub(super) struct Question {
    pub(super) standard: Standard,
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Each must find nothing.
    pub(super) rules: &'static [Rule],
    /// Each must be good.
    pub(super) looks: &'static [Look],
    /// It is about processes that are added later; this rule watches over them.
    pub(super) at_exec: Option<Rule>,
    /// Why it cannot be judged, if nothing else was found; empty for an item that can.
    pub(super) unseen: &'static str,
}

/// A look at something that no rule stands for.
pub(super) type Look = fn(&Spec, &Facts) -> Seen;

/// What was seen.
pub(super) enum Seen {
    /// As the standard wants it.
    Good,
    /// Nothing to go by.
    Unknown(&'static str),
    /// Not as the standard wants it.
    Wrong(Wrong),
}

/// What is wrong, where, and what to do.
pub(super) struct Wrong {
    pointer: String,
    message: String,
    severity: Severity,
    fix: &'static str,
}

impl Wrong {
    pub(super) fn finding(self, question: &Question, outcome: Outcome) -> Finding {
        Finding {
            id: format!("{}/{}", question.standard, question.id),
            outcome,
            severity: self.severity,
            pointer: self.pointer,
            place: Place { line: 1, column: 1, end_line: 1, end_column: 2 },
            message: self.message,
            fix: self.fix.to_owned(),
            allow: String::new(),
        }
    }
}

fn wrong(pointer: &str, severity: Severity, message: impl Into<String>, fix: &'static str) -> Seen {
    Seen::Wrong(Wrong { pointer: pointer.to_owned(), message: message.into(), severity, fix })
}

const fn by(standard: Standard, id: &'static str, title: &'static str, rules: &'static [Rule]) -> Question {
    Question { standard, id, title, rules, looks: &[], at_exec: None, unseen: "" }
}

const fn seen(standard: Standard, id: &'static str, title: &'static str, looks: &'static [Look]) -> Question {
    Question { standard, id, title, rules: &[], looks, at_exec: None, unseen: "" }
}

const fn unseen(standard: Standard, id: &'static str, title: &'static str, why: &'static str) -> Question {
    Question { standard, id, title, rules: &[], looks: &[], at_exec: None, unseen: why }
}

use Standard::{CisDocker, Nist, PssBaseline, PssRestricted};

const PORTS: &str = "ports are published by the engine's network, not by the runtime";
const IMAGE: &str = "what the image has in it is not in the configuration";

/// All items of all standards.
pub(super) static ITEMS: &[Question] = &[
    unseen(CisDocker, "5.1", "swarm mode is off", "a setting of the engine"),
    seen(CisDocker, "5.2", "an AppArmor profile", &[apparmor]),
    Question { looks: &[selinux], ..by(CisDocker, "5.3", "an SELinux label", &[Rule::SelinuxType]) },
    by(CisDocker, "5.4", "no capabilities beyond the usual", &[Rule::Capabilities]),
    by(CisDocker, "5.5", "not privileged", &[Rule::Privileged]),
    by(CisDocker, "5.6", "no sensitive directories of the host", &[Rule::SensitiveBinds]),
    unseen(CisDocker, "5.7", "no sshd inside", IMAGE),
    unseen(CisDocker, "5.8", "no privileged ports published", PORTS),
    unseen(CisDocker, "5.9", "only needed ports published", PORTS),
    by(CisDocker, "5.10", "not in the host's network namespace", &[Rule::HostNetwork]),
    seen(CisDocker, "5.11", "a memory limit", &[memory]),
    seen(CisDocker, "5.12", "a share of the CPU", &[cpu]),
    seen(CisDocker, "5.13", "a read-only root filesystem", &[read_only_root]),
    unseen(CisDocker, "5.14", "ports bound to one interface", PORTS),
    unseen(CisDocker, "5.15", "restarts are limited", "restarting is the engine's business"),
    by(CisDocker, "5.16", "not in the host's PID namespace", &[Rule::HostPid]),
    by(CisDocker, "5.17", "not in the host's IPC namespace", &[Rule::HostIpc]),
    by(CisDocker, "5.18", "no devices of the host", &[Rule::ExtraDevices, Rule::RawDevices, Rule::DeviceWildcards]),
    unseen(CisDocker, "5.19", "ulimits set where needed", "what the program needs is not in the configuration"),
    by(CisDocker, "5.20", "no shared mount propagation", &[Rule::SharedPropagation]),
    by(CisDocker, "5.21", "not in the host's UTS namespace", &[Rule::HostUts]),
    by(CisDocker, "5.22", "a seccomp profile", &[Rule::SeccompProfile]),
    Question { at_exec: Some(Rule::ExecBeyondInit), ..by(CisDocker, "5.23", "no privileged exec", &[]) },
    unseen(CisDocker, "5.24", "no exec as root", "an exec brings a configuration of its own"),
    unseen(CisDocker, "5.25", "the expected cgroup", "which cgroup was expected is not in the configuration"),
    by(CisDocker, "5.26", "no new privileges", &[Rule::NoNewPrivileges]),
    unseen(CisDocker, "5.27", "health is checked", "health checks are the engine's business"),
    unseen(CisDocker, "5.28", "the latest image", IMAGE),
    by(CisDocker, "5.29", "a pids limit", &[Rule::PidsLimit]),
    unseen(CisDocker, "5.30", "not on the bridge docker0", "networks are the engine's business"),
    seen(CisDocker, "5.31", "not in the host's user namespace", &[user_namespace]),
    seen(CisDocker, "5.32", "no engine socket inside", &[engine_socket]),
    by(PssBaseline, "Host Namespaces", "no namespaces of the host", &[Rule::HostPid, Rule::HostIpc, Rule::HostNetwork]),
    by(PssBaseline, "Privileged Containers", "not privileged", &[Rule::Privileged]),
    by(PssBaseline, "Capabilities", "no capabilities beyond the list", &[Rule::Capabilities]),
    by(PssBaseline, "HostPath Volumes", "no sensitive paths of the host", &[Rule::SensitiveBinds]),
    unseen(PssBaseline, "Host Ports", "no ports of the host", PORTS),
    unseen(PssBaseline, "Host Probes / Lifecycle Hooks", "probes go to the pod", "probes are the kubelet's business"),
    by(PssBaseline, "AppArmor", "not unconfined by AppArmor", &[Rule::ApparmorProfile]),
    by(PssBaseline, "SELinux", "only SELinux types for containers", &[Rule::SelinuxType]),
    by(PssBaseline, "/proc Mount Type", "procfs is masked", &[Rule::UnmaskedProc]),
    by(PssBaseline, "Seccomp", "not unconfined by seccomp", &[Rule::SeccompProfile]),
    by(PssBaseline, "Sysctls", "only safe kernel parameters", &[Rule::Sysctls]),
    unseen(PssRestricted, "Volume Types", "no volumes of other types", "to a runtime all volumes are bind mounts"),
    by(PssRestricted, "Privilege Escalation", "no new privileges", &[Rule::NoNewPrivileges]),
    by(PssRestricted, "Running as Non-root", "not as root", &[Rule::NonRoot]),
    by(PssRestricted, "Running as Non-root user", "no user id 0", &[Rule::NonRoot]),
    by(PssRestricted, "Seccomp", "a seccomp profile", &[Rule::SeccompProfile]),
    by(PssRestricted, "Capabilities", "none but NET_BIND_SERVICE", &[Rule::DropCapabilities]),
    unseen(Nist, "4.4.1", "no known vulnerabilities in the runtime", "a matter of versions: `casemate --version`"),
    by(Nist, "4.4.2", "network of its own", &[Rule::HostNetwork]),
    by(Nist, "4.4.3", "least privilege", &[Rule::Privileged, Rule::Capabilities, Rule::NoNewPrivileges, Rule::NonRoot]),
    by(Nist, "4.4.3", "namespaces of its own", &[Rule::HostPid, Rule::HostIpc, Rule::HostUts]),
    by(Nist, "4.4.3", "a seccomp profile", &[Rule::SeccompProfile]),
    by(Nist, "4.4.3", "not unconfined by a security module", &[Rule::SelinuxType, Rule::ApparmorProfile]),
    by(
        Nist,
        "4.4.3",
        "files and parameters of the kernel",
        &[Rule::UnmaskedProc, Rule::MaskedPaths, Rule::ReadOnlySys, Rule::Sysctls],
    ),
    by(
        Nist,
        "4.4.3",
        "mounts that stay inside",
        &[Rule::SensitiveBinds, Rule::SharedPropagation, Rule::FilesystemTypes],
    ),
    by(Nist, "4.4.3", "no raw devices", &[Rule::DeviceWildcards, Rule::RawDevices]),
    Question { looks: &[memory, cpu], ..by(Nist, "4.4.3", "limits of resources", &[Rule::PidsLimit]) },
    seen(Nist, "4.4.4", "a read-only root filesystem", &[read_only_root]),
    unseen(Nist, "4.4.5", "no rogue containers", "whether it is wanted is not in the configuration"),
    by(Nist, "4.5.5", "the host's files stay the host's", &[Rule::SensitiveBinds]),
];

fn apparmor(spec: &Spec, facts: &Facts) -> Seen {
    let process = spec.process.as_ref();
    let profile = process.map_or("", |process| process.apparmor_profile.as_str());
    let labelled = process.is_some_and(|process| !process.selinux_label.is_empty());
    let fix = "enable AppArmor in the engine, or name a profile: `--security-opt apparmor=NAME`";
    match profile {
        "unconfined" => wrong("/process/apparmorProfile", Severity::High, "unconfined by AppArmor", fix),
        "" if labelled => Seen::Unknown("the configuration goes by SELinux"),
        "" if facts.apparmor => wrong("/process/apparmorProfile", Severity::Medium, "no AppArmor profile", fix),
        "" => Seen::Unknown("no profile, and AppArmor is not enabled on this host"),
        _ => Seen::Good,
    }
}

fn selinux(spec: &Spec, facts: &Facts) -> Seen {
    let process = spec.process.as_ref();
    let profiled = process.is_some_and(|process| !matches!(&*process.apparmor_profile, "" | "unconfined"));
    match process.map_or("", |process| process.selinux_label.as_str()) {
        "" if profiled => Seen::Unknown("the configuration goes by AppArmor"),
        "" if facts.selinux => {
            let fix = "enable SELinux in the engine: `selinux-enabled`";
            wrong("/process/selinuxLabel", Severity::Medium, "no SELinux label", fix)
        }
        "" => Seen::Unknown("no label, and SELinux is not enabled on this host"),
        _ => Seen::Good,
    }
}

fn resources(spec: &Spec) -> Option<&Resources> {
    spec.linux.as_ref()?.resources.as_ref()
}

/// Whether a file of cgroup v2 is set to something other than one of `idle`.
fn unified(resources: &Resources, file: &str, idle: &[&str]) -> bool {
    resources.unified.get(file).is_some_and(|value| !idle.contains(&value.trim()))
}

fn memory(spec: &Spec, _: &Facts) -> Seen {
    let limited = resources(spec).is_some_and(|resources| {
        let limit = resources.memory.as_ref().and_then(|memory| memory.limit);
        limit.is_some_and(|limit| limit > 0) || unified(resources, "memory.max", &["max"])
    });
    match limited {
        true => Seen::Good,
        false => {
            let fix = "`--memory SIZE` (`resources.limits.memory`)";
            wrong("/linux/resources/memory/limit", Severity::Medium, "no memory limit", fix)
        }
    }
}

/// 1024 shares, and weight 100, are what everybody has who was given nothing.
fn cpu(spec: &Spec, _: &Facts) -> Seen {
    let given = resources(spec).is_some_and(|resources| {
        let shares = resources.cpu.as_ref().and_then(|cpu| cpu.shares);
        let quota = resources.cpu.as_ref().and_then(|cpu| cpu.quota);
        shares.is_some_and(|shares| !matches!(shares, 0 | 1024))
            || quota.is_some_and(|quota| quota > 0)
            || unified(resources, "cpu.weight", &["100"])
            || resources.unified.get("cpu.max").is_some_and(|value| !value.trim().starts_with("max"))
    });
    match given {
        true => Seen::Good,
        false => {
            let fix = "`--cpus N` or `--cpu-shares N` (`resources.limits.cpu`, `resources.requests.cpu`)";
            wrong("/linux/resources/cpu", Severity::Low, "neither CPU shares nor a quota", fix)
        }
    }
}

fn read_only_root(spec: &Spec, _: &Facts) -> Seen {
    match spec.root.as_ref().is_some_and(|root| root.readonly) {
        true => Seen::Good,
        false => {
            let fix = "`--read-only` (`readOnlyRootFilesystem: true`)";
            wrong("/root/readonly", Severity::Medium, "the root filesystem can be written to", fix)
        }
    }
}

fn user_namespace(spec: &Spec, _: &Facts) -> Seen {
    let namespaces = spec.linux.as_ref().map(|linux| linux.namespaces.as_slice()).unwrap_or_default();
    match namespaces.iter().any(|namespace| namespace.r#type == "user") {
        true => Seen::Good,
        false => Seen::Unknown("none of its own; whether the engine was told to take the host's is not written"),
    }
}

fn engine_socket(spec: &Spec, _: &Facts) -> Seen {
    const SOCKETS: &[&str] = &["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];
    let name = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let found = spec.mounts.iter().enumerate().find(|(_, mount)| SOCKETS.contains(&&*name(&mount.source)));
    match found {
        None => Seen::Good,
        Some((index, mount)) => {
            let message = format!("\"{}\" is bound to \"{}\"", mount.source, mount.destination);
            wrong(&format!("/mounts/{index}"), Severity::Critical, message, "drop the bind of the socket")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::catalogue::page;

    #[test]
    fn the_catalogue_knows_which_items_its_rules_stand_for() {
        for question in ITEMS {
            for rule in question.rules.iter().chain(question.at_exec.iter()) {
                let known = page(*rule).standards.contains(&(question.standard, question.id));
                assert!(known, "{rule} does not name {}/{}", question.standard, question.id);
            }
        }
        for rule in Rule::ALL {
            for (standard, id) in page(*rule).standards {
                let known = ITEMS.iter().any(|question| question.standard == *standard && question.id == *id);
                assert!(known, "{rule} names {standard}/{id}, which is no item");
            }
        }
    }

    #[test]
    fn every_item_can_be_judged_or_says_why_not() {
        for question in ITEMS {
            let looked = !question.rules.is_empty() || !question.looks.is_empty() || question.at_exec.is_some();
            assert_eq!(looked, question.unseen.is_empty(), "{}/{}", question.standard, question.id);
        }
        let of = |standard| ITEMS.iter().filter(|question| question.standard == standard).count();
        assert_eq!(of(CisDocker), 32);
    }
}
