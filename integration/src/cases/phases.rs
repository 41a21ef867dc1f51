//! Which process holds which privilege in which phase: casemate, init, hooks and the program are stopped at certain
//! system calls and looked at from outside.
//!
//! [`rows::PHASES`] is the table of docs/threat-model.md; a test below holds the document to it. strace(1) stops a process
//! with SIGSTOP on its return from a call, so what is seen is what it holds from there on.

mod look;
mod rows;
mod stops;
#[cfg(test)]
mod table;

use crate::case::{Container, Ground, same};
use crate::host;
use crate::process::{DEADLINE, eventually};
use anyhow::{Context, Result};
use look::{CALLERS_GROUP, PROGRAMS_GROUP, Sets, Setting};
use rows::{PHASES, Phase};
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use stops::{Traced, go_on};

crate::cases! {
    each_phase_holds_what_the_table_says_at_privileged [Needs(Strace), CasemateOnly("the table is casemate's")];
    each_phase_holds_what_the_table_says_at_baseline [Needs(Strace), CasemateOnly("the table is casemate's")];
    each_phase_holds_what_the_table_says_at_restricted [Needs(Strace), CasemateOnly("the table is casemate's")];
}

/// The row of this process at this moment.
fn row(process: &str, when: &str) -> Result<&'static Phase> {
    PHASES
        .iter()
        .find(|phase| phase.process == process && phase.when.contains(when))
        .with_context(|| format!("no row \"{process}\", \"{when}\""))
}

/// Walks one container through its life, and through every row.
struct Walk<'a> {
    setting: Setting<'a>,
    container: Container<'a>,
    /// Rows that were met.
    seen: BTreeSet<(&'static str, &'static str)>,
}

impl Walk<'_> {
    /// The next stop is at `call`; the process there is as the row says, and goes on.
    fn at(&mut self, traced: &mut Traced, call: &str, process: &str, when: &str) -> Result<i32> {
        let pid = traced.stopped_at(call).with_context(|| format!("{process}, {when}"))?;
        self.is(pid, process, when)?;
        go_on(pid)?;
        Ok(pid)
    }

    /// A process that nobody stops for this is as the row says.
    fn is(&mut self, pid: i32, process: &str, when: &str) -> Result<()> {
        let row = row(process, when)?;
        self.setting.check(pid, row)?;
        self.seen.insert((row.process, row.when));
        Ok(())
    }

    /// The same of a process that is on its last steps to where it waits.
    fn becomes(&mut self, pid: i32, process: &str, when: &str) -> Result<()> {
        let settled = eventually("it waits", || Ok(self.setting.check(pid, row(process, when)?).ok()));
        // Not settled: what differs is told.
        settled.or_else(|_| self.is(pid, process, when))?;
        self.is(pid, process, when)
    }

    fn trace(&self, name: &str, command: &Command, injections: &[&str]) -> Result<Traced> {
        Traced::start(self.container.ground, name, command, CALLERS_GROUP, injections)
    }

    fn create_and_start(&mut self) -> Result<()> {
        let calls = ["socketpair:when=1", "capset", "execveat", "execve", "umount2", "setresuid", "seccomp"];
        let mut create = self.trace("create", &self.container.create_command(&[])?, &calls)?;
        self.at(&mut create, "socketpair", "`create`", "everything is opened")?;
        self.at(&mut create, "capset", "its child", "cloned")?;
        let init = self.at(&mut create, "execveat", "init", "first instruction")?;
        self.setting.init = Some(init);
        let hook = create.stopped_at("execve")?;
        self.is(hook, "createRuntime hook", "first instruction")?;
        self.becomes(create.pid()?, "`create`", "createRuntime hook runs")?;
        go_on(hook)?;
        self.at(&mut create, "execve", "createContainer hook", "first instruction")?;
        self.at(&mut create, "umount2", "init", "mounts are gone")?;
        self.at(&mut create, "setresuid", "init", "user and bounding set")?;
        self.at(&mut create, "capset", "init", "given up")?;
        create.command_ended()?;
        self.becomes(init, "init", "it waits")?;
        let mut start = self.trace("start", &self.container.command("start", &[]), &["connect", "execve"])?;
        self.at(&mut start, "connect", "`start`", "connected")?;
        self.at(&mut create, "execve", "startContainer hook", "first instruction")?;
        self.at(&mut create, "seccomp", "init", "filter is loaded")?;
        let program = self.at(&mut create, "execve", "the program", "first instruction")?;
        same("pid of the program", program, init)?;
        self.at(&mut start, "execve", "poststart hook", "first instruction")?;
        start.ended()?.success()?;
        // Strace stays with init until the end of this container.
        self.exec()?;
        self.look_and_end()?;
        create.ended().map(drop)
    }

    fn exec(&mut self) -> Result<()> {
        let g = self.container.ground;
        // In the foreground the SIGCONT after a stop would be handed on to the program.
        let command = g.command(&["exec", "--detach", &self.container.id, "/bin/sleep", "1000"]);
        let calls = ["socketpair:when=1", "capset", "execveat", "setns", "seccomp", "execve"];
        let mut exec = self.trace("exec", &command, &calls)?;
        self.at(&mut exec, "socketpair", "`exec`", "nobody is cloned")?;
        self.at(&mut exec, "capset", "its child", "cloned by")?;
        self.at(&mut exec, "execveat", "init of `exec`", "first instruction")?;
        self.at(&mut exec, "setns", "init of `exec`", "unseen")?;
        self.at(&mut exec, "capset", "init of `exec`", "given up")?;
        self.at(&mut exec, "seccomp", "its successor", "filter is loaded")?;
        let program = self.at(&mut exec, "execve", "the program of `exec`", "first instruction")?;
        exec.command_ended()?;
        host::kill(program)?;
        exec.ended()?.success()?;

        let mut command = g.command(&["exec", &self.container.id, "/bin/sleep", "1000"]);
        command.gid(CALLERS_GROUP);
        let exec = g.recorder.start(command, None)?;
        let pid = exec.child.id().cast_signed();
        let program = eventually("the program runs", || {
            let children = host::read(Path::new(&format!("/proc/{pid}/task/{pid}/children")))?;
            let program = children.split(' ').find_map(|child| child.parse::<i32>().ok());
            Ok(program.filter(|child| host::command_line(*child).is_ok_and(|line| line == ["/bin/sleep", "1000"])))
        })?;
        self.becomes(pid, "`exec`", "the program runs")?;
        host::kill(program)?;
        exec.wait(DEADLINE)?.exits(137).map(drop)
    }

    fn look_and_end(&mut self) -> Result<()> {
        let state = self.container.command("state", &[]);
        let kill = self.container.ground.command(&["kill", &self.container.id, "CONT"]);
        for (name, command) in [("state", state), ("kill", kill)] {
            let mut traced = self.trace(name, &command, &["pidfd_open:when=1"])?;
            self.at(&mut traced, "pidfd_open", "`state`, `kill`", "looked at")?;
            traced.ended()?.success()?;
        }
        let delete = self.container.command("delete", &["--force"]);
        let mut delete = self.trace("delete", &delete, &["pidfd_open:when=1", "execve"])?;
        self.at(&mut delete, "pidfd_open", "`delete`", "looked at")?;
        self.at(&mut delete, "execve", "poststop hook", "first instruction")?;
        delete.ended()?.success().map(drop)
    }

    fn run(&mut self) -> Result<()> {
        self.setting.bundle.unset("/hooks").write()?;
        self.setting.init = None;
        let (bundle, g) = (self.setting.bundle.dir.to_string_lossy().into_owned(), self.container.ground);
        let mut command = self.container.command("run", &["--bundle", &bundle]);
        command.gid(CALLERS_GROUP);
        let run = g.recorder.start(command, None)?;
        eventually("it runs", || Ok(self.container.call("state", &[])?.says("\"running\"").then_some(())))?;
        self.becomes(run.child.id().cast_signed(), "`run`", "the program runs")?;
        self.container.kill("KILL")?.success()?;
        run.wait(DEADLINE)?.exits(137).map(drop)
    }
}

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const BIND: u64 = 1 << 10;

