//! Hooks: which run when, with what, in which namespaces, and what their failure does.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::host;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;

const ALL: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

crate::cases! {
    every_hook_runs_once;
    hooks_run_before_create_returns_at_start_and_at_delete [Differs("poststart hooks run after the start, not at create")];
    hooks_of_one_kind_run_in_the_order_listed;
    hooks_receive_the_state_on_standard_input;
    the_state_a_hook_sees_has_the_right_status;
    the_state_a_poststart_hook_sees_is_running [Differs("poststart hooks run after the start, not at create")];
    hooks_have_exactly_the_environment_configured;
    hooks_have_the_arguments_configured;
    runtime_hooks_run_in_the_runtimes_namespaces;
    container_hooks_run_in_the_containers_namespaces;
    a_hook_can_add_a_mount_before_the_pivot;
    start_container_hooks_run_inside_the_root;
    a_failing_create_hook_fails_create_and_leaves_nothing;
    a_failing_create_hook_still_runs_poststop [Differs("poststop runs after a failed create")];
    a_failing_start_container_hook_stops_the_container;
    a_failing_poststart_hook_ends_the_container [Differs("a failed poststart hook ends the container")];
    a_failing_poststop_hook_does_not_stop_the_others [Differs("the remaining poststop hooks run")];
    a_failing_poststop_hook_does_not_keep_the_container;
    a_hook_that_exceeds_its_timeout_is_killed;
    a_hooks_children_do_not_outlast_its_timeout [Differs("the hook's whole process group is killed")];
    a_timeout_of_zero_is_refused_before_anything_happens [Differs("a timeout must be positive")];
    a_relative_hook_path_is_refused_before_anything_happens [Differs("a hook's path must be absolute")];
    a_missing_hook_is_named;
    hooks_do_not_inherit_descriptors;
}

struct Hooks {
    bundle: Bundle,
    log: PathBuf,
}

impl Hooks {
    fn new(g: &Ground) -> Result<Self> {
        let mut bundle = g.bundle()?;
        let log = g.dir.join("hook-log");
        std::fs::write(&log, "")?;
        // startContainer hooks run inside: the same file is there under the same name.
        bundle.bind(&log, &log.to_string_lossy(), &["bind"]);
        Ok(Self { bundle, log })
    }

    fn add(&mut self, kind: &str, script: &str) -> &mut Self {
        let script = script.replace("LOG", &self.log.to_string_lossy());
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]});
        self.push(kind, hook)
    }

    fn push(&mut self, kind: &str, hook: Value) -> &mut Self {
        self.bundle.push(&format!("/hooks/{kind}"), hook);
        self
    }

    fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }
}

fn with_every_hook(g: &Ground) -> Result<Hooks> {
    let mut hooks = Hooks::new(g)?;
    for kind in ALL {
        hooks.add(kind, &format!("echo {kind} >> LOG"));
    }
    hooks.bundle.args(&["/bin/sleep", "1000"]);
    Ok(hooks)
}

fn every_hook_runs_once(g: &Ground) -> Result<()> {
    let hooks = with_every_hook(g)?;
    let c = g.sleeping(&hooks.bundle)?;
    c.stop()?;
    c.delete()?.success()?;
    let log = hooks.log()?;
    let (mut seen, mut wanted): (Vec<&str>, _) = (log.lines().collect(), ALL.to_vec());
    same("the first three", seen[..3].to_vec(), ALL[..3].to_vec())?;
    same("the last", seen.last(), Some(&"poststop"))?;
    seen.sort_unstable();
    wanted.sort_unstable();
    same("all", seen, wanted)
}

fn hooks_run_before_create_returns_at_start_and_at_delete(g: &Ground) -> Result<()> {
    let hooks = with_every_hook(g)?;
    let c = g.container(&hooks.bundle);
    c.create(&[])?.success()?;
    same("at create", hooks.log()?.lines().collect::<Vec<_>>(), ALL[..3].to_vec())?;
    c.start()?.success()?;
    c.wait_for_program()?;
    same("at start", hooks.log()?.lines().collect::<Vec<_>>(), ALL[..5].to_vec())?;
    c.stop()?;
    same("when stopped", hooks.log()?.lines().count(), 5)?;
    c.delete()?.success()?;
    same("at delete", hooks.log()?.lines().collect::<Vec<_>>(), ALL.to_vec())
}

fn hooks_of_one_kind_run_in_the_order_listed(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    for n in 1..=3 {
        hooks.add("createRuntime", &format!("echo {n} >> LOG"));
    }
    g.run(&hooks.bundle)?.success()?;
    same("order", hooks.log()?.as_str(), "1\n2\n3\n")
}

