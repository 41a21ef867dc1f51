//! Paths that are exchanged while a container is created: a directory and a link to the host change places again and
//! again, and in every run the runtime must refuse, or everything must be inside.
//!
//! Only `create` is raced, and what it made is looked at from outside. A mount point keeps its directory when that is
//! renamed, so the mount table may show either name.

use super::volumes::{fill_dev, volume, without_dev};
use crate::bundle::Bundle;
use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::created::{Created, Creation, works_inside};
use crate::escape::outside::Entries;
use crate::escape::racer::Racer;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, inotify, makedev, mknodat, openat};
use rustix::io::Errno;
use serde_json::json;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

crate::checks! {
    "CVE-2024-45310" mounts_below_a_directory_that_is_exchanged_stay_inside
        [Advisory("runc", "CVE-2021-30465, CVE-2024-45310")];
    "CVE-2019-19921" a_proc_that_is_exchanged_is_procfs_with_its_masks
        [Advisory("runc", "CVE-2019-19921, CVE-2023-27561, CVE-2023-28642"), Advisory("youki", "CVE-2025-54867")];
    "CVE-2025-52881" an_exchanged_directory_brings_no_mount_into_procfs
        [Advisory("runc", "CVE-2025-52881"), Advisory("youki", "CVE-2025-62596")];
    "CVE-2026-41579" a_dev_that_is_exchanged_is_not_filled_outside
        [Advisory("runc", "CVE-2026-41579"), Advisory("crun", "CVE-2026-47766")];
    "CVE-2025-31133" masks_hold_while_the_null_device_is_exchanged
        [Advisory("runc", "CVE-2025-31133"), Advisory("youki", "CVE-2025-62161")];
    "CVE-2025-52565" the_console_is_a_terminal_while_dev_is_exchanged
        [Advisory("runc", "CVE-2025-52565")];
    "B11" working_directory_masks_and_devices_that_are_exchanged_stay_inside;
    "B11" masks_in_a_mount_hold_while_its_mount_point_is_exchanged;
    "B11" a_read_only_tmpfs_is_one_while_its_mount_point_is_exchanged;
    "B12" a_device_that_takes_the_place_of_a_file_is_not_copied_up
        [Own("what is opened while a tmpfs is filled is looked at")];
    "B19" a_bind_source_that_is_exchanged_is_the_one_that_was_judged
        [Own("what a source leads to is judged"), Levels(&["baseline", "restricted"])];
}

/// How a run in which the container was made ended.
enum Run {
    InPlace,
    /// Through the link, and inside all the same.
    ThroughLink,
    Wrong(String),
}

/// One race: what is exchanged, and what is done meanwhile.
struct Race<'a> {
    one: &'a Path,
    other: &'a Path,
    bundle: &'a Bundle,
    judge: &'a dyn Fn(&Created) -> Result<Run>,
    /// Makes everything as it was for the next run.
    tidy: &'a dyn Fn() -> Result<()>,
}

fn nothing() -> Result<()> {
    Ok(())
}

