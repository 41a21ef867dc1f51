//! What is in /dev, and what the device cgroup lets through.

use crate::case::{Ground, same};
use crate::host;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;

crate::cases! {
    dev_has_exactly_the_default_devices_and_links;
    default_devices_work;
    a_configured_device_is_made_with_its_mode_and_owner;
    a_fifo_is_made;
    a_device_outside_of_dev_is_made;
    devices_are_made_below_new_directories;
    a_device_of_an_unknown_type_is_refused;
    a_device_the_cgroup_denies_cannot_be_opened;
    a_device_the_cgroup_allows_can_be_opened;
    access_is_limited_to_what_is_allowed [Needs(CgroupV1)];
    the_device_rules_are_in_the_cgroup [Needs(CgroupV1)];
    device_rules_apply_in_the_order_listed [Needs(CgroupV1)];
    exec_is_under_the_same_device_rules;
    a_tmpfs_with_nodev_stops_devices;
    dev_console_exists_only_with_a_terminal;
    a_dev_symlink_of_the_image_is_not_followed [Differs("a /dev that is a symlink is refused")];
    ptmx_belongs_to_the_containers_devpts;
}

fn dev(g: &Ground) -> Result<Value> {
    Ok(g.probe(&g.bundle()?)?["dev"].clone())
}

fn dev_has_exactly_the_default_devices_and_links(g: &Ground) -> Result<()> {
    let dev = dev(g)?;
    for (name, numbers) in
        [("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"), ("urandom", "1:9"), ("tty", "5:0")]
    {
        let device = &dev[name];
        let seen =
            (device["type"].as_str(), device["device"].as_str(), device["mode"].as_str(), device["owner"].as_str());
        same(name, seen, (Some("c"), Some(numbers), Some("666"), Some("0:0")))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        same(name, (dev[name]["type"].as_str(), dev[name]["target"].as_str()), (Some("l"), Some(target)))?;
    }
    let allowed = [
        "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm",
        "mqueue", "core", "console",
    ];
    let extra: Vec<&String> =
        dev.as_object().context("dev")?.keys().filter(|n| !allowed.contains(&n.as_str())).collect();
    ensure!(extra.is_empty(), "also in /dev: {extra:?}");
    Ok(())
}

fn default_devices_work(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh(
        "echo x > /dev/null && head -c 4 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c && ! echo x > /dev/full",
    );
    same("output", g.run(&bundle)?.success()?.stdout.as_str(), "4\n3\n")
}

fn a_configured_device_is_made_with_its_mode_and_owner(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let device =
        json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7, "gid": 8});
    bundle.push("/linux/devices", device);
    let seen = &g.probe(&bundle)?["dev"]["fuse"];
    let seen = (seen["type"].as_str(), seen["device"].as_str(), seen["mode"].as_str(), seen["owner"].as_str());
    same("device", seen, (Some("c"), Some("10:229"), Some("640"), Some("7:8")))
}

fn a_fifo_is_made(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.push("/linux/devices", json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o600, "uid": 0, "gid": 0}));
    same("type", g.probe(&bundle)?["dev"]["pipe"]["type"].as_str(), Some("p"))
}

fn a_device_outside_of_dev_is_made(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let device =
        json!({"path": "/tmp/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0});
    bundle.push("/linux/devices", device).sh("head -c 4 /tmp/zero | wc -c");
    same("bytes", g.run(&bundle)?.success()?.stdout.trim(), "4")
}

fn devices_are_made_below_new_directories(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let device =
        json!({"path": "/dev/a/b/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0});
    bundle.push("/linux/devices", device).sh("head -c 4 /dev/a/b/zero | wc -c");
    same("bytes", g.run(&bundle)?.success()?.stdout.trim(), "4")
}

fn a_device_of_an_unknown_type_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.push("/linux/devices", json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 5}));
    g.run(&bundle)?.exits(1).map(drop)
}

fn a_device_the_cgroup_denies_cannot_be_opened(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    // /dev/mem is in the container but not in the list of what may be opened.
    bundle.sh("mknod /tmp/mem c 1 1 && probe try open /tmp/mem");
    same("open", g.run(&bundle)?.success()?.stdout.trim(), "Operation not permitted (os error 1)")
}

fn a_device_the_cgroup_allows_can_be_opened(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("mknod /tmp/zero c 1 5 && probe try read /tmp/zero");
    same("read", g.run(&bundle)?.success()?.stdout.trim(), "ok")
}

fn only(g: &Ground, rules: Value) -> Result<crate::bundle::Bundle> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/resources/devices", rules);
    Ok(bundle)
}

