//! What of procfs, sysfs and the cgroups is hidden or read-only: the real value is looked at, from outside where that
//! shows it, and not the errno.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::{Created, Creation};
use crate::escape::outside::MARK;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Result, bail, ensure};
use rustix::fs::{OFlags, StatVfsMountFlags, fstatvfs};
use serde_json::json;
use std::os::unix::fs::{PermissionsExt, symlink};

crate::checks! {
    "B4" a_masked_path_shows_nothing_on_any_way_to_it;
    "B4" a_second_procfs_or_sysfs_does_not_show_what_is_masked;
    "B4" what_is_written_to_a_masked_path_does_not_reach_it;
    "B5" read_only_paths_are_read_only_for_whoever_writes;
    "B6" sysfs_and_the_cgroups_are_read_only;
    "B6" sysfs_and_cgroups_that_are_asked_for_writable_are_read_only
        [Own("narrows what the configuration asks for"), Levels(&["baseline", "restricted"])];
    "B6" the_tables_of_the_kernel_are_hidden [Own("masks more than engines list"), Levels(&["restricted"])];
    "B7" a_cgroup_cannot_be_changed_from_inside;
}

/// The container of a bundle, which must come to be.
fn made<'s>(s: &'s Scene, bundle: &Bundle) -> Result<Created<'s>> {
    match s.create(bundle)? {
        Creation::Made(created) => Ok(created),
        Creation::Refused(attack) => bail!("it was refused: {}", attack.output),
    }
}

/// A bundle with a file and a directory in its root that are masked.
pub fn masked(s: &Scene) -> Result<Bundle> {
    let mut bundle = with_secrets(s)?;
    bundle.push("/linux/maskedPaths", json!("/secret")).push("/linux/maskedPaths", json!("/hidden"));
    Ok(bundle)
}

fn with_secrets(s: &Scene) -> Result<Bundle> {
    let bundle = s.bundle()?;
    std::fs::write(bundle.rootfs().join("secret"), format!("{MARK}\n"))?;
    std::fs::create_dir(bundle.rootfs().join("hidden"))?;
    std::fs::write(bundle.rootfs().join("hidden").join(MARK), format!("{MARK}\n"))?;
    for (target, link) in [("/secret", "link"), ("/hidden", "dirlink"), ("/proc/keys", "keys")] {
        symlink(target, bundle.rootfs().join(link))?;
    }
    Ok(bundle)
}

/// Shows what is hidden by all names that a program has for it.
const LOOK: &str = "for r in '' /proc/self/root /proc/thread-self/root /proc/1/root /proc/self/cwd /proc/$$/task/$$/root; do \
    cat $r/secret $r/link; ls -A $r/hidden $r/dirlink; cat $r/hidden/*; done 2> /dev/null; ln /secret /tmp/hard && cat /tmp/hard; \
    mkdir /tmp/m && mount -o bind / /tmp/m && cat /tmp/m/secret; umount /secret && cat /secret; mv /secret /tmp/s && cat /tmp/s; true";

fn a_masked_path_shows_nothing_on_any_way_to_it(s: &Scene) -> Result<Verdict> {
    let mut open = with_secrets(s)?;
    s.script(&mut open, "cat /secret; ls /hidden");
    ensure!(s.twin(&open)?.stdout.contains(MARK), "the benign twin does not see the file");
    ensure!(!std::fs::read("/proc/keys")?.is_empty(), "/proc/keys is empty here as well");
    let mut bundle = masked(s)?;
    let created = made(s, &bundle)?;
    for path in ["/secret", "/link", "/hidden", "/dirlink", "/proc/keys", "/keys", "/proc/timer_list", "/sys/firmware"]
    {
        let shown = created.shows(path)?;
        holds!(shown.is_empty(), "{path} shows {shown:?}");
    }
    created.end()?;
    s.script(&mut bundle, LOOK);
    let attack = s.attack(&bundle)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    holds!(!attack.output.stdout.contains(MARK), "the program sees it: {}", attack.output.stdout);
    let container = s.sleeping(&bundle)?;
    let exec = s.exec_script(&container, &[], LOOK)?;
    ensure!(exec.ran, "exec does not run: {}", exec.output);
    holds!(!exec.output.stdout.contains(MARK), "exec sees it: {}", exec.output.stdout);
    Ok(Verdict::safe())
}

