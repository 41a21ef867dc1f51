//! Levels and rules: what is narrowed, what is refused and in which words, and that a refusal leaves nothing.

use crate::bundle::{Bundle, capabilities};
use crate::case::{Ground, same};
use crate::host;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

crate::cases! {
    without_a_word_the_level_is_baseline [CasemateOnly("levels")];
    the_name_of_the_program_chooses_the_level [CasemateOnly("levels")];
    of_name_and_option_the_tighter_counts [CasemateOnly("levels")];
    an_annotation_tightens_and_never_loosens [CasemateOnly("levels")];
    privileged_is_the_configuration_as_written [CasemateOnly("levels")];
    baseline_narrows_what_engines_grant [CasemateOnly("levels")];
    restricted_narrows_further [CasemateOnly("levels")];
    restricted_fills_in_scratch_directories_that_exist [CasemateOnly("levels")];
    a_limit_on_tasks_is_filled_in [CasemateOnly("levels"), Needs(CgroupV1)];
    an_update_cannot_take_the_limit_on_tasks_away [CasemateOnly("levels"), Needs(CgroupV1)];
    what_is_refused_names_the_rule_the_place_and_the_way_out [CasemateOnly("levels")];
    a_refusal_leaves_nothing [CasemateOnly("levels")];
    a_link_to_a_sensitive_path_is_refused [CasemateOnly("levels")];
    the_state_of_containers_is_not_bound_wherever_it_is [CasemateOnly("levels")];
    a_remount_by_way_of_a_link_loosens_nothing [CasemateOnly("levels")];
    a_path_to_the_hosts_own_namespace_is_refused [CasemateOnly("levels")];
    ordinary_binds_start [CasemateOnly("levels")];
    an_exec_has_the_floor_of_init [CasemateOnly("levels")];
    an_exec_that_asks_for_more_is_refused [CasemateOnly("levels")];
    an_exec_at_a_tighter_level_is_tighter [CasemateOnly("levels")];
    the_overlay_refuses_below_a_profile_that_allows [CasemateOnly("levels")];
    explain_shows_each_change_and_each_refusal [CasemateOnly("levels")];
}

const BASELINE_SET: &str = "00000000a80405fb";

/// Runs the probe and gives what it saw.
fn seen(g: &Ground, bundle: &Bundle) -> Result<Value> {
    g.probe(bundle)
}

fn level_of(g: &Ground, words: &[&str], called: Option<&str>) -> Result<String> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]).write()?;
    let id = g.id();
    let call = |command: &[&str]| {
        let mut line = Command::new(&g.runtime.path);
        if let Some(called) = called {
            line.arg0(called);
        }
        line.arg("--root").arg(&g.root).args(words).args(command).current_dir(&g.dir);
        g.recorder.run(line)
    };
    call(&["create", "--bundle", &bundle.dir.to_string_lossy(), &id])?.success()?;
    let state = call(&["state", &id])?.success()?.json()?;
    Ok(state["annotations"]["io.casemate.level"].as_str().unwrap_or("privileged").to_owned())
}

fn without_a_word_the_level_is_baseline(g: &Ground) -> Result<()> {
    same("level", level_of(g, &[], None)?.as_str(), "baseline")
}

fn the_name_of_the_program_chooses_the_level(g: &Ground) -> Result<()> {
    same("level", level_of(g, &[], Some("casemate-baseline"))?.as_str(), "baseline")?;
    same("level", level_of(g, &[], Some("/usr/bin/casemate-privileged"))?.as_str(), "privileged")?;
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/true"]).write()?;
    let mut command = Command::new(&g.runtime.path);
    command.arg0("casemate-restricted").arg("--root").arg(&g.root);
    command.args(["run", "--bundle"]).arg(&bundle.dir).arg(g.id());
    g.recorder.run(command)?.refused("[non-root]").map(drop)
}

fn of_name_and_option_the_tighter_counts(g: &Ground) -> Result<()> {
    let level = level_of(g, &["--level", "baseline"], Some("casemate-privileged"))?;
    same("level", level.as_str(), "baseline")?;
    let level = level_of(g, &["--level", "privileged"], Some("casemate-baseline"))?;
    same("level", level.as_str(), "baseline")?;
    same("level", level_of(g, &["--level", "privileged"], None)?.as_str(), "privileged")
}