fn access_is_limited_to_what_is_allowed(g: &Ground) -> Result<()> {
    let mut bundle = only(
        g,
        json!([{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "wm"}]),
    )?;
    bundle.sh("mknod /tmp/kmsg c 1 11 && probe try write /tmp/kmsg; probe try open /tmp/kmsg");
    same("write and read", g.run(&bundle)?.success()?.stdout.as_str(), "ok\nOperation not permitted (os error 1)\n")
}

fn the_device_rules_are_in_the_cgroup(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let list = c.cgroup("devices", "devices.list")?;
    // The `m` of a rule may be in the one for all devices.
    for rule in ["c 1:3 rw", "c 1:5 rw", "c 1:8 rw", "c 136:* rw"] {
        ensure!(list.lines().any(|line| line.starts_with(rule)), "no \"{rule}\" in\n{list}");
    }
    ensure!(list.lines().any(|line| line.ends_with('m')), "no device may be made:\n{list}");
    ensure!(!list.contains("a *:*"), "everything is allowed");
    Ok(())
}

fn device_rules_apply_in_the_order_listed(g: &Ground) -> Result<()> {
    let first_denied = only(
        g,
        json!([{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]),
    )?;
    let list = g.sleeping(&first_denied)?.cgroup("devices", "devices.list")?;
    ensure!(!list.contains("c 10:229"), "the later denial is lost:\n{list}");
    let then_allowed = only(
        g,
        json!([{"allow": false, "access": "rwm"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]),
    )?;
    let list = g.sleeping(&then_allowed)?.cgroup("devices", "devices.list")?;
    ensure!(list.contains("c 10:229 rwm"), "the later permission is lost:\n{list}");
    Ok(())
}

fn exec_is_under_the_same_device_rules(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let output = c.exec(&[], &["/bin/sh", "-c", "mknod /tmp/mem c 1 1 && probe try open /tmp/mem"])?.success()?;
    same("open", output.stdout.trim(), "Operation not permitted (os error 1)")
}

fn a_tmpfs_with_nodev_stops_devices(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["nodev"]).sh("mknod /mnt/zero c 1 5 && probe try read /mnt/zero");
    same("read", g.run(&bundle)?.success()?.stdout.trim(), "Permission denied (os error 13)")
}

fn dev_console_exists_only_with_a_terminal(g: &Ground) -> Result<()> {
    ensure!(dev(g)?["console"].is_null(), "a console without a terminal");
    Ok(())
}

fn a_dev_symlink_of_the_image_is_not_followed(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let outside = g.dir.join("outside");
    std::fs::create_dir(&outside)?;
    std::fs::remove_dir(bundle.rootfs().join("dev"))?;
    symlink(&outside, bundle.rootfs().join("dev"))?;
    bundle.sh("true");
    g.run(&bundle)?;
    same("entries outside", std::fs::read_dir(&outside)?.count(), 0)?;
    let outside = outside.to_string_lossy().into_owned();
    ensure!(host::mounts("self")?.iter().all(|mount| !mount.point.starts_with(&outside)), "mounted outside");
    Ok(())
}

fn ptmx_belongs_to_the_containers_devpts(g: &Ground) -> Result<()> {
    let dev = dev(g)?;
    same("ptmx", dev["ptmx"]["target"].as_str(), Some("pts/ptmx"))?;
    let mut bundle = g.bundle()?;
    bundle.sh("ls -l /dev/pts/ptmx | cut -c1-10; probe try open /dev/ptmx");
    same("ptmx", g.run(&bundle)?.success()?.stdout.as_str(), "crw-rw-rw-\nok\n")
}
