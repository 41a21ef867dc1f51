//! Cgroups: limits of the configuration and of `update`, read back from the hierarchies; placement and removal.

use crate::bundle::Bundle;
use crate::case::{Container, Ground, same};
use crate::host;
use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

crate::cases! {
    init_is_in_the_configured_cgroup_of_every_hierarchy [Needs(CgroupV1)];
    the_cgroups_are_removed_by_delete;
    a_cgroups_path_many_levels_deep_is_made;
    without_a_cgroups_path_the_id_is_used [Needs(CgroupV1)];
    memory_limits_are_set [Needs(CgroupV1)];
    memory_and_swap_limits_are_set [Needs(CgroupV1), Needs(SwapAccounting)];
    cpu_limits_are_set [Needs(CgroupV1)];
    cpuset_is_set [Needs(CgroupV1)];
    the_pids_limit_is_set_and_enforced [Needs(CgroupV1)];
    an_unlimited_pids_limit_is_max [Needs(CgroupV1)];
    zero_values_leave_everything [Needs(CgroupV1)];
    values_of_minus_one_mean_unlimited [Needs(CgroupV1)];
    the_memory_limit_is_enforced [Needs(CgroupV1)];
    a_memory_limit_too_small_to_start_is_explained [Needs(CgroupV1), Differs("the error names the memory limit")];
    the_oom_killer_can_be_disabled [Needs(CgroupV1)];
    unified_keys_on_v1_are_refused [Needs(CgroupV1)];
    a_cgroup_in_use_is_refused [Needs(CgroupV1), Differs("a cgroup with processes in it is refused")];
    a_cgroups_path_with_dots_stays_inside [Needs(CgroupV1)];
    a_cgroup_of_any_name_is_found_and_removed [Differs("names are bytes, not text")];
    cgroups_many_levels_deep_are_found_and_removed [Differs("one directory is open at a time")];
    update_changes_limits_by_flags [Needs(CgroupV1)];
    update_understands_units [Needs(CgroupV1)];
    update_with_zeros_leaves_everything [Needs(CgroupV1)];
    update_as_docker_sends_it_is_applied [Needs(CgroupV1)];
    update_from_a_file_is_applied [Needs(CgroupV1)];
    update_of_memory_and_swap_in_any_order_succeeds [Needs(CgroupV1), Needs(SwapAccounting)];
    update_leaves_the_device_rules_alone [Needs(CgroupV1)];
    update_of_a_stopped_container_is_refused;
    update_with_bad_json_is_refused;
    update_beyond_what_the_kernel_takes_is_refused [Needs(CgroupV1)];
}

fn with(g: &Ground, resources: Value) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    for (key, value) in resources.as_object().into_iter().flatten() {
        bundle.set(&format!("/linux/resources/{key}"), value.clone());
    }
    Ok(bundle)
}

fn limits(c: &Container, wanted: &[(&str, &str, &str)]) -> Result<()> {
    for (controller, file, value) in wanted {
        same(file, c.cgroup(controller, file)?.as_str(), *value)?;
    }
    Ok(())
}

fn init_is_in_the_configured_cgroup_of_every_hierarchy(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    // Engines read /proc/PID/cgroup as soon as create has returned.
    c.create(&[])?.success()?;
    let text = host::read(format!("/proc/{}/cgroup", c.pid()?).as_ref())?;
    for line in text.lines() {
        let path = line.splitn(3, ':').nth(2).unwrap_or_default();
        same(line, path, c.bundle.cgroups_path())?;
    }
    ensure!(text.lines().count() >= g.host.controllers.len().min(2), "{text}");
    Ok(())
}

fn the_cgroups_are_removed_by_delete(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    ensure!(!g.host.cgroup_dirs(c.bundle.cgroups_path()).is_empty(), "no cgroup");
    c.stop()?;
    c.delete()?.success()?;
    same("cgroups", g.host.cgroup_dirs(c.bundle.cgroups_path()).len(), 0)
}

fn a_cgroups_path_many_levels_deep_is_made(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let path = format!("{}/a/b/c/d/e/f", g.cgroup);
    bundle.set("/linux/cgroupsPath", json!(path));
    let c = g.sleeping(&bundle)?;
    same("processes", g.host.cgroup_processes(&path), vec![c.pid()?])?;
    c.call("delete", &["--force"])?.success()?;
    for dir in g.host.cgroup_dirs(&format!("{}/a", g.cgroup)) {
        host::remove_cgroup(&dir)?;
    }
    Ok(())
}

