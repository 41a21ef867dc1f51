//! Docker with casemate at `baseline` and at `restricted`, chosen by `--runtime`.

use super::{detached, remove, wait_code};
use crate::case::same;
use crate::engines::programs::{Hands, Setup};
use crate::engines::refusals::{Row, field, restricted, row};
use crate::engines::{Check, Client, Level};
use crate::host::{Host, read};
use crate::process::Output;
use anyhow::{Context, Result, ensure};

const BASELINE: &[&str] = &["--runtime", "casemate-baseline"];
const RESTRICTED: &[&str] = &["--runtime", "casemate-restricted", "--user", "1000:1000"];

/// How Docker runs the programs.
pub struct Hand;

/// `docker run FLAGS IMAGE PROGRAM` in the background; the id.
fn start(c: &Client, flags: &[&str], image: &str, program: &[&str]) -> Result<String> {
    let output = c.call(&[&["run", "--detach"], flags, &[image], program].concat())?.success()?;
    Ok(output.stdout.trim().to_owned())
}

impl Hands for Hand {
    fn start(&self, c: &Client, level: Level, name: &str, setup: &Setup, stop_signal: &str) -> Result<String> {
        let runtime = format!("casemate-{}", level.word());
        let tmpfs = setup.tmpfs.map(|path| format!("{path}:rw,nosuid,nodev,mode=1777"));
        let mut flags = vec!["--runtime", &runtime, "--name", name, "--stop-signal", stop_signal];
        flags.extend(setup.user.iter().flat_map(|user| ["--user", user]));
        flags.extend(tmpfs.iter().flat_map(|tmpfs| ["--tmpfs", tmpfs]));
        start(c, &flags, "programs", setup.program)
    }

