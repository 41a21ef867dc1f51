//! A case: its name, when it is run, and the ground it stands on.
//!
//! Each case has a directory, a `--root` and a cgroup of its own. When it has ended, whatever it left is force-deleted,
//! and then nothing may remain: no process, no cgroup, no mount, no state. What remains is a failure of the case.

use crate::bundle::Bundle;
use crate::host::{self, Fact, Host};
use crate::process::{DEADLINE, Output, Recorder, Running, eventually};
use crate::runtime::{Kind, Runtime};
use anyhow::{Context, Result, bail, ensure};
use regex_lite::Regex;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// When a case is skipped.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// The behaviour is wanted of casemate; runc's differs. The text says what casemate does.
    Differs(&'static str),
    /// Behaviour beyond runc's. The text says which.
    CasemateOnly(&'static str),
    /// The host must have this.
    Needs(Fact),
    /// casemate refuses it by name until it has it; `bad_input::what_is_not_supported_yet_is_refused_by_name` pins that.
    Later(&'static str),
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    pub room: &'static str,
    pub name: &'static str,
    pub marks: Vec<Mark>,
    pub body: fn(&Ground) -> Result<()>,
}

/// The list of a file's cases: the functions' names are the cases' names, marks follow in brackets.
#[macro_export]
macro_rules! cases {
    ($($name:ident $([$($mark:expr),+])?;)+) => {
        /// The cases of this file.
        pub fn all() -> Vec<$crate::case::Case> {
            #[allow(unused_imports)]
            use $crate::{case::Mark::*, host::Fact::*};
            let room = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$($crate::case::Case { room, name: stringify!($name), marks: vec![$($($mark),+)?], body: $name }),+]
        }
    };
}

impl Case {
    /// `room::name`.
    pub fn title(&self) -> String {
        format!("{}::{}", self.room, self.name)
    }

    /// The key and the words of the reason not to run this case here.
    pub fn skip(&self, runtime: &Runtime, host: &Host) -> Option<(&'static str, String)> {
        self.marks.iter().find_map(|mark| match mark {
            Mark::Differs(what) if runtime.kind == Kind::Other => {
                Some(("other-runtime", format!("differs on runc: {what}")))
            }
            Mark::CasemateOnly(what) if runtime.kind == Kind::Other => {
                Some(("other-runtime", format!("casemate only: {what}")))
            }
            Mark::Needs(fact) => host.missing(*fact),
            Mark::Later(what) if runtime.kind == Kind::Casemate => {
                Some(("later", format!("not in casemate yet: {what}")))
            }
            Mark::Differs(_) | Mark::CasemateOnly(_) | Mark::Later(_) => None,
        })
    }
}

/// The cases a filter leaves.
pub fn select(cases: Vec<Case>, filter: Option<&Regex>) -> Vec<Case> {
    cases.into_iter().filter(|case| filter.is_none_or(|filter| filter.is_match(&case.title()))).collect()
}

/// What one case has to itself.
#[derive(Debug)]
pub struct Ground<'a> {
    pub runtime: &'a Runtime,
    pub host: &'a Host,
    pub recorder: Recorder,
    /// An empty directory.
    pub dir: PathBuf,
    /// The runtime's `--root`, not yet made.
    pub root: PathBuf,
    /// The parent of the case's cgroups.
    pub cgroup: String,
    ids: RefCell<Vec<String>>,
    level: Cell<Option<&'static str>>,
    /// A program that prepares itself and becomes its arguments: every call of the runtime goes through it.
    caller: RefCell<Option<PathBuf>>,
}

/// A container by id, made from a bundle.
#[derive(Debug)]
pub struct Container<'a> {
    pub ground: &'a Ground<'a>,
    pub id: String,
    pub bundle: Bundle,
}

impl<'a> Ground<'a> {
    /// Makes the ground for case number `n`.
    pub fn new(runtime: &'a Runtime, host: &'a Host, base: &Path, cgroup: &str, n: usize) -> Result<Self> {
        let dir = base.join(n.to_string());
        let recorder = Recorder::new(dir.join("output"))?;
        let (root, cgroup) = (dir.join("root"), format!("{cgroup}/{n}"));
        Ok(Self {
            runtime,
            host,
            recorder,
            dir,
            root,
            cgroup,
            ids: RefCell::new(Vec::new()),
            level: Cell::new(Some("privileged")),
            caller: RefCell::new(None),
        })
    }

    /// Calls casemate with this `--level` from here on, or without one. What is common to all runtimes is checked at
    /// `privileged`, where casemate does what the configuration says and nothing else.
    pub fn level(&self, level: Option<&'static str>) -> &Self {
        self.level.set(level);
        self
    }