fn without_a_cgroups_path_the_id_is_used(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.sleeping(bundle.unset("/linux/cgroupsPath"))?;
    let text = host::read(format!("/proc/{}/cgroup", c.pid()?).as_ref())?;
    let memory = text.lines().find(|line| line.contains(":memory:")).unwrap_or_default();
    ensure!(memory.ends_with(&c.id), "{memory}");
    Ok(())
}

fn memory_limits_are_set(g: &Ground) -> Result<()> {
    let c = g.sleeping(&with(g, json!({"memory": {"limit": 67108864, "reservation": 33554432, "swappiness": 7}}))?)?;
    limits(
        &c,
        &[
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.soft_limit_in_bytes", "33554432"),
            ("memory", "memory.swappiness", "7"),
        ],
    )
}

fn memory_and_swap_limits_are_set(g: &Ground) -> Result<()> {
    let c = g.sleeping(&with(g, json!({"memory": {"limit": 67108864, "swap": 134217728}}))?)?;
    limits(
        &c,
        &[("memory", "memory.limit_in_bytes", "67108864"), ("memory", "memory.memsw.limit_in_bytes", "134217728")],
    )
}

fn cpu_limits_are_set(g: &Ground) -> Result<()> {
    let c = g.sleeping(&with(g, json!({"cpu": {"shares": 512, "quota": 50000, "period": 100000}}))?)?;
    limits(
        &c,
        &[("cpu", "cpu.shares", "512"), ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu", "cpu.cfs_period_us", "100000")],
    )
}

fn cpuset_is_set(g: &Ground) -> Result<()> {
    let c = g.sleeping(&with(g, json!({"cpu": {"cpus": "0", "mems": "0"}}))?)?;
    limits(&c, &[("cpuset", "cpuset.cpus", "0"), ("cpuset", "cpuset.mems", "0")])?;
    same("affinity of init", host::status(c.pid()?, "Cpus_allowed_list")?.as_str(), "0")
}

fn the_pids_limit_is_set_and_enforced(g: &Ground) -> Result<()> {
    let mut bundle = with(g, json!({"pids": {"limit": 10}}))?;
    bundle.sh("cat /sys/fs/cgroup/pids/pids.max; for n in $(seq 20); do sleep 1000 & done 2>/dev/null; exit 3");
    let output = g.run(&bundle)?;
    ensure!(output.stdout.starts_with("10\n") && output.code != 3, "twenty processes with a limit of ten: {output}");
    Ok(())
}

fn an_unlimited_pids_limit_is_max(g: &Ground) -> Result<()> {
    limits(&g.sleeping(&with(g, json!({"pids": {"limit": -1}}))?)?, &[("pids", "pids.max", "max")])
}

const UNTOUCHED: [(&str, &str, &str); 5] = [
    ("memory", "memory.limit_in_bytes", "9223372036854771712"),
    ("memory", "memory.soft_limit_in_bytes", "9223372036854771712"),
    ("cpu", "cpu.shares", "1024"),
    ("cpu", "cpu.cfs_quota_us", "-1"),
    ("cpu", "cpu.cfs_period_us", "100000"),
];

fn zero_values_leave_everything(g: &Ground) -> Result<()> {
    let resources = json!({"memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": 0, "disableOOMKiller": false},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}, "blockIO": {"weight": 0}, "pids": {"limit": 0}});
    limits(&g.sleeping(&with(g, resources)?)?, &UNTOUCHED)
}

fn values_of_minus_one_mean_unlimited(g: &Ground) -> Result<()> {
    let resources = json!({"memory": {"limit": -1, "reservation": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}});
    limits(&g.sleeping(&with(g, resources)?)?, &UNTOUCHED)
}

fn the_memory_limit_is_enforced(g: &Ground) -> Result<()> {
    let mut bundle = with(g, json!({"memory": {"limit": 16777216, "swap": 16777216}}))?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]).sh("dd if=/dev/zero of=/mnt/x bs=1M count=64 2> /dev/null; exit 3");
    let output = g.run(&bundle)?;
    ensure!(output.code == 137 || output.code == 3, "{output}");
    bundle.sh("dd if=/dev/zero of=/mnt/x bs=1M count=4 2> /dev/null && exit 5");
    g.run(&bundle)?.exits(5).map(drop)
}