fn hooks_receive_the_state_on_standard_input(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.bundle.set("/annotations", json!({"key": "value"}));
    hooks.add("createRuntime", "cat >> LOG");
    let c = g.container(&hooks.bundle);
    c.create(&[])?.success()?;
    let state: Value = serde_json::from_str(&hooks.log()?)?;
    same("id", state["id"].as_str(), Some(c.id.as_str()))?;
    same("pid", state["pid"].as_i64(), Some(i64::from(c.pid()?)))?;
    same("bundle", state["bundle"].as_str(), Some(&*c.bundle.dir.to_string_lossy()))?;
    same("annotation", state["annotations"]["key"].as_str(), Some("value"))?;
    ensure!(state["ociVersion"].is_string(), "no ociVersion");
    Ok(())
}

/// The status in the state that a hook of each kind has read.
fn statuses(g: &Ground) -> Result<std::collections::BTreeMap<String, String>> {
    let mut hooks = Hooks::new(g)?;
    for kind in ALL {
        hooks.add(kind, &format!("echo {kind} $(tr -d ' \\n' | sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/') >> LOG"));
    }
    g.run(&hooks.bundle)?.success()?;
    let log = hooks.log()?;
    Ok(log.lines().filter_map(|line| line.split_once(' ')).map(|(kind, status)| (kind.into(), status.into())).collect())
}

fn the_state_a_hook_sees_has_the_right_status(g: &Ground) -> Result<()> {
    let seen = statuses(g)?;
    for kind in &ALL[..3] {
        same(kind, seen[*kind].as_str(), "creating")?;
    }
    same("startContainer", seen["startContainer"].as_str(), "created")?;
    same("poststop", seen["poststop"].as_str(), "stopped")
}

fn the_state_a_poststart_hook_sees_is_running(g: &Ground) -> Result<()> {
    // The program may have ended by the time the hook reads, but not by the time the state was made.
    same("poststart", statuses(g)?["poststart"].as_str(), "running")
}

fn hooks_have_exactly_the_environment_configured(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    let script = format!("/usr/bin/env >> {}", hooks.log.display());
    hooks.push("createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["ONLY=this"]}));
    g.run(&hooks.bundle)?.success()?;
    let log = hooks.log()?;
    // The shell itself adds PWD, OLDPWD, SHLVL and _.
    let own = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let seen: Vec<&str> = log.lines().filter(|line| !own.iter().any(|name| line.starts_with(name))).collect();
    same("environment", seen, vec!["ONLY=this"])
}

fn hooks_have_the_arguments_configured(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    let script = format!("echo \"$0 $1 $2\" >> {}", hooks.log.display());
    hooks.push("createRuntime", json!({"path": "/bin/sh", "args": ["anything", "-c", script, "zero", "a b", "c"]}));
    g.run(&hooks.bundle)?.success()?;
    same("arguments", hooks.log()?.as_str(), "zero a b c\n")
}

fn namespaces_seen(g: &Ground, kind: &str) -> Result<(String, String, i32)> {
    let mut hooks = Hooks::new(g)?;
    hooks.add(kind, "cat > /dev/null; readlink /proc/self/ns/mnt >> LOG; readlink /proc/self/ns/net >> LOG");
    let c = g.sleeping(&hooks.bundle)?;
    let log = hooks.log()?;
    let mut lines = log.lines().map(str::to_owned);
    Ok((lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), c.pid()?))
}

fn runtime_hooks_run_in_the_runtimes_namespaces(g: &Ground) -> Result<()> {
    for kind in ["prestart", "createRuntime", "poststart"] {
        let (mount, network, _) = namespaces_seen(g, kind)?;
        same(kind, (mount, network), (host::link("self", "ns/mnt")?, host::link("self", "ns/net")?))?;
    }
    Ok(())
}

fn container_hooks_run_in_the_containers_namespaces(g: &Ground) -> Result<()> {
    for kind in ["createContainer", "startContainer"] {
        let (mount, network, pid) = namespaces_seen(g, kind)?;
        same(kind, (mount, network), (host::link(pid, "ns/mnt")?, host::link(pid, "ns/net")?))?;
    }
    Ok(())
}

fn a_hook_can_add_a_mount_before_the_pivot(g: &Ground) -> Result<()> {
    // As hooks for graphics cards do: from the container's mount namespace, below the root's path on the host.
    let mut hooks = Hooks::new(g)?;
    let source = g.dir.join("driver");
    std::fs::write(&source, "driver\n")?;
    let target = hooks.bundle.rootfs().join("driver");
    std::fs::write(&target, "")?;
    hooks.add("createContainer", &format!("mount --bind {} {}", source.display(), target.display()));
    hooks.bundle.sh("cat /driver");
    same("content", g.run(&hooks.bundle)?.success()?.stdout.as_str(), "driver\n")
}

fn start_container_hooks_run_inside_the_root(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.push("startContainer", json!({"path": "/bin/touch", "args": ["touch", "/made-by-hook"]}));
    g.run(&hooks.bundle)?.success()?;
    ensure!(hooks.bundle.rootfs().join("made-by-hook").exists(), "not made");
    Ok(())
}

