//! containerd: a daemon of its own, and `ctr`, its client.

use super::daemon::Daemon;
use super::{Client, Engine, Place};
use crate::case::same;
use crate::process::eventually;
use anyhow::{Result, ensure};
use std::process::Command;

/// What is checked with containerd.
pub fn engine() -> Engine {
    Engine {
        name: "containerd",
        needs: &[("containerd", "containerd"), ("ctr", "containerd")],
        start,
        checks: &[
            ("run_prints_and_hands_on_exit_codes", run_prints_and_hands_on_exit_codes),
            ("run_of_what_is_missing_says_so", run_of_what_is_missing_says_so),
            ("run_gives_a_terminal", run_gives_a_terminal),
            ("exec_works", exec_works),
            ("kill_and_remove", kill_and_remove),
            ("pause_and_resume", pause_and_resume),
            ("a_paused_task_can_be_killed", a_paused_task_can_be_killed),
            ("tasks_are_listed_with_their_processes", tasks_are_listed_with_their_processes),
            ("metrics_are_read", metrics_are_read),
            ("limits_and_mounts_are_applied", limits_and_mounts_are_applied),
            ("nothing_is_left", nothing_is_left),
        ],
    }
}

fn start(place: &Place) -> Result<Client> {
    let socket = place.dir.join("containerd.sock");
    let configuration = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\noom_score = 0\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = {socket:?}\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n",
        place.dir.join("root"),
        place.dir.join("state"),
        place.dir.join("opt"),
    );
    let file = place.dir.join("config.toml");
    std::fs::write(&file, configuration)?;
    let mut command = Command::new("containerd");
    command.arg("--config").arg(&file);
    let words = vec!["ctr".to_owned(), "--address".to_owned(), socket.to_string_lossy().into_owned()];
    let mut client = Client { place: super::place_of(place)?, words, environment: Vec::new(), daemon: None };
    let daemon =
        Daemon::start(command, &client.place.dir.join("containerd.log"), || Ok(client.call(&["version"])?.code == 0))?;
    client.daemon = Some(daemon);
    Ok(client)
}

/// `ctr run FLAGS ROOTFS NAME PROGRAM` with the runtime under test.
fn run(c: &Client, flags: &[&str], name: &str, program: &[&str]) -> Result<crate::process::Output> {
    let (runtime, rootfs) =
        (c.place.runtime.to_string_lossy().into_owned(), c.place.rootfs.to_string_lossy().into_owned());
    let cgroup = format!("{}/{name}", c.place.cgroup);
    let fixed = ["run", "--runc-binary", &runtime, "--rootfs", "--cgroup", &cgroup];
    c.call(&[&fixed[..], flags, &[&rootfs, name], program].concat())
}

fn detached(c: &Client, name: &str) -> Result<()> {
    run(c, &["--detach", "--null-io"], name, &["/bin/sleep", "1000"])?.success().map(drop)
}

fn status(c: &Client, name: &str) -> Result<String> {
    let tasks = c.call(&["tasks", "list"])?.success()?.stdout;
    let line = tasks.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
    Ok(line.split_whitespace().last().unwrap_or_default().to_owned())
}

fn remove(c: &Client, name: &str) -> Result<()> {
    c.call(&["tasks", "kill", "--signal", "SIGKILL", name])?.success()?;
    eventually("the task is stopped", || Ok((status(c, name)? == "STOPPED").then_some(())))?;
    c.call(&["tasks", "delete", name])?;
    c.call(&["containers", "delete", name])?.success().map(drop)
}

fn run_prints_and_hands_on_exit_codes(c: &Client) -> Result<()> {
    same("output", run(c, &["--rm"], "echo", &["/bin/echo", "hello"])?.success()?.stdout.as_str(), "hello\n")?;
    run(c, &["--rm"], "seven", &["/bin/sh", "-c", "exit 7"])?.exits(7).map(drop)
}

fn run_of_what_is_missing_says_so(c: &Client) -> Result<()> {
    run(c, &["--rm"], "missing", &["nosuchcmd"])?.refused("executable file not found in $PATH")?;
    // The container's record stays behind when its task could not be made.
    c.call(&["containers", "delete", "missing"])?;
    run(c, &["--rm"], "absent", &["/nosuch"])?.refused("no such file or directory")?;
    c.call(&["containers", "delete", "absent"])?;
    Ok(())
}