fn an_annotation_tightens_and_never_loosens(g: &Ground) -> Result<()> {
    let mut bundle = g.level(Some("baseline")).bundle()?;
    bundle.args(&["/bin/probe"]).set("/annotations/io.casemate.level", json!("privileged"));
    let seen = g.probe(&bundle)?;
    same("no_new_privs", seen["status"]["NoNewPrivs"].as_str(), Some("1"))?;
    bundle.set("/annotations/io.casemate.level", json!("restricted"));
    g.run(&bundle)?.refused("[non-root]")?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    same("bounding", g.probe(&bundle)?["status"]["CapBnd"].as_str(), Some("0000000000000400"))?;
    bundle.set("/annotations/io.casemate.level", json!("tight"));
    g.run(&bundle)?.refused("tight").map(drop)
}

fn privileged_is_the_configuration_as_written(g: &Ground) -> Result<()> {
    let mut bundle = g.level(Some("privileged")).bundle()?;
    bundle.set("/process/capabilities", capabilities(&["CAP_SYS_ADMIN", "CAP_NET_RAW"])).share("pid");
    let seen = g.probe(&bundle)?;
    same("bounding", seen["status"]["CapBnd"].as_str(), Some("0000000000202000"))?;
    same("no_new_privs", seen["status"]["NoNewPrivs"].as_str(), Some("0"))?;
    same("seccomp", seen["status"]["Seccomp"].as_str(), Some("0"))
}

fn baseline_narrows_what_engines_grant(g: &Ground) -> Result<()> {
    let mut bundle = g.level(Some("baseline")).bundle()?;
    let names = ["CAP_NET_RAW", "CAP_CHOWN"];
    bundle.set("/process/capabilities/inheritable", json!(names)).set("/process/capabilities/ambient", json!(names));
    let seen = seen(g, &bundle)?;
    let status = |name: &str| seen["status"][name].as_str();
    for set in ["CapBnd", "CapEff", "CapPrm"] {
        same(set, status(set), Some(BASELINE_SET))?;
    }
    same("inheritable", status("CapInh"), Some("0000000000000000"))?;
    same("ambient", status("CapAmb"), Some("0000000000000000"))?;
    same("no_new_privs", status("NoNewPrivs"), Some("1"))?;
    same("seccomp", (status("Seccomp"), status("Seccomp_filters")), (Some("2"), Some("1")))?;
    bundle.sh("cat /proc/timer_list; cat /proc/interrupts | wc -c; touch /proc/sys/kernel/x; mount | grep powercap");
    let output = g.run(&bundle)?;
    ensure!(output.stdout.lines().next() == Some("0"), "/proc/interrupts can be read: {output}");
    Ok(())
}

fn restricted_bundle(g: &Ground) -> Result<Bundle> {
    let mut bundle = g.level(Some("restricted")).bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    Ok(bundle)
}

fn restricted_narrows_further(g: &Ground) -> Result<()> {
    let mut bundle = restricted_bundle(g)?;
    let seen = seen(g, &bundle)?;
    let status = |name: &str| seen["status"][name].as_str();
    same("bounding", status("CapBnd"), Some("0000000000000400"))?;
    same("core", seen["rlimits"]["RLIMIT_CORE"]["hard"].as_u64(), Some(0))?;
    bundle.sh("touch /etc/x; cat /proc/kallsyms | wc -c; unshare -U true; echo $?");
    let output = g.run(&bundle)?;
    ensure!(output.stderr.contains("Read-only file system"), "{output}");
    let mut lines = output.stdout.lines();
    same("bytes of kallsyms", lines.next(), Some("0"))?;
    ensure!(lines.next() != Some("0"), "a new user namespace: {output}");
    Ok(())
}

fn restricted_fills_in_scratch_directories_that_exist(g: &Ground) -> Result<()> {
    let mut bundle = restricted_bundle(g)?;
    bundle.sh("grep -E ' /(tmp|run|var/tmp) ' /proc/mounts; echo x >/tmp/x && cat /tmp/x; cp /bin/busybox /tmp/sh; /tmp/sh true");
    let output = g.run(&bundle)?;
    for point in [" /tmp ", " /run "] {
        let line = output.stdout.lines().find(|line| line.contains(point)).unwrap_or_default();
        ensure!(line.contains("nosuid,nodev,noexec") && line.contains("size=65536k"), "{point}: {output}");
    }
    ensure!(!output.stdout.contains("/var/tmp"), "a directory that is not there: {output}");
    ensure!(output.stdout.contains("\nx") && output.stderr.contains("Permission denied"), "{output}");
    Ok(())
}