fn a_failing_create_hook_fails_create_and_leaves_nothing(g: &Ground) -> Result<()> {
    for kind in &ALL[..3] {
        let mut hooks = Hooks::new(g)?;
        hooks.add(kind, "echo the reason >&2; exit 3").add(kind, "echo second >> LOG");
        let c = g.container(&hooks.bundle);
        c.create(&[])?.refused("hook")?.exits(1)?;
        c.call("state", &[])?.refused("does not exist")?;
        same("the second hook", hooks.log()?.as_str(), "")?;
        same("cgroups", g.host.cgroup_dirs(hooks.bundle.cgroups_path()).len(), 0)?;
    }
    Ok(())
}

fn a_failing_create_hook_still_runs_poststop(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.add("createRuntime", "exit 3").add("poststop", "echo poststop >> LOG");
    g.container(&hooks.bundle).create(&[])?.refused("hook")?;
    same("log", hooks.log()?.as_str(), "poststop\n")
}

fn a_failing_start_container_hook_stops_the_container(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.push("startContainer", json!({"path": "/bin/false", "args": ["false"]}));
    hooks.bundle.args(&["/bin/touch", "/ran"]);
    let c = g.container(&hooks.bundle);
    c.create(&[])?.success()?;
    c.start()?;
    crate::process::eventually("stopped or gone", || {
        let state = c.call("state", &[])?;
        Ok((state.says("\"stopped\"") || state.says("does not exist")).then_some(()))
    })?;
    ensure!(!hooks.bundle.rootfs().join("ran").exists(), "the program ran");
    Ok(())
}

fn a_failing_poststart_hook_ends_the_container(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.add("poststart", "exit 3").add("poststop", "echo poststop >> LOG");
    hooks.bundle.args(&["/bin/sleep", "1000"]);
    let c = g.container(&hooks.bundle);
    c.create(&[])?.success()?;
    let pid = c.pid()?;
    c.start()?.refused("hook")?.exits(1)?;
    ensure!(!host::is_alive(pid), "the program is still there");
    same("log", hooks.log()?.as_str(), "poststop\n")
}

fn a_failing_poststop_hook_does_not_stop_the_others(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.add("poststop", "exit 3").add("poststop", "echo second >> LOG");
    let c = g.sleeping(&hooks.bundle)?;
    c.stop()?;
    c.delete()?.success()?;
    same("log", hooks.log()?.as_str(), "second\n")
}

fn a_failing_poststop_hook_does_not_keep_the_container(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.add("poststop", "exit 3");
    let c = g.sleeping(&hooks.bundle)?;
    c.call("delete", &["--force"])?;
    c.call("state", &[])?.refused("does not exist")?;
    same("cgroups", g.host.cgroup_dirs(hooks.bundle.cgroups_path()).len(), 0)
}

fn timed_out(g: &Ground, script: &str) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    let script = script.replace("LOG", &hooks.log.to_string_lossy());
    hooks.push("createRuntime", json!({"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1}));
    g.container(&hooks.bundle).create(&[])?.refused("hook")?;
    same("log", hooks.log()?.as_str(), "begin\n")
}

fn a_hook_that_exceeds_its_timeout_is_killed(g: &Ground) -> Result<()> {
    timed_out(g, "echo begin >> LOG; exec sleep 1000")
}

fn a_hooks_children_do_not_outlast_its_timeout(g: &Ground) -> Result<()> {
    timed_out(g, "echo begin >> LOG; sleep 1000; echo end >> LOG")
}

fn refused_up_front(g: &Ground, hook: Value) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.add("createRuntime", "echo side effect >> LOG").push("poststart", hook);
    hooks.bundle.args(&["/bin/touch", "/ran"]);
    g.run(&hooks.bundle)?.refused("hook")?.exits(1)?;
    same("side effects", hooks.log()?.as_str(), "")?;
    ensure!(!hooks.bundle.rootfs().join("ran").exists(), "the program ran");
    Ok(())
}

fn a_timeout_of_zero_is_refused_before_anything_happens(g: &Ground) -> Result<()> {
    refused_up_front(g, json!({"path": "/bin/true", "timeout": 0}))?;
    refused_up_front(g, json!({"path": "/bin/true", "timeout": -1}))
}

fn a_relative_hook_path_is_refused_before_anything_happens(g: &Ground) -> Result<()> {
    refused_up_front(g, json!({"path": "bin/true"}))
}

fn a_missing_hook_is_named(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.push("createRuntime", json!({"path": "/nosuch/hook"}));
    g.run(&hooks.bundle)?.refused("/nosuch/hook")?.refused("no such file or directory").map(drop)
}

fn hooks_do_not_inherit_descriptors(g: &Ground) -> Result<()> {
    let mut hooks = Hooks::new(g)?;
    hooks.add("createRuntime", "ls /proc/self/fd >> LOG");
    hooks.bundle.write()?;
    g.shell(&format!("exec $R run --bundle {} {} 7< / 9< /etc", hooks.bundle.dir.display(), g.id()))?.success()?;
    // ls has its own descriptor for the directory: 3, and the shell's redirection is descriptor 1.
    let log = hooks.log()?;
    let seen: Vec<&str> = log.lines().collect();
    same("descriptors", seen, vec!["0", "1", "2", "3"])
}
