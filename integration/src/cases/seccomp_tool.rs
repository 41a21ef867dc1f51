//! `seccomp`: the profile tool, profiles made of what a container calls, and calls seen as they are denied.

use crate::bundle::Bundle;
use crate::case::{Container, Ground, same};
use crate::host;
use crate::process::{DEADLINE, Output, Running, eventually};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

crate::cases! {
    the_profile_tool_is_a_command [CasemateOnly("seccomp")];
    the_profile_of_the_escape_suite_is_the_family_default [CasemateOnly("seccomp")];
    a_recorded_profile_runs_the_program_and_denies_another_call [CasemateOnly("seccomp record")];
    recorded_runs_are_merged [CasemateOnly("seccomp record")];
    recorded_arguments_are_the_only_ones [CasemateOnly("seccomp record")];
    what_is_denied_while_recording_is_told_and_not_allowed [CasemateOnly("seccomp record")];
    the_exit_code_of_a_recording_is_the_programs [CasemateOnly("seccomp record")];
    the_program_of_a_recording_gets_nothing_of_the_recorders [CasemateOnly("seccomp record")];
    a_killed_recorder_leaves_nothing [CasemateOnly("seccomp record")];
    a_denied_call_is_traced_with_its_count [CasemateOnly("seccomp trace")];
    a_call_that_ends_in_sigsys_is_traced [CasemateOnly("seccomp trace")];
    a_container_goes_on_when_its_tracer_is_killed [CasemateOnly("seccomp trace")];
    a_tracer_that_stops_each_call_sees_the_same [CasemateOnly("seccomp trace")];
    what_the_level_denies_is_traced_and_not_recorded [CasemateOnly("seccomp trace")];
    a_container_without_a_filter_is_not_traced [CasemateOnly("seccomp trace")];
}

fn words<'a>(first: &[&'a str], bundle: &'a Path) -> Vec<&'a str> {
    first.iter().copied().chain(["--", bundle.to_str().unwrap_or_default()]).collect()
}

/// Records a bundle; the profile goes to `name` in the case's directory.
fn record(g: &Ground, bundle: &Bundle, name: &str, options: &[&str]) -> Result<(Output, PathBuf)> {
    bundle.write()?;
    let (id, file) = (g.id(), g.dir.join(name));
    let to = file.to_string_lossy().into_owned();
    let first = [&["seccomp", "record", "--id", &id, "-o", &to], options].concat();
    Ok((g.call(&words(&first, &bundle.dir))?, file))
}

fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read \"{}\"", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn names(profile: &Value) -> Vec<String> {
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    let all = rules.flat_map(|rule| rule["names"].as_array().into_iter().flatten());
    all.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn the_program_of_a_recording_gets_nothing_of_the_recorders(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("ls -l /proc/self/fd").write()?;
    let (id, file) = (g.id(), g.dir.join("recorded.json"));
    let options = ["seccomp", "record", "--id", &id, "-o", &file.to_string_lossy(), "--"].map(str::to_owned);
    let mut call = g.command(&options.iter().map(String::as_str).collect::<Vec<_>>());
    // Nobody has opened it: it is the number that the first of the recorder's own files would get.
    call.arg(&bundle.dir).env("LISTEN_FDS", "1");
    let output = g.recorder.run(call)?;
    ensure!(!output.says("recorded.json") && !output.says("pipe:["), "{output}");
    output.refused("not open").map(drop)
}

/// What a program prints under a profile.
fn under(g: &Ground, bundle: &Bundle, profile: &Path, args: &[&str]) -> Result<Output> {
    let mut bundle = bundle.clone();
    g.run(bundle.set("/linux/seccomp", read(profile)?).args(args))
}

fn the_profile_of_the_escape_suite_is_the_family_default(g: &Ground) -> Result<()> {
    let file = g.dir.join("suite.json");
    std::fs::write(&file, crate::escape::PROFILE)?;
    let file = file.to_string_lossy();
    // Exit code 1 would be differences, for the capabilities of Docker, which are the tool's own default.
    g.call(&["seccomp", "diff", &file, "default"])?.exits(0)?;
    g.call(&["seccomp", "diff", &file, "restricted"])?.exits(1).map(drop)
}

fn the_profile_tool_is_a_command(g: &Ground) -> Result<()> {
    let list = g.call(&["seccomp", "list"])?.success()?;
    ensure!(list.says("restricted"), "{list}");
    let explain = g.call(&["seccomp", "explain", "default", "socket", "38"])?.success()?;
    ensure!(explain.stdout.starts_with("ERRNO"), "{explain}");
    g.call(&["seccomp", "diff", "default", "restricted"])?.exits(1)?;
    g.call(&["seccomp", "lint", "no-such-family"])?.exits(2)?.refused("No such file")?;
    ensure!(g.call(&["seccomp", "nonsense"])?.exits(2)?.says("usage: casemate seccomp list"), "usage");
    ensure!(g.call(&["seccomp", "record", "--help"])?.success()?.says("--merge"), "help");
    Ok(())
}

const TRY_SYSINFO: [&str; 3] = ["/bin/probe", "try", "sysinfo"];
const TRY_MKDIR: [&str; 4] = ["/bin/probe", "try", "mkdir", "/x"];

fn a_recorded_profile_runs_the_program_and_denies_another_call(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let (output, profile) = record(g, bundle.args(&TRY_SYSINFO), "p.json", &[])?;
    same("recorded", output.success()?.stdout.trim(), "ok")?;
    same("default", read(&profile)?["defaultAction"].as_str(), Some("SCMP_ACT_ERRNO"))?;
    let seen = names(&read(&profile)?);
    ensure!(seen.contains(&"sysinfo".into()) && !seen.contains(&"mkdir".into()), "{seen:?}");
    // What init does before the program runs is none of the container's calls.
    for name in ["capset", "mount", "pivot_root", "prctl", "seccomp", "setns"] {
        ensure!(!seen.contains(&name.into()), "{name} is in {seen:?}");
    }
    same("again", under(g, &bundle, &profile, &TRY_SYSINFO)?.success()?.stdout.trim(), "ok")?;
    let other = under(g, &bundle, &profile, &TRY_MKDIR)?;
    ensure!(other.says("os error 1"), "{other}");
    same("without the profile", g.run(bundle.args(&TRY_MKDIR))?.success()?.stdout.trim(), "ok")
}

fn recorded_runs_are_merged(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let (output, first) = record(g, bundle.args(&TRY_SYSINFO), "p.json", &[])?;
    output.success()?;
    let merge = first.to_string_lossy().into_owned();
    let (output, both) = record(g, bundle.args(&TRY_MKDIR), "p.json", &["--merge", &merge])?;
    output.success()?;
    std::fs::remove_dir(bundle.rootfs().join("x"))?;
    for args in [&TRY_SYSINFO[..], &TRY_MKDIR[..]] {
        same("merged", under(g, &bundle, &both, args)?.success()?.stdout.trim(), "ok")?;
    }
    let allows = g.dir.join("allows.json");
    std::fs::write(&allows, r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#)?;
    let allows = allows.to_string_lossy().into_owned();
    let (output, _) = record(g, &bundle, "q.json", &["--merge", &allows])?;
    output.exits(255)?.refused("lets calls through").map(drop)
}

fn recorded_arguments_are_the_only_ones(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let (zero, eight) = (["/bin/probe", "try", "personality", "0"], ["/bin/probe", "try", "personality", "8"]);
    for (options, wanted) in [(&["--arguments"][..], "os error 1"), (&[][..], "ok")] {
        let (output, profile) = record(g, bundle.args(&zero), "p.json", options)?;
        output.success()?;
        same("the same", under(g, &bundle, &profile, &zero)?.success()?.stdout.trim(), "ok")?;
        let other = under(g, &bundle, &profile, &eight)?;
        ensure!(other.says(wanted), "{options:?}: {other}");
    }
    Ok(())
}

fn denying(action: &str) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": action}]})
}

fn what_is_denied_while_recording_is_told_and_not_allowed(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/seccomp", denying("SCMP_ACT_ERRNO")).args(&TRY_MKDIR);
    let (output, profile) = record(g, &bundle, "p.json", &[])?;
    ensure!(output.stderr.contains("denied") && output.stderr.contains("mkdir"), "{output}");
    ensure!(!names(&read(&profile)?).iter().any(|name| name.starts_with("mkdir")), "mkdir is allowed");
    // The call's own failure is not the filter's: the directory cannot be made twice.
    let mut free = g.bundle()?;
    let script = "mkdir /x; mkdir /x; true";
    let (output, profile) = record(g, free.sh(script), "q.json", &[])?;
    ensure!(!output.success()?.stderr.contains("denied"), "denied");
    ensure!(names(&read(&profile)?).iter().any(|name| name.starts_with("mkdir")), "mkdir is not allowed");
    Ok(())
}

fn the_exit_code_of_a_recording_is_the_programs(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    record(g, bundle.sh("exit 7"), "p.json", &[])?.0.exits(7)?;
    record(g, bundle.args(&["/nosuch"]), "p.json", &[])?.0.exits(255)?.refused("no such file or directory").map(drop)
}

fn a_killed_recorder_leaves_nothing(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]).write()?;
    let c = g.container(&bundle);
    let first = ["seccomp", "record", "--id", &c.id, "-o", "/dev/null"];
    let recorder = g.recorder.start(g.command(&words(&first, &bundle.dir)), None)?;
    running(&c)?;
    recorder.signal(Signal::KILL)?;
    recorder.wait(DEADLINE)?.exits(137)?;
    eventually("the container is gone", || Ok((c.call("state", &[])?.code != 0).then_some(())))?;
    same("processes", g.host.cgroup_processes(bundle.cgroups_path()), Vec::<i32>::new())?;
    ensure!(g.host.cgroup_dirs(bundle.cgroups_path()).is_empty(), "cgroups are left");
    // Its twin ends by itself, and the guard with it.
    let ended = g.recorder.start(g.command(&words(&first, &bundle.dir)), None)?;
    running(&c)?;
    ended.signal(Signal::TERM)?;
    // The signal goes to sleep, which is the first process of its namespace and does not care.
    c.kill("KILL")?.success()?;
    ended.wait(DEADLINE)?.exits(137).map(drop)
}

