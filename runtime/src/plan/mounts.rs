//! The config's mounts as operations, in the config's order.

use super::cgroup_mount;
use super::mount_options::{MountOptions, ms};
use super::{Builder, Handle};
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
    let before = findings.clone();
    let at = &mount.pointer;
    if mount.spec.destination.is_empty() {
        findings.invalid(at, "mount destination is empty");
    }
    if mount.destination == "/" {
        findings.invalid(at, "a mount over the root filesystem hides it");
    }
    if mount.options.id_map || !mount.spec.uid_mappings.is_empty() || !mount.spec.gid_mappings.is_empty() {
        findings.unsupported(at, format!("id-mapped mount \"{}\" is not supported yet", mount.destination));
    }
    let is_bind = mount.options.bind.is_some() || mount.spec.r#type == "bind";
    if is_bind && !mount.options.data.is_empty() {
        findings.invalid(
            at,
            format!(
                "bind mounts cannot have any filesystem-specific options applied: {}",
                mount.options.data.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>().join(",")
            ),
        );
    }
    if is_bind && mount.options.copy_up {
        findings.invalid(at, "tmpcopyup is for tmpfs only");
    }
    if is_bind && mount.spec.source.is_empty() && !mount.options.remount {
        findings.invalid(at, "a bind mount needs a source");
    }
    if !is_bind && mount.spec.r#type.is_empty() && !mount.options.remount {
        findings.invalid(at, "a mount needs a type, or the option bind");
    }
    if mount.destination == "/proc" && mount.spec.r#type != "proc" && !mount.options.remount {
        // Something else in procfs's place would take the writes that label this process (CVE-2019-16884).
        findings.invalid(at, format!("\"{}\" cannot be mounted because it is not of type proc", mount.destination));
    }
    if let Some(inside) = mount.destination.strip_prefix("/proc/")
        && !IN_PROC.contains(&mount.destination.as_str())
    {
        findings.invalid(at, format!("\"/proc/{inside}\" cannot be mounted because it is inside /proc"));
    }
    *findings == before
}

/// A new filesystem.
fn filesystem(builder: &mut Builder<'_>, mount: &Mount<'_>) {
    let fstype = mount.spec.r#type.clone();
    let mut options = Vec::new();
    if !mount.spec.source.is_empty() {
        options.push(("source".to_string(), Some(mount.spec.source.clone())));
    }
    options.extend(mount.options.data.iter().cloned());
    let labelled = !matches!(fstype.as_str(), "proc" | "sysfs" | "mqueue");
    if let Some(label) = builder.mount_label.as_ref().filter(|_| labelled) {
        options.push(("context".to_string(), Some(label.clone())));
    }
    let is_dev = mount.destination == "/dev" && fstype == "tmpfs";
    let mut own = mount.options.own;
    // Nodes and links are made on it before it becomes read-only.
    let readonly_dev = is_dev && own.set & super::mount_options::attr::RDONLY != 0;
    if readonly_dev {
        own.set &= !super::mount_options::attr::RDONLY;
        builder.readonly_dev = true;
    }
    own.set |= mount.options.tree.set;
    own.propagation = single_propagation(&mount.options);
    let has_mode = options.iter().any(|(key, _)| key == "mode");
    builder.program.push(Op::Mount {
        destination: mount.destination.clone(),
        options,
        attributes: own,
        at: Destination { no_symlinks: matches!(fstype.as_str(), "proc" | "sysfs"), in_proc: false },
        is_dev,
        copy_up: mount.options.copy_up,
        inherit_mode: fstype == "tmpfs" && !has_mode,
        legacy_flags: mount.options.iversion.then(|| mount.options.legacy_flags()),
        fstype,
    });
    if is_dev {
        builder.has_dev = true;
    }
}

/// A tree of the host's.
fn bind(builder: &mut Builder<'_>, mount: &Mount<'_>) {
    let recursive = mount.options.bind.unwrap_or(false);
    let source = builder.bundle_path(&mount.spec.source);
    let tree = builder.handle(Handle::Tree { path: source.clone(), recursive });
    // A clone of a shared mount is its peer: what is mounted inside would appear on the host. Unless the config wants
    // just that, the host's mounts may come in and nothing goes out.
    let mut own = mount.options.own;
    let mut propagation = mount.options.propagation.clone();
    if propagation.is_empty() {
        propagation.push((ms::SLAVE, recursive));
    }
    if let Some((kind, deep)) = propagation.first().copied()
        && (deep == recursive || !recursive)
        && own.set | own.clear == 0
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
        at: Destination { no_symlinks: false, in_proc },
    });
}

/// Changes a mount that an earlier entry made.
fn remount(builder: &mut Builder<'_>, mount: &Mount<'_>) {
    if !mount.options.data.is_empty() {
        let message = format!("remount of \"{}\" cannot change options of the filesystem", mount.destination);
        builder.findings.unsupported(&mount.pointer, message);
        return;
    }
    for attributes in [mount.options.own, mount.options.tree] {
        if attributes.set | attributes.clear != 0 {
            let target = Target::Path(mount.destination.clone());
            builder.program.push(Op::SetMount { target, attributes });
        }
    }
}

fn single_propagation(options: &MountOptions) -> u64 {
    options.propagation.last().map_or(0, |(kind, _)| *kind)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_cleaned() {
        for (path, wanted) in [("/a//b/./c/..", "/a/b"), ("a", "/a"), ("/..", "/"), ("/../../x", "/x")] {
            assert_eq!(clean(path), wanted);
        }
    }
}
