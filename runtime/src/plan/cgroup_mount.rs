//! Mounts of type cgroup: what the container sees of its cgroups.

use super::mount_options::{MountOptions, attr, ms};
use super::namespace::NamespaceKind;
use super::{Builder, Handle};
use crate::cgroup::{Mode, Version};
use crate::program::{Attributes, Destination, Op, Target};

/// On a v2 host the unified hierarchy, whose root is the container's with a cgroup namespace and the host's without. On v1 and hybrid hosts a tmpfs with one mount for each v1 hierarchy, as every
/// engine expects it: with a cgroup namespace the hierarchies themselves, whose root is then the container's, without
/// one a bind of the container's own directory.
pub fn build(builder: &mut Builder<'_>, destination: &str, options: &MountOptions) {
    let at = Destination { no_symlinks: true, in_proc: false };
    let own_namespace = builder.namespaces.is_private(NamespaceKind::Cgroup);
    let attributes = Attributes { set: options.all_attributes().set, ..Attributes::default() };
    if let (Mode::Unified, false, Some(unified)) =
        (builder.facts.cgroups.mode(), own_namespace, builder.facts.cgroups.unified())
    {
        // A new mount in the host's cgroup namespace would set the flags of the whole hierarchy (nsdelegate,
        // memory_recursiveprot) to what its options say; a clone of the host's mount shows the same and sets nothing.
        let source = unified.mount_point.clone();
        let tree = builder.handle(Handle::Tree { path: source.clone(), recursive: false });
        let attributes = Attributes { propagation: ms::PRIVATE, ..attributes };
        builder.program.push(Op::SetMount { target: Target::Tree(tree), attributes });
        builder.program.push(Op::Bind { tree, source, destination: destination.into(), at: Destination::default() });
        return;
    }
    if builder.facts.cgroups.mode() == Mode::Unified {
        builder.program.push(Op::Mount {
            fstype: "cgroup2".into(),
            destination: destination.into(),
            options: vec![("source".into(), Some("cgroup".into()))],
            attributes,
            at,
            is_dev: false,
            copy_up: false,
            inherit_mode: false,
            legacy_flags: None,
            if_directory: false,
        });
        return;
    }
    let set = |a: u64| Attributes { set: a, ..Attributes::default() };
    let quiet = attr::NOSUID | attr::NODEV | attr::NOEXEC;
    builder.program.push(Op::Mount {
        fstype: "tmpfs".into(),
        destination: destination.into(),
        options: vec![("source".into(), Some("tmpfs".into())), ("mode".into(), Some("755".into()))],
        attributes: set(quiet),
        at,
        is_dev: false,
        copy_up: false,
        inherit_mode: false,
        legacy_flags: None,
        if_directory: false,
    });
    let hierarchies = builder.facts.cgroups.hierarchies.clone();
    for (index, hierarchy) in hierarchies.iter().enumerate().filter(|(_, h)| h.version == Version::V1) {
        let directory = match hierarchy.mount_point.rsplit('/').next() {
            Some(name) if !name.is_empty() => name.to_string(),
            _ => hierarchy.controllers.join(","),
        };
        let path = format!("{destination}/{directory}");
        if own_namespace {
            let options = hierarchy.controllers.iter().map(|c| match c.split_once('=') {
                Some((key, value)) => (key.to_string(), Some(value.to_string())),
                None => (c.clone(), None),
            });
            builder.program.push(Op::Mount {
                fstype: "cgroup".into(),
                destination: path,
                options: std::iter::once(("source".to_string(), Some("cgroup".to_string()))).chain(options).collect(),
                attributes: set(attributes.set | quiet),
                at: Destination::default(),
                is_dev: false,
                copy_up: false,
                inherit_mode: false,
                legacy_flags: None,
                if_directory: false,
            });
        } else {
            let tree = builder.handle(Handle::CgroupTree { hierarchy: index });
            let attributes =
                Attributes { set: attributes.set | quiet, propagation: ms::PRIVATE, ..Attributes::default() };
            builder.program.push(Op::SetMount { target: Target::Tree(tree), attributes });
            let source = format!("cgroup:{}", hierarchy.controllers.join(","));
            builder.program.push(Op::Bind { tree, source, destination: path, at: Destination::default() });
        }
        // cpu and cpuacct are often one hierarchy; programs look for either name.
        for controller in hierarchy.controllers.iter().filter(|c| **c != directory && !c.contains('=')) {
            builder.program.push(Op::Symlink {
                target: directory.clone(),
                path: format!("{destination}/{controller}"),
                on_dev: false,
            });
        }
    }
    if attributes.set & attr::RDONLY != 0 {
        let target = Target::Path(destination.to_string());
        builder.program.push(Op::SetMount { target, attributes: set(attr::RDONLY) });
    }
}
