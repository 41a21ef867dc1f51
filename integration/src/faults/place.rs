//! Where a sweep takes place: one container that is made again and again, what it must be like, what must not be left.

use crate::bundle::Bundle;
use crate::case::Ground;
use crate::escape::outside::Outside;
use crate::escape::snapshot::Snapshot;
use crate::faults::tracer::{self, Injection, Trace, Traced};
use crate::host;
use crate::process::{Output, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

/// The longest that a command with a fault may take; casemate itself gives up waiting for init after 10 s at most.
const DEADLINE: Duration = Duration::from_secs(20);

/// What a container or a process in it is like: a thing to how it is.
pub type Likeness = BTreeMap<String, String>;

/// One container's place.
#[derive(Debug)]
pub struct Place<'a> {
    pub ground: Ground<'a>,
    pub bundle: Bundle,
    pub id: String,
    pub terminal: bool,
    outside: Outside,
    parent: String,
    before: Snapshot,
    /// What the runtime keeps in its root beside containers.
    kept: BTreeSet<String>,
}

impl<'a> Place<'a> {
    /// A bundle as Docker writes it, with a filter, all hooks, a sysctl, limits and, where asked for, a terminal.
    pub fn new(ground: Ground<'a>, parent: &str, terminal: bool) -> Result<Self> {
        let mut bundle = ground.bundle()?;
        let hook = json!([{"path": "/bin/true", "args": ["true"]}]);
        for stage in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
            bundle.set(&format!("/hooks/{stage}"), hook.clone());
        }
        bundle.args(&["/bin/sleep", "1000"]).set("/process/terminal", json!(terminal));
        bundle.set("/process/oomScoreAdj", json!(100));
        bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}]));
        bundle.set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "80"}));
        bundle.set("/linux/resources/pids", json!({"limit": 100}));
        bundle.set("/linux/resources/memory", json!({"limit": 268_435_456}));
        bundle.set("/linux/seccomp", serde_json::from_str(include_str!("../bench/docker-profile.json"))?);
        bundle.write()?;
        let outside = Outside::new(ground.dir.join("outside"))?;
        let before = Snapshot::take(&outside, ground.runtime, ground.host, parent)?;
        let (id, parent) = (ground.id(), parent.to_owned());
        let mut place = Self { ground, bundle, id, terminal, outside, parent, before, kept: BTreeSet::new() };
        place.whole_life()?;
        place.kept = place.root_entries();
        Ok(place)
    }

    /// `create`, as a command.
    pub fn create(&self) -> Command {
        let (bundle, socket) = (self.bundle.dir.to_string_lossy(), self.ground.dir.join("console"));
        let mut words = vec!["create", "--bundle", &bundle];
        let socket = socket.to_string_lossy();
        if self.terminal {
            words.extend(["--console-socket", &socket]);
        }
        words.push(&self.id);
        self.ground.command(&words)
    }

    /// A command on the container.
    pub fn command(&self, words: &[&str]) -> Command {
        self.ground.command(words)
    }

    /// Calls the runtime without a fault.
    pub fn call(&self, words: &[&str]) -> Result<Output> {
        self.ground.call(words)
    }

    /// The socket that takes the terminal: what was sent waits there, so that the terminal stays open.
    pub fn console(&self) -> Result<UnixListener> {
        let path = self.ground.dir.join("console");
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        UnixListener::bind(path).context("bind the console socket")
    }

    /// A created container, without a fault.
    pub fn created(&self) -> Result<()> {
        self.ground.recorder.run(self.create())?.success().map(drop)
    }

    /// A running container, without a fault.
    pub fn running(&self) -> Result<()> {
        self.created()?;
        self.call(&["start", &self.id])?.success()?;
        self.wait_for_program()
    }

    /// The container's first process as the runtime knows it.
    pub fn pid(&self) -> Result<i32> {
        let state = self.call(&["state", &self.id])?.success()?.json()?;
        Ok(i32::try_from(state["pid"].as_i64().context("no pid")?)?)
    }

    /// The container's status.
    pub fn status(&self) -> Result<String> {
        let state = self.call(&["state", &self.id])?.success()?.json()?;
        Ok(state["status"].as_str().unwrap_or_default().to_owned())
    }

    fn wait_for_program(&self) -> Result<()> {
        let pid = self.pid()?;
        eventually("init has become the program", || {
            Ok((host::command_line(pid)? == ["/bin/sleep", "1000"]).then_some(()))
        })
    }

    /// Runs a command under the tracer.
    pub fn traced(
        &self,
        command: Command,
        init: Option<i32>,
        injection: Option<Injection>,
    ) -> Result<(Traced, Output)> {
        let output = ["traced.out", "traced.err"].map(|name| self.ground.dir.join(name));
        let line = crate::process::typed(&command);
        let traced = tracer::run(Trace { command, init, injection, output: output.clone() }, DEADLINE)?;
        let read = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let [stdout, stderr] = output;
        let output = Output { code: traced.code, stdout: read(stdout)?, stderr: read(stderr)?, line };
        Ok((traced, output))
    }

    /// What the running container is like, seen from the host.
    pub fn likeness(&self) -> Result<Likeness> {
        self.wait_for_program()?;
        let pid = self.pid()?;
        let mut seen = Likeness::new();
        for line in host::read(format!("/proc/{pid}/status").as_ref())?.lines() {
            if let Some((field, value)) = line.split_once(':').filter(|(field, _)| is_credential(field)) {
                seen.insert(field.to_owned(), value.trim().to_owned());
            }
        }
        seen.insert("limits".to_owned(), host::read(format!("/proc/{pid}/limits").as_ref())?);
        seen.insert("oom_score_adj".to_owned(), host::read(format!("/proc/{pid}/oom_score_adj").as_ref())?);
        for name in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"] {
            let own = host::link(pid, &format!("ns/{name}"))? != host::link("self", &format!("ns/{name}"))?;
            seen.insert(format!("own {name} namespace"), own.to_string());
        }
        for (n, mount) in host::mounts(pid)?.iter().enumerate() {
            let text = format!("{} {} {:?} {}", mount.root, mount.kind, mount.options, mount.super_options);
            // The instance of devpts, and nothing else, has a number that changes.
            seen.insert(format!("mount {n} {}", mount.point), text);
        }
        let rootfs = format!("/proc/{pid}/root");
        let devices = std::fs::read_dir(format!("{rootfs}/dev"))?.flatten().map(|entry| entry.file_name());
        seen.insert("dev".to_owned(), format!("{:?}", devices.collect::<BTreeSet<_>>()));
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().map(|entry| entry.file_name());
        seen.insert("descriptors".to_owned(), format!("{:?}", descriptors.collect::<BTreeSet<_>>()));
        for (controller, file) in
            [("pids", "pids.max"), ("memory", "memory.limit_in_bytes"), ("devices", "devices.list")]
        {
            let value = self.ground.host.cgroup(controller, self.bundle.cgroups_path(), file);
            seen.insert(file.to_owned(), value.unwrap_or_default());
        }
        let words = [
            "exec",
            &self.id,
            "/bin/cat",
            "/proc/sys/net/ipv4/ip_unprivileged_port_start",
            "/proc/sys/kernel/hostname",
        ];
        seen.insert("sysctls".to_owned(), self.call(&words)?.success()?.stdout);
        Ok(seen)
    }

    /// Deletes by force; the container and all that the runtime had started must be gone then.
    pub fn delete(&self, pids: &[i32]) -> Result<()> {
        self.call(&["delete", "--force", &self.id])?.success()?;
        self.gone(pids)
    }

    /// Nothing of the container is left: process, cgroup, mount, directory, lock.
    pub fn gone(&self, pids: &[i32]) -> Result<()> {
        let cgroups = self.ground.host.cgroup_dirs(self.bundle.cgroups_path());
        ensure!(cgroups.is_empty(), "left: cgroups {cgroups:?}");
        self.no_process(pids)?;
        ensure!(!self.ground.root.join(&self.id).exists(), "left: the state directory");
        let entries = self.root_entries();
        ensure!(self.kept.is_empty() || entries.is_subset(&self.kept), "left in the root: {entries:?}");
        let dir = self.ground.dir.to_string_lossy();
        let mounts = host::read("/proc/self/mountinfo".as_ref())?;
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(&format!("{dir}/"))).collect();
        ensure!(left.is_empty(), "left: mounts {left:?}");
        Ok(())
    }

    /// None of these processes is alive; one that was just killed may take a moment.
    pub fn no_process(&self, pids: &[i32]) -> Result<()> {
        eventually("the processes that the command started end", || {
            Ok((!pids.iter().any(|pid| host::is_alive(*pid))).then_some(()))
        })
    }

    /// The host is as it was. Others on the machine make cgroups too, so of these only what has the container's id or the
    /// suite's name counts.
    pub fn host_is_unchanged(&self) -> Result<()> {
        let after = Snapshot::take(&self.outside, self.ground.runtime, self.ground.host, &self.parent)?;
        let mut changes = self.before.changes(&after);
        let name = self.parent.trim_start_matches('/');
        changes.retain(|change| !change.starts_with("cgroup ") || change.contains(&self.id) || change.contains(name));
        ensure!(changes.is_empty(), "the host has changed: {}", changes.join("; "));
        Ok(())
    }

    /// The same id from `create` to `delete` without a fault, with an `exec` in between.
    pub fn whole_life(&self) -> Result<()> {
        let _console = self.console()?;
        self.running()?;
        self.call(&["exec", &self.id, "/bin/true"])?.success()?;
        self.delete(&[])
    }

    fn root_entries(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(&self.ground.root).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

/// The lines of /proc/PID/status that say what a process may do.
pub fn is_credential(field: &str) -> bool {
    field.starts_with("Cap")
        || field.starts_with("Seccomp")
        || ["Uid", "Gid", "Groups", "NoNewPrivs", "Umask", "SigBlk", "SigIgn", "SigCgt"].contains(&field)
}

/// What is different, in words.
pub fn difference(wanted: &Likeness, seen: &Likeness) -> Vec<String> {
    let keys: BTreeSet<&String> = wanted.keys().chain(seen.keys()).collect();
    let other = keys.into_iter().filter(|key| wanted.get(*key) != seen.get(*key));
    other.map(|key| format!("{key}: {:?} instead of {:?}", seen.get(key), wanted.get(key))).collect()
}
