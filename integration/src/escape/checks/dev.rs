//! /dev: what is in it, whose terminal the console is, and which devices can be opened at all.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::{Created, Creation};
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{
    CWD, Dir, FileType, FsWord, Mode, OFlags, fstat, fstatfs, major, makedev, minor, mknodat, readlinkat,
};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

crate::checks! {
    "B13" the_console_is_the_terminal_that_was_handed_out;
    "B15" dev_has_the_default_devices_and_nothing_else;
    "D16" a_device_that_is_not_allowed_cannot_be_opened;
}

/// What fstatfs(2) says of a devpts.
const DEVPTS_SUPER_MAGIC: FsWord = 0x1cd1;

fn made<'s>(s: &'s Scene, bundle: &Bundle) -> Result<Created<'s>> {
    match s.create(bundle)? {
        Creation::Made(created) => Ok(created),
        Creation::Refused(attack) => bail!("it was refused: {}", attack.output),
    }
}

fn the_console_is_the_terminal_that_was_handed_out(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/terminal", json!(true));
    let created = made(s, &bundle)?;
    let console = created.open("/dev/console", OFlags::PATH).context("/dev/console")?;
    let (data, pts) = (fstat(&console)?, created.open("/dev/pts", OFlags::PATH)?);
    holds!(major(data.st_rdev) == 136, "/dev/console is {}:{}", major(data.st_rdev), minor(data.st_rdev));
    holds!(fstatfs(&console)?.f_type == DEVPTS_SUPER_MAGIC, "/dev/console is not of a devpts");
    holds!(data.st_dev == fstat(&pts)?.st_dev, "/dev/console is of another devpts than the container's");
    // The suite's own terminals are of a devpts with another number.
    let host = rustix::fs::stat("/dev/pts")?;
    holds!(data.st_dev != host.st_dev, "/dev/console is of the host's devpts");
    created.end()?;
    Ok(Verdict::safe())
}

fn dev_has_the_default_devices_and_nothing_else(s: &Scene) -> Result<Verdict> {
    const NODES: [(&str, u32, u32); 6] =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    const LINKS: [(&str, &str); 6] = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
        ("core", "/proc/kcore"),
    ];
    let created = made(s, &s.bundle()?)?;
    let dev = created.open("/dev", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut nodes = 0;
    for entry in Dir::read_from(&dev)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            continue;
        }
        let data = rustix::fs::statat(&dev, &*name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(data.st_mode) {
            FileType::CharacterDevice => {
                let device = (&*name, major(data.st_rdev), minor(data.st_rdev));
                holds!(NODES.contains(&device), "/dev/{name} is {}:{}", device.1, device.2);
                holds!(data.st_mode & 0o7777 == 0o666, "/dev/{name} has mode {:o}", data.st_mode & 0o7777);
                nodes += 1;
            }
            FileType::Symlink => {
                let target = readlinkat(&dev, &*name, Vec::new())?.to_string_lossy().into_owned();
                holds!(LINKS.contains(&(&*name, &*target)), "/dev/{name} leads to {target}");
            }
            FileType::Directory => holds!(["pts", "shm", "mqueue"].contains(&&*name), "/dev/{name} is a directory"),
            kind => holds!(false, "/dev/{name} is {kind:?}"),
        }
    }
    ensure!(nodes >= 5, "only {nodes} devices");
    let mount = crate::host::mount_at(&created.mounts, "/dev")?;
    holds!(mount.has("nosuid"), "/dev can have set-user-ID files");
    created.end()?;
    Ok(Verdict::safe())
}

/// Devices whose open(2) asks for no capability and does nothing: fuse, tun, loop-control.
const IDLE: [u32; 3] = [229, 200, 237];

/// A bundle whose image has the node `/node` of a miscellaneous device, and `/nothing`, another null device.
fn with_nodes(s: &Scene, number: u32) -> Result<Bundle> {
    let bundle = s.scripted("(: < /nothing) && echo NOTHING; (: < /node) && echo OPENED; true")?;
    for (name, device) in [("node", makedev(10, number)), ("nothing", makedev(1, 3))] {
        let (path, mode) = (bundle.rootfs().join(name), Mode::from_raw_mode(0o666));
        mknodat(CWD, &path, FileType::CharacterDevice, mode, device).context("mknod")?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?;
    }
    Ok(bundle)
}

fn a_device_that_is_not_allowed_cannot_be_opened(s: &Scene) -> Result<Verdict> {
    let mut found = None;
    for number in IDLE {
        let bundle = with_nodes(s, number)?;
        if std::fs::File::open(bundle.rootfs().join("node")).is_ok() {
            found = Some((number, bundle));
            break;
        }
    }
    let Some((number, bundle)) = found else {
        return Ok(Verdict::Unavailable("kernel-file", "this kernel has neither fuse nor tun nor loop".to_owned()));
    };
    let mut twin = bundle.clone();
    let rule = json!({"allow": true, "type": "c", "major": 10, "minor": number, "access": "rwm"});
    twin.push("/linux/resources/devices", rule);
    if s.level.is_none() || s.at("privileged") {
        let seen = s.twin(&twin)?;
        ensure!(seen.stdout.contains("NOTHING") && seen.stdout.contains("OPENED"), "allowed, and not opened: {seen}");
    }
    let attack = s.attack(&bundle)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    holds!(!attack.output.stdout.contains("OPENED"), "the program has opened device 10:{number}");
    let container = s.sleeping(&bundle)?;
    let exec = s.exec_script(&container, &[], "(: < /node) && echo OPENED; true")?;
    ensure!(exec.ran, "exec does not run: {}", exec.output);
    holds!(!exec.output.stdout.contains("OPENED"), "a program of exec has opened device 10:{number}");
    Ok(Verdict::safe())
}
