//! Commands at the same moment, and what happens right after one has returned.

use crate::bundle::capabilities;
use crate::case::Ground;
use crate::process::DEADLINE;
use anyhow::{Context, Result, ensure};
use serde_json::json;

crate::cases! {
    a_created_container_outlives_create;
    two_containers_make_the_same_mount_points_at_once;
    of_several_starts_at_once_one_succeeds [Differs("one wins, the others are told so")];
}

fn a_created_container_outlives_create(g: &Ground) -> Result<()> {
    for (uid, names) in [(0, &["CAP_KILL", "CAP_CHOWN"][..]), (1000, &["CAP_KILL"][..])] {
        let mut bundle = g.bundle()?;
        bundle.set("/process/user", json!({"uid": uid, "gid": uid}));
        bundle.set("/process/capabilities", capabilities(names));
        for n in 0..40 {
            let c = g.container(&bundle);
            c.create(&[])?.success()?;
            c.expect("created").with_context(|| format!("uid {uid}, container {n}"))?;
            c.call("delete", &["--force"])?.success()?;
        }
    }
    Ok(())
}

fn two_containers_make_the_same_mount_points_at_once(g: &Ground) -> Result<()> {
    for round in 0..10 {
        let mut first = g.bundle()?;
        for n in 0..30 {
            first.mount(&format!("/new/{round}/{n}/below"), "tmpfs", "tmpfs", &["size=4k"]);
        }
        let mut second = g.bundle()?;
        second.spec = first.spec.clone();
        let rootfs = first.rootfs();
        second.set("/root/path", json!(rootfs));
        second.set("/linux/cgroupsPath", json!(format!("{}/second", g.cgroup)));
        let containers = [g.container(&first), g.container(&second)];
        let running = containers.iter().map(|c| c.run_in_background(&[])).collect::<Result<Vec<_>>>()?;
        for run in running {
            run.wait(DEADLINE)?.success().with_context(|| format!("round {round}"))?;
        }
        std::fs::remove_dir_all(&first.dir)?;
        std::fs::remove_dir_all(&second.dir)?;
    }
    Ok(())
}

fn of_several_starts_at_once_one_succeeds(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    c.create(&[])?.success()?;
    let starts = (0..4).map(|_| g.recorder.start(c.command("start", &[]), None)).collect::<Result<Vec<_>>>()?;
    let mut succeeded = 0;
    for start in starts {
        let output = start.wait(DEADLINE)?;
        if output.code == 0 {
            succeeded += 1;
        } else {
            output.refused("cannot start an already running container")?;
        }
    }
    ensure!(succeeded == 1, "{succeeded} of the starts succeeded");
    c.expect("running")
}
