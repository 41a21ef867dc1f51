//! Masked and read-only paths: what covers them is the kernel's null device and nothing that an image put in its place,
//! and the kernel's dangerous files are among them.

use super::covers::masked;
use super::volumes::{fill_dev, volume, without_dev};
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::Creation;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

crate::checks! {
    "CVE-2025-31133" a_mask_holds_whatever_the_null_device_of_a_volume_is [
        Advisory("runc", "CVE-2025-31133"), Advisory("youki", "CVE-2025-62161"), KnownHole("runc version 1.1.5+ds1")
    ];
    "B12" a_mask_holds_whatever_the_null_device_of_an_image_is [
        Advisory("runc", "CVE-2025-31133"), Advisory("youki", "CVE-2025-62161"), KnownHole("runc version 1.1.5+ds1")
    ];
    "CVE-2015-3630" what_is_to_be_masked_or_read_only_is;
    "CVE-2017-16539" the_disks_in_proc_scsi_are_masked;
    "CVE-2018-10892" the_switches_in_proc_acpi_are_masked;
    "GHSA-jq35-85cj-fj4p" the_power_meters_in_sysfs_are_masked;
    "GHSA-6fw5-f8r9-fgfm" the_interrupt_counters_are_masked;
    "GHSA-6fw5-f8r9-fgfm" the_thermal_counters_are_masked;
}

