//! The suite itself: a runtime that misbehaves in ways no check is about must come out `UNSAFE` all the same.
//!
//! The misbehaving runtime is a script that does one thing and then becomes the runtime under test, in a scene within the
//! scene. What it does is undone here.

use crate::case::Ground;
use crate::escape::check::{Check, Verdict};
use crate::escape::scene::Scene;
use crate::escape::table::Column;
use crate::runtime::Runtime;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

crate::checks! {
    "H1" the_suite_sees_a_mount_left_on_the_host;
    "H2" the_suite_sees_a_write_outside_of_the_container;
    "H3" the_suite_sees_a_changed_sysctl;
    "H4" the_suite_sees_a_cgroup_left_behind;
    "H5" the_suite_sees_a_changed_binary;
    "H6" the_suite_sees_state_left_behind;
    "H7" the_suite_sees_an_abstract_socket;
    "H8" the_suite_sees_a_key_in_the_session_keyring;
    "H9" the_suite_sees_a_crash;
    "H10" the_suite_does_not_see_what_is_not_there;
}

/// The check that is run on the misbehaving runtime: nothing special.
fn ordinary(s: &Scene) -> Result<Verdict> {
    let attack = s.attack(&s.scripted("true")?)?;
    Ok(s.refused(&attack)?.unwrap_or_else(Verdict::safe))
}

/// The verdict on a runtime that runs `misdeed` first; `$IN` is the directory of its scene.
fn misbehaving(s: &Scene, misdeed: &str) -> Result<Verdict> {
    let (base, script) = (s.ground.dir.join("within"), s.ground.dir.join("saboteur"));
    std::fs::create_dir(&base)?;
    let real = s.ground.runtime;
    let scene = base.join("0");
    let text = format!("#!/bin/sh\nIN={}\n{misdeed}\nexec {} \"$@\"\n", scene.display(), real.path.display());
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755))?;
    let runtime = Runtime { path: script, ..real.clone() };
    let parent = format!("{}/within", s.ground.cgroup);
    let ground = Ground::new(&runtime, s.ground.host, &base, &parent, 0)?;
    let column = Column { runtime: runtime.clone(), level: s.level, judged: true };
    let check = Check { id: "H", name: "ordinary", marks: Vec::new(), body: ordinary };
    let verdict = super::super::run_one(&check, &column, ground, &parent, s.races, &mut None);
    for dir in s.ground.host.cgroup_dirs(&parent) {
        host::remove_cgroup(&dir)?;
    }
    verdict
}

/// `Safe` when the verdict on the misbehaving runtime was `UNSAFE` with these words.
fn seen(verdict: &Verdict, words: &str) -> Verdict {
    match verdict {
        Verdict::Unsafe(why) if why.contains(words) => Verdict::safe(),
        other => Verdict::Unsafe(format!("not seen: {other:?}")),
    }
}

fn the_suite_sees_a_mount_left_on_the_host(s: &Scene) -> Result<Verdict> {
    Ok(seen(&misbehaving(s, "mount -t tmpfs saboteur $IN/outside/empty")?, "is new"))
}

fn the_suite_sees_a_write_outside_of_the_container(s: &Scene) -> Result<Verdict> {
    Ok(seen(&misbehaving(s, "echo sabotage >> $IN/outside/file")?, "outside/file was"))
}

fn the_suite_sees_a_changed_sysctl(s: &Scene) -> Result<Verdict> {
    // Of the suite's own network namespace.
    let path = "/proc/sys/net/ipv4/ip_forward";
    let before = std::fs::read_to_string(path)?;
    let other = if before.trim() == "0" { 1 } else { 0 };
    let verdict = misbehaving(s, &format!("echo {other} > {path}"))?;
    std::fs::write(path, before)?;
    Ok(seen(&verdict, "sysctl net/ipv4/ip_forward was"))
}

fn the_suite_sees_a_cgroup_left_behind(s: &Scene) -> Result<Verdict> {
    let host = s.ground.host;
    let mount = host.controllers.values().chain(&host.unified).next().context("no cgroup hierarchy")?;
    let dir: PathBuf = mount.join(format!("saboteur-{}", std::process::id()));
    let verdict = misbehaving(s, &format!("mkdir -p {}", dir.display()))?;
    std::fs::remove_dir(&dir)?;
    Ok(seen(&verdict, "is new"))
}

fn the_suite_sees_a_changed_binary(s: &Scene) -> Result<Verdict> {
    Ok(seen(&misbehaving(s, "echo '#' >> $0")?, "runtime's binary"))
}

fn the_suite_sees_state_left_behind(s: &Scene) -> Result<Verdict> {
    Ok(seen(&misbehaving(s, "mkdir -p $IN/root/leftover")?, "leftover"))
}

fn the_suite_sees_an_abstract_socket(s: &Scene) -> Result<Verdict> {
    let script = "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(qq(\\0saboteur))); sleep 60";
    let pid = s.ground.dir.join("saboteur.pid");
    let background = "> /dev/null 2>&1 < /dev/null &";
    let misdeed = format!(
        "[ -e {0} ] || {{ perl -e '{script}' {background} echo $! > {0}; }}\nuntil grep -q @saboteur /proc/net/unix; do sleep 0.01; done",
        pid.display()
    );
    let verdict = misbehaving(s, &misdeed);
    let pid: i32 = std::fs::read_to_string(pid)?.trim().parse()?;
    host::kill(pid)?;
    crate::process::eventually("the socket is gone", || Ok((!host::is_alive(pid)).then_some(())))?;
    Ok(seen(&verdict?, "abstract socket @saboteur"))
}

fn the_suite_sees_a_key_in_the_session_keyring(s: &Scene) -> Result<Verdict> {
    let probe = std::env::current_exe()?.with_file_name("probe");
    let verdict = misbehaving(s, &format!("{} key saboteur > /dev/null", probe.display()))?;
    let output = s.host(&probe.to_string_lossy(), &["unlink-key", "saboteur"])?;
    ensure!(output.code == 0, "{output}");
    Ok(seen(&verdict, "session keyring was"))
}

fn the_suite_sees_a_crash(s: &Scene) -> Result<Verdict> {
    Ok(seen(&misbehaving(s, "[ -e $IN/root ] || { mkdir $IN/root; kill -SEGV $$; }")?, "crashed"))
}

fn the_suite_does_not_see_what_is_not_there(s: &Scene) -> Result<Verdict> {
    let verdict = misbehaving(s, "true")?;
    holds!(verdict == Verdict::safe(), "a runtime behind a script is judged otherwise: {verdict:?}");
    Ok(Verdict::safe())
}
