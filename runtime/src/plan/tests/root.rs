//! The root, devices, covers, hooks: what stands where in a program.

use super::*;
use crate::plan::mount_options::{attr, ms};
use crate::plan::{Handle, devices};
use crate::program::Target;

fn nodes(plan: &Plan) -> Vec<&str> {
    let nodes = plan.program.iter().filter_map(|op| match op {
        Op::Device { path, .. } => Some(path.as_str()),
        _ => None,
    });
    nodes.collect()
}

#[test]
fn the_rootfs_is_relative_to_the_bundle() {
    for (path, wanted) in [("rootfs", "/bundle/rootfs"), ("/r//x/", "/r/x"), ("../r", "/r"), (".", "/bundle")] {
        let plan = plan(&[("/root/path", json!(path))]);
        assert_eq!(plan.rootfs, wanted);
        assert_eq!(plan.handles[0], Handle::Rootfs { path: wanted.into() });
    }
}

#[test]
fn the_root_becomes_read_only_after_everything_that_writes_to_it() {
    let plan = plan(&[("/root/readonly", json!(true)), ("/process/cwd", json!("/work"))]);
    let (at, set) = find(&plan, |op| match op {
        Op::SetMount { target: Target::Root, attributes } => Some(attributes.set),
        _ => None,
    })
    .unwrap();
    assert_eq!(set, attr::RDONLY);
    let writes = |op: &Op| matches!(op, Op::MakeDirectory { .. } | Op::Device { .. } | Op::Symlink { .. });
    assert!(plan.program.iter().rposition(writes).unwrap() < at);
    assert!(matches!(plan.program[at + 1], Op::Pivot));
}

