//! What is left when something dies at the wrong moment, and state that was tampered with.

use crate::case::{Container, Ground, same};
use crate::host;
use crate::process::eventually;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

crate::cases! {
    a_create_killed_at_any_moment_leaves_nothing_after_forced_delete
        [Differs("what is about to be made is recorded first")];
    a_run_killed_at_any_moment_leaves_nothing_after_forced_delete
        [Differs("what is about to be made is recorded first")];
    a_start_killed_at_any_moment_leaves_a_container_that_can_be_deleted;
    an_exec_killed_at_any_moment_leaves_the_container_running;
    a_container_whose_root_filesystem_vanished_can_be_deleted;
    a_container_whose_cgroup_vanished_can_be_deleted;
    a_leftover_state_directory_is_removed_by_forced_delete;
    a_truncated_state_is_an_error;
    state_of_the_wrong_shape_is_an_error;
    a_tampered_pid_is_never_signalled [Differs("the process is verified before it is signalled")];
    a_reused_pid_is_never_signalled;
    a_state_directory_that_is_a_symlink_is_refused [Differs("symlinks in the state directory are refused")];
    processes_that_escaped_the_pid_namespace_of_init_die_with_the_container;
    an_unmounted_tmpfs_does_not_matter;
    create_works_again_after_a_failed_one;
    concurrent_lists_never_fail [Differs("list leaves out what vanishes meanwhile")];
}

