//! What is done when a container could not be made, or its record cannot be used.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::host;
use crate::process::eventually;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;

crate::cases! {
    a_failing_create_container_hook_runs_poststop [Differs("poststop runs after a failed create")];
    a_missing_program_runs_poststop [Differs("poststop runs after a failed create")];
    a_failing_mount_runs_poststop [Differs("poststop runs after a failed create")];
    forced_delete_of_a_damaged_record_waits_for_the_processes [CasemateOnly("a damaged record keeps its directory")];
}

/// A bundle whose poststop hook writes to a log.
fn with_poststop(g: &Ground) -> Result<(Bundle, PathBuf)> {
    let mut bundle = g.bundle()?;
    let log = g.dir.join("poststop");
    std::fs::write(&log, "")?;
    bundle.push("/hooks/poststop", hook(&format!("echo poststop >> {}", log.display())));
    Ok((bundle, log))
}

fn hook(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
}

/// A create that succeeds runs no poststop hook, one that fails with `words` runs it once.
fn runs_poststop(g: &Ground, good: &Bundle, bad: &Bundle, log: &PathBuf, words: &str) -> Result<()> {
    let c = g.container(good);
    c.create(&[])?.success()?;
    same("after a success", std::fs::read_to_string(log)?.as_str(), "")?;
    c.call("delete", &["--force"])?.success()?;
    std::fs::write(log, "")?;
    let c = g.container(bad);
    c.create(&[])?.refused(words)?.exits(1)?;
    same("after a failure", std::fs::read_to_string(log)?.as_str(), "poststop\n")?;
    c.call("state", &[])?.refused("does not exist").map(drop)
}

fn a_failing_create_container_hook_runs_poststop(g: &Ground) -> Result<()> {
    let (good, log) = with_poststop(g)?;
    let mut bad = good.clone();
    bad.push("/hooks/createContainer", hook("exit 3"));
    runs_poststop(g, &good, &bad, &log, "exit status 3")
}

fn a_missing_program_runs_poststop(g: &Ground) -> Result<()> {
    let (good, log) = with_poststop(g)?;
    let mut bad = good.clone();
    runs_poststop(g, &good, bad.args(&["/nosuch"]), &log, "no such file or directory")
}

fn a_failing_mount_runs_poststop(g: &Ground) -> Result<()> {
    let (good, log) = with_poststop(g)?;
    let mut bad = good.clone();
    // Only the kernel knows that this option is none.
    runs_poststop(g, &good, bad.mount("/mnt", "tmpfs", "tmpfs", &["size=banana"]), &log, "invalid argument")
}

fn forced_delete_of_a_damaged_record_waits_for_the_processes(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let (pid, dir) = (c.pid()?, g.root.join(&c.id));
    let record = std::fs::read(dir.join("state.json"))?;
    let damaged = std::fs::write(dir.join("state.json"), &record[..record.len() / 2])
        .map_err(anyhow::Error::from)
        .and_then(|()| c.call("delete", &["--force"]));
    let kept = dir.is_dir();
    let alive = host::is_alive(pid);
    host::kill(pid)?;
    ensure!(kept, "the directory is gone");
    ensure!(alive, "a process was killed by a record that cannot be believed");
    damaged?.refused(c.bundle.cgroups_path())?.exits(1)?;
    eventually("the processes are gone", || {
        Ok(g.host.cgroup_processes(c.bundle.cgroups_path()).is_empty().then_some(()))
    })?;
    c.call("delete", &["--force"])?.success()?;
    ensure!(!dir.exists(), "the directory is there");
    for dir in g.host.cgroup_dirs(c.bundle.cgroups_path()) {
        host::remove_cgroup(&dir)?;
    }
    Ok(())
}
