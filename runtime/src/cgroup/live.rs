//! Tests against the cgroup file systems of this host, under names of their own.
//!
//! They need root. What a host does not have is said and skipped.

use std::io::{Read, Write as _};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, poll};

use super::*;
use crate::spec::{Cpu, DeviceCgroup, Memory, Pids};

const DEADLINE: Duration = Duration::from_secs(10);

/// A cgroup of this test alone, removed at its end whatever happens.
struct Fixture {
    layout: Layout,
    path: Path,
    cgroup: Cgroup,
    join: Join,
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/casemate-test-{}-{}/container", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Fixture {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let layout = match Layout::discover() {
            Ok(layout) => layout,
            Err(error) => {
                eprintln!("skipped: needs a cgroup hierarchy: {error}");
                return None;
            }
        };
        let path = Path::from_spec(Some(&unique()), "id", &layout).unwrap();
        let prepared = Cgroupfs.prepare(&path).unwrap();
        let (cgroup, join) = Cgroupfs.create(prepared).unwrap();
        Some(Self { layout, path, cgroup, join })
    }

    fn reopened(&self) -> Cgroup {
        Cgroup::open(&self.path.records)
    }

    /// The directory of a controller, for looking at it from outside.
    fn directory(&self, controller: &str) -> Option<String> {
        let record = self.path.records.iter().find(|r| r.controllers.iter().any(|c| c == controller));
        if record.is_none() {
            eprintln!("skipped: needs the v1 controller {controller}");
        }
        record.map(Record::directory)
    }

    /// A shell in the cgroup, which writes `0` for itself before it runs the script.
    fn spawn(&self, script: &str) -> Child {
        let mut join = String::new();
        for record in &self.path.records {
            let file = if record.version == Version::V1 { "tasks" } else { "cgroup.procs" };
            join += &format!("echo 0 > {}/{file} || exit 99; ", record.directory());
        }
        Command::new("/bin/sh")
            .args(["-c", &format!("{join} echo in; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn sleeper(&self) -> Child {
        let mut child = self.spawn("exec sleep 1000");
        wait_in(&mut child);
        child
    }
}

fn wait_in(child: &mut Child) {
    let mut line = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"in\n");
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _cleanup_of_a_failed_test = self.cgroup.kill_all(DEADLINE);
        let _cleanup_of_a_failed_test = self.cgroup.remove(DEADLINE);
        self.cgroup.undo();
    }
}

fn read(directory: &str, file: &str) -> String {
    std::fs::read_to_string(format!("{directory}/{file}")).unwrap().trim().to_owned()
}

#[test]
fn layout_of_this_host_lists_only_real_cgroup_mounts() {
    let Some(fixture) = Fixture::new() else { return };
    for hierarchy in &fixture.layout.hierarchies {
        Dir::open_mount(hierarchy.version, &hierarchy.mount_point).unwrap();
    }
}

#[test]
fn create_makes_one_directory_in_every_hierarchy_and_join_covers_them_all() {
    let Some(fixture) = Fixture::new() else { return };
    for record in &fixture.path.records {
        assert!(std::fs::metadata(record.directory()).unwrap().is_dir());
    }
    assert_eq!(fixture.join.unified.is_some(), fixture.layout.unified().is_some());
    let v1 = fixture.layout.hierarchies.iter().filter(|h| h.version == Version::V1).count();
    assert_eq!(fixture.join.tasks.len(), v1);
}

#[test]
fn child_that_writes_0_to_the_joined_tasks_files_is_in_every_cgroup() {
    let Some(fixture) = Fixture::new() else { return };
    let mut child = fixture.spawn("cat /proc/self/cgroup; read x");
    wait_in(&mut child);
    drop(child.stdin.take());
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    for record in &fixture.path.records {
        assert!(text.lines().any(|l| l.ends_with(&record.path)), "{text} lacks {record:?}");
    }
}

#[test]
fn mount_point_that_is_no_cgroupfs_is_refused() {
    let error = Dir::open_mount(Version::V1, "/tmp").unwrap_err();
    assert!(matches!(error, Error::NotCgroupfs { .. }), "{error}");
}

#[test]
fn cgroup_with_a_process_is_refused_and_named() {
    let Some(fixture) = Fixture::new() else { return };
    let mut child = fixture.sleeper();
    let error = Cgroupfs.prepare(&fixture.path).unwrap_err();
    assert!(error.to_string().contains("container's cgroup is not empty: 1 process(es) found"), "{error}");
    assert!(error.to_string().contains("casemate-test-"), "{error}");
    fixture.cgroup.kill_all(DEADLINE).unwrap();
    child.wait().unwrap();
}

#[test]
fn frozen_cgroup_is_refused() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.cgroup.freeze(DEADLINE).unwrap();
    let error = Cgroupfs.prepare(&fixture.path).unwrap_err();
    assert!(error.to_string().contains("container's cgroup unexpectedly frozen"), "{error}");
    fixture.cgroup.thaw().unwrap();
    Cgroupfs.prepare(&fixture.path).unwrap();
}