#[test]
fn every_propagation_of_the_root_is_planned() {
    let propagation = |word: &str| {
        let plan = plan(&[("/linux/rootfsPropagation", json!(word))]);
        let all = plan.program.iter().filter_map(|op| match op {
            Op::SetMount { attributes, .. } => Some((attributes.propagation, attributes.recursive)),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    let private = (ms::PRIVATE, true);
    for word in ["", "private", "rprivate"] {
        assert_eq!(propagation(word), [private]);
    }
    for word in ["slave", "rslave"] {
        assert_eq!(propagation(word), [(ms::SLAVE, true)]);
    }
    assert_eq!(propagation("shared"), [private, (ms::SHARED, false)]);
    assert_eq!(propagation("rshared"), [private, (ms::SHARED, true)]);
    assert_eq!(propagation("unbindable"), [private, (ms::UNBINDABLE, false)]);
    assert_eq!(propagation("runbindable"), [private, (ms::UNBINDABLE, true)]);
}

#[test]
fn default_nodes_are_made_unless_the_config_lists_them() {
    let defaults: Vec<&str> = devices::DEFAULT.iter().map(|(path, ..)| *path).collect();
    assert_eq!(nodes(&plan(&[])), defaults);
    let listed = json!([
        {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o600, "uid": 7},
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229},
        {"path": "/dev/./fuse", "type": "u", "major": 10, "minor": 229},
        {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2},
        {"path": "/dev/log/p", "type": "p", "major": 0, "minor": 0},
    ]);
    let plan = plan(&[("/linux/devices", listed)]);
    assert_eq!(nodes(&plan)[..3], ["/dev/tty", "/dev/fuse", "/dev/log/p"]);
    assert_eq!(nodes(&plan).len(), 3 + 5);
    let tty = find(&plan, |op| match op {
        Op::Device { path, mode, uid, .. } if path == "/dev/tty" => Some((*mode, *uid)),
        _ => None,
    });
    assert_eq!(tty.unwrap().1, (0o020_600, 7));
    // The multiplexer stays the link to the container's own devpts.
    let ptmx = find(&plan, |op| match op {
        Op::Symlink { path, target, .. } if path == "/dev/ptmx" => Some(target.as_str()),
        _ => None,
    });
    assert_eq!(ptmx.unwrap().1, "pts/ptmx");
}

#[test]
fn a_dev_of_the_hosts_is_left_as_it_is() {
    let dev = json!([{"destination": "/dev", "source": "/dev", "options": ["rbind"]}]);
    assert!(nodes(&plan(&[("/mounts", dev)])).is_empty());
}

#[test]
fn covers_come_once_each_and_right_before_the_root_is_left() {
    let plan = plan(&[
        ("/linux/maskedPaths", json!(["/proc/kcore", "/proc/./kcore", "/proc/keys"])),
        ("/linux/readonlyPaths", json!(["/proc/sys", "/proc/sys/"])),
        ("/hooks", json!({"createContainer": [{"path": "/h"}]})),
    ]);
    let covers: Vec<String> = plan
        .program
        .iter()
        .filter_map(|op| match op {
            Op::Mask { path } => Some(format!("mask {path}")),
            Op::ReadonlyPath { path } => Some(format!("ro {path}")),
            _ => None,
        })
        .collect();
    assert_eq!(covers, ["ro /proc/sys", "mask /proc/kcore", "mask /proc/keys"]);
    let at = |is: &dyn Fn(&Op) -> bool| plan.program.iter().position(is).unwrap();
    let hook = at(&|op| matches!(op, Op::Hook(_)));
    let cover = at(&|op| matches!(op, Op::ReadonlyPath { .. }));
    assert!(at(&|op| matches!(op, Op::MaskSource)) < hook && hook < cover && cover < at(&|op| matches!(op, Op::Pivot)));
}

#[test]
fn hooks_run_in_the_order_of_the_lifecycle() {
    let one = |path: &str| json!([{"path": path}]);
    let plan = plan(&[(
        "/hooks",
        json!({
            "prestart": one("/1"), "createRuntime": one("/2"), "createContainer": one("/3"),
            "startContainer": one("/4"), "poststart": one("/5"), "poststop": one("/6"),
        }),
    )]);
    let order: Vec<&str> = plan
        .program
        .iter()
        .filter_map(|op| match op {
            Op::RuntimeHooks => Some("runtime"),
            Op::Hook(hook) => Some(hook.kind),
            Op::Pivot => Some("pivot"),
            Op::WaitStart { .. } => Some("start"),
            Op::Execute { .. } => Some("execute"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["runtime", "createContainer", "pivot", "start", "startContainer", "execute"]);
    let kinds = [&plan.hooks.prestart, &plan.hooks.create_runtime, &plan.hooks.poststart, &plan.hooks.poststop];
    assert_eq!(kinds.map(|hooks| hooks[0].path.as_str()), ["/1", "/2", "/5", "/6"]);
}

#[test]
fn names_and_parameters_are_set_after_the_host_is_out_of_sight() {
    let plan = plan(&[
        ("/hostname", json!("h")),
        ("/domainname", json!("d")),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"})),
    ]);
    let (pivot, ()) = find(&plan, |op| matches!(op, Op::Pivot).then_some(())).unwrap();
    let is = |op: &Op| matches!(op, Op::Hostname { .. } | Op::Domainname { .. } | Op::Sysctl { .. });
    assert_eq!(plan.program.iter().filter(|op| is(op)).count(), 3);
    assert!(plan.program.iter().position(is).unwrap() > pivot);
}

#[test]
fn the_notify_socket_is_mounted_where_the_variable_says() {
    let request = CreateRequest { notify_directory: Some("/run/casemate/c1/notify".into()), ..request() };
    let plan = create(&config(&[]), &request, &facts()).unwrap();
    assert!(plan.handles.contains(&Handle::NotifyDirectory { path: "/run/casemate/c1/notify".into() }));
    let bound = find(&plan, |op| if let Op::Bind { destination, .. } = op { Some(destination) } else { None });
    assert_eq!(bound.unwrap().1, "/run/notify");
}

#[test]
fn a_cover_by_way_of_dots_does_not_take_the_place_of_a_plain_one() {
    let paths = json!(["/link/../proc/kcore", "/proc/kcore", "/proc/./kcore"]);
    let plan = plan(&[("/linux/maskedPaths", paths.clone()), ("/linux/readonlyPaths", paths)]);
    let covers = plan.program.iter().filter_map(|op| match op {
        Op::Mask { path } | Op::ReadonlyPath { path } => Some(path.as_str()),
        _ => None,
    });
    let twice = ["/link/../proc/kcore", "/proc/kcore", "/link/../proc/kcore", "/proc/kcore"];
    assert_eq!(covers.collect::<Vec<_>>(), twice);
}
