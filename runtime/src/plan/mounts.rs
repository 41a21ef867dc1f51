//! The config's mounts as operations, in the config's order.

use super::cgroup_mount;
use super::mount_options::{MountOptions, attr, ms};
use super::{Builder, Handle, Scratch};
use crate::program::{Attributes, Destination, Op, Target};
use crate::spec;

/// The files of procfs that lxcfs provides views of; nothing else may be mounted inside procfs.
const IN_PROC: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// One mount of the config, understood.
struct Mount<'s> {
    spec: &'s spec::Mount,
    options: MountOptions,
    destination: String,
    pointer: String,
}

/// Adds the operations for all mounts.
pub fn build(builder: &mut Builder<'_>, mounts: &[spec::Mount]) {
    for (i, spec) in mounts.iter().enumerate() {
        let pointer = format!("/mounts/{i}");
        if !spec.destination.starts_with('/') {
            builder.warnings.push(format!("mount destination {} is not absolute, taken below /", spec.destination));
        }
        let mount =
            Mount { spec, options: MountOptions::parse(&spec.options), destination: clean(&spec.destination), pointer };
        if !check(builder, &mount) {
            continue;
        }
        let kind = spec.r#type.as_str();
        if mount.options.remount {
            remount(builder, &mount);
        } else if mount.options.bind.is_some() || kind == "bind" {
            bind(builder, &mount);
        } else if kind == "cgroup" || kind == "cgroup2" {
            cgroup_mount::build(builder, &mount.destination, &mount.options);
        } else {
            filesystem(builder, &mount);
        }
    }
}

/// Whether the mount can be planned; what is wrong with it goes to the findings.
fn check(builder: &mut Builder<'_>, mount: &Mount<'_>) -> bool {
    let findings = &mut builder.findings;
    let before = findings.len();
    let (at, options, destination) = (&mount.pointer, &mount.options, &mount.destination);
    let kind = mount.spec.r#type.as_str();
    let is_bind = options.bind.is_some() || kind == "bind";
    if mount.spec.destination.is_empty() {
        findings.invalid(&format!("{at}/destination"), "mount destination is empty");
    } else if destination == "/" && !options.remount {
        findings.invalid(&format!("{at}/destination"), "a mount over the root filesystem hides it");
    }
    if destination.len() > PATH_MAX || mount.spec.source.len() > PATH_MAX {
        findings.invalid(at, "file name too long: source or destination has more than 4095 bytes");
    }
    for (field, used) in [
        ("options", options.id_map),
        ("uidMappings", !mount.spec.uid_mappings.is_empty()),
        ("gidMappings", !mount.spec.gid_mappings.is_empty()),
    ] {
        if used {
            let message = format!("id-mapped mount \"{destination}\" is not supported yet: {field}");
            findings.unsupported(&format!("{at}/{field}"), message);
        }
    }
    if options.remount {
        if !options.data.is_empty() || !options.flags.is_empty() || options.iversion {
            let message = format!("remount of \"{destination}\" cannot change options of the filesystem");
            findings.unsupported(&format!("{at}/options"), message);
        }
        return findings.len() == before;
    }
    if is_bind && !options.data.is_empty() {
        let names = options.data.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>().join(",");
        let message = format!("bind mounts cannot have any filesystem-specific options applied: {names}");
        findings.invalid(&format!("{at}/options"), message);
    }
    if options.copy_up && (is_bind || kind != "tmpfs") {
        findings.invalid(&format!("{at}/options"), "tmpcopyup is for tmpfs only");
    }
    if is_bind && mount.spec.source.is_empty() {
        findings.invalid(&format!("{at}/source"), format!("bind mount on \"{destination}\" needs a source"));
    }
    if !is_bind && kind.is_empty() {
        findings.invalid(&format!("{at}/type"), format!("mount on \"{destination}\" needs a type, or the option bind"));
    }
    // Something else in procfs's place would take the writes that label this process (CVE-2019-16884). Of a bind the
    // source is looked at when it is opened: it may be a procfs, as engines have it that share the host's.
    if destination == "/proc" && !is_bind && kind != "proc" {
        findings.invalid(at, format!("\"{destination}\" cannot be mounted because it is not of type proc"));
    }
    if destination.starts_with("/proc/") && !(is_bind && IN_PROC.contains(&destination.as_str())) {
        findings.invalid(at, format!("\"{destination}\" cannot be mounted because it is inside /proc"));
    }
    findings.len() == before
}

