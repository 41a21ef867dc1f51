//! The spec room against the `oci-spec` crate, an independent reading of the same documents.
//!
//! Every configuration under `configs/` is read by both and has to come out with the same values;
//! where the two differ on purpose, the difference is pinned by a test of its own.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::{Path, PathBuf};

use casemate::spec::{Process, Resources, Spec, parse};
use oci_spec::runtime as oracle;
use serde::Serialize;
use serde_json::{Value, json};

fn configs() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

/// Brings two renderings of one value together: what Go's `omitempty` leaves out goes, and the
/// members of the capability sets, whose order the oracle loses, are sorted.
fn normalise(value: Value) -> Value {
    fn absent(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        }
    }
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let mut value = normalise(value);
                if ["bounding", "effective", "inheritable", "permitted", "ambient"].contains(&key.as_str())
                    && let Value::Array(list) = &mut value
                {
                    list.sort_by_key(ToString::to_string);
                }
                (key, value)
            })
            .filter(|(_, value)| !absent(value))
            .collect(),
        Value::Array(list) => list.into_iter().map(normalise).collect(),
        other => other,
    }
}

fn render(value: &impl Serialize) -> Value {
    normalise(serde_json::to_value(value).unwrap())
}

/// The first path at which two values differ.
fn difference(at: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|key| {
            difference(&format!("{at}.{key}"), a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| difference(&format!("{at}[{index}]"), a, b))
        }
        _ if ours == theirs => None,
        _ => Some(format!("{at}: {ours} is not {theirs}")),
    }
}

#[test]
fn every_engine_configuration_reads_as_the_oracle_reads_it() {
    let mut seen = 0;
    for path in configs() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        let (ours, theirs) = if name.starts_with("exec-process") {
            (
                render(&parse::<Process>(&bytes).unwrap()),
                render(&serde_json::from_slice::<oracle::Process>(&bytes).unwrap()),
            )
        } else if name.starts_with("update-resources") {
            (
                render(&parse::<Resources>(&bytes).unwrap()),
                render(&serde_json::from_slice::<oracle::LinuxResources>(&bytes).unwrap()),
            )
        } else {
            (render(&Spec::parse(&bytes).unwrap()), render(&serde_json::from_slice::<oracle::Spec>(&bytes).unwrap()))
        };
        let raw = normalise(serde_json::from_slice(&bytes).unwrap());
        if let Some(difference) = difference("", &ours, &raw) {
            panic!("{name}, against the document: {difference}");
        }
        if let Some(difference) = difference("", &ours, &theirs) {
            panic!("{name}, against the oracle: {difference}");
        }
        seen += 1;
    }
    assert!(seen >= 70, "only {seen} configurations");
}