fn a_second_procfs_or_sysfs_does_not_show_what_is_masked(s: &Scene) -> Result<Verdict> {
    // In a user namespace of its own a program has the capabilities; the kernel goes by the mounts that are locked.
    let within = "mkdir -p /tmp/p /tmp/s; mount -t proc proc /tmp/p; mount -t sysfs sysfs /tmp/s; mount -o bind /proc /tmp/s; \
        cat /tmp/p/keys /tmp/s/keys /tmp/p/timer_list | head -n 3 | sed 's/^/SHOWN /'; ls -A /tmp/s/firmware | sed 's/^/SHOWN /'; \
        umount /proc/keys && cat /proc/keys | sed 's/^/SHOWN /'; true";
    // The control: who may mount sees it.
    let mut able = s.ground.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        able.push(&format!("/process/capabilities/{set}"), json!("CAP_SYS_ADMIN"));
    }
    s.script(&mut able, &format!("({within}) 2> /dev/null; true"));
    s.ground.level(s.level.map(|_| "privileged"));
    let control = s.twin(&able);
    s.ground.level(s.level);
    ensure!(control?.stdout.contains("SHOWN"), "a second procfs does not show it to who may mount either");
    let script =
        format!("({within}) 2> /dev/null; unshare -Urmpf sh -c \"{}\" 2> /dev/null; true", within.replace('"', ""));
    let attack = s.attack(&s.scripted(&script)?)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    holds!(!attack.output.stdout.contains("SHOWN"), "it shows: {}", attack.output.stdout);
    Ok(Verdict::safe())
}

fn what_is_written_to_a_masked_path_does_not_reach_it(s: &Scene) -> Result<Verdict> {
    let script =
        "echo changed > /secret; echo changed > /link; echo changed > /hidden/new; rm -rf /hidden /secret; true";
    let mut open = with_secrets(s)?;
    std::fs::set_permissions(open.rootfs().join("secret"), PermissionsExt::from_mode(0o666))?;
    s.script(&mut open, script);
    s.twin(&open)?;
    let mut bundle = masked(s)?;
    std::fs::set_permissions(bundle.rootfs().join("secret"), PermissionsExt::from_mode(0o666))?;
    s.script(&mut bundle, script);
    let attack = s.attack(&bundle)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    let text = std::fs::read_to_string(bundle.rootfs().join("secret")).unwrap_or_default();
    holds!(text.contains(MARK), "the file has become {text:?}");
    let listed: Vec<_> = std::fs::read_dir(bundle.rootfs().join("hidden"))?.flatten().map(|e| e.file_name()).collect();
    holds!(listed == [MARK], "the directory has become {listed:?}");
    Ok(Verdict::safe())
}

/// Whether the mount that a path of the container is on is read-only; `None` when there is no such path.
fn read_only(created: &Created, path: &str) -> Result<Option<bool>> {
    let Ok(file) = created.open(path, OFlags::PATH) else { return Ok(None) };
    Ok(Some(fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::RDONLY)))
}

