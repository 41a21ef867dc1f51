//! Mounts: what of the host they show, which way they propagate, their attributes, their sources and their options.

use super::volumes::volume;
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::{Created, Creation};
use crate::escape::outside::MARK;
use crate::escape::scene::Scene;
use crate::holds;
use crate::host::{Mount, mount_at, mounts};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::OFlags;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::Path;

crate::checks! {
    "B8" no_mount_shows_more_of_the_host_than_was_asked_for;
    "B9" no_mount_goes_out_of_or_into_a_container;
    "B9" a_slave_bind_passes_nothing_out;
    "B14" the_source_of_a_bind_keeps_owner_mode_and_content;
    "B16" a_read_only_root_cannot_be_written;
    "B16" the_root_is_read_only_and_scratch_is_small_and_inert
        [Own("a read-only root is the level's"), Levels(&["restricted"])];
    "B17" binds_have_no_set_user_id_files_and_no_devices [Own("narrows binds"), Levels(&["baseline", "restricted"])];
    "B18" a_file_handle_of_the_host_opens_nothing;
    "B19" a_bind_source_that_leads_to_the_host_is_refused
        [Own("what a source leads to is judged"), Levels(&["baseline", "restricted"])];
    "B20" the_options_of_a_mount_take_no_attribute_away;
}

fn made<'s>(s: &'s Scene, bundle: &Bundle) -> Result<Created<'s>> {
    match s.create(bundle)? {
        Creation::Made(created) => Ok(created),
        Creation::Refused(attack) => bail!("it was refused: {}", attack.output),
    }
}

fn no_mount_shows_more_of_the_host_than_was_asked_for(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let source = volume(s, "volume")?;
    bundle.bind(&source, "/mnt", &["rbind"]).bind(&source.join("here"), "/etc/resolv.conf", &["bind", "ro"]);
    bundle.set("/process/terminal", json!(true));
    let created = made(s, &bundle)?;
    let stray = created.strays(&s.outside)?;
    holds!(stray.is_none(), "{}", stray.unwrap_or_default());
    holds!(created.root_is(&bundle.rootfs())?, "the root is another directory");
    let points: Vec<&str> = created.mounts.iter().map(|mount| &*mount.point).collect();
    // A root below which the old one is still mounted would have it at some point.
    let known = ["/", "/mnt", "/etc", "/proc", "/dev", "/sys", "/tmp", "/run", "/var/tmp"];
    let unknown = points.iter().find(|point| !known.iter().any(|k| *point == k || k.len() > 1 && point.starts_with(k)));
    holds!(unknown.is_none(), "{} is mounted", unknown.unwrap_or(&""));
    created.end()?;
    // The control: the outside tree, bound, is a stray.
    let mut open = s.bundle()?;
    open.bind(&s.outside.path("dir"), "/mnt", &["rbind", "ro"]);
    let created = made(s, &open)?;
    ensure!(created.strays(&s.outside)?.is_some(), "the suite does not see the outside tree in a mount table");
    created.end()?;
    Ok(Verdict::safe())
}

/// Calls `body` with a directory that is a shared mount, and takes away what is mounted there afterwards.
fn shared(dir: &Path, body: impl FnOnce() -> Result<Verdict>) -> Result<Verdict> {
    mount_bind(dir, dir).context("bind")?;
    mount_change(dir, MountPropagationFlags::SHARED).context("make it shared")?;
    let verdict = body();
    for mounted in mounts("self")?.iter().rev().filter(|mount| Path::new(&mount.point).starts_with(dir)) {
        unmount(&mounted.point, UnmountFlags::DETACH)?;
    }
    verdict
}

fn points(mounts: &[Mount]) -> Vec<String> {
    mounts.iter().map(|mount| mount.point.clone()).collect()
}

