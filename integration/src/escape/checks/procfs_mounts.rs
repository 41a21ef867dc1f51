//! Mounts over `/proc` and `/sys`, below them, and through links that lead there: what a process writes to its own
//! procfs (labels, sysctls) must arrive in the kernel.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::tally::Tally;
use crate::holds;
use anyhow::{Result, ensure};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

crate::checks! {
    "CVE-2015-3631" a_file_system_is_not_mounted_over_proc;
    "CVE-2019-16884" a_directory_is_not_bound_over_proc [
        Advisory("runc", "CVE-2019-16884"), Advisory("crun", "CVE-2019-16884")
    ];
    "CVE-2023-28642" a_mount_through_a_link_to_proc_is_not_made;
    "L1" a_mount_inside_of_proc_is_not_made_however_it_is_spelled;
    "L2" only_the_files_that_lxcfs_supplies_are_mounted_inside_of_proc;
}

/// The files inside of `/proc` that engines have lxcfs supply.
const LXCFS: [&str; 8] = ["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"];

/// A directory of the host's with one file.
fn harmless(s: &Scene) -> Result<PathBuf> {
    let dir = s.ground.dir.join("harmless");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("file"), "harmless\n")?;
    Ok(dir)
}

/// The mount points inside of `/proc` that belong to nobody: below a process's directory or below `/proc/sys`.
fn covered(mountinfo: &str) -> Option<&str> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.into_iter().find(|point| {
        let first = point.strip_prefix("/proc/").unwrap_or_default().split('/').next().unwrap_or_default();
        let process = first.parse::<u32>().is_ok() || ["self", "thread-self"].contains(&first);
        process || point.starts_with("/proc/sys/")
    })
}

/// Tries each bundle: refused, or nothing inside of `/proc` is covered.
fn none_covers(s: &Scene, attacks: Vec<Bundle>) -> Result<Verdict> {
    let mut tally = Tally::default();
    for mut attack in attacks {
        s.script(&mut attack, "cat /proc/self/mountinfo");
        let made = s.attack(&attack)?;
        if let Some(verdict) = tally.count(s, &made)? {
            return Ok(verdict);
        }
        let seen = covered(&made.output.stdout);
        holds!(seen.is_none(), "a mount was made at {}", seen.unwrap_or_default());
    }
    Ok(tally.verdict())
}

/// Tries each bundle: only a refusal will do.
fn each_is_refused(s: &Scene, attacks: Vec<Bundle>) -> Result<Verdict> {
    let mut tally = Tally::default();
    for mut attack in attacks {
        s.script(&mut attack, "head -n 3 /proc/self/mountinfo");
        let made = s.attack(&attack)?;
        if let Some(verdict) = tally.count(s, &made)? {
            return Ok(verdict);
        }
        holds!(!made.ran, "it ran with something else at /proc: {}", made.output);
    }
    Ok(tally.verdict())
}

fn a_file_system_is_not_mounted_over_proc(s: &Scene) -> Result<Verdict> {
    let mut twin = s.scripted("true")?;
    s.twin(twin.mount("/data", "tmpfs", "tmpfs", &[]))?;
    let mut over = s.bundle()?;
    over.mount("/proc", "tmpfs", "tmpfs", &[]);
    let mut instead = s.bundle()?;
    instead.unmount("/proc").mount("/proc", "tmpfs", "tmpfs", &[]);
    each_is_refused(s, vec![over, instead])
}

fn a_directory_is_not_bound_over_proc(s: &Scene) -> Result<Verdict> {
    let dir = harmless(s)?;
    let mut twin = s.scripted("cat /data/file")?;
    let seen = s.twin(twin.bind(&dir, "/data", &["bind", "ro"]))?;
    ensure!(seen.stdout.contains("harmless"), "the twin does not see the bind: {seen}");
    let mut attacks = Vec::new();
    // Of the host's procfs, a directory that is not its root: it has the right file system type, and lacks `self`.
    for source in [dir, PathBuf::from("/proc/self"), PathBuf::from("/proc/sys")] {
        let mut over = s.bundle()?;
        over.bind(&source, "/proc", &["bind"]);
        let mut instead = s.bundle()?;
        instead.unmount("/proc").bind(&source, "/proc", &["rbind"]);
        attacks.extend([over, instead]);
    }
    each_is_refused(s, attacks)
}

fn a_mount_through_a_link_to_proc_is_not_made(s: &Scene) -> Result<Verdict> {
    let through = |target: &str, destination: &str| -> Result<Bundle> {
        let mut bundle = s.scripted("true")?;
        symlink(target, bundle.rootfs().join("link"))?;
        symlink("link", bundle.rootfs().join("second"))?;
        bundle.mount(destination, "tmpfs", "tmpfs", &[]);
        Ok(bundle)
    };
    s.twin(&through("/tmp", "/link/self/attr")?)?;
    let attacks = [
        ("/proc", "/link/self/attr"),
        ("/proc", "/link/1/attr"),
        ("/proc", "/second/self/attr"),
        ("proc/self", "/link/attr"),
        ("/proc/sys", "/link/kernel"),
        ("../../proc/self/task", "/link/1/attr"),
        ("/proc/self/attr", "/link"),
    ];
    none_covers(s, attacks.iter().map(|(target, at)| through(target, at)).collect::<Result<_>>()?)
}

fn a_mount_inside_of_proc_is_not_made_however_it_is_spelled(s: &Scene) -> Result<Verdict> {
    let at = |destination: &str| -> Result<Bundle> {
        let mut bundle = s.scripted("true")?;
        bundle.mount(destination, "tmpfs", "tmpfs", &[]);
        Ok(bundle)
    };
    s.twin(&at("/tmp/self/attr")?)?;
    let attacks = [
        "/proc/self/attr",
        "/proc/1/attr",
        "/proc/thread-self/attr",
        "/proc/sys/kernel",
        "/proc/sys/net/ipv4",
        "//proc//self///attr",
        "/proc/./self/attr/",
        "/tmp/../proc/self/attr",
        "../proc/self/attr",
        "proc/self/attr",
        "/proc/self/root/proc/self/attr",
    ];
    none_covers(s, attacks.iter().map(|destination| at(destination)).collect::<Result<_>>()?)
}

fn only_the_files_that_lxcfs_supplies_are_mounted_inside_of_proc(s: &Scene) -> Result<Verdict> {
    let file = harmless(s)?.join("file");
    let mut twin = s.scripted("cat /proc/cpuinfo /proc/meminfo /proc/uptime")?;
    for name in LXCFS.iter().filter(|name| std::path::Path::new("/proc").join(name).exists()) {
        twin.bind(&file, &format!("/proc/{name}"), &["bind", "ro"]);
    }
    let seen = s.twin(&twin)?;
    ensure!(seen.stdout.matches("harmless").count() == 3, "what lxcfs would supply is not seen: {seen}");
    let mut attacks = Vec::new();
    for destination in ["self/attr/exec", "self/oom_score_adj", "1/setgroups", "sys/kernel/core_pattern"] {
        let mut bundle = s.bundle()?;
        bundle.bind(&file, &format!("/proc/{destination}"), &["bind"]);
        attacks.push(bundle);
    }
    none_covers(s, attacks)
}