fn run_gives_a_terminal(c: &Client) -> Result<()> {
    let (runtime, rootfs) =
        (c.place.runtime.to_string_lossy().into_owned(), c.place.rootfs.to_string_lossy().into_owned());
    let words =
        ["run", "--rm", "--tty", "--runc-binary", &runtime, "--rootfs", &rootfs, "tty", "/bin/sh", "-c", "tty; exit 5"];
    let output = c.in_terminal(&words, "")?.exits(5)?;
    ensure!(output.stdout.contains("/dev/pts/0"), "{output}");
    Ok(())
}

fn exec_works(c: &Client) -> Result<()> {
    detached(c, "exec")?;
    let output = c
        .call(&["tasks", "exec", "--exec-id", "one", "exec", "/bin/sh", "-c", "hostname; echo $$; exit 9"])?
        .exits(9)?;
    ensure!(output.stdout.lines().nth(1).is_some_and(|pid| pid != "1"), "{output}");
    c.call(&["tasks", "exec", "--exec-id", "two", "exec", "/nosuch"])?.refused("no such file or directory")?;
    remove(c, "exec")
}

fn kill_and_remove(c: &Client) -> Result<()> {
    detached(c, "kill")?;
    same("status", status(c, "kill")?.as_str(), "RUNNING")?;
    remove(c, "kill")?;
    same("status", status(c, "kill")?.as_str(), "")
}

fn pause_and_resume(c: &Client) -> Result<()> {
    detached(c, "pause")?;
    c.call(&["tasks", "pause", "pause"])?.success()?;
    same("status", status(c, "pause")?.as_str(), "PAUSED")?;
    c.call(&["tasks", "resume", "pause"])?.success()?;
    same("status", status(c, "pause")?.as_str(), "RUNNING")?;
    remove(c, "pause")
}

fn a_paused_task_can_be_killed(c: &Client) -> Result<()> {
    detached(c, "frozen")?;
    c.call(&["tasks", "pause", "frozen"])?.success()?;
    remove(c, "frozen")
}

fn tasks_are_listed_with_their_processes(c: &Client) -> Result<()> {
    detached(c, "ps")?;
    let ps = c.call(&["tasks", "ps", "ps"])?.success()?;
    same("lines", ps.stdout.lines().count(), 2)?;
    remove(c, "ps")
}

fn metrics_are_read(c: &Client) -> Result<()> {
    detached(c, "metrics")?;
    let metrics = c.call(&["tasks", "metrics", "metrics"])?.success()?;
    ensure!(metrics.stdout.contains("memory.usage_in_bytes") || metrics.stdout.contains("memory"), "{metrics}");
    remove(c, "metrics")
}

fn limits_and_mounts_are_applied(c: &Client) -> Result<()> {
    let dir = c.place.dir.join("volume");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("file"), "content\n")?;
    let mount = format!("type=bind,src={},dst=/mnt,options=rbind:ro", dir.display());
    let flags = ["--rm", "--mount", &mount, "--env", "A=b", "--cwd", "/tmp"];
    let script = "cat /mnt/file; ! touch /mnt/x 2>/dev/null; echo $A; pwd";
    let output = run(c, &flags, "limits", &["/bin/sh", "-c", script])?.success()?;
    same("seen", output.stdout.as_str(), "content\nb\n/tmp\n")?;
    run(c, &["--detach", "--null-io", "--memory-limit", "67108864"], "limited", &["/bin/sleep", "1000"])?.success()?;
    let host = crate::host::Host::look()?;
    let dirs = host.cgroup_dirs(&format!("{}/limited", c.place.cgroup));
    let limits = dirs.iter().flat_map(|dir| ["memory.limit_in_bytes", "memory.max"].map(|name| dir.join(name)));
    let read: Vec<String> = limits.filter_map(|file| crate::host::read(&file).ok()).collect();
    ensure!(read.contains(&"67108864".to_owned()), "memory limits {read:?}");
    remove(c, "limited")
}

fn nothing_is_left(c: &Client) -> Result<()> {
    same("containers", c.call(&["containers", "list", "--quiet"])?.success()?.stdout.trim(), "")?;
    same("processes", crate::host::Host::look()?.cgroup_processes(&c.place.cgroup), Vec::<i32>::new())
}
