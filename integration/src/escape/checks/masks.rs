//! Masked and read-only paths: what covers them is the kernel's null device and nothing that an image put in its place,
//! and the kernel's dangerous files are among them.

use super::dev_tree::{own_dev, without_dev};
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

crate::checks! {
    "CVE-2025-31133" a_masked_path_shows_nothing_when_dev_null_is_a_link [
        Advisory("runc", "CVE-2025-31133"), Advisory("youki", "CVE-2025-62161"), KnownHole("runc version 1.1.5+ds1")
    ];
    "CVE-2025-31133" a_masked_path_shows_nothing_when_dev_null_is_a_regular_file [
        Advisory("runc", "CVE-2025-31133"), Advisory("youki", "CVE-2025-62161"), KnownHole("runc version 1.1.5+ds1")
    ];
    "CVE-2015-3630" what_is_to_be_masked_or_read_only_is;
    "CVE-2017-16539" the_disks_in_proc_scsi_are_masked;
    "CVE-2018-10892" the_switches_in_proc_acpi_are_masked;
    "GHSA-jq35-85cj-fj4p" the_power_meters_in_sysfs_are_masked;
    "GHSA-6fw5-f8r9-fgfm" the_interrupt_counters_are_masked;
    "GHSA-6fw5-f8r9-fgfm" the_thermal_counters_are_masked;
}

/// A bundle that masks a file of its image, in a `/dev` of the attacker's.
fn masking(s: &Scene, name: &str, prepare: impl Fn(&Path) -> Result<()>) -> Result<Bundle> {
    let mut bundle = s.scripted("cat /masked; echo WRITTEN > /masked; cat /marker")?;
    std::fs::write(bundle.rootfs().join("masked"), "ORIGINAL\n")?;
    std::fs::write(bundle.rootfs().join("marker"), "PREPARED\n")?;
    let dev = own_dev(s, name)?;
    prepare(&dev)?;
    without_dev(&mut bundle).bind(&dev, "/dev", &["bind", "dev"]).push("/linux/maskedPaths", json!("/masked"));
    Ok(bundle)
}

/// Replaces the null device of the attacker's `/dev`.
fn masked_in_spite_of(s: &Scene, replacements: &[fn(&Path) -> std::io::Result<()>]) -> Result<Verdict> {
    let twin = s.twin(&masking(s, "dev", |_| Ok(()))?)?;
    ensure!(!twin.stdout.contains("ORIGINAL"), "the twin's mask is not in force: {twin}");
    let mut tally = crate::escape::tally::Tally::default();
    for (n, replace) in replacements.iter().enumerate() {
        let bundle = masking(s, &format!("dev{n}"), |dev| {
            std::fs::remove_file(dev.join("null"))?;
            Ok(replace(&dev.join("null"))?)
        })?;
        let attack = s.attack(&bundle)?;
        if let Some(verdict) = tally.count(s, &attack)? {
            return Ok(verdict);
        }
        if !attack.ran {
            continue;
        }
        let text = &attack.output.stdout;
        holds!(!text.contains("ORIGINAL"), "variant {n}: the masked file can be read");
        let prepared = text.matches("PREPARED").count();
        // The image's own file is printed once by its own name; twice says that the mask is that file.
        holds!(
            prepared == 1 && !text.contains("WRITTEN"),
            "variant {n}: the mask is what the image had prepared: {text}"
        );
        for file in ["masked", "marker"] {
            let now = std::fs::read_to_string(bundle.rootfs().join(file))?;
            holds!(!now.contains("WRITTEN"), "variant {n}: a write to the masked path reached /{file}");
        }
    }
    Ok(tally.verdict())
}

fn a_masked_path_shows_nothing_when_dev_null_is_a_link(s: &Scene) -> Result<Verdict> {
    masked_in_spite_of(s, &[|null| symlink("/marker", null), |null| symlink("../marker", null)])
}

fn a_masked_path_shows_nothing_when_dev_null_is_a_regular_file(s: &Scene) -> Result<Verdict> {
    masked_in_spite_of(
        s,
        &[|null| std::fs::write(null, "PREPARED\n"), |null| std::fs::hard_link(null.with_file_name("zero"), null)],
    )
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
