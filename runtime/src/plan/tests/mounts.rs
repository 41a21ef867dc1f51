//! Mounts: each kind, its options, and where they may go.

use super::*;
use crate::plan::Handle;
use crate::plan::mount_options::{attr, ms};
use crate::program::{Attributes, Target};

fn mounts(list: Value) -> Plan {
    plan(&[("/mounts", list)])
}

fn attributes_of_tree(plan: &Plan) -> Vec<Attributes> {
    let own = plan.program.iter().filter_map(|op| match op {
        // The rootfs is handle 0.
        Op::SetMount { target: Target::Tree(slot), attributes } if slot.0 != 0 => Some(*attributes),
        _ => None,
    });
    own.collect()
}

#[test]
fn mounts_that_cannot_be_are_refused() {
    let one = |mount: Value| json!([mount]);
    let bind = |destination: &str, source: &str, option: &str| {
        one(json!({"destination": destination, "source": source, "options": ["bind", option]}))
    };
    let at = "/mounts";
    refused(&[
        (at, one(json!({"destination": "", "type": "tmpfs"})), "mount destination is empty", "/mounts/0/destination"),
        (
            at,
            one(json!({"destination": "/x/..", "type": "tmpfs"})),
            "over the root filesystem",
            "/mounts/0/destination",
        ),
        (at, one(json!({"destination": "/x"})), "needs a type, or the option bind", "/mounts/0/type"),
        (
            at,
            one(json!({"destination": "/x", "options": ["rbind"]})),
            "bind mount on \"/x\" needs a source",
            "/mounts/0/source",
        ),
        (
            at,
            bind("/x", "/y", "size=1"),
            "bind mounts cannot have any filesystem-specific options applied: size",
            "/mounts/0/options",
        ),
        (at, bind("/x", "/y", "tmpcopyup"), "tmpcopyup is for tmpfs only", "/mounts/0/options"),
        (
            at,
            one(json!({"destination": "/x", "type": "ext4", "options": ["tmpcopyup"]})),
            "tmpfs only",
            "/mounts/0/options",
        ),
        (at, bind("/x", "/y", "idmap"), "id-mapped mount \"/x\" is not supported yet: options", "/mounts/0/options"),
        (at, one(json!({"destination": "/proc/", "type": "tmpfs"})), "not of type proc", "/mounts/0"),
        (
            at,
            bind("/proc/self/attr", "/y", "ro"),
            "\"/proc/self/attr\" cannot be mounted because it is inside /proc",
            "/mounts/0",
        ),
        (at, bind("/x/../proc/sys", "/y", "ro"), "\"/proc/sys\" cannot be mounted", "/mounts/0"),
        (at, one(json!({"destination": "/proc/uptime", "type": "tmpfs"})), "because it is inside /proc", "/mounts/0"),
        (
            at,
            one(json!({"destination": "/x", "type": "tmpfs", "options": ["remount", "size=1"]})),
            "remount of \"/x\" cannot change options of the filesystem",
            "/mounts/0/options",
        ),
        (
            at,
            one(json!({"destination": format!("/{}", "x".repeat(4096)), "type": "tmpfs"})),
            "file name too long",
            "/mounts/0",
        ),
        (
            at,
            one(json!({"destination": "/x", "type": "overlay", "options": [format!("lowerdir={}", "x".repeat(4096))]})),
            "more than 4095 bytes",
            "/mounts/0/options",
        ),
    ]);
}

#[test]
fn sources_of_binds_are_relative_to_the_bundle_and_destinations_to_the_root() {
    let plan = mounts(json!([{"destination": "a/../b", "source": "data/x", "options": ["bind"]}]));
    assert_eq!(plan.handles[1], Handle::Tree { path: "/bundle/data/x".into(), recursive: false });
    let bound = find(&plan, |op| if let Op::Bind { destination, .. } = op { Some(destination) } else { None });
    assert_eq!(bound.unwrap().1, "/b");
    assert!(plan.warnings[0].contains("mount destination a/../b is not absolute"));
    // The source of another mount is a name, whatever it looks like.
    let plan = mounts(json!([{"destination": "/b", "type": "tmpfs", "source": "data"}]));
    let options = find(&plan, |op| if let Op::Mount { options, .. } = op { Some(options) } else { None });
    assert_eq!(options.unwrap().1[0], ("source".into(), Some("data".into())));
}

#[test]
fn the_files_of_lxcfs_may_be_bound_into_procfs() {
    let plan = mounts(json!([{"destination": "/proc/uptime", "source": "/lxcfs/uptime", "options": ["bind"]}]));
    let at = find(&plan, |op| if let Op::Bind { at, .. } = op { Some(at) } else { None });
    assert!(at.unwrap().1.in_proc);
}

