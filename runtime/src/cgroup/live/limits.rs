//! Limits, devices and figures of real cgroups.

use std::io::{Read, Write as _};
use std::os::fd::AsFd;

use rustix::event::{PollFd, poll};

use super::*;
use crate::spec::{Cpu, DeviceCgroup, Memory, Pids};

#[test]
fn limits_reach_the_files_of_v1() {
    let Some(fixture) = Fixture::new() else { return };
    let (Some(memory), Some(cpu), Some(pids)) =
        (fixture.directory("memory"), fixture.directory("cpu"), fixture.directory("pids"))
    else {
        return;
    };
    let mut resources = Resources {
        memory: Some(Memory { limit: Some(64 << 20), swap: Some(96 << 20), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(512), quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(0) }),
        ..Resources::default()
    };
    assert!(Cgroupfs.apply(&fixture.cgroup, &resources).unwrap().is_empty());
    assert_eq!(read(&memory, "memory.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(read(&memory, "memory.memsw.limit_in_bytes"), (96 << 20).to_string());
    assert_eq!(read(&cpu, "cpu.shares"), "512");
    assert_eq!(read(&cpu, "cpu.cfs_quota_us"), "50000");
    assert_eq!(read(&pids, "pids.max"), "1");
    // Growing past the old memory+swap limit needs the other order of writes; so does shrinking again.
    for mib in [512, 16] {
        resources.memory = Some(Memory { limit: Some(mib << 20), swap: Some(mib << 20), ..Memory::default() });
        Cgroupfs.apply(&fixture.reopened(), &resources).unwrap();
        assert_eq!(read(&memory, "memory.limit_in_bytes"), (mib << 20).to_string());
        assert_eq!(read(&memory, "memory.memsw.limit_in_bytes"), (mib << 20).to_string());
    }
    // Zeros leave what there is.
    let zeros = Resources {
        memory: Some(Memory { limit: Some(0), swap: Some(0), reservation: Some(0), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(0), quota: Some(0), period: Some(0), ..Cpu::default() }),
        ..Resources::default()
    };
    Cgroupfs.apply(&fixture.cgroup, &zeros).unwrap();
    assert_eq!(read(&memory, "memory.limit_in_bytes"), (16 << 20).to_string());
    assert_eq!(read(&cpu, "cpu.shares"), "512");
}

#[test]
fn memory_limit_below_the_usage_is_refused_with_the_usage() {
    let Some(fixture) = Fixture::new() else { return };
    if fixture.directory("memory").is_none() {
        return;
    }
    let mut child = fixture.spawn("x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ok; read y; echo ${#x}");
    wait_in(&mut child);
    let mut ok = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut ok).unwrap();
    let mut memory = Memory { limit: Some(1 << 20), ..Memory::default() };
    let apply = |memory: &Memory| {
        let resources = Resources { memory: Some(memory.clone()), ..Resources::default() };
        Cgroupfs.apply(&fixture.cgroup, &resources)
    };
    // Without swap in the cgroup the kernel cannot reclaim the shell's heap and says EBUSY; with swap
    // it may take the limit.
    if let Err(error) = apply(&memory) {
        assert!(error.to_string().starts_with("unable to set memory.limit to 1048576 (current usage: "), "{error}");
    }
    memory.check_before_update = Some(true);
    memory.limit = Some(4096);
    let error = apply(&memory).unwrap_err();
    assert!(error.to_string().contains("rejecting memory limit 4096 <= usage"), "{error}");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait().unwrap();
}

#[test]
fn limit_without_its_controller_is_refused_by_name() {
    let Some(fixture) = Fixture::new() else { return };
    if fixture.layout.controller("net_cls").is_some() {
        eprintln!("skipped: needs a host without net_cls");
        return;
    }
    let network = crate::spec::Network { class_id: Some(7), ..Default::default() };
    let resources = Resources { network: Some(network), ..Resources::default() };
    let error = Cgroupfs.apply(&fixture.cgroup, &resources).unwrap_err();
    let text = "network.classID: the net_cls cgroup controller is not available on this host";
    assert_eq!(error.to_string(), text);
}

#[test]
fn controller_of_the_unified_hierarchy_is_enabled_when_a_limit_needs_it() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(unified) = fixture.layout.unified().filter(|u| u.controllers.iter().any(|c| c == "hugetlb")) else {
        eprintln!("skipped: needs the hugetlb controller on the unified hierarchy");
        return;
    };
    let limit = crate::spec::HugepageLimit { page_size: "2MB".to_owned(), limit: 4 << 20 };
    let resources = Resources { hugepage_limits: vec![limit], ..Resources::default() };
    let root = unified.mount_point.clone();
    let was_on = read(&root, "cgroup.subtree_control").contains("hugetlb");
    Cgroupfs.apply(&fixture.cgroup, &resources).unwrap();
    let record = fixture.path.records.iter().find(|r| r.version == Version::V2).unwrap();
    assert_eq!(record.mount_point, unified.mount_point);
    assert_eq!(read(&record.directory(), "hugetlb.2MB.max"), (4 << 20).to_string());
    assert_eq!(read(&record.directory(), "hugetlb.2MB.rsvd.max"), (4 << 20).to_string());
    drop(fixture);
    if !was_on {
        // Refused while someone else uses it.
        let _in_use = std::fs::write(format!("{root}/cgroup.subtree_control"), "-hugetlb");
    }
}

