//! Mounts: every option, binds, tmpfs, order, and the container's own file systems.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::host::{self, Mount, mount_at, mounts};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

crate::cases! {
    the_default_mounts_are_as_configured;
    flag_options_are_set;
    negative_flag_options_are_clear;
    defaults_alone_is_accepted [Differs("`defaults` is a known option of every file system")];
    access_time_options_are_set;
    silent_and_lazytime_options_are_accepted;
    nosymfollow_is_set [Differs("nosymfollow is a known option")];
    a_read_only_bind_cannot_be_written;
    a_bind_is_writable_and_reaches_the_source;
    a_bind_of_a_file_makes_its_destination;
    a_bind_source_may_be_relative_to_the_bundle;
    a_missing_destination_is_made;
    rbind_brings_submounts_and_bind_does_not;
    rro_is_recursive_and_ro_is_not;
    recursive_options_apply_to_submounts;
    mounts_are_made_in_order;
    a_tmpfs_has_its_size_and_mode;
    tmpcopyup_copies_the_content;
    tmpfs_over_a_missing_directory_is_made;
    the_root_is_read_only_when_asked;
    a_bind_of_a_missing_source_is_refused;
    an_unknown_option_is_refused_by_the_kernel_or_the_runtime;
    the_v1_cgroup_mount_shows_the_containers_cgroup [Needs(CgroupV1)];
    the_v1_cgroup_mount_is_read_only_when_asked [Needs(CgroupV1)];
    mqueue_and_devpts_are_the_containers_own;
    the_hosts_root_is_not_mounted_inside;
    a_hundred_mounts_work;
    a_symlinked_bind_source_is_followed;
    idmapped_mounts_shift_ids [Differs("idmapped mounts"), Later("idmapped mounts")];
}

/// The mount table of a container that sleeps.
pub fn table(g: &Ground, bundle: &Bundle) -> Result<Vec<Mount>> {
    mounts(g.sleeping(bundle)?.pid()?)
}

pub fn source(g: &Ground) -> Result<PathBuf> {
    let dir = g.dir.join("source");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("file"), "content\n")?;
    Ok(dir)
}

fn the_default_mounts_are_as_configured(g: &Ground) -> Result<()> {
    let table = table(g, &g.bundle()?)?;
    for (point, kind, options) in [
        ("/proc", "proc", &["nosuid", "nodev", "noexec"][..]),
        ("/dev", "tmpfs", &["nosuid"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec"]),
        ("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"]),
        ("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"]),
    ] {
        let mount = mount_at(&table, point)?;
        same(point, mount.kind.as_str(), kind)?;
        for option in options {
            ensure!(mount.has(option), "{point} lacks {option}: {:?}", mount.options);
        }
    }
    Ok(())
}

fn options_of(g: &Ground, options: &[&str]) -> Result<Mount> {
    let mut bundle = g.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", options);
    mount_at(&table(g, &bundle)?, "/mnt")
}

fn flag_options_are_set(g: &Ground) -> Result<()> {
    for option in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"] {
        let mount = options_of(g, &[option])?;
        ensure!(mount.has(option), "{option}: {:?}", mount.options);
    }
    for option in ["sync", "dirsync"] {
        let mount = options_of(g, &[option])?;
        ensure!(mount.super_options.split(',').any(|o| o == option), "{option}: {}", mount.super_options);
    }
    Ok(())
}

fn negative_flag_options_are_clear(g: &Ground) -> Result<()> {
    for (options, unset) in [
        (["ro", "rw"], "ro"),
        (["nosuid", "suid"], "nosuid"),
        (["nodev", "dev"], "nodev"),
        (["noexec", "exec"], "noexec"),
        (["noatime", "atime"], "noatime"),
        (["nodiratime", "diratime"], "nodiratime"),
    ] {
        let mount = options_of(g, &options)?;
        ensure!(!mount.has(unset), "{options:?}: {:?}", mount.options);
    }
    options_of(g, &["async"]).map(drop)
}

fn defaults_alone_is_accepted(g: &Ground) -> Result<()> {
    options_of(g, &["defaults"]).map(drop)
}

fn access_time_options_are_set(g: &Ground) -> Result<()> {
    ensure!(options_of(g, &["relatime"])?.has("relatime"), "relatime");
    let strict = options_of(g, &["strictatime"])?;
    ensure!(!strict.has("relatime") && !strict.has("noatime"), "strictatime: {:?}", strict.options);
    ensure!(options_of(g, &["nostrictatime"])?.has("relatime"), "nostrictatime");
    options_of(g, &["norelatime"]).map(drop)
}