#[test]
fn cgroup_below_a_frozen_one_is_refused_and_leaves_nothing_behind() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.cgroup.freeze(DEADLINE).unwrap();
    let below = format!("/{}/child", fixture.path.records.first().unwrap().path);
    let path = Path::from_spec(Some(&below), "id", &fixture.layout).unwrap();
    let error = Cgroupfs.create(Cgroupfs.prepare(&path).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Frozen { .. }), "{error}");
    for record in &path.records {
        assert!(std::fs::metadata(record.directory()).is_err(), "{record:?} is left");
    }
}

#[test]
fn v1_freezer_frozen_by_someone_else_is_refused() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(directory) = fixture.directory("freezer") else { return };
    std::fs::write(format!("{directory}/freezer.state"), "FROZEN").unwrap();
    let error = Cgroupfs.prepare(&fixture.path).unwrap_err();
    assert!(matches!(error, Error::Frozen { .. }), "{error}");
}

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
        std::fs::write(format!("{root}/cgroup.subtree_control"), "-hugetlb").unwrap();
    }
}

#[test]
fn freeze_stops_and_thaw_resumes() {
    let Some(fixture) = Fixture::new() else { return };
    let mut child = fixture.sleeper();
    let later = fixture.reopened();
    assert!(!later.is_frozen().unwrap());
    later.freeze(DEADLINE).unwrap();
    assert!(later.is_frozen().unwrap());
    later.thaw().unwrap();
    assert!(!later.is_frozen().unwrap());
    // A frozen container can be killed.
    later.freeze(DEADLINE).unwrap();
    later.kill_all(DEADLINE).unwrap();
    child.wait().unwrap();
}

#[test]
fn pids_include_those_of_child_cgroups() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(unified) = fixture.path.records.iter().find(|r| r.version == Version::V2) else {
        eprintln!("skipped: needs the unified hierarchy");
        return;
    };
    let mut first = fixture.sleeper();
    let below = format!("{}/below", unified.directory());
    std::fs::create_dir(&below).unwrap();
    let mut second = fixture.spawn(&format!("echo 0 > {below}/cgroup.procs; exec sleep 1000"));
    wait_in(&mut second);
    let mut expected = vec![i32::try_from(first.id()).unwrap(), i32::try_from(second.id()).unwrap()];
    expected.sort_unstable();
    assert_eq!(fixture.reopened().pids().unwrap(), expected);
    fixture.cgroup.kill_all(DEADLINE).unwrap();
    first.wait().unwrap();
    second.wait().unwrap();
    Cgroupfs.remove(&fixture.reopened(), DEADLINE).unwrap();
    assert!(fixture.reopened().pids().unwrap().is_empty());
    for record in &fixture.path.records {
        assert!(std::fs::metadata(record.directory()).is_err(), "{record:?} is left");
    }
    // A second removal finds nothing and is content.
    Cgroupfs.remove(&fixture.reopened(), DEADLINE).unwrap();
}

#[test]
fn removal_of_a_cgroup_in_use_names_what_is_left() {
    let Some(fixture) = Fixture::new() else { return };
    let mut child = fixture.sleeper();
    let error = Cgroupfs.remove(&fixture.cgroup, Duration::from_millis(20)).unwrap_err();
    assert!(error.to_string().contains("1 process(es) left"), "{error}");
    fixture.cgroup.kill_all(DEADLINE).unwrap();
    child.wait().unwrap();
}

#[test]
fn kill_without_cgroup_kill_ends_every_process() {
    let Some(fixture) = Fixture::new() else { return };
    // The records of a pure v1 host.
    let records: Vec<_> = fixture.path.records.iter().filter(|r| r.version == Version::V1).cloned().collect();
    if records.is_empty() {
        eprintln!("skipped: needs cgroup v1");
        return;
    }
    let v1 = Cgroup::open(&records);
    let mut children = [fixture.sleeper(), fixture.sleeper(), fixture.sleeper()];
    assert_eq!(v1.pids().unwrap().len(), 3);
    v1.kill_all(DEADLINE).unwrap();
    for child in &mut children {
        child.wait().unwrap();
    }
    assert!(v1.pids().unwrap().is_empty());
}

