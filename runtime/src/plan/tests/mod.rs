//! Each check of a plan, as a table: what is refused and in which words, what is planned and how.

mod confinement;
mod mounts;
mod process;
mod refusals;
mod root;

use super::{CreateRequest, Facts, Plan, create};
use crate::cgroup::{Hierarchy, Layout, Version};
use crate::error::Error;
use crate::program::Op;
use crate::spec::Spec;
use serde_json::{Value, json};

/// A host with cgroup v2 only and all controllers.
fn facts() -> Facts {
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"].map(str::to_string).to_vec();
    let mount_point = "/sys/fs/cgroup".to_string();
    let unified = Hierarchy { version: Version::V2, controllers, mount_point, own: "/".into() };
    Facts {
        bounding: (1 << 41) - 1,
        permitted: (1 << 41) - 1,
        last_capability: 40,
        umask: 0o022,
        selinux: false,
        apparmor: false,
        landlock_abi: 7,
        thermal_cpus: 0,
        cgroups: Layout { hierarchies: vec![unified] },
    }
}

fn request() -> CreateRequest {
    CreateRequest {
        id: "c1".into(),
        bundle: "/bundle".into(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
        confinement: Default::default(),
    }
}

/// The smallest configuration that is right, with the value at each pointer put in; null takes away.
fn config(changes: &[(&str, Value)]) -> Spec {
    let mut document = json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["/bin/sh"], "user": {"uid": 0, "gid": 0}},
        "mounts": [],
        "linux": {"namespaces": [
            {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}
        ]},
    });
    for (pointer, value) in changes {
        let mut at = &mut document;
        for key in pointer.split('/').skip(1) {
            at = match at {
                Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
                at => &mut at[key],
            };
        }
        *at = value.clone();
    }
    Spec::parse(document.to_string().as_bytes()).unwrap()
}

fn plan(changes: &[(&str, Value)]) -> Plan {
    create(&config(changes), &request(), &facts()).unwrap()
}

fn refusal(changes: &[(&str, Value)]) -> Error {
    create(&config(changes), &request(), &facts()).unwrap_err()
}

/// Asserts for each row that the change is refused, with the words and the pointer to the field.
fn refused(rows: &[(&str, Value, &str, &str)]) {
    for (at, value, words, pointer) in rows {
        let text = refusal(&[(at, value.clone())]).to_string();
        assert!(text.contains(words) && text.contains(&format!("({pointer})")), "{at} = {value}: {text}");
    }
}

/// The first operation for which `is` gives something, with its place.
fn find<'p, T>(plan: &'p Plan, is: impl Fn(&'p Op) -> Option<T>) -> Option<(usize, T)> {
    plan.program.iter().enumerate().find_map(|(i, op)| is(op).map(|found| (i, found)))
}
