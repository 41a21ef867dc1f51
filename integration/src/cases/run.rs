//! `run`: exit codes, detaching, pid files, standard streams, and what is left when it ends.

use crate::case::{Ground, same};
use crate::host;
use crate::process::{DEADLINE, eventually};
use anyhow::{Context, Result, ensure};

crate::cases! {
    run_hands_on_the_exit_code;
    run_of_a_killed_program_exits_128_and_the_signal;
    run_deletes_the_container_when_it_ends;
    run_keep_leaves_a_stopped_container;
    run_detach_returns_while_the_program_runs;
    run_gives_the_program_its_standard_streams;
    run_forwards_signals;
    run_of_a_very_short_program_never_hangs;
    run_with_no_subreaper_is_accepted_with_one_or_two_dashes;
    run_of_a_missing_program_names_it;
    run_of_a_missing_absolute_program_names_it;
    run_of_a_file_that_is_not_executable_is_permission_denied;
    run_of_a_directory_is_permission_denied;
    run_below_a_file_is_not_a_directory;
    run_finds_the_program_in_the_containers_path;
    run_resolves_a_relative_program_from_cwd;
    the_pid_file_holds_digits_only;
    the_pid_file_is_there_when_create_returns;
    a_failed_create_leaves_nothing;
    a_failed_create_leaves_an_existing_cgroup_alone [Needs(CgroupV1)];
    the_environment_is_exactly_that_of_the_configuration;
    home_is_taken_from_the_containers_passwd;
    home_of_the_configuration_wins;
    the_last_of_two_equal_variables_wins;
    the_arguments_arrive_unchanged;
    the_working_directory_is_made;
    the_bundle_defaults_to_the_current_directory;
}

fn run_hands_on_the_exit_code(g: &Ground) -> Result<()> {
    for code in [0, 1, 7, 126, 127, 255] {
        let mut bundle = g.bundle()?;
        g.run(bundle.sh(&format!("exit {code}")))?.exits(code)?;
    }
    Ok(())
}

fn run_of_a_killed_program_exits_128_and_the_signal(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    let running = c.run_in_background(&[])?;
    eventually("running", || Ok(c.call("state", &[])?.says("\"running\"").then_some(())))?;
    c.kill("KILL")?.success()?;
    running.wait(DEADLINE)?.exits(137).map(drop)
}

fn run_deletes_the_container_when_it_ends(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    c.run(&[])?.success()?;
    c.call("state", &[])?.refused("does not exist")?;
    same("cgroups", g.host.cgroup_dirs(c.bundle.cgroups_path()).len(), 0)
}

fn run_keep_leaves_a_stopped_container(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    c.run(&["--keep"])?.success()?;
    c.expect("stopped")?;
    c.delete()?.success().map(drop)
}

fn run_detach_returns_while_the_program_runs(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    c.run(&["--detach"])?.success()?;
    c.expect("running")
}

fn run_gives_the_program_its_standard_streams(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("cat; echo err >&2").write()?;
    let dir = bundle.dir.to_string_lossy();
    let output = g.call_with(&["run", "--bundle", &dir, &g.id()], "in\n")?.success()?;
    same("streams", (output.stdout.as_str(), output.stderr.as_str()), ("in\n", "err\n"))
}

fn run_forwards_signals(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.sh("trap 'exit 9' TERM; touch /up; while :; do sleep 0.02; done"));
    let running = c.run_in_background(&[])?;
    eventually("the program is up", || Ok(bundle.rootfs().join("up").exists().then_some(())))?;
    running.signal(rustix::process::Signal::TERM)?;
    running.wait(DEADLINE)?.exits(9).map(drop)
}

fn run_of_a_very_short_program_never_hangs(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    for _ in 0..25 {
        g.run(&bundle)?.success()?;
    }
    Ok(())
}

fn run_with_no_subreaper_is_accepted_with_one_or_two_dashes(g: &Ground) -> Result<()> {
    for flag in ["--no-subreaper", "-no-subreaper"] {
        g.container(&g.bundle()?).run(&[flag])?.success()?;
    }
    Ok(())
}

fn run_of_a_missing_program_names_it(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.args(&["nosuchcmd"]))?
        .refused("exec: \"nosuchcmd\": executable file not found in $PATH")?
        .exits(1)
        .map(drop)
}

fn run_of_a_missing_absolute_program_names_it(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let output = g.run(bundle.args(&["/nosuch/program"]))?.refused("no such file or directory")?;
    ensure!(output.says("/nosuch/program"), "does not name it: {output}");
    // podman takes a text with both kinds for a permission problem
    ensure!(!output.says("permission denied") && !output.says("not permitted"), "{output}");
    Ok(())
}

fn run_of_a_file_that_is_not_executable_is_permission_denied(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let output = g.run(bundle.args(&["/etc/passwd"]))?.refused("permission denied")?;
    ensure!(output.says("/etc/passwd"), "does not name it: {output}");
    Ok(())
}

fn run_of_a_directory_is_permission_denied(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.args(&["/tmp"]))?.refused("permission denied").map(drop)
}

fn run_below_a_file_is_not_a_directory(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.args(&["/bin/true/x"]))?.refused("not a directory").map(drop)
}