#[test]
fn v1_devices_are_denied_but_for_the_list() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(directory) = fixture.directory("devices") else { return };
    let deny = DeviceCgroup { access: "rwm".to_owned(), ..DeviceCgroup::default() };
    fixture.cgroup.apply_devices(std::slice::from_ref(&deny), &devices::DEFAULT_NODES).unwrap();
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
    fixture.reopened().apply_devices(&[deny, fuse], &devices::DEFAULT_NODES[..1]).unwrap();
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
    if let Err(error) = unified.apply_devices(deny, &devices::DEFAULT_NODES) {
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
    unified.apply_devices(deny, &devices::DEFAULT_NODES[..1]).unwrap();
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
fn undo_removes_all_that_create_made() {
    let Some(fixture) = Fixture::new() else { return };
    let name = format!("/casemate-test-{}-undo/a/b", std::process::id());
    let path = Path::from_spec(Some(&name), "id", &fixture.layout).unwrap();
    let (cgroup, _join) = Cgroupfs.create(Cgroupfs.prepare(&path).unwrap()).unwrap();
    cgroup.undo();
    for record in &path.records {
        let top = record.directory();
        let top = top.split("/a/b").next().unwrap();
        assert!(std::fs::metadata(top).is_err(), "{top} is left");
    }
}

#[test]
fn systemd_is_refused_in_the_words_engines_know() {
    let error = driver(true).err().unwrap();
    assert_eq!(
        error.to_string(),
        "systemd cgroup flag passed, but systemd support for managing cgroups is not available"
    );
}

/// `cargo test -p casemate --release cost -- --ignored --nocapture`
#[test]
#[ignore = "prints what cgroups cost"]
fn cost_of_a_container() {
    use std::time::Instant;
    let Some(fixture) = Fixture::new() else { return };
    let deny = [DeviceCgroup { access: "rwm".to_owned(), ..DeviceCgroup::default() }];
    let resources = Resources {
        memory: Some(Memory { limit: Some(64 << 20), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(512), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(100) }),
        ..Resources::default()
    };
    let mut times: [Vec<u128>; 6] = Default::default();
    for _ in 0..200 {
        let t0 = Instant::now();
        let layout = Layout::discover().unwrap();
        // As with an engine's cgroup parent: the directory above exists.
        let above = fixture.path.records[0].path.split('/').next().unwrap();
        let path =
            Path::from_spec(Some(&format!("/{above}{}", unique().replace("/container", ""))), "id", &layout).unwrap();
        let t1 = Instant::now();
        let (cgroup, join) = Cgroupfs.create(Cgroupfs.prepare(&path).unwrap()).unwrap();
        let t2 = Instant::now();
        Cgroupfs.apply(&cgroup, &resources).unwrap();
        let t3 = Instant::now();
        cgroup.apply_devices(&deny, &devices::DEFAULT_NODES).unwrap();
        let t4 = Instant::now();
        drop(join);
        Cgroupfs.remove(&Cgroup::open(&path.records), DEADLINE).unwrap();
        let t5 = Instant::now();
        for (all, span) in times.iter_mut().zip([t1 - t0, t2 - t1, t3 - t2, t4 - t3, t5 - t4, t5 - t0]) {
            all.push(span.as_micros());
        }
    }
    for (name, mut all) in ["discover", "create", "apply", "devices", "remove", "sum"].into_iter().zip(times) {
        all.sort_unstable();
        eprintln!("{name}: min {} us, median {} us", all[0], all[all.len() / 2]);
    }
    drop(fixture);
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

#[test]
fn delegated_cgroup_belongs_to_the_containers_root_and_its_limits_do_not() {
    use std::os::unix::fs::MetadataExt;
    let Some(fixture) = Fixture::new() else { return };
    let Some(record) = fixture.path.records.iter().find(|r| r.version == Version::V2) else {
        eprintln!("skipped: needs the unified hierarchy");
        return;
    };
    fixture.cgroup.delegate(100_000).unwrap();
    let owner = |file: &str| std::fs::metadata(format!("{}/{file}", record.directory())).unwrap().uid();
    assert_eq!((owner("."), owner("cgroup.procs"), owner("cgroup.subtree_control")), (100_000, 100_000, 100_000));
    assert_eq!((owner("cgroup.freeze"), owner("cgroup.max.depth")), (0, 0));
}

#[test]
fn exec_joins_a_child_cgroup_and_nothing_outside() {
    let Some(fixture) = Fixture::new() else { return };
    for record in &fixture.path.records {
        std::fs::create_dir(format!("{}/sub", record.directory())).unwrap();
    }
    let join = fixture.reopened().join(Some("sub"), &[]).unwrap();
    assert_eq!(join.tasks.len(), fixture.join.tasks.len());
    for bad in ["../x", "sub/../../x", "nosuch"] {
        assert!(fixture.reopened().join(Some(bad), &[]).is_err(), "{bad}");
    }
    let written = fixture.cgroup.join(None, &[]).unwrap().without_clone().unwrap();
    assert!(written.unified.is_none());
    assert_eq!(written.tasks.len(), fixture.path.records.len());
}

#[test]
fn process_cloned_into_the_unified_cgroup_writes_0_to_the_rest() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(unified) = fixture.path.records.iter().find(|r| r.version == Version::V2) else {
        eprintln!("skipped: needs the unified hierarchy");
        return;
    };
    // The descriptor is one that CLONE_INTO_CGROUP takes: bpf(2) looks it up in the same way.
    crate::sys::bpf::query_cgroup_device(fixture.join.unified.as_ref().unwrap().as_fd()).unwrap();
    for (hierarchy, tasks) in &fixture.join.tasks {
        // Not written to here: that would move the test itself.
        let flags = rustix::fs::fcntl_getfl(tasks).unwrap();
        assert!(flags.contains(rustix::fs::OFlags::WRONLY), "{hierarchy}");
    }
    assert!(unified.directory().contains("casemate-test-"));
}