fn a_limit_on_tasks_is_filled_in(g: &Ground) -> Result<()> {
    let c = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    same("pids.max", c.cgroup("pids", "pids.max")?.as_str(), "2048")?;
    let mut bundle = g.bundle()?;
    bundle.set("/linux/resources/pids/limit", json!(7));
    let c = g.sleeping(&bundle)?;
    same("pids.max", c.cgroup("pids", "pids.max")?.as_str(), "7")?;
    let mut bundle = g.bundle()?;
    bundle.set("/linux/resources/pids/limit", json!(-1));
    same("pids.max", g.sleeping(&bundle)?.cgroup("pids", "pids.max")?.as_str(), "2048")
}

fn an_update_cannot_take_the_limit_on_tasks_away(g: &Ground) -> Result<()> {
    let c = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    g.call(&["update", "--pids-limit", "100", &c.id])?.success()?;
    same("pids.max", c.cgroup("pids", "pids.max")?.as_str(), "100")?;
    g.call(&["update", "--pids-limit", "-1", &c.id])?.success()?;
    same("pids.max", c.cgroup("pids", "pids.max")?.as_str(), "2048")
}

type Break = fn(&mut Bundle);

/// What each rule of `baseline` that refuses is about, and where it says so.
const REFUSED: [(&str, &str, Break); 20] = [
    ("capabilities", "/process/capabilities", |b| {
        b.set("/process/capabilities", capabilities(&["CAP_SYS_ADMIN"]));
    }),
    ("privileged", "/process/capabilities", |b| {
        let all = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"];
        b.set("/process/capabilities", capabilities(&all));
        b.set("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}]));
    }),
    ("host-pid", "/linux/namespaces", |b| {
        b.share("pid");
    }),
    ("host-ipc", "/linux/namespaces", |b| {
        b.share("ipc");
    }),
    ("host-network", "/linux/namespaces", |b| {
        b.share("network");
    }),
    ("sysctls", "/linux/sysctl/net.ipv4.ip_forward", |b| {
        b.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    }),
    ("unmasked-proc", "/linux/maskedPaths", |b| {
        b.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    }),
    ("unmasked-proc", "/mounts/7", |b| {
        b.mount("/mnt", "proc", "proc", &[]);
    }),
    ("sensitive-binds", "/mounts/7/source", |b| {
        b.mount("/host", "bind", "/", &["rbind", "ro"]);
    }),
    ("sensitive-binds", "/mounts/7/source", |b| {
        b.mount("/etc2", "bind", "/etc", &["bind"]);
    }),
    ("sensitive-binds", "/mounts/7/source", |b| {
        b.mount("/docker.sock", "bind", "/var/run/docker.sock", &["bind"]);
    }),
    ("sensitive-binds", "/mounts/7/source", |b| {
        b.mount("/all", "bind", "/var/lib", &["bind", "ro"]);
    }),
    ("sensitive-binds", "/mounts/7/options", |b| {
        b.mount("/mnt", "overlay", "overlay", &["lowerdir=/etc:/tmp"]);
    }),
    ("filesystem-types", "/mounts/7/type", |b| {
        b.mount("/mnt", "debugfs", "debugfs", &[]);
    }),
    ("shared-propagation", "/mounts/7/options", |b| {
        b.mount("/mnt", "bind", "/srv", &["rbind", "rshared"]);
    }),
    ("shared-propagation", "/linux/rootfsPropagation", |b| {
        b.set("/linux/rootfsPropagation", json!("rshared"));
    }),
    ("device-wildcards", "/linux/resources/devices/11", |b| {
        b.push("/linux/resources/devices", json!({"allow": true, "type": "c", "major": 10, "access": "rw"}));
    }),
    ("raw-devices", "/linux/devices/0", |b| {
        b.push("/linux/devices", json!({"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}));
    }),
    ("raw-devices", "/linux/devices/0", |b| {
        b.push("/linux/devices", json!({"path": "/dev/mem", "type": "c", "major": 1, "minor": 1}));
    }),
    ("apparmor-profile", "/process/apparmorProfile", |b| {
        b.set("/process/apparmorProfile", json!("unconfined"));
    }),
];

fn what_is_refused_names_the_rule_the_place_and_the_way_out(g: &Ground) -> Result<()> {
    g.level(Some("baseline")).run(&g.bundle()?)?.success()?;
    for (rule, pointer, change) in REFUSED {
        let mut bundle = g.bundle()?;
        change(&mut bundle);
        let output = g.run(&bundle)?.refused(&format!("[{rule}]"))?;
        let line = output.stderr.trim();
        let wanted = ["refused by policy at level baseline", pointer, "level baseline, --level", "hint: "];
        for part in wanted {
            ensure!(line.contains(part), "{rule}: no \"{part}\" in: {line}");
        }
        same("lines", line.lines().count(), 1)?;
    }
    Ok(())
}

fn a_refusal_leaves_nothing(g: &Ground) -> Result<()> {
    let mut bundle = g.level(Some("baseline")).bundle()?;
    let file = g.dir.join("created-by-a-hook");
    let script = format!("touch {}", file.display());
    bundle.share("pid").set("/hooks/createRuntime", json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]));
    bundle.set("/process/cwd", json!("/a/new/directory"));
    g.container(&bundle).create(&[])?.refused("[host-pid]")?;
    ensure!(!g.root.exists(), "--root was made");
    ensure!(!file.exists(), "a hook was run");
    ensure!(!bundle.rootfs().join("a").exists(), "the rootfs was changed");
    ensure!(g.host.cgroup_dirs(bundle.cgroups_path()).is_empty(), "a cgroup was made");
    Ok(())
}

fn a_link_to_a_sensitive_path_is_refused(g: &Ground) -> Result<()> {
    g.level(Some("baseline"));
    for (target, link, words) in [
        ("/", "whole", "[sensitive-binds]"),
        ("/etc", "etc", "[sensitive-binds]"),
        ("/usr/lib/../../etc", "dots", "[sensitive-binds]"),
        // At any level.
        ("/proc/self/root", "magic", "through a magic link"),
    ] {
        let link = g.dir.join(link);
        std::os::unix::fs::symlink(target, &link)?;
        let mut bundle = g.bundle()?;
        bundle.bind(&link, "/mnt", &["bind", "ro"]);
        g.run(&bundle)?.refused(words)?;
    }
    let mut bundle = g.bundle()?;
    bundle.bind(std::path::Path::new("/proc/self/root"), "/mnt", &["bind", "ro"]);
    g.run(&bundle)?.refused("[sensitive-binds]")?;
    let mut bundle = g.bundle()?;
    let missing = format!("lowerdir={}:{}", g.dir.join("missing").display(), bundle.rootfs().display());
    bundle.mount("/mnt", "overlay", "overlay", &[&missing]);
    g.run(&bundle)?.refused("the layer of an overlay does not exist")?;
    let mut bundle = g.bundle()?;
    let layers = format!("lowerdir={}:{}", g.dir.join("etc").display(), bundle.rootfs().display());
    bundle.mount("/mnt", "overlay", "overlay", &[&layers]);
    g.run(&bundle)?.refused("[sensitive-binds]")?;
    let mut bundle = g.bundle()?;
    std::fs::create_dir(g.dir.join("data"))?;
    std::os::unix::fs::symlink("data", g.dir.join("link"))?;
    bundle.bind(&g.dir.join("link"), "/mnt", &["bind", "ro"]);
    g.run(&bundle)?.success().map(drop)
}

fn the_state_of_containers_is_not_bound_wherever_it_is(g: &Ground) -> Result<()> {
    let other = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    for place in [g.root.clone(), g.root.join(&other.id), g.dir.clone()] {
        let mut bundle = g.bundle()?;
        bundle.bind(&place, "/mnt", &["bind", "ro"]);
        g.run(&bundle)?.refused("[sensitive-binds]")?;
    }
    Ok(())
}

fn a_remount_by_way_of_a_link_loosens_nothing(g: &Ground) -> Result<()> {
    let mut bundle = g.level(Some("baseline")).bundle()?;
    std::os::unix::fs::symlink("/sys", bundle.rootfs().join("link"))?;
    bundle.mount("/link", "none", "", &["remount", "rw"]);
    bundle.sh("grep ' /sys sysfs' /proc/mounts");
    let output = g.run(&bundle)?.success()?;
    ensure!(output.stdout.contains(" ro,"), "{output}");
    Ok(())
}

fn a_path_to_the_hosts_own_namespace_is_refused(g: &Ground) -> Result<()> {
    g.level(Some("baseline"));
    let other = g.sleeping(&g.bundle()?)?;
    for (kind, file, rule) in
        [("network", "net", "host-network"), ("ipc", "ipc", "host-ipc"), ("pid", "pid", "host-pid")]
    {
        let mut bundle = g.bundle()?;
        bundle.join(kind, &format!("/proc/self/ns/{file}"));
        g.run(&bundle)?.refused(&format!("[{rule}]"))?;
        bundle.join(kind, &format!("/proc/{}/ns/{file}", other.pid()?));
        g.run(&bundle)?.success()?;
    }
    Ok(())
}

fn ordinary_binds_start(g: &Ground) -> Result<()> {
    let data = g.dir.join("data");
    std::fs::create_dir(&data)?;
    let mut bundle = g.level(Some("baseline")).bundle()?;
    bundle.bind(&data, "/data", &["rbind", "rprivate"]).bind("/etc/hosts".as_ref(), "/etc/hosts", &["rbind", "ro"]);
    bundle.sh("echo written >/data/file; grep -c . /etc/hosts; grep ' /data ' /proc/mounts");
    let output = g.run(&bundle)?.success()?;
    ensure!(output.stdout.contains("nosuid,nodev"), "{output}");
    same("file", std::fs::read_to_string(data.join("file"))?.as_str(), "written\n")
}

fn an_exec_has_the_floor_of_init(g: &Ground) -> Result<()> {
    let c = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    let process = json!({
        "args": ["/bin/probe"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"],
        "capabilities": capabilities(&crate::bundle::DEFAULT_CAPABILITIES), "noNewPrivileges": false,
    });
    let file = g.dir.join("process.json");
    std::fs::write(&file, process.to_string())?;
    for output in [g.call(&["exec", "--process", &file.to_string_lossy(), &c.id])?, c.exec(&[], &["/bin/probe"])?] {
        let seen = output.success()?.json()?;
        let status = |name: &str| seen["status"][name].as_str();
        same("bounding", status("CapBnd"), Some(BASELINE_SET))?;
        same("effective", status("CapEff"), Some(BASELINE_SET))?;
        same("no_new_privs", status("NoNewPrivs"), Some("1"))?;
        same("filters", status("Seccomp_filters"), Some("1"))?;
    }
    same("cgroups", host::read(format!("/proc/{}/cgroup", c.pid()?).as_ref())?.is_empty(), false)
}

fn an_exec_that_asks_for_more_is_refused(g: &Ground) -> Result<()> {
    let c = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    c.exec(&["--cap", "CAP_CHOWN"], &["/bin/true"])?.success()?;
    let output = c.exec(&["--cap", "CAP_SYS_ADMIN"], &["/bin/true"])?.exits(255)?;
    ensure!(output.stderr.contains("[exec-beyond-init]") && output.stderr.contains("CAP_SYS_ADMIN"), "{output}");
    g.level(Some("privileged"));
    // Stored at create: a command that says less does not loosen it.
    c.exec(&["--cap", "CAP_SYS_ADMIN"], &["/bin/true"])?.exits(255)?;
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&["--cap", "CAP_SYS_ADMIN"], &["/bin/true"])?.success().map(drop)
}

fn an_exec_at_a_tighter_level_is_tighter(g: &Ground) -> Result<()> {
    let c = g.level(Some("baseline")).sleeping(&g.bundle()?)?;
    g.level(Some("restricted"));
    c.exec(&[], &["/bin/true"])?.exits(255)?;
    let seen = c.exec_probe(&["--user", "1000:1000"])?;
    same("bounding", seen["status"]["CapBnd"].as_str(), Some("0000000000000400"))
}

fn the_overlay_refuses_below_a_profile_that_allows(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    bundle.sh("unshare -U true 2>&1; echo $?");
    let open = g.level(Some("privileged")).run(&bundle)?.success()?;
    let closed = g.level(Some("baseline")).run(&bundle)?.success()?;
    same("unshare at privileged", open.stdout.trim(), "0")?;
    ensure!(closed.stdout.contains("Operation not permitted"), "{closed}");
    Ok(())
}

fn explain_shows_each_change_and_each_refusal(g: &Ground) -> Result<()> {
    let bundle = g.level(Some("baseline")).bundle()?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy().into_owned();
    let text = g.call(&["explain", &dir])?.success()?.stdout;
    for part in [
        "policy         baseline (--level)",
        "net-raw",
        "- CAP_NET_RAW",
        "no-new-privileges",
        "+ true",
        "seccomp-profile",
    ] {
        ensure!(text.contains(part), "no \"{part}\" in:\n{text}");
    }
    ensure!(!text.contains('\x1b'), "colour in a pipe");
    let json = g.call(&["explain", "--format", "json", &dir])?.success()?.json()?;
    let rules = json["policy"]["changes"].as_array().map_or(0, Vec::len);
    ensure!(rules > 4 && json["program"].is_array(), "{json}");
    let mut bundle = bundle.clone();
    bundle.share("pid").write()?;
    let output = g.call(&["explain", &dir])?.exits(1)?;
    ensure!(output.stdout.contains("refused:") && output.stderr.contains("[host-pid]"), "{output}");
    Ok(())
}