fn silent_and_lazytime_options_are_accepted(g: &Ground) -> Result<()> {
    for options in [["silent", "loud"], ["iversion", "noiversion"], ["lazytime", "nolazytime"], ["mand", "nomand"]] {
        for option in options {
            options_of(g, &[option]).with_context(|| option.to_owned())?;
        }
    }
    Ok(())
}

fn nosymfollow_is_set(g: &Ground) -> Result<()> {
    ensure!(options_of(g, &["nosymfollow"])?.has("nosymfollow"), "nosymfollow");
    ensure!(!options_of(g, &["nosymfollow", "symfollow"])?.has("nosymfollow"), "symfollow");
    Ok(())
}

fn a_read_only_bind_cannot_be_written(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "/mnt", &["bind", "ro"]).sh("cat /mnt/file; ! touch /mnt/new");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "content\n")?;
    ensure!(!source(g)?.join("new").exists(), "written");
    Ok(())
}

fn a_bind_is_writable_and_reaches_the_source(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "/mnt", &["rbind", "rw"]).sh("echo inside > /mnt/new");
    g.run(&bundle)?.success()?;
    same("content", std::fs::read_to_string(source(g)?.join("new"))?.as_str(), "inside\n")
}

fn a_bind_of_a_file_makes_its_destination(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?.join("file"), "/a/new/file", &["bind", "ro"]).sh("cat /a/new/file");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "content\n")
}

fn a_bind_source_may_be_relative_to_the_bundle(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    std::fs::create_dir(bundle.dir.join("beside"))?;
    std::fs::write(bundle.dir.join("beside/file"), "beside\n")?;
    bundle.bind("beside".as_ref(), "/mnt", &["bind"]).sh("cat /mnt/file");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "beside\n")
}

fn a_missing_destination_is_made(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "/not/there/yet", &["bind"]).sh("cat /not/there/yet/file");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "content\n")?;
    ensure!(bundle.rootfs().join("not/there/yet").is_dir(), "not made in the rootfs");
    Ok(())
}

/// A source with a tmpfs below it, `sub`, that has a file `inner`.
fn with_submount(g: &Ground) -> Result<PathBuf> {
    let dir = source(g)?;
    let sub = dir.join("sub");
    std::fs::create_dir(&sub)?;
    rustix::mount::mount("sub", &sub, "tmpfs", rustix::mount::MountFlags::empty(), None::<&std::ffi::CStr>)?;
    std::fs::write(sub.join("inner"), "inner\n")?;
    Ok(dir)
}

fn with_submount_do(g: &Ground, body: impl FnOnce(PathBuf) -> Result<()>) -> Result<()> {
    let dir = with_submount(g)?;
    let sub = dir.join("sub");
    let result = body(dir);
    rustix::mount::unmount(&sub, rustix::mount::UnmountFlags::DETACH)?;
    result
}

fn rbind_brings_submounts_and_bind_does_not(g: &Ground) -> Result<()> {
    with_submount_do(g, |dir| {
        for (option, wanted) in [("rbind", "yes\n"), ("bind", "no\n")] {
            let mut bundle = g.bundle()?;
            bundle.bind(&dir, "/mnt", &[option]).sh("test -e /mnt/sub/inner && echo yes || echo no");
            same(option, g.run(&bundle)?.success()?.stdout.as_str(), wanted)?;
        }
        Ok(())
    })
}

fn rro_is_recursive_and_ro_is_not(g: &Ground) -> Result<()> {
    with_submount_do(g, |dir| {
        for (option, wanted) in [("rro", "refused\n"), ("ro", "written\n")] {
            let mut bundle = g.bundle()?;
            bundle.bind(&dir, "/mnt", &["rbind", option]);
            bundle.sh("! touch /mnt/x 2> /dev/null && touch /mnt/sub/x 2> /dev/null && echo written || echo refused");
            same(option, g.run(&bundle)?.success()?.stdout.as_str(), wanted)?;
        }
        Ok(())
    })
}

fn recursive_options_apply_to_submounts(g: &Ground) -> Result<()> {
    with_submount_do(g, |dir| {
        for (option, flag) in
            [("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"), ("rnoatime", "noatime")]
        {
            let mut bundle = g.bundle()?;
            bundle.bind(&dir, "/mnt", &["rbind", option]);
            let table = table(g, &bundle)?;
            for point in ["/mnt", "/mnt/sub"] {
                ensure!(mount_at(&table, point)?.has(flag), "{point} lacks {flag}");
            }
        }
        Ok(())
    })
}

