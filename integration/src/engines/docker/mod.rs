//! Docker: Debian's docker.io, with a daemon of its own.
//!
//! Told to the daemon: `oom-score-adjust` 0, since lowering the score needs CAP_SYS_RESOURCE; no iptables, since the
//! containers only talk to each other over a bridge made here; cgroupfs as the driver, since no systemd runs.

mod levels;

use super::daemon::Daemon;
use super::{Check, Client, Engine, Level, Place, programs, refusals};
use crate::case::same;
use crate::process::{DEADLINE, eventually};
use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

const BRIDGE: &str = "casemate0";

/// Prints the memory, pids and cpu limits from inside, on v1 and on v2.
const LIMITS: &str = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max; \
    cat pids/pids.max 2>/dev/null || cat pids.max; cat cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 cpu.max";

/// What is checked with Docker.
pub fn engine() -> Engine {
    Engine {
        name: "docker",
        needs: &[("dockerd", "docker.io"), ("docker", "docker.io"), ("containerd", "containerd"), ("ip", "iproute2")],
        start,
        checks: [
            plain(),
            programs::checks(&levels::Hand, &[Level::Baseline, Level::Restricted]),
            levels::checks(),
            refusals::checks(&levels::ROWS, 125, levels::run_true),
            checks![nothing_is_left],
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

fn plain() -> Vec<Check> {
    checks![
        run_prints_and_exits_0,
        run_hands_on_exit_codes,
        run_of_what_cannot_be_run_exits_126,
        run_of_what_is_missing_exits_127,
        run_gives_a_terminal,
        kill_ends_with_137,
        stop_sends_term_first,
        exec_works_and_hands_on_exit_codes,
        exec_gives_a_terminal,
        volumes_are_mounted,
        a_hardened_run_is_what_was_asked,
        the_default_profile_is_applied,
        pause_and_unpause,
        a_paused_container_can_be_killed,
        update_changes_limits,
        top_lists_processes,
        logs_hold_both_streams,
        two_containers_talk_over_a_bridge,
        a_container_joins_the_namespaces_of_another,
        settings_reach_the_container,
        the_memory_limit_kills,
        restart_works,
        a_running_container_can_be_removed,
    ]
}

fn start(place: &Place) -> Result<Client> {
    let recorder = place.recorder()?;
    for dir in ["volume", "shared"] {
        std::fs::create_dir_all(place.dir.join(dir))?;
    }
    let shared = place.dir.join("shared");
    mount("shared", &shared, "tmpfs", MountFlags::empty(), c"size=64k").context("mount tmpfs on \"shared\"")?;
    mount_change(&shared, MountPropagationFlags::SHARED).context("make \"shared\" shared")?;
    // No driver has this number; Docker only looks at what kind of a file it is.
    mknodat(CWD, place.dir.join("disk"), FileType::BlockDevice, Mode::from_raw_mode(0o600), makedev(240, 7))
        .context("make a block device's node")?;
    let socket = format!("unix://{}", place.dir.join("docker.sock").display());
    for args in [
        &["link", "add", BRIDGE, "type", "bridge"][..],
        &["address", "add", "172.31.77.1/24", "dev", BRIDGE],
        &["link", "set", BRIDGE, "up"],
    ] {
        let mut command = Command::new("ip");
        command.args(args);
        recorder.run(command)?.success()?;
    }
    let configuration = json!({
        "data-root": place.dir.join("data"), "exec-root": place.dir.join("exec"), "pidfile": place.dir.join("docker.pid"),
        "hosts": [socket], "storage-driver": "overlay2", "oom-score-adjust": 0, "bridge": BRIDGE, "iptables": false,
        "ip-masq": false, "userland-proxy": false, "cgroup-parent": place.cgroup,
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "runtimes": {
            "tested": {"path": place.runtime(Level::Privileged)},
            "casemate-baseline": {"path": place.runtime(Level::Baseline)},
            "casemate-restricted": {"path": place.runtime(Level::Restricted)},
        },
        "default-runtime": "tested",
    });
    let file = place.dir.join("daemon.json");
    std::fs::write(&file, configuration.to_string())?;
    let mut command = Command::new("dockerd");
    command.arg("--config-file").arg(&file).env("HOME", &place.dir);
    let words = vec!["docker".to_owned(), "--host".to_owned(), socket];
    let environment = vec![("HOME".to_owned(), place.dir.to_string_lossy().into_owned())];
    let mut client = Client { place: place.clone(), recorder, words, environment, daemon: None };
    let daemon =
        Daemon::start(command, &client.place.dir.join("dockerd.log"), || Ok(client.call(&["version"])?.code == 0))?;
    client.daemon = Some(daemon);
    import(&client, &place.rootfs, "box")?;
    if let Some(programs) = &place.programs {
        import(&client, programs, "programs")?;
    }
    Ok(client)
}

/// Makes an image of a root filesystem.
fn import(c: &Client, rootfs: &Path, name: &str) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(rootfs).args(["-c", "."]).stdout(Stdio::piped());
    let mut tar = tar.spawn().context("tar")?;
    let mut import = c.command(&["import", "-", name]);
    import.stdin(tar.stdout.take().context("the output of tar")?).stdout(Stdio::null());
    ensure!(import.status()?.success() && tar.wait()?.success(), "cannot import {name}");
    Ok(())
}

/// A detached container; its id.
fn detached(c: &Client, flags: &[&str], program: &[&str]) -> Result<String> {
    let output = c.call(&[&["run", "--detach"], flags, &["box"], program].concat())?.success()?;
    Ok(output.stdout.trim().to_owned())
}

fn run_prints_and_exits_0(c: &Client) -> Result<()> {
    same("output", c.call(&["run", "--rm", "box", "echo", "hello"])?.success()?.stdout.as_str(), "hello\n")?;
    let info = c.call(&["info", "--format", "{{.DefaultRuntime}}"])?.success()?;
    same("default runtime", info.stdout.trim(), "tested")
}

fn run_hands_on_exit_codes(c: &Client) -> Result<()> {
    for code in [7, 255] {
        c.call(&["run", "--rm", "box", "sh", "-c", &format!("exit {code}")])?.exits(code)?;
    }
    Ok(())
}

fn run_of_what_cannot_be_run_exits_126(c: &Client) -> Result<()> {
    c.call(&["run", "--rm", "box", "/etc/passwd"])?.exits(126)?;
    c.call(&["run", "--rm", "box", "/etc"])?.exits(126).map(drop)
}

fn run_of_what_is_missing_exits_127(c: &Client) -> Result<()> {
    c.call(&["run", "--rm", "box", "nosuchcmd"])?.exits(127)?;
    c.call(&["run", "--rm", "box", "/nosuch/program"])?.exits(127).map(drop)
}

fn run_gives_a_terminal(c: &Client) -> Result<()> {
    let output = c.in_terminal(&["run", "--rm", "-it", "box", "sh", "-c", "tty; exit 5"], "")?.exits(5)?;
    ensure!(output.stdout.contains("/dev/pts/0"), "{output}");
    Ok(())
}

fn wait_code(c: &Client, id: &str) -> Result<String> {
    let running = c.recorder.start(c.command(&["wait", id]), None)?;
    Ok(running.wait(DEADLINE)?.success()?.stdout.trim().to_owned())
}

fn remove(c: &Client, id: &str) -> Result<()> {
    c.call(&["rm", "--force", id])?.success().map(drop)
}

fn kill_ends_with_137(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    c.call(&["kill", &id])?.success()?;
    same("exit code", wait_code(c, &id)?.as_str(), "137")?;
    remove(c, &id)
}

fn stop_sends_term_first(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"])?;
    eventually("the program is up", || Ok(c.call(&["logs", &id])?.says("up").then_some(())))?;
    c.call(&["stop", "--time", "20", &id])?.success()?;
    same("exit code", wait_code(c, &id)?.as_str(), "9")?;
    remove(c, &id)
}

fn exec_works_and_hands_on_exit_codes(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    let flags = ["exec", "--user", "1000:1000", "--workdir", "/tmp", "--env", "A=b", &id];
    let output = c.call(&[&flags[..], &["sh", "-c", "id -u; pwd; echo $A; exit 9"]].concat())?.exits(9)?;
    same("output", output.stdout.as_str(), "1000\n/tmp\nb\n")?;
    // Docker 20.10 exits 126 for both, later ones 127 for what is missing.
    let missing = c.call(&["exec", &id, "nosuchcmd"])?.refused("executable file not found in $PATH")?;
    ensure!([126, 127].contains(&missing.code), "{missing}");
    c.call(&["exec", &id, "/etc"])?.exits(126)?;
    c.call(&["exec", "--detach", &id, "touch", "/made"])?.success()?;
    eventually(
        "a detached exec runs",
        || Ok((c.call(&["exec", &id, "test", "-e", "/made"])?.code == 0).then_some(())),
    )?;
    remove(c, &id)
}

fn exec_gives_a_terminal(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    let output = c.in_terminal(&["exec", "-it", &id, "sh", "-c", "tty; exit 3"], "")?.exits(3)?;
    ensure!(output.stdout.contains("/dev/pts/"), "{output}");
    remove(c, &id)
}

fn volumes_are_mounted(c: &Client) -> Result<()> {
    let dir = c.place.dir.join("volume");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("file"), "content\n")?;
    let (rw, ro) = (format!("{}:/rw", dir.display()), format!("{}:/ro:ro", dir.display()));
    let script = "cat /ro/file; ! touch /ro/x 2>/dev/null; touch /rw/made";
    let output = c.call(&["run", "--rm", "-v", &rw, "-v", &ro, "box", "sh", "-c", script])?.success()?;
    same("content", output.stdout.as_str(), "content\n")?;
    ensure!(dir.join("made").exists(), "not written");
    Ok(())
}

fn a_hardened_run_is_what_was_asked(c: &Client) -> Result<()> {
    let flags = [
        "run",
        "--rm",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--memory",
        "64m",
        "--memory-swap",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "50",
        "--cpuset-cpus",
        "0",
        "box",
        "sh",
        "-c",
    ];
    let script = format!("! touch /x 2>/dev/null; cat /proc/self/status; {LIMITS}");
    let output = c.call(&[&flags[..], &[&script]].concat())?.success()?;
    for line in [
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Cpus_allowed_list:\t0",
        "67108864\n50\n50000",
    ] {
        ensure!(output.stdout.contains(line), "no \"{line}\": {output}");
    }
    Ok(())
}

fn the_default_profile_is_applied(c: &Client) -> Result<()> {
    let output =
        c.call(&["run", "--rm", "box", "sh", "-c", "grep Seccomp: /proc/self/status; ! unshare -U true"])?.success()?;
    ensure!(output.stdout.contains("Seccomp:\t2"), "{output}");
    Ok(())
}

fn status(c: &Client, id: &str) -> Result<String> {
    Ok(c.call(&["inspect", "--format", "{{.State.Status}}", id])?.success()?.stdout.trim().to_owned())
}

fn pause_and_unpause(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    c.call(&["pause", &id])?.success()?;
    same("status", status(c, &id)?.as_str(), "paused")?;
    c.call(&["unpause", &id])?.success()?;
    same("status", status(c, &id)?.as_str(), "running")?;
    remove(c, &id)
}

fn a_paused_container_can_be_killed(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    c.call(&["pause", &id])?.success()?;
    c.call(&["rm", "--force", &id])?.success().map(drop)
}

fn update_changes_limits(c: &Client) -> Result<()> {
    let id = detached(c, &["--memory", "64m"], &["sleep", "1000"])?;
    c.call(&["update", "--memory", "96m", "--memory-swap", "96m", "--cpus", "0.7", "--pids-limit", "55", &id])?
        .success()?;
    same("limits", c.call(&["exec", &id, "sh", "-c", LIMITS])?.success()?.stdout.as_str(), "100663296\n55\n70000\n")?;
    remove(c, &id)
}

fn top_lists_processes(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    let top = c.call(&["top", &id])?.success()?;
    same("lines", top.stdout.lines().count(), 2)?;
    ensure!(top.stdout.contains("sleep 1000"), "{top}");
    remove(c, &id)
}

fn logs_hold_both_streams(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sh", "-c", "echo out; echo err >&2"])?;
    wait_code(c, &id)?;
    let logs = c.call(&["logs", &id])?.success()?;
    same("streams", (logs.stdout.as_str(), logs.stderr.as_str()), ("out\n", "err\n"))?;
    remove(c, &id)
}

fn two_containers_talk_over_a_bridge(c: &Client) -> Result<()> {
    let serve = "while :; do echo served | nc -l -p 8080; done";
    let server = detached(c, &[], &["sh", "-c", serve])?;
    let address = c.call(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &server])?.success()?;
    let ask =
        format!("for n in $(seq 50); do nc -w 2 {} 8080 && exit 0; sleep 0.1; done; exit 1", address.stdout.trim());
    same("answer", c.call(&["run", "--rm", "box", "sh", "-c", &ask])?.success()?.stdout.trim(), "served")?;
    remove(c, &server)
}

