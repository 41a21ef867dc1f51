//! pause and resume.

use crate::case::Ground;
use crate::host;
use crate::process::eventually;
use anyhow::Result;

crate::cases! {
    pause_freezes_every_process_and_resume_thaws;
    resume_of_a_running_container_is_refused;
    pause_of_a_stopped_container_is_refused;
    exec_in_a_paused_container_is_refused;
    exec_ignore_paused_waits_for_the_thaw;
    kill_of_a_paused_container_returns_at_once;
    sigkill_of_a_paused_container_ends_it;
    delete_of_a_paused_container_is_refused;
    forced_delete_of_a_paused_container_succeeds;
    start_of_a_paused_container_is_refused;
    state_and_list_say_paused;
    pause_of_a_created_container_is_accepted;
    a_container_that_the_v1_freezer_holds_is_paused [Needs(CgroupV1), Differs("on a hybrid host both freezers count")];
    create_into_a_frozen_cgroup_does_not_hang [Needs(CgroupV1)];
}

fn ticking<'a>(g: &'a Ground) -> Result<crate::case::Container<'a>> {
    let mut bundle = g.bundle()?;
    let c = g.container(
        bundle.sh("trap 'touch /term' TERM; n=0; while :; do n=$((n+1)); echo $n > /tick; sleep 0.01; done"),
    );
    c.create(&[])?.success()?;
    c.start()?.success()?;
    tick_moves(&c)?;
    Ok(c)
}

fn tick(c: &crate::case::Container) -> String {
    std::fs::read_to_string(c.bundle.rootfs().join("tick")).unwrap_or_default()
}

fn tick_moves(c: &crate::case::Container) -> Result<()> {
    let before = tick(c);
    eventually("the program is running", || {
        let now = tick(c);
        Ok((!now.is_empty() && now != before).then_some(()))
    })
}

fn pause_freezes_every_process_and_resume_thaws(g: &Ground) -> Result<()> {
    let c = ticking(g)?;
    c.call("pause", &[])?.success()?;
    c.expect("paused")?;
    let before = tick(&c);
    std::thread::sleep(std::time::Duration::from_millis(200));
    crate::case::same("tick", tick(&c), before)?;
    c.call("resume", &[])?.success()?;
    c.expect("running")?;
    tick_moves(&c)
}

fn a_container_that_the_v1_freezer_holds_is_paused(g: &Ground) -> Result<()> {
    let c = ticking(g)?;
    let state = g.host.cgroup_file("freezer", c.bundle.cgroups_path(), "freezer.state")?;
    std::fs::write(&state, "FROZEN")?;
    c.expect("paused")?;
    // What joined it would not return.
    c.exec(&[], &["/bin/true"])?.refused("paused")?;
    c.call("resume", &[])?.success()?;
    tick_moves(&c)?;
    std::fs::write(&state, "FROZEN")?;
    c.kill("KILL")?.success()?;
    c.wait_until("stopped")
}

fn resume_of_a_running_container_is_refused(g: &Ground) -> Result<()> {
    g.sleeping(&g.bundle()?)?.call("resume", &[])?.refused("container not paused")?.exits(1).map(drop)
}

fn pause_of_a_stopped_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    c.call("pause", &[])?.refused("container not running")?.exits(1).map(drop)
}

fn exec_in_a_paused_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call("pause", &[])?.success()?;
    let text = "cannot exec in a paused container (use --ignore-paused to override)";
    c.exec(&[], &["/bin/true"])?.exits(255)?.refused(text)?;
    c.call("resume", &[])?.success()?;
    c.exec(&[], &["/bin/true"])?.success().map(drop)
}

fn exec_ignore_paused_waits_for_the_thaw(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call("pause", &[])?.success()?;
    let running = g.recorder.start(g.command(&["exec", "--ignore-paused", &c.id, "/bin/true"]), None)?;
    c.call("resume", &[])?.success()?;
    running.wait(crate::process::DEADLINE)?.success().map(drop)
}

fn kill_of_a_paused_container_returns_at_once(g: &Ground) -> Result<()> {
    let c = ticking(g)?;
    c.call("pause", &[])?.success()?;
    c.kill("TERM")?.success()?;
    c.expect("paused")?;
    c.call("resume", &[])?.success()?;
    eventually("the signal arrives after the thaw", || Ok(c.bundle.rootfs().join("term").exists().then_some(())))
}

fn sigkill_of_a_paused_container_ends_it(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let pid = c.pid()?;
    c.call("pause", &[])?.success()?;
    c.kill("9")?.success()?;
    eventually("init is gone", || Ok((!host::is_alive(pid)).then_some(())))?;
    c.wait_until("stopped")
}

fn delete_of_a_paused_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call("pause", &[])?.success()?;
    c.delete()?.refused("that is not stopped: paused")?.exits(1).map(drop)
}

fn forced_delete_of_a_paused_container_succeeds(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let pid = c.pid()?;
    c.call("pause", &[])?.success()?;
    c.call("delete", &["--force"])?.success()?;
    anyhow::ensure!(!host::is_alive(pid), "init is still there");
    Ok(())
}

fn start_of_a_paused_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call("pause", &[])?.success()?;
    c.start()?.refused("cannot start a container in the paused state")?.exits(1).map(drop)
}

fn state_and_list_say_paused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call("pause", &[])?.success()?;
    c.expect("paused")?;
    let list = g.call(&["list", "--format", "json"])?.success()?.json()?;
    crate::case::same("status", list[0]["status"].as_str(), Some("paused"))
}

fn pause_of_a_created_container_is_accepted(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    c.create(&[])?.success()?;
    c.call("pause", &[])?.success()?;
    c.expect("paused")?;
    c.call("resume", &[])?.success().map(drop)
}

fn create_into_a_frozen_cgroup_does_not_hang(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    let dir = g.host.cgroup_file("freezer", bundle.cgroups_path(), "")?;
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("freezer.state"), "FROZEN")?;
    // Refused or thawed; the suite's deadline stands for "does not hang".
    let output = g.container(&bundle).create(&[])?;
    if dir.exists() {
        std::fs::write(dir.join("freezer.state"), "THAWED")?;
        if output.code != 0 {
            host::remove_cgroup(&dir)?;
        }
    }
    anyhow::ensure!(output.code == 0 || output.code == 1, "{output}");
    Ok(())
}