fn read_only_paths_are_read_only_for_whoever_writes(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    std::fs::create_dir_all(bundle.rootfs().join("fixed/below"))?;
    std::fs::write(bundle.rootfs().join("fixed/file"), "as it was\n")?;
    symlink("fixed", bundle.rootfs().join("link"))?;
    let open = made(s, &bundle)?;
    let writable = s.at("restricted") || read_only(&open, "/fixed")? == Some(false);
    ensure!(writable, "the benign twin is read-only as well");
    open.end()?;
    bundle.push("/linux/readonlyPaths", json!("/fixed"));
    let created = made(s, &bundle)?;
    let paths =
        ["/fixed", "/fixed/below", "/fixed/file", "/link/file", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"];
    let files = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/domainname", "/proc/sys/net/ipv4/ip_forward"];
    for path in paths.iter().chain(&files).chain(&["/proc/sysrq-trigger", "/proc/irq/default_smp_affinity"]) {
        holds!(read_only(&created, path)? != Some(false), "{path} can be written");
    }
    // The suite is root of the host: what stops it here is the container's mount and nothing else.
    for path in files {
        let opened = created.open(path, OFlags::WRONLY);
        holds!(opened.is_err(), "{path} can be opened for writing");
    }
    created.end()?;
    Ok(Verdict::safe())
}

/// A writable mount of the kernel's own file systems.
fn writable(created: &Created) -> Option<String> {
    let kinds = ["sysfs", "cgroup", "cgroup2"];
    let found = created.mounts.iter().find(|mount| kinds.contains(&&*mount.kind) && !mount.has("ro"));
    found.map(|mount| format!("{} on {} is writable", mount.kind, mount.point))
}

fn sysfs_and_the_cgroups_are_read_only(s: &Scene) -> Result<Verdict> {
    let created = made(s, &s.bundle()?)?;
    let sysfs = created.mounts.iter().any(|mount| mount.kind == "sysfs");
    ensure!(sysfs && created.mounts.iter().any(|m| m.kind.starts_with("cgroup")), "no sysfs or no cgroups are mounted");
    let found = writable(&created);
    created.end()?;
    holds!(found.is_none(), "{}", found.unwrap_or_default());
    Ok(Verdict::safe())
}

fn sysfs_and_cgroups_that_are_asked_for_writable_are_read_only(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.unmount("/sys").unmount("/sys/fs/cgroup");
    bundle.mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "rw"]);
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "rw"]);
    let created = made(s, &bundle)?;
    let found = writable(&created);
    created.end()?;
    holds!(found.is_none(), "{}", found.unwrap_or_default());
    Ok(Verdict::safe())
}

fn the_tables_of_the_kernel_are_hidden(s: &Scene) -> Result<Verdict> {
    let created = made(s, &s.bundle()?)?;
    ensure!(!std::fs::read("/proc/kallsyms")?.is_empty(), "/proc/kallsyms is empty here as well");
    ensure!(std::fs::read_dir("/sys/kernel")?.next().is_some(), "/sys/kernel is empty here as well");
    for path in ["/proc/kallsyms", "/proc/modules", "/proc/slabinfo", "/proc/iomem", "/sys/kernel", "/sys/module"] {
        let shown = created.shows(path)?;
        holds!(shown.is_empty(), "{path} shows {shown:?}");
    }
    created.end()?;
    Ok(Verdict::safe())
}

fn a_cgroup_cannot_be_changed_from_inside(s: &Scene) -> Result<Verdict> {
    let listed = |s: &Scene| -> Vec<std::path::PathBuf> {
        let dirs = s.ground.host.cgroup_dirs(&s.ground.cgroup);
        dirs.iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten()).map(|e| e.path()).collect()
    };
    s.twin(&s.scripted("test -d /sys/fs/cgroup")?)?;
    // Opened for writing, not written: an open that succeeds is the hole.
    let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do test -e $d/cgroup.procs && mkdir $d/within && echo HOLE mkdir $d; \
        for f in release_agent notify_on_release cgroup.procs tasks devices.allow memory.limit_in_bytes cgroup.subtree_control; do \
        test -e $d/$f && (: >> $d/$f) && echo HOLE $d/$f; done; done 2> /dev/null; mkdir /tmp/c; \
        for t in cgroup cgroup2; do mount -t $t none /tmp/c && echo HOLE mount $t; done 2> /dev/null; \
        mount -o remount,rw,bind /sys/fs/cgroup 2> /dev/null && echo HOLE remount; true";
    let before = listed(s);
    let attack = s.attack(&s.scripted(script)?)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    holds!(!attack.output.stdout.contains("HOLE"), "{}", attack.output.stdout);
    let new: Vec<_> = listed(s).into_iter().filter(|path| !before.contains(path)).collect();
    ensure!(new.iter().all(|path| !path.ends_with("within")), "new directories: {new:?}");
    Ok(Verdict::safe())
}