fn a_container_joins_the_namespaces_of_another(c: &Client) -> Result<()> {
    let id = detached(c, &["--ipc", "shareable"], &["sleep", "1000"])?;
    let script = "readlink /proc/self/ns/net; readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc";
    let owner = c.call(&["exec", &id, "sh", "-c", script])?.success()?;
    let (net, pid, ipc) =
        (format!("--network=container:{id}"), format!("--pid=container:{id}"), format!("--ipc=container:{id}"));
    let joined = c.call(&["run", "--rm", &net, &pid, &ipc, "box", "sh", "-c", script])?.success()?;
    same("namespaces", joined.stdout, owner.stdout)?;
    remove(c, &id)
}

fn settings_reach_the_container(c: &Client) -> Result<()> {
    let flags = [
        "run",
        "--rm",
        "--hostname",
        "named",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "--ulimit",
        "nofile=123:456",
        "--tmpfs",
        "/scratch:size=64k",
        "--shm-size",
        "1m",
        "--user",
        "1000:1000",
        "--group-add",
        "2000",
        "--workdir",
        "/tmp",
        "--env",
        "A=b",
        "--device",
        "/dev/full:/dev/filled",
        "--oom-score-adj",
        "100",
        "box",
        "sh",
        "-c",
    ];
    let script = "hostname; cat /proc/sys/net/ipv4/ip_forward; ulimit -Sn; ulimit -Hn; df -k /scratch | tail -1 | tr -s ' ' | \
        cut -d' ' -f2; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; id -u; id -G; pwd; echo $A; test -c /dev/filled; \
        cat /proc/self/oom_score_adj";
    let output = c.call(&[&flags[..], &[script]].concat())?.success()?;
    same("seen", output.stdout.as_str(), "named\n1\n123\n456\n64\n1024\n1000\n1000 2000\n/tmp\nb\n100\n")
}

