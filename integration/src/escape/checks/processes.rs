//! Processes: those of the runtime on their way into a container, and those of the container when it ends.

use crate::bundle::Bundle;
use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::process::{DEADLINE, Running, eventually};
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

crate::checks! {
    "CVE-2016-9962" an_exec_shows_nothing_of_the_runtime_to_the_container [Advisory("runc", "CVE-2016-9962")];
    "C4" an_exec_shows_nothing_of_the_host_to_one_who_may_trace;
    "C4" an_exec_into_a_joined_pid_namespace_shows_nothing_of_the_host;
    "CVE-2026-41163" processes_of_the_runtime_are_not_dumpable_for_the_containers_user;
    "CVE-2019-14891" no_process_of_the_runtime_stays_in_the_containers_cgroup;
    "C6" processes_in_sessions_of_their_own_end_with_the_container;
    "C6" processes_of_an_exec_end_with_the_container;
    "C6" processes_without_a_pid_namespace_end_with_the_container;
    "C6" a_container_that_makes_processes_without_end_is_deleted;
}

/// A program that looks at all others of its pid namespace, and the file that ends it.
fn watching(s: &Scene) -> Result<Bundle> {
    let mut bundle = s.bundle()?;
    let marker = s.outside.path("secret");
    bundle.args(&["/bin/probe", "watch", &marker.to_string_lossy(), "/stop"]);
    Ok(bundle)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a watcher saw while programs were executed in `target` many times.
fn watched(watcher: &Container, target: &Container, watch: Running) -> Result<Value> {
    for _ in 0..30 {
        target.exec(&[], &["/bin/true"])?.success()?;
    }
    // The twin that is seen for certain: a program long after its execve.
    target.exec(&[], &["/bin/sleep", "0.5"])?.success()?;
    std::fs::write(watcher.bundle.rootfs().join("stop"), "")?;
    watch.wait(DEADLINE)?.success()?.json()
}

/// The verdict on what was seen: programs of the container and sealed copies of the runtime, and nothing of the host.
fn nothing_of_the_host(s: &Scene, seen: &Value, own: u64) -> Result<Verdict> {
    let exes = texts(&seen["exe"]);
    // At restricted Landlock's scope keeps the program of an exec from being looked into, its name is seen even so.
    let looked = exes.iter().any(|exe| exe == "/bin/busybox") || s.at("restricted");
    ensure!(looked && texts(&seen["names"]).contains(&"sleep".to_owned()), "no program was seen at all: {seen}");
    holds!(texts(&seen["rooted"]).is_empty(), "the host's root was reached through a process: {seen}");
    let binary = s.ground.runtime.path.to_string_lossy();
    for exe in exes {
        let known = exe == "/bin/busybox" || exe == "/bin/probe" || exe.starts_with("/memfd:");
        holds!(known && exe != binary, "exe \"{exe}\" could be read: {seen}");
    }
    let descriptors = texts(&seen["descriptors"]);
    holds!(descriptors.is_empty(), "descriptors above 2 could be read: {descriptors:?}");
    for set in texts(&seen["capabilities"]) {
        let set = u64::from_str_radix(&set, 16)?;
        // What cannot be looked into may have them; status says so of every process.
        holds!(own == u64::MAX || set & !own == 0, "capabilities {set:x} beyond {own:x}");
    }
    Ok(Verdict::safe())
}

/// Runs a watcher, or says that the runtime refused it.
fn run_watcher<'a>(s: &'a Scene, bundle: &Bundle) -> Result<std::result::Result<(Container<'a>, Running), Verdict>> {
    let container = s.ground.container(bundle);
    let running = container.run_in_background(&[])?;
    let mut ended = false;
    eventually("it runs", || {
        ended = !host::is_alive(i32::try_from(running.child.id())?);
        let runs = container.status().is_ok_and(|status| status == "running");
        Ok((runs || ended).then_some(()))
    })?;
    if ended {
        let output = running.wait(DEADLINE)?;
        ensure!(output.code != 0, "the watcher ended early: {output}");
        let line = output.stderr.trim_end().lines().last().unwrap_or_default().to_owned();
        return Ok(Err(Verdict::Refused(line)));
    }
    container.wait_for_program()?;
    Ok(Ok((container, running)))
}

