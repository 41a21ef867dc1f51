//! What holds for plans of any configuration: no panic, and a few laws.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod facts;

use casemate::plan::mount_options::{MountOptions, attr, names};
use casemate::plan::{self, ExecRequest, explain, security};
use casemate::program::Op;
use casemate::program::encode::{Descriptors, encode};
use casemate::spec::{Capabilities, Process, Spec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use std::sync::LazyLock;

static CONFIGS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let all = facts::configs(&["exec-process", "update-resources"]).into_iter();
    // Profiles take most of the time and are tested by the crate that compiles them.
    all.map(|(_, bytes)| serde_json::from_slice(&bytes).unwrap())
        .map(|mut config: Value| {
            if let Some(seccomp) = config.pointer_mut("/linux/seccomp") {
                *seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW"});
            }
            config
        })
        .collect()
});

/// Pointers to all values below `value`.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_string());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, v)| {
            pointers(v, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), out)),
        _ => {}
    }
}

/// Words that mean something somewhere, and some that mean nothing.
fn word() -> impl Strategy<Value = String> {
    let known = select(vec![
        "",
        "/",
        ".",
        "..",
        "/..",
        "/dev",
        "/dev/",
        "/dev/null",
        "/dev/ptmx",
        "/proc",
        "/proc/self/attr/exec",
        "/proc/uptime",
        "bind",
        "rbind",
        "remount",
        "ro",
        "rro",
        "tmpcopyup",
        "iversion",
        "idmap",
        "tmpfs",
        "proc",
        "cgroup",
        "cgroup2",
        "sysfs",
        "devpts",
        "overlay",
        "mount",
        "user",
        "time",
        "pid",
        "network",
        "c",
        "b",
        "p",
        "u",
        "a",
        "rwm",
        "x",
        "CAP_SYS_ADMIN",
        "CAP_BANANA",
        "cap_chown",
        "RLIMIT_NOFILE",
        "RLIMIT_FOO",
        "PATH=",
        "PATH=/bin::x",
        "HOME=",
        "=",
        "A",
        "rslave",
        "shared",
        "banana",
        "1.0",
        "9.9.9",
        "net/../kernel",
        "-9223372036854775808",
        "\u{301}",
        "context=\"a,b\"",
        "a,b=c,,",
    ]);
    prop_oneof![
        3 => known.prop_map(str::to_string),
        1 => "[^\0]{0,20}",
        1 => (1_usize..6000).prop_map(|n| "x".repeat(n)),
        1 => (1_usize..3000).prop_map(|n| "/..".repeat(n)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        select(vec![-1_i64, 0, 1, 511, 512, 4095, 4096, 65536, i64::MAX, i64::MIN, 4_294_967_295])
            .prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// One change of a document at a place that it has.
#[derive(Clone, Debug)]
enum Change {
    Put(Index, Value),
    Remove(Index),
    Repeat(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), value()).prop_map(|(at, value)| Change::Put(at, value)),
        4 => (any::<Index>(), word()).prop_map(|(at, word)| Change::Put(at, word.into())),
        2 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), 1_usize..40).prop_map(|(at, n)| Change::Repeat(at, n)),
    ]
}

fn apply(document: &mut Value, change: &Change) {
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    match change {
        Change::Put(at, value) => *document.pointer_mut(at.get(&all[..]).as_str()).unwrap() = value.clone(),
        Change::Remove(at) => {
            let Some((parent, key)) = at.get(&all[..]).rsplit_once('/') else { return };
            match document.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.remove(&key.replace("~1", "/").replace("~0", "~"))),
                Value::Array(list) => drop(list.remove(key.parse().unwrap())),
                _ => {}
            }
        }
        Change::Repeat(at, n) => {
            if let Some(Value::Array(list)) = document.pointer_mut(at.get(&all[..]).as_str())
                && let Some(last) = list.last().cloned()
            {
                list.extend(vec![last; *n]);
            }
        }
    }
}

