//! create, start, state, kill, delete: the states a container goes through and the refusals on the way.

use crate::case::{Ground, same};
use crate::host;
use anyhow::{Result, ensure};

crate::cases! {
    create_start_kill_delete_goes_through_every_state;
    state_has_the_fields_engines_read;
    state_of_a_stopped_container_has_pid_0;
    annotations_are_in_the_state;
    create_prints_nothing;
    the_program_does_not_run_before_start;
    changes_of_config_json_after_create_have_no_effect;
    state_of_an_unknown_id_says_it_does_not_exist;
    kill_of_an_unknown_id_says_it_does_not_exist;
    start_of_an_unknown_id_says_it_does_not_exist;
    delete_of_an_unknown_id_says_it_does_not_exist;
    forced_delete_of_an_unknown_id_succeeds_silently;
    delete_of_a_running_container_is_refused;
    delete_of_a_created_container_is_accepted;
    forced_delete_of_a_running_container_kills_it;
    start_of_a_running_container_is_refused;
    start_of_a_stopped_container_is_refused;
    kill_of_a_stopped_container_says_it_is_not_running;
    kill_all_of_a_stopped_container_succeeds;
    create_with_an_id_in_use_is_refused;
    an_id_is_free_again_after_delete;
    kill_takes_names_and_numbers;
    kill_without_a_signal_sends_term;
    kill_of_an_unknown_signal_is_refused;
    signal_0_only_asks;
    signals_reach_the_program;
    kill_reaches_a_created_container;
    a_pid_1_that_died_takes_its_children_along;
    kill_all_reaches_every_process_of_a_shared_pid_namespace;
    forced_delete_clears_a_shared_pid_namespace;
    init_is_a_child_of_the_caller_that_is_a_subreaper;
    a_zombie_init_is_stopped;
    state_survives_the_creator;
    the_state_directory_is_not_readable_by_others;
    concurrent_creates_of_one_id_leave_one_container [Differs("creates of one id are serialised")];
}

fn create_start_kill_delete_goes_through_every_state(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    c.create(&[])?.success()?;
    c.expect("created")?;
    c.start()?.success()?;
    c.expect("running")?;
    c.stop()?;
    c.expect("stopped")?;
    c.delete()?.success()?;
    c.call("state", &[])?.refused("does not exist").map(drop)
}

fn state_has_the_fields_engines_read(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let state = c.state()?;
    same("id", state["id"].as_str(), Some(c.id.as_str()))?;
    same("bundle", state["bundle"].as_str(), Some(&*c.bundle.dir.to_string_lossy()))?;
    same("status", state["status"].as_str(), Some("running"))?;
    ensure!(state["ociVersion"].as_str().is_some_and(|v| v.starts_with("1.")), "ociVersion {}", state["ociVersion"]);
    let created = state["created"].as_str().unwrap_or_default();
    ensure!(created.contains('T') && created.ends_with('Z'), "created \"{created}\" is not RFC 3339 in UTC");
    same("rootfs", state["rootfs"].as_str(), Some(&*c.bundle.rootfs().to_string_lossy()))?;
    same("program", host::command_line(c.pid()?)?, vec!["/bin/sleep".to_owned(), "1000".to_owned()])
}

fn state_of_a_stopped_container_has_pid_0(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    ensure!(c.state()?["pid"] != 0, "a running container has pid 0");
    c.stop()?;
    same("pid", c.state()?["pid"].as_i64(), Some(0))
}

fn annotations_are_in_the_state(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/annotations", serde_json::json!({"org.example.key": "a value", "empty": ""}));
    let c = g.sleeping(&bundle)?;
    let seen = c.state()?["annotations"].clone();
    same("annotation", seen["org.example.key"].as_str(), Some("a value"))?;
    same("empty annotation", seen["empty"].as_str(), Some(""))
}

fn create_prints_nothing(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    let output = c.create(&[])?.success()?;
    same("standard output", output.stdout.as_str(), "")?;
    same("standard error", output.stderr.as_str(), "")
}

fn the_program_does_not_run_before_start(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/touch", "/started"]);
    let c = g.container(&bundle);
    c.create(&[])?.success()?;
    ensure!(!bundle.rootfs().join("started").exists(), "ran at create");
    c.start()?.success()?;
    c.wait_until("stopped")?;
    ensure!(bundle.rootfs().join("started").exists(), "did not run at start");
    Ok(())
}

fn changes_of_config_json_after_create_have_no_effect(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/touch", "/first"]);
    let c = g.container(&bundle);
    c.create(&[])?.success()?;
    bundle.args(&["/bin/touch", "/second"]).write()?;
    c.start()?.success()?;
    c.wait_until("stopped")?;
    let seen = (bundle.rootfs().join("first").exists(), bundle.rootfs().join("second").exists());
    same("first and second", seen, (true, false))
}

