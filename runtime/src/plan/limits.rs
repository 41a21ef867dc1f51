//! How many of each thing a configuration may have. Far above what engines write; without limits a configuration of a
//! few megabytes could keep the kernel busy for minutes, or make an error of a few megabytes.

use super::finding::Findings;
use crate::spec::{self, Spec};

/// Mounts, and masked and read-only paths, each.
pub const MOUNTS: usize = 4096;
/// Device nodes.
pub const DEVICES: usize = 1024;
/// Device rules of the cgroup.
pub const DEVICE_RULES: usize = 4096;
/// Hooks of all kinds together.
pub const HOOKS: usize = 64;
/// Variables of the environment.
pub const ENVIRONMENT: usize = 8192;
/// Arguments.
pub const ARGUMENTS: usize = 65536;
/// Supplementary groups; the kernel's own limit (NGROUPS_MAX).
pub const GROUPS: usize = 65536;
/// Kernel parameters.
pub const SYSCTLS: usize = 1024;
/// Annotations.
pub const ANNOTATIONS: usize = 4096;

/// Finds what there is too much of in a config.json.
pub fn config(spec: &Spec, findings: &mut Findings) {
    let mut at_most = |pointer: &str, what: &str, count: usize, limit: usize| {
        if count > limit {
            findings.invalid(pointer, format!("there are {count} {what}; at most {limit} are possible"));
        }
    };
    at_most("/mounts", "mounts", spec.mounts.len(), MOUNTS);
    at_most("/annotations", "annotations", spec.annotations.len(), ANNOTATIONS);
    if let Some(h) = &spec.hooks {
        let all = [&h.prestart, &h.create_runtime, &h.create_container, &h.start_container, &h.poststart, &h.poststop];
        at_most("/hooks", "hooks", all.iter().map(|hooks| hooks.len()).sum(), HOOKS);
    }
    if let Some(linux) = &spec.linux {
        let rules = linux.resources.as_ref().map_or(0, |r| r.devices.len());
        at_most("/linux/devices", "devices", linux.devices.len(), DEVICES);
        at_most("/linux/resources/devices", "device rules", rules, DEVICE_RULES);
        at_most("/linux/maskedPaths", "masked paths", linux.masked_paths.len(), MOUNTS);
        at_most("/linux/readonlyPaths", "read-only paths", linux.readonly_paths.len(), MOUNTS);
        at_most("/linux/sysctl", "sysctls", linux.sysctl.len(), SYSCTLS);
    }
    if let Some(process) = &spec.process {
        self::process(process, findings);
    }
}

/// Finds what there is too much of in a process.
pub fn process(process: &spec::Process, findings: &mut Findings) {
    for (pointer, what, count, limit) in [
        ("/process/args", "arguments", process.args.len(), ARGUMENTS),
        ("/process/env", "environment variables", process.env.len(), ENVIRONMENT),
        ("/process/user/additionalGids", "supplementary groups", process.user.additional_gids.len(), GROUPS),
    ] {
        if count > limit {
            findings.invalid(pointer, format!("there are {count} {what}; at most {limit} are possible"));
        }
    }
}