fn running(c: &Container) -> Result<()> {
    eventually("the container runs", || {
        let state = c.call("state", &[])?;
        Ok((state.code == 0 && state.json()?["status"] == "running").then_some(()))
    })?;
    c.wait_for_program()
}

/// Starts `trace` and waits until it watches.
fn trace(c: &Container, options: &[&str]) -> Result<Running> {
    let args = [&["seccomp", "trace"], options, &[&c.id]].concat();
    let tracer = c.ground.recorder.start(c.ground.command(&args), None)?;
    eventually("the tracer watches", || Ok(tracer.stdout()?.contains("watching").then_some(())))?;
    Ok(tracer)
}

fn a_denied_call_is_traced_with_its_count(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.sleeping(bundle.set("/linux/seccomp", denying("SCMP_ACT_ERRNO")))?;
    let tracer = trace(&c, &[])?;
    for _ in 0..3 {
        ensure!(c.exec(&[], &TRY_MKDIR)?.says("os error 1"), "mkdir is allowed");
    }
    // Allowed, and failing with the same errno: not the filter's doing.
    c.exec(&[], &["/bin/probe", "try", "mount-nothing"])?;
    eventually("the line", || Ok(tracer.stdout()?.contains("probe: mkdir").then_some(())))?;
    tracer.signal(Signal::INT)?;
    let output = tracer.wait(DEADLINE)?.success()?;
    let line = output.stdout.lines().find(|line| line.contains("3 pids")).context("no line with the pids")?;
    ensure!(line.starts_with('3') && line.contains("probe") && line.contains("mkdir"), "{output}");
    ensure!(!output.says("mount("), "{output}");
    let quiet = g.call(&["seccomp", "trace", "--duration", "300ms", "--format", "json", &c.id])?.success()?.json()?;
    same("nothing happens", quiet["denied"].clone(), json!([]))?;
    c.expect("running")
}

