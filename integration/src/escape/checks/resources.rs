//! What a container can take from others: processes, memory, space, time of the runtime.

use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::process::{DEADLINE, Output, eventually};
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;
use std::process::{Child, Stdio};

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
    "E5" file_systems_made_for_a_read_only_root_are_limited [Own("read-only-root"), Levels(&["restricted"])];
    "E6" output_that_nobody_reads_does_not_hold_up_kill_and_delete;
    "E6" output_of_an_exec_that_nobody_reads_does_not_hold_up_kill_and_delete;
    "E7" an_id_of_a_hundred_kilobytes_is_refused;
    "E7" an_annotation_of_a_mebibyte_does_no_harm;
    "E8" ten_thousand_mounts_do_no_harm;
    "E9" a_hook_beyond_its_timeout_ends_with_its_children [Own("the hook's whole process group is killed")];
    "E9" a_hook_that_never_ends_does_not_outlast_its_timeout;
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
        holds!(limit == "2048", "limit {asked:?} became {limit}");
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
            holds!(is == (soft.to_string(), hard.to_string()), "{way}: {kind} {is:?} instead of {soft}, {hard}");
        }
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn core_dumps_are_off_without_being_asked(s: &Scene) -> Result<Verdict> {
    s.ground.caller("ulimit -Sc unlimited; exec \"$@\"")?;
    for way in Way::ALL {
        let seen = s.look(way, &s.bundle()?, &[])?;
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

fn file_systems_made_for_a_read_only_root_are_limited(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    std::fs::create_dir(bundle.rootfs().join("var/tmp"))?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        for path in ["/tmp", "/run", "/var/tmp"] {
            let is = size(seen.pid, path)?;
            holds!(is > 0 && is <= 64 << 20, "{way}: {path} has {is} bytes");
            let mount = host::mount_at(&host::mounts(seen.pid)?, path)?;
            let all = ["nosuid", "nodev", "noexec"].iter().all(|option| mount.has(option));
            holds!(all, "{way}: {path} has options {:?}", mount.options);
        }
        seen.end()?;
    }
    Ok(Verdict::safe())
}

/// A command of the runtime whose output goes into a pipe that nobody reads.
fn unread(mut command: std::process::Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().context("start a command with an unread pipe")
}

/// Waits until the pipe is full: no byte has been added between two looks.
fn wait_until_full(child: &Child) -> Result<()> {
    let pipe = child.stdout.as_ref().context("no pipe")?;
    let mut last = 0;
    eventually("the pipe is full", || {
        let held = rustix::io::ioctl_fionread(pipe)?;
        let full = held > 4096 && held == last;
        last = held;
        std::thread::sleep(std::time::Duration::from_millis(20));
        Ok(full.then_some(()))
    })
}

/// Kills and deletes a container while the reader of its output does not read.
fn killed_and_deleted(s: &Scene, container: &Container, mut child: Child, what: &str) -> Result<Verdict> {
    let said = wait_until_full(&child);
    let calls = || -> Result<Vec<Output>> {
        let outputs = vec![container.call("state", &[])?, container.kill("KILL")?];
        container.wait_until("stopped")?;
        Ok([outputs, vec![container.delete()?]].concat())
    };
    let calls = if said.is_ok() { calls() } else { Ok(Vec::new()) };
    // The reader goes away only now.
    drop(child.stdout.take());
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).context("pidfd_open")?;
    let ended = crate::process::readable_within(&pidfd, DEADLINE)?;
    if !ended {
        child.kill()?;
    }
    child.wait()?;
    said?;
    let calls = match calls {
        Ok(calls) => calls,
        Err(error) => return Ok(Verdict::Unsafe(format!("{what}: {error:#}"))),
    };
    holds!(calls.iter().all(|output| output.code == 0), "{what}: {calls:?}");
    holds!(ended, "{what}: the command does not end though its container is gone");
    let left = s.left()?;
    holds!(left.is_empty(), "{what}: left {}", left.join(", "));
    Ok(Verdict::safe())
}

fn output_that_nobody_reads_does_not_hold_up_kill_and_delete(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.args(&["/bin/yes"]);
    let container = s.ground.container(&bundle);
    // `run`, without its deletion of the container at the end.
    bundle.write()?;
    let mut command = s.ground.command(&["run", "--keep", "--bundle"]);
    command.arg(&bundle.dir).arg(&container.id);
    killed_and_deleted(s, &container, unread(command)?, "run")
}

fn output_of_an_exec_that_nobody_reads_does_not_hold_up_kill_and_delete(s: &Scene) -> Result<Verdict> {
    for way in Way::EXEC {
        let container = s.sleeping(&s.bundle()?)?;
        let command = match way {
            Way::ExecTty => s.on_a_terminal(&["exec", "--tty", &container.id, "/bin/yes"]),
            Way::ExecCap => s.ground.command(&["exec", "--cap", "CAP_NET_BIND_SERVICE", &container.id, "/bin/yes"]),
            _ => s.ground.command(&["exec", &container.id, "/bin/yes"]),
        };
        let verdict = killed_and_deleted(s, &container, unread(command)?, &way.to_string())?;
        if verdict != Verdict::safe() {
            return Ok(verdict);
        }
    }
    Ok(Verdict::safe())
}