/// Starts `make()` many times, kills the command after a growing delay, and deletes by force.
fn killed_at_moments(g: &Ground, subcommand: &str) -> Result<()> {
    let mut completed = 0;
    for step in 0..40_u64 {
        let mut bundle = g.bundle()?;
        let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
        bundle.write()?;
        let flags: &[&str] = if subcommand == "run" { &["--bundle", "DIR", "--detach"] } else { &["--bundle", "DIR"] };
        let dir = bundle.dir.to_string_lossy();
        let flags: Vec<&str> = flags.iter().map(|flag| if *flag == "DIR" { &*dir } else { *flag }).collect();
        let mut running = g.recorder.start(c.command(subcommand, &flags), None)?;
        std::thread::sleep(Duration::from_micros(step * step * 60));
        running.child.kill()?;
        if running.child.wait()?.success() {
            completed += 1;
        }
        c.call("delete", &["--force"])?.success().with_context(|| format!("killed at step {step}"))?;
        nothing_left(g, &c).with_context(|| format!("killed at step {step}"))?;
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    ensure!(completed < 40, "no {subcommand} was killed before its end");
    Ok(())
}

fn nothing_left(g: &Ground, c: &Container) -> Result<()> {
    let path = c.bundle.cgroups_path();
    // A child that was just being made may die a moment later than its parent.
    eventually("no process", || Ok(g.host.cgroup_processes(path).is_empty().then_some(())))?;
    let needle = c.bundle.dir.to_string_lossy().into_owned();
    eventually("no process of the container", || Ok(processes_with(&needle, &c.id)?.is_empty().then_some(())))?;
    same("cgroups", g.host.cgroup_dirs(path), Vec::<PathBuf>::new())?;
    ensure!(!g.root.join(&c.id).exists(), "the state directory is there");
    let mounts = host::mounts("self")?;
    ensure!(mounts.iter().all(|mount| !mount.point.starts_with(&needle)), "a mount is there");
    Ok(())
}

/// Processes whose root is in the bundle or whose arguments name the container.
fn processes_with(bundle: &str, id: &str) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let root = host::link(pid, "root").unwrap_or_default();
        let named = host::command_line(pid).unwrap_or_default().iter().any(|word| word == id);
        if (root.starts_with(bundle) || named) && host::is_alive(pid) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn a_create_killed_at_any_moment_leaves_nothing_after_forced_delete(g: &Ground) -> Result<()> {
    killed_at_moments(g, "create")
}

fn a_run_killed_at_any_moment_leaves_nothing_after_forced_delete(g: &Ground) -> Result<()> {
    killed_at_moments(g, "run")
}

fn a_start_killed_at_any_moment_leaves_a_container_that_can_be_deleted(g: &Ground) -> Result<()> {
    for step in 0..12_u64 {
        let mut bundle = g.bundle()?;
        let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
        c.create(&[])?.success()?;
        let mut running = g.recorder.start(c.command("start", &[]), None)?;
        std::thread::sleep(Duration::from_micros(step * 500));
        running.child.kill()?;
        running.child.wait()?;
        // Stopped too: an init whose start vanished between the two ends of the fifo may give up.
        let status = c.status()?;
        ensure!(["created", "running", "stopped"].contains(&status.as_str()), "status {status}");
        c.call("delete", &["--force"])?.success()?;
        nothing_left(g, &c)?;
    }
    Ok(())
}

fn an_exec_killed_at_any_moment_leaves_the_container_running(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for step in 0..20_u64 {
        let mut running = g.recorder.start(g.command(&["exec", &c.id, "/bin/sleep", "3"]), None)?;
        std::thread::sleep(Duration::from_micros(step * step * 100));
        running.child.kill()?;
        running.child.wait()?;
    }
    c.expect("running")?;
    c.exec(&[], &["/bin/true"])?.success()?;
    c.call("delete", &["--force"])?.success()?;
    nothing_left(g, &c)
}

fn a_container_whose_root_filesystem_vanished_can_be_deleted(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    std::fs::remove_dir_all(&c.bundle.dir)?;
    c.stop()?;
    c.delete()?.success().map(drop)
}

fn a_container_whose_cgroup_vanished_can_be_deleted(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    for dir in g.host.cgroup_dirs(c.bundle.cgroups_path()) {
        eventually("the cgroup is empty", || Ok(host::remove_cgroup(&dir).ok()))?;
    }
    c.delete()?.success().map(drop)
}

fn a_leftover_state_directory_is_removed_by_forced_delete(g: &Ground) -> Result<()> {
    let id = g.id();
    std::fs::create_dir_all(g.root.join(&id))?;
    g.call(&["delete", "--force", &id])?.success()?;
    ensure!(!g.root.join(&id).exists(), "the directory is there");
    Ok(())
}

fn state_file(c: &Container) -> PathBuf {
    c.ground.root.join(&c.id).join("state.json")
}

/// Writes another state, calls `body`, and puts the first one back so that the container can be deleted.
fn with_state(c: &Container, text: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = std::fs::read(state_file(c)).context("state.json")?;
    std::fs::write(state_file(c), text)?;
    let result = body();
    std::fs::write(state_file(c), before)?;
    result
}

fn a_truncated_state_is_an_error(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let text = std::fs::read_to_string(state_file(&c))?;
    for length in [0, 1, text.len() / 2, text.len() - 2] {
        with_state(&c, &text[..length], || {
            for command in ["state", "pause", "start"] {
                let output = c.call(command, &[])?;
                ensure!(output.code == 1, "{length} bytes: {output}");
            }
            Ok(())
        })?;
    }
    c.expect("running")
}

fn state_of_the_wrong_shape_is_an_error(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    for text in ["[]", "7", "\"x\"", "banana", &format!("{{\"id\":{deep}}}")] {
        with_state(&c, text, || {
            let output = c.kill("KILL")?;
            ensure!(output.code == 1, "{output}");
            Ok(())
        })?;
    }
    c.expect("running")
}

/// Replaces every number that equals `from` in a JSON value.
fn replace_number(value: &mut Value, from: i64, to: i64) -> usize {
    match value {
        Value::Number(number) if number.as_i64() == Some(from) => {
            *value = json!(to);
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| replace_number(item, from, to)).sum(),
        Value::Object(map) => map.values_mut().map(|item| replace_number(item, from, to)).sum(),
        _ => 0,
    }
}

fn another_pid(c: &Container, body: impl FnOnce(i32) -> Result<()>) -> Result<()> {
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn()?;
    let pid = bystander.id().cast_signed();
    let mut state: Value = serde_json::from_slice(&std::fs::read(state_file(c))?)?;
    let replaced = replace_number(&mut state, i64::from(c.pid()?), i64::from(pid));
    let result = if replaced == 0 {
        Err(anyhow::anyhow!("the state does not hold the pid"))
    } else {
        with_state(c, &state.to_string(), || body(pid))
    };
    let alive = host::is_alive(pid);
    bystander.kill()?;
    bystander.wait()?;
    result?;
    ensure!(alive, "the bystander was signalled");
    Ok(())
}

fn a_tampered_pid_is_never_signalled(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    another_pid(&c, |_| {
        c.kill("KILL")?;
        c.call("delete", &["--force"])?;
        // The directory must be there for the original state to be put back.
        std::fs::create_dir_all(g.root.join(&c.id))?;
        Ok(())
    })
}

fn a_reused_pid_is_never_signalled(g: &Ground) -> Result<()> {
    // The kernel gave the pid of a dead init to another process: the start times differ.
    let c = g.sleeping(&g.bundle()?)?;
    another_pid(&c, |_| {
        let status = c.status()?;
        same("status", status.as_str(), "stopped")?;
        c.kill("KILL")?.refused("container not running").map(drop)
    })?;
    c.expect("running")
}

fn a_state_directory_that_is_a_symlink_is_refused(g: &Ground) -> Result<()> {
    let (outside, id) = (g.dir.join("outside"), g.id());
    std::fs::create_dir(&outside)?;
    std::fs::write(outside.join("file"), "")?;
    std::fs::create_dir_all(&g.root)?;
    std::os::unix::fs::symlink(&outside, g.root.join(&id))?;
    let bundle = g.bundle()?;
    bundle.write()?;
    let output = g.call(&["create", "--bundle", &bundle.dir.to_string_lossy(), &id])?;
    ensure!(output.code == 1, "{output}");
    g.call(&["delete", "--force", &id])?;
    same("entries outside", std::fs::read_dir(&outside)?.count(), 1)?;
    if g.root.join(&id).is_symlink() {
        std::fs::remove_file(g.root.join(&id))?;
    }
    Ok(())
}

fn processes_that_escaped_the_pid_namespace_of_init_die_with_the_container(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let script = "for n in 1 2 3 4 5; do sh -c 'sleep 1000 & sleep 1000' & done; sleep 1000";
    c.exec(&["--detach"], &["/bin/sh", "-c", script])?.success()?;
    let pids = eventually("many processes", || {
        let pids = g.host.cgroup_processes(c.bundle.cgroups_path());
        Ok((pids.len() > 5).then_some(pids))
    })?;
    c.call("delete", &["--force"])?.success()?;
    ensure!(pids.iter().all(|pid| !host::is_alive(*pid)), "some are still there");
    Ok(())
}

fn an_unmounted_tmpfs_does_not_matter(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        bundle.push(&format!("/process/capabilities/{set}"), json!("CAP_SYS_ADMIN"));
    }
    let c = g.sleeping(&bundle)?;
    c.exec(&[], &["/bin/umount", "-l", "/dev/shm"])?.success()?;
    c.exec(&[], &["/bin/true"])?.success()?;
    c.stop()?;
    c.delete()?.success().map(drop)
}

fn create_works_again_after_a_failed_one(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let mut c = g.container(bundle.args(&["/nosuch"]));
    ensure!(c.run(&[])?.code != 0, "a missing program was run");
    bundle.args(&["/bin/true"]);
    c.bundle = bundle;
    c.run(&[])?.success().map(drop)
}

fn concurrent_lists_never_fail(g: &Ground) -> Result<()> {
    g.sleeping(&g.bundle()?)?;
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/true"]));
    let script = format!(
        "for n in $(seq 8); do $R run --bundle {} {} || exit 9; done & for n in $(seq 40); do $R list -q > /dev/null || exit 3; done; wait $!",
        c.bundle.dir.display(),
        c.id
    );
    c.bundle.write()?;
    g.shell(&script)?.success().map(drop)
}