/// As the kernel's PATH_MAX, without the NUL.
const PATH_MAX: usize = 4095;
/// The longest value of fsconfig(2), in bytes, and the longest text of options of mount(2): a page with its NUL.
const FSCONFIG_MAX: usize = 255;
const MOUNT_DATA_MAX: usize = 4095;

/// A new filesystem.
fn filesystem(builder: &mut Builder<'_>, mount: &Mount<'_>) {
    let fstype = mount.spec.r#type.clone();
    let is_tmpfs = fstype == "tmpfs";
    let is_dev = mount.destination == "/dev" && is_tmpfs;
    let mut data = mount.options.data.clone();
    let labelled =
        !matches!(fstype.as_str(), "proc" | "sysfs" | "mqueue") && data.iter().all(|(key, _)| key != "context");
    if let Some(label) = builder.mount_label.as_ref().filter(|_| labelled) {
        data.push(("context".to_string(), Some(label.clone())));
    }
    let lengths = data.iter().map(|(key, value)| (key.len(), value.as_ref().map_or(0, String::len)));
    if lengths.clone().map(|(key, value)| key + value + 2).sum::<usize>() > MOUNT_DATA_MAX {
        let message =
            format!("options of the mount on \"{}\" have more than {MOUNT_DATA_MAX} bytes", mount.destination);
        builder.findings.invalid(&format!("{}/options", mount.pointer), message);
        return;
    }
    // mount(2) for what fsconfig(2) cannot say: iversion, and long values such as the layers of an overlay. Not for
    // tmpfs, which has neither.
    let long =
        lengths.clone().any(|(key, value)| key.max(value) > FSCONFIG_MAX) || mount.spec.source.len() > FSCONFIG_MAX;
    let legacy = (mount.options.iversion || long) && !is_tmpfs;
    if mount.options.iversion && is_tmpfs {
        builder.warnings.push(format!("iversion has no effect on the tmpfs on \"{}\"", mount.destination));
    }
    let mut attributes = mount.options.all_attributes();
    attributes.recursive = false;
    attributes.propagation = mount.options.propagation.last().map_or(0, |(kind, _)| *kind);
    // A tmpfs gets its mode, its copied contents, and the mounts, nodes and links on it before it becomes read-only.
    if is_tmpfs && attributes.set & attr::RDONLY != 0 {
        attributes.set &= !attr::RDONLY;
        if is_dev {
            builder.readonly_dev = true;
        } else {
            builder.readonly_later.push(mount.destination.clone());
        }
    } else {
        builder.readonly_later.retain(|destination| *destination != mount.destination);
    }
    let has_mode = data.iter().any(|(key, _)| key == "mode");
    let mut options = Vec::new();
    if !mount.spec.source.is_empty() {
        options.push(("source".to_string(), Some(mount.spec.source.clone())));
    }
    if !legacy {
        options.extend(mount.options.flags.iter().map(|(word, ..)| ((*word).to_string(), None)));
    }
    options.extend(data);
    builder.program.push(Op::Mount {
        destination: mount.destination.clone(),
        options,
        attributes,
        at: Destination { no_symlinks: matches!(fstype.as_str(), "proc" | "sysfs"), in_proc: false },
        is_dev,
        copy_up: mount.options.copy_up,
        inherit_mode: is_tmpfs && !has_mode,
        legacy_flags: legacy.then(|| mount.options.legacy_flags()),
        if_directory: false,
        fstype,
    });
    builder.has_dev |= is_dev;
}

/// Filesystems that a container gets for its directories where its config mounts nothing. They belong to the process's
/// own user, who could otherwise not write to one that only its owner may write to.
pub fn scratch(builder: &mut Builder<'_>, wanted: &[Scratch], mounts: &[spec::Mount], user: &spec::User) {
    for Scratch { destination, size, mode, copy_up } in wanted {
        let destination = clean(destination);
        if mounts.iter().any(|mount| clean(&mount.destination) == destination) {
            continue;
        }
        // To tmpfs a size of 0 is no limit.
        let size = (*size).max(1);
        let mut options = vec![("source", "tmpfs".into()), ("mode", format!("{mode:o}")), ("size", size.to_string())];
        for (key, id) in [("uid", user.uid), ("gid", user.gid)] {
            if id != 0 {
                options.push((key, id.to_string()));
            }
        }
        options.extend(builder.mount_label.clone().map(|label| ("context", label)));
        builder.program.push(Op::Mount {
            fstype: "tmpfs".into(),
            destination,
            options: options.into_iter().map(|(key, value)| (key.to_string(), Some(value))).collect(),
            attributes: Attributes { set: attr::NOSUID | attr::NODEV | attr::NOEXEC, ..Attributes::default() },
            at: Destination::default(),
            is_dev: false,
            copy_up: *copy_up,
            inherit_mode: false,
            legacy_flags: None,
            if_directory: true,
        });
    }
}

