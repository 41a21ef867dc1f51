//! What a container can take from others: processes, memory, space.

use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::process::{DEADLINE, eventually};
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::json;

crate::checks! {
    "E1" a_fork_bomb_stops_at_the_limit_of_processes [Needs(CgroupV1)];
    "E1" a_limit_of_processes_is_set_without_being_asked
        [Own("pids-limit"), Levels(&["baseline", "restricted"]), Needs(CgroupV1)];
    "E2" a_program_that_takes_too_much_memory_ends_alone [Needs(CgroupV1)];
    "E3" limits_are_those_of_the_configuration_whatever_the_callers_are;
    "E3" core_dumps_are_off_without_being_asked [Own("core-dumps"), Levels(&["restricted"])];
    "E4" limits_cannot_be_raised_from_within [Needs(CgroupV1)];
    "E4" a_bind_of_the_hosts_cgroups_is_refused [Own("sensitive-binds"), Levels(&["baseline", "restricted"])];
    "E5" file_systems_in_memory_have_the_size_of_the_configuration;
}

/// Runs the bomb on every way and looks from outside.
fn a_fork_bomb_stops_at_the_limit_of_processes(s: &Scene) -> Result<Verdict> {
    const LIMIT: usize = 40;
    let mut bundle = s.bundle()?;
    bundle.set("/linux/resources/pids/limit", json!(LIMIT));
    for way in Way::ALL {
        let bomb = ["/bin/probe", "bomb"];
        let container = match way {
            Way::CreateStart | Way::Run => s.ground.container(bundle.clone().args(&bomb)),
            _ => s.sleeping(&bundle)?,
        };
        let running = match way {
            Way::CreateStart => {
                container.create(&[])?.success()?;
                container.start()?.success()?;
                None
            }
            Way::Run => Some(container.run_in_background(&[])?),
            Way::ExecTty => {
                let line = [&["exec", "--tty", container.id.as_str()], &bomb[..]].concat();
                Some(s.ground.recorder.start(s.on_a_terminal(&line), None)?)
            }
            Way::Exec | Way::ExecCap => {
                let more: &[&str] = if way == Way::ExecCap { &["--cap", "CAP_NET_BIND_SERVICE"] } else { &[] };
                let line = [&["exec"], more, &[container.id.as_str()], &bomb[..]].concat();
                Some(s.ground.recorder.start(s.ground.command(&line), None)?)
            }
        };
        // The limit has been hit: the bomb did go off.
        eventually("the limit is hit", || {
            let events = container.cgroup("pids", "pids.events").unwrap_or_default();
            Ok(events.lines().any(|line| line.strip_prefix("max ").is_some_and(|n| n != "0")).then_some(()))
        })?;
        let processes = s.ground.host.cgroup_processes(bundle.cgroups_path()).len();
        holds!(processes <= LIMIT, "{way}: {processes} processes, the limit is {LIMIT}");
        for _ in 0..20 {
            let output = s.host("/bin/true", &[])?;
            holds!(output.code == 0, "{way}: the host cannot make a process: {output}");
        }
        let output = container.call("delete", &["--force"])?;
        holds!(output.code == 0, "{way}: {output}");
        if let Some(running) = running {
            running.wait(DEADLINE)?;
        }
    }
    Ok(Verdict::safe())
}

fn a_limit_of_processes_is_set_without_being_asked(s: &Scene) -> Result<Verdict> {
    for asked in [None, Some(-1), Some(0)] {
        let mut bundle = s.bundle()?;
        if let Some(asked) = asked {
            bundle.set("/linux/resources/pids/limit", json!(asked));
        }
        let container = s.sleeping(&bundle)?;
        let limit = container.cgroup("pids", "pids.max")?;
        holds!(limit.parse().is_ok_and(|n: u32| n <= 2048), "limit {asked:?} became {limit}");
        container.call("delete", &["--force"])?.success()?;
    }
    Ok(Verdict::safe())
}