/// A document that has every field of the Linux spec, none with its zero value.
fn every_field() -> Value {
    let map = json!([{"containerID": 1, "hostID": 2, "size": 3}]);
    let hook = json!([{"path": "/h", "args": ["h"], "env": ["A=1"], "timeout": 5}]);
    let throttle = json!([{"major": 8, "minor": 1, "rate": 100}]);
    json!({
        "ociVersion": "1.3.0",
        "hostname": "h",
        "domainname": "d",
        "root": {"path": "rootfs", "readonly": true},
        "annotations": {"a": "b"},
        "process": {
            "terminal": true,
            "consoleSize": {"height": 24, "width": 80},
            "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3, 4]},
            "args": ["sh"], "env": ["A=1"], "cwd": "/",
            "capabilities": {
                "bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "inheritable": ["CAP_CHOWN"],
                "permitted": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": u64::MAX, "soft": 1024}],
            "noNewPrivileges": true, "apparmorProfile": "p", "oomScoreAdj": -500, "selinuxLabel": "l",
            "scheduler": {
                "policy": "SCHED_DEADLINE", "nice": 1, "priority": 2, "flags": ["SCHED_FLAG_RECLAIM"],
                "runtime": 3, "deadline": 4, "period": 5
            },
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "execCPUAffinity": {"initial": "0-1", "final": "2,3"}
        },
        "mounts": [{
            "destination": "/d", "type": "bind", "source": "/s", "options": ["rbind", "ro"],
            "uidMappings": map, "gidMappings": map
        }],
        "hooks": {
            "prestart": hook, "createRuntime": hook, "createContainer": hook, "startContainer": hook,
            "poststart": hook, "poststop": hook
        },
        "linux": {
            "uidMappings": map, "gidMappings": map, "sysctl": {"net.a": "1"}, "cgroupsPath": "/c",
            "namespaces": [{"type": "network", "path": "/n"}],
            "devices": [{
                "path": "/dev/x", "type": "c", "major": 10, "minor": 200, "fileMode": 432, "uid": 1, "gid": 2
            }],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/l", "listenerMetadata": "x",
                "syscalls": [{
                    "names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                    "args": [{"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]
                }]
            },
            "netDevices": {"eth0": {"name": "eth1"}},
            "rootfsPropagation": "slave", "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "mountLabel": "m",
            "intelRdt": {
                "closID": "c", "schemata": ["L3:0=f"], "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20",
                "enableMonitoring": true
            },
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "personality": {"domain": "LINUX32"},
            "timeOffsets": {"boottime": {"secs": -1, "nanosecs": 2}},
            "resources": {
                "devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
                "memory": {
                    "limit": 1, "reservation": 2, "swap": 3, "kernel": 4, "kernelTCP": 5, "swappiness": 6,
                    "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true
                },
                "cpu": {
                    "shares": 1, "quota": 2, "burst": 3, "period": 4, "realtimeRuntime": 5, "realtimePeriod": 6,
                    "cpus": "0", "mems": "0", "idle": 1
                },
                "pids": {"limit": 5},
                "blockIO": {
                    "weight": 10, "leafWeight": 11,
                    "weightDevice": [{"major": 8, "minor": 1, "weight": 12, "leafWeight": 13}],
                    "throttleReadBpsDevice": throttle, "throttleWriteBpsDevice": throttle,
                    "throttleReadIOPSDevice": throttle, "throttleWriteIOPSDevice": throttle
                },
                "hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
                "network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 8}]},
                "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 4}},
                "unified": {"memory.high": "1"}
            }
        }
    })
}

#[test]
fn every_field_of_the_spec_is_read_and_written() {
    let document = every_field();
    let text = document.to_string();
    let ours = Spec::parse(text.as_bytes()).unwrap();
    assert_eq!(difference("", &serde_json::to_value(&ours).unwrap(), &document), None);
    assert_eq!(Spec::parse(serde_json::to_string(&ours).unwrap().as_bytes()).unwrap(), ours);
    let theirs: oracle::Spec = serde_json::from_str(&text).unwrap();
    assert_eq!(difference("", &render(&ours), &render(&theirs)), None);
}

/// Asserts which of the two readers takes a document.
fn assert_taken(text: &str, by_us: bool, by_oracle: bool) {
    let ours = Spec::parse(text.as_bytes());
    assert_eq!(ours.is_ok(), by_us, "{text}: {ours:?}");
    let theirs = serde_json::from_str::<oracle::Spec>(text);
    assert_eq!(theirs.is_ok(), by_oracle, "{text}: {theirs:?}");
}

