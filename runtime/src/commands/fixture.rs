//! Containers for the tests of this room: real processes, real entries and, where the host has them, real cgroups.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Root;
use crate::cgroup::{Cgroup, Cgroupfs, Driver as _, Layout, Path, Version};
use crate::cli::ContainerId;
use crate::log::Log;
use crate::state::{Container, InitProcess, Record, Scratch, Store, record};

use super::DEADLINE;

/// A root directory of the test's own.
pub(super) struct Fixture {
    pub(super) scratch: Scratch,
    pub(super) root: Root,
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        let scratch = Scratch::new();
        let root = Root { path: scratch.path().to_path_buf(), given: true };
        Fixture { scratch, root }
    }

    pub(super) fn store(&self) -> Store {
        self.scratch.store()
    }

    /// Records a container; its `create` is done, so nobody has the lock.
    pub(super) fn write(&self, record: &Record) {
        self.store().create(&record.id).unwrap().write(record).unwrap();
    }

    /// Overwrites `state.json` as no runtime would.
    pub(super) fn spoil(&self, id: &str, text: &[u8]) {
        std::fs::write(self.scratch.path().join(id).join("state.json"), text).unwrap();
    }

    /// The socket at which the init of a created container waits.
    pub(super) fn waiting(&self, id: &str) -> UnixListener {
        UnixListener::bind(self.scratch.path().join(id).join("start")).unwrap()
    }

    pub(super) fn status(&self, id: &str) -> String {
        Container::load(&self.store(), id).unwrap().status().unwrap().to_string()
    }

    pub(super) fn exists(&self, id: &str) -> bool {
        self.scratch.path().join(id).exists()
    }
}

pub(super) fn id(text: &str) -> ContainerId {
    text.parse().unwrap()
}

pub(super) fn log() -> Log {
    Log::default()
}

/// What a command printed.
pub(super) fn printed(run: impl FnOnce(&mut dyn std::io::Write) -> crate::error::Result<()>) -> String {
    let mut out = Vec::new();
    run(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A process in cgroups of its own, all of which end with the test.
pub(super) struct Boxed {
    path: Path,
    children: Vec<Child>,
}

impl Boxed {
    /// `None`, said on stderr, where there can be none.
    pub(super) fn new() -> Option<Boxed> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root to make cgroups");
            return None;
        }
        let layout = match Layout::discover() {
            Ok(layout) => layout,
            Err(error) => {
                eprintln!("skipped: needs a cgroup hierarchy: {error}");
                return None;
            }
        };
        let name = format!("/casemate-commands-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::from_spec(Some(&name), "id", &layout).unwrap();
        Cgroupfs.create(Cgroupfs.prepare(&path).unwrap()).unwrap();
        let mut boxed = Boxed { path, children: Vec::new() };
        boxed.spawn();
        Some(boxed)
    }

    /// One more process in the cgroups.
    pub(super) fn spawn(&mut self) {
        let joins = self.path.records.iter().map(|record| {
            let file = if record.version == Version::V1 { "tasks" } else { "cgroup.procs" };
            format!("echo 0 > {}/{file} || exit 99; ", record.directory())
        });
        let script = joins.collect::<String>() + "exec cat";
        let mut child =
            Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It answers when it is what it is to be.
        child.stdin.as_mut().unwrap().write_all(b"in\n").unwrap();
        let mut line = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        self.children.push(child);
    }

    /// A record of a container whose first process is the one in the cgroups.
    pub(super) fn record(&self) -> Record {
        let init = InitProcess::of(self.children[0].id() as i32).unwrap();
        Record { init: Some(init), cgroups: self.path.records.clone(), poststop: Vec::new(), ..record("c") }
    }

    pub(super) fn cgroup(&self) -> Cgroup {
        Cgroup::open(&self.path.records)
    }

    pub(super) fn pids(&self) -> Vec<i32> {
        self.children.iter().map(|child| child.id() as i32).collect()
    }

    /// Ends when the child has; the tests that wait here hang if it does not.
    pub(super) fn wait(&mut self, child: usize) {
        self.children[child].wait().unwrap();
    }

    pub(super) fn is_alive(&mut self, child: usize) -> bool {
        self.children[child].try_wait().unwrap().is_none()
    }

    pub(super) fn has_cgroups(&self) -> bool {
        self.path.records.iter().any(|record| std::path::Path::new(&record.directory()).exists())
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Perhaps it is dead already.
            let _dead = child.kill();
        }
        // The test deleted them, or says why not.
        let _removed = Cgroupfs.remove(&self.cgroup(), DEADLINE);
        for child in &mut self.children {
            let _reaped = child.wait();
        }
    }
}