fn an_exec_shows_nothing_of_the_runtime_to_the_container(s: &Scene) -> Result<Verdict> {
    match run_watcher(s, &watching(s)?)? {
        Err(refused) => anyhow::bail!("refused: {}", refused.detail()),
        Ok((container, watch)) => {
            let seen = watched(&container, &container, watch)?;
            nothing_of_the_host(s, &seen, u64::MAX)
        }
    }
}

fn an_exec_shows_nothing_of_the_host_to_one_who_may_trace(s: &Scene) -> Result<Verdict> {
    let mut bundle = watching(s)?;
    for set in ["bounding", "effective", "permitted"] {
        bundle.push(&format!("/process/capabilities/{set}"), json!("CAP_SYS_PTRACE"));
    }
    match run_watcher(s, &bundle)? {
        Err(refused) => Ok(refused),
        Ok((container, watch)) => {
            let own = u64::from_str_radix(&host::status(container.pid()?, "CapBnd")?, 16)?;
            let seen = watched(&container, &container, watch)?;
            nothing_of_the_host(s, &seen, own)
        }
    }
}

fn an_exec_into_a_joined_pid_namespace_shows_nothing_of_the_host(s: &Scene) -> Result<Verdict> {
    match run_watcher(s, &watching(s)?)? {
        Err(refused) => anyhow::bail!("refused: {}", refused.detail()),
        Ok((owner, watch)) => {
            let mut joining = s.bundle()?;
            joining.join("pid", &format!("/proc/{}/ns/pid", owner.pid()?));
            let joined = s.sleeping(&joining)?;
            let seen = watched(&owner, &joined, watch)?;
            nothing_of_the_host(s, &seen, u64::MAX)
        }
    }
}

fn processes_of_the_runtime_are_not_dumpable_for_the_containers_user(s: &Scene) -> Result<Verdict> {
    let stop = s.ground.dir.join("stop-spying");
    let mut bundle = s.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).args(&["/bin/sleep", "1000"]);
    let probe = std::env::current_exe()?.with_file_name("probe");
    let mut command = std::process::Command::new(probe);
    command.args(["spy", "1000"]).arg(&stop);
    let spy = s.ground.recorder.start(command, None)?;
    for n in 0..5 {
        let container = s.ground.container(&bundle);
        container.create(&[])?.success()?;
        if n == 0 {
            // What waits for the start is the runtime's still.
            eventually("a look at the waiting init", || Ok(host::is_alive(container.pid()?).then_some(())))?;
        }
        container.start()?.success()?;
        container.wait_for_program()?;
        for _ in 0..4 {
            container.exec(&[], &["/bin/true"])?.success()?;
            container
                .exec(&["--user", "1000:1000", "--cap", "CAP_NET_BIND_SERVICE"], &["/bin/sleep", "0.05"])?
                .success()?;
        }
        container.call("delete", &["--force"])?.success()?;
    }
    std::fs::write(&stop, "")?;
    let seen = spy.wait(DEADLINE)?.success()?.json()?;
    let exes = texts(&seen["exe"]);
    ensure!(exes.iter().any(|exe| exe.ends_with("/bin/busybox")), "not even the container's program was seen: {seen}");
    holds!(exes.iter().all(|exe| exe.ends_with("/bin/busybox")), "other programs could be looked into: {exes:?}");
    holds!(texts(&seen["partly"]).is_empty(), "parts of processes could be read: {}", seen["partly"]);
    Ok(Verdict::Safe(format!("looked {} times", seen["rounds"])))
}

fn no_process_of_the_runtime_stays_in_the_containers_cgroup(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let pids = s.ground.host.cgroup_processes(seen.container.bundle.cgroups_path());
        ensure!(pids.contains(&seen.pid), "{way}: the program itself is not in the cgroup");
        let namespace = host::link(seen.pid, "ns/pid")?;
        for pid in pids {
            let (exe, own) = (host::link(pid, "exe")?, host::link(pid, "ns/pid")?);
            let program = exe.ends_with("/bin/probe") || exe.ends_with("/bin/busybox");
            holds!(program && own == namespace, "{way}: process {pid} \"{exe}\" is in the container's cgroup");
        }
        seen.end()?;
    }
    Ok(Verdict::safe())
}

/// A shell script that leaves children of children behind, which lead sessions of their own and ignore what they can.
const LEAVE: &str = "for i in 1 2 3 4 5; do (/bin/busybox setsid /bin/sh -c \
    'trap \"\" TERM HUP INT; /bin/busybox setsid /bin/sleep 1000 & /bin/sleep 1000' &) & done; /bin/sleep 1000";