fn a_program_that_takes_too_much_memory_ends_alone(s: &Scene) -> Result<Verdict> {
    const LIMIT: u64 = 24 << 20;
    let mut bundle = s.bundle()?;
    bundle.set("/linux/resources/memory", json!({"limit": LIMIT}));
    // tail keeps a line that never ends.
    let eat = ["/bin/tail", "-n", "1", "/dev/zero"];
    for way in Way::EXEC {
        let container = s.sleeping(&bundle)?;
        let neighbour = s.ground.sleeping(&s.bundle()?.clone())?;
        let (init, other) = (container.pid()?, neighbour.pid()?);
        let output = match way {
            Way::ExecTty => {
                let line = [&["exec", "--tty", container.id.as_str()], &eat[..]].concat();
                s.ground.recorder.run(s.on_a_terminal(&line))?
            }
            Way::ExecCap => container.exec(&["--cap", "CAP_NET_BIND_SERVICE"], &eat)?,
            _ => container.exec(&[], &eat)?,
        };
        ensure!(output.code == 137, "{way}: not killed for its memory: {output}");
        let most: u64 = container.cgroup("memory", "memory.max_usage_in_bytes")?.parse()?;
        holds!(most <= LIMIT, "{way}: {most} bytes were taken, the limit is {LIMIT}");
        holds!(host::is_alive(init) && host::is_alive(other), "{way}: others were killed too");
        container.call("delete", &["--force"])?.success()?;
        neighbour.call("delete", &["--force"])?.success()?;
    }
    for way in Way::INIT {
        let output = s.said(way, &bundle, &[], &eat)?;
        // A create has ended long before its program.
        ensure!(way == Way::CreateStart || output.code == 137, "{way}: not killed for its memory: {output}");
    }
    Ok(Verdict::safe())
}

/// One line of /proc/PID/limits: soft and hard.
fn limit(pid: i32, name: &str) -> Result<(String, String)> {
    let text = host::read(format!("/proc/{pid}/limits").as_ref())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no limit \"{name}\""))?;
    let mut words = line.split_whitespace().map(str::to_owned);
    Ok((words.next().context("no soft limit")?, words.next().context("no hard limit")?))
}

