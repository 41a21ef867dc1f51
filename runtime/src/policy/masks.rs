//! What of procfs and sysfs is covered or read-only.

use super::judge::{Judge, switch_off};
use super::mounts::{is_bind, is_remount, surely_read_only};
use super::rule::Rule;
use super::sensitive::below;
use super::standard;
use crate::plan::clean;
use crate::spec::Mount;

/// Covered at `restricted`: what tells of the host's kernel, memory, disks and other tenants, and what no server reads.
const HARDENED: [&str; 38] = [
    "/proc/bootconfig",
    "/proc/buddyinfo",
    "/proc/config.gz",
    "/proc/diskstats",
    "/proc/driver",
    "/proc/dynamic_debug",
    "/proc/fb",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/kallsyms",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/modules",
    "/proc/mtrr",
    "/proc/pagetypeinfo",
    "/proc/pressure",
    "/proc/schedstat",
    "/proc/slabinfo",
    "/proc/softirqs",
    "/proc/vmallocinfo",
    "/proc/zoneinfo",
    "/sys/block",
    "/sys/bus",
    "/sys/class",
    "/sys/dev",
    "/sys/devices/platform",
    "/sys/devices/virtual/dmi",
    "/sys/fs/bpf",
    "/sys/fs/fuse",
    "/sys/fs/pstore",
    "/sys/fs/selinux",
    "/sys/hypervisor",
    "/sys/kernel",
    "/sys/module",
    "/sys/power",
    "/sys/devices/system/memory",
];

/// A procfs without anything but processes (proc(5)).
const SUBSET: &str = "subset=pid";

pub(super) fn judge(judge: &mut Judge<'_>) {
    read_only_sys(judge);
    let procfs = mounted(judge, "/proc", "proc");
    let sysfs = !mounted(judge, "/sys", "sysfs").is_empty();
    let elsewhere = judge
        .spec
        .mounts
        .iter()
        .position(|mount| mount.r#type == "proc" && is_new(mount) && clean(&mount.destination) != "/proc");
    if let Some(at) = elsewhere {
        unmasked(judge, &format!("/mounts/{at}"), "a procfs that is not on /proc shows what is masked there");
    }
    let all_of_it = |at: &usize| judge.spec.mounts.get(*at).is_none_or(|m| !m.options.iter().any(|o| o == SUBSET));
    let full = procfs.iter().any(all_of_it);
    // A sandbox holds namespaces for others; some engines write none of the lists for it.
    if full && !covers_proc(judge) && !is_sandbox(judge) {
        if !judge.is_privileged {
            unmasked(judge, "/linux/maskedPaths", "a procfs with nothing masked and nothing read-only");
        }
        // Allowed, so wanted.
        return;
    }
    let wanted = |list: &[&str]| -> Vec<String> {
        let there = |path: &&&str| if path.starts_with("/proc") { full } else { sysfs };
        list.iter().filter(there).map(|path| (*path).to_string()).collect()
    };
    let (masked, read_only, hardened) = (wanted(&standard::MASKED), wanted(&standard::READ_ONLY), wanted(&HARDENED));
    let thermal = (0..judge.facts.thermal_cpus).map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    let thermal = if sysfs { thermal.collect() } else { Vec::new() };
    cover(judge, Rule::MaskedPaths, [masked, thermal].concat(), false);
    cover(judge, Rule::MaskedPaths, read_only, true);
    cover(judge, Rule::HardenedMasks, hardened, false);
    procfs.iter().for_each(|at| subset_pid(judge, *at));
}

/// A mount of a new filesystem, not of something that is there.
fn is_new(mount: &Mount) -> bool {
    !is_bind(mount) && !is_remount(mount)
}

fn is_sandbox(judge: &Judge<'_>) -> bool {
    let keys = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];
    keys.iter().any(|key| judge.spec.annotations.get(*key).is_some_and(|kind| kind == "sandbox"))
}