fn run_finds_the_program_in_the_containers_path(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    std::fs::create_dir(bundle.rootfs().join("opt"))?;
    std::fs::copy(bundle.rootfs().join("bin/probe"), bundle.rootfs().join("opt/only-here"))?;
    bundle.set("/process/env", serde_json::json!(["PATH=/nosuch:/opt"]));
    g.run(bundle.args(&["only-here"]))?.success()?.json()?;
    bundle.set("/process/env", serde_json::json!(["PATH=/bin"]));
    g.run(&bundle)?.refused("exec: \"only-here\": executable file not found in $PATH")?;
    bundle.set("/process/env", serde_json::json!([]));
    g.run(&bundle)?.refused("exec: \"only-here\": executable file not found in $PATH").map(drop)
}

fn run_resolves_a_relative_program_from_cwd(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/cwd", serde_json::json!("/bin")).args(&["./probe"]);
    same("cwd", g.run(&bundle)?.success()?.json()?["cwd"].as_str(), Some("/bin"))
}

fn the_pid_file_holds_digits_only(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    let file = g.dir.join("pid");
    c.run(&["--detach", "--pid-file", &file.to_string_lossy()])?.success()?;
    same("pid file", std::fs::read_to_string(&file)?, c.pid()?.to_string())?;
    let others = std::fs::read_dir(&g.dir)?.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(".pid"));
    same("temporary files", others.count(), 0)
}

fn the_pid_file_is_there_when_create_returns(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    let file = g.dir.join("pid");
    std::fs::write(&file, "12345678 left from an earlier run")?;
    c.create(&["--pid-file", &file.to_string_lossy()])?.success()?;
    same("pid file", std::fs::read_to_string(&file)?, c.pid()?.to_string())
}

fn a_failed_create_leaves_nothing(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind("/nosuch/source".as_ref(), "/mnt", &["bind"]);
    let c = g.container(&bundle);
    let file = g.dir.join("pid");
    c.create(&["--pid-file", &file.to_string_lossy()])?.refused("no such file or directory")?;
    ensure!(!file.exists(), "a pid file");
    ensure!(!g.root.join(&c.id).exists(), "a state directory");
    same("cgroups", g.host.cgroup_dirs(bundle.cgroups_path()).len(), 0)?;
    c.call("state", &[])?.refused("does not exist").map(drop)
}

fn a_failed_create_leaves_an_existing_cgroup_alone(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let parent = g.host.cgroup_file("memory", &g.cgroup, "")?;
    let neighbour = parent.join("neighbour");
    std::fs::create_dir_all(&neighbour)?;
    g.run(bundle.args(&["/nosuch"]))?.refused("no such file or directory")?;
    ensure!(neighbour.is_dir(), "the neighbour is gone");
    host::remove_cgroup(&neighbour)
}

fn env_of(g: &Ground, env: &[&str]) -> Result<Vec<String>> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/env", serde_json::json!(env));
    serde_json::from_value(g.probe(&bundle)?["env"].clone()).context("env")
}

fn the_environment_is_exactly_that_of_the_configuration(g: &Ground) -> Result<()> {
    let env = env_of(g, &["PATH=/bin", "A=b c", "EMPTY=", "HOME=/somewhere"])?;
    same("environment", env, ["PATH=/bin", "A=b c", "EMPTY=", "HOME=/somewhere"].map(str::to_owned).to_vec())
}

fn home_is_taken_from_the_containers_passwd(g: &Ground) -> Result<()> {
    let env = env_of(g, &["PATH=/bin"])?;
    ensure!(env.contains(&"HOME=/root".to_owned()), "{env:?}");
    let mut bundle = g.bundle()?;
    bundle.set("/process/user", serde_json::json!({"uid": 1000, "gid": 1000}));
    let env = g.probe(&bundle)?["env"].to_string();
    ensure!(env.contains("HOME=/home/alice"), "{env}");
    bundle.set("/process/user", serde_json::json!({"uid": 4321, "gid": 1000}));
    let env = g.probe(&bundle)?["env"].to_string();
    ensure!(env.contains("\"HOME=/\""), "{env}");
    Ok(())
}

fn home_of_the_configuration_wins(g: &Ground) -> Result<()> {
    let env = env_of(g, &["HOME=/elsewhere", "PATH=/bin"])?;
    let homes = env.iter().filter(|v| v.starts_with("HOME=")).collect::<Vec<_>>();
    same("HOME", homes, vec!["HOME=/elsewhere"])
}

fn the_last_of_two_equal_variables_wins(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/env", serde_json::json!(["PATH=/bin", "A=1", "A=2"]));
    same("A", g.run(bundle.sh("echo $A"))?.success()?.stdout.as_str(), "2\n")
}

fn the_arguments_arrive_unchanged(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let args = ["two words", "", "--flag", "quote\"'", "ünïcode", "new\nline"];
    bundle.args(&[&["/bin/probe"][..], &args].concat());
    let seen: Vec<String> = serde_json::from_value(g.run(&bundle)?.success()?.json()?["args"].clone())?;
    same("arguments", seen, args.map(str::to_owned).to_vec())
}

fn the_working_directory_is_made(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/cwd", serde_json::json!("/not/there/yet"));
    same("cwd", g.probe(&bundle)?["cwd"].as_str(), Some("/not/there/yet"))
}

fn the_bundle_defaults_to_the_current_directory(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("exit 5").write()?;
    let mut command = g.command(&["run", &g.id()]);
    command.current_dir(&bundle.dir);
    g.recorder.run(command)?.exits(5).map(drop)
}
