//! containerd: a daemon of its own, and `ctr`, its client.

use super::daemon::Daemon;
use super::programs::{self, Hands, Setup};
use super::refusals::{self, Row, row};
use super::{Check, Client, Engine, Level, Place};
use crate::case::same;
use crate::process::{Output, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is checked with containerd.
pub fn engine() -> Engine {
    Engine {
        name: "containerd",
        needs: &[("containerd", "containerd"), ("ctr", "containerd")],
        start,
        checks: [
            plain(),
            programs::checks(&Hand, &[Level::Baseline, Level::Restricted]),
            levels(),
            refusals::checks(&ROWS, 1, run_true),
            checks![nothing_is_left],
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

fn plain() -> Vec<Check> {
    checks![
        run_prints_and_hands_on_exit_codes,
        run_of_what_is_missing_says_so,
        run_gives_a_terminal,
        exec_works,
        kill_and_remove,
        pause_and_resume,
        a_paused_task_can_be_killed,
        tasks_are_listed_with_their_processes,
        metrics_are_read,
        limits_and_mounts_are_applied,
    ]
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
    let mut client =
        Client { place: place.clone(), recorder: place.recorder()?, words, environment: Vec::new(), daemon: None };
    let daemon =
        Daemon::start(command, &client.place.dir.join("containerd.log"), || Ok(client.call(&["version"])?.code == 0))?;
    client.daemon = Some(daemon);
    Ok(client)
}

/// `ctr run FLAGS ROOTFS NAME PROGRAM` with the runtime under test.
fn run(c: &Client, flags: &[&str], name: &str, program: &[&str]) -> Result<Output> {
    run_at(c, Level::Privileged, flags, &c.place.rootfs.to_string_lossy(), &[&[name], program].concat())
}

fn run_at(c: &Client, level: Level, flags: &[&str], rootfs: &str, name_and_program: &[&str]) -> Result<Output> {
    let runtime = c.place.runtime(level).to_string_lossy().into_owned();
    let cgroup = format!("{}/{}", c.place.cgroup, name_and_program.first().unwrap_or(&""));
    let fixed = ["run", "--runc-binary", &runtime, "--rootfs", "--cgroup", &cgroup];
    c.call(&[&fixed[..], flags, &[rootfs], name_and_program].concat())
}

struct Hand;

/// `ctr run` of this version cannot name a user: the configuration that it would have written, with one, is given to it.
fn configuration(c: &Client, name: &str, user: &str, setup: &Setup) -> Result<String> {
    let id: u32 = user.split(':').next().unwrap_or_default().parse()?;
    let mut spec = c.call(&["oci", "spec"])?.success()?.json()?;
    spec["process"]["user"] = json!({"uid": id, "gid": id});
    spec["process"]["args"] = json!(setup.program);
    spec["process"]["env"] = json!([PATH]);
    spec["root"] = json!({"path": c.place.image()});
    spec["linux"]["cgroupsPath"] = json!(format!("{}/{name}", c.place.cgroup));
    let mounts = spec["mounts"].as_array_mut().context("no mounts in what `ctr oci spec` prints")?;
    let scratch =
        |path| json!({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=1777"]});
    mounts.extend(setup.tmpfs.map(scratch));
    let file = c.place.path(&format!("{name}.json"));
    std::fs::write(&file, spec.to_string())?;
    Ok(file)
}

/// `ctr` gives none of its own with `--rootfs`.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

impl Hands for Hand {
    fn start(&self, c: &Client, level: Level, name: &str, setup: &Setup, _: &str) -> Result<String> {
        let log = format!("file://{}", c.place.path(&format!("{name}.log")));
        let flags = ["--detach", "--env", PATH, "--log-uri", &log];
        if let Some(user) = setup.user {
            let runtime = c.place.runtime(level).to_string_lossy().into_owned();
            let file = configuration(c, name, user, setup)?;
            c.call(&[&["run", "--runc-binary", &runtime, "--config", &file], &flags[..], &[name]].concat())?
                .success()?;
        } else {
            let words = [&[name], setup.program].concat();
            run_at(c, level, &flags, &c.place.image(), &words)?.success()?;
        }
        Ok(name.to_owned())
    }

    fn address(&self, _: &Client, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    fn exec(&self, c: &Client, id: &str, script: &str) -> Result<Output> {
        let number = format!("e{}", NEXT.fetch_add(1, Ordering::Relaxed));
        c.call(&["tasks", "exec", "--exec-id", &number, id, "sh", "-c", script])
    }

    fn stop(&self, c: &Client, id: &str, signal: &str) -> Result<i32> {
        c.call(&["tasks", "kill", "--signal", signal, id])?.success()?;
        eventually("the task is stopped", || Ok((status(c, id)? == "STOPPED").then_some(())))?;
        let deleted = c.call(&["tasks", "delete", id])?.success()?;
        // It exits with 0 and says the task's code if it is another one.
        let said = deleted.stderr.split_once("non-zero exit code ").map_or("0", |(_, rest)| rest.trim_end());
        Ok(said.trim_matches('"').parse()?)
    }

    fn logs(&self, c: &Client, id: &str) -> Result<String> {
        Ok(std::fs::read_to_string(c.place.path(&format!("{id}.log")))?)
    }

    fn remove(&self, c: &Client, id: &str) -> Result<()> {
        if !status(c, id)?.is_empty() {
            c.call(&["tasks", "delete", "--force", id])?;
        }
        c.call(&["containers", "delete", id])?.success().map(drop)
    }
}

/// The number of the next exec.
static NEXT: AtomicU32 = AtomicU32::new(0);

static ROWS: [Row; 5] = [
    row("privileged", &["--privileged"], &["--allow-new-privs"]),
    row("host-network", &["--net-host"], &[]),
    row("host-pid", &["--with-ns", "pid:/proc/1/ns/pid"], &[]),
    row(
        "sensitive-binds",
        &["--mount", "type=bind,src=/,dst=/host,options=rbind:rw"],
        &["--mount", "type=bind,src={dir}/root,dst=/host,options=rbind:rw"],
    ),
    row("capabilities", &["--cap-add", "CAP_SYS_ADMIN"], &["--cap-add", "CAP_NET_BIND_SERVICE"]),
];

fn levels() -> Vec<Check> {
    let mut checks = checks![root_is_refused_at_restricted];
    checks[0].casemate_only = true;
    checks
}

/// Its twins are the programs that run at this level.
fn root_is_refused_at_restricted(c: &Client) -> Result<()> {
    run_true(c, Level::Restricted, &[])?.refused("[non-root]").map(drop)
}

fn run_true(c: &Client, level: Level, flags: &[&str]) -> Result<Output> {
    let flags = [&["--rm"], flags].concat();
    let output = run_at(c, level, &flags, &c.place.rootfs.to_string_lossy(), &["true", "/bin/true"])?;
    // The container's record stays behind when its task could not be made.
    if output.code != 0 {
        c.call(&["containers", "delete", "true"])?;
    }
    Ok(output)
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
    let (runtime, rootfs) = (
        c.place.runtime(Level::Privileged).to_string_lossy().into_owned(),
        c.place.rootfs.to_string_lossy().into_owned(),
    );
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
