//! Configurations to judge: what engines write, with changes that mostly leave them valid.

use crate::facts;
use casemate::plan::mount_options::names;
use casemate::spec::Spec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The configurations of engines, with small profiles: comparing large ones over and over takes most of the time.
pub static CONFIGS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let all = facts::configs(&["exec-process", "update-resources"]).into_iter();
    all.map(|(name, bytes)| {
        let mut config: Value = serde_json::from_slice(&bytes).unwrap();
        if let Some(seccomp) = config.pointer_mut("/linux/seccomp") {
            *seccomp = profile(&[("personality", "SCMP_ACT_ERRNO", Some((0, 8)))]);
        }
        (name, config)
    })
    .collect()
});

/// A call, what is done about it, and the argument that it is about.
type Rule = (&'static str, &'static str, Option<(u8, u64)>);

fn profile(rules: &[Rule]) -> Value {
    let rules = rules.iter().map(|(name, action, arg)| {
        let args: Vec<Value> =
            arg.iter().map(|(index, value)| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"})).collect();
        json!({"names": [name], "action": action, "args": args})
    });
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": rules.collect::<Vec<_>>()})
}

/// One change: a value at a pointer (`-` appends), or away with what is there.
#[derive(Clone, Debug)]
pub enum Change {
    Put(String, Value),
    Remove(String),
    /// One of the mounts there are gets other options.
    Options(Index, Vec<String>),
    /// One entry of a list goes.
    Drop(&'static str, Index),
}

const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_ADMIN",
    "CAP_SYS_PTRACE",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "cap_net_raw",
    "CAP_BANANA",
];

const PATHS: &[&str] = &[
    "/proc",
    "/proc/kcore",
    "/proc/sys",
    "/proc/uptime",
    "/sys",
    "/sys/firmware",
    "/sys/fs/cgroup",
    "/dev",
    "/dev/shm",
    "/tmp",
    "/tmp/",
    "/run",
    "/run/x",
    "/var",
    "/var/tmp",
    "/data",
    "/",
    "/etc",
    "/root/.ssh",
    "/var/run/docker.sock",
    "/var/lib/docker/volumes/x/_data",
    "relative",
];

fn option() -> impl Strategy<Value = String> {
    let attributes = select(vec![
        "ro",
        "rw",
        "rro",
        "rrw",
        "nosuid",
        "suid",
        "rsuid",
        "rnosuid",
        "nodev",
        "dev",
        "rdev",
        "noexec",
        "exec",
        "bind",
        "rbind",
        "shared",
        "rshared",
        "slave",
        "rslave",
        "private",
        "rprivate",
        "remount",
        "subset=pid",
        "hidepid=2",
        "size=65536",
        "mode=755",
        "tmpcopyup",
        "ro,rw",
    ]);
    prop_oneof![6 => attributes.prop_map(str::to_string), 1 => select(names().collect::<Vec<_>>()).prop_map(str::to_string)]
}

fn options() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(option(), 0..5)
}

fn mount() -> impl Strategy<Value = Value> {
    let kind = select(vec![
        "bind", "", "none", "tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "ext4", "debugfs",
        "overlay",
    ]);
    (select(PATHS), kind, select(PATHS), options()).prop_map(|(destination, kind, source, options)| {
        json!({"destination": destination, "type": kind, "source": source, "options": options})
    })
}

