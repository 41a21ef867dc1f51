//! What is too much, too long or never ends: the runtime must come through it, and be able to end it.

use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::scene::{RAN, Scene};
use crate::escape::way::Way;
use crate::process::{DEADLINE, Output, eventually};
use crate::{holds, host};
use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;
use std::process::{Child, Stdio};

crate::checks! {
    "E6" output_that_nobody_reads_does_not_hold_up_kill_and_delete;
    "E6" output_of_an_exec_that_nobody_reads_does_not_hold_up_kill_and_delete;
    "E7" an_id_of_a_hundred_kilobytes_is_refused;
    "E7" an_annotation_of_a_mebibyte_does_no_harm;
    "E8" ten_thousand_mounts_do_no_harm;
    "E9" a_hook_beyond_its_timeout_ends_with_its_children [Own("the hook's whole process group is killed")];
    "E9" a_hook_that_never_ends_does_not_outlast_its_timeout;
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
            holds!(output.code != 0 && !output.stdout.contains(RAN), "{command}: an id of {length} bytes");
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

/// The kinds of hooks that a container waits for.
const AWAITED: [&str; 4] = ["prestart", "createRuntime", "createContainer", "startContainer"];

/// Containers with a hook each that has a timeout of a second and does not end, all at the same time. Processes of a hook
/// are known by a word in their arguments.
fn timed_out(s: &Scene, script: &str) -> Result<Verdict> {
    let mut started = Vec::new();
    for kind in AWAITED {
        let word = format!("hook-of-{}", s.ground.id());
        let mut bundle = s.bundle()?;
        let hook = |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script, &word], "timeout": 1}]);
        s.script(&mut bundle, "true");
        bundle.set(&format!("/hooks/{kind}"), hook("exit 0"));
        s.twin(&bundle)?;
        bundle.set(&format!("/hooks/{kind}"), hook(script));
        started.push((kind, s.ground.container(&bundle).run_in_background(&[])?, word));
    }
    let mut verdict = Verdict::Refused("the program of a container whose hook does not end".to_owned());
    for (kind, running, word) in started {
        let output = running.wait(DEADLINE);
        // What was killed takes a moment to go on a busy machine; it does not end by itself.
        let gone = eventually("the hook's processes have ended", || Ok(marked(&word)?.is_empty().then_some(())));
        let left = if gone.is_ok() { Vec::new() } else { marked(&word)? };
        for pid in &left {
            host::kill(*pid)?;
        }
        let wrong = match output {
            Err(_) => format!("still there after {} s", DEADLINE.as_secs()),
            Ok(output) if output.code == 0 || output.stdout.contains(RAN) => format!("the program ran: {output}"),
            Ok(_) if !left.is_empty() => format!("{} processes of the hook are left", left.len()),
            Ok(_) => continue,
        };
        verdict = Verdict::Unsafe(format!("{kind}: {wrong}"));
    }
    let left = s.left()?;
    holds!(left.is_empty() || verdict.word() == "UNSAFE", "left {}", left.join(", "));
    Ok(verdict)
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
    timed_out(s, FORKING)
}

fn a_hook_that_never_ends_does_not_outlast_its_timeout(s: &Scene) -> Result<Verdict> {
    timed_out(s, "trap '' TERM INT HUP; while :; do :; done")
}