    fn address(&self, c: &Client, id: &str) -> Result<Option<String>> {
        let seen = c.call(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", id])?.success()?;
        Ok(Some(seen.stdout.trim().to_owned()))
    }

    fn exec(&self, c: &Client, id: &str, script: &str) -> Result<Output> {
        c.call(&["exec", id, "sh", "-c", script])
    }

    fn stop(&self, c: &Client, id: &str, _signal: &str) -> Result<i32> {
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

/// Each with its benign twin.
pub static ROWS: [Row; 19] = [
    row("privileged", &["--privileged"], &["--cap-drop", "CHOWN"]),
    row("host-pid", &["--pid", "host"], &[]),
    row("host-ipc", &["--ipc", "host"], &["--ipc", "private"]),
    row("host-network", &["--network", "host"], &["--network", "none"]),
    row("sensitive-binds", &["-v", "/:/host"], &["-v", "{dir}/volume:/host"]),
    row("sensitive-binds", &["-v", "/etc:/etc2:ro"], &["-v", "/etc/hostname:/etc2:ro"]),
    row("sensitive-binds", &["-v", "/proc:/host/proc"], &["--mount", "type=tmpfs,dst=/host/proc"]),
    row(
        "sensitive-binds",
        &["-v", "/var/run/docker.sock:/var/run/docker.sock"],
        &["-v", "{dir}/volume:/var/run/volume"],
    ),
    row("capabilities", &["--cap-add", "SYS_ADMIN"], &["--cap-add", "NET_BIND_SERVICE"]),
    row("capabilities", &["--cap-add", "ALL"], &["--cap-drop", "ALL"]),
    row("unmasked-proc", &["--security-opt", "systempaths=unconfined"], &["--security-opt", "no-new-privileges"]),
    row("raw-devices", &["--device", "{dir}/disk:/dev/disk"], &["--device", "/dev/full:/dev/filled"]),
    row("device-wildcards", &["--device-cgroup-rule", "c *:* rwm"], &["--device-cgroup-rule", "c 10:200 rwm"]),
    row("shared-propagation", &["-v", "{dir}/shared:/mnt:shared"], &["-v", "{dir}/shared:/mnt:slave"]),
    row("sysctls", &["--sysctl", "net.ipv4.ip_forward=1"], &["--sysctl", "net.ipv4.ip_unprivileged_port_start=1"]),
    restricted("non-root", &[], &["--user", "1000:1000"]),
    restricted("host-uts", &["--user", "1000", "--uts", "host"], &["--user", "1000"]),
    restricted("extra-devices", &["--user", "1000", "--device", "/dev/net/tun"], &["--user", "1000"]),
    restricted("privileged", &["--user", "1000", "--privileged"], &["--user", "1000"]),
];

/// Runs `true` in a new container.
pub fn run_true(c: &Client, level: Level, flags: &[&str]) -> Result<Output> {
    let runtime = format!("casemate-{}", level.word());
    c.call(&[&["run", "--rm", "--runtime", &runtime], flags, &["box", "true"]].concat())
}

/// What else the levels do under Docker.
pub fn checks() -> Vec<Check> {
    let mut checks = checks![
        baseline_confines_more_than_docker_does,
        an_unconfined_seccomp_is_not_unconfined,
        exec_has_the_floor_of_init,
        exec_cannot_exceed_init,
        exec_as_root_is_refused_at_restricted,
        the_pids_limit_cannot_be_taken_away,
        restricted_gives_a_read_only_root_and_scratch,
    ];
    let mut images = checks![the_deny_list_is_below_dockers_profile];
    for check in checks.iter_mut().chain(&mut images) {
        check.casemate_only = true;
    }
    images.extend(checks![
        a_debian_shell_works_at_baseline,
        a_debian_shell_works_at_restricted,
        a_debian_shell_has_a_terminal,
        dockers_init_is_used,
        ping_works_where_its_group_may,
    ]);
    for check in &mut images {
        check.programs = true;
    }
    checks.extend(images);
    checks
}

fn status(c: &Client, flags: &[&str]) -> Result<String> {
    let words = [&["run", "--rm"], flags, &["box", "cat", "/proc/self/status"]].concat();
    Ok(c.call(&words)?.success()?.stdout)
}

fn baseline_confines_more_than_docker_does(c: &Client) -> Result<()> {
    let (without, with) = (status(c, &[])?, status(c, BASELINE)?);
    same("no_new_privs as Docker has it", field(&without, "NoNewPrivs")?, "0")?;
    same("no_new_privs", field(&with, "NoNewPrivs")?, "1")?;
    // Docker's set without CAP_NET_RAW.
    same("bounding set as Docker has it", field(&without, "CapBnd")?, "00000000a80425fb")?;
    same("bounding set", field(&with, "CapBnd")?, "00000000a80405fb")
}

/// Makes an io_uring, which Docker 20.10's own profile allows. Refused by a filter it is ENOSYS (38) or EPERM
/// (1); without parameters EFAULT (14) by the kernel itself.
const IO_URING: &str =
    "import ctypes; c = ctypes.CDLL(None, use_errno=True); c.syscall(425, 0, 0); print(ctypes.get_errno())";

fn the_deny_list_is_below_dockers_profile(c: &Client) -> Result<()> {
    let errno = |flags: &[&str]| -> Result<String> {
        let words = [&["run", "--rm"], flags, &["programs", "python3", "-c", IO_URING]].concat();
        Ok(c.call(&words)?.success()?.stdout.trim().to_owned())
    };
    same("as Docker has it", errno(&[])?.as_str(), "14")?;
    for flags in [BASELINE, RESTRICTED, &[BASELINE, &["--security-opt", "seccomp=unconfined"]].concat()] {
        let seen = errno(flags)?;
        ensure!(["1", "38"].contains(&seen.as_str()), "{flags:?}: errno {seen}");
    }
    Ok(())
}

fn an_unconfined_seccomp_is_not_unconfined(c: &Client) -> Result<()> {
    let unconfined = &["--security-opt", "seccomp=unconfined"];
    same("mode as Docker has it", field(&status(c, unconfined)?, "Seccomp")?, "0")?;
    let with = status(c, &[BASELINE, unconfined].concat())?;
    same("mode", field(&with, "Seccomp")?, "2")?;
    // The overlay, and the profile `default` where none is given.
    let script = "unshare -U true && echo users; unshare -m true && echo mounts; true";
    let output = c.call(&[&["run", "--rm"], BASELINE, unconfined, &["box", "sh", "-c", script]].concat())?.success()?;
    same("made", output.stdout.as_str(), "")
}

fn exec_has_the_floor_of_init(c: &Client) -> Result<()> {
    for flags in [BASELINE, RESTRICTED] {
        let id = detached(c, flags, &["sleep", "1000"])?;
        let output = c.call(&["exec", &id, "cat", "/proc/1/status", "/proc/self/status"])?.success()?;
        let (init, added) = output.stdout.split_once("Name:\tcat").context("two processes")?;
        for name in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"] {
            same(name, field(added, name)?, field(init, name)?)?;
        }
        remove(c, &id)?;
    }
    Ok(())
}

fn exec_cannot_exceed_init(c: &Client) -> Result<()> {
    for flags in [BASELINE, RESTRICTED] {
        let id = detached(c, flags, &["sleep", "1000"])?;
        let refused = c.call(&["exec", "--privileged", &id, "true"])?.refused("[exec-beyond-init]")?;
        same("exit code", refused.code, 126)?;
        c.call(&["exec", &id, "true"])?.success()?;
        remove(c, &id)?;
    }
    Ok(())
}

fn exec_as_root_is_refused_at_restricted(c: &Client) -> Result<()> {
    let id = detached(c, RESTRICTED, &["sleep", "1000"])?;
    c.call(&["exec", "--user", "0", &id, "true"])?.refused("[non-root]")?;
    same("user", c.call(&["exec", "--user", "1001", &id, "id", "-u"])?.success()?.stdout.trim(), "1001")?;
    remove(c, &id)
}

fn pids_limit(c: &Client, id: &str) -> Result<String> {
    let cgroup = format!("{}/{id}", c.place.cgroup);
    let files = Host::look()?.cgroup_dirs(&cgroup).into_iter().map(|dir| dir.join("pids.max"));
    read(&files.into_iter().find(|file| file.exists()).context("no pids.max")?)
}

fn the_pids_limit_cannot_be_taken_away(c: &Client) -> Result<()> {
    let id = detached(c, BASELINE, &["sleep", "1000"])?;
    same("limit where none is given", pids_limit(c, &id)?.as_str(), "2048")?;
    c.call(&["update", "--pids-limit", "55", &id])?.success()?;
    same("limit that is given", pids_limit(c, &id)?.as_str(), "55")?;
    c.call(&["update", "--pids-limit", "-1", &id])?.success()?;
    same("limit taken away", pids_limit(c, &id)?.as_str(), "2048")?;
    remove(c, &id)
}

fn restricted_gives_a_read_only_root_and_scratch(c: &Client) -> Result<()> {
    let script = "touch /x 2>/dev/null || echo read-only; for d in /tmp /run; do touch $d/x && echo $d; done; \
        cp /bin/busybox /tmp/true; /tmp/true 2>/dev/null || echo noexec; grep Cap /proc/self/status; ulimit -c";
    let output = c.call(&[&["run", "--rm"], RESTRICTED, &["box", "sh", "-c", script]].concat())?.success()?;
    let words: Vec<&str> = output.stdout.split_whitespace().filter(|word| !word.starts_with("Cap")).collect();
    let (none, bind) = ("0000000000000000", "0000000000000400");
    same("seen", words, vec!["read-only", "/tmp", "/run", "noexec", none, none, none, bind, none, "0"])
}

fn a_debian_shell_works_at_baseline(c: &Client) -> Result<()> {
    let words = [&["run", "--rm"], BASELINE, &["programs", "/srv/apps/shell"]].concat();
    let output = c.call(&words)?.success()?;
    ensure!(output.stdout.ends_with("done\n"), "{output}");
    Ok(())
}

fn a_debian_shell_works_at_restricted(c: &Client) -> Result<()> {
    let script =
        "id -un; cd /tmp; touch a; ps ax | grep -c bash; perl -e 'print 6*7, \"\\n\"'; (sleep 1000 & kill $!; wait)";
    let words = [&["run", "--rm"], RESTRICTED, &["programs", "bash", "-c", script]].concat();
    let output = c.call(&words)?.success()?;
    ensure!(output.stdout.starts_with("app\n") && output.stdout.ends_with("42\n"), "{output}");
    Ok(())
}

fn a_debian_shell_has_a_terminal(c: &Client) -> Result<()> {
    for flags in [BASELINE, RESTRICTED] {
        let words = [&["run", "--rm", "-it"], flags, &["programs", "bash", "-c", "tty; stty size; exit 5"]].concat();
        let output = c.in_terminal(&words, "")?.exits(5)?;
        ensure!(output.stdout.contains("/dev/pts/0"), "{output}");
    }
    Ok(())
}

fn dockers_init_is_used(c: &Client) -> Result<()> {
    for flags in [BASELINE, RESTRICTED] {
        let program = ["busybox", "httpd", "-f", "-p", "8080"];
        let id = start(c, &[flags, &["--init"]].concat(), "programs", &program)?;
        let served =
            c.call(&["exec", &id, "sh", "-c", "until curl -s http://127.0.0.1:8080/etc; do sleep 0.1; done"])?;
        ensure!(served.code == 0, "{served}");
        let first = c.call(&["exec", &id, "cat", "/proc/1/cmdline"])?.success()?;
        ensure!(first.stdout.contains("docker-init"), "{first}");
        c.call(&["stop", "--time", "20", &id])?.success()?;
        same("exit code", wait_code(c, &id)?.as_str(), "143")?;
        remove(c, &id)?;
    }
    Ok(())
}

fn ping_works_where_its_group_may(c: &Client) -> Result<()> {
    // 172.31.77.1 is the bridge.
    let ping = ["programs", "ping", "-c", "1", "-W", "5", "172.31.77.1"];
    let everybody = ["--sysctl", "net.ipv4.ping_group_range=0 2147483647"];
    for flags in [BASELINE, RESTRICTED] {
        c.call(&[&["run", "--rm"], flags, &everybody, &ping].concat())?.success()?;
        // Docker 20.10 and later say so themselves.
        c.call(&[&["run", "--rm"], flags, &ping].concat())?.success()?;
    }
    let nobody = ["--sysctl", "net.ipv4.ping_group_range=1 0"];
    let refused = c.call(&[&["run", "--rm"], BASELINE, &nobody, &ping].concat())?;
    let works = c.place.kind == crate::runtime::Kind::Other;
    ensure!((refused.code == 0) == works, "without the group, and without CAP_NET_RAW: {refused}");
    Ok(())
}