fn walk(g: &Ground, level: &'static str, plan: Sets, uid: u32) -> Result<()> {
    g.level(Some(level));
    let mut bundle = g.bundle()?;
    let names = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let five = json!({"bounding": names, "permitted": names,
        "effective": names, "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]});
    bundle.set("/process/capabilities", five);
    bundle.set("/process/user", json!({"uid": uid, "gid": PROGRAMS_GROUP}));
    bundle.push("/linux/namespaces", json!({"type": "cgroup"}));
    for kind in ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        let inside = kind == "startContainer";
        bundle.push(
            &format!("/hooks/{kind}"),
            json!({"path": if inside { "/bin/busybox" } else { "/bin/true" }, "args": ["true"]}),
        );
    }
    let no_new_privileges = level != "privileged";
    if !no_new_privileges {
        // At the other levels a container without a profile gets one.
        bundle.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]}),
        );
    }
    bundle.args(&["/bin/sleep", "1000"]);
    let container = g.container(&bundle);
    let setting = Setting { ground: g, bundle, plan, uid, no_new_privileges, init: None };
    let mut walk = Walk { setting, container, seen: BTreeSet::new() };
    walk.create_and_start()?;
    walk.run()?;
    let unseen = PHASES.iter().find(|row| !walk.seen.contains(&(row.process, row.when)));
    same("a row that was not met", unseen.map(|row| (row.process, row.when)), None::<(&str, &str)>)
}

fn each_phase_holds_what_the_table_says_at_privileged(g: &Ground) -> Result<()> {
    let three = CHOWN | KILL | BIND;
    let plan = Sets { inheritable: CHOWN, permitted: three, effective: three, bounding: three, ambient: CHOWN };
    walk(g, "privileged", plan, 0)
}

fn each_phase_holds_what_the_table_says_at_baseline(g: &Ground) -> Result<()> {
    let three = CHOWN | KILL | BIND;
    let plan = Sets { inheritable: 0, permitted: three, effective: three, bounding: three, ambient: 0 };
    walk(g, "baseline", plan, 0)
}

fn each_phase_holds_what_the_table_says_at_restricted(g: &Ground) -> Result<()> {
    let plan = Sets { inheritable: 0, permitted: BIND, effective: BIND, bounding: BIND, ambient: 0 };
    walk(g, "restricted", plan, 1000)
}