/// Waits for `count` processes of the container, deletes it, and looks who is left.
fn deleted(s: &Scene, container: &Container, count: usize, what: &str) -> Result<Verdict> {
    let processes = || s.ground.host.cgroup_processes(container.bundle.cgroups_path());
    eventually("the container's processes", || Ok((processes().len() >= count).then_some(())))?;
    let before = processes();
    let output = match container.call("delete", &["--force"]) {
        Ok(output) => output,
        Err(error) => return Ok(Verdict::Unsafe(format!("{what}: delete --force does not end: {error:#}"))),
    };
    holds!(output.code == 0, "{what}: {output}");
    let left = processes();
    holds!(left.is_empty(), "{what}: {} processes are left in the cgroup", left.len());
    // Those that were there may be zombies of a while, nothing else.
    let alive: Vec<i32> = before.into_iter().filter(|pid| host::is_alive(*pid)).collect();
    holds!(alive.is_empty(), "{what}: {} of the container's processes are alive", alive.len());
    let left = s.left()?;
    holds!(left.is_empty(), "{what}: left {}", left.join(", "));
    Ok(Verdict::safe())
}

fn processes_in_sessions_of_their_own_end_with_the_container(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.sh(LEAVE);
    for way in Way::INIT {
        let container = s.ground.container(&bundle);
        let running = if way == Way::Run {
            Some(container.run_in_background(&[])?)
        } else {
            container.create(&[])?.success()?;
            container.start()?.success()?;
            None
        };
        let verdict = deleted(s, &container, 11, &way.to_string())?;
        if let Some(running) = running {
            running.wait(DEADLINE)?;
        }
        if verdict != Verdict::safe() {
            return Ok(verdict);
        }
    }
    Ok(Verdict::safe())
}

fn processes_of_an_exec_end_with_the_container(s: &Scene) -> Result<Verdict> {
    for way in Way::EXEC {
        let container = s.sleeping(&s.bundle()?)?;
        std::fs::write(container.bundle.rootfs().join("leave"), LEAVE)?;
        let program = ["/bin/sh", "/leave"];
        let running = match way {
            Way::ExecTty => {
                let line = [&["exec", "--tty", container.id.as_str()], &program[..]].concat();
                s.ground.recorder.start(s.on_a_terminal(&line), None)?
            }
            _ => {
                let more: &[&str] = if way == Way::ExecCap { &["--cap", "CAP_NET_BIND_SERVICE"] } else { &[] };
                let line = [&["exec"], more, &[container.id.as_str()], &program[..]].concat();
                s.ground.recorder.start(s.ground.command(&line), None)?
            }
        };
        let verdict = deleted(s, &container, 12, &way.to_string())?;
        running.wait(DEADLINE).context("the exec itself")?;
        if verdict != Verdict::safe() {
            return Ok(verdict);
        }
    }
    Ok(Verdict::safe())
}

fn processes_without_a_pid_namespace_end_with_the_container(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.sh(LEAVE);
    let twin = s.ground.container(&bundle);
    twin.create(&[])?.success()?;
    twin.call("delete", &["--force"])?.success()?;
    bundle.share("pid");
    let container = s.ground.container(&bundle);
    let output = container.create(&[])?;
    if output.code != 0 {
        return Ok(Verdict::Refused(output.stderr.trim_end().lines().last().unwrap_or_default().to_owned()));
    }
    container.start()?.success()?;
    deleted(s, &container, 11, "without a pid namespace")
}

fn a_container_that_makes_processes_without_end_is_deleted(s: &Scene) -> Result<Verdict> {
    for shared in [false, true] {
        let mut bundle = s.bundle()?;
        bundle.set("/linux/resources/pids/limit", json!(48)).args(&["/bin/probe", "bomb"]);
        if shared {
            bundle.share("pid");
        }
        let container = s.ground.container(&bundle);
        let output = container.create(&[])?;
        if shared && output.code != 0 {
            // The levels refuse the host's pid namespace.
            continue;
        }
        output.success()?;
        container.start()?.success()?;
        let what = if shared { "without a pid namespace" } else { "with a pid namespace" };
        let verdict = deleted(s, &container, 40, what)?;
        if verdict != Verdict::safe() {
            return Ok(verdict);
        }
    }
    Ok(Verdict::safe())
}