/// Runs it, after its benign twin: the same with nothing exchanged.
fn race(s: &Scene, race: &Race) -> Result<Verdict> {
    let id = s.ground.id();
    let container = || Container { ground: &s.ground, id: id.clone(), bundle: race.bundle.clone() };
    let before = s.outside.entries()?;
    let twin = || -> Result<()> {
        match s.create_container(container())? {
            Creation::Refused(attack) => bail!("the benign twin was refused: {}", attack.output),
            Creation::Made(created) => {
                ensure!(matches!((race.judge)(&created)?, Run::InPlace), "the benign twin is not in place");
                created.end()?;
            }
        }
        (race.tidy)()
    };
    twin()?;
    let (mut swaps, mut refused, mut in_place, mut through) = (0, 0, 0, 0);
    let mut last = String::new();
    let racer = Racer::start(race.one, race.other)?;
    for n in 1..=s.races {
        let begun = racer.swaps();
        let creation = s.create_container(container())?;
        swaps += racer.swaps() - begun;
        match creation {
            Creation::Refused(attack) => {
                ensure!(!attack.output.says("exist with"), "the id is taken: {}", attack.output);
                match s.refused(&attack)? {
                    Some(Verdict::Refused(words)) => (refused, last) = (refused + 1, words),
                    Some(verdict) => return Ok(verdict),
                    None => bail!("refused, but it ran"),
                }
            }
            Creation::Made(created) => {
                if let Some(stray) = created.strays(&s.outside)? {
                    return Ok(Verdict::Unsafe(format!("run {n}: {stray}")));
                }
                match (race.judge)(&created).with_context(|| format!("run {n}"))? {
                    Run::InPlace => in_place += 1,
                    Run::ThroughLink => through += 1,
                    Run::Wrong(why) => return Ok(Verdict::Unsafe(format!("run {n}: {why}"))),
                }
                created.end()?;
            }
        }
        (race.tidy)()?;
        if n.is_multiple_of(25) {
            let changed = changes(s, &before)?;
            holds!(changed.is_empty(), "after {n} runs outside has changed: {changed}");
        }
    }
    racer.stop()?;
    let runs = s.races;
    let told = format!(
        "{runs} runs, {swaps} exchanges during them, {refused} refused, {in_place} in place, {through} through the link"
    );
    let changed = changes(s, &before)?;
    holds!(changed.is_empty(), "{told}; outside has changed: {changed}");
    ensure!(swaps > 0, "the race was not run: {told}");
    if in_place == 0 && through == 0 {
        // On a busy machine the exchange may hit every run: it is what was refused, if the twin still runs.
        twin().with_context(|| format!("{told}, the last: {last}"))?;
    }
    Ok(Verdict::Safe(told))
}

/// What is other in the outside tree than it was.
fn changes(s: &Scene, before: &Entries) -> Result<String> {
    let after = s.outside.entries()?;
    let gone =
        before.keys().filter(|path| !after.contains_key(*path)).map(|path| format!("{} is gone", path.display()));
    let other = after.iter().filter(|(path, state)| before.get(*path) != Some(state));
    let other = other.map(|(path, state)| format!("{} is {state}", path.display()));
    Ok(gone.chain(other).collect::<Vec<_>>().join("; "))
}

/// A directory that stays reachable whatever its name is at the moment.
struct Kept(OwnedFd);