/// Mounts a tmpfs in a container's mount namespace, with the rights of the host.
fn mount_within(s: &Scene, created: &Created, point: &str) -> Result<()> {
    let target =
        ["-m", "-t", &created.pid.to_string(), "/bin/mount", "-t", "tmpfs", "within", point].map(str::to_owned);
    let output = s.host("nsenter", &target.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(output.code == 0, "{output}");
    Ok(())
}

/// Judges a container on a host where root filesystem and volume are shared mounts; `option` is the volume's.
fn propagated(s: &Scene, option: Option<&str>) -> Result<Verdict> {
    let (mut bundle, source) = (s.bundle()?, volume(s, "volume")?);
    std::fs::create_dir(source.join("sub"))?;
    std::fs::create_dir(source.join("other"))?;
    let asked = option.unwrap_or("rprivate");
    bundle.bind(&source, "/mnt", &["rbind", asked]).set("/linux/rootfsPropagation", json!(asked));
    let dir = bundle.dir.clone();
    shared(&dir, || {
        shared(&source, || {
            let before = points(&mounts("self")?);
            let created = made(s, &bundle)?;
            holds!(points(&mounts("self")?) == before, "mounts of the container are on the host");
            if option.is_none() {
                let tagged = created.mounts.iter().find(|mount| !mount.propagation.iter().all(|tag| tag == "-"));
                holds!(tagged.is_none(), "a mount propagates: {tagged:?}");
            } else {
                let tagged = created.mounts.iter().find(|m| m.propagation.iter().any(|tag| tag.starts_with("shared:")));
                holds!(tagged.is_none(), "a mount is shared: {tagged:?}");
            }
            for point in ["/mnt/sub", "/tmp"] {
                mount_within(s, &created, point)?;
            }
            holds!(points(&mounts("self")?) == before, "a mount made inside is on the host");
            rustix::mount::mount(
                "without",
                source.join("other"),
                "tmpfs",
                MountFlags::empty(),
                None::<&std::ffi::CStr>,
            )?;
            let seen = points(&mounts(created.pid)?).contains(&"/mnt/other".to_owned());
            // The control: a slave receives it, so it would have been seen.
            ensure!(option.is_none() || seen, "a slave bind does not receive what is mounted on the host");
            holds!(option.is_some() || !seen, "a mount made on the host is inside");
            created.end()?;
            Ok(Verdict::safe())
        })
    })
}

fn no_mount_goes_out_of_or_into_a_container(s: &Scene) -> Result<Verdict> {
    propagated(s, None)
}

fn a_slave_bind_passes_nothing_out(s: &Scene) -> Result<Verdict> {
    propagated(s, Some("rslave"))
}

fn the_source_of_a_bind_keeps_owner_mode_and_content(s: &Scene) -> Result<Verdict> {
    // Compared by the snapshot too; here it is bound, where elsewhere it only lies beside.
    let before = s.outside.entries()?;
    let mut bundle = s.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/terminal", json!(true));
    bundle.bind(&s.outside.path("dir"), "/mnt", &["rbind", "ro"]).set("/process/cwd", json!("/mnt"));
    bundle.bind(&s.outside.path("link"), "/file", &["bind", "ro"]);
    made(s, &bundle)?.end()?;
    let after = s.outside.entries()?;
    let changed = after.iter().find(|(path, state)| before.get(*path) != Some(state));
    holds!(changed.is_none() && before.len() == after.len(), "the source has changed: {changed:?}");
    Ok(Verdict::safe())
}

fn a_read_only_root_cannot_be_written(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let open = made(s, &bundle)?;
    ensure!(s.at("restricted") || open.open("/etc/passwd", OFlags::WRONLY).is_ok(), "the benign twin is read-only");
    open.end()?;
    bundle.set("/root/readonly", json!(true));
    let created = made(s, &bundle)?;
    for path in ["/etc/passwd", "/bin/busybox", "/.probe"] {
        holds!(created.open(path, OFlags::WRONLY).is_err(), "{path} can be opened for writing");
    }
    let root = mount_at(&created.mounts, "/")?;
    holds!(root.has("ro"), "the root is mounted {:?}", root.options);
    created.end()?;
    Ok(Verdict::safe())
}

fn the_root_is_read_only_and_scratch_is_small_and_inert(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    std::fs::create_dir(bundle.rootfs().join("var/tmp"))?;
    let created = made(s, &bundle)?;
    holds!(mount_at(&created.mounts, "/")?.has("ro"), "the root is writable");
    for point in ["/tmp", "/run", "/var/tmp"] {
        let scratch = mount_at(&created.mounts, point)?;
        let inert = ["nosuid", "nodev", "noexec"].iter().all(|option| scratch.has(option));
        holds!(scratch.kind == "tmpfs" && inert, "{point} is {} with {:?}", scratch.kind, scratch.options);
        let space = rustix::fs::statvfs(created.path(point)).with_context(|| format!("statvfs {point}"))?;
        let bytes = space.f_blocks * space.f_frsize;
        holds!(bytes > 0 && bytes <= 64 << 20, "{point} has {bytes} bytes");
    }
    created.end()?;
    Ok(Verdict::safe())
}

fn binds_have_no_set_user_id_files_and_no_devices(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.bind(&volume(s, "volume")?, "/mnt", &["rbind", "suid", "dev"]);
    let mounted = match s.create(&bundle)? {
        Creation::Made(created) => {
            let mounted = mount_at(&created.mounts, "/mnt")?;
            created.end()?;
            mounted
        }
        Creation::Refused(attack) => return Ok(s.refused(&attack)?.unwrap_or_else(Verdict::safe)),
    };
    holds!(mounted.has("nosuid") && mounted.has("nodev"), "the bind has {:?}", mounted.options);
    Ok(Verdict::safe())
}

fn a_file_handle_of_the_host_opens_nothing(s: &Scene) -> Result<Verdict> {
    let probe = std::env::current_exe()?.with_file_name("probe").to_string_lossy().into_owned();
    let secret = s.outside.path("secret").to_string_lossy().into_owned();
    let handle = s.host(&probe, &["handle", &secret])?.success()?.stdout.trim().to_owned();
    let control = s.host(&probe, &["open-handle", &handle, &s.outside.dir.to_string_lossy()])?;
    ensure!(control.stdout.contains(MARK), "the handle does not open the file here either: {control}");
    // The root filesystem of the container is on the file system that the handle is of.
    let script = format!("/bin/probe open-handle {handle} /; true");
    let attack = s.attack(&s.scripted(&script)?)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    holds!(!s.shows_outside(&attack.output), "the program has opened it");
    let container = s.sleeping(&s.bundle()?)?;
    let exec = s.exec_script(&container, &[], &script)?;
    ensure!(exec.ran, "exec does not run: {}", exec.output);
    holds!(!s.shows_outside(&exec.output), "a program of exec has opened it");
    let told = format!("{}{}", attack.output.stderr, exec.output.stderr);
    ensure!(told.contains("open_by_handle_at"), "the attempt was not made: {told}");
    Ok(Verdict::safe())
}

fn a_bind_source_that_leads_to_the_host_is_refused(s: &Scene) -> Result<Verdict> {
    let dir = volume(s, "volume")?;
    let link = |name: &str, target: &str| -> Result<String> {
        symlink(target, dir.join(name))?;
        Ok(dir.join(name).to_string_lossy().into_owned())
    };
    let within = |path: &str| dir.join(path).to_string_lossy().into_owned();
    let mut sources: Vec<String> =
        ["/proc/1/root", "/proc/self/cwd", "/proc/self/root/etc", "/proc/1/root/etc", "/proc/self/fd/3"]
            .map(str::to_owned)
            .to_vec();
    sources.extend([link("root", "/")?, link("etc", "/etc")?, link("magic", "/proc/1/root")?]);
    sources.extend([link("climbing", &format!("{}etc", "../".repeat(30)))?, within("etc/ssh/.."), within("root/etc")]);
    sources.push(format!("{}/../../../../../../../../etc", dir.display()));
    // Whatever of its own the runtime has open there: its state is not to be bound, nor the host's files.
    for fd in 3..12 {
        sources.push(link(&format!("fd{fd}"), &format!("/proc/self/fd/{fd}"))?);
    }
    let state = s.ground.root.strip_prefix(crate::isolation::ground()?)?.to_owned();
    let mut bundle = s.bundle()?;
    bundle.bind(&dir, "/mnt", &["rbind", "ro"]);
    made(s, &bundle)?.end()?;
    for source in sources {
        let mut bundle = s.bundle()?;
        bundle.bind(Path::new(&source), "/mnt", &["rbind", "ro"]);
        match s.create(&bundle)? {
            Creation::Made(created) => {
                let mounted = mount_at(&created.mounts, "/mnt")?;
                let own = mounted.root.trim_start_matches('/').starts_with(&*state.to_string_lossy());
                let stray = created.strays(&s.outside)?;
                created.end()?;
                holds!(!own && stray.is_none(), "{source} is bound: {mounted:?}");
            }
            Creation::Refused(attack) => match s.refused(&attack)? {
                Some(Verdict::Refused(_)) => {}
                other => return Ok(other.unwrap_or_else(|| Verdict::Unsafe(format!("{source}: it ran")))),
            },
        }
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(Verdict::Refused("all of them".to_owned()))
}

fn the_options_of_a_mount_take_no_attribute_away(s: &Scene) -> Result<Verdict> {
    let attributes = ["nosuid", "nodev", "noexec", "ro"];
    let mut twin = s.bundle()?;
    twin.mount("/mnt", "tmpfs", "tmpfs", &[&attributes[..], &["size=64k"]].concat());
    made(s, &twin)?.end()?;
    let mut refused = 0;
    let hostile = [
        "size=64k,suid,dev,exec,rw",
        "size=64k,mode=4777",
        "size=64k,context=system_u:object_r:etc_t:s0",
        "source=/etc",
        "size=64k\nrw",
        "fscontext=x",
        "size=64k,bind",
        "size=64k,remount",
        "usrquota,rw",
        "size=9999999999999999999999",
    ];
    for option in hostile {
        let mut bundle = s.bundle()?;
        bundle.mount("/mnt", "tmpfs", "tmpfs", &[&attributes[..], &[option]].concat());
        match s.create(&bundle)? {
            Creation::Refused(attack) => match s.refused(&attack)? {
                Some(Verdict::Refused(_)) => refused += 1,
                other => return Ok(other.unwrap_or_else(|| Verdict::Unsafe(format!("{option}: it ran")))),
            },
            Creation::Made(created) => {
                let mounted = mount_at(&created.mounts, "/mnt")?;
                let kept = attributes.iter().all(|attribute| mounted.has(attribute));
                let stray = created.strays(&s.outside)?;
                holds!(kept && mounted.kind == "tmpfs", "{option:?}: mounted with {:?}", mounted.options);
                holds!(stray.is_none(), "{option:?}: {}", stray.unwrap_or_default());
                created.end()?;
            }
        }
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(Verdict::Safe(format!("{} tried, {refused} refused", hostile.len())))
}
