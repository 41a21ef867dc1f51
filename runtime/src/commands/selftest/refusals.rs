//! What is not even started: each as a change to the careless configuration, which alone is not refused.

use super::bundle::mount;
use super::ground::{DOCKER, at};
use crate::policy::{Level, Rule};
use crate::spec::{Device, DeviceCgroup, Linux, Spec};

use Level::{Baseline, Restricted};

/// One change that a rule refuses.
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// The level from which on it refuses.
    pub from: Level,
    /// What is refused.
    pub what: &'static str,
    /// Makes the configuration one that is refused.
    pub change: fn(&mut Spec),
}

const fn refusal(rule: Rule, from: Level, what: &'static str, change: fn(&mut Spec)) -> Refusal {
    Refusal { rule, from, what, change }
}

/// All of them, in the order of the report.
#[rustfmt::skip]
pub const REFUSALS: &[Refusal] = &[
    refusal(Rule::Privileged, Baseline, "a privileged container", privileged),
    refusal(Rule::Capabilities, Baseline, "CAP_SYS_ADMIN", |spec| capability(spec, "CAP_SYS_ADMIN")),
    refusal(Rule::HostPid, Baseline, "the host's PID namespace", |spec| without(spec, "pid")),
    refusal(Rule::HostIpc, Baseline, "the host's IPC namespace", |spec| without(spec, "ipc")),
    refusal(Rule::HostNetwork, Baseline, "the host's network namespace", |spec| without(spec, "network")),
    refusal(Rule::HostUts, Restricted, "the host's UTS namespace", |spec| without(spec, "uts")),
    refusal(Rule::Sysctls, Baseline, "a kernel parameter outside of the safe list", |spec| {
        linux(spec).sysctl.insert("net.ipv4.ip_forward".to_owned(), "0".to_owned());
    }),
    refusal(Rule::UnmaskedProc, Baseline, "a procfs with nothing masked", |spec| {
        linux(spec).masked_paths.clear();
        linux(spec).readonly_paths.clear();
    }),
    refusal(Rule::SensitiveBinds, Baseline, "a bind of /", |spec| bind(spec, "/", "/host")),
    refusal(Rule::SensitiveBinds, Baseline, "a bind of a symbolic link to /", |spec| bind(spec, &at("to-root"), "/host")),
    refusal(Rule::SensitiveBinds, Baseline, "a bind of an engine's socket", |spec| bind(spec, DOCKER, "/engine.sock")),
    refusal(Rule::FilesystemTypes, Baseline, "a mount of tracefs", |spec| {
        spec.mounts.push(mount(&("tracefs", "/bound", "tracefs", &[])));
    }),
    refusal(Rule::SharedPropagation, Baseline, "a mount that propagates to the host", |spec| {
        spec.mounts.push(mount(&("bind", "/bound", &at("bound"), &["rbind", "rshared"])));
    }),
    refusal(Rule::DeviceWildcards, Baseline, "all block devices", |spec| {
        device_rule(spec, "b");
    }),
    refusal(Rule::RawDevices, Baseline, "/dev/mem as a device", |spec| device(spec, "/dev/mem", 1, 1)),
    refusal(Rule::ExtraDevices, Restricted, "a device beyond the usual ones", |spec| device(spec, "/dev/fuse", 10, 229)),
    refusal(Rule::NonRoot, Restricted, "user 0", |spec| {
        if let Some(process) = &mut spec.process {
            process.user.uid = 0;
        }
    }),
    refusal(Rule::SelinuxType, Baseline, "an SELinux type that confines nothing", |spec| {
        if let Some(process) = &mut spec.process {
            process.selinux_label = "system_u:system_r:spc_t:s0".to_owned();
        }
    }),
    refusal(Rule::ApparmorProfile, Baseline, "no AppArmor profile", |spec| {
        if let Some(process) = &mut spec.process {
            process.apparmor_profile = "unconfined".to_owned();
        }
    }),
];

fn linux(spec: &mut Spec) -> &mut Linux {
    spec.linux.get_or_insert_with(Linux::default)
}

fn without(spec: &mut Spec, namespace: &str) {
    linux(spec).namespaces.retain(|one| one.r#type != namespace);
    if namespace == "uts" {
        // A name would be the host's.
        spec.hostname.clear();
    }
}

fn bind(spec: &mut Spec, source: &str, destination: &str) {
    spec.mounts.push(mount(&("bind", destination, source, &["rbind", "ro"])));
}

fn capability(spec: &mut Spec, name: &str) {
    if let Some(sets) = spec.process.as_mut().and_then(|process| process.capabilities.as_mut()) {
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.push(name.to_owned());
        }
    }
}

fn device_rule(spec: &mut Spec, kind: &str) {
    let rule =
        DeviceCgroup { allow: true, r#type: kind.to_owned(), access: "rwm".to_owned(), ..DeviceCgroup::default() };
    if let Some(resources) = &mut linux(spec).resources {
        resources.devices.push(rule);
    }
}

fn device(spec: &mut Spec, path: &str, major: i64, minor: i64) {
    let device = Device { path: path.to_owned(), r#type: "c".to_owned(), major, minor, ..Device::default() };
    linux(spec).devices.push(device);
}

/// As engines write it: all capabilities and all devices.
fn privileged(spec: &mut Spec) {
    for name in ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_NET_ADMIN"] {
        capability(spec, name);
    }
    device_rule(spec, "a");
}

/// The device rules of a container that may use every device: the control for those that may not.
pub fn all_devices(spec: &mut Spec) {
    device_rule(spec, "a");
}

/// The namespaces of the host: the control for those that are the container's own.
pub fn host_namespaces(spec: &mut Spec) {
    for namespace in ["pid", "ipc", "network", "uts"] {
        without(spec, namespace);
    }
}
