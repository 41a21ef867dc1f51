//! Ways around the rules, each of which was open once, and what is ordinary beside them.

use super::judge::{create, objects};
use super::{Enforcement, Level, Rule, Seen, Verdict};
use crate::cgroup::{Hierarchy, Layout, Version};
use crate::plan::{Facts, FileKind, Source};
use crate::spec::Spec;
use serde_json::{Value, json};

fn facts() -> Facts {
    let pids = Hierarchy {
        version: Version::V1,
        controllers: vec!["pids".into()],
        mount_point: "/sys/fs/cgroup/pids".into(),
        own: "/".into(),
    };
    Facts {
        bounding: u64::MAX,
        permitted: u64::MAX,
        last_capability: 40,
        umask: 0o22,
        selinux: false,
        apparmor: false,
        landlock_abi: 7,
        thermal_cpus: 0,
        cgroups: Layout { hierarchies: vec![pids] },
    }
}

fn base() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "/b/rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["a"], "capabilities": {"bounding": ["CAP_CHOWN"]}},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "network"}, {"type": "uts"}, {"type": "mount"}],
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}

fn judged(config: &Value, level: Level) -> Verdict {
    let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
    create(&spec, &Enforcement::new(level, "test"), &facts())
}

fn refused(config: &Value) -> Vec<&'static str> {
    let mut rules: Vec<_> = judged(config, Level::Baseline).refusals.iter().map(|refusal| refusal.rule.id()).collect();
    rules.dedup();
    rules
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut config = base();
    change(&mut config);
    config
}

fn mount(value: Value) -> impl FnOnce(&mut Value) {
    move |config| config["mounts"].as_array_mut().unwrap().push(value)
}

#[test]
fn an_ordinary_configuration_is_admitted() {
    assert_eq!(refused(&base()), [""; 0]);
    assert!(judged(&base(), Level::Privileged).changes.is_empty());
}

#[test]
fn a_disk_is_found_however_its_rule_is_written() {
    let rule = |rule: Value| with(|config| config["linux"]["resources"] = json!({"devices": [rule]}));
    for disk in [
        json!({"allow": true, "type": "b", "major": 8, "minor": 0, "access": "r"}),
        json!({"allow": true, "type": "a", "major": 8, "minor": 0, "access": "rw"}),
        json!({"allow": true, "type": "c", "major": 21, "minor": 0, "access": "rw"}),
    ] {
        assert_eq!(refused(&rule(disk.clone())), ["raw-devices"], "{disk}");
    }
    assert_eq!(
        refused(&rule(json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}))),
        [""; 0]
    );
    // A node of the other type beside it says nothing of it.
    let mut config = rule(json!({"allow": true, "type": "b", "major": 8, "minor": 0}));
    config["linux"]["devices"] = json!([{"path": "/dev/x", "type": "c", "major": 8, "minor": 0}]);
    assert_eq!(refused(&config), ["raw-devices"]);
    assert_eq!(refused(&rule(json!({"allow": true, "type": "c", "major": 21, "access": "r"}))), ["device-wildcards"]);
}

