//! What comes a second time: a root filesystem that its first container has changed, and a process that was checkpointed.

use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::tally::Tally;
use crate::holds;
use anyhow::{Result, ensure};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

crate::checks! {
    "CVE-2014-6407" a_root_that_its_container_has_changed_leads_nowhere_at_the_next_start;
    "CVE-2026-18107" a_container_is_not_handed_to_a_program_that_dumps_it [Own("there is no checkpoint")];
}

fn a_root_that_its_container_has_changed_leads_nowhere_at_the_next_start(s: &Scene) -> Result<Verdict> {
    let before = s.outside.entries()?;
    let mut tally = Tally::default();
    for name in ["etc", "dev", "proc", "sys", "tmp", "run", "var", "root"] {
        let bundle = s.scripted("true")?;
        // The twin is the first life, by create, start and delete, of the same bundle.
        let container = s.ground.container(&bundle);
        container.create(&[])?.success()?;
        container.start()?.success()?;
        container.wait_until("stopped")?;
        container.delete()?.success()?;
        // What a process that writes to the root filesystem by another mount of it does meanwhile.
        let place = bundle.rootfs().join(name);
        std::fs::rename(&place, bundle.rootfs().join("old"))?;
        symlink(s.outside.path("dir"), &place)?;
        let attack = s.attack(&bundle)?;
        holds!(before == s.outside.entries()?, "/{name} replaced: what is outside has changed");
        if let Some(verdict) = tally.count(s, &attack)? {
            return Ok(verdict);
        }
        holds!(!s.shows_outside(&attack.output), "/{name} replaced: what is outside can be read");
    }
    Ok(tally.verdict())
}

fn a_container_is_not_handed_to_a_program_that_dumps_it(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    let pid = container.pid()?;
    // A program of that name where a runtime would look for it; that it was called can be seen.
    let (bin, called) = (s.ground.dir.join("bin"), s.ground.dir.join("called"));
    std::fs::create_dir(&bin)?;
    let text = format!("#!/bin/sh\necho called > {}\nexit 1\n", called.display());
    std::fs::write(bin.join("criu"), text)?;
    std::fs::set_permissions(bin.join("criu"), PermissionsExt::from_mode(0o755))?;
    ensure!(s.host(&bin.join("criu").to_string_lossy(), &[])?.code == 1 && called.exists(), "the bait does not work");
    std::fs::remove_file(&called)?;
    let image = s.ground.dir.join("image").to_string_lossy().into_owned();
    let mut words = String::new();
    for (command, flags) in [("checkpoint", ["--image-path", &image]), ("restore", ["--image-path", &image])] {
        let mut command = container.command(command, &flags);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", bin.display()));
        let output = s.ground.recorder.run(command)?;
        holds!(output.code != 0, "it was not refused: {output}");
        holds!(!called.exists(), "a program of the caller's PATH was called on the container");
        holds!(!Path::new(&image).exists(), "an image was made");
        words = output.stderr.trim().to_owned();
    }
    holds!(container.pid()? == pid && container.status()? == "running", "the container did not live on");
    Ok(Verdict::Refused(words))
}