#[test]
fn v1_devices_are_denied_but_for_the_list() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(directory) = fixture.directory("devices") else { return };
    let deny = DeviceCgroup { access: "rwm".to_owned(), ..DeviceCgroup::default() };
    fixture.cgroup.apply_devices(&rules(std::slice::from_ref(&deny), &devices::DEFAULT_NODES)).unwrap();
    let list = read(&directory, "devices.list");
    assert!(list.contains("c 1:3 rwm") && list.contains("c 136:* rwm") && !list.contains("10:200"), "{list}");
    assert_eq!(list.lines().count(), devices::DEFAULT_NODES.len());
    // An update narrows and widens without the default being written again.
    let fuse = DeviceCgroup {
        allow: true,
        r#type: "c".to_owned(),
        major: Some(10),
        minor: Some(229),
        access: "rw".to_owned(),
    };
    fixture.reopened().apply_devices(&rules(&[deny, fuse], &devices::DEFAULT_NODES[..1])).unwrap();
    assert_eq!(read(&directory, "devices.list"), "c 1:3 rwm\nc 10:229 rw");
    let mut child = fixture.spawn("exec 3</dev/null || exit 3; (exec 4</dev/zero) 2>/dev/null && exit 4; exit 0");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn device_program_on_the_unified_hierarchy_is_enforced_and_replaced() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(record) = fixture.path.records.iter().find(|r| r.version == Version::V2) else {
        eprintln!("skipped: needs the unified hierarchy");
        return;
    };
    // The records of a pure v2 host.
    let unified = Cgroup::open(std::slice::from_ref(record));
    let mut child = fixture.spawn(
        "read x; (exec 3</dev/null) && (exec 3</dev/zero) || exit 3; echo; read x; \
         (exec 3</dev/null) || exit 4; (exec 3</dev/zero) 2>/dev/null && exit 5; exit 0",
    );
    wait_in(&mut child);
    let deny = DeviceCgroup { access: "rwm".to_owned(), ..DeviceCgroup::default() };
    let deny = std::slice::from_ref(&deny);
    if let Err(error) = unified.apply_devices(&rules(deny, &devices::DEFAULT_NODES)) {
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(error.errno(), Some(rustix::io::Errno::PERM), "{error}");
        eprintln!("skipped: needs bpf(2): {error}");
        return;
    }
    let dir = unified.unified().unwrap().unwrap();
    let first = crate::sys::bpf::query_cgroup_device(dir.as_fd()).unwrap();
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut line = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    unified.apply_devices(&rules(deny, &devices::DEFAULT_NODES[..1])).unwrap();
    let second = crate::sys::bpf::query_cgroup_device(dir.as_fd()).unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn oom_is_counted_and_notified() {
    let Some(fixture) = Fixture::new() else { return };
    if fixture.directory("memory").is_none() {
        return;
    }
    let limit = Memory { limit: Some(4 << 20), swap: Some(4 << 20), ..Memory::default() };
    let resources = Resources { memory: Some(limit), ..Resources::default() };
    Cgroupfs.apply(&fixture.cgroup, &resources).unwrap();
    let mut watch = fixture.cgroup.watch_oom().unwrap();
    assert_eq!(watch.take().unwrap(), Oom::Quiet);
    assert_eq!(fixture.cgroup.oom_killed().unwrap(), 0);
    let mut child = fixture.spawn("x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ${#x}");
    child.wait().unwrap();
    let flags = watch.poll_flags();
    poll(&mut [PollFd::new(&watch, flags)], None).unwrap();
    assert_eq!(watch.take().unwrap(), Oom::Happened);
    assert!(fixture.cgroup.oom_killed().unwrap() > 0);
    Cgroupfs.remove(&fixture.cgroup, DEADLINE).unwrap();
    poll(&mut [PollFd::new(&watch, flags)], None).unwrap();
    assert_eq!(watch.take().unwrap(), Oom::Gone);
}

