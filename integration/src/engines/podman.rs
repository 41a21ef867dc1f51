//! Podman, which has no daemon: each container has a conmon.
//!
//! Told to it: limits that this process may set without CAP_SYS_RESOURCE, the cgroupfs manager, and no network, since
//! its bridges need plugins and a firewall.

use super::programs::{self, Hands, Setup};
use super::refusals::{self, Row, field, restricted, row};
use super::{Check, Client, Engine, Level, Place};
use crate::case::same;
use crate::process::{Output, eventually};
use crate::runtime::Kind;
use anyhow::{Result, ensure};

/// What is checked with Podman.
pub fn engine() -> Engine {
    Engine {
        name: "podman",
        needs: &[("podman", "podman"), ("conmon", "conmon")],
        start,
        checks: [
            plain(),
            programs::checks(&Hand, &[Level::Baseline, Level::Restricted]),
            levels(),
            refusals::checks(&ROWS, 126, run_true),
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
        run_of_what_cannot_be_run_exits_126_or_127,
        run_gives_a_terminal,
        exec_works_and_hands_on_exit_codes,
        kill_ends_with_137,
        stop_sends_term_first,
        pause_and_unpause,
        a_hardened_run_is_what_was_asked,
        a_user_namespace_is_used,
        top_and_logs_work,
        two_containers_share_a_pod,
    ]
}

fn start(place: &Place) -> Result<Client> {
    let dir = |name: &str| place.dir.join(name).to_string_lossy().into_owned();
    let containers = format!(
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\ncgroup_conf = []\n\
         [engine]\nevents_logger = \"file\"\ncgroup_manager = \"cgroupfs\"\nruntime_supports_json = {:?}\n",
        [Level::Privileged, Level::Baseline, Level::Restricted]
            .map(|level| { place.runtime(level).file_name().unwrap_or_default().to_string_lossy().into_owned() })
    );
    std::fs::write(place.dir.join("containers.conf"), containers)?;
    std::fs::write(place.dir.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
    let runtime = place.runtime(Level::Privileged).to_string_lossy().into_owned();
    let mut words = vec!["podman".to_owned()];
    for (flag, value) in [
        ("--root", dir("root")),
        ("--runroot", dir("runroot")),
        ("--tmpdir", dir("tmp")),
        ("--runtime", runtime),
        ("--cgroup-manager", "cgroupfs".to_owned()),
        ("--storage-driver", "vfs".to_owned()),
        ("--events-backend", "file".to_owned()),
    ] {
        words.extend([flag.to_owned(), value]);
    }
    let environment = vec![("CONTAINERS_CONF".to_owned(), dir("containers.conf")), ("HOME".to_owned(), dir("home"))];
    std::fs::create_dir_all(place.dir.join("home"))?;
    let client = Client { place: place.clone(), recorder: place.recorder()?, words, environment, daemon: None };
    client.call(&["info"])?.success()?;
    Ok(client)
}

/// `podman COMMAND FLAGS --rootfs ROOTFS PROGRAM`.
fn on_rootfs(c: &Client, command: &str, flags: &[&str], program: &[&str]) -> Vec<String> {
    let parent = format!("--cgroup-parent={}", c.place.cgroup);
    let fixed = [command, "--network", "none", &parent];
    let rootfs = c.place.rootfs.to_string_lossy().into_owned();
    [&fixed[..], flags, &["--rootfs", &rootfs], program].concat().into_iter().map(str::to_owned).collect()
}

fn run(c: &Client, flags: &[&str], program: &[&str]) -> Result<crate::process::Output> {
    let words = on_rootfs(c, "run", flags, program);
    c.call(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn detached(c: &Client, program: &[&str]) -> Result<String> {
    Ok(run(c, &["--detach"], program)?.success()?.stdout.trim().to_owned())
}

fn remove(c: &Client, id: &str) -> Result<()> {
    c.call(&["rm", "--force", "--time", "0", id])?.success().map(drop)
}

fn run_prints_and_hands_on_exit_codes(c: &Client) -> Result<()> {
    same("output", run(c, &["--rm"], &["echo", "hello"])?.success()?.stdout.as_str(), "hello\n")?;
    run(c, &["--rm"], &["sh", "-c", "exit 7"])?.exits(7).map(drop)
}

fn run_of_what_cannot_be_run_exits_126_or_127(c: &Client) -> Result<()> {
    run(c, &["--rm"], &["/etc/passwd"])?.exits(126)?;
    run(c, &["--rm"], &["nosuchcmd"])?.exits(127)?;
    run(c, &["--rm"], &["/nosuch/program"])?.exits(127).map(drop)
}

fn run_gives_a_terminal(c: &Client) -> Result<()> {
    let words = on_rootfs(c, "run", &["--rm", "-it"], &["sh", "-c", "tty; exit 5"]);
    let output = c.in_terminal(&words.iter().map(String::as_str).collect::<Vec<_>>(), "")?.exits(5)?;
    ensure!(output.stdout.contains("/dev/pts/0"), "{output}");
    Ok(())
}

fn exec_works_and_hands_on_exit_codes(c: &Client) -> Result<()> {
    let id = detached(c, &["sleep", "1000"])?;
    let script = "id -u; pwd; echo $A; exit 9";
    let output =
        c.call(&["exec", "--user", "1000", "--workdir", "/tmp", "--env", "A=b", &id, "sh", "-c", script])?.exits(9)?;
    same("output", output.stdout.as_str(), "1000\n/tmp\nb\n")?;
    c.call(&["exec", &id, "/nosuch"])?.exits(127)?;
    c.call(&["exec", &id, "/etc/passwd"])?.exits(126)?;
    remove(c, &id)
}

fn wait_code(c: &Client, id: &str) -> Result<String> {
    Ok(c.call(&["wait", id])?.success()?.stdout.trim().to_owned())
}

fn kill_ends_with_137(c: &Client) -> Result<()> {
    let id = detached(c, &["sleep", "1000"])?;
    c.call(&["kill", &id])?.success()?;
    same("exit code", wait_code(c, &id)?.as_str(), "137")?;
    remove(c, &id)
}

fn stop_sends_term_first(c: &Client) -> Result<()> {
    let id = detached(c, &["sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"])?;
    eventually("the program is up", || Ok(c.call(&["logs", &id])?.says("up").then_some(())))?;
    c.call(&["stop", "--time", "20", &id])?.success()?;
    same("exit code", wait_code(c, &id)?.as_str(), "9")?;
    remove(c, &id)
}

fn pause_and_unpause(c: &Client) -> Result<()> {
    let status =
        |id: &str| Ok::<_, anyhow::Error>(c.call(&["inspect", "--format", "{{.State.Status}}", id])?.success()?.stdout);
    let id = detached(c, &["sleep", "1000"])?;
    c.call(&["pause", &id])?.success()?;
    same("status", status(&id)?.trim(), "paused")?;
    c.call(&["unpause", &id])?.success()?;
    same("status", status(&id)?.trim(), "running")?;
    remove(c, &id)
}

fn a_hardened_run_is_what_was_asked(c: &Client) -> Result<()> {
    let flags = [
        "--rm",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--memory",
        "64m",
        "--pids-limit",
        "50",
        "--user",
        "1000:1000",
    ];
    let script = "! touch /x 2>/dev/null; cat /proc/self/status; cd /sys/fs/cgroup; \
        cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max; cat pids/pids.max 2>/dev/null || cat pids.max";
    let output = run(c, &flags, &["sh", "-c", script])?.success()?;
    for line in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "67108864\n50"]
    {
        ensure!(output.stdout.contains(line), "no \"{line}\": {output}");
    }
    Ok(())
}

fn a_user_namespace_is_used(c: &Client) -> Result<()> {
    let flags = ["--rm", "--uidmap", "0:300000:65536", "--gidmap", "0:300000:65536", "--read-only"];
    let output = run(c, &flags, &["cat", "/proc/self/uid_map"])?;
    if c.place.kind == Kind::Casemate {
        // Not there yet; until then the user is told which field it is about.
        return output.refused("user namespaces are not supported yet").map(drop);
    }
    let output = output.success()?;
    same("map", output.stdout.split_whitespace().collect::<Vec<_>>(), vec!["0", "300000", "65536"])
}

fn top_and_logs_work(c: &Client) -> Result<()> {
    let id = detached(c, &["sh", "-c", "echo out; exec sleep 1000"])?;
    eventually("the log", || Ok((c.call(&["logs", &id])?.success()?.stdout == "out\n").then_some(())))?;
    let top = c.call(&["top", &id])?.success()?;
    ensure!(top.stdout.contains("sleep 1000"), "{top}");
    remove(c, &id)
}

fn two_containers_share_a_pod(c: &Client) -> Result<()> {
    let owner = detached(c, &["sleep", "1000"])?;
    let join =
        [format!("--ipc=container:{owner}"), format!("--pid=container:{owner}"), format!("--uts=container:{owner}")];
    let flags: Vec<&str> = ["--rm"].into_iter().chain(join.iter().map(String::as_str)).collect();
    let script = "readlink /proc/self/ns/ipc; readlink /proc/self/ns/pid; readlink /proc/self/ns/uts";
    let joined = run(c, &flags, &["sh", "-c", script])?.success()?;
    same("namespaces", joined.stdout, c.call(&["exec", &owner, "sh", "-c", script])?.success()?.stdout)?;
    remove(c, &owner)
}

/// `podman --runtime NAME run FLAGS --rootfs ROOTFS PROGRAM`: the last `--runtime` counts.
fn run_at(c: &Client, level: Level, flags: &[&str], rootfs: &str, program: &[&str]) -> Result<Output> {
    let runtime = c.place.runtime(level).to_string_lossy().into_owned();
    let parent = format!("--cgroup-parent={}", c.place.cgroup);
    let fixed = ["--runtime", &runtime, "run", "--network", "none", &parent];
    c.call(&[&fixed[..], flags, &["--rootfs", rootfs], program].concat())
}

struct Hand;

impl Hands for Hand {
    fn start(&self, c: &Client, level: Level, name: &str, setup: &Setup, stop_signal: &str) -> Result<String> {
        let tmpfs = setup.tmpfs.map(|path| format!("{path}:rw,nosuid,nodev,mode=1777"));
        let mut flags = vec!["--detach", "--name", name, "--stop-signal", stop_signal];
        flags.extend(setup.user.iter().flat_map(|user| ["--user", user]));
        flags.extend(tmpfs.iter().flat_map(|tmpfs| ["--tmpfs", tmpfs]));
        Ok(run_at(c, level, &flags, &c.place.image(), setup.program)?.success()?.stdout.trim().to_owned())
    }

    fn address(&self, _: &Client, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    fn exec(&self, c: &Client, id: &str, script: &str) -> Result<Output> {
        c.call(&["exec", id, "sh", "-c", script])
    }

    fn stop(&self, c: &Client, id: &str, _: &str) -> Result<i32> {
        c.call(&["stop", "--time", "20", id])?.success()?;
        Ok(wait_code(c, id)?.parse()?)
    }

    fn logs(&self, c: &Client, id: &str) -> Result<String> {
        let logs = c.call(&["logs", id])?;
        Ok(logs.stdout + &logs.stderr)
    }

    fn remove(&self, c: &Client, id: &str) -> Result<()> {
        remove(c, id)
    }
}

static ROWS: [Row; 7] = [
    row("privileged", &["--privileged"], &["--cap-drop", "CHOWN"]),
    row("host-pid", &["--pid", "host"], &[]),
    row("host-ipc", &["--ipc", "host"], &["--ipc", "private"]),
    row("sensitive-binds", &["-v", "/:/host"], &["-v", "{dir}/home:/host"]),
    row("capabilities", &["--cap-add", "SYS_ADMIN"], &["--cap-add", "NET_BIND_SERVICE"]),
    row("unmasked-proc", &["--security-opt", "unmask=ALL"], &["--security-opt", "mask=/proc/version"]),
    restricted("non-root", &[], &["--user", "1000:1000"]),
];

fn run_true(c: &Client, level: Level, flags: &[&str]) -> Result<Output> {
    run_at(c, level, &[&["--rm"], flags].concat(), &c.place.rootfs.to_string_lossy(), &["true"])
}

fn levels() -> Vec<Check> {
    let mut checks = checks![exec_cannot_exceed_init, exec_has_the_floor_of_init];
    for check in &mut checks {
        check.casemate_only = true;
    }
    checks
}

fn detached_at_baseline(c: &Client) -> Result<String> {
    let rootfs = c.place.rootfs.to_string_lossy().into_owned();
    Ok(run_at(c, Level::Baseline, &["--detach"], &rootfs, &["sleep", "1000"])?.success()?.stdout.trim().to_owned())
}

fn exec_cannot_exceed_init(c: &Client) -> Result<()> {
    let id = detached_at_baseline(c)?;
    c.call(&["exec", "--privileged", &id, "true"])?.refused("[exec-beyond-init]")?;
    c.call(&["exec", &id, "true"])?.success()?;
    remove(c, &id)
}

fn exec_has_the_floor_of_init(c: &Client) -> Result<()> {
    let id = detached_at_baseline(c)?;
    let init = c.call(&["exec", &id, "cat", "/proc/1/status"])?.success()?.stdout;
    let added = c.call(&["exec", &id, "cat", "/proc/self/status"])?.success()?.stdout;
    for name in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"] {
        same(name, field(&added, name)?, field(&init, name)?)?;
    }
    remove(c, &id)
}

fn nothing_is_left(c: &Client) -> Result<()> {
    same("containers", c.call(&["ps", "--all", "--quiet"])?.success()?.stdout.trim(), "")?;
    let host = crate::host::Host::look()?;
    eventually("no process is left", || Ok(host.cgroup_processes(&c.place.cgroup).is_empty().then_some(())))
}