fn a_memory_limit_too_small_to_start_is_explained(g: &Ground) -> Result<()> {
    let bundle = with(g, json!({"memory": {"limit": 4096, "swap": 4096}}))?;
    g.run(&bundle)?.refused("memory").map(drop)
}

fn the_oom_killer_can_be_disabled(g: &Ground) -> Result<()> {
    let bundle = with(g, json!({"memory": {"limit": 67108864, "disableOOMKiller": true}}))?;
    let control = g.sleeping(&bundle)?.cgroup("memory", "memory.oom_control")?;
    ensure!(control.contains("oom_kill_disable 1"), "{control}");
    Ok(())
}

fn unified_keys_on_v1_are_refused(g: &Ground) -> Result<()> {
    g.run(&with(g, json!({"unified": {"memory.max": "1000000"}}))?)?.exits(1).map(drop)
}

fn a_cgroup_in_use_is_refused(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    let first = g.sleeping(&bundle)?;
    let output = g.container(&bundle).create(&[])?;
    ensure!(output.code == 1 && output.says("cgroup"), "{output}");
    first.expect("running")
}

/// Where the container could make cgroups, if it could write to its own.
fn own_cgroup(c: &Container) -> Result<PathBuf> {
    let text = host::read(format!("/proc/{}/cgroup", c.pid()?).as_ref())?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"));
    let dir = path.map(|path| c.ground.host.cgroup_dirs(path)).unwrap_or_default();
    dir.into_iter().find(|dir| dir.join("cgroup.kill").exists()).context("no unified cgroup")
}

fn a_cgroup_of_any_name_is_found_and_removed(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let pid = c.pid()?;
    let child = own_cgroup(&c)?.join(OsStr::from_bytes(b"\xff\x1b[2J"));
    std::fs::create_dir(&child)?;
    std::fs::write(child.join("cgroup.procs"), pid.to_string())?;
    let listed = c.call("ps", &["--format", "json"])?.success()?;
    ensure!(listed.stdout.contains(&pid.to_string()), "not listed: {listed}");
    c.call("delete", &["--force"])?.success()?;
    ensure!(!child.exists(), "the cgroup is still there");
    Ok(())
}

fn cgroups_many_levels_deep_are_found_and_removed(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let (pid, top) = (c.pid()?, own_cgroup(&c)?);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = openat(CWD, &top, flags, Mode::empty())?;
    // More than a process may have open, and a path longer than PATH_MAX.
    for _ in 0..1200 {
        mkdirat(&dir, "deeper", Mode::RWXU)?;
        dir = openat(&dir, "deeper", flags, Mode::empty())?;
    }
    let tasks = openat(&dir, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&tasks, pid.to_string().as_bytes())?;
    let limited = |command: &str, flags: &[&str]| {
        let mut call = Command::new("prlimit");
        let own = c.command(command, flags);
        call.args(["--nofile=256:256", "--"]).arg(own.get_program()).args(own.get_args());
        g.recorder.run(call)?.success()
    };
    let listed = limited("ps", &["--format", "json"])?;
    ensure!(listed.stdout.contains(&pid.to_string()), "not listed: {listed}");
    limited("delete", &["--force"])?;
    ensure!(!top.exists(), "the cgroup is still there");
    Ok(())
}

fn a_cgroups_path_with_dots_stays_inside(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let name = g.cgroup.trim_start_matches('/').replace('/', "-");
    bundle.set("/linux/cgroupsPath", json!(format!("../../../../..{}/../../../../tmp/{name}", g.cgroup)));
    let c = g.container(&bundle);
    let output = c.run(&[])?;
    ensure!(output.code == 0 || output.code == 1, "{output}");
    ensure!(!std::path::Path::new("/tmp").join(&name).exists(), "made outside of the hierarchy");
    for dir in g.host.cgroup_dirs(&format!("/tmp/{name}")) {
        host::remove_cgroup(&dir)?;
    }
    for dir in g.host.cgroup_dirs("/tmp") {
        host::remove_cgroup(&dir)?;
    }
    Ok(())
}

