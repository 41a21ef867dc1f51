//! What a runtime makes in a root filesystem itself (mount points, device nodes, working directories, sockets): it must
//! not be made through a link of the image's.

use crate::bundle::Bundle;
use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::tally::Tally;
use crate::holds;
use crate::process::{DEADLINE, Output};
use anyhow::{Result, ensure};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

crate::checks! {
    "CVE-2025-24965" a_file_that_runtimes_write_is_not_written_through_a_link [Advisory("crun", "CVE-2025-24965")];
    "CVE-2024-5154" files_of_etc_that_engines_bind_are_not_reached_through_links;
    "CVE-2026-87766" nothing_is_made_below_a_parent_that_is_a_link_out;
    "L5" the_socket_for_readiness_is_not_made_through_a_link;
}

/// Files that some runtime or engine makes in a root filesystem, by name.
const MADE: &[&str] = &[
    ".dockerenv",
    ".krun_config.json",
    ".krun_vm.json",
    ".wasm_config.json",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "run/.containerenv",
    "run/secrets",
    "run/notify",
    "dev/console",
    "dev/core",
    "dev/fd",
    "dev/full",
    "dev/mqueue",
    "dev/null",
    "dev/ptmx",
    "dev/pts",
    "dev/random",
    "dev/shm",
    "dev/stderr",
    "dev/stdin",
    "dev/stdout",
    "dev/tty",
    "dev/urandom",
    "dev/zero",
];

/// Puts a link in place of what may be there.
fn place(rootfs: &Path, name: &str, target: &Path) -> Result<()> {
    let path = rootfs.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::symlink_metadata(&path) {
        Ok(data) if data.is_dir() => std::fs::remove_dir(&path)?,
        Ok(_) => std::fs::remove_file(&path)?,
        Err(_) => {}
    }
    Ok(symlink(target, path)?)
}

fn a_file_that_runtimes_write_is_not_written_through_a_link(s: &Scene) -> Result<Verdict> {
    s.twin(&s.scripted("true")?)?;
    let before = s.outside.entries()?;
    let mut tally = Tally::default();
    // With /dev as the configuration has it, on a tmpfs of its own; and as the image has it.
    for image in [false, true] {
        for target in ["file", "nosuch", "dir"] {
            let mut bundle = s.scripted("true")?;
            for name in MADE {
                place(&bundle.rootfs(), name, &s.outside.path(target))?;
            }
            if image {
                super::dev_tree::without_dev(&mut bundle);
            }
            let attack = s.attack(&bundle)?;
            holds!(
                before == s.outside.entries()?,
                "links to {target}, /dev of the image: {image}: outside has changed"
            );
            if let Some(verdict) = tally.count(s, &attack)? {
                return Ok(verdict);
            }
        }
    }
    Ok(tally.verdict())
}

fn files_of_etc_that_engines_bind_are_not_reached_through_links(s: &Scene) -> Result<Verdict> {
    let source = s.ground.dir.join("source");
    std::fs::write(&source, "of the engine\n")?;
    let bound = |prepare: &dyn Fn(&Bundle) -> Result<()>| -> Result<Bundle> {
        let mut bundle = s.scripted("cat /etc/hosts")?;
        prepare(&bundle)?;
        for name in ["hosts", "hostname", "resolv.conf"] {
            bundle.bind(&source, &format!("/etc/{name}"), &["rbind", "rprivate", "ro"]);
        }
        Ok(bundle)
    };
    let twin = s.twin(&bound(&|_| Ok(()))?)?;
    ensure!(twin.stdout.contains("of the engine"), "the twin does not see what was bound: {twin}");
    let before = s.outside.entries()?;
    let mut tally = Tally::default();
    for target in ["file", "empty/new", "secret"] {
        let outside = s.outside.path(target);
        let climbing = Path::new("../../../../../../../..").join(outside.strip_prefix("/")?);
        for link in [outside, climbing] {
            let bundle = bound(&|bundle| {
                for name in ["mtab", "hosts", "hostname", "resolv.conf"] {
                    place(&bundle.rootfs(), &format!("etc/{name}"), &link)?;
                }
                Ok(())
            })?;
            let attack = s.attack(&bundle)?;
            holds!(before == s.outside.entries()?, "links to {}: what is outside has changed", link.display());
            if let Some(verdict) = tally.count(s, &attack)? {
                return Ok(verdict);
            }
            let engines = attack.output.stdout.contains("of the engine");
            holds!(!attack.ran || engines, "links to {}: /etc/hosts is not the engine's", link.display());
        }
    }
    Ok(tally.verdict())
}

