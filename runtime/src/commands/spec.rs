//! `spec`: a template of `config.json` to start from: a shell in a terminal, on a read-only root, with few privileges.

use crate::cgroup::{Layout, Mode};
use crate::error::{Call, Error, Kind, Result};
use crate::spec::{
    Capabilities, DeviceCgroup, IdMapping, Linux, Mount, Namespace, PosixRlimit, Process, Resources, Root, Spec,
    VERSION,
};
use rustix::fs::{CWD, Mode as FileMode, OFlags};
use rustix::io::Errno;
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// Files of the host's kernel that tell about the host, or act on it.
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Type, destination, source and options of the mounts, without the cgroup mount.
const MOUNTS: [(&str, &str, &str, &[&str]); 6] = [
    ("proc", "/proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("tmpfs", "/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("devpts", "/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("tmpfs", "/dev/shm", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("mqueue", "/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("sysfs", "/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
];

/// Writes `config.json` into the bundle's directory. `rootless` makes one for a user without privileges.
///
/// # Errors
/// There is one already; what openat(2) and write(2) report.
pub fn run(bundle: &Path, rootless: bool) -> Result<()> {
    let unified = Layout::discover().is_ok_and(|layout| layout.mode() == Mode::Unified);
    let mut spec = template(unified);
    if rootless {
        make_rootless(&mut spec, rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    }
    let path = bundle.join("config.json");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(CWD, &path, flags, FileMode::from_raw_mode(0o666)) {
        Err(Errno::EXIST) => {
            return Err(Error::new(Kind::AlreadyExists, "File config.json exists. Remove it first"));
        }
        opened => opened.call("open", path.display())?,
    };
    File::from(file).write_all(&json(&spec)?).call("write", path.display())
}

/// The document, indented with tabs.
pub(super) fn json(spec: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    spec.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| Error::new(Kind::System, format!("config.json: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn mount(&(kind, destination, source, options): &(&str, &str, &str, &[&str])) -> Mount {
    Mount {
        destination: destination.to_owned(),
        r#type: kind.to_owned(),
        source: source.to_owned(),
        options: strings(options),
        ..Mount::default()
    }
}

/// The template. A cgroup namespace is in it where the host has cgroup v2 only: there it hides the host's paths without
/// more mounts.
fn template(unified: bool) -> Spec {
    let cgroup = mount(&("cgroup", "/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]));
    Spec {
        oci_version: VERSION.to_owned(),
        process: Some(process()),
        root: Some(Root { path: "rootfs".to_owned(), readonly: true }),
        hostname: "casemate".to_owned(),
        mounts: MOUNTS.iter().map(mount).chain([cgroup]).collect(),
        linux: Some(linux(unified)),
        ..Spec::default()
    }
}

fn process() -> Process {
    let capabilities = strings(&CAPABILITIES);
    Process {
        terminal: true,
        args: strings(&["sh"]),
        env: strings(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]),
        cwd: "/".to_owned(),
        capabilities: Some(Capabilities {
            bounding: capabilities.clone(),
            effective: capabilities.clone(),
            permitted: capabilities,
            ..Capabilities::default()
        }),
        rlimits: vec![PosixRlimit { r#type: "RLIMIT_NOFILE".to_owned(), hard: 1024, soft: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn linux(unified: bool) -> Linux {
    let kinds = ["pid", "network", "ipc", "uts", "mount"].into_iter().chain(unified.then_some("cgroup"));
    let deny = DeviceCgroup { allow: false, access: "rwm".to_owned(), ..DeviceCgroup::default() };
    Linux {
        resources: Some(Resources { devices: vec![deny], ..Resources::default() }),
        namespaces: kinds.map(|kind| Namespace { r#type: kind.to_owned(), ..Namespace::default() }).collect(),
        masked_paths: strings(&MASKED_PATHS),
        readonly_paths: strings(&READONLY_PATHS),
        ..Linux::default()
    }
}

/// What a user cannot have without privileges goes; root inside is the user outside.
fn make_rootless(spec: &mut Spec, uid: u32, gid: u32) {
    // A sysfs needs an own network namespace, which is of no use without somebody privileged to connect it.
    spec.mounts.retain(|mount| mount.destination != "/sys/fs/cgroup");
    for mount in &mut spec.mounts {
        if mount.destination == "/sys" {
            mount.r#type = "none".to_owned();
            mount.source = "/sys".to_owned();
            mount.options = strings(&["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
        // Groups other than the user's own are not mapped.
        mount.options.retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
    }
    let Some(linux) = &mut spec.linux else { return };
    linux.namespaces.retain(|namespace| namespace.r#type != "network");
    linux.namespaces.push(Namespace { r#type: "user".to_owned(), ..Namespace::default() });
    linux.uid_mappings = vec![IdMapping { container_id: 0, host_id: uid, size: 1 }];
    linux.gid_mappings = vec![IdMapping { container_id: 0, host_id: gid, size: 1 }];
    linux.resources = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(spec: &Spec) -> Vec<&str> {
        spec.linux.as_ref().unwrap().namespaces.iter().map(|namespace| namespace.r#type.as_str()).collect()
    }

    #[test]
    fn template_is_read_back_as_it_was_written() {
        for unified in [false, true] {
            let spec = template(unified);
            assert_eq!(Spec::parse(&json(&spec).unwrap()).unwrap(), spec);
            assert_eq!(kinds(&spec).contains(&"cgroup"), unified);
        }
    }

    #[test]
    fn rootless_template_has_a_user_namespace_and_nothing_that_needs_privileges() {
        let mut spec = template(true);
        make_rootless(&mut spec, 1000, 1001);
        assert_eq!(kinds(&spec), ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        let linux = spec.linux.as_ref().unwrap();
        assert_eq!((linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id), (1000, 1001));
        assert!(linux.resources.is_none());
        assert!(spec.mounts.iter().flat_map(|mount| &mount.options).all(|option| !option.starts_with("gid=")));
        assert!(spec.mounts.iter().all(|mount| mount.r#type != "sysfs" && mount.r#type != "cgroup"));
    }

    #[test]
    fn file_is_written_with_tabs_and_an_existing_one_is_refused() {
        let directory = std::env::temp_dir().join(format!("casemate-spec-{}", std::process::id()));
        // One that was left by a killed run of the same pid.
        std::fs::remove_dir_all(&directory).unwrap_or_default();
        std::fs::create_dir_all(&directory).unwrap();
        run(&directory, false).unwrap();
        let written = std::fs::read_to_string(directory.join("config.json")).unwrap();
        assert!(written.starts_with("{\n\t\"ociVersion\": \"1.3.0\",\n"), "{written}");
        let error = run(&directory, false).unwrap_err();
        assert_eq!(error.to_string(), "File config.json exists. Remove it first");
        assert_eq!(std::fs::read_to_string(directory.join("config.json")).unwrap(), written);
        std::fs::remove_dir_all(&directory).unwrap();
        let error = run(&directory, false).unwrap_err().to_string();
        assert!(error.ends_with("no such file or directory"), "{error}");
    }
}