fn state_of_an_unknown_id_says_it_does_not_exist(g: &Ground) -> Result<()> {
    g.call(&["state", "nosuch"])?.refused("container does not exist")?.exits(1).map(drop)
}

fn kill_of_an_unknown_id_says_it_does_not_exist(g: &Ground) -> Result<()> {
    g.call(&["kill", "nosuch", "9"])?.refused("container does not exist")?.exits(1).map(drop)
}

fn start_of_an_unknown_id_says_it_does_not_exist(g: &Ground) -> Result<()> {
    g.call(&["start", "nosuch"])?.refused("container does not exist")?.exits(1).map(drop)
}

fn delete_of_an_unknown_id_says_it_does_not_exist(g: &Ground) -> Result<()> {
    g.call(&["delete", "nosuch"])?.refused("container does not exist")?.exits(1).map(drop)
}

fn forced_delete_of_an_unknown_id_succeeds_silently(g: &Ground) -> Result<()> {
    let output = g.call(&["delete", "--force", "nosuch"])?.success()?;
    same("output", (output.stdout.as_str(), output.stderr.as_str()), ("", ""))?;
    g.call(&["delete", "-f", "nosuch"])?.success().map(drop)
}

fn delete_of_a_running_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.delete()?.refused(&format!("cannot delete container {} that is not stopped: running", c.id))?.exits(1)?;
    c.expect("running")
}

fn delete_of_a_created_container_is_accepted(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    c.create(&[])?.success()?;
    let pid = c.pid()?;
    c.delete()?.success()?;
    ensure!(!host::is_alive(pid), "init {pid} is still there");
    Ok(())
}

fn forced_delete_of_a_running_container_kills_it(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let pid = c.pid()?;
    c.call("delete", &["--force"])?.success()?;
    ensure!(!host::is_alive(pid), "init {pid} is still there");
    c.call("state", &[])?.refused("does not exist").map(drop)
}

fn start_of_a_running_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.start()?.refused("cannot start an already running container")?.exits(1).map(drop)
}

fn start_of_a_stopped_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    c.start()?.refused("cannot start a container that has stopped")?.exits(1).map(drop)
}

fn kill_of_a_stopped_container_says_it_is_not_running(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    c.kill("9")?.refused("container not running")?.exits(1).map(drop)
}

fn kill_all_of_a_stopped_container_succeeds(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    g.call(&["kill", "--all", &c.id, "9"])?.success().map(drop)
}

fn create_with_an_id_in_use_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let mut other = g.bundle()?;
    other.args(&["/bin/true"]).write()?;
    let bundle = other.dir.to_string_lossy();
    let refused = g.call(&["create", "--bundle", &bundle, &c.id])?.exits(1)?;
    let words = ["container with given ID already exists", "container with id exists"];
    ensure!(words.iter().any(|text| refused.says(text)), "{refused}");
    c.expect("running")
}

fn an_id_is_free_again_after_delete(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    for _ in 0..3 {
        c.create(&[])?.success()?;
        c.delete()?.success()?;
    }
    Ok(())
}

const TRAPS: &str = "trap 'echo term; exit 7' TERM; trap 'echo usr1 >> /log' USR1; trap 'echo winch >> /log' WINCH; \
    trap 'echo rt >> /log' 35; echo up > /log; while :; do sleep 0.02; done";

fn trapping<'a>(g: &'a Ground) -> Result<crate::case::Container<'a>> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.sh(TRAPS));
    c.create(&[])?.success()?;
    c.start()?.success()?;
    wait_for_log(&c, "up")?;
    Ok(c)
}

fn wait_for_log(c: &crate::case::Container, text: &str) -> Result<()> {
    let log = c.bundle.rootfs().join("log");
    crate::process::eventually(&format!("\"{text}\" in the log"), || {
        Ok(std::fs::read_to_string(&log).is_ok_and(|seen| seen.contains(text)).then_some(()))
    })
}

fn kill_takes_names_and_numbers(g: &Ground) -> Result<()> {
    let c = trapping(g)?;
    for signal in ["USR1", "SIGUSR1", "10"] {
        std::fs::write(c.bundle.rootfs().join("log"), "")?;
        c.kill(signal)?.success()?;
        wait_for_log(&c, "usr1")?;
    }
    for signal in ["WINCH", "SIGWINCH", "28"] {
        std::fs::write(c.bundle.rootfs().join("log"), "")?;
        c.kill(signal)?.success()?;
        wait_for_log(&c, "winch")?;
    }
    Ok(())
}

fn kill_without_a_signal_sends_term(g: &Ground) -> Result<()> {
    let c = trapping(g)?;
    c.call("kill", &[])?.success()?;
    c.wait_until("stopped")
}

