//! Mount propagation: of binds, of the root, and none that was not asked for.

use super::mounts::{source, table};
use crate::case::{Container, Ground, same};
use crate::host::{Mount, mount_at, mounts};
use anyhow::{Result, ensure};
use serde_json::json;
use std::path::PathBuf;

crate::cases! {
    nothing_in_a_container_is_shared_by_default;
    rshared_binds_pass_mounts_out;
    rslave_binds_receive_mounts;
    rprivate_binds_receive_nothing;
    the_rootfs_propagation_is_applied;
    a_shared_root_is_shared [Differs("`shared` is applied to the root mount itself")];
    a_mount_made_inside_is_not_seen_outside;
}

/// Makes a shared mount, runs a container with a bind of it, and calls `body` with the container and the directory.
fn with_shared(g: &Ground, option: &str, body: impl FnOnce(&Container, &PathBuf) -> Result<()>) -> Result<()> {
    use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
    let dir = g.dir.join("shared");
    std::fs::create_dir(&dir)?;
    mount("shared", &dir, "tmpfs", MountFlags::empty(), None::<&std::ffi::CStr>)?;
    mount_change(&dir, MountPropagationFlags::SHARED)?;
    std::fs::create_dir(dir.join("sub"))?;
    let result = (|| {
        let mut bundle = g.bundle()?;
        bundle.bind(&dir, "/mnt", &["rbind", option]).push("/process/capabilities/bounding", json!("CAP_SYS_ADMIN"));
        bundle.push("/process/capabilities/effective", json!("CAP_SYS_ADMIN"));
        bundle.push("/process/capabilities/permitted", json!("CAP_SYS_ADMIN"));
        // A shared bind asks for a root that does not stop propagation either.
        bundle.set("/linux/rootfsPropagation", json!(if option == "rshared" { "shared" } else { "rslave" }));
        let c = g.sleeping(&bundle)?;
        let result = body(&c, &dir);
        c.call("delete", &["--force"])?.success()?;
        result
    })();
    for mounted in mounts("self")?.iter().rev().filter(|m| m.point.starts_with(&*dir.to_string_lossy())) {
        unmount(&mounted.point, UnmountFlags::DETACH)?;
    }
    result
}

fn mount_outside(dir: &std::path::Path) -> Result<()> {
    let flags = rustix::mount::MountFlags::empty();
    Ok(rustix::mount::mount("made-outside", dir.join("sub"), "tmpfs", flags, None::<&std::ffi::CStr>)?)
}

fn root_with(g: &Ground, propagation: &str) -> Result<Mount> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/rootfsPropagation", json!(propagation));
    mount_at(&table(g, &bundle)?, "/")
}

fn nothing_in_a_container_is_shared_by_default(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "/mnt", &["rbind", "rprivate"]).set("/linux/rootfsPropagation", json!("rprivate"));
    for mount in table(g, &bundle)? {
        ensure!(
            mount.propagation.iter().all(|tag| tag == "-" || tag.is_empty()),
            "{}: {:?}",
            mount.point,
            mount.propagation
        );
    }
    Ok(())
}

fn rshared_binds_pass_mounts_out(g: &Ground) -> Result<()> {
    with_shared(g, "rshared", |c, dir| {
        c.exec(&[], &["/bin/mount", "-t", "tmpfs", "made-inside", "/mnt/sub"])?.success()?;
        let point = dir.join("sub").to_string_lossy().into_owned();
        mount_at(&mounts("self")?, &point).map(drop)
    })
}

fn rslave_binds_receive_mounts(g: &Ground) -> Result<()> {
    with_shared(g, "rslave", |c, dir| {
        mount_outside(dir)?;
        mount_at(&mounts(c.pid()?)?, "/mnt/sub")?;
        c.exec(&[], &["/bin/mount", "-t", "tmpfs", "made-inside", "/mnt/sub"])?.success()?;
        let point = dir.join("sub").to_string_lossy().into_owned();
        same("mounts outside", mounts("self")?.iter().filter(|m| m.point == point).count(), 1)
    })
}

fn rprivate_binds_receive_nothing(g: &Ground) -> Result<()> {
    with_shared(g, "rprivate", |c, dir| {
        mount_outside(dir)?;
        ensure!(mount_at(&mounts(c.pid()?)?, "/mnt/sub").is_err(), "the mount arrived");
        Ok(())
    })
}

fn the_rootfs_propagation_is_applied(g: &Ground) -> Result<()> {
    for asked in ["private", "rprivate", "slave", "rslave", "unbindable"] {
        let root = root_with(g, asked)?;
        ensure!(!root.propagation.iter().any(|tag| tag.starts_with("shared:")), "{asked}: {:?}", root.propagation);
    }
    Ok(())
}

fn a_shared_root_is_shared(g: &Ground) -> Result<()> {
    for asked in ["shared", "rshared"] {
        let root = root_with(g, asked)?;
        ensure!(root.propagation.iter().any(|tag| tag.starts_with("shared:")), "{asked}: {:?}", root.propagation);
    }
    Ok(())
}

fn a_mount_made_inside_is_not_seen_outside(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        bundle.push(&format!("/process/capabilities/{set}"), json!("CAP_SYS_ADMIN"));
    }
    let c = g.sleeping(&bundle)?;
    c.exec(&[], &["/bin/mount", "-t", "tmpfs", "made-inside", "/tmp"])?.success()?;
    let outside = mounts("self")?;
    ensure!(outside.iter().all(|m| !m.point.starts_with(&*bundle.dir.to_string_lossy())), "seen outside");
    Ok(())
}
