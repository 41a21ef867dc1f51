//! Devices: no classes of them, no disks, no memory.

use super::judge::{Judge, switch_off};
use super::rule::Rule;
use crate::cgroup::devices::{Access, Kind, Rule as DeviceRule};
use crate::spec::DeviceCgroup;

/// The slaves of devpts, which every terminal is: a class of devices that belongs to the container.
const PTS: u32 = 136;

/// Character devices that are the machine's memory, its ports, its disks or the kernel's log: major number, and minor
/// number or all of them (Documentation/admin-guide/devices.txt).
const RAW: [(u32, Option<u32>, &str); 15] = [
    (1, Some(1), "the host's memory"),
    (1, Some(2), "the kernel's memory"),
    (1, Some(4), "the host's ports"),
    (1, Some(11), "the kernel's log"),
    (1, Some(12), "memory of a crashed kernel"),
    (4, None, "a console of the host"),
    (7, None, "what is on the host's consoles"),
    (10, Some(130), "the host's watchdog"),
    (10, Some(144), "the firmware's memory"),
    (10, Some(236), "the device mapper of the host's disks"),
    (10, Some(223), "input as if from the host's keyboard"),
    (21, None, "a disk, as a SCSI device"),
    (90, None, "a flash memory"),
    (162, None, "a disk, as a raw device"),
    (202, None, "a CPU's registers"),
];

pub(super) fn judge(judge: &mut Judge<'_>) {
    if judge.is_privileged {
        return;
    }
    wildcards(judge);
    nodes(judge);
    rules_for_raw(judge);
}

/// Rules that let a container open every device.
pub(super) fn allows_everything(judge: &Judge<'_>) -> bool {
    rules(judge).iter().any(|(_, rule, _)| rule.kind == Kind::All && is_wildcard(rule) && opens(rule))
}

/// The allowing rules of the configuration that can be read; the plan refuses the others.
fn rules(judge: &Judge<'_>) -> Vec<(usize, DeviceRule, DeviceCgroup)> {
    let Some(resources) = judge.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref()) else {
        return Vec::new();
    };
    let readable = |(i, rule): (usize, &DeviceCgroup)| Some((i, DeviceRule::parse(rule).ok()?, rule.clone()));
    resources.devices.iter().enumerate().filter_map(readable).filter(|(_, rule, _)| rule.allow).collect()
}

fn is_wildcard(rule: &DeviceRule) -> bool {
    let pts = rule.kind == Kind::Char && rule.major == Some(PTS);
    rule.major.is_none() || (rule.minor.is_none() && !pts)
}

fn opens(rule: &DeviceRule) -> bool {
    rule.access.bits() & (Access::READ.bits() | Access::WRITE.bits()) != 0
}

fn wildcards(judge: &mut Judge<'_>) {
    let mut without_mknod = Vec::new();
    for (i, rule, as_written) in rules(judge).into_iter().filter(|(_, rule, _)| is_wildcard(rule)) {
        let pointer = format!("/linux/resources/devices/{i}");
        if opens(&rule) {
            let cause = format!("the device rule \"{}\" is for a whole class of devices", words(&rule));
            let allow = format!("name each device (--device), or {}", switch_off(Rule::DeviceWildcards));
            judge.refuse(Rule::DeviceWildcards, &pointer, cause, allow);
        }
        let may_make = rule.access.bits() & Access::MKNOD.bits() != 0;
        if may_make && judge.narrows(Rule::DeviceRules, &pointer, &format!("mknod in \"{}\"", words(&rule)), "") {
            without_mknod.push((i, as_written));
        }
    }
    let Some(resources) = judge.spec.linux.as_mut().and_then(|linux| linux.resources.as_mut()) else { return };
    for (i, as_written) in without_mknod.into_iter().rev() {
        let letters = if as_written.access.is_empty() { "rwm" } else { as_written.access.as_str() };
        let access = letters.replace('m', "");
        if access.is_empty() {
            // To no letters at all the spec gives the meaning "all three".
            resources.devices.remove(i);
        } else if let Some(rule) = resources.devices.get_mut(i) {
            rule.access = access;
        }
    }
}

fn nodes(judge: &mut Judge<'_>) {
    let listed = judge.spec.linux.as_ref().map_or(Vec::new(), |linux| linux.devices.clone());
    for (i, device) in listed.iter().enumerate() {
        let pointer = format!("/linux/devices/{i}");
        let numbers = (u32::try_from(device.major).ok(), u32::try_from(device.minor).ok());
        let raw = match (device.r#type.as_str(), numbers) {
            ("b", _) => Some("a disk or another block device"),
            ("c" | "u", (Some(major), Some(minor))) => raw(major, minor),
            _ => None,
        };
        if let Some(what) = raw {
            refuse_raw(judge, &pointer, &format!("device \"{}\" is {what}", device.path));
        }
        let own = matches!((device.r#type.as_str(), numbers), ("c" | "u", (Some(major), Some(minor))) if everybodys(major, minor));
        if !own && device.r#type != "p" {
            let cause = format!("device \"{}\" is not one that every container has", device.path);
            let allow = format!("leave it out (--device), or {}", switch_off(Rule::ExtraDevices));
            judge.refuse(Rule::ExtraDevices, &pointer, cause, allow);
        }
    }
}

/// A rule without a node is enough for who may make nodes.
fn rules_for_raw(judge: &mut Judge<'_>) {
    for (i, rule, _) in rules(judge) {
        let (Some(major), Some(minor)) = (rule.major, rule.minor) else { continue };
        let what = match rule.kind {
            Kind::Char => raw(major, minor),
            // Of both kinds, so a block device as well.
            Kind::Block | Kind::All => Some("a disk or another block device"),
        };
        let listed = judge.spec.linux.as_ref().is_some_and(|linux| {
            let same = |d: &crate::spec::Device| {
                let same_type = match rule.kind {
                    Kind::Block => d.r#type == "b",
                    Kind::Char => matches!(d.r#type.as_str(), "c" | "u"),
                    Kind::All => false,
                };
                same_type && d.major == i64::from(major) && d.minor == i64::from(minor)
            };
            linux.devices.iter().any(same)
        });
        // Of a listed one it is said already. To make the node is enough: in a volume it is the host's users' to open.
        if let Some(what) = what.filter(|_| !listed) {
            let cause = format!("the device rule \"{}\" is for {what}", words(&rule));
            refuse_raw(judge, &format!("/linux/resources/devices/{i}"), &cause);
        }
    }
}

fn refuse_raw(judge: &mut Judge<'_>, pointer: &str, cause: &str) {
    let allow = format!("leave it out (--device), or {}", switch_off(Rule::RawDevices));
    judge.refuse(Rule::RawDevices, pointer, cause, allow);
}

fn raw(major: u32, minor: u32) -> Option<&'static str> {
    let is_it = |(its_major, its_minor, _): &&(u32, Option<u32>, &str)| {
        *its_major == major && its_minor.is_none_or(|its_minor| its_minor == minor)
    };
    RAW.iter().find(is_it).map(|(_, _, what)| *what)
}

fn everybodys(major: u32, minor: u32) -> bool {
    let known = |rule: &DeviceRule| rule.major == Some(major) && rule.minor.is_none_or(|m| m == minor);
    crate::cgroup::devices::DEFAULT_NODES.iter().any(known)
}

fn words(rule: &DeviceRule) -> String {
    rule.to_string().trim_start_matches("allow ").to_string()
}