fn update_changes_limits_by_flags(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call(
        "update",
        &[
            "--memory",
            "67108864",
            "--memory-reservation=33554432",
            "--pids-limit",
            "33",
            "--cpu-share",
            "200",
            "--cpu-period",
            "200000",
            "--cpu-quota",
            "40000",
            "--cpuset-cpus",
            "0",
            "--cpuset-mems",
            "0",
        ],
    )?
    .success()?;
    limits(
        &c,
        &[
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.soft_limit_in_bytes", "33554432"),
            ("pids", "pids.max", "33"),
            ("cpu", "cpu.shares", "200"),
            ("cpu", "cpu.cfs_period_us", "200000"),
            ("cpu", "cpu.cfs_quota_us", "40000"),
            ("cpuset", "cpuset.cpus", "0"),
        ],
    )
}

fn update_understands_units(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for (text, bytes) in [("64M", "67108864"), ("96m", "100663296"), ("1g", "1073741824"), ("131072k", "134217728")] {
        c.call("update", &["--memory", text])?.success()?;
        limits(&c, &[("memory", "memory.limit_in_bytes", bytes)])?;
    }
    Ok(())
}

fn update(c: &Container, resources: &Value) -> Result<crate::process::Output> {
    c.ground.call_with(&["update", "--resources", "-", &c.id], &resources.to_string())
}

fn update_with_zeros_leaves_everything(g: &Ground) -> Result<()> {
    let set = json!({"memory": {"limit": 67108864, "reservation": 33554432},
        "cpu": {"shares": 512, "quota": 50000, "period": 200000}, "pids": {"limit": 55}});
    let c = g.sleeping(&with(g, set)?)?;
    let wanted = [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_period_us", "200000"),
        ("pids", "pids.max", "55"),
    ];
    limits(&c, &wanted)?;
    let zeros = json!({"memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}, "blockIO": {"weight": 0}});
    update(&c, &zeros)?.success()?;
    limits(&c, &wanted)
}

fn update_as_docker_sends_it_is_applied(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let sent = json!({"memory": {"limit": 100663296, "reservation": 0, "kernel": 0}, "cpu": {"shares": 0, "quota": 70000,
        "period": 100000}, "pids": {"limit": 55}, "blockIO": {"weight": 0}});
    update(&c, &sent)?.success()?;
    limits(
        &c,
        &[
            ("memory", "memory.limit_in_bytes", "100663296"),
            ("cpu", "cpu.cfs_quota_us", "70000"),
            ("cpu", "cpu.shares", "1024"),
            ("pids", "pids.max", "55"),
        ],
    )
}

fn update_from_a_file_is_applied(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let file = g.dir.join("resources.json");
    std::fs::write(&file, r#"{"cpu":{"shares":300}}"#)?;
    c.call("update", &[&format!("--resources={}", file.display())])?.success()?;
    limits(&c, &[("cpu", "cpu.shares", "300")])
}

fn update_of_memory_and_swap_in_any_order_succeeds(g: &Ground) -> Result<()> {
    // The kernel wants limit <= memsw at every moment: which is written first depends on the direction.
    let c = g.sleeping(&with(g, json!({"memory": {"limit": 67108864, "swap": 67108864}}))?)?;
    for bytes in [268435456_u64, 33554432, 134217728] {
        update(&c, &json!({"memory": {"limit": bytes, "swap": bytes}}))?.success()?;
        let text = bytes.to_string();
        limits(&c, &[("memory", "memory.limit_in_bytes", &text), ("memory", "memory.memsw.limit_in_bytes", &text)])?;
    }
    Ok(())
}

fn update_leaves_the_device_rules_alone(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let before = c.cgroup("devices", "devices.list")?;
    update(&c, &json!({"devices": [{"allow": true, "access": "rwm"}], "pids": {"limit": 44}}))?.success()?;
    same("rules", c.cgroup("devices", "devices.list")?, before)?;
    limits(&c, &[("pids", "pids.max", "44")])
}

fn update_of_a_stopped_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    update(&c, &json!({"pids": {"limit": 44}}))?.exits(1).map(drop)
}

fn update_with_bad_json_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for text in ["", "{", "[]", r#"{"pids":{"limit":"many"}}"#] {
        g.call_with(&["update", "--resources=-", &c.id], text)?.exits(1)?;
    }
    c.expect("running")
}

fn update_beyond_what_the_kernel_takes_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.call("update", &["--cpuset-cpus", "999"])?.exits(1)?;
    c.expect("running")
}
