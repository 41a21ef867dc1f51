//! Files that a runtime makes in a root filesystem by itself: they must not be made through a link of the image's.

use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::tally::Tally;
use crate::holds;
use crate::process::{DEADLINE, Output};
use anyhow::{Result, ensure};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

crate::checks! {
    "CVE-2025-24965" a_file_that_runtimes_write_is_not_written_through_a_link [Advisory("crun", "CVE-2025-24965")];
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
                super::volumes::without_dev(&mut bundle);
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
