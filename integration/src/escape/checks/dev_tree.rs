//! The `/dev` of an image or a volume that was prepared: what a runtime makes, removes or mounts there must not lead
//! elsewhere.

use super::links::{Field, Link, Look, Place, Tally, links, matrix, twin};
use super::volumes::{fill_dev, own_dev, without_dev};
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::Created;
use crate::escape::scene::{RAN, Scene};
use crate::holds;
use crate::process::{DEADLINE, Output, typed};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::process::Command;

crate::checks! {
    "B10" links_in_the_dev_of_an_image_are_not_followed_to_the_host;
    "B10" links_in_a_dev_that_is_a_volume_are_not_followed_to_the_host;
    "CVE-2025-52565" a_console_that_is_a_link_of_the_image_is_not_followed [
        Advisory("runc", "CVE-2025-52565"), KnownHole("runc version 1.1.5+ds1")
    ];
    "CVE-2026-41579" nothing_is_made_or_removed_where_a_link_in_place_of_dev_leads [
        Advisory("runc", "CVE-2026-41579"), Advisory("crun", "CVE-2026-47766"), KnownHole("runc version 1.1.5+ds1")
    ];
    "CVE-2026-47766" nothing_is_mounted_or_made_where_a_link_in_place_of_dev_leads [
        Advisory("runc", "CVE-2026-41579"), Advisory("crun", "CVE-2026-47766"), KnownHole("runc version 1.1.5+ds1")
    ];
}

fn nothing_is_made_or_removed_where_a_link_in_place_of_dev_leads(s: &Scene) -> Result<Verdict> {
    let ask = |bundle: &mut Bundle| {
        without_dev(bundle);
        Ok(())
    };
    let look = |_: &Created| Ok(None);
    // The top of the outside tree has a ptmx and a console in it.
    let field = |target| Field::new("/dev", target, &ask, Look::Created(&look));
    matrix(s, &[field("."), field("empty")])
}

fn nothing_is_mounted_or_made_where_a_link_in_place_of_dev_leads(s: &Scene) -> Result<Verdict> {
    let look = |created: &Created| {
        let mounted =
            created.mounts.iter().any(|mount| mount.kind == "tmpfs" && mount.super_options.contains("65536k"));
        Ok((!mounted).then(|| "the tmpfs of /dev is not in the container's mount table".to_owned()))
    };
    matrix(s, &[Field::new("/dev", ".", &|_| Ok(()), Look::Created(&look))])
}

const NODES: [&str; 6] = ["null", "tty", "console", "ptmx", "fd", "stdin"];

fn links_in_the_dev_of_an_image_are_not_followed_to_the_host(s: &Scene) -> Result<Verdict> {
    let ask = |bundle: &mut Bundle| {
        without_dev(bundle);
        bundle.mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]);
        bundle.mount("/dev/shm", "tmpfs", "shm", &["size=64k"]).set("/process/terminal", json!(true));
        Ok(())
    };
    components_of_dev(s, &ask, |name| format!("/dev/{name}"))
}

fn links_in_a_dev_that_is_a_volume_are_not_followed_to_the_host(s: &Scene) -> Result<Verdict> {
    let ask = |bundle: &mut Bundle| {
        without_dev(bundle);
        let dev = bundle.rootfs().join("volume");
        fill_dev(&dev)?;
        bundle.bind(&dev, "/dev", &["rbind"]);
        bundle.mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]);
        bundle.mount("/dev/shm", "tmpfs", "shm", &["size=64k"]).set("/process/terminal", json!(true));
        Ok(())
    };
    components_of_dev(s, &ask, |name| format!("/volume/{name}"))
}

/// A row in which single files and directories of a /dev are links.
fn components_of_dev(
    s: &Scene,
    ask: &dyn Fn(&mut Bundle) -> Result<()>,
    link: impl Fn(&str) -> String,
) -> Result<Verdict> {
    let look = |_: &Created| Ok(None);
    let mut tally = Tally::default();
    let directories = [("pts", "dir"), ("shm", "dir")];
    let files = NODES.iter().map(|name| (*name, if *name == "ptmx" { "ptmx" } else { "console" }));
    for (n, (name, target)) in directories.into_iter().chain(files).enumerate() {
        let link = link(name);
        let field = Field { kinds: &Link::FEW, ..Field::new(&link, target, ask, Look::Created(&look)) };
        if n == 0 {
            // One for all of them: none of the links is there.
            twin(s, &field, Place::AsItIs)?;
        }
        if let Some(verdict) = links(s, &field, &mut tally)? {
            return Ok(verdict);
        }
    }
    Ok(tally.verdict())
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
