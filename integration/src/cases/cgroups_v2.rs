//! Cgroups of the unified hierarchy: what the configuration and `update` ask for, read back from its files.

use crate::bundle::Bundle;
use crate::case::{Container, Ground, same};
use crate::host;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

crate::cases! {
    limits_are_set_on_v2 [Needs(CgroupV2)];
    swap_is_what_exceeds_the_memory_limit [Needs(CgroupV2)];
    shares_become_a_weight [Needs(CgroupV2)];
    unlimited_is_max_on_v2 [Needs(CgroupV2)];
    zero_values_leave_everything_on_v2 [Needs(CgroupV2)];
    unified_keys_are_written [Needs(CgroupV2)];
    unified_keys_with_a_slash_are_refused [Needs(CgroupV2)];
    update_changes_limits_on_v2 [Needs(CgroupV2)];
    update_with_zeros_leaves_everything_on_v2 [Needs(CgroupV2)];
    pause_freezes_the_cgroup [Needs(CgroupV2)];
    exec_cgroup_places_the_process_below_on_v2 [Needs(CgroupV2)];
}

fn with(g: &Ground, resources: &Value) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    for (key, value) in resources.as_object().into_iter().flatten() {
        bundle.set(&format!("/linux/resources/{key}"), value.clone());
    }
    Ok(bundle)
}

fn file(c: &Container, name: &str) -> Result<String> {
    let mount = c.ground.host.unified.as_ref().context("no unified hierarchy")?;
    host::read(&mount.join(c.bundle.cgroups_path().trim_start_matches('/')).join(name))
}

fn limits(c: &Container, wanted: &[(&str, &str)]) -> Result<()> {
    for (name, value) in wanted {
        same(name, file(c, name)?.as_str(), *value)?;
    }
    Ok(())
}

const SET: [(&str, &str); 5] = [
    ("memory.max", "67108864"),
    ("memory.low", "33554432"),
    ("cpu.max", "50000 200000"),
    ("pids.max", "55"),
    ("cpuset.cpus", "0"),
];

fn limited<'a>(g: &'a Ground) -> Result<Container<'a>> {
    let resources = json!({"memory": {"limit": 67108864, "reservation": 33554432}, "pids": {"limit": 55},
        "cpu": {"quota": 50000, "period": 200000, "cpus": "0"}});
    g.sleeping(&with(g, &resources)?)
}

fn limits_are_set_on_v2(g: &Ground) -> Result<()> {
    limits(&limited(g)?, &SET)
}

fn swap_is_what_exceeds_the_memory_limit(g: &Ground) -> Result<()> {
    let c = g.sleeping(&with(g, &json!({"memory": {"limit": 67108864, "swap": 100663296}}))?)?;
    limits(&c, &[("memory.max", "67108864"), ("memory.swap.max", "33554432")])
}

fn shares_become_a_weight(g: &Ground) -> Result<()> {
    // The curve that maps 1024, the default of one, to 100, the default of the other.
    for (shares, weight) in [(1024, "100"), (2, "1"), (262144, "10000")] {
        let c = g.sleeping(&with(g, &json!({"cpu": {"shares": shares}}))?)?;
        limits(&c, &[("cpu.weight", weight)])?;
    }
    Ok(())
}

const UNTOUCHED: [(&str, &str); 4] =
    [("memory.max", "max"), ("memory.low", "0"), ("cpu.max", "max 100000"), ("cpu.weight", "100")];

fn unlimited_is_max_on_v2(g: &Ground) -> Result<()> {
    let c = g.sleeping(&with(g, &json!({"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}}))?)?;
    limits(&c, &UNTOUCHED)?;
    limits(&c, &[("pids.max", "max")])
}

fn zeros() -> Value {
    json!({"memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}, "blockIO": {"weight": 0}})
}

fn zero_values_leave_everything_on_v2(g: &Ground) -> Result<()> {
    limits(&g.sleeping(&with(g, &zeros())?)?, &UNTOUCHED)
}

fn unified_keys_are_written(g: &Ground) -> Result<()> {
    let c = g.sleeping(&with(g, &json!({"unified": {"memory.high": "50331648", "pids.max": "44"}}))?)?;
    limits(&c, &[("memory.high", "50331648"), ("pids.max", "44")])
}

fn unified_keys_with_a_slash_are_refused(g: &Ground) -> Result<()> {
    for key in ["../memory.max", "/memory.max", "sub/memory.max"] {
        g.run(&with(g, &json!({"unified": {key: "1"}}))?)?.exits(1)?;
    }
    Ok(())
}

fn update(c: &Container, resources: &Value) -> Result<()> {
    c.ground.call_with(&["update", "--resources", "-", &c.id], &resources.to_string())?.success().map(drop)
}

fn update_changes_limits_on_v2(g: &Ground) -> Result<()> {
    let c = limited(g)?;
    update(
        &c,
        &json!({"memory": {"limit": 100663296}, "cpu": {"quota": 70000, "period": 100000}, "pids": {"limit": 66}}),
    )?;
    limits(
        &c,
        &[("memory.max", "100663296"), ("cpu.max", "70000 100000"), ("pids.max", "66"), ("memory.low", "33554432")],
    )
}

fn update_with_zeros_leaves_everything_on_v2(g: &Ground) -> Result<()> {
    let c = limited(g)?;
    update(&c, &zeros())?;
    limits(&c, &SET)
}

fn pause_freezes_the_cgroup(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call("pause", &[])?.success()?;
    ensure!(file(&c, "cgroup.events")?.contains("frozen 1"), "not frozen");
    c.call("resume", &[])?.success()?;
    limits(&c, &[("cgroup.freeze", "0")])
}

fn exec_cgroup_places_the_process_below_on_v2(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    // Domain controllers forbid processes beside children: only the cgroup files that are always there are used.
    let c = g.sleeping(bundle.unset("/linux/resources/devices"))?;
    let mount = g.host.unified.as_ref().context("no unified hierarchy")?;
    let below = mount.join(c.bundle.cgroups_path().trim_start_matches('/')).join("below");
    std::fs::create_dir(&below)?;
    let pid_file = g.dir.join("exec-pid");
    let flags = ["--detach", "--pid-file", &pid_file.to_string_lossy(), "--cgroup", "below"];
    c.exec(&flags, &["/bin/sleep", "2000"])?.success()?;
    let pid = std::fs::read_to_string(&pid_file)?;
    same("processes below", host::read(&below.join("cgroup.procs"))?, pid.clone())?;
    host::kill(pid.parse()?)
}