fn a_call_that_ends_in_sigsys_is_traced(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.sleeping(bundle.set("/linux/seccomp", denying("SCMP_ACT_KILL_PROCESS")))?;
    let tracer = trace(&c, &[])?;
    c.exec(&[], &TRY_MKDIR)?.exits(159)?;
    c.exec(&[], &TRY_SYSINFO)?.success()?;
    tracer.signal(Signal::INT)?;
    let output = tracer.wait(DEADLINE)?.success()?;
    ensure!(output.says("SIGSYS") && output.says("mkdir") && !output.says("sysinfo"), "{output}");
    Ok(())
}

fn a_container_goes_on_when_its_tracer_is_killed(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/seccomp", denying("SCMP_ACT_ERRNO"));
    let c = g.sleeping(&bundle)?;
    let pid = c.pid()?;
    let filters = host::status(pid, "Seccomp_filters")?;
    let tracer = trace(&c, &[])?;
    tracer.signal(Signal::KILL)?;
    tracer.wait(DEADLINE)?.exits(137)?;
    c.expect("running")?;
    same("the process", c.pid()?, pid)?;
    same("filters", host::status(pid, "Seccomp_filters")?, filters)?;
    same("tracer", host::status(pid, "TracerPid")?.as_str(), "0")?;
    ensure!(c.exec(&[], &TRY_MKDIR)?.says("os error 1"), "mkdir is allowed");
    same("another call", c.exec(&[], &TRY_SYSINFO)?.success()?.stdout.trim(), "ok")
}

fn a_tracer_that_stops_each_call_sees_the_same(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/seccomp", denying("SCMP_ACT_ERRNO"));
    let c = g.container(bundle.sh("while :; do mkdir /x; mount -t proc none /x; sleep 0.05; done"));
    c.create(&[])?.success()?;
    c.start()?.success()?;
    c.wait_for_program()?;
    let tracer = trace(&c, &["--method", "ptrace"])?;
    eventually("the line", || Ok(tracer.stdout()?.contains("mkdir: mkdir").then_some(())))?;
    tracer.signal(Signal::INT)?;
    let output = tracer.wait(DEADLINE)?.success()?;
    ensure!(output.says("mkdir(") && !output.says("mount("), "{output}");
    // A killed one lets go.
    let tracer = trace(&c, &["--method", "ptrace"])?;
    same("traced", host::status(c.pid()?, "TracerPid")?.as_str() != "0", true)?;
    tracer.signal(Signal::KILL)?;
    tracer.wait(DEADLINE)?.exits(137)?;
    same("tracer", host::status(c.pid()?, "TracerPid")?.as_str(), "0")?;
    let again = trace(&c, &[])?;
    eventually("it goes on", || Ok(again.stdout()?.contains("mkdir: mkdir").then_some(())))?;
    again.signal(Signal::INT)?;
    again.wait(DEADLINE)?.success()?;
    c.expect("running")
}

fn what_the_level_denies_is_traced_and_not_recorded(g: &Ground) -> Result<()> {
    g.level(Some("baseline"));
    let mut bundle = g.bundle()?;
    let c = g.sleeping(&bundle)?;
    let tracer = trace(&c, &[])?;
    c.exec(&[], &["/bin/probe", "try", "mount-nothing"])?;
    eventually("the line", || Ok(tracer.stdout()?.contains("probe: mount(").then_some(())))?;
    tracer.signal(Signal::INT)?;
    tracer.wait(DEADLINE)?.success()?;
    c.stop()?;
    let mut other = g.bundle()?;
    let (output, profile) = record(g, other.args(&["/bin/probe", "try", "mount", "/proc"]), "p.json", &[])?;
    ensure!(output.stderr.contains("mount("), "{output}");
    ensure!(!names(&read(&profile)?).contains(&"mount".into()), "mount is allowed");
    bundle.args(&TRY_SYSINFO);
    let (output, profile) = record(g, &bundle, "q.json", &[])?;
    output.success()?;
    same("under it", under(g, &bundle, &profile, &TRY_SYSINFO)?.success()?.stdout.trim(), "ok")
}

fn a_container_without_a_filter_is_not_traced(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    g.call(&["seccomp", "trace", "--duration", "1s", &c.id])?.exits(2)?.refused("no seccomp filter")?;
    c.stop()?;
    g.call(&["seccomp", "trace", "--duration", "1s", &c.id])?.exits(2)?.refused("not running").map(drop)
}