fn the_memory_limit_kills(c: &Client) -> Result<()> {
    let flags = ["--memory", "16m", "--memory-swap", "16m", "--tmpfs", "/scratch:size=100m"];
    let id = detached(c, &flags, &["sh", "-c", "exec dd if=/dev/zero of=/scratch/x bs=1M count=64"])?;
    same("exit code", wait_code(c, &id)?.as_str(), "137")?;
    remove(c, &id)
}

fn restart_works(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    c.call(&["restart", "--time", "0", &id])?.success()?;
    same("status", status(c, &id)?.as_str(), "running")?;
    remove(c, &id)
}

fn a_running_container_can_be_removed(c: &Client) -> Result<()> {
    let id = detached(c, &[], &["sleep", "1000"])?;
    remove(c, &id)?;
    ensure!(c.call(&["inspect", &id])?.code != 0, "still there");
    Ok(())
}

fn nothing_is_left(c: &Client) -> Result<()> {
    let left = c.call(&["ps", "--all", "--quiet"])?.success()?.stdout;
    for id in left.lines() {
        remove(c, id)?;
    }
    let states = c.place.dir.join("exec/runtime-runc/moby");
    let entries = || std::fs::read_dir(&states).context("the state directory of the runtime");
    eventually("no state is left", || {
        Ok(entries()?.flatten().all(|entry| entry.file_name().to_string_lossy().starts_with('.')).then_some(()))
    })?;
    let pids = crate::host::Host::look()?.cgroup_processes(&c.place.cgroup);
    same("processes", pids, Vec::<i32>::new())
}