/// What a path shows to somebody in the container, seen from outside: `None` when it shows nothing.
fn shown(root: &str, path: &str) -> Result<Option<String>> {
    let full = format!("{root}{path}");
    let data = match std::fs::metadata(&full) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("stat \"{full}\""))?,
    };
    if data.is_dir() {
        let first = std::fs::read_dir(&full)?.flatten().next();
        return Ok(first.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    let mut start = [0; 64];
    // A denied read shows nothing either.
    let length = std::fs::File::open(&full).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    Ok(start.get(..length).filter(|bytes| !bytes.is_empty()).map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn list(bundle: &Bundle, key: &str) -> Vec<String> {
    let items = bundle.spec.pointer(&format!("/linux/{key}")).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn what_is_to_be_masked_or_read_only_is(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let dir = bundle.rootfs().join("covered");
    std::fs::create_dir(&dir)?;
    for name in ["plain", "masked", "locked"] {
        std::fs::write(dir.join(name), "content\n")?;
    }
    std::fs::create_dir(dir.join("directory"))?;
    std::fs::write(dir.join("directory/file"), "content\n")?;
    bundle.push("/linux/maskedPaths", json!("/covered/masked")).push("/linux/maskedPaths", json!("/covered/directory"));
    bundle.push("/linux/readonlyPaths", json!("/covered/locked"));
    let container = s.sleeping(&bundle)?;
    let root = format!("/proc/{}/root", container.pid()?);
    ensure!(shown(&root, "/covered/plain")?.is_some(), "a path that is not masked shows nothing");
    for path in list(&bundle, "maskedPaths") {
        let seen = shown(&root, &path)?;
        holds!(seen.is_none(), "{path} shows {:?}", seen.unwrap_or_default());
    }
    for path in list(&bundle, "readonlyPaths") {
        let full = format!("{root}{path}");
        let Ok(data) = std::fs::metadata(&full) else { continue };
        // What a directory is, is asked of the mount: statvfs tells its flags.
        let flags = rustix::fs::statvfs(full.as_str())?.f_flag;
        holds!(flags.contains(rustix::fs::StatVfsMountFlags::RDONLY), "{path} is not mounted read-only");
        if data.is_file() {
            let opened = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&full);
            let errno = opened.err().and_then(|error| error.raw_os_error());
            holds!(errno == Some(Errno::ROFS.raw_os_error()), "{path} opened for writing: error {errno:?}");
        }
    }
    Ok(Verdict::safe())
}

/// A kernel path masked by the configuration, and from baseline on by casemate itself when the configuration forgot it.
fn kernel_path(s: &Scene, path: &str) -> Result<Verdict> {
    if shown("", path)?.is_none() {
        return Ok(Verdict::Unavailable("kernel-file", format!("this kernel has no {path}, or nothing in it")));
    }
    let mut bundle = s.bundle()?;
    bundle.push("/linux/maskedPaths", json!(path));
    let own = s.at("baseline") || s.at("restricted");
    let mut forgotten = s.bundle()?;
    let others: Vec<String> = list(&forgotten, "maskedPaths").into_iter().filter(|other| other != path).collect();
    forgotten.set("/linux/maskedPaths", json!(others));
    let bundles = std::iter::once(("in the list", bundle)).chain(own.then_some(("not in the list", forgotten)));
    for (how, bundle) in bundles {
        let container = s.sleeping(&bundle)?;
        let seen = shown(&format!("/proc/{}/root", container.pid()?), path)?;
        holds!(seen.is_none(), "{path}, {how}, shows {:?}", seen.unwrap_or_default());
    }
    Ok(Verdict::safe())
}

fn the_disks_in_proc_scsi_are_masked(s: &Scene) -> Result<Verdict> {
    kernel_path(s, "/proc/scsi")
}

fn the_switches_in_proc_acpi_are_masked(s: &Scene) -> Result<Verdict> {
    kernel_path(s, "/proc/acpi")
}

fn the_power_meters_in_sysfs_are_masked(s: &Scene) -> Result<Verdict> {
    kernel_path(s, "/sys/devices/virtual/powercap")
}

fn the_interrupt_counters_are_masked(s: &Scene) -> Result<Verdict> {
    kernel_path(s, "/proc/interrupts")
}

fn the_thermal_counters_are_masked(s: &Scene) -> Result<Verdict> {
    kernel_path(s, "/sys/devices/system/cpu/cpu0/thermal_throttle")
}

/// What a null device may be replaced by.
const FALSE_NULLS: [&str; 7] = ["link", "magic link", "file", "zero", "kmsg", "fifo", "directory"];

fn replace_null(s: &Scene, null: &Path, what: &str) -> Result<()> {
    std::fs::remove_file(null).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let node =
        |major, minor| mknodat(CWD, null, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor));
    match what {
        "link" => symlink(s.outside.path("file"), null)?,
        "magic link" => symlink(format!("/proc/1/root{}", s.outside.path("file").display()), null)?,
        "file" => std::fs::write(null, "not a device\n")?,
        "zero" => node(1, 5)?,
        "kmsg" => node(1, 11)?,
        "fifo" => mknodat(CWD, null, FileType::Fifo, Mode::from_raw_mode(0o666), 0)?,
        "directory" => std::fs::create_dir(null)?,
        other => bail!("no such thing: {other}"),
    }
    Ok(())
}

/// Judges masks of a container whose null device is false in each way; `null` gives its place in a bundle.
fn false_nulls(s: &Scene, prepare: &dyn Fn(&mut Bundle) -> Result<std::path::PathBuf>) -> Result<Verdict> {
    let (mut held, mut refused, mut message) = (0, 0, String::new());
    for what in std::iter::once("as it should be").chain(FALSE_NULLS) {
        let mut bundle = masked(s)?;
        let null = prepare(&mut bundle)?;
        let benign = what == "as it should be";
        if !benign {
            replace_null(s, &null, what).with_context(|| what.to_owned())?;
        }
        match s.create(&bundle)? {
            Creation::Refused(attack) if benign => bail!("the benign twin was refused: {}", attack.output),
            Creation::Refused(attack) => match s.refused(&attack)?.context("it ran")? {
                Verdict::Refused(words) => (refused, message) = (refused + 1, words),
                Verdict::Unsafe(why) => return Ok(Verdict::Unsafe(format!("{what}: {why}"))),
                other => return Ok(other),
            },
            Creation::Made(created) => {
                let stray = created.strays(&s.outside)?;
                holds!(stray.is_none(), "{what}: {}", stray.unwrap_or_default());
                for path in ["/secret", "/hidden", "/proc/keys", "/proc/timer_list"] {
                    let shown = created.shows(path)?;
                    holds!(shown.is_empty(), "{what}: {path} shows {shown:?}");
                }
                created.end()?;
                held += 1;
            }
        }
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    // The twin is one of those that held.
    Ok(if held > 1 {
        Verdict::Safe(format!("held in {}, refused in {refused}", held - 1))
    } else {
        Verdict::Refused(message)
    })
}

fn a_mask_holds_whatever_the_null_device_of_a_volume_is(s: &Scene) -> Result<Verdict> {
    let dev = volume(s, "dev")?;
    false_nulls(s, &|bundle| {
        let null = dev.join("null");
        if std::fs::symlink_metadata(&null).is_ok_and(|data| data.is_dir()) {
            std::fs::remove_dir(&null)?;
        }
        if std::fs::symlink_metadata(&null).is_ok() {
            std::fs::remove_file(&null)?;
        }
        fill_dev(&dev)?;
        without_dev(bundle);
        bundle.bind(&dev, "/dev", &["rbind"]);
        Ok(null)
    })
}

fn a_mask_holds_whatever_the_null_device_of_an_image_is(s: &Scene) -> Result<Verdict> {
    false_nulls(s, &|bundle| {
        without_dev(bundle);
        Ok(bundle.rootfs().join("dev/null"))
    })
}
