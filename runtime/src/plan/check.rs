//! What a configuration must not say, checked before anything else: the flat list.

use super::finding::Findings;
use super::namespace::{NamespaceKind, Namespaces};
use super::{CreateRequest, Facts, clean};
use crate::cgroup;
use crate::spec::{Hook, Spec};

/// All checks of a create that are about the configuration as a whole.
pub fn create(spec: &Spec, request: &CreateRequest, namespaces: &Namespaces, facts: &Facts, findings: &mut Findings) {
    version(&spec.oci_version, findings);
    if request.no_pivot {
        findings.unsupported("", "--no-pivot is not supported yet");
    }
    if !namespaces.is_new(NamespaceKind::Mount) {
        let restricts = spec.linux.as_ref().is_some_and(|l| !l.masked_paths.is_empty() || !l.readonly_paths.is_empty());
        if restricts {
            findings.invalid("/linux/namespaces", "unable to restrict sys entries without a private MNT namespace");
        }
        findings.invalid("/linux/namespaces", "a container needs a mount namespace of its own");
    }
    if request.runs && spec.process.is_none() {
        findings.invalid("/process", "cannot start a container without process in its config");
    }
    match &spec.root {
        None => findings.invalid("/root", "root is required"),
        Some(root) if root.path.is_empty() => findings.invalid("/root/path", "root.path is empty"),
        Some(_) => {}
    }
    let private_uts = namespaces.is_private(NamespaceKind::Uts);
    if !spec.hostname.is_empty() && !private_uts {
        findings.invalid("/hostname", "unable to set hostname without a private UTS namespace");
    }
    if !spec.domainname.is_empty() && !private_uts {
        findings.invalid("/domainname", "unable to set domainname without a private UTS namespace");
    }
    // __NEW_UTS_LEN of the kernel.
    for (name, value) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        if value.len() > 64 {
            findings.invalid(&format!("/{name}"), format!("{name} has {} bytes, more than 64", value.len()));
        }
    }
    if spec.annotations.keys().any(String::is_empty) {
        findings.invalid("/annotations", "an annotation has an empty name");
    }
    let terminal = spec.process.as_ref().is_some_and(|p| p.terminal);
    if terminal && !request.takes_terminal {
        findings
            .invalid("/process/terminal", "cannot allocate tty if casemate will detach without setting console socket");
    }
    hooks(spec, findings);
    linux(spec, facts, findings);
}

/// The plan is for every 1.x of the spec: minor versions only add.
fn version(version: &str, findings: &mut Findings) {
    let pointer = "/ociVersion";
    let core = version.split(['-', '+']).next().unwrap_or("");
    let numbers: Vec<Option<u64>> = core.split('.').map(|n| n.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(1), Some(_), Some(_)] => {}
        [Some(_), Some(_), Some(_)] => {
            findings.unsupported(pointer, format!("ociVersion \"{version}\" is not one of 1.x.y"));
        }
        _ if version.is_empty() => findings.invalid(pointer, "ociVersion is missing"),
        _ => findings.invalid(pointer, format!("ociVersion \"{version}\" is not a semantic version")),
    }
}

fn hooks(spec: &Spec, findings: &mut Findings) {
    let Some(hooks) = &spec.hooks else { return };
    let kinds: [(&str, &[Hook]); 6] = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (kind, hooks) in kinds {
        for (i, hook) in hooks.iter().enumerate() {
            let pointer = format!("/hooks/{kind}/{i}/path");
            if !hook.path.starts_with('/') {
                findings.invalid(&pointer, format!("{kind} hook #{i}: path \"{}\" is not absolute", hook.path));
            }
            let pointer = format!("/hooks/{kind}/{i}/timeout");
            match hook.timeout {
                Some(t) if t <= 0 => {
                    findings.invalid(&pointer, format!("{kind} hook #{i}: timeout {t} must be greater than zero"));
                }
                Some(t) if t > i64::from(u32::MAX) => {
                    findings.invalid(&pointer, format!("{kind} hook #{i}: timeout {t} is longer than {} s", u32::MAX));
                }
                _ => {}
            }
        }
    }
}

fn linux(spec: &Spec, facts: &Facts, findings: &mut Findings) {
    let Some(linux) = &spec.linux else { return };
    let later = [
        ("uidMappings", !linux.uid_mappings.is_empty()),
        ("gidMappings", !linux.gid_mappings.is_empty()),
        ("timeOffsets", !linux.time_offsets.is_empty()),
        ("netDevices", !linux.net_devices.is_empty()),
        ("intelRdt", linux.intel_rdt.is_some()),
        ("memoryPolicy", linux.memory_policy.is_some()),
        ("personality", linux.personality.is_some()),
    ];
    for (field, used) in later {
        if used {
            findings.unsupported(&format!("/linux/{field}"), format!("linux.{field} is not supported yet"));
        }
    }
    if linux.resources.as_ref().is_some_and(|r| !r.rdma.is_empty()) {
        findings.unsupported("/linux/resources/rdma", "linux.resources.rdma is not supported yet");
    }
    if !linux.mount_label.is_empty() && !facts.selinux {
        findings.invalid(
            "/linux/mountLabel",
            "mount label is specified in config, but selinux is disabled or not supported",
        );
    }
    for (name, paths) in [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)] {
        for (i, path) in paths.iter().enumerate() {
            let pointer = format!("/linux/{name}/{i}");
            if !path.starts_with('/') {
                findings.invalid(&pointer, format!("{name}: path \"{path}\" is not absolute"));
            } else if clean(path) == "/" {
                findings
                    .invalid(&pointer, format!("{name}: \"{path}\" is the root; root.readonly makes that read-only"));
            } else if path.len() > 4095 {
                findings.invalid(&pointer, format!("{name}: file name too long: more than 4095 bytes"));
            }
        }
    }
}

/// A limit that cannot be had on this host, with a pointer to the field that the cgroup room names.
pub fn resources(error: &cgroup::Error, findings: &mut Findings) {
    let at = |field: &str| match field.split_once("[\"") {
        Some((map, _)) => format!("/linux/resources/{map}"),
        None => format!("/linux/resources/{}", field.replace('.', "/")),
    };
    match error {
        // The field itself is named as one that is not supported yet.
        cgroup::Error::NoController { controller: "rdma", .. } => {}
        cgroup::Error::NoController { field, .. } => findings.unsupported(&at(field), error.to_string()),
        cgroup::Error::BadValue { field, .. } if field.starts_with("rdma") => {}
        cgroup::Error::BadValue { field, .. } => findings.invalid(&at(field), error.to_string()),
        cgroup::Error::Devices { .. } => findings.invalid("/linux/resources/devices", error.to_string()),
        _ => findings.invalid("/linux/resources", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_dot_x_is_accepted_and_nothing_else() {
        for (text, ok) in [
            ("1.0.0", true),
            ("1.0.2-dev", true),
            ("1.3.0", true),
            ("1.9.0+dev", true),
            ("", false),
            ("banana", false),
            ("9.9.9", false),
            ("1.0", false),
            ("0.6.0", false),
        ] {
            let mut findings = Findings::default();
            version(text, &mut findings);
            assert_eq!(findings.is_empty(), ok, "{text}");
        }
    }
}