/// What has to hold for every document that reads as a configuration.
fn hold(document: &Value) -> Result<(), TestCaseError> {
    let Ok(spec) = Spec::parse(document.to_string().as_bytes()) else { return Ok(()) };
    for facts in [facts::hybrid(), facts::unified()] {
        let exec = ExecRequest {
            id: "c1".into(),
            process: spec.process.clone().unwrap_or_default(),
            extra_env: vec!["LISTEN_FDS=1".into()],
            cgroup_tasks: vec!["pids".into()],
            confinement: Default::default(),
        };
        for plan in [plan::create(&spec, &facts::request(), &facts), plan::exec(&spec, &exec, &facts)] {
            match plan {
                Ok(plan) => {
                    let handles = vec![9; plan.handles.len()];
                    let bytes = encode(&plan.program, &Descriptors { control: 3, start: 4, first: 3, handles });
                    prop_assert!(bytes.is_ok() || document.to_string().len() > 100_000);
                    prop_assert!(explain::text(&plan).ends_with('\n'));
                    prop_assert!(serde_json::to_string(&plan).is_ok());
                    laws(&plan.program)?;
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
    Ok(())
}

/// Laws of any program that was planned.
fn laws(program: &[Op]) -> Result<(), TestCaseError> {
    let at = |is: &dyn Fn(&Op) -> bool| program.iter().position(is);
    let destinations = program.iter().filter_map(|op| match op {
        Op::Mount { destination, .. } | Op::Bind { destination, .. } => Some(destination),
        _ => None,
    });
    for destination in destinations {
        prop_assert!(destination.starts_with('/') && destination != "/", "{}", destination);
        prop_assert!(destination.split('/').skip(1).all(|part| !["", ".", ".."].contains(&part)), "{}", destination);
    }
    for op in program {
        if let Op::Sysctl { name, .. } = op {
            prop_assert!(["net.", "kernel.", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix)), "{}", name);
        }
    }
    // A process exists only behind everything that confines it.
    if let Some(execute) = at(&|op| matches!(op, Op::Execute { .. })) {
        prop_assert_eq!(execute, program.len() - 1);
        let bounding = at(&|op| matches!(op, Op::Bounding { .. }));
        let identity = at(&|op| matches!(op, Op::Identity { .. }));
        let capabilities = at(&|op| matches!(op, Op::Capabilities { .. }));
        prop_assert!(bounding.is_some() && bounding < identity && identity < capabilities);
        if let Some(load) = at(&|op| matches!(op, Op::Seccomp { .. })) {
            prop_assert_eq!(load, execute - 1);
        }
    }
    if let Some(pivot) = at(&|op| matches!(op, Op::Pivot)) {
        let mounts = program.iter().rposition(|op| matches!(op, Op::Mount { .. } | Op::Bind { .. } | Op::Mask { .. }));
        prop_assert!(mounts.is_none_or(|last| last < pivot));
        prop_assert_eq!(at(&|op| matches!(op, Op::CheckMounts { .. })), Some(pivot + 1));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_changed_configuration_is_planned_or_refused(
        config in any::<Index>(),
        changes in prop::collection::vec(change(), 1..5),
    ) {
        let mut document = config.get(&CONFIGS).clone();
        changes.iter().for_each(|change| apply(&mut document, change));
        hold(&document)?;
    }

    #[test]
    fn any_mount_is_planned_or_refused(
        destination in word(), kind in word(), source in word(),
        options in prop::collection::vec(prop_oneof![word(), select(names().collect::<Vec<_>>()).prop_map(str::to_string)], 0..6),
    ) {
        let mut document = CONFIGS[0].clone();
        let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
        document["mounts"].as_array_mut().unwrap().push(mount);
        hold(&document)?;
    }

    #[test]
    fn mount_options_set_or_clear_an_attribute_and_never_both(
        options in prop::collection::vec(select(names().collect::<Vec<_>>()).prop_map(str::to_string), 0..12),
    ) {
        let parsed = MountOptions::parse(&options);
        prop_assert!(parsed.data.is_empty());
        for all in [parsed.own, parsed.tree, parsed.all_attributes()] {
            // The group of access times is one field: mount_setattr(2) wants all of it cleared when any of it is set.
            prop_assert_eq!(all.set & all.clear & !attr::ATIME, 0);
            prop_assert!(all.clear & attr::ATIME == 0 || all.clear & attr::ATIME == attr::ATIME);
            prop_assert!(all.set & attr::ATIME == 0 || all.clear & attr::ATIME == attr::ATIME);
            prop_assert!([0, attr::NOATIME, attr::STRICTATIME].contains(&(all.set & attr::ATIME)));
        }
        // Said twice is said once.
        let twice = MountOptions::parse(&[options.clone(), options].concat());
        prop_assert_eq!((parsed.own, parsed.tree, parsed.bind), (twice.own, twice.tree, twice.bind));
    }

    #[test]
    fn capability_sets_are_never_more_than_asked_or_had(
        asked in prop::collection::vec(prop::collection::vec(0_u8..45, 0..8), 5),
        bounding in any::<u64>(), permitted in any::<u64>(),
    ) {
        let all = casemate::program::words::capabilities((1 << 41) - 1);
        let all: Vec<&str> = all.split(',').collect();
        let names = |i: usize| -> Vec<String> {
            asked[i].iter().map(|c| all.get(usize::from(*c)).map_or("CAP_BANANA".into(), |n| n.to_string())).collect()
        };
        let bits = |i: usize| names(i).iter().filter_map(|n| security::capability_bit(n)).fold(0, |all, bit| all | bit);
        let caps = Capabilities {
            bounding: names(0), effective: names(1), permitted: names(2), inheritable: names(3), ambient: names(4),
        };
        let facts = casemate::plan::Facts { bounding, permitted, ..facts::unified() };
        let sets = security::capabilities(Some(&caps), &facts, &mut Vec::new());
        let sub = |a: u64, b: u64| a & !b == 0;
        prop_assert!(sub(sets.bounding, bits(0)) && sub(sets.effective, bits(1)) && sub(sets.permitted, bits(2)));
        prop_assert!(sub(sets.inheritable, bits(3)) && sub(sets.ambient, bits(4)));
        prop_assert!(sub(sets.bounding, bounding) && sub(sets.permitted, permitted));
        // What capset(2) and PR_CAP_AMBIENT_RAISE take.
        prop_assert!(sub(sets.effective, sets.permitted) && sub(sets.inheritable, sets.bounding));
        prop_assert!(sub(sets.ambient, sets.permitted & sets.inheritable));
    }

    #[test]
    fn each_variable_is_there_once_with_its_last_value(
        env in prop::collection::vec(("[A-C]{1,2}", "[a-z=]{0,3}").prop_map(|(k, v)| format!("{k}={v}")), 0..20),
    ) {
        let process = Process { args: vec!["/x".into()], cwd: "/".into(), env: env.clone(), ..Process::default() };
        let request = ExecRequest { id: "c1".into(), process, extra_env: vec![], cgroup_tasks: vec![], confinement: Default::default() };
        let plan = plan::exec(&Spec::default(), &request, &facts::hybrid()).unwrap();
        let Some(Op::Execute { env: planned, .. }) = plan.program.last() else { panic!() };
        let name = |entry: &String| entry.split_once('=').unwrap().0.to_string();
        let mut names: Vec<String> = planned.iter().map(name).collect();
        for entry in planned {
            prop_assert_eq!(env.iter().rev().find(|e| name(e) == name(entry)), Some(entry));
        }
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), planned.len());
        prop_assert!(env.iter().all(|e| names.contains(&name(e))));
    }

    #[test]
    fn sysctls_stay_in_their_namespace(key in prop_oneof!["net[./][a-z./]{0,12}", "[a-z./_]{0,16}", "[^\0]{0,8}"]) {
        let mut document = CONFIGS[0].clone();
        document["linux"]["sysctl"] = json!({key.clone(): "1"});
        document["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
        let spec = Spec::parse(document.to_string().as_bytes()).unwrap();
        if let Ok(plan) = plan::create(&spec, &facts::request(), &facts::hybrid()) {
            let bytes = encode(&plan.program, &Descriptors { handles: vec![9; 64], ..Descriptors::default() }).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let path = text.split('\0').find(|t| t.starts_with("sys/") || t.trim_start_matches('.').starts_with("sys/"));
            let path = path.unwrap();
            prop_assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part)), "{} -> {}", key, path);
        }
    }

    #[test]
    fn cleaned_paths_are_absolute_and_stay_as_they_are(path in word()) {
        let clean = plan::clean(&path);
        prop_assert!(clean.starts_with('/'));
        prop_assert!(clean == "/" || clean.split('/').skip(1).all(|part| !["", ".", ".."].contains(&part)));
        prop_assert_eq!(plan::clean(&clean), clean.clone());
    }
}
