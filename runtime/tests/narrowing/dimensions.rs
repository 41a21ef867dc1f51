//! Each dimension of the order by itself: an excess is found, and its benign twin is not.

use crate::facts;
use casemate::plan::grants::{Grants, grants};
use casemate::plan::{self, ExecRequest};
use casemate::spec::{Process, Spec};
use serde_json::{Value, json};

/// A configuration with something of everything.
fn config() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {
            "cwd": "/", "args": ["/bin/sh"],
            "user": {"uid": 1000, "gid": 1000, "additionalGids": [7]},
            "capabilities": {
                "bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL", "CAP_CHOWN"],
                "effective": ["CAP_KILL", "CAP_CHOWN"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/data", "type": "bind", "source": "/data", "options": ["rbind", "nosuid", "rslave"]},
        ],
        "linux": {
            "namespaces": [
                {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"},
                {"type": "network", "path": "/run/netns/one"},
            ],
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660}],
            "resources": {"devices": [{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]},
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "sysctl": {"net.core.somaxconn": "1"},
        },
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut document = config();
    for (pointer, value) in changes {
        put(&mut document, pointer, value.clone());
    }
    document
}

/// Sets the value at a pointer; `-` appends to a list, null takes a member away.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut at = document;
    for key in parent.split('/').skip(1) {
        at = match at {
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            at => &mut at[key],
        };
    }
    match at {
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) if value.is_null() => drop(list.remove(key.parse().unwrap())),
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        Value::Object(map) if value.is_null() => drop(map.remove(key)),
        at => at[key] = value,
    }
}

fn granted(document: &Value) -> Grants {
    let spec = Spec::parse(document.to_string().as_bytes()).unwrap();
    grants(&plan::create(&spec, &facts::request(), &facts::unified()).unwrap())
}

/// Asserts that a change goes one way only: after it more is given, in these words, and without it less.
fn wider(before: &[(&str, Value)], after: &[(&str, Value)], words: &str) {
    let (before, after) = (granted(&with(before)), granted(&with(after)));
    let excess = after.within(&before).unwrap_err().join("; ");
    assert!(excess.contains(words), "{excess}");
    before.within(&after).unwrap();
}

/// Asserts that neither gives no more than the other.
fn apart(before: &[(&str, Value)], after: &[(&str, Value)]) {
    let (before, after) = (granted(&with(before)), granted(&with(after)));
    assert!(after.within(&before).is_err() && before.within(&after).is_err());
}

#[test]
fn what_is_alike_is_within() {
    granted(&config()).within(&granted(&config())).unwrap();
}

#[test]
fn each_capability_set_counts() {
    for set in ["bounding", "effective", "permitted"] {
        let more = json!(["CAP_KILL", "CAP_CHOWN", "CAP_FOWNER"]);
        let pointer = format!("/process/capabilities/{set}");
        if set == "effective" {
            let permitted = ("/process/capabilities/permitted", more.clone());
            wider(
                std::slice::from_ref(&permitted),
                &[permitted.clone(), (&pointer, more)],
                "effective capabilities: CAP_FOWNER",
            );
        } else {
            wider(&[], &[(&pointer, more)], &format!("{set} capabilities: CAP_FOWNER"));
        }
    }
    let none = json!([]);
    wider(&[("/process/capabilities/ambient", none.clone())], &[], "ambient capabilities: CAP_KILL");
    wider(
        &[("/process/capabilities/ambient", none.clone()), ("/process/capabilities/inheritable", none.clone())],
        &[("/process/capabilities/ambient", none)],
        "inheritable capabilities: CAP_KILL",
    );
}

#[test]
fn what_is_kept_to_load_a_filter_is_not_given() {
    let filter =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]});
    wider(&[("/linux/seccomp", filter.clone())], &[], "system calls: there is no filter");
    // Where it lasts it counts.
    let admin = json!(["CAP_KILL", "CAP_CHOWN", "CAP_SYS_ADMIN"]);
    wider(
        &[("/linux/seccomp", filter.clone())],
        &[
            ("/linux/seccomp", filter),
            ("/process/capabilities/bounding", admin.clone()),
            ("/process/capabilities/permitted", admin),
        ],
        "bounding capabilities: CAP_SYS_ADMIN",
    );
}

#[test]
fn root_is_more_than_another_user_and_others_are_merely_different() {
    wider(&[], &[("/process/user/uid", json!(0))], "the user is root");
    wider(&[], &[("/process/user/gid", json!(0)), ("/process/user/additionalGids", json!([7]))], "the group is root");
    wider(&[], &[("/process/user/additionalGids", json!([7, 8]))], "group 8 is added");
    granted(&with(&[("/process/user/uid", json!(1001))])).within(&granted(&config())).unwrap();
}

