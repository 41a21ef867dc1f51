//! The `/dev` of an image that was prepared: what a runtime makes, removes or mounts there must not lead elsewhere.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::{RAN, Scene};
use crate::holds;
use crate::process::{DEADLINE, Output, typed};
use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

crate::checks! {
    "CVE-2026-41579" nothing_is_made_or_removed_where_a_link_in_place_of_dev_leads [
        Advisory("runc", "CVE-2026-41579"), Advisory("crun", "CVE-2026-47766"), KnownHole("runc version 1.1.5+ds1")
    ];
    "CVE-2026-47766" nothing_is_mounted_or_made_where_a_link_in_place_of_dev_leads [
        Advisory("runc", "CVE-2026-41579"), Advisory("crun", "CVE-2026-47766"), KnownHole("runc version 1.1.5+ds1")
    ];
    "CVE-2025-52565" a_console_that_is_a_link_of_the_image_is_not_followed [Advisory("runc", "CVE-2025-52565")];
}

/// Leaves out everything that is mounted at `/dev` and below it.
pub fn without_dev(bundle: &mut Bundle) -> &mut Bundle {
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
    bundle
}

/// A directory of the attacker's to be bound at `/dev`: devices as they should be, and mount points.
pub fn own_dev(s: &Scene, name: &str) -> Result<PathBuf> {
    let dir = s.ground.dir.join(name);
    for sub in ["pts", "shm", "mqueue"] {
        std::fs::create_dir_all(dir.join(sub))?;
    }
    for (device, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, dir.join(device), FileType::CharacterDevice, mode, makedev(1, minor)).context("mknod")?;
    }
    Ok(dir)
}

/// A bundle whose image has a link to the tree outside in place of `/dev`; the twin has the directory.
fn linked_dev(s: &Scene, mounted: bool, target: Option<&str>) -> Result<Bundle> {
    let mut bundle = s.scripted("true")?;
    for point in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
    if !mounted {
        bundle.unmount("/dev");
    }
    if let Some(target) = target {
        let dev = bundle.rootfs().join("dev");
        std::fs::remove_dir(&dev)?;
        symlink(target, dev)?;
    }
    Ok(bundle)
}

/// Absolute, by climbing, and by a second link: all to the tree outside.
fn outside_by_dev(s: &Scene, mounted: bool) -> Result<Verdict> {
    s.twin(&linked_dev(s, mounted, None)?)?;
    let outside = s.outside.dir.to_string_lossy().into_owned();
    let before = s.outside.entries()?;
    let mut tally = crate::escape::tally::Tally::default();
    for target in [outside.clone(), format!("../../../../../../..{outside}"), "second".to_owned()] {
        let bundle = linked_dev(s, mounted, Some(&target))?;
        symlink(&outside, bundle.rootfs().join("second"))?;
        let attack = s.attack(&bundle)?;
        let names = || std::fs::read_dir(&s.outside.dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
        holds!(
            before == s.outside.entries()?,
            "/dev -> {target}: outside there are now {:?}",
            names().collect::<Vec<_>>()
        );
        if let Some(verdict) = tally.count(s, &attack)? {
            return Ok(verdict);
        }
    }
    Ok(tally.verdict())
}

fn nothing_is_made_or_removed_where_a_link_in_place_of_dev_leads(s: &Scene) -> Result<Verdict> {
    outside_by_dev(s, false)
}

fn nothing_is_mounted_or_made_where_a_link_in_place_of_dev_leads(s: &Scene) -> Result<Verdict> {
    outside_by_dev(s, true)
}

/// `run` on a terminal of script(1)'s.
fn on_a_terminal(s: &Scene, bundle: &Bundle) -> Result<(Output, bool)> {
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy().into_owned(), s.ground.id());
    let line = typed(&s.ground.command(&["run", "--bundle", &dir, &id]));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(&s.ground.dir);
    let mut output = s.ground.recorder.start(script, None)?.wait(DEADLINE)?;
    // That script(1)'s input has ended is a NUL, echoed anywhere.
    output.stdout = output.stdout.replace("^@", "");
    let ran = output.stdout.contains(RAN);
    Ok((output, ran))
}

/// A bundle with a terminal and a `/dev` of the attacker's, whose `console` is a link to `target`, or an empty file.
fn with_console(s: &Scene, n: usize, target: Option<&str>) -> Result<Bundle> {
    let dev = own_dev(s, &format!("dev{n}"))?;
    symlink("pts/ptmx", dev.join("ptmx"))?;
    match target {
        Some(target) => symlink(target, dev.join("console"))?,
        None => std::fs::write(dev.join("console"), "")?,
    }
    let mut bundle = s.scripted("echo CONSOLE $(stat -L -c %t /dev/console); cat /proc/self/mountinfo")?;
    std::fs::write(bundle.rootfs().join("marker"), "of the image\n")?;
    bundle.set("/process/terminal", json!(true));
    let devpts =
        bundle.spec["mounts"].as_array().into_iter().flatten().find(|mount| mount["destination"] == "/dev/pts");
    let devpts = devpts.cloned().context("no devpts in the configuration")?;
    without_dev(&mut bundle).bind(&dev, "/dev", &["bind", "dev"]).push("/mounts", devpts);
    Ok(bundle)
}

fn a_console_that_is_a_link_of_the_image_is_not_followed(s: &Scene) -> Result<Verdict> {
    // In hexadecimal, the major number of the terminals of devpts.
    const TERMINAL: &str = "CONSOLE 88";
    let (seen, ran) = on_a_terminal(s, &with_console(s, 0, None)?)?;
    ensure!(ran && seen.stdout.contains(TERMINAL), "the benign twin did not run on its terminal: {seen}");
    let outside = s.outside.path("console").to_string_lossy().into_owned();
    let dangling = s.outside.path("empty/new").to_string_lossy().into_owned();
    let mut refused = String::new();
    for (n, target) in
        ["/marker", &outside, &dangling, "../../../marker", "/proc/sys/kernel/hostname"].iter().enumerate()
    {
        let bundle = with_console(s, n + 1, Some(target))?;
        let (output, ran) = on_a_terminal(s, &bundle)?;
        let marker = std::fs::read_to_string(bundle.rootfs().join("marker"))?;
        holds!(marker == "of the image\n", "console -> {target}: the file that it leads to was written: {marker:?}");
        if !ran {
            holds!(output.code != 0, "console -> {target}: neither refused nor ran: {output}");
            let left = s.left()?;
            holds!(left.is_empty(), "console -> {target}: refused, but left {}", left.join(", "));
            refused = output.stdout.trim().lines().last().unwrap_or_default().chars().take(300).collect();
            continue;
        }
        let points: Vec<&str> = output.stdout.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        let elsewhere = ["/marker", "/proc/sys/kernel/hostname", &outside, &dangling];
        let wrong = points.iter().find(|point| elsewhere.contains(point));
        holds!(wrong.is_none(), "console -> {target}: the terminal is mounted at {}", wrong.unwrap_or(&""));
        holds!(output.stdout.contains(TERMINAL), "console -> {target}: /dev/console is no terminal: {output}");
    }
    Ok(if refused.is_empty() { Verdict::safe() } else { Verdict::Refused(refused) })
}
