//! Numbers of descriptors: many mounts under a low limit, and more preserved descriptors than exist.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::process::Output;
use anyhow::{Result, ensure};

crate::cases! {
    a_thousand_mounts_work_under_a_soft_limit_of_1024 [Differs("the soft limit of descriptors is the caller's")];
    too_many_mounts_for_the_hard_limit_say_so [CasemateOnly("the error names the limit and what to raise")];
    more_preserved_descriptors_than_can_exist_are_refused [Differs("the words of the error")];
}

/// A bundle with `count` bind mounts of one file.
fn binds(g: &Ground, count: usize) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    let file = g.dir.join("file");
    std::fs::write(&file, "")?;
    for n in 0..count {
        bundle.bind(&file, &format!("/mnt/{n}"), &["bind"]);
    }
    bundle.sh("ulimit -Sn; ulimit -Hn");
    Ok(bundle)
}

/// `run` by a caller with these limits of open files.
fn limited(g: &Ground, bundle: &Bundle, soft: u32, hard: u32) -> Result<Output> {
    bundle.write()?;
    let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard}");
    g.shell(&format!("{limits} && exec $R run --bundle {} {}", bundle.dir.display(), g.id()))
}

fn a_thousand_mounts_work_under_a_soft_limit_of_1024(g: &Ground) -> Result<()> {
    let output = limited(g, &binds(g, 1000)?, 1024, 4096)?.success()?;
    same("limits inside", output.stdout.as_str(), "1024\n4096\n")
}

fn too_many_mounts_for_the_hard_limit_say_so(g: &Ground) -> Result<()> {
    limited(g, &binds(g, 20)?, 256, 256)?.success()?;
    let output = limited(g, &binds(g, 1000)?, 256, 256)?.exits(1)?;
    ensure!(output.says("RLIMIT_NOFILE") && output.says("LimitNOFILE="), "{output}");
    Ok(())
}

fn more_preserved_descriptors_than_can_exist_are_refused(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    c.run(&["--preserve-fds", "4294967295"])?.exits(1)?.refused("unable to preserve file descriptor")?;
    c.run(&["--preserve-fds", "0"])?.success().map(drop)
}