fn an_id_of_a_hundred_kilobytes_is_refused(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy().into_owned();
    for length in [1025, 4096, 100_000] {
        let id = "a".repeat(length);
        for command in ["run", "create"] {
            let output = s.ground.call(&[command, "--bundle", &dir, &id])?;
            holds!(output.code != 0 && !output.stdout.contains("PROGRAM-RAN"), "{command}: an id of {length} bytes");
        }
        for line in [vec!["state", &id], vec!["kill", &id, "KILL"], vec!["start", &id], vec!["exec", &id, "true"]] {
            let output = s.ground.call(&line)?;
            holds!(output.code != 0, "{} of an id of {length} bytes", line.first().unwrap_or(&""));
        }
    }
    let left = s.left()?;
    holds!(left.is_empty(), "left {}", left.join(", "));
    Ok(Verdict::Refused("ids of 1025, 4096 and 100,000 bytes".to_owned()))
}

fn an_annotation_of_a_mebibyte_does_no_harm(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/annotations", json!({"small": "x"}));
    s.script(&mut bundle, "true");
    s.twin(&bundle)?;
    let long = "x".repeat(1 << 20);
    for annotations in [json!({"large": long}), json!({long.as_str(): "x"})] {
        let mut bundle = bundle.clone();
        bundle.set("/annotations", annotations);
        let attack = s.attack(&bundle)?;
        match s.refused(&attack)? {
            Some(Verdict::Refused(_)) => continue,
            Some(other) => return Ok(other),
            None => {}
        }
        // A container that was taken must be one that can be handled.
        let container = s.sleeping(&bundle)?;
        let calls = || -> Result<[Output; 3]> {
            Ok([
                container.call("state", &[])?,
                container.exec(&[], &["/bin/true"])?,
                container.call("delete", &["--force"])?,
            ])
        };
        match calls() {
            Ok(outputs) => holds!(outputs.iter().all(|output| output.code == 0), "it ran, and then: {outputs:?}"),
            Err(error) => return Ok(Verdict::Unsafe(format!("it ran, and then: {error:#}"))),
        }
    }
    let left = s.left()?;
    holds!(left.is_empty(), "left {}", left.join(", "));
    Ok(Verdict::safe())
}

fn ten_thousand_mounts_do_no_harm(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    let file = s.ground.dir.join("mounted");
    std::fs::write(&file, "")?;
    let mut many = bundle.clone();
    let source = file.to_string_lossy().into_owned();
    let list: Vec<_> = (0..10_000)
        .map(|n| json!({"destination": format!("/mnt/{n}"), "type": "bind", "source": source, "options": ["bind", "ro"]}))
        .collect();
    if let Some(serde_json::Value::Array(mounts)) = many.spec.pointer_mut("/mounts") {
        mounts.extend(list);
    }
    let maximum = std::fs::read_to_string("/proc/sys/fs/mount-max")?;
    let container = s.ground.container(&many);
    let running = container.run_in_background(&[])?;
    // Slow is no harm, as long as it can be ended.
    let output = match running.wait(DEADLINE) {
        Ok(output) => output,
        Err(_slow) => {
            let deleted = container.call("delete", &["--force"]);
            holds!(deleted.is_ok_and(|output| output.code == 0), "it takes long, and cannot be deleted meanwhile");
            return Ok(Verdict::Safe("ended by force".to_owned()));
        }
    };
    holds!(std::fs::read_to_string("/proc/sys/fs/mount-max")? == maximum, "fs.mount-max has changed");
    holds!(output.code == 0 || output.code < 128 || output.code == 255, "crashed: {output}");
    let left = s.left()?;
    holds!(left.is_empty(), "left {} things, the first {:?}", left.len(), left.first());
    // The next container is not affected.
    s.twin(&bundle)?;
    let line = output.stderr.trim_end().lines().last().unwrap_or_default().chars().take(200).collect();
    Ok(if output.code == 0 { Verdict::safe() } else { Verdict::Refused(line) })
}

/// Hooks with a timeout of a second that do not end; the processes they made, by the word in their arguments.
fn timed_out(s: &Scene, script: &str, children: bool) -> Result<Verdict> {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let word = format!("hook-of-{}", s.ground.id());
        let mut bundle = s.bundle()?;
        let hook = |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script, &word], "timeout": 1}]);
        s.script(&mut bundle, "true");
        bundle.set(&format!("/hooks/{kind}"), hook("exit 0"));
        s.twin(&bundle)?;
        bundle.set(&format!("/hooks/{kind}"), hook(script));
        let running = s.ground.container(&bundle).run_in_background(&[])?;
        let Ok(output) = running.wait(DEADLINE) else {
            return Ok(Verdict::Unsafe(format!("{kind}: still there after {} s", DEADLINE.as_secs())));
        };
        let left = marked(&word)?;
        for pid in &left {
            host::kill(*pid)?;
        }
        holds!(output.code != 0 && !output.stdout.contains("PROGRAM-RAN"), "{kind}: the program ran: {output}");
        holds!(!children || left.is_empty(), "{kind}: {} processes of the hook are left", left.len());
        let left = s.left()?;
        holds!(left.is_empty(), "{kind}: left {}", left.join(", "));
    }
    Ok(Verdict::Refused("the program of a container whose hook does not end".to_owned()))
}

/// Processes that `word` is an argument of.
fn marked(word: &str) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if host::command_line(pid).unwrap_or_default().iter().any(|argument| argument == word) && host::is_alive(pid) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Children that are shells with the hook's word, as it is itself.
const FORKING: &str = "for i in 1 2 3; do sh -c 'while :; do sleep 0.1; done' sh $0 & done; wait";

fn a_hook_beyond_its_timeout_ends_with_its_children(s: &Scene) -> Result<Verdict> {
    timed_out(s, FORKING, true)
}

fn a_hook_that_never_ends_does_not_outlast_its_timeout(s: &Scene) -> Result<Verdict> {
    timed_out(s, "trap '' TERM INT HUP; while :; do :; done", true)
}