#[test]
fn no_new_privs_takes_away() {
    wider(&[("/process/noNewPrivileges", json!(true))], &[], "no_new_privs is missing");
}

#[test]
fn filters_are_compared_by_every_call() {
    let profile = |rules: Value| json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules});
    let execve = json!({"names": ["execve"], "action": "SCMP_ACT_ALLOW"});
    let socket = |value: u64| {
        let arg = json!({"index": 0, "op": "SCMP_CMP_LE", "value": value});
        json!({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [arg]})
    };
    wider(
        &[("/linux/seccomp", profile(json!([execve, socket(9)])))],
        &[("/linux/seccomp", profile(json!([execve, socket(10)])))],
        "system calls: x86_64:socket [a, 0, 0, 0, 0, 0] is answered ALLOW, before ERRNO(1)",
    );
    let read = json!({"names": ["read"], "action": "SCMP_ACT_ALLOW"});
    apart(
        &[("/linux/seccomp", profile(json!([execve, socket(9)])))],
        &[("/linux/seccomp", profile(json!([execve, read])))],
    );
    let flags = |flags: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]});
    wider(
        &[("/linux/seccomp", flags(json!([])))],
        &[("/linux/seccomp", flags(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])))],
        "speculative store bypass",
    );
}

#[test]
fn a_listener_is_somebody_who_looks_on() {
    let notify = |path: &str| {
        json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
            "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}]})
    };
    apart(&[("/linux/seccomp", notify("/run/one"))], &[("/linux/seccomp", notify("/run/two"))]);
}

#[test]
fn attributes_of_mounts_take_away() {
    let bind =
        |options: &[&str]| json!({"destination": "/data", "type": "bind", "source": "/data", "options": options});
    let missing = "mount on /data: attributes";
    wider(&[], &[("/mounts/2", bind(&["rbind", "rslave"]))], missing);
    wider(&[("/mounts/2", bind(&["rbind", "ro", "nosuid", "rslave"]))], &[], missing);
    wider(&[("/mounts/2", bind(&["rbind", "rnosuid", "nosuid", "rslave"]))], &[], missing);
    // What is cleared is more than what is left as it is.
    wider(&[("/mounts/2", bind(&["rbind", "rslave"]))], &[("/mounts/2", bind(&["rbind", "suid", "rslave"]))], missing);
    wider(&[], &[("/mounts/2", bind(&["rbind", "nosuid", "rshared"]))], "it propagates further");
    wider(&[("/mounts/2", bind(&["rbind", "nosuid", "rprivate"]))], &[], "it propagates further");
    let remount = json!({"destination": "/data", "type": "bind", "options": ["remount", "ro"]});
    wider(&[("/mounts/-", remount)], &[], missing);
    // Of what is mounted already, or by nobody.
    let elsewhere = |option: &str| json!({"destination": "/x", "type": "none", "options": ["remount", option]});
    apart(&[("/mounts/-", elsewhere("nosuid"))], &[("/mounts/-", elsewhere("ro"))]);
    granted(&with(&[("/mounts/-", elsewhere("ro"))])).within(&granted(&config())).unwrap();
    for option in ["rw", "shared"] {
        let excess = granted(&with(&[("/mounts/-", elsewhere(option))])).within(&granted(&config())).unwrap_err();
        assert_eq!(excess, ["mount on /x: it was not there before"]);
    }
    // Access times are nobody's protection.
    let atime = granted(&with(&[("/mounts/2", bind(&["rbind", "nosuid", "noatime", "rslave"]))]));
    atime.within(&granted(&config())).unwrap();
    granted(&config()).within(&atime).unwrap();
}

#[test]
fn another_source_or_filesystem_is_another_mount() {
    let bind = |source: &str, how: &str| json!({"destination": "/data", "type": "bind", "source": source, "options": [how, "nosuid", "rslave"]});
    apart(&[], &[("/mounts/2", bind("/other", "rbind"))]);
    apart(&[], &[("/mounts/2", bind("/data", "bind"))]);
    apart(&[], &[("/mounts/2", json!({"destination": "/data", "type": "ext4", "source": "/dev/sda"}))]);
    apart(&[], &[("/mounts/2/destination", json!("/elsewhere"))]);
    apart(&[], &[("/mounts/1/options", json!(["nosuid", "mode=777"]))]);
    apart(&[], &[("/mounts/2", Value::Null)]);
    wider(&[("/mounts/0/options", json!(["subset=pid"]))], &[], "parameters are missing");
    wider(&[("/mounts/1/options", json!(["nosuid", "mode=755", "size=65536"]))], &[], "parameters are missing");
}

