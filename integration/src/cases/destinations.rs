//! Mount destinations: relative ones, and those that try to lead out of the root or over `/proc`.

use super::mounts::source;
use crate::case::{Ground, same};
use crate::host::mounts;
use anyhow::{Result, ensure};
use serde_json::json;
use std::os::unix::fs::symlink;

crate::cases! {
    a_relative_destination_is_taken_from_the_root;
    a_destination_through_an_absolute_symlink_stays_inside;
    a_destination_through_a_climbing_symlink_stays_inside;
    a_destination_with_dots_stays_inside;
    a_mount_over_proc_is_refused;
    a_proc_mount_onto_a_symlink_is_refused;
}

/// Runs a bundle whose rootfs has `link` pointing to `target`, with a bind to `destination`; whatever the runtime
/// decides, `outside` must stay as it was.
fn confined(g: &Ground, link: &str, target: &str, destination: &str) -> Result<()> {
    let outside = g.dir.join("outside");
    std::fs::create_dir_all(&outside)?;
    let mut bundle = g.bundle()?;
    let target = target.replace("OUTSIDE", &outside.to_string_lossy());
    symlink(&target, bundle.rootfs().join(link))?;
    bundle.bind(&source(g)?, destination, &["bind"]).sh("touch /ran");
    let output = g.run(&bundle)?;
    ensure!(output.code == 0 || output.code == 1, "{output}");
    same("entries outside", std::fs::read_dir(&outside)?.count(), 0)?;
    let leaked = mounts("self")?.into_iter().find(|m| m.point.starts_with(&*outside.to_string_lossy()));
    ensure!(leaked.is_none(), "mounted outside: {leaked:?}");
    Ok(())
}

fn a_relative_destination_is_taken_from_the_root(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.bind(&source(g)?, "mnt/rel", &["bind"]).set("/process/cwd", json!("/tmp")).sh("cat /mnt/rel/file");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "content\n")
}

fn a_destination_through_an_absolute_symlink_stays_inside(g: &Ground) -> Result<()> {
    confined(g, "link", "OUTSIDE", "/link/made")?;
    confined(g, "link", "OUTSIDE", "/link")
}

fn a_destination_through_a_climbing_symlink_stays_inside(g: &Ground) -> Result<()> {
    confined(g, "link", "../../../../../../../../OUTSIDE", "/link/made")?;
    confined(g, "link", "../../outside", "/link/made")
}

fn a_destination_with_dots_stays_inside(g: &Ground) -> Result<()> {
    confined(g, "link", "tmp", "/link/../../../outside/made")?;
    confined(g, "link", "tmp", "../../outside/made")
}

fn a_mount_over_proc_is_refused(g: &Ground) -> Result<()> {
    for destination in ["/proc", "/proc/self", "/proc/sys/kernel", "/proc/../proc/self"] {
        let mut bundle = g.bundle()?;
        g.run(bundle.bind(&source(g)?, destination, &["bind"]))?.refused("proc")?.exits(1)?;
    }
    let mut bundle = g.bundle()?;
    g.run(bundle.mount("/proc/self", "tmpfs", "tmpfs", &[]))?.refused("proc").map(drop)
}

fn a_proc_mount_onto_a_symlink_is_refused(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    std::fs::remove_dir(bundle.rootfs().join("proc"))?;
    symlink("tmp", bundle.rootfs().join("proc"))?;
    g.run(&bundle)?.refused("proc")?.exits(1).map(drop)
}