impl Kept {
    fn new(dir: &Path) -> Result<Self> {
        Ok(Self(openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Removes everything in it.
    fn clear(&self) -> Result<()> {
        empty(Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())))
    }
}

/// Removes everything in a directory that is there.
fn empty(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// A volume at `/vol` with a directory `a`, and beside it a link `s` to `target`.
struct Volume {
    a: PathBuf,
    s: PathBuf,
    bundle: Bundle,
}

fn exchanged(s: &Scene, target: &Path) -> Result<Volume> {
    let dir = volume(s, "shared")?;
    let (a, link) = (dir.join("a"), dir.join("s"));
    std::fs::create_dir(&a)?;
    symlink(target, &link)?;
    let mut bundle = s.bundle()?;
    bundle.bind(&dir, "/vol", &["rbind"]);
    Ok(Volume { a, s: link, bundle })
}

/// The host's path of something, in a root filesystem.
fn within(rootfs: &Path, path: &Path) -> PathBuf {
    rootfs.join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether each of these is mounted, below the volume or elsewhere in the container.
fn mounted(created: &Created, sources: &[&Path]) -> Result<Run> {
    let mut through = false;
    for source in sources {
        let mounts = created.mounts_of(source)?;
        let Some(mount) = mounts.first() else {
            return Ok(Run::Wrong(format!("{} is not in the container's mount table", source.display())));
        };
        through |= !mount.point.starts_with("/vol/");
    }
    Ok(if through { Run::ThroughLink } else { Run::InPlace })
}

fn mounts_below_a_directory_that_is_exchanged_stay_inside(s: &Scene) -> Result<Verdict> {
    // The link leads to the host's root, and the path below it to a directory outside, in which nothing may be made.
    let mut v = exchanged(s, Path::new("/"))?;
    let (source, below) = (volume(s, "source")?, s.outside.path("empty"));
    let places = [within(&v.a, &below), within(&v.bundle.rootfs(), &below)];
    for place in &places {
        std::fs::create_dir_all(place)?;
    }
    let kept = places.iter().map(|place| Kept::new(place)).collect::<Result<Vec<_>>>()?;
    let at = |name: &str| format!("/vol/a{}/{name}", below.display());
    v.bundle.bind(&source, &at("dir"), &["rbind"]).bind(&source.join("here"), &at("file"), &["bind"]);
    v.bundle.mount(&at("new/tmpfs"), "tmpfs", "tmpfs", &["size=76k"]);
    let judge = |created: &Created| mounted(created, &[&source, &source.join("here")]);
    let tidy = || kept.iter().try_for_each(Kept::clear);
    race(s, &Race { one: &v.a, other: &v.s, bundle: &v.bundle, judge: &judge, tidy: &tidy })
}

/// The mounts on and below /proc, whose directory may have its other name.
fn below_proc(created: &Created, other: &str) -> Vec<String> {
    let points = created.mounts.iter().map(|mount| mount.point.replacen(other, "/proc", 1));
    let mut points: Vec<String> = points.filter(|point| Path::new(point).starts_with("/proc")).collect();
    points.sort();
    points
}

/// Judges procfs: it has the mounts of the first container seen and no others, and what is written there has its effect.
fn procfs(created: &Created, other: &str, first: &std::cell::OnceCell<Vec<String>>) -> Result<Option<String>> {
    let points = below_proc(created, other);
    let wanted = first.get_or_init(|| points.clone());
    if points != *wanted {
        return Ok(Some(format!("mounts in procfs: {points:?} instead of {wanted:?}")));
    }
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", created.pid))?;
    Ok((score.trim() != "321").then(|| format!("oom_score_adj is {} instead of 321", score.trim())))
}

fn a_proc_that_is_exchanged_is_procfs_with_its_masks(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/oomScoreAdj", json!(321));
    let (proc, link) = (bundle.rootfs().join("proc"), bundle.rootfs().join("proc.link"));
    symlink(s.outside.path("dir"), &link)?;
    let first = std::cell::OnceCell::new();
    let judge = |created: &Created| {
        let found = created.mounts.iter().any(|m| m.kind == "proc" && ["/proc", "/proc.link"].contains(&&*m.point));
        Ok(match procfs(created, "/proc.link", &first)? {
            Some(wrong) => Run::Wrong(wrong),
            None if !found => Run::Wrong("no procfs where it belongs".to_owned()),
            None => Run::InPlace,
        })
    };
    race(s, &Race { one: &proc, other: &link, bundle: &bundle, judge: &judge, tidy: &nothing })
}

fn an_exchanged_directory_brings_no_mount_into_procfs(s: &Scene) -> Result<Verdict> {
    let mut v = exchanged(s, Path::new("/proc/self"))?;
    std::fs::create_dir(v.a.join("attr"))?;
    std::fs::write(v.a.join("oom_score_adj"), "")?;
    let source = volume(s, "source")?;
    v.bundle.mount("/vol/a/attr", "tmpfs", "tmpfs", &["size=76k"]);
    v.bundle.bind(&source.join("here"), "/vol/a/oom_score_adj", &["bind"]);
    v.bundle.set("/process/oomScoreAdj", json!(321));
    let first = std::cell::OnceCell::new();
    let judge = |created: &Created| match procfs(created, "/proc", &first)? {
        Some(wrong) => Ok(Run::Wrong(wrong)),
        None => mounted(created, &[&source.join("here")]),
    };
    race(s, &Race { one: &v.a, other: &v.s, bundle: &v.bundle, judge: &judge, tidy: &nothing })
}

fn a_dev_that_is_exchanged_is_not_filled_outside(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    without_dev(&mut bundle);
    let (dev, link) = (bundle.rootfs().join("dev"), bundle.rootfs().join("dev.link"));
    symlink(&s.outside.dir, &link)?;
    let (kept, inside) = (Kept::new(&dev)?, within(&bundle.rootfs(), &s.outside.dir));
    let judge = |_: &Created| Ok(if inside.exists() { Run::ThroughLink } else { Run::InPlace });
    let tidy = || {
        if inside.exists() {
            std::fs::remove_dir_all(&inside)?;
        }
        kept.clear()
    };
    race(s, &Race { one: &dev, other: &link, bundle: &bundle, judge: &judge, tidy: &tidy })
}

/// What a masked path still shows.
fn unmasked(created: &Created, paths: &[&str]) -> Result<Option<String>> {
    for path in paths {
        let shown = created.shows(path)?;
        if !shown.is_empty() {
            return Ok(Some(format!("{path} shows {shown:?}")));
        }
    }
    Ok(None)
}

fn masks_hold_while_the_null_device_is_exchanged(s: &Scene) -> Result<Verdict> {
    let dev = volume(s, "dev")?;
    fill_dev(&dev)?;
    let link = dev.join("null.link");
    symlink(s.outside.path("secret"), &link)?;
    let mut bundle = s.bundle()?;
    without_dev(&mut bundle);
    std::fs::write(bundle.rootfs().join("masked"), "not masked\n")?;
    bundle.bind(&dev, "/dev", &["rbind"]).push("/linux/maskedPaths", json!("/masked"));
    let judge = |created: &Created| Ok(unmasked(created, &["/masked", "/proc/keys"])?.map_or(Run::InPlace, Run::Wrong));
    race(s, &Race { one: &dev.join("null"), other: &link, bundle: &bundle, judge: &judge, tidy: &nothing })
}

fn the_console_is_a_terminal_while_dev_is_exchanged(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    without_dev(&mut bundle);
    let (dev, hostile) = (bundle.rootfs().join("dev"), bundle.rootfs().join("dev2"));
    fill_dev(&dev)?;
    std::fs::write(dev.join("console"), "")?;
    std::fs::create_dir(&hostile)?;
    for (name, target) in [("console", "console"), ("ptmx", "ptmx"), ("pts", "dir"), ("null", "secret")] {
        symlink(s.outside.path(target), hostile.join(name))?;
    }
    bundle.mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]);
    bundle.set("/process/terminal", json!(true));
    let judge = |created: &Created| {
        for name in ["/dev/console", "/dev2/console"] {
            let Ok(console) = created.open(name, OFlags::PATH | OFlags::NOFOLLOW) else { continue };
            let data = fstat(&console)?;
            let terminal = rustix::fs::major(data.st_rdev) == 136;
            if FileType::from_raw_mode(data.st_mode) == FileType::CharacterDevice && !terminal {
                return Ok(Run::Wrong(format!("{name} is another device")));
            }
        }
        Ok(unmasked(created, &["/proc/keys"])?.map_or(Run::InPlace, Run::Wrong))
    };
    race(s, &Race { one: &dev, other: &hostile, bundle: &bundle, judge: &judge, tidy: &nothing })
}

fn working_directory_masks_and_devices_that_are_exchanged_stay_inside(s: &Scene) -> Result<Verdict> {
    let target = s.outside.path("dir");
    let mut v = exchanged(s, &target)?;
    for dir in ["work", "fixed"] {
        std::fs::create_dir(v.a.join(dir))?;
    }
    std::fs::write(v.a.join("file"), "not masked\n")?;
    v.bundle.set("/process/cwd", json!("/vol/a/work")).push("/linux/maskedPaths", json!("/vol/a/file"));
    v.bundle.push("/linux/readonlyPaths", json!("/vol/a/fixed"));
    v.bundle.push("/linux/devices", json!({"path": "/vol/a/node", "type": "c", "major": 1, "minor": 3}));
    let inside = within(&v.bundle.rootfs(), &target);
    let judge = |created: &Created| {
        Ok(match works_inside(created.pid)? {
            false => Run::Wrong("the working directory is not below the root".to_owned()),
            true if inside.exists() => Run::ThroughLink,
            true => Run::InPlace,
        })
    };
    let tidy = || if inside.exists() { Ok(std::fs::remove_dir_all(&inside)?) } else { Ok(()) };
    race(s, &Race { one: &v.a, other: &v.s, bundle: &v.bundle, judge: &judge, tidy: &tidy })
}

fn masks_in_a_mount_hold_while_its_mount_point_is_exchanged(s: &Scene) -> Result<Verdict> {
    let mut v = exchanged(s, Path::new("/empty"))?;
    std::fs::create_dir(v.bundle.rootfs().join("empty"))?;
    let secrets = volume(s, "secrets")?;
    v.bundle.bind(&secrets, "/vol/a", &["rbind", "ro"]);
    // More than one, so that there is more than one moment.
    const NAMES: [&str; 4] = ["one", "two", "three", "four"];
    for name in NAMES {
        std::fs::write(secrets.join(name), "not masked\n")?;
        v.bundle.push("/linux/maskedPaths", json!(format!("/vol/a/{name}")));
    }
    let judge = |created: &Created| {
        let secrets = created.mounts_of(&secrets)?;
        let Some(mount) = secrets.first() else { return Ok(Run::Wrong("nothing is bound".to_owned())) };
        // By their own names alone, for the way to them changes while the table is read.
        let is_mask = |mount: &&crate::host::Mount| NAMES.iter().any(|name| mount.point.ends_with(&format!("/{name}")));
        let (masks, through) = (created.mounts.iter().filter(is_mask).count(), !mount.point.starts_with("/vol/"));
        Ok(match masks {
            4 if through => Run::ThroughLink,
            4 => Run::InPlace,
            _ => Run::Wrong(format!("{masks} of 4 files are masked")),
        })
    };
    race(s, &Race { one: &v.a, other: &v.s, bundle: &v.bundle, judge: &judge, tidy: &nothing })
}

fn a_read_only_tmpfs_is_one_while_its_mount_point_is_exchanged(s: &Scene) -> Result<Verdict> {
    let mut v = exchanged(s, Path::new("/other"))?;
    v.bundle.mount("/other", "tmpfs", "tmpfs", &["size=72k"]);
    v.bundle.mount("/vol/a", "tmpfs", "tmpfs", &["size=76k", "ro"]);
    let judge = |created: &Created| {
        let sized = |size: &str| created.mounts.iter().find(|mount| mount.super_options.contains(size));
        let Some(mount) = sized("size=76k") else { return Ok(Run::Wrong("no tmpfs".to_owned())) };
        Ok(match mount.has("ro") {
            true if mount.point.starts_with("/vol/") => Run::InPlace,
            true => Run::ThroughLink,
            false => Run::Wrong("the tmpfs can be written to".to_owned()),
        })
    };
    race(s, &Race { one: &v.a, other: &v.s, bundle: &v.bundle, judge: &judge, tidy: &nothing })
}

fn a_device_that_takes_the_place_of_a_file_is_not_copied_up(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let dir = bundle.rootfs().join("copied");
    std::fs::create_dir(&dir)?;
    let (file, node) = (dir.join("file"), bundle.rootfs().join("node"));
    std::fs::write(&file, "a file\n")?;
    // Full: whoever reads it gets zeros without end.
    mknodat(CWD, &node, FileType::CharacterDevice, Mode::RUSR, makedev(1, 7))?;
    bundle.mount("/copied", "tmpfs", "tmpfs", &["size=640k", "mode=0755", "tmpcopyup"]);
    let opened = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&opened, &node, inotify::WatchFlags::OPEN)?;
    let judge = |_: &Created| Ok(Run::InPlace);
    let verdict = race(s, &Race { one: &file, other: &node, bundle: &bundle, judge: &judge, tidy: &nothing });
    holds!(rustix::io::read(&opened, &mut [0; 512]) == Err(Errno::AGAIN), "the device was opened");
    verdict
}

fn a_bind_source_that_is_exchanged_is_the_one_that_was_judged(s: &Scene) -> Result<Verdict> {
    let v = exchanged(s, Path::new("/etc"))?;
    let mut bundle = s.bundle()?;
    bundle.bind(&v.a, "/mnt", &["rbind", "ro"]);
    // What is mounted is looked at by its file system: see `strays`.
    let judge = |created: &Created| {
        let found = created.mounts.iter().any(|mount| mount.point == "/mnt");
        Ok(if found { Run::InPlace } else { Run::Wrong("nothing is mounted at /mnt".to_owned()) })
    };
    race(s, &Race { one: &v.a, other: &v.s, bundle: &bundle, judge: &judge, tidy: &nothing })
}