#[test]
fn a_later_entry_does_not_loosen_a_mount() {
    let config = with(|config| {
        mount(json!({"destination": "/b", "type": "bind", "source": "/srv", "options": ["rbind", "ro"]}))(config);
        mount(json!({"destination": "/b/", "type": "none", "options": ["remount", "rw", "suid", "nodev"]}))(config);
        mount(json!({"destination": "/sys", "type": "none", "options": ["remount", "rrw"]}))(config);
        mount(json!({"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}))(config);
        mount(json!({"destination": "/t", "type": "none", "options": ["remount", "rw"]}))(config);
    });
    let verdict = judged(&config, Level::Baseline);
    let options = |at: usize| verdict.spec.mounts[at].options.join(",");
    assert_eq!(
        (options(3), options(4), options(6)),
        ("remount,nodev,nosuid".into(), "remount,nosuid".into(), "remount,nosuid".into())
    );
}

#[test]
fn read_only_is_what_nothing_contradicts() {
    for options in [json!(["ro", "rrw"]), json!(["rw"]), json!([]), json!(["rro", "rw"])] {
        let config = with(|config| config["mounts"][1]["options"] = options.clone());
        let narrowed = judged(&config, Level::Baseline).spec.mounts[1].options.clone();
        assert!(narrowed.contains(&"ro".to_string()) && !narrowed.iter().any(|o| o == "rw" || o == "rrw"), "{options}");
        let bind = json!({"destination": "/b", "type": "bind", "source": "/usr/bin", "options": options});
        assert_eq!(refused(&with(mount(bind))), ["sensitive-binds"], "{options}");
    }
    let bind = json!({"destination": "/b", "type": "bind", "source": "/usr/share", "options": ["ro"]});
    assert_eq!(refused(&with(mount(bind))), [""; 0]);
}

#[test]
fn the_limit_on_tasks_is_not_undone_by_the_file_of_cgroup_v2() {
    for (resources, wanted) in [
        (json!({"pids": {"limit": 5}, "unified": {"pids.max": "max"}}), 5),
        (json!({"unified": {"pids.max": "max"}}), 2048),
        (json!({"pids": {"limit": -1}}), 2048),
        (json!({}), 2048),
    ] {
        let verdict = judged(&with(|config| config["linux"]["resources"] = resources.clone()), Level::Baseline);
        let limits = verdict.spec.linux.unwrap().resources.unwrap();
        assert_eq!(limits.pids.unwrap().limit, Some(wanted), "{resources}");
        assert!(limits.unified.is_empty());
    }
    let verbatim = with(|config| config["linux"]["resources"] = json!({"unified": {"pids.max": "7"}}));
    let verdict = judged(&verbatim, Level::Baseline);
    assert!(!verdict.changes.iter().any(|change| change.rule == Rule::PidsLimit));
}

#[test]
fn an_unmasked_procfs_is_found_wherever_it_is() {
    let nothing = |config: &mut Value| {
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    };
    assert_eq!(refused(&with(nothing)), ["unmasked-proc"]);
    let twice = with(|config| {
        nothing(config);
        config["mounts"][0]["options"] = json!(["subset=pid"]);
        mount(json!({"destination": "/proc", "type": "proc", "source": "proc"}))(config);
    });
    assert_eq!(refused(&twice), ["unmasked-proc"]);
    let subset = with(|config| {
        nothing(config);
        config["mounts"][0]["options"] = json!(["subset=pid"]);
    });
    assert_eq!(refused(&subset), [""; 0]);
    let dots = with(|config| {
        config["linux"]["maskedPaths"] = json!(["/link/../proc"]);
        config["linux"]["readonlyPaths"] = json!([]);
    });
    assert_eq!(refused(&dots), ["unmasked-proc"]);
    let elsewhere = json!({"destination": "/p", "type": "proc", "source": "proc"});
    assert_eq!(refused(&with(mount(elsewhere))), ["unmasked-proc"]);
    let sysfs = json!({"destination": "/s", "type": "sysfs", "source": "sysfs", "options": ["ro"]});
    assert_eq!(refused(&with(mount(sysfs))), ["filesystem-types"]);
}

#[test]
fn a_sandbox_gets_its_masks() {
    let sandbox = with(|config| {
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
        config["annotations"] = json!({"io.kubernetes.cri-o.ContainerType": "sandbox"});
    });
    let verdict = judged(&sandbox, Level::Baseline);
    assert!(verdict.refusals.is_empty());
    assert!(verdict.spec.linux.unwrap().masked_paths.contains(&"/proc/kcore".to_string()));
}

#[test]
fn the_host_is_not_a_root_filesystem() {
    let config = with(|config| config["root"]["path"] = json!("/"));
    let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
    let at = |path: &str, real: &str| Source {
        handle: 0,
        path: path.into(),
        real_path: real.into(),
        device: 1,
        inode: 2,
        kind: FileKind::Directory,
    };
    let judged = |spec: &Spec, source: &Source, same_as| {
        let seen = [Seen { source, same_as }];
        let verdict = objects(spec, "/b", &seen, &[], &Enforcement::new(Level::Baseline, "test"), &facts());
        verdict.refusals.iter().map(|refusal| refusal.pointer.clone()).collect::<Vec<_>>()
    };
    assert_eq!(judged(&spec, &at("/", "/"), None), ["/root/path"]);
    let spec = Spec::parse(base().to_string().as_bytes()).unwrap();
    assert_eq!(judged(&spec, &at("/b/rootfs", "/b/rootfs"), Some("/")), ["/root/path"]);
    for ordinary in ["/b/rootfs", "/root/bundle/rootfs", "/var/lib/docker/overlay2/x/merged"] {
        assert_eq!(judged(&spec, &at("/b/rootfs", ordinary), None), [""; 0], "{ordinary}");
    }
}

#[test]
fn what_the_policy_lets_be_bound_may_be_bound_where_it_really_is() {
    let said = || super::Said { value: (), origin: "test".into() };
    for (allowed, real) in [("/var/run/docker.sock", "/run/docker.sock"), ("/lib/modules", "/usr/lib/modules")] {
        let bind = json!({"destination": "/m", "type": "bind", "source": allowed, "options": ["rbind", "ro"]});
        let spec = Spec::parse(with(mount(bind)).to_string().as_bytes()).unwrap();
        let kind = FileKind::Directory;
        let source = Source { handle: 1, path: allowed.into(), real_path: real.into(), device: 1, inode: 2, kind };
        let seen = [Seen { source: &source, same_as: None }];
        let mut enforcement = Enforcement::new(Level::Baseline, "test");
        let refusals = |enforcement: &Enforcement| {
            let early = create(&spec, enforcement, &facts()).refusals.len();
            early + objects(&spec, "/b", &seen, &[], enforcement, &facts()).refusals.len()
        };
        assert_eq!(refusals(&enforcement), 1);
        enforcement.binds_allow.insert(allowed.into(), said());
        assert_eq!(refusals(&enforcement), 0, "{allowed}");
    }
}

#[test]
fn unconfined_by_apparmor_is_found_in_every_spelling() {
    for profile in ["unconfined", " unconfined", "unconfined\n", ":root:unconfined", ":root://unconfined"] {
        assert_eq!(
            refused(&with(|config| config["process"]["apparmorProfile"] = json!(profile))),
            ["apparmor-profile"],
            "{profile}"
        );
    }
}

#[test]
fn the_hosts_shared_memory_is_the_ipc_rules() {
    let shm = json!({"destination": "/dev/shm", "type": "bind", "source": "/dev/shm", "options": ["rbind"]});
    let mut config = with(mount(shm.clone()));
    assert_eq!(refused(&config), ["sensitive-binds"]);
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|ns| ns["type"] != "ipc");
    assert_eq!(refused(&config), ["host-ipc"]);
}

#[test]
fn an_entry_that_mounts_nothing_does_not_take_a_mask_away() {
    let masked = |config: &Value, path: &str| {
        let linux = judged(config, Level::Baseline).spec.linux.unwrap();
        linux.masked_paths.iter().chain(&linux.readonly_paths).any(|have| have == path)
    };
    for path in ["/proc/acpi", "/proc/irq", "/sys/firmware"] {
        assert!(masked(&base(), path));
        let remount = json!({"destination": path, "type": "none", "options": ["remount"]});
        assert!(masked(&with(mount(remount)), path), "{path}");
    }
    let empty = json!({"destination": "/sys/firmware", "type": "tmpfs", "source": "tmpfs"});
    let before = with(|config| config["mounts"].as_array_mut().unwrap().insert(0, empty.clone()));
    assert!(masked(&before, "/sys/firmware"), "covered by the sysfs that comes later");
    assert!(!masked(&with(mount(empty)), "/sys/firmware"), "the configuration's own");
}

#[test]
fn no_remount_loosens_what_a_link_or_a_tree_leads_to() {
    for place in ["/link", "/b/below", "/sys/fs/cgroup/memory", "/"] {
        let config = with(|config| {
            let entry = |at, kind, source, options| json!({"destination": at, "type": kind, "source": source, "options": options});
            mount(entry("/sys/fs/cgroup", "cgroup", "cgroup", json!(["ro"])))(config);
            mount(entry("/b", "bind", "/srv", json!(["rbind", "ro"])))(config);
            mount(entry(place, "none", "", json!(["remount", "rw", "rdev"])))(config);
        });
        let verdict = judged(&config, Level::Baseline);
        assert_eq!(verdict.spec.mounts.last().unwrap().options, ["remount", "nosuid"], "{place}");
    }
}

#[test]
fn the_layers_of_an_overlay_are_found_however_they_are_written() {
    let overlay = |options: Value| {
        let entry = json!({"destination": "/m", "type": "overlay", "source": "overlay", "options": options});
        refused(&with(mount(entry)))
    };
    for options in [
        json!(["index=off,lowerdir=/etc:/srv"]),
        json!(["lowerdir=/et\\c:/srv"]),
        json!(["lowerdir=../../etc:/srv"]),
        json!(["lowerdir=/srv:/mnt", "upperdir=/srv/\"a,lowerdir=/root,workdir=/srv/\"b"]),
        json!(["lowerdir+=/root"]),
        json!(["lowerdir=/srv", "upperdir=/usr/x", "workdir=/srv/w"]),
        json!(["lowerdir=/srv", "upperdir=/srv/u", "workdir=/etc/w"]),
    ] {
        assert_eq!(overlay(options.clone()), ["sensitive-binds"], "{options}");
    }
    for options in [
        json!(["lowerdir=/var/lib/engine/data:/run/engine/image-volumes"]),
        json!(["lowerdir=/srv/a\\:b\\,c,upperdir=/srv/u,workdir=/srv/w", "private"]),
        json!(["lowerdir=/srv/a::/srv/b", "volatile"]),
    ] {
        assert_eq!(overlay(options.clone()), [""; 0], "{options}");
    }
}

#[test]
fn a_rule_for_a_disk_is_not_excused_by_a_node_that_is_none() {
    for access in ["rw", "rwm", "m"] {
        let config = with(|config| {
            let rule = json!({"allow": true, "type": "c", "major": 21, "minor": 0, "access": access});
            config["linux"]["resources"] = json!({"devices": [rule]});
            config["linux"]["devices"] = json!([{"path": "/dev/x", "type": "p", "major": 21, "minor": 0}]);
        });
        assert_eq!(refused(&config), ["raw-devices"], "{access}");
    }
}

#[test]
fn an_exec_has_the_label_that_init_was_given() {
    let facts = Facts { selinux: true, ..facts() };
    let spec = Spec::parse(base().to_string().as_bytes()).unwrap();
    let enforcement = Enforcement { categories: Some("c1,c2".into()), ..Enforcement::new(Level::Baseline, "test") };
    let init = create(&spec, &enforcement, &facts).spec.process.unwrap().selinux_label;
    assert_eq!(init, "system_u:system_r:container_t:s0:c1,c2");
    let verdict = super::exec(&spec, spec.process.as_ref().unwrap(), &enforcement, &facts);
    assert!(verdict.refusals.is_empty());
    assert_eq!(verdict.process.selinux_label, init);
}

#[test]
fn only_a_number_is_a_limit_on_tasks() {
    for value in ["", "7\nmax", "max\n", " max", "\n"] {
        let resources = json!({"unified": {"pids.max": value}});
        let verdict = judged(&with(|config| config["linux"]["resources"] = resources.clone()), Level::Baseline);
        let limits = verdict.spec.linux.unwrap().resources.unwrap();
        assert_eq!((limits.pids.unwrap().limit, limits.unified.len()), (Some(2048), 0), "{value:?}");
        let mut limits = serde_json::from_value(resources).unwrap();
        super::update(&mut limits, &Enforcement::new(Level::Baseline, "test"), &facts());
        assert_eq!(limits.unified["pids.max"], "2048", "{value:?}");
    }
}

#[test]
fn what_the_kernel_shows_is_no_root_filesystem() {
    for place in ["/proc/sys", "/proc/1", "/sys/fs/cgroup", "/dev/disk", "/etc/ssh", "/etc/cron.d"] {
        assert!(super::sensitive::whole(place).is_some(), "{place}");
    }
    for place in ["/dev/shm/bundle/rootfs", "/root/bundle/rootfs", "/usr/local/rootfs", "/run/user/0/b/rootfs"] {
        assert!(super::sensitive::whole(place).is_none(), "{place}");
    }
}

#[test]
fn the_environment_does_not_make_another_program_of_a_probe() {
    let mut enforcement = Enforcement::new(Level::Baseline, "test");
    let value = super::ExecMode::Probes(vec![vec!["a".into()]]);
    enforcement.exec = Some(super::Said { value, origin: "test".into() });
    let config = with(|config| config["process"]["env"] = json!(["PATH=/bin", "A=1"]));
    let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
    let own = spec.process.clone().unwrap();
    let count = |env: &[&str], cwd: &str| {
        let env = env.iter().map(|entry| entry.to_string()).collect();
        let asked = crate::spec::Process { env, cwd: cwd.into(), ..own.clone() };
        super::exec(&spec, &asked, &enforcement, &facts()).refusals.len()
    };
    assert_eq!((count(&["PATH=/bin", "A=1"], "/"), count(&["PATH=/bin"], "/")), (0, 0));
    assert_eq!(
        (count(&["PATH=/tmp"], "/"), count(&["PATH=/bin", "LD_PRELOAD=/x"], "/"), count(&[], "/tmp")),
        (1, 1, 1)
    );
}