fn limits_are_those_of_the_configuration_whatever_the_callers_are(s: &Scene) -> Result<Verdict> {
    const LIMITS: [(&str, &str, u64, u64); 6] = [
        ("RLIMIT_NOFILE", "Max open files", 700, 800),
        ("RLIMIT_NPROC", "Max processes", 900, 1000),
        ("RLIMIT_CORE", "Max core file size", 0, 0),
        ("RLIMIT_MEMLOCK", "Max locked memory", 65_536, 65_536),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size", 4096, 8192),
        ("RLIMIT_STACK", "Max stack size", 4_194_304, 8_388_608),
    ];
    s.ground.caller("ulimit -Sc unlimited; ulimit -Sn 1000; exec \"$@\"")?;
    let mut bundle = s.bundle()?;
    let list: Vec<_> =
        LIMITS.iter().map(|(kind, _, soft, hard)| json!({"type": kind, "soft": soft, "hard": hard})).collect();
    bundle.set("/process/rlimits", json!(list));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        for (kind, name, soft, hard) in LIMITS {
            let is = limit(seen.pid, name)?;
            let soft_is = is.0.parse().unwrap_or(u64::MAX);
            holds!(is.1 == hard.to_string() && soft_is <= hard, "{way}: {kind} {is:?} instead of {soft}, {hard}");
        }
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn core_dumps_are_off_without_being_asked(s: &Scene) -> Result<Verdict> {
    s.ground.caller("ulimit -Sc unlimited; exec \"$@\"")?;
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let is = limit(seen.pid, "Max core file size")?;
        holds!(is == ("0".to_owned(), "0".to_owned()), "{way}: RLIMIT_CORE {is:?}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn limits_cannot_be_raised_from_within(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/linux/resources/pids/limit", json!(40));
    bundle.set("/linux/resources/memory", json!({"limit": 50 << 20}));
    let script = "for d in pids memory; do c=/sys/fs/cgroup/$d; [ -d $c ] && echo SEEN; \
        echo max > $c/pids.max; echo -1 > $c/memory.limit_in_bytes; mkdir $c/deeper; \
        echo 0 > $c/../$d/cgroup.procs; for f in $(find $c -name pids.max -o -name memory.limit_in_bytes); \
        do echo -1 > $f; done; done; exit 0";
    for way in [Way::Run, Way::Exec, Way::ExecCap] {
        let (container, running) = if way == Way::Run {
            let mut bundle = bundle.clone();
            s.script(&mut bundle, &format!("({script}); echo TRIED; sleep 1000"));
            let container = s.ground.container(&bundle);
            let running = container.run_in_background(&[])?;
            (container, running)
        } else {
            let container = s.sleeping(&bundle)?;
            let more: &[&str] = if way == Way::ExecCap { &["--cap", "CAP_NET_BIND_SERVICE"] } else { &[] };
            let program = format!("({script}); echo TRIED; sleep 1000");
            let line = [&["exec"], more, &[&container.id, "/bin/sh", "-c", &program]].concat();
            let running = s.ground.recorder.start(s.ground.command(&line), None)?;
            (container, running)
        };
        eventually("it has tried", || Ok(running.stdout()?.contains("TRIED").then_some(())))?;
        ensure!(running.stdout()?.contains("SEEN"), "{way}: the container sees no cgroups at all");
        let verdict = unchanged(&container, way)?;
        container.call("delete", &["--force"])?.success()?;
        running.wait(DEADLINE)?;
        if let Some(verdict) = verdict {
            return Ok(verdict);
        }
    }
    Ok(Verdict::safe())
}

/// `UNSAFE` when a limit of [`limits_cannot_be_raised_from_within`] is another, or a cgroup was made.
fn unchanged(container: &Container, way: Way) -> Result<Option<Verdict>> {
    let (pids, memory) = (container.cgroup("pids", "pids.max")?, container.cgroup("memory", "memory.limit_in_bytes")?);
    let deeper = container.ground.host.cgroup_dirs(&format!("{}/deeper", container.bundle.cgroups_path()));
    let held = pids == "40" && memory == (50 << 20).to_string() && deeper.is_empty();
    Ok((!held).then(|| Verdict::Unsafe(format!("{way}: pids.max {pids}, memory.limit_in_bytes {memory}, {deeper:?}"))))
}

fn a_bind_of_the_hosts_cgroups_is_refused(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    for source in ["/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs", "/proc/1/root/sys/fs/cgroup"] {
        for options in [&["rbind", "rw"][..], &["bind", "ro"][..]] {
            let mut bundle = bundle.clone();
            bundle.bind(source.as_ref(), "/host-cgroups", options);
            let attack = s.attack(&bundle)?;
            match s.refused(&attack)? {
                Some(Verdict::Refused(_)) => {}
                Some(other) => return Ok(other),
                None => return Ok(Verdict::Unsafe(format!("a bind of {source} {options:?} ran"))),
            }
        }
    }
    Ok(Verdict::Refused("each of 8 binds".to_owned()))
}

/// The size of the file system at a path of the container's, in bytes.
fn size(pid: i32, path: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/root{path}");
    let data = rustix::fs::statvfs(&path).with_context(|| format!("statvfs \"{path}\""))?;
    Ok(data.f_blocks * data.f_frsize)
}

fn file_systems_in_memory_have_the_size_of_the_configuration(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.unmount("/dev/shm").mount(
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=1m"],
    );
    bundle.mount("/scratch", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=2m", "nr_inodes=20"]);
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        for (path, wanted) in [("/dev/shm", 1 << 20), ("/scratch", 2 << 20), ("/dev", 64 << 20)] {
            let is = size(seen.pid, path)?;
            holds!(is == wanted, "{way}: {path} has {is} bytes instead of {wanted}");
        }
        seen.end()?;
    }
    let fill = "dd if=/dev/zero of=/dev/shm/small bs=1k count=100 2>&1 && echo SMALL; \
        dd if=/dev/zero of=/dev/shm/large bs=1k count=5000 2>&1 && echo LARGE; \
        for i in $(seq 50); do touch /scratch/$i 2>/dev/null && echo FILE; done; exit 0";
    s.script(&mut bundle, fill);
    let output = s.twin(&bundle)?;
    ensure!(output.says("SMALL") && output.says("FILE"), "nothing can be written at all: {output}");
    holds!(!output.says("LARGE"), "5000 KiB were written to a file system of 1 MiB");
    holds!(output.stdout.matches("FILE").count() < 20, "more files than inodes");
    Ok(Verdict::safe())
}