/// The indices of the mounts that show such a filesystem there, new or bound.
fn mounted(judge: &Judge<'_>, at: &str, kind: &str) -> Vec<usize> {
    let shows = |mount: &Mount| {
        let right = !is_remount(mount) && (is_bind(mount) || mount.r#type == kind);
        right && clean(&mount.destination) == at
    };
    judge.spec.mounts.iter().enumerate().filter(|(_, mount)| shows(mount)).map(|(at, _)| at).collect()
}

/// What `..` leads to is the image's to say.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| part != "..")
}

fn covers_proc(judge: &Judge<'_>) -> bool {
    let Some(linux) = &judge.spec.linux else { return false };
    linux
        .masked_paths
        .iter()
        .chain(&linux.readonly_paths)
        .any(|path| is_plain(path) && below(&clean(path), "/proc").is_some())
}

fn unmasked(judge: &mut Judge<'_>, pointer: &str, cause: &str) {
    let allow = format!(
        "leave maskedPaths and readonlyPaths to the engine (no systempaths=unconfined, procMount: Default), or {}",
        switch_off(Rule::UnmaskedProc)
    );
    judge.refuse(Rule::UnmaskedProc, pointer, cause, allow);
}

/// Adds to one of the two lists what it lacks. What is covered need not be read-only.
fn cover(judge: &mut Judge<'_>, rule: Rule, wanted: Vec<String>, read_only: bool) {
    if !judge.asks(rule) {
        return;
    }
    let mut given: Vec<String> = Vec::new();
    if let Some(linux) = &judge.spec.linux {
        let lists = linux.masked_paths.iter().chain(linux.readonly_paths.iter().filter(|_| read_only));
        given.extend(lists.filter(|path| is_plain(path)).map(|path| clean(path)));
    }
    let mounted: Vec<String> =
        judge.spec.mounts.iter().filter(|m| !is_remount(m)).map(|m| clean(&m.destination)).collect();
    // What the configuration mounts there is its own, as the files of lxcfs are; unless a later mount covers it.
    let own = |path: &String| mounted.iter().rfind(|at| below(path, at).is_some()) == Some(path);
    let missing: Vec<String> =
        wanted.into_iter().filter(|path| !given.iter().any(|have| below(path, have).is_some()) && !own(path)).collect();
    let pointer = if read_only { "/linux/readonlyPaths" } else { "/linux/maskedPaths" };
    if missing.is_empty() || !judge.narrows(rule, pointer, "", &missing.join(" ")) {
        return;
    }
    let linux = judge.linux();
    if read_only { linux.readonly_paths.extend(missing) } else { linux.masked_paths.extend(missing) }
}

fn read_only_sys(judge: &mut Judge<'_>) {
    for (i, mount) in judge.spec.mounts.clone().iter().enumerate() {
        let kernels = matches!(mount.r#type.as_str(), "sysfs" | "cgroup" | "cgroup2") && is_new(mount);
        if !kernels || judge.is_privileged || surely_read_only(mount) {
            continue;
        }
        let before = format!("{} on {} writable", mount.r#type, mount.destination);
        if judge.narrows(Rule::ReadOnlySys, &format!("/mounts/{i}/options"), &before, "ro")
            && let Some(mount) = judge.spec.mounts.get_mut(i)
        {
            mount.options.retain(|option| option != "rw" && option != "rrw");
            mount.options.push("ro".into());
        }
    }
}

fn subset_pid(judge: &mut Judge<'_>, at: usize) {
    let Some(mount) = judge.spec.mounts.get(at).filter(|mount| !is_bind(mount)) else { return };
    let pointer = format!("/mounts/{at}/options");
    let has = mount.options.iter().any(|option| option == SUBSET);
    // The files of lxcfs, for which there is no place in such a procfs.
    let inside = |mount: &Mount| below(&clean(&mount.destination), "/proc").is_some_and(|rest| !rest.is_empty());
    if judge.asks(Rule::ProcSubset) && judge.spec.mounts.iter().any(inside) {
        judge.lacks(Rule::ProcSubset, "the configuration mounts files into /proc");
        return;
    }
    if !has
        && judge.narrows(Rule::ProcSubset, &pointer, "", SUBSET)
        && let Some(mount) = judge.spec.mounts.get_mut(at)
    {
        mount.options.push(SUBSET.into());
    }
}
