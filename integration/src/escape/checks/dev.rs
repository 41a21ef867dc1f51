//! /dev: what is in it, and whose terminal the console is.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::{Created, Creation};
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Dir, FileType, FsWord, OFlags, fstat, fstatfs, major, minor, readlinkat};
use serde_json::json;

crate::checks! {
    "B13" the_console_is_the_terminal_that_was_handed_out;
    "B15" dev_has_the_default_devices_and_nothing_else;
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