fn nothing_is_made_below_a_parent_that_is_a_link_out(s: &Scene) -> Result<Verdict> {
    let made = |what: &str, parent: Option<&Path>| -> Result<Bundle> {
        let mut bundle = s.scripted("true")?;
        match parent {
            Some(parent) => symlink(parent, bundle.rootfs().join("parent"))?,
            None => std::fs::create_dir(bundle.rootfs().join("parent"))?,
        }
        match what {
            "directory" => bundle.mount("/parent/new/mount", "tmpfs", "tmpfs", &[]),
            "file" => bundle.bind(Path::new("/dev/null"), "/parent/new/file", &["bind"]),
            "cwd" => bundle.set("/process/cwd", json!("/parent/new/cwd")),
            "masked" => bundle.push("/linux/maskedPaths", json!("/parent/file")),
            "read-only" => bundle.push("/linux/readonlyPaths", json!("/parent/file")),
            _ => bundle.push(
                "/linux/devices",
                json!({"path": "/parent/new/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}),
            ),
        };
        Ok(bundle)
    };
    let outside = s.outside.path("dir");
    let climbing = Path::new("../../../../../../../..").join(outside.strip_prefix("/")?);
    let before = s.outside.entries()?;
    let mut tally = Tally::default();
    for what in ["directory", "file", "cwd", "masked", "read-only", "device"] {
        let twin = s.attack(&made(what, None)?)?;
        // A level may not allow what is made: then there is nothing to attack.
        if !twin.ran && s.level.is_some() && ["device", "file"].contains(&what) {
            continue;
        }
        ensure!(twin.ran, "{what}: the benign twin did not run: {}", twin.output);
        for parent in [climbing.as_path(), Path::new("/proc/1/cwd/outside/dir")] {
            let attack = s.attack(&made(what, Some(parent))?)?;
            holds!(before == s.outside.entries()?, "{what} by {}: what is outside has changed", parent.display());
            if let Some(verdict) = tally.count(s, &attack)? {
                return Ok(verdict);
            }
        }
    }
    Ok(tally.verdict())
}

fn the_socket_for_readiness_is_not_made_through_a_link(s: &Scene) -> Result<Verdict> {
    let path = s.ground.dir.join("notify");
    let _socket = UnixDatagram::bind(&path)?;
    let create = |target: Option<&Path>| -> Result<(Output, Container)> {
        let mut bundle = s.bundle()?;
        if let Some(target) = target {
            place(&bundle.rootfs(), "run", target)?;
        }
        let container = s.ground.container(bundle.args(&["/bin/sleep", "1000"]));
        let mut command = container.create_command(&[])?;
        command.env("NOTIFY_SOCKET", &path);
        Ok((s.ground.recorder.start(command, None)?.wait(DEADLINE)?, container))
    };
    let (twin, container) = create(None)?;
    ensure!(twin.code == 0, "the benign twin was not created: {twin}");
    let socket = format!("/proc/{}/root/run/notify", container.pid()?);
    ensure!(Path::new(&socket).exists(), "no socket for readiness in the container");
    container.call("delete", &["--force"])?.success()?;
    let before = s.outside.entries()?;
    let mut refused = String::new();
    for target in ["dir", "empty", "nosuch"] {
        let (output, container) = create(Some(&s.outside.path(target)))?;
        holds!(before == s.outside.entries()?, "/run -> {target}: what is outside has changed");
        holds!(
            output.code < 128 || output.code == 255,
            "/run -> {target}: the runtime crashed or was killed: {output}"
        );
        if output.code == 0 {
            container.call("delete", &["--force"])?.success()?;
        } else {
            refused = output.stderr.trim().to_owned();
        }
        let left = s.left()?;
        holds!(left.is_empty(), "/run -> {target}: left {}", left.join(", "));
    }
    Ok(if refused.is_empty() { Verdict::safe() } else { Verdict::Refused(refused) })
}