#[test]
fn scratch_goes_only_where_one_could_write() {
    let scratch = json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
        "options": ["nosuid", "nodev", "noexec", "mode=1777", "size=65536"]});
    let readonly = ("/root/readonly", json!(true));
    let narrowed = granted(&with(&[readonly.clone(), ("/mounts/-", scratch.clone())]));
    narrowed.within(&granted(&config())).unwrap();
    let excess = narrowed.within(&granted(&with(std::slice::from_ref(&readonly)))).unwrap_err();
    assert_eq!(excess, ["mount on /tmp: one could not write there before"]);
    // On a part that a mount has made read-only neither.
    let below = ("/mounts/2/destination", json!("/tmp"));
    let part = [below.clone(), ("/mounts/2/options", json!(["rbind", "ro", "nosuid", "rslave"]))];
    let deeper = ("/mounts/-", {
        let mut deeper = scratch.clone();
        deeper["destination"] = json!("/tmp/x");
        deeper
    });
    let narrowed = granted(&with(&[part[0].clone(), part[1].clone(), deeper]));
    assert_eq!(
        narrowed.within(&granted(&with(&part))).unwrap_err(),
        ["mount on /tmp/x: one could not write there before"]
    );
    for wrong in [json!(["nosuid", "nodev", "size=65536"]), json!(["nosuid", "nodev", "noexec"])] {
        let mut wrong_scratch = scratch.clone();
        wrong_scratch["options"] = wrong;
        let excess = granted(&with(&[("/mounts/-", wrong_scratch)])).within(&granted(&config())).unwrap_err();
        assert_eq!(excess, ["mount on /tmp: it was not there before"]);
    }
}

#[test]
fn a_read_only_root_and_covered_paths_take_away() {
    wider(&[("/root/readonly", json!(true))], &[], "mount on /: attributes");
    wider(&[], &[("/linux/rootfsPropagation", json!("rslave"))], "mount on /: it propagates further");
    wider(&[], &[("/linux/maskedPaths", json!([]))], "masked path /proc/kcore: it is visible");
    wider(&[], &[("/linux/readonlyPaths", json!([]))], "read-only path /proc/sys: it can be written to");
    // Masked instead of read-only, or something above, is less.
    let masked = [("/linux/maskedPaths", json!(["/proc/kcore", "/proc/sys"])), ("/linux/readonlyPaths", json!([]))];
    granted(&with(&masked)).within(&granted(&config())).unwrap();
    granted(&with(&[("/linux/maskedPaths", json!(["/proc"]))])).within(&granted(&config())).unwrap();
    granted(&with(&[("/linux/maskedPaths", json!(["//proc/./kcore/"]))])).within(&granted(&config())).unwrap();
    // The image may have a link there.
    apart(&[], &[("/linux/maskedPaths", json!(["/link/../proc/kcore"]))]);
}

#[test]
fn a_namespace_of_its_own_is_less_than_a_joined_one_or_the_host_s() {
    wider(&[], &[("/linux/namespaces/3", Value::Null)], "ipc namespace: Host, before New");
    wider(
        &[("/linux/namespaces/4", json!({"type": "network"}))],
        &[],
        "network namespace: Joined(\"/run/netns/one\"), before New",
    );
    apart(&[], &[("/linux/namespaces/4/path", json!("/run/netns/two"))]);
}

#[test]
fn devices_are_compared_as_nodes_and_as_rules() {
    let fuse = |mode: u32, minor: i64| json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": minor, "fileMode": mode});
    wider(&[("/linux/devices", json!([]))], &[], "device node /dev/fuse");
    wider(&[], &[("/linux/devices/0", fuse(0o666, 229))], "device node /dev/fuse");
    apart(&[], &[("/linux/devices/0", fuse(0o660, 230))]);
    let rules = |rules: Value| ("/linux/resources/devices", rules);
    let rule = |allow: bool, major: Value, minor: Value, access: &str| json!({"allow": allow, "type": "c", "major": major, "minor": minor, "access": access});
    wider(&[rules(json!([]))], &[], "device c 10:229: access r");
    wider(&[], &[rules(json!([rule(true, json!(10), json!(229), "rwm")]))], "device c 10:229: access m");
    wider(&[], &[rules(json!([rule(true, json!(10), json!(-1), "rw")]))], "device c 10:0: access r");
    wider(&[], &[rules(json!([rule(true, json!(-1), json!(-1), "rw")]))], "access r");
    // Written in another way.
    let split = granted(&with(&[rules(json!([
        rule(true, json!(10), json!(229), "r"),
        rule(true, json!(10), json!(229), "w")
    ]))]));
    split.within(&granted(&config())).unwrap();
    granted(&config()).within(&split).unwrap();
}

