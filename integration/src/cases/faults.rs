//! System calls that fail, or that the runtime does not survive; strace(1) makes them so.

use crate::case::{Container, Ground, same};
use crate::process::{DEADLINE, Output};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

crate::cases! {
    a_create_killed_at_any_system_call_leaves_nothing_after_forced_delete
        [Needs(Strace), CasemateOnly("what is about to be made is recorded first")];
    an_error_of_any_call_is_told_and_leaves_nothing
        [Needs(Strace), CasemateOnly("errors name the object and the call")];
    a_kernel_without_clone3_is_enough [Needs(Strace), CasemateOnly("clone(2) and a join instead")];
    a_kernel_without_noexec_memfds_runs_hooks_inside [Needs(Strace), CasemateOnly("hooks are copied to a memfd")];
}

/// `command` under strace with these options.
fn traced(command: &Command, options: &[&str]) -> Command {
    let mut strace = Command::new("/usr/bin/strace");
    strace.args(["-qq", "-o", "/dev/null"]).args(options).arg("--").arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        strace.current_dir(dir);
    }
    strace
}

/// `run` with errors injected into the runtime and everything it starts.
fn injected(c: &Container, injection: &str) -> Result<Output> {
    c.bundle.write()?;
    let bundle = c.bundle.dir.to_string_lossy();
    let run = traced(&c.command("run", &["--bundle", &bundle]), &["-f", &format!("--inject={injection}")]);
    c.ground.recorder.start(run, None)?.wait(DEADLINE)
}

fn nothing_left(g: &Ground, c: &Container) -> Result<()> {
    same("processes", g.host.cgroup_processes(c.bundle.cgroups_path()), Vec::<i32>::new())?;
    same("cgroups", g.host.cgroup_dirs(c.bundle.cgroups_path()), Vec::<PathBuf>::new())?;
    ensure!(!g.root.join(&c.id).exists(), "the state directory is there");
    Ok(())
}

fn a_create_killed_at_any_system_call_leaves_nothing_after_forced_delete(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    for n in 1..1500 {
        let create = traced(&c.create_command(&[])?, &[&format!("--inject=all:signal=KILL:when={n}")]);
        let ended = g.recorder.run(create)?;
        ensure!(ended.code == 0 || ended.code == 137, "call {n}: {ended}");
        c.call("delete", &["--force"])?.success().with_context(|| format!("killed at call {n}"))?;
        nothing_left(g, &c).with_context(|| format!("killed at call {n}"))?;
        if ended.code == 0 {
            ensure!(n > 50, "create has made no more than {n} calls");
            return c.run(&[])?.success().map(drop);
        }
    }
    anyhow::bail!("create never succeeded")
}

/// The calls of init that fail sometimes.
const CALLS: &str = "accept4 capset close clone dup3 execve fchdir fchmod fchmodat fchown fchownat fstatfs getcwd \
    ioctl keyctl lseek memfd_create mkdirat mknodat mount openat pipe2 pivot_root ppoll prctl prlimit64 read \
    readlinkat seccomp sendmsg setgroups sethostname setns setpgid setresgid setresuid setsid socket statx symlinkat \
    umask umount2 unshare write";

fn an_error_of_any_call_is_told_and_leaves_nothing(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let hook = json!([{"path": "/bin/true", "args": ["true"]}]);
    bundle.set("/hooks/createContainer", hook.clone()).set("/hooks/startContainer", hook);
    g.run(&bundle)?.success()?;
    let mut failed = 0;
    for call in CALLS.split_whitespace() {
        for n in 1..=2 {
            let c = g.container(&bundle);
            let output = injected(&c, &format!("{call}:error=EIO:when={n}"))?;
            let told = || format!("{call}, time {n}: {output}");
            ensure!(output.code == 0 || output.code == 1, told());
            // A hook's process tells on the hook's output, and init before its execve cannot tell why.
            let told_elsewhere = output.says("hook #0")
                || output.says("embedded init could not be executed")
                || output.says("capset before init was refused");
            ensure!(output.code == 0 || told_elsewhere || output.says("input/output error"), told());
            nothing_left(g, &c).with_context(told)?;
            failed += output.code;
        }
    }
    ensure!(failed > 10, "only {failed} of the errors were met");
    Ok(())
}

fn a_kernel_without_clone3_is_enough(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/echo", "ran"]);
    for error in ["error=ENOSYS", "error=EAGAIN:when=1", "error=EBUSY:when=1"] {
        let c = g.container(&bundle);
        same(error, injected(&c, &format!("clone3:{error}"))?.success()?.stdout.as_str(), "ran\n")?;
    }
    let c = g.container(&bundle);
    injected(&c, "pivot_root:error=EPERM")?.refused("operation not permitted").map(drop)
}

fn a_kernel_without_noexec_memfds_runs_hooks_inside(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let log = g.dir.join("log");
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", format!("echo hook >> {}", log.display())]});
    bundle.push("/hooks/createContainer", hook);
    for n in 1..=4 {
        std::fs::write(&log, "")?;
        let c = g.container(&bundle);
        let output = injected(&c, &format!("memfd_create:error=EINVAL:when={n}"))?;
        output.success().with_context(|| format!("memfd_create number {n}"))?;
        same("log", std::fs::read_to_string(&log)?.as_str(), "hook\n")?;
    }
    Ok(())
}
