//! What a micro-container is made of: a root filesystem with this program in it, and a configuration as careless as
//! engines still accept. Every protection that such a container has is one that casemate gave it.

use seccomp_profiles::Profile;

use crate::spec::{
    Capabilities, DeviceCgroup, Linux, Mount, Namespace, PosixRlimit, Process, Resources, Root, Spec, User, VERSION,
};

/// The program, inside the container.
pub const PROGRAM: &str = "/casemate";
/// A copy of it that belongs to root and is set-uid.
pub const SET_UID: &str = "/set-uid";
/// The file that says that this is a micro-container, and which run it belongs to.
pub const SENTINEL: &str = "/selftest";
/// A symbolic link to a file of the host.
pub const ESCAPE: &str = "/escape";
/// A directory that everybody may write to.
pub const WRITABLE: &str = "/writable";
/// Where a directory of the host is bound.
pub const BOUND: &str = "/bound";
/// A character device, the null device, on the bind.
pub const BOUND_DEVICE: &str = "/bound/null";
/// A device node for which there is no rule.
pub const DISK: &str = "/disk";

/// What engines grant when nobody says anything.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Type, destination, source and options.
const MOUNTS: [(&str, &str, &str, &[&str]); 6] = [
    ("proc", "/proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("tmpfs", "/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("devpts", "/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
    ("mqueue", "/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("sysfs", "/sys", "sysfs", &["nosuid", "noexec", "nodev"]),
    ("cgroup", "/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev"]),
];

/// What differs from container to container.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The root filesystem.
    pub rootfs: &'a str,
    /// The directory of the host that is bound at [`BOUND`].
    pub bound: &'a str,
    /// The cgroup, absolute.
    pub cgroup: String,
    /// The user.
    pub uid: u32,
    /// The capabilities that this host can give.
    pub can_give: &'a [String],
    /// The network namespace to join; empty for a new one.
    pub network: String,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// The limit for core dumps, in bytes: the highest that this host can give.
    pub core: u64,
}

/// A configuration with nothing in it that confines beyond namespaces, and with a profile that allows every call.
pub fn careless(asked: &Asked<'_>) -> Spec {
    let capabilities: Vec<String> = strings(&CAPABILITIES).into_iter().filter(|c| asked.can_give.contains(c)).collect();
    let process = Process {
        user: User { uid: asked.uid, gid: asked.uid, ..User::default() },
        args: asked.args.clone(),
        cwd: "/".to_owned(),
        capabilities: Some(Capabilities {
            bounding: capabilities.clone(),
            effective: capabilities.clone(),
            inheritable: capabilities.clone(),
            permitted: capabilities.clone(),
            ambient: capabilities,
        }),
        rlimits: vec![PosixRlimit { r#type: "RLIMIT_CORE".to_owned(), hard: asked.core, soft: asked.core }],
        ..Process::default()
    };
    let bind = mount(&("bind", BOUND, asked.bound, &["rbind"]));
    Spec {
        oci_version: VERSION.to_owned(),
        process: Some(process),
        root: Some(Root { path: asked.rootfs.to_owned(), readonly: false }),
        hostname: "selftest".to_owned(),
        mounts: MOUNTS.iter().map(mount).chain([bind]).collect(),
        linux: Some(linux(asked)),
        ..Spec::default()
    }
}

fn linux(asked: &Asked<'_>) -> Linux {
    let namespaces = ["pid", "ipc", "uts", "mount", "cgroup", "network"].map(|kind| Namespace {
        r#type: kind.to_owned(),
        path: if kind == "network" { asked.network.clone() } else { String::new() },
    });
    let rule = |allow, kind: &str, access: &str| DeviceCgroup {
        allow,
        r#type: kind.to_owned(),
        access: access.to_owned(),
        ..DeviceCgroup::default()
    };
    Linux {
        cgroups_path: asked.cgroup.clone(),
        namespaces: namespaces.to_vec(),
        resources: Some(Resources {
            devices: vec![rule(false, "", "rwm"), rule(true, "c", "m"), rule(true, "b", "m")],
            ..Resources::default()
        }),
        // One of each, so that it is not a procfs with nothing masked, which is refused.
        masked_paths: vec!["/proc/scsi".to_owned()],
        readonly_paths: vec!["/proc/bus".to_owned()],
        seccomp: allow_all(),
        ..Linux::default()
    }
}

/// A profile that allows every call, read as that of any configuration.
fn allow_all() -> Option<Profile> {
    let text = br#"{"ociVersion":"1.3.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}"#;
    Spec::parse(text).ok()?.linux?.seccomp
}

/// A mount from its type, destination, source and options.
pub fn mount(&(kind, destination, source, options): &(&str, &str, &str, &[&str])) -> Mount {
    Mount {
        destination: destination.to_owned(),
        r#type: kind.to_owned(),
        source: source.to_owned(),
        options: strings(options),
        ..Mount::default()
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}