/// What was held back when these tmpfs were mounted.
pub fn make_readonly(builder: &mut Builder<'_>) {
    for path in std::mem::take(&mut builder.readonly_later) {
        let attributes = Attributes { set: attr::RDONLY, ..Attributes::default() };
        builder.program.push(Op::SetMount { target: Target::Path(path), attributes });
    }
}

/// A tree of the host's.
fn bind(builder: &mut Builder<'_>, mount: &Mount<'_>) {
    let recursive = mount.options.bind.unwrap_or(false);
    let without_effect: Vec<&str> =
        mount.options.flags.iter().filter(|(_, _, on)| *on).map(|(word, ..)| *word).collect();
    if !without_effect.is_empty() || mount.options.iversion {
        // They are the filesystem's, which is the host's; mount(2) ignores them here.
        let words = without_effect.into_iter().chain(mount.options.iversion.then_some("iversion"));
        let words = words.collect::<Vec<_>>().join(",");
        builder.warnings.push(format!("{words} has no effect on the bind mount on \"{}\"", mount.destination));
    }
    builder.readonly_later.retain(|destination| *destination != mount.destination);
    let source = builder.bundle_path(&mount.spec.source);
    let on_proc = mount.destination == "/proc";
    let tree = builder.handle(if on_proc {
        Handle::Procfs { path: source.clone(), recursive }
    } else {
        Handle::Tree { path: source.clone(), recursive }
    });
    // A clone of a shared mount is its peer: what is mounted inside would appear on the host. Unless the config wants
    // just that, the host's mounts may come in and nothing goes out.
    let mut own = mount.options.own;
    let mut propagation = mount.options.propagation.clone();
    if propagation.is_empty() {
        propagation.push((ms::SLAVE, recursive));
    }
    if let Some((kind, deep)) = propagation.first().copied()
        && (!(deep && recursive) || own.set | own.clear == 0)
    {
        // One call where one is enough.
        own = Attributes { propagation: kind, recursive: deep && recursive, ..own };
        propagation.remove(0);
    }
    let mut change = |attributes: Attributes| {
        if attributes.set | attributes.clear | attributes.propagation != 0 {
            builder.program.push(Op::SetMount { target: Target::Tree(tree), attributes });
        }
    };
    change(own);
    change(mount.options.tree);
    for (kind, deep) in &propagation {
        change(Attributes { propagation: *kind, recursive: *deep && recursive, ..Attributes::default() });
    }
    let in_proc = IN_PROC.contains(&mount.destination.as_str());
    builder.shares_mounts |=
        mount.options.propagation.iter().any(|(kind, _)| *kind == ms::SHARED || *kind == ms::SLAVE)
            || mount.options.propagation.is_empty();
    if mount.destination == "/dev" {
        builder.foreign_dev = true;
    }
    builder.program.push(Op::Bind {
        tree,
        source,
        destination: mount.destination.clone(),
        at: Destination { no_symlinks: on_proc, in_proc },
    });
}

/// Changes the mount that an earlier entry made, or the root's.
fn remount(builder: &mut Builder<'_>, mount: &Mount<'_>) {
    let target = if mount.destination == "/" { Target::Root } else { Target::Path(mount.destination.clone()) };
    let propagation = mount.options.propagation.iter();
    let propagation =
        propagation.map(|(kind, deep)| Attributes { propagation: *kind, recursive: *deep, ..Attributes::default() });
    for attributes in [mount.options.own, mount.options.tree].into_iter().chain(propagation) {
        if attributes.set | attributes.clear | attributes.propagation != 0 {
            builder.program.push(Op::SetMount { target: target.clone(), attributes });
        }
    }
}

/// filepath.Clean of an absolute path: no empty, `.` or `..` components. What the components lead to is found by the
/// kernel, inside the root.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}