/// A configuration around one member of `process`.
fn process(member: &str) -> String {
    format!(r#"{{"ociVersion":"1.3.0","process":{{"cwd":"/","user":{{"uid":0,"gid":0}},{member}}}}}"#)
}

/// A configuration around one member of `linux`.
fn linux(member: &str) -> String {
    format!(r#"{{"ociVersion":"1.3.0","linux":{{{member}}}}}"#)
}

#[test]
fn scheduler_flags_with_the_kernels_names_are_taken() {
    for flag in ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"] {
        assert_taken(&process(&format!(r#""scheduler":{{"policy":"SCHED_RR","flags":["{flag}"]}}"#)), true, false);
    }
}

#[test]
fn fields_with_a_zero_value_in_go_may_be_absent() {
    assert_taken(r#"{"ociVersion":"1.3.0","process":{"cwd":"/"}}"#, true, false);
    assert_taken(r#"{"process":null}"#, true, true);
    assert_taken(&process(r#""rlimits":[{"type":"RLIMIT_CORE"}]"#), true, true);
    assert_taken(&linux(r#""resources":{"devices":[{"access":"rwm"}]}"#), true, true);
}

#[test]
fn null_is_taken_where_the_oracle_wants_a_value() {
    assert_taken(&process(r#""noNewPrivileges":null"#), true, true);
    assert_taken(&process(r#""args":[null]"#), true, false);
    assert_taken(&linux(r#""sysctl":{"a":null}"#), true, false);
    assert_taken(r#"{"ociVersion":null}"#, true, false);
}

#[test]
fn names_of_closed_sets_are_left_to_the_plan() {
    assert_taken(&process(r#""capabilities":{"bounding":["CAP_BANANA"]}"#), true, false);
    assert_taken(&process(r#""rlimits":[{"type":"RLIMIT_FOO","hard":1,"soft":1}]"#), true, false);
    assert_taken(&process(r#""execCPUAffinity":{"initial":"a"}"#), true, false);
    assert_taken(&linux(r#""namespaces":[{"type":"banana"}]"#), true, false);
    assert_taken(&linux(r#""resources":{"devices":[{"allow":true,"type":"z"}]}"#), true, false);
}

#[test]
fn order_of_capabilities_is_kept() {
    let names = ["CAP_SYS_CHROOT", "CAP_CHOWN", "CAP_KILL", "CAP_AUDIT_READ"];
    let spec = Spec::parse(process(&format!(r#""capabilities":{{"bounding":{}}}"#, json!(names))).as_bytes()).unwrap();
    assert_eq!(spec.process.unwrap().capabilities.unwrap().bounding, names);
}

#[test]
fn what_two_readers_could_take_for_two_things_is_refused() {
    assert_taken(r#"{"ociVersion":"1.3.0","hostname":"a","hostname":"b"}"#, false, false);
    assert_taken(r#"{"ociVersion":"1.3.0","annotations":{"a":"1","a":"2"}}"#, false, true);
    assert_taken(&linux(r#""sysctl":{"a":"1","a":"2"}"#), false, true);
    assert_taken(&linux(r#""MaskedPaths":["/proc/kcore"]"#), false, true);
    assert_taken(&process(r#""args":["a\u0000b"]"#), false, true);
}

#[test]
fn an_array_in_place_of_an_object_is_refused() {
    assert_taken(r#"{"ociVersion":"1.3.0","root":["/",true]}"#, false, true);
    assert_taken(&linux(r#""namespaces":[["network","/n"]]"#), false, true);
    assert_taken(&linux(r#""seccomp":["SCMP_ACT_ALLOW"]"#), false, true);
}

#[test]
fn words_of_a_seccomp_profile_are_refused_by_both() {
    assert_taken(&linux(r#""seccomp":null"#), true, true);
    assert_taken(&linux(r#""seccomp":{"defaultAction":"SCMP_ACT_DENY"}"#), false, false);
    assert_taken(&linux(r#""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}"#), false, false);
    assert_taken(&linux(r#""seccomp":{}"#), false, false);
    assert_taken(&linux(r#""seccomp":[]"#), false, false);
}

#[test]
fn numbers_that_do_not_fit_are_refused_by_both() {
    for uid in ["4294967296", "-1", "1.0", "1e3", "\"1\""] {
        let text = format!(r#"{{"ociVersion":"1.3.0","process":{{"cwd":"/","user":{{"uid":{uid},"gid":0}}}}}}"#);
        assert_taken(&text, false, false);
    }
}

proptest::proptest! {
    /// Cut, flipped and doubled bytes give a value or an error that names a place, and no panic.
    #[test]
    fn damaged_documents_are_read_or_refused(
        file in proptest::sample::select(configs()),
        at in 0_usize..20_000,
        byte in proptest::prelude::any::<u8>(),
        kind in 0..3,
    ) {
        let mut bytes = fs::read(file).unwrap();
        let at = at % bytes.len();
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.truncate(at),
            _ => bytes.insert(at, byte),
        }
        match Spec::parse(&bytes) {
            Ok(spec) => {
                let text = serde_json::to_vec(&spec).unwrap();
                assert_eq!(Spec::parse(&text).unwrap(), spec);
            }
            Err(error) => assert!(error.to_string().contains("line "), "{error}"),
        }
    }
}
