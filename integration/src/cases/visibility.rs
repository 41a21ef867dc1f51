//! What a process shows of the host and the caller while it is on its way into a container.

use crate::bundle::{Bundle, DEFAULT_CAPABILITIES, capabilities};
use crate::case::{Container, Ground, same};
use crate::host;
use crate::process::{DEADLINE, Output, Running, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Command;

crate::cases! {
    an_exec_shows_nothing_of_the_host_to_the_pid_namespace [CasemateOnly("exec enters the pid namespace confined")];
    an_exec_into_a_joined_pid_namespace_shows_nothing_of_the_host
        [CasemateOnly("exec enters the pid namespace confined")];
    exec_has_a_session_keyring_of_its_own;
    an_exec_with_a_terminal_leads_a_session_that_controls_it;
    the_terminal_of_an_exec_belongs_to_its_user;
    an_interrupt_typed_at_an_exec_ends_the_program;
    exec_of_the_runtimes_own_executable_is_refused [CasemateOnly("/proc/self/exe names nothing yet")];
    a_waiting_init_of_another_user_is_not_dumpable [CasemateOnly("init stays undumpable after the change of user")];
}

/// A container whose init watches every process of its pid namespace and may look into all of them.
fn watching(g: &Ground) -> Result<(Bundle, Vec<&'static str>)> {
    let names = [&DEFAULT_CAPABILITIES[..], &["CAP_SYS_PTRACE"]].concat();
    let mut bundle = g.bundle()?;
    let marker = g.dir.join("marker");
    std::fs::write(&marker, "of the host\n")?;
    bundle.set("/process/capabilities", capabilities(&names));
    bundle.args(&["/bin/probe", "watch", &marker.to_string_lossy(), "/stop"]);
    Ok((bundle, names))
}

/// Executes in `target` many times while `watcher` looks, and ends the watch.
fn watched(target: &Container, watcher: &Container, watch: Running) -> Result<Value> {
    for _ in 0..50 {
        target.exec(&[], &["/bin/true"])?.success()?;
    }
    // The twin that is seen for certain: a program long after its execve.
    target.exec(&[], &["/bin/sleep", "1"])?.success()?;
    std::fs::write(watcher.bundle.rootfs().join("stop"), "")?;
    watch.wait(DEADLINE)?.success()?.json()
}

fn list(seen: &Value, name: &str) -> Vec<String> {
    seen[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn shows_nothing(seen: &Value, own: &str, others: &[&str]) -> Result<()> {
    ensure!(list(seen, "exe").iter().any(|exe| exe == "/bin/busybox"), "no program was seen at all: {seen}");
    same("processes with the host's root", list(seen, "rooted"), Vec::<String>::new())?;
    for exe in list(seen, "exe") {
        ensure!(exe.starts_with("/memfd:init") || others.contains(&exe.as_str()), "exe \"{exe}\": {seen}");
    }
    same("descriptors above 2", list(seen, "descriptors"), Vec::<String>::new())?;
    let own = u64::from_str_radix(own, 16)?;
    for set in list(seen, "capabilities") {
        ensure!(u64::from_str_radix(&set, 16)? & !own == 0, "capabilities {set} beyond {own:x}: {seen}");
    }
    Ok(())
}

fn an_exec_shows_nothing_of_the_host_to_the_pid_namespace(g: &Ground) -> Result<()> {
    let (bundle, _) = watching(g)?;
    let c = g.container(&bundle);
    let watch = c.run_in_background(&[])?;
    eventually("it runs", || Ok(c.call("state", &[])?.says("\"running\"").then_some(())))?;
    c.wait_for_program()?;
    let own = host::status(c.pid()?, "CapPrm")?;
    shows_nothing(&watched(&c, &c, watch)?, &own, &["/bin/busybox"])
}

fn an_exec_into_a_joined_pid_namespace_shows_nothing_of_the_host(g: &Ground) -> Result<()> {
    let (bundle, names) = watching(g)?;
    let owner = g.sleeping(&bundle)?;
    let own = host::status(owner.pid()?, "CapPrm")?;
    let path = g.dir.join("pid-namespace");
    std::os::unix::fs::symlink(format!("/proc/{}/ns/pid", owner.pid()?), &path)?;
    let mut joining = g.bundle()?;
    joining.join("pid", &path.to_string_lossy()).set("/linux/cgroupsPath", json!(format!("{}/joining", g.cgroup)));
    joining.set("/process/capabilities", capabilities(&names));
    let joined = g.sleeping(&joining)?;
    // What was joined is the namespace, not the name it had.
    std::fs::remove_file(&path)?;
    let watch: Vec<String> = serde_json::from_value(bundle.spec["process"]["args"].clone())?;
    let mut words = vec!["exec", &owner.id];
    words.extend(watch.iter().map(String::as_str));
    let watch = g.recorder.start(g.command(&words), None)?;
    shows_nothing(&watched(&joined, &owner, watch)?, &own, &["/bin/busybox"])
}

fn exec_has_a_session_keyring_of_its_own(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    // Another user sees only the keys he possesses.
    bundle.unset("/linux/maskedPaths").set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let c = g.sleeping(&bundle)?;
    let probe = std::env::current_exe()?.with_file_name("probe");
    let inside = "\"/bin/probe; cat /proc/keys\"";
    let script = format!("{}; $R exec {} /bin/sh -c {inside}", probe.display(), c.id);
    let output = g.shell(&format!("setsid --wait {} session /bin/sh -c '{script}'", probe.display()))?.success()?;
    let mut lines = output.stdout.lines();
    let mut keyring = || -> Result<i64> {
        let seen: Value =
            serde_json::from_str(lines.next().context("no line")?).with_context(|| format!("{output}"))?;
        seen["keyring"]["id"].as_i64().with_context(|| format!("no session keyring: {}", seen["keyring"]))
    };
    let (callers, execs) = (keyring()?, keyring()?);
    ensure!(callers != execs, "the exec has the caller's session keyring {callers}");
    let listed: Vec<&str> = lines.collect();
    ensure!(listed.iter().all(|line| !line.starts_with(&format!("{callers:08x}"))), "the caller's is listed: {output}");
    ensure!(listed.iter().any(|line| line.starts_with(&format!("{execs:08x}"))), "its own is not listed: {output}");
    Ok(())
}

/// `exec -t` on a terminal that script(1) makes.
fn typed_exec(g: &Ground, flags: &str, c: &Container, script: &str) -> Result<Output> {
    let runtime = g.runtime.path.display();
    let line = format!("{runtime} --root {} exec -t {flags} {} /bin/sh -c '{script}'", g.root.display(), c.id);
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(&g.dir);
    let mut output = g.recorder.run(command)?;
    // That script(1)'s input has ended is a NUL, echoed anywhere.
    output.stdout = output.stdout.replace("^@", "");
    Ok(output)
}

fn an_exec_with_a_terminal_leads_a_session_that_controls_it(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let output = typed_exec(g, "", &c, "tty; echo written > /dev/tty; cat /proc/$$/stat; echo end")?.success()?;
    ensure!(output.stdout.contains("/dev/pts/") && output.stdout.contains("written"), "{output}");
    let stat =
        output.stdout.lines().find(|line| line.contains(" (sh) ")).with_context(|| format!("no stat: {output}"))?;
    let pid = stat.split(' ').next().unwrap_or_default();
    // proc_pid_stat(5): state, ppid, pgrp, session, tty_nr follow the command's name.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    same("group and session", (fields.get(2), fields.get(3)), (Some(&pid), Some(&pid)))?;
    ensure!(fields.get(4).is_some_and(|tty| *tty != "0"), "no controlling terminal: {stat}");
    let without = c.exec(&[], &["/bin/sh", "-c", "tty; echo x > /dev/tty"])?;
    ensure!(without.code != 0 && !without.stdout.contains("/dev/pts/"), "{without}");
    Ok(())
}

fn the_terminal_of_an_exec_belongs_to_its_user(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for (flags, owner) in [("-u 1000:1000", "owner 1000"), ("", "owner 0")] {
        let output = typed_exec(g, flags, &c, "stat -c \"owner %u\" $(tty)")?.success()?;
        ensure!(output.stdout.contains(owner), "{output}");
    }
    Ok(())
}

fn an_interrupt_typed_at_an_exec_ends_the_program(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let runtime = format!("{} --root {}", g.runtime.path.display(), g.root.display());
    let line = format!("{runtime} exec -t {} /bin/sh -c \"echo ready; exec sleep 1000\"", c.id);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("mkfifo keys && exec script -qec '{line}' /dev/null < keys")]).current_dir(&g.dir);
    let running = g.recorder.start(command, None)?;
    let path = g.dir.join("keys");
    eventually("the fifo is there", || Ok(path.exists().then_some(())))?;
    let mut keys = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    eventually("the program runs", || Ok(running.stdout()?.contains("ready").then_some(())))?;
    keys.write_all(b"\x03")?;
    running.wait(DEADLINE)?.exits(130).map(drop)
}

fn exec_of_the_runtimes_own_executable_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&[], &["/proc/self/exe", "--version"])?.exits(255)?.refused("no such file or directory")?;
    c.exec(&[], &["/bin/busybox", "true"])?.success().map(drop)
}

fn a_waiting_init_of_another_user_is_not_dumpable(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/capabilities", capabilities(&[]));
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    c.create(&[])?.success()?;
    let look = || -> Result<Output> {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "1000", "--regid", "1000", "--clear-groups", "--inh-caps=-all", "readlink"]);
        g.recorder.run({
            command.arg(format!("/proc/{}/exe", c.pid()?));
            command
        })
    };
    let waiting = look()?;
    ensure!(waiting.code != 0 && waiting.stdout.is_empty(), "{waiting}");
    c.start()?.success()?;
    c.wait_for_program()?;
    same("exe of the program", look()?.success()?.stdout.trim(), "/bin/busybox")
}
