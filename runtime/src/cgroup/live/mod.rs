//! Tests against the cgroup file systems of this host, under names of their own.
//!
//! They need root. What a host does not have is said and skipped.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;

mod lifecycle;
mod limits;

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

fn rules(spec: &[crate::spec::DeviceCgroup], nodes: &[devices::Rule]) -> Vec<devices::Rule> {
    devices::effective(spec, nodes).unwrap()
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
fn systemd_is_refused_in_the_words_engines_know() {
    let error = driver(true).err().unwrap();
    assert_eq!(
        error.to_string(),
        "systemd cgroup flag passed, but systemd support for managing cgroups is not available"
    );
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

/// `struct clone_args` of clone3(2).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

#[test]
#[allow(unsafe_code)]
fn process_cloned_into_the_unified_cgroup_that_writes_0_is_in_every_cgroup() {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    let Some(fixture) = Fixture::new() else { return };
    let mut args = CloneArgs { exit_signal: 17, ..CloneArgs::default() };
    if let Some(unified) = &fixture.join.unified {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(unified.as_raw_fd()).unwrap();
    }
    let tasks: Vec<i32> = fixture.join.tasks.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: without CLONE_VM the child has its own copy of everything; it makes nothing but the
    // async-signal-safe calls below and never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    if pid == 0 {
        // SAFETY: the descriptors are open and the buffers are constants.
        unsafe {
            for fd in tasks {
                if libc::write(fd, c"0".as_ptr().cast(), 1) != 1 {
                    libc::_exit(1);
                }
            }
            libc::write(writer.as_raw_fd(), c"x".as_ptr().cast(), 1);
            loop {
                libc::pause();
            }
        }
    }
    assert!(pid > 0, "clone3: {}", std::io::Error::last_os_error());
    drop(writer);
    reader.read_exact(&mut [0]).unwrap();
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    for record in &fixture.path.records {
        let line = format!(":{}:/{}", record.controllers.join(","), record.path);
        assert!(text.lines().any(|l| l.ends_with(&line)), "{text} lacks {line}");
    }
    fixture.cgroup.kill_all(DEADLINE).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap());
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
}