#[test]
fn stats_of_v1_count_tasks_and_memory() {
    let Some(fixture) = Fixture::new() else { return };
    if fixture.directory("memory").is_none() || fixture.directory("pids").is_none() {
        return;
    }
    let mut child = fixture.sleeper();
    let stats = fixture.reopened().stats().unwrap();
    assert_eq!(stats.pids.current, 1);
    assert!(stats.memory.usage.usage > 0 && stats.memory.usage.limit > 0, "{stats:?}");
    assert!(stats.memory.raw.contains_key("total_rss"), "{stats:?}");
    assert!(!stats.cpuset.cpus.is_empty() && stats.cpu.usage.total > 0, "{stats:?}");
    eprintln!("{}", serde_json::to_string(&stats).unwrap());
    fixture.cgroup.kill_all(DEADLINE).unwrap();
    child.wait().unwrap();
    Cgroupfs.remove(&fixture.cgroup, DEADLINE).unwrap();
    assert!(matches!(fixture.reopened().stats(), Err(Error::Gone)));
}

#[test]
fn unified_files_are_written_and_those_that_are_no_limits_refused() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(record) = fixture.path.records.iter().find(|r| r.version == Version::V2) else {
        eprintln!("skipped: needs the unified hierarchy");
        return;
    };
    let apply = |file: &str, value: &str| {
        let unified = [(file.to_owned(), value.to_owned())].into();
        Cgroupfs.apply(&fixture.cgroup, &Resources { unified, ..Resources::default() }).map_err(|e| e.to_string())
    };
    apply("cgroup.max.depth", "3").unwrap();
    assert_eq!(read(&record.directory(), "cgroup.max.depth"), "3");
    let error = apply("nosuch.max", "1").unwrap_err();
    assert_eq!(error, "unified[\"nosuch.max\"]: can't be set: controller \"nosuch\" not available");
    for file in ["cgroup.procs", "../cgroup.max.depth", "a/b", "", ".."] {
        assert!(apply(file, "0").is_err(), "{file}");
    }
    let error = apply("cgroup.nosuch", "1").unwrap_err();
    assert!(error.contains("cgroup.nosuch\": no such file or directory"), "{error}");
}

#[test]
fn unified_map_is_refused_on_v1() {
    let Some(fixture) = Fixture::new() else { return };
    let records: Vec<_> = fixture.path.records.iter().filter(|r| r.version == Version::V1).cloned().collect();
    let resources = Resources { unified: [("pids.max".to_owned(), "1".to_owned())].into(), ..Resources::default() };
    let error = Cgroup::open(&records).apply(&resources).unwrap_err();
    assert_eq!(error.to_string(), "unified[\"pids.max\"]: cannot use unified on cgroup v1");
}