    /// Calls the runtime from here on from a shell that has done `preparations`, the last of which must end in an `exec` of
    /// `"$@"`: `umask 0; exec "$@"`.
    pub fn caller(&self, preparations: &str) -> Result<&Self> {
        let path = self.dir.join("caller");
        std::fs::write(&path, format!("#!/bin/sh\n{preparations}\n"))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        self.caller.replace(Some(path));
        Ok(self)
    }

    /// A new id; it is deleted when the case has ended.
    pub fn id(&self) -> String {
        let mut ids = self.ids.borrow_mut();
        let id = format!("c{}-{}", self.dir.file_name().unwrap_or_default().to_string_lossy(), ids.len());
        ids.push(id.clone());
        id
    }

    /// A new bundle.
    pub fn bundle(&self) -> Result<Bundle> {
        let n = (0..).find(|n| !self.dir.join(format!("bundle{n}")).exists()).context("no free name")?;
        Bundle::new(self.dir.join(format!("bundle{n}")), &format!("{}/b{n}", self.cgroup))
    }

    /// A container that has not been created.
    pub fn container(&'a self, bundle: &Bundle) -> Container<'a> {
        Container { ground: self, id: self.id(), bundle: bundle.clone() }
    }

    /// The runtime's command with its state below this case's root.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.runtime.command(&self.root, self.level.get());
        if let Some(caller) = self.caller.borrow().as_ref() {
            let called = command;
            command = Command::new(caller);
            command.arg(called.get_program()).args(called.get_args());
        }
        command.args(args).current_dir(&self.dir);
        command
    }

    /// Calls the runtime.
    pub fn call(&self, args: &[&str]) -> Result<Output> {
        self.recorder.run(self.command(args))
    }

    /// Calls the runtime with something on standard input.
    pub fn call_with(&self, args: &[&str], stdin: &str) -> Result<Output> {
        self.recorder.start(self.command(args), Some(stdin))?.wait(DEADLINE)
    }

    /// Calls the runtime from a shell script in which `$R` is the runtime with its root.
    pub fn shell(&self, script: &str) -> Result<Output> {
        let mut command = Command::new("/bin/sh");
        let called = self.runtime.command(&self.root, self.level.get());
        let words = std::iter::once(called.get_program()).chain(called.get_args());
        let runtime = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        command.args(["-c", script]).env("R", runtime).env("OUT", &self.dir).current_dir(&self.dir);
        self.recorder.run(command)
    }

    /// Runs a bundle in the foreground.
    pub fn run(&'a self, bundle: &Bundle) -> Result<Output> {
        self.container(bundle).run(&[])
    }

    /// What the probe sees as the container's program.
    pub fn probe(&'a self, bundle: &Bundle) -> Result<Value> {
        let mut bundle = bundle.clone();
        bundle.args(&["/bin/probe"]);
        self.run(&bundle)?.success()?.json()
    }

    /// A running container whose program is `sleep`.
    pub fn sleeping(&'a self, bundle: &Bundle) -> Result<Container<'a>> {
        let mut bundle = bundle.clone();
        bundle.args(&["/bin/sleep", "1000"]);
        let container = self.container(&bundle);
        container.create(&[])?.success()?;
        container.start()?.success()?;
        container.wait_for_program()?;
        Ok(container)
    }

    /// Deletes what is left, then looks for what should not be left any more.
    pub fn sweep(&self) -> Result<()> {
        self.caller.take();
        for id in self.ids.borrow().iter() {
            self.call(&["delete", "--force", id])?.success()?;
        }
        let mut left = Vec::new();
        for pid in self.host.cgroup_processes(&self.cgroup) {
            left.push(format!("process {pid} {:?}", host::command_line(pid).unwrap_or_default()));
            host::kill(pid)?;
        }
        let below = |path: &str| Path::new(path).starts_with(&self.dir);
        left.extend(host::mounts("self")?.iter().filter(|m| below(&m.point)).map(|m| format!("mount {}", m.point)));
        // A state directory without containers may hold the runtime's own caches and locks, which begin with a dot.
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                left.push(format!("state {name}"));
            }
        }
        let mine = format!("{}/", self.cgroup);
        for dir in self.host.cgroup_dirs(&mine) {
            let inner = std::fs::read_dir(&dir)?.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(inner.map(|entry| format!("cgroup {}", entry.path().display())));
            eventually("the case's cgroup can be removed", || Ok(host::remove_cgroup(&dir).ok()))?;
        }
        ensure!(left.is_empty(), "left behind: {}", left.join(", "));
        Ok(())
    }
}

