//! `inspect`: what the kernel says of a container, held against the plan.

use crate::case::{Ground, same};
use crate::host;
use anyhow::{Result, ensure};

crate::cases! {
    a_container_is_as_it_was_planned_at_each_level [CasemateOnly("inspect")];
    a_limit_that_is_gone_is_a_mismatch [CasemateOnly("inspect"), Needs(CgroupV1)];
    looking_leaves_the_container_running [CasemateOnly("inspect")];
    a_node_has_one_line_for_each_container [CasemateOnly("inspect")];
}

fn a_container_is_as_it_was_planned_at_each_level(g: &Ground) -> Result<()> {
    for level in ["privileged", "baseline", "restricted"] {
        let mut bundle = g.level(Some(level)).bundle()?;
        bundle.set("/process/user", serde_json::json!({"uid": 1000, "gid": 1000}));
        let c = g.sleeping(&bundle)?;
        let text = c.call("inspect", &[])?.success()?.stdout;
        ensure!(text.contains(level) && !text.contains('\x1b'), "{level}: {text}");
        let refuses = text.lines().find(|line| line.starts_with("riskiest calls")).unwrap_or_default();
        ensure!(refuses.contains(" of 40 refused"), "{level}: {text}");
        same("no filter at privileged", refuses.contains(" 0 of 40"), level == "privileged")?;
        let json = c.call("inspect", &["--format", "json"])?.success()?.json()?;
        ensure!(json.to_string().contains(&c.id), "{json}");
    }
    Ok(())
}

fn a_limit_that_is_gone_is_a_mismatch(g: &Ground) -> Result<()> {
    let c = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    c.call("inspect", &[])?.success()?;
    std::fs::write(g.host.cgroup_file("pids", c.bundle.cgroups_path(), "pids.max")?, "max")?;
    let output = c.call("inspect", &[])?.exits(1)?;
    ensure!(output.stdout.lines().next().is_some_and(|line| line.contains("pids")), "{output}");
    Ok(())
}

fn looking_leaves_the_container_running(g: &Ground) -> Result<()> {
    let c = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    for _ in 0..20 {
        c.call("inspect", &[])?.success()?;
    }
    c.expect("running")?;
    same("tracer", host::status(c.pid()?, "TracerPid")?.as_str(), "0")?;
    c.exec(&[], &["/bin/true"])?.success().map(drop)
}

fn a_node_has_one_line_for_each_container(g: &Ground) -> Result<()> {
    g.level(Some("baseline"));
    let (one, other) = (g.sleeping(&g.bundle()?)?, g.sleeping(&g.bundle()?)?);
    let text = g.call(&["inspect", "--all"])?.success()?.stdout;
    same("lines", text.lines().count(), 3)?;
    ensure!(text.contains(&one.id) && text.contains(&other.id), "{text}");
    let json = g.call(&["inspect", "--all", "--format", "json"])?.success()?.json()?;
    same("containers", json.as_array().map(Vec::len), Some(2))
}