fn kill_of_an_unknown_signal_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.kill("BANANA")?.refused("unknown signal \"BANANA\"")?.exits(1)?;
    c.expect("running")
}

fn signal_0_only_asks(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.kill("0")?.success()?;
    c.expect("running")
}

fn signals_reach_the_program(g: &Ground) -> Result<()> {
    let c = trapping(g)?;
    c.kill("35")?.success()?;
    wait_for_log(&c, "rt")?;
    c.kill("TERM")?.success()?;
    c.wait_until("stopped")
}

fn kill_reaches_a_created_container(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    c.create(&[])?.success()?;
    c.kill("KILL")?.success()?;
    c.wait_until("stopped")?;
    c.delete()?.success().map(drop)
}

fn a_pid_1_that_died_takes_its_children_along(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&["--detach"], &["/bin/sleep", "2000"])?.success()?;
    let pids = g.host.cgroup_processes(c.bundle.cgroups_path());
    ensure!(pids.len() == 2, "processes {pids:?}");
    c.stop()?;
    crate::process::eventually("both are gone", || Ok(pids.iter().all(|pid| !host::is_alive(*pid)).then_some(())))
}

fn kill_all_reaches_every_process_of_a_shared_pid_namespace(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.sleeping(bundle.share("pid"))?;
    c.exec(&["--detach"], &["/bin/sleep", "2000"])?.success()?;
    let pids = g.host.cgroup_processes(bundle.cgroups_path());
    ensure!(pids.len() == 2, "processes {pids:?}");
    g.call(&["kill", "--all", &c.id, "9"])?.success()?;
    crate::process::eventually("both are gone", || Ok(pids.iter().all(|pid| !host::is_alive(*pid)).then_some(())))
}

fn forced_delete_clears_a_shared_pid_namespace(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.sleeping(bundle.share("pid"))?;
    c.exec(&["--detach"], &["/bin/sleep", "2000"])?.success()?;
    let pids = g.host.cgroup_processes(bundle.cgroups_path());
    ensure!(pids.len() == 2, "processes {pids:?}");
    c.call("delete", &["--force"])?.success()?;
    ensure!(pids.iter().all(|pid| !host::is_alive(*pid)), "still there");
    Ok(())
}

/// Runs `body` while this process adopts orphans, as a shim does.
fn as_subreaper(body: impl FnOnce() -> Result<()>) -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let result = body();
    rustix::process::set_child_subreaper(None)?;
    result
}

fn wait_for(pid: i32) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(pid);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())?;
    Ok(())
}

fn init_is_a_child_of_the_caller_that_is_a_subreaper(g: &Ground) -> Result<()> {
    as_subreaper(|| {
        let c = g.sleeping(&g.bundle()?)?;
        let pid = c.pid()?;
        same("parent", host::status(pid, "PPid")?, std::process::id().to_string())?;
        c.kill("KILL")?.success()?;
        wait_for(pid)
    })
}

fn a_zombie_init_is_stopped(g: &Ground) -> Result<()> {
    as_subreaper(|| {
        let c = g.sleeping(&g.bundle()?)?;
        let pid = c.pid()?;
        c.kill("KILL")?.success()?;
        crate::process::eventually("a zombie", || Ok(host::status(pid, "State")?.starts_with('Z').then_some(())))?;
        c.expect("stopped")?;
        c.kill("TERM")?.refused("container not running")?;
        c.delete()?.success()?;
        wait_for(pid)
    })
}

fn state_survives_the_creator(g: &Ground) -> Result<()> {
    // The shell that called create is gone when state is asked.
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]).write()?;
    let id = g.id();
    g.shell(&format!("$R create --bundle {} {id}", bundle.dir.display()))?.success()?;
    let state = g.call(&["state", &id])?.success()?.json()?;
    same("status", state["status"].as_str(), Some("created"))
}

fn the_state_directory_is_not_readable_by_others(g: &Ground) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let c = g.sleeping(&g.bundle()?)?;
    let mode = std::fs::metadata(g.root.join(&c.id))?.permissions().mode();
    ensure!(mode & 0o066 == 0, "mode {mode:o}");
    Ok(())
}

fn concurrent_creates_of_one_id_leave_one_container(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    let mut other = g.container(&bundle);
    other.id.clone_from(&c.id);
    other.bundle.dir.clone_from(&bundle.dir);
    let running = (0..4).map(|_| g.recorder.start(c.create_command(&[])?, None)).collect::<Result<Vec<_>>>()?;
    let outputs = running.into_iter().map(|one| one.wait(crate::process::DEADLINE)).collect::<Result<Vec<_>>>()?;
    let created = outputs.iter().filter(|output| output.code == 0).count();
    ensure!(created == 1, "{created} of 4 succeeded: {outputs:?}");
    c.expect("created")
}