#[test]
fn limits_are_less_when_they_are_lower() {
    let limit = |soft: u64, hard: u64| json!({"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard});
    wider(&[], &[("/process/rlimits/0", limit(10, 21))], "RLIMIT_NOFILE is higher");
    wider(&[], &[("/process/rlimits/0", limit(11, 20))], "RLIMIT_NOFILE is higher");
    wider(
        &[("/process/rlimits/-", json!({"type": "RLIMIT_CORE", "soft": 0, "hard": 0}))],
        &[],
        "RLIMIT_CORE is higher or not set",
    );
    apart(&[], &[("/process/rlimits/-", json!({"type": "RLIMIT_CORE", "soft": 1, "hard": 1}))]);
    wider(&[("/linux/resources/pids", json!({"limit": 9}))], &[], "the limit of tasks");
    wider(
        &[("/linux/resources/pids", json!({"limit": 9}))],
        &[("/linux/resources/pids", json!({"limit": -1}))],
        "the limit of tasks",
    );
    wider(
        &[("/linux/resources/pids", json!({"limit": 0}))],
        &[("/linux/resources/pids", json!({"limit": 1}))],
        "the limit of tasks",
    );
    apart(&[], &[("/linux/resources/memory", json!({"limit": 1 << 20}))]);
    apart(&[], &[("/process/oomScoreAdj", json!(-5))]);
}

#[test]
fn sysctls_labels_and_hooks_are_the_same_or_less() {
    wider(&[("/linux/sysctl", json!({}))], &[], "sysctl net.core.somaxconn = 1");
    apart(&[], &[("/linux/sysctl/net.core.somaxconn", json!("2"))]);
    let hook = json!([{"path": "/bin/true"}]);
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        apart(&[], &[("/hooks", json!({kind: hook}))]);
    }
    apart(&[], &[("/linux/cgroupsPath", json!("/elsewhere"))]);
}

#[test]
fn a_label_where_there_was_none_narrows_and_another_one_does_not() {
    let facts = casemate::plan::Facts { selinux: true, ..facts::unified() };
    let labelled = |label: &str| {
        let mut document = config();
        if !label.is_empty() {
            document["process"]["selinuxLabel"] = json!(format!("u:r:container_t:s0:{label}"));
            document["linux"]["mountLabel"] = json!(format!("u:r:container_file_t:s0:{label}"));
        }
        let spec = Spec::parse(document.to_string().as_bytes()).unwrap();
        grants(&plan::create(&spec, &facts::request(), &facts).unwrap())
    };
    labelled("c1,c2").within(&labelled("")).unwrap();
    let excess = labelled("").within(&labelled("c1,c2")).unwrap_err().join("; ");
    assert!(excess.contains("label u:r:container_t:s0:c1,c2 of self/attr/exec"), "{excess}");
    assert!(labelled("c1,c3").within(&labelled("c1,c2")).is_err());
}

#[test]
fn the_caller_s_keyring_is_more_than_one_of_its_own() {
    let spec = Spec::parse(config().to_string().as_bytes()).unwrap();
    let with = |no_new_keyring: bool| {
        let request = casemate::plan::CreateRequest { no_new_keyring, ..facts::request() };
        grants(&plan::create(&spec, &request, &facts::unified()).unwrap())
    };
    assert_eq!(with(true).within(&with(false)).unwrap_err(), ["the session keyring is the caller's"]);
    with(false).within(&with(true)).unwrap();
}

#[test]
fn one_more_process_is_compared_like_the_first() {
    let spec = Spec::parse(config().to_string().as_bytes()).unwrap();
    let exec = |uid: u32, no_new_privileges: bool| {
        let mut process: Process = spec.process.clone().unwrap();
        process.user.uid = uid;
        process.no_new_privileges = no_new_privileges;
        let request = ExecRequest {
            id: "c1".into(),
            process,
            extra_env: vec![],
            cgroup_tasks: vec!["pids".into()],
            confinement: Default::default(),
        };
        grants(&plan::exec(&spec, &request, &facts::hybrid()).unwrap())
    };
    exec(7, true).within(&exec(0, false)).unwrap();
    assert_eq!(exec(0, false).within(&exec(7, true)).unwrap_err(), ["the user is root", "no_new_privs is missing"]);
}