#[test]
fn a_bind_takes_no_more_calls_than_it_needs() {
    let with = |options: Value| {
        attributes_of_tree(&mounts(json!([{"destination": "/x", "source": "/y", "options": options}])))
    };
    let one = |set: u64, propagation: u64, recursive: bool| Attributes { set, clear: 0, propagation, recursive };
    assert_eq!(with(json!(["bind"])), [one(0, ms::SLAVE, false)]);
    assert_eq!(with(json!(["bind", "ro", "nosuid"])), [one(attr::RDONLY | attr::NOSUID, ms::SLAVE, false)]);
    assert_eq!(with(json!(["rbind", "rprivate"])), [one(0, ms::PRIVATE, true)]);
    assert_eq!(with(json!(["rbind", "ro", "rprivate"])), [one(attr::RDONLY, 0, false), one(0, ms::PRIVATE, true)]);
    assert_eq!(with(json!(["rbind", "rro", "private"])), [one(0, ms::PRIVATE, false), one(attr::RDONLY, 0, true)]);
    assert_eq!(with(json!(["rbind", "slave", "rshared"])), [one(0, ms::SLAVE, false), one(0, ms::SHARED, true)]);
}

#[test]
fn flags_of_a_filesystem_are_its_own_and_none_of_a_bind() {
    let plan = mounts(
        json!([{"destination": "/x", "source": "/y", "options": ["bind", "sync", "iversion", "async", "lazytime"]}]),
    );
    assert_eq!(plan.warnings, ["lazytime,iversion has no effect on the bind mount on \"/x\""]);
    let plan = mounts(
        json!([{"destination": "/x", "type": "ext4", "source": "/dev/x", "options": ["sync", "rro", "nolazytime"]}]),
    );
    let found = find(&plan, |op| match op {
        Op::Mount { options, attributes, legacy_flags, .. } => Some((options, attributes.set, legacy_flags)),
        _ => None,
    });
    let (_, (options, set, legacy)) = found.unwrap();
    assert_eq!(options[1..], [("sync".to_string(), None), ("nolazytime".to_string(), None)]);
    assert_eq!((set, legacy), (attr::RDONLY, &None));
}

#[test]
fn what_fsconfig_cannot_say_is_said_by_mount_2() {
    let flags = |options: Value| {
        let plan = mounts(json!([{"destination": "/x", "type": "overlay", "source": "o", "options": options}]));
        find(&plan, |op| if let Op::Mount { legacy_flags, .. } = op { Some(*legacy_flags) } else { None }).unwrap().1
    };
    let lower = |n: usize| format!("lowerdir={}", "x".repeat(n));
    assert_eq!(flags(json!([lower(255)])), None);
    assert_eq!(flags(json!([lower(256), "ro"])), Some(ms::RDONLY));
    assert_eq!(flags(json!(["iversion", "sync"])), Some(ms::I_VERSION | ms::SYNCHRONOUS));
    assert_eq!(flags(json!(["iversion", "noiversion"])), None);
}

#[test]
fn a_tmpfs_becomes_read_only_when_all_is_on_it() {
    let plan = plan(&[
        (
            "/mounts",
            json!([
                {"destination": "/x", "type": "tmpfs", "options": ["ro", "tmpcopyup"]},
                {"destination": "/x/y", "source": "/y", "options": ["bind"]},
                {"destination": "/z", "type": "tmpfs", "options": ["ro"]},
                {"destination": "/z", "source": "/y", "options": ["bind"]},
            ]),
        ),
        ("/linux/maskedPaths", json!(["/x"])),
    ]);
    let mount = find(&plan, |op| match op {
        Op::Mount { destination, attributes, inherit_mode, copy_up, .. } if destination == "/x" => {
            Some((attributes.set, *inherit_mode, *copy_up))
        }
        _ => None,
    });
    assert_eq!(mount.unwrap().1, (0, true, true));
    let readonly = plan.program.iter().enumerate().filter_map(|(i, op)| match op {
        Op::SetMount { target: Target::Path(path), attributes } => Some((i, path.as_str(), attributes.set)),
        _ => None,
    });
    let readonly: Vec<_> = readonly.collect();
    // Not of /z: the bind covers it.
    assert_eq!(readonly.iter().map(|(_, path, set)| (*path, *set)).collect::<Vec<_>>(), [("/x", attr::RDONLY)]);
    let last_bind = plan.program.iter().rposition(|op| matches!(op, Op::Bind { .. })).unwrap();
    let mask = plan.program.iter().position(|op| matches!(op, Op::Mask { .. })).unwrap();
    assert!(last_bind < readonly[0].0 && readonly[0].0 < mask);
}

