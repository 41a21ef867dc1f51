//! Mounts, masks and read-only paths that cover one another, and destinations that are links to nothing yet.

use super::mounts::source;
use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::host;
use anyhow::{Result, ensure};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

crate::cases! {
    a_file_mount_on_a_dangling_link_is_made_where_the_link_leads;
    a_file_mount_on_a_dangling_link_never_leads_out;
    a_chain_of_too_many_links_is_refused [Differs("the error is told before the program runs")];
    a_mask_may_cover_a_mount;
    a_readonly_path_may_cover_a_mount;
    a_readonly_path_may_cover_a_tree_of_mounts;
    a_later_mount_may_cover_earlier_ones;
    a_later_rbind_with_submounts_may_cover_an_earlier_mount;
    a_readonly_path_may_cover_binds_inside_proc [CasemateOnly("a bind below /proc/sys")];
    a_file_on_a_directory_is_not_a_directory;
    an_ordinary_directory_on_proc_is_refused_and_a_procfs_is_not;
    a_bound_proc_may_have_mounts_below_a_read_only_path;
}

/// A file of the host to be bound.
fn file(g: &Ground) -> Result<PathBuf> {
    Ok(source(g)?.join("file"))
}

/// A bundle whose rootfs has `/etc/resolv.conf` as a link to `target`, with a file bound on it.
fn dangling(g: &Ground, target: &str) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    symlink(target, bundle.rootfs().join("etc/resolv.conf"))?;
    bundle.bind(&file(g)?, "/etc/resolv.conf", &["bind"]).args(&["/bin/cat", "/etc/resolv.conf"]);
    Ok(bundle)
}

fn a_file_mount_on_a_dangling_link_is_made_where_the_link_leads(g: &Ground) -> Result<()> {
    for target in ["../run/systemd/resolve/stub.conf", "/run/systemd/resolve/stub.conf"] {
        let bundle = dangling(g, target)?;
        same(target, g.run(&bundle)?.success()?.stdout.as_str(), "content\n")?;
        ensure!(bundle.rootfs().join("run/systemd/resolve/stub.conf").is_file(), "not made inside");
    }
    Ok(())
}

fn a_file_mount_on_a_dangling_link_never_leads_out(g: &Ground) -> Result<()> {
    let outside = g.dir.join("outside");
    std::fs::create_dir(&outside)?;
    let name = outside.join("made").to_string_lossy().into_owned();
    for target in [name.clone(), format!("../../../../../../../../../..{name}"), "../../../../outside/made".into()] {
        same(&target, g.run(&dangling(g, &target)?)?.success()?.stdout.as_str(), "content\n")?;
        same("entries outside", std::fs::read_dir(&outside)?.count(), 0)?;
    }
    Ok(())
}

fn a_chain_of_too_many_links_is_refused(g: &Ground) -> Result<()> {
    // path_resolution(7): 40 links are followed.
    for (length, refused) in [(10, false), (41, true)] {
        let bundle = dangling(g, "/run/link1")?;
        for n in 1..length {
            symlink(format!("/run/link{}", n + 1), bundle.rootfs().join(format!("run/link{n}")))?;
        }
        let output = g.run(&bundle)?;
        if refused {
            output.refused("too many levels of symbolic links")?.exits(1)?;
        } else {
            same("content", output.success()?.stdout.as_str(), "content\n")?;
        }
    }
    Ok(())
}

fn a_mask_may_cover_a_mount(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "/data", &["bind"]).args(&["/bin/ls", "/data"]);
    same("unmasked", g.run(&bundle)?.success()?.stdout.as_str(), "file\n")?;
    bundle.push("/linux/maskedPaths", json!("/data"));
    same("masked", g.run(&bundle)?.success()?.stdout.as_str(), "")
}

fn a_readonly_path_may_cover_a_mount(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "/data", &["bind"]).args(&["/bin/touch", "/data/x"]);
    g.run(&bundle)?.success()?;
    bundle.push("/linux/readonlyPaths", json!("/data"));
    let output = g.run(&bundle)?.exits(1)?;
    ensure!(output.says("Read-only file system"), "{output}");
    Ok(())
}