impl Container<'_> {
    /// `COMMAND [FLAGS] ID`.
    pub fn call(&self, command: &str, flags: &[&str]) -> Result<Output> {
        self.ground.recorder.run(self.command(command, flags))
    }

    /// The same, not yet run.
    pub fn command(&self, command: &str, flags: &[&str]) -> Command {
        let mut words = vec![command];
        words.extend(flags);
        words.push(&self.id);
        self.ground.command(&words)
    }

    fn with_bundle(&self, command: &str, flags: &[&str]) -> Result<Command> {
        self.bundle.write()?;
        let bundle = self.bundle.dir.to_string_lossy().into_owned();
        let mut words = vec!["--bundle", &bundle];
        words.extend(flags);
        Ok(self.command(command, &words))
    }

    pub fn create(&self, flags: &[&str]) -> Result<Output> {
        self.ground.recorder.run(self.with_bundle("create", flags)?)
    }

    pub fn run(&self, flags: &[&str]) -> Result<Output> {
        self.run_in_background(flags)?.wait(DEADLINE)
    }

    /// Starts `run` and does not wait for it.
    pub fn run_in_background(&self, flags: &[&str]) -> Result<Running> {
        self.ground.recorder.start(self.with_bundle("run", flags)?, None)
    }

    /// `create` as a command, for a case that wants to change it or to kill it.
    pub fn create_command(&self, flags: &[&str]) -> Result<Command> {
        self.with_bundle("create", flags)
    }

    pub fn start(&self) -> Result<Output> {
        self.call("start", &[])
    }

    pub fn kill(&self, signal: &str) -> Result<Output> {
        self.ground.call(&["kill", &self.id, signal])
    }

    pub fn delete(&self) -> Result<Output> {
        self.call("delete", &[])
    }

    /// `exec [FLAGS] ID PROGRAM`.
    pub fn exec(&self, flags: &[&str], program: &[&str]) -> Result<Output> {
        let mut words = vec!["exec"];
        words.extend(flags);
        words.push(&self.id);
        words.extend(program);
        self.ground.call(&words)
    }

    /// What the probe sees as an exec'd process.
    pub fn exec_probe(&self, flags: &[&str]) -> Result<Value> {
        self.exec(flags, &["/bin/probe"])?.success()?.json()
    }

    /// The state JSON.
    pub fn state(&self) -> Result<Value> {
        self.call("state", &[])?.success()?.json()
    }

    /// The `status` of the state.
    pub fn status(&self) -> Result<String> {
        Ok(self.state()?["status"].as_str().context("no status")?.to_owned())
    }

    /// Fails unless the status is `wanted`.
    pub fn expect(&self, wanted: &str) -> Result<()> {
        let status = self.status()?;
        ensure!(status == wanted, "status \"{status}\" instead of \"{wanted}\"");
        Ok(())
    }

    /// The pid of init in our pid namespace.
    pub fn pid(&self) -> Result<i32> {
        let pid = self.state()?["pid"].as_i64().context("no pid")?;
        ensure!(pid > 0, "pid {pid}");
        Ok(i32::try_from(pid)?)
    }

    /// Waits until the status is `wanted`.
    pub fn wait_until(&self, wanted: &str) -> Result<()> {
        eventually(&format!("status \"{wanted}\""), || Ok((self.status()? == wanted).then_some(())))
    }

    /// Waits until init has become the program of the configuration: `start` may return before its execve.
    pub fn wait_for_program(&self) -> Result<()> {
        let args: Vec<String> = serde_json::from_value(self.bundle.spec["process"]["args"].clone())?;
        let pid = self.pid()?;
        eventually("init has become the program", || Ok((host::command_line(pid)? == args).then_some(())))
    }

    /// Kills init and waits until the container is stopped.
    pub fn stop(&self) -> Result<()> {
        self.kill("KILL")?.success()?;
        self.wait_until("stopped")
    }

    /// Reads a file of a v1 controller.
    pub fn cgroup(&self, controller: &str, file: &str) -> Result<String> {
        self.ground.host.cgroup(controller, self.bundle.cgroups_path(), file)
    }
}

/// Fails unless both are equal, and says which thing it is.
pub fn same<A: PartialEq<B> + std::fmt::Debug, B: std::fmt::Debug>(what: &str, seen: A, wanted: B) -> Result<()> {
    if seen != wanted {
        bail!("{what}: {seen:?} instead of {wanted:?}");
    }
    Ok(())
}