#[test]
fn a_read_only_dev_gets_its_nodes_first() {
    let plan = mounts(json!([{"destination": "/dev", "type": "tmpfs", "options": ["ro", "mode=755"]}]));
    let is_dev = find(&plan, |op| match op {
        Op::Mount { is_dev, attributes, .. } => Some((*is_dev, attributes.set)),
        _ => None,
    });
    assert_eq!(is_dev.unwrap().1, (true, 0));
    let readonly = plan.program.iter().position(|op| matches!(op, Op::SetMount { target: Target::Dev, .. })).unwrap();
    let node = plan.program.iter().rposition(|op| matches!(op, Op::Device { .. } | Op::Symlink { .. })).unwrap();
    assert!(node < readonly);
}

#[test]
fn a_remount_changes_the_mount_that_is_there() {
    let plan = mounts(json!([
        {"destination": "/x", "type": "tmpfs"},
        {"destination": "/x", "options": ["remount", "bind", "ro", "rnoexec", "rslave"]},
        {"destination": "/", "options": ["remount", "nosuid"]},
    ]));
    let changes = plan.program.iter().filter_map(|op| match op {
        Op::SetMount { target: target @ (Target::Path(_) | Target::Root), attributes } => {
            Some((target.clone(), *attributes))
        }
        _ => None,
    });
    let x = Target::Path("/x".into());
    let none = Attributes::default();
    let wanted = [
        (x.clone(), Attributes { set: attr::RDONLY, ..none }),
        (x.clone(), Attributes { set: attr::NOEXEC, recursive: true, ..none }),
        (x, Attributes { propagation: ms::SLAVE, recursive: true, ..none }),
        (Target::Root, Attributes { set: attr::NOSUID, ..none }),
    ];
    assert_eq!(changes.collect::<Vec<_>>(), wanted);
}

#[test]
fn labels_go_to_filesystems_that_take_them_and_once() {
    let facts = Facts { selinux: true, ..facts() };
    let spec = config(&[
        ("/linux/mountLabel", json!("a:b:c:s0:c1,c2")),
        (
            "/mounts",
            json!([
                {"destination": "/proc", "type": "proc"},
                {"destination": "/a", "type": "tmpfs"},
                {"destination": "/b", "type": "tmpfs", "options": ["context=\"x:y:z:s0:c3,c4\""]},
            ]),
        ),
    ]);
    let plan = create(&spec, &request(), &facts).unwrap();
    let contexts = plan.program.iter().filter_map(|op| match op {
        Op::Mount { options, .. } => {
            Some(options.iter().filter(|(key, _)| key == "context").map(|(_, v)| v.clone().unwrap()).collect())
        }
        _ => None,
    });
    let contexts: Vec<Vec<String>> = contexts.collect();
    assert_eq!(contexts, [vec![], vec!["a:b:c:s0:c1,c2".to_string()], vec!["x:y:z:s0:c3,c4".to_string()]]);
}

#[test]
fn without_a_cgroup_namespace_the_unified_hierarchy_is_cloned_and_its_flags_stay() {
    let cgroup = ("/mounts", json!([{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}]));
    let shared = plan(std::slice::from_ref(&cgroup));
    assert!(shared.handles.contains(&Handle::Tree { path: "/sys/fs/cgroup".into(), recursive: false }));
    assert!(!shared.program.iter().any(|op| matches!(op, Op::Mount { .. })));
    let own = plan(&[cgroup, ("/linux/namespaces", json!([{"type": "mount"}, {"type": "cgroup"}]))]);
    assert!(own.program.iter().any(|op| matches!(op, Op::Mount { fstype, .. } if fstype == "cgroup2")));
}

#[test]
fn destinations_are_cleaned() {
    for (path, wanted) in [("/a//b/./c/..", "/a/b"), ("a", "/a"), ("/..", "/"), ("/../../x", "/x"), ("", "/")] {
        assert_eq!(crate::plan::clean(path), wanted);
    }
}

#[test]
fn what_is_bound_on_proc_is_looked_at_when_it_is_opened() {
    let plan = mounts(json!([{"destination": "/proc", "source": "/proc", "options": ["rbind"]}]));
    assert!(plan.handles.contains(&Handle::Procfs { path: "/proc".into(), recursive: true }));
    let bound = find(&plan, |op| if let Op::Bind { at, .. } = op { Some(at.no_symlinks) } else { None });
    assert_eq!(bound.map(|(_, no_symlinks)| no_symlinks), Some(true));
}