fn a_readonly_path_may_cover_a_tree_of_mounts(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.mount("/tree", "tmpfs", "tmpfs", &[]).mount("/tree/below", "tmpfs", "tmpfs", &[]);
    bundle.args(&["/bin/touch", "/tree/x"]);
    g.run(&bundle)?.success()?;
    bundle.push("/linux/readonlyPaths", json!("/tree")).push("/linux/readonlyPaths", json!("/sys"));
    let output = g.run(&bundle)?.exits(1)?;
    ensure!(output.says("Read-only file system"), "{output}");
    let output = g.run(bundle.args(&["/bin/touch", "/sys/x"]))?.exits(1)?;
    ensure!(output.says("Read-only file system"), "{output}");
    Ok(())
}

fn a_later_mount_may_cover_earlier_ones(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "/a", &["bind"]).mount("/a/sub", "tmpfs", "tmpfs", &[]);
    g.run(bundle.sh("test -d /a/sub"))?.success()?;
    bundle.mount("/a", "tmpfs", "tmpfs", &[]).bind(&file(g)?, "/a/sub", &["bind"]);
    same("/a/sub", g.run(bundle.sh("cat /a/sub; ls /a"))?.success()?.stdout.as_str(), "content\nsub\n")
}

fn a_later_rbind_with_submounts_may_cover_an_earlier_mount(g: &Ground) -> Result<()> {
    let outside = source(g)?;
    std::fs::create_dir(outside.join("x"))?;
    rustix::mount::mount("none", outside.join("x"), "tmpfs", rustix::mount::MountFlags::empty(), c"")?;
    let result = (|| {
        let mut bundle = g.bundle()?;
        std::fs::remove_dir(bundle.rootfs().join("var"))?;
        std::fs::create_dir(bundle.rootfs().join("var"))?;
        symlink("/run", bundle.rootfs().join("var/run"))?;
        bundle.mount("/run/x", "tmpfs", "tmpfs", &["size=4k"]).bind(&outside, "/var/run", &["rbind"]);
        same("/run", g.run(bundle.sh("cat /run/file"))?.success()?.stdout.as_str(), "content\n")
    })();
    rustix::mount::unmount(outside.join("x"), rustix::mount::UnmountFlags::DETACH)?;
    result
}

fn a_readonly_path_may_cover_binds_inside_proc(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let path = "/proc/sys/kernel/ns_last_pid";
    bundle.unset("/linux/readonlyPaths").bind(path.as_ref(), path, &["bind", "private"]);
    g.run(&bundle)?.success()?;
    bundle.set("/linux/readonlyPaths", json!(["/proc/sys"])).sh("echo 7 > /proc/sys/net/ipv4/ip_forward");
    let output = g.run(&bundle)?.exits(1)?;
    ensure!(output.says("Read-only file system"), "{output}");
    Ok(())
}

fn a_file_on_a_directory_is_not_a_directory(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.clone().bind(&file(g)?, "/tmp/new", &["bind"]))?.success()?;
    g.run(bundle.bind(&file(g)?, "/tmp", &["bind"]))?.refused("not a directory")?.exits(1).map(drop)
}

fn an_ordinary_directory_on_proc_is_refused_and_a_procfs_is_not(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.unmount("/proc").unset("/linux/maskedPaths").unset("/linux/readonlyPaths").share("pid");
    g.run(bundle.clone().bind(&source(g)?, "/proc", &["rbind"]))?.refused("/proc")?.exits(1)?;
    bundle.bind("/proc".as_ref(), "/proc", &["rbind"]).args(&["/bin/readlink", "/proc/self/ns/pid"]);
    same("pid namespace", g.run(&bundle)?.success()?.stdout.trim(), host::link("self", "ns/pid")?)
}

fn a_bound_proc_may_have_mounts_below_a_read_only_path(g: &Ground) -> Result<()> {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    let none = None::<&std::ffi::CStr>;
    // As the host's own procfs, which has binfmt_misc below /proc/sys.
    let dir = g.dir.join("proc");
    std::fs::create_dir(&dir)?;
    mount("proc", &dir, "proc", MountFlags::empty(), none)?;
    let result = (|| {
        mount("below", dir.join("sys/fs"), "tmpfs", MountFlags::empty(), none)?;
        let mut bundle = g.bundle()?;
        bundle.unmount("/proc");
        let bind = json!({"destination": "/proc", "type": "bind", "source": dir, "options": ["rbind", "rprivate"]});
        if let Some(serde_json::Value::Array(mounts)) = bundle.spec.get_mut("mounts") {
            mounts.insert(0, bind);
        }
        bundle.sh("cat /proc/self/comm");
        same("the program", g.run(&bundle)?.success()?.stdout.trim(), "cat")
    })();
    unmount(&dir, UnmountFlags::DETACH)?;
    result
}
