//! Hosts and requests that tests plan for: the same on every machine that runs them.
#![allow(dead_code, reason = "each test program uses a part")]

use casemate::cgroup::{Hierarchy, Layout, Version};
use casemate::plan::{CreateRequest, Facts};
use std::path::{Path, PathBuf};

const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

fn facts(hierarchies: Vec<Hierarchy>) -> Facts {
    Facts {
        bounding: ALL_CAPABILITIES,
        permitted: ALL_CAPABILITIES,
        last_capability: 40,
        umask: 0o022,
        selinux: false,
        apparmor: false,
        landlock_abi: 7,
        thermal_cpus: 0,
        cgroups: Layout { hierarchies },
    }
}

fn hierarchy(version: Version, controllers: &str, mount_point: &str) -> Hierarchy {
    Hierarchy {
        version,
        controllers: controllers.split(',').filter(|c| !c.is_empty()).map(str::to_string).collect(),
        mount_point: mount_point.into(),
        own: "/".into(),
    }
}

/// A host with all v1 controllers, and an empty cgroup v2 beside them.
pub fn hybrid() -> Facts {
    let v1 = |controllers: &str, directory: &str| {
        hierarchy(Version::V1, controllers, &format!("/sys/fs/cgroup/{directory}"))
    };
    facts(vec![
        v1("cpuset", "cpuset"),
        v1("cpu,cpuacct", "cpu,cpuacct"),
        v1("blkio", "blkio"),
        v1("memory", "memory"),
        v1("devices", "devices"),
        v1("freezer", "freezer"),
        v1("net_cls,net_prio", "net_cls,net_prio"),
        v1("perf_event", "perf_event"),
        v1("hugetlb", "hugetlb"),
        v1("pids", "pids"),
        v1("name=systemd", "systemd"),
        hierarchy(Version::V2, "", "/sys/fs/cgroup/unified"),
    ])
}

/// A host with cgroup v2 only.
pub fn unified() -> Facts {
    facts(vec![hierarchy(Version::V2, "cpuset,cpu,io,memory,hugetlb,pids,rdma,misc", "/sys/fs/cgroup")])
}

/// What an engine's `create` asks for.
pub fn request() -> CreateRequest {
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

/// The directory of these tests.
pub fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The configurations of engines whose file names begin with none of `not`, by name without extension.
pub fn configs(not: &[&str]) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(tests().join("configs")) else { panic!("no directory configs") };
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in entries {
        let Ok(path) = entry.map(|entry| entry.path()) else { panic!("configs cannot be listed") };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_suffix(".json") else { continue };
        if not.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { panic!("{name} cannot be read") };
        all.push((name.to_string(), bytes));
    }
    all.sort();
    all
}