fn mounts_are_made_in_order(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.mount("/mnt", "tmpfs", "first", &[]).bind(&source(g)?, "/mnt/deep", &["bind"]).mount(
        "/mnt",
        "tmpfs",
        "last",
        &[],
    );
    bundle.sh("ls /mnt");
    same("the last mount covers the others", g.run(&bundle)?.success()?.stdout.as_str(), "")
}

fn a_tmpfs_has_its_size_and_mode(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["size=64k", "mode=1700", "uid=5", "gid=6"]);
    bundle.sh("stat -c '%a %u %g' /mnt; ! dd if=/dev/zero of=/mnt/x bs=1k count=100 2> /dev/null");
    same("mode", g.run(&bundle)?.success()?.stdout.as_str(), "1700 5 6\n")
}

fn tmpcopyup_copies_the_content(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"]).sh("touch /etc/new && grep -c root /etc/passwd");
    same("lines", g.run(&bundle)?.success()?.stdout.as_str(), "1\n")?;
    ensure!(!bundle.rootfs().join("etc/new").exists(), "written through");
    Ok(())
}

fn tmpfs_over_a_missing_directory_is_made(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.mount("/new/dir", "tmpfs", "tmpfs", &[]).sh("touch /new/dir/x");
    g.run(&bundle)?.success().map(drop)
}

fn the_root_is_read_only_when_asked(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/root/readonly", json!(true)).sh("! touch /x; touch /dev/shm/x");
    g.run(&bundle)?.success()?;
    ensure!(!bundle.rootfs().join("x").exists(), "written");
    bundle.set("/root/readonly", json!(false)).sh("touch /x");
    g.run(&bundle)?.success().map(drop)
}

fn a_bind_of_a_missing_source_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let output = g.run(bundle.bind("/nosuch/source".as_ref(), "/mnt", &["bind"]))?;
    output.refused("no such file or directory")?.refused("/nosuch/source").map(drop)
}

fn an_unknown_option_is_refused_by_the_kernel_or_the_runtime(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.mount("/mnt", "tmpfs", "tmpfs", &["nosuchoption"]))?.exits(1)?;
    let mut bundle = g.bundle()?;
    g.run(bundle.mount("/mnt", "nosuchfs", "none", &[]))?.refused("no such device").map(drop)
}

fn the_v1_cgroup_mount_shows_the_containers_cgroup(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/resources/pids", json!({"limit": 33})).sh("cat /sys/fs/cgroup/pids/pids.max");
    same("limit", g.run(&bundle)?.success()?.stdout.as_str(), "33\n")
}

fn the_v1_cgroup_mount_is_read_only_when_asked(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("! mkdir /sys/fs/cgroup/pids/x; ! mkdir /sys/fs/cgroup/x; ! echo 5 > /sys/fs/cgroup/pids/pids.max");
    g.run(&bundle)?.success().map(drop)
}

fn mqueue_and_devpts_are_the_containers_own(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("ls /dev/pts; ls /dev/mqueue");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "ptmx\n")
}

fn the_hosts_root_is_not_mounted_inside(g: &Ground) -> Result<()> {
    let table = table(g, &g.bundle()?)?;
    let root = mount_at(&table, "/")?;
    ensure!(root.root.ends_with("/rootfs"), "the root of / is {}", root.root);
    same("mounts at /", table.iter().filter(|m| m.point == "/").count(), 1)?;
    let host = mount_at(&host::mounts("self")?, "/")?;
    ensure!(
        table.iter().all(|m| (m.root.as_str(), &m.kind) != ("/", &host.kind) || m.kind == "tmpfs"),
        "the host's root"
    );
    Ok(())
}

fn a_hundred_mounts_work(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    for n in 0..100 {
        bundle.bind(&source(g)?, &format!("/mnt/{n}"), &["rbind", "ro"]);
    }
    same("files", g.run(bundle.sh("ls /mnt/*/file | wc -l"))?.success()?.stdout.trim(), "100")
}

fn a_symlinked_bind_source_is_followed(g: &Ground) -> Result<()> {
    let link = g.dir.join("link");
    symlink(source(g)?, &link)?;
    let mut bundle = g.bundle()?;
    same(
        "content",
        g.run(bundle.bind(&link, "/mnt", &["bind"]).sh("cat /mnt/file"))?.success()?.stdout.as_str(),
        "content\n",
    )
}

fn idmapped_mounts_shift_ids(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 1000}]);
    bundle.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": source(g)?, "options": ["bind", "idmap"],
            "uidMappings": map, "gidMappings": map}),
    );
    same("owner", g.run(bundle.sh("stat -c %u:%g /mnt/file"))?.success()?.stdout.trim(), "5000:5000")
}