fn device_rule() -> impl Strategy<Value = Value> {
    let number = || {
        select(vec![
            Value::Null,
            json!(-1),
            json!(0),
            json!(1),
            json!(3),
            json!(5),
            json!(8),
            json!(10),
            json!(136),
            json!(229),
        ])
    };
    (any::<bool>(), select(vec!["a", "b", "c", "", "u"]), number(), number(), select(vec!["rwm", "m", "r", "rw", "wm", ""])).prop_map(
        |(allow, kind, major, minor, access)| json!({"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}),
    )
}

fn capabilities() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(CAPABILITIES, 0..CAPABILITIES.len())
}

fn put<S>(pointer: &'static str, value: S) -> BoxedStrategy<Change>
where
    S: Strategy + 'static,
    S::Value: Into<Value>,
{
    value.prop_map(move |value| Change::Put(pointer.into(), value.into())).boxed()
}

pub fn change() -> impl Strategy<Value = Change> {
    let seccomp = prop_oneof![
        Just(profile(&[])),
        Just(profile(&[("mount", "SCMP_ACT_ERRNO", None), ("socket", "SCMP_ACT_KILL", Some((0, 40)))])),
        Just(profile(&[("clone", "SCMP_ACT_LOG", Some((0, 1 << 28))), ("ptrace", "SCMP_ACT_TRACE", None)])),
        Just(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [], "syscalls": []})),
    ];
    let sets = select(vec!["bounding", "effective", "permitted", "inheritable", "ambient"]);
    let some_set = (sets, capabilities())
        .prop_map(|(set, names)| Change::Put(format!("/process/capabilities/{set}"), json!(names)));
    let all_sets = capabilities().prop_map(|names| {
        let sets =
            ["bounding", "effective", "permitted", "inheritable", "ambient"].map(|set| (set.to_string(), json!(names)));
        Change::Put("/process/capabilities".into(), Value::Object(sets.into_iter().collect()))
    });
    let namespace = select(vec!["pid", "ipc", "network", "uts", "cgroup", "mount"]);
    let joined = namespace.prop_map(|kind| {
        Change::Put("/linux/namespaces/-".into(), json!({"type": kind, "path": format!("/proc/1/ns/{kind}")}))
    });
    let limit = (select(vec!["RLIMIT_CORE", "RLIMIT_NOFILE"]), 0_u64..3, 0_u64..3)
        .prop_map(|(name, soft, more)| json!({"type": name, "soft": soft, "hard": soft + more}));
    let device = (
        select(vec!["/dev/fuse", "/dev/null", "/dev/sda", "/dev/mem"]),
        select(vec!["c", "b", "p", "u"]),
        0..11_i64,
        0..12_i64,
    )
        .prop_map(|(path, kind, major, minor)| json!({"path": path, "type": kind, "major": major, "minor": minor}));
    let label =
        select(vec!["", "system_u:system_r:container_t:s0:c1,c2", "system_u:system_r:spc_t:s0", "unconfined", "x"]);
    let propagation = select(vec!["", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable"]);
    let sysctl = select(vec![
        "net.core.somaxconn",
        "net/ipv4/ip_forward",
        "kernel.shm_rmid_forced",
        "kernel.msgmax",
        "net.ipv4.tcp_syncookies",
    ]);
    let away = select(vec![
        "/process/capabilities",
        "/linux/seccomp",
        "/linux/maskedPaths",
        "/linux/readonlyPaths",
        "/linux/resources",
        "/linux/resources/pids",
        "/linux/devices",
        "/process/rlimits",
        "/hooks",
        "/linux/sysctl",
        "/linux/cgroupsPath",
        "/process",
        "/linux",
    ]);
    let lists = select(vec![
        "/mounts",
        "/linux/namespaces",
        "/linux/maskedPaths",
        "/linux/readonlyPaths",
        "/linux/resources/devices",
        "/linux/devices",
    ]);
    prop_oneof![
        2 => away.prop_map(|pointer| Change::Remove(pointer.into())),
        2 => (lists, any::<Index>()).prop_map(|(list, at)| Change::Drop(list, at)),
        2 => (any::<Index>(), options()).prop_map(|(at, options)| Change::Options(at, options)),
        4 => put("/mounts/-", mount()),
        1 => some_set,
        1 => all_sets,
        1 => joined,
        1 => put("/process/noNewPrivileges", any::<bool>()),
        1 => put("/root/readonly", any::<bool>()),
        1 => put("/process/user/uid", 0_u32..3),
        1 => put("/process/rlimits/-", limit),
        1 => put("/linux/seccomp", seccomp),
        2 => put("/linux/resources/devices/-", device_rule()),
        1 => put("/linux/devices/-", device),
        1 => put("/linux/resources/pids", select(vec![json!({}), json!({"limit": -1}), json!({"limit": 0}), json!({"limit": 5}), json!({"limit": 9999})])),
        1 => put("/linux/resources/unified", select(vec![json!({"pids.max": "max"}), json!({"pids.max": "7"}), json!({"memory.high": "9999999"})])),
        1 => put("/linux/rootfsPropagation", propagation),
        1 => put("/process/selinuxLabel", label),
        1 => put("/process/apparmorProfile", select(vec!["", "unconfined", "casemate-default"])),
        1 => sysctl.prop_map(|key| Change::Put("/linux/sysctl".into(), json!({key: "1"}))),
        1 => put("/linux/maskedPaths/-", select(PATHS)),
        1 => put("/linux/readonlyPaths/-", select(PATHS)),
    ]
}

pub fn apply(document: &mut Value, change: &Change) {
    match change {
        Change::Put(pointer, value) => {
            let Some((parent, key)) = pointer.rsplit_once('/') else { return };
            let parent = make(document, parent, key == "-");
            match parent {
                Value::Array(list) if key == "-" => list.push(value.clone()),
                Value::Object(map) => drop(map.insert(key.to_string(), value.clone())),
                _ => {}
            }
        }
        Change::Remove(pointer) => {
            let Some((parent, key)) = pointer.rsplit_once('/') else { return };
            if let Some(Value::Object(map)) = document.pointer_mut(parent) {
                map.remove(key);
            }
        }
        Change::Options(at, options) => {
            let Some(Value::Array(mounts)) = document.pointer_mut("/mounts") else { return };
            if !mounts.is_empty() {
                let at = at.index(mounts.len());
                mounts[at]["options"] = json!(options);
            }
        }
        Change::Drop(list, at) => {
            if let Some(Value::Array(list)) = document.pointer_mut(list)
                && !list.is_empty()
            {
                list.remove(at.index(list.len()));
            }
        }
    }
}

/// The value at a pointer of objects, made where it is missing.
fn make<'d>(document: &'d mut Value, pointer: &str, list: bool) -> &'d mut Value {
    let mut at = document;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[key];
    }
    if at.is_null() {
        *at = if list { json!([]) } else { json!({}) };
    }
    at
}

/// A configuration of an engine's, changed.
#[derive(Clone, Debug)]
pub struct Config {
    name: &'static str,
    changes: Vec<Change>,
}

impl Config {
    /// None where it does not read as a configuration.
    pub fn spec(&self) -> Option<Spec> {
        let mut document = CONFIGS.iter().find(|(name, _)| name == self.name).unwrap().1.clone();
        self.changes.iter().for_each(|change| apply(&mut document, change));
        Spec::parse(document.to_string().as_bytes()).ok()
    }
}

pub fn config() -> impl Strategy<Value = Config> {
    (any::<Index>(), prop::collection::vec(change(), 0..7))
        .prop_map(|(at, changes)| Config { name: &at.get(&CONFIGS).0, changes })
}
