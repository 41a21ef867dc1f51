//! What of procfs and sysfs is covered or read-only.

use super::judge::{Judge, switch_off};
use super::mounts::is_bind;
use super::rule::Rule;
use super::sensitive::below;
use crate::plan::clean;
use crate::spec::Mount;

/// Covered at `baseline`: what any of Docker, containerd and Podman cover in their newest versions, but for what only
/// some hosts have once for each CPU.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only at `baseline`.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

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

pub(super) fn judge(judge: &mut Judge<'_>) {
    read_only_sys(judge);
    let procfs = mounted(judge, "/proc", "proc");
    let sysfs = mounted(judge, "/sys", "sysfs");
    let elsewhere =
        judge.spec.mounts.iter().position(|m| m.r#type == "proc" && !is_bind(m) && clean(&m.destination) != "/proc");
    if let Some(at) = elsewhere {
        unmasked(judge, &format!("/mounts/{at}"), "a procfs that is not on /proc shows what is masked there");
    }
    let subset = procfs.is_some_and(|at| judge.spec.mounts[at].options.iter().any(|option| option == "subset=pid"));
    if !subset && procfs.is_some() && !covers_proc(judge) {
        if !judge.is_privileged {
            unmasked(judge, "/linux/maskedPaths", "a procfs with nothing masked and nothing read-only");
        }
        // Allowed, so wanted.
        return;
    }
    let wanted = |list: &[&str]| -> Vec<String> {
        let there =
            |path: &&&str| if path.starts_with("/proc") { procfs.is_some() && !subset } else { sysfs.is_some() };
        list.iter().filter(there).map(|path| (*path).to_string()).collect()
    };
    let (masked, read_only, hardened) = (wanted(&MASKED), wanted(&READ_ONLY), wanted(&HARDENED));
    let thermal = (0..judge.facts.thermal_cpus).map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    let thermal = if sysfs.is_some() { thermal.collect() } else { Vec::new() };
    cover(judge, Rule::MaskedPaths, [masked, thermal].concat(), false);
    cover(judge, Rule::MaskedPaths, read_only, true);
    cover(judge, Rule::HardenedMasks, hardened, false);
    subset_pid(judge, procfs);
}

/// The index of the mount that shows such a filesystem there, new or bound.
fn mounted(judge: &Judge<'_>, at: &str, kind: &str) -> Option<usize> {
    let shows = |mount: &Mount| clean(&mount.destination) == at && (is_bind(mount) || mount.r#type == kind);
    judge.spec.mounts.iter().position(shows)
}

fn covers_proc(judge: &Judge<'_>) -> bool {
    let Some(linux) = &judge.spec.linux else { return false };
    linux.masked_paths.iter().chain(&linux.readonly_paths).any(|path| below(&clean(path), "/proc").is_some())
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
    let linux = judge.linux();
    let lists = linux.masked_paths.iter().chain(linux.readonly_paths.iter().filter(|_| read_only));
    let given: Vec<String> = lists.map(|path| clean(path)).collect();
    let mounted: Vec<String> = judge.spec.mounts.iter().map(|mount| clean(&mount.destination)).collect();
    let missing: Vec<String> = wanted
        .into_iter()
        // What the configuration mounts there is its own, as the files of lxcfs are.
        .filter(|path| !given.iter().any(|have| below(path, have).is_some()) && !mounted.contains(path))
        .collect();
    let pointer = if read_only { "/linux/readonlyPaths" } else { "/linux/maskedPaths" };
    if missing.is_empty() || !judge.narrows(rule, pointer, "", &missing.join(" ")) {
        return;
    }
    let linux = judge.linux();
    if read_only { linux.readonly_paths.extend(missing) } else { linux.masked_paths.extend(missing) }
}

fn read_only_sys(judge: &mut Judge<'_>) {
    for (i, mount) in judge.spec.mounts.clone().iter().enumerate() {
        let kernels = matches!(mount.r#type.as_str(), "sysfs" | "cgroup" | "cgroup2") && !is_bind(mount);
        let writable = mount.options.iter().rev().find(|option| matches!(option.as_str(), "ro" | "rw"));
        if !kernels || judge.is_privileged || writable.is_some_and(|option| option == "ro") {
            continue;
        }
        let before = format!("{} on {} writable", mount.r#type, mount.destination);
        if judge.narrows(Rule::ReadOnlySys, &format!("/mounts/{i}/options"), &before, "ro")
            && let Some(mount) = judge.spec.mounts.get_mut(i)
        {
            mount.options.retain(|option| option != "rw");
            mount.options.push("ro".into());
        }
    }
}

fn subset_pid(judge: &mut Judge<'_>, procfs: Option<usize>) {
    let Some(at) = procfs.filter(|at| judge.spec.mounts.get(*at).is_some_and(|mount| !is_bind(mount))) else { return };
    let pointer = format!("/mounts/{at}/options");
    // The files of lxcfs, for which there is no place in such a procfs.
    let inside = |mount: &Mount| below(&clean(&mount.destination), "/proc").is_some_and(|rest| !rest.is_empty());
    if judge.asks(Rule::ProcSubset) && judge.spec.mounts.iter().any(inside) {
        judge.lacks(Rule::ProcSubset, "the configuration mounts files into /proc");
        return;
    }
    let has = judge.spec.mounts.get(at).is_some_and(|mount| mount.options.iter().any(|option| option == "subset=pid"));
    if !has
        && judge.narrows(Rule::ProcSubset, &pointer, "", "subset=pid")
        && let Some(mount) = judge.spec.mounts.get_mut(at)
    {
        mount.options.push("subset=pid".into());
    }
}
