//! Who the program is: ids, groups, umask, the five capability sets, no_new_privs, limits, scheduling, keyring.

use crate::bundle::{Bundle, DEFAULT_CAPABILITIES, capabilities};
use crate::case::{Ground, same};
use crate::host;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

crate::cases! {
    ids_are_those_of_the_configuration;
    supplementary_groups_are_exactly_those_configured;
    groups_of_the_caller_do_not_leak;
    the_umask_is_applied;
    the_largest_id_that_exists_is_accepted;
    ids_that_do_not_exist_are_refused [Differs("an id of -1 or beyond 32 bits is refused")];
    default_capabilities_are_exact;
    no_capabilities_object_means_none;
    empty_capability_sets_mean_none;
    ambient_capabilities_reach_an_unprivileged_user;
    an_unprivileged_user_has_no_effective_capabilities;
    unknown_capabilities_are_ignored;
    inheritable_capabilities_are_set_when_asked;
    bounding_limits_what_a_set_uid_program_gains;
    no_new_privs_is_set_when_asked_and_only_then;
    rlimits_are_set;
    rlimits_that_are_not_configured_are_the_callers;
    the_soft_limit_of_descriptors_is_the_callers_too [Differs("the soft limit of open files is handed on")];
    oom_score_adj_is_set;
    oom_score_adj_is_left_alone_when_unset;
    signals_are_not_blocked;
    the_program_leads_its_own_session;
    the_program_is_a_single_thread;
    the_parent_death_signal_does_not_follow_the_caller;
    the_session_keyring_is_the_containers_own;
    no_new_keyring_keeps_the_callers;
    the_proc_of_the_program_is_its_own;
    personality_linux32_is_applied [Differs("personality is applied"), Later("personality")];
    scheduler_and_io_priority_are_applied [Differs("scheduler and ioPriority are applied"), Later("scheduler and ioPriority")];
    init_and_exec_are_alike;
}

fn user(g: &Ground, user: Value) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/user", user);
    Ok(bundle)
}

/// One field of the status of a sleeping container's init, as the host sees it.
fn field(g: &Ground, bundle: &Bundle, name: &str) -> Result<String> {
    host::status(g.sleeping(bundle)?.pid()?, name)
}

fn ids_are_those_of_the_configuration(g: &Ground) -> Result<()> {
    let pid = g.sleeping(&user(g, json!({"uid": 1000, "gid": 2000}))?)?.pid()?;
    same("uid", host::status(pid, "Uid")?.as_str(), "1000\t1000\t1000\t1000")?;
    same("gid", host::status(pid, "Gid")?.as_str(), "2000\t2000\t2000\t2000")
}

fn supplementary_groups_are_exactly_those_configured(g: &Ground) -> Result<()> {
    let bundle = user(g, json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 77, 2000]}))?;
    same("groups", field(g, &bundle, "Groups")?.as_str(), "5 77 2000")?;
    same("none", field(g, &user(g, json!({"uid": 1000, "gid": 1000}))?, "Groups")?.as_str(), "")
}

fn groups_of_the_caller_do_not_leak(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    let mut bundle = bundle;
    bundle.args(&["/bin/probe"]).write()?;
    let script = format!("exec setpriv --groups 4242 $R run --bundle {} {}", bundle.dir.display(), g.id());
    let seen = g.shell(&script)?.success()?.json()?;
    same("groups", seen["status"]["Groups"].as_str(), Some(""))
}

fn the_umask_is_applied(g: &Ground) -> Result<()> {
    let bundle = user(g, json!({"uid": 0, "gid": 0, "umask": 0o027}))?;
    same("umask", field(g, &bundle, "Umask")?.as_str(), "0027")
}

fn the_largest_id_that_exists_is_accepted(g: &Ground) -> Result<()> {
    let bundle = user(g, json!({"uid": 2147483647, "gid": 2147483647}))?;
    same("uid", field(g, &bundle, "Uid")?.split('\t').next(), Some("2147483647"))
}

fn ids_that_do_not_exist_are_refused(g: &Ground) -> Result<()> {
    for (uid, gid) in [(-1_i64, 0_i64), (0, -1), (4294967295, 0), (0, 4294967295), (4294967296, 0), (0, 1 << 40)] {
        let bundle = user(g, json!({"uid": uid, "gid": gid}))?;
        let output = g.run(&bundle)?;
        ensure!(output.code == 1, "{uid}:{gid}: {output}");
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    let output = g.run(&user(g, json!({"uid": 0, "gid": 0, "additionalGids": [4294967295_u32]}))?)?;
    ensure!(output.code == 1, "additionalGids: {output}");
    Ok(())
}

/// The five sets: inheritable, permitted, effective, bounding, ambient.
fn sets(g: &Ground, bundle: &Bundle) -> Result<[u64; 5]> {
    let pid = g.sleeping(bundle)?.pid()?;
    let mut sets = [0; 5];
    for (set, name) in sets.iter_mut().zip(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
        *set = u64::from_str_radix(&host::status(pid, name)?, 16)?;
    }
    Ok(sets)
}

const KILL: u64 = 1 << 5;
const NET_BIND: u64 = 1 << 10;

fn default_capabilities_are_exact(g: &Ground) -> Result<()> {
    let docker = 0xa804_25fb;
    same("sets", sets(g, &g.bundle()?)?, [0, docker, docker, docker, 0])
}

fn no_capabilities_object_means_none(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    same("sets", sets(g, bundle.unset("/process/capabilities"))?, [0; 5])
}

fn empty_capability_sets_mean_none(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    same("sets", sets(g, bundle.set("/process/capabilities", capabilities(&[])))?, [0; 5])
}

fn all_five(names: &[&str]) -> Value {
    json!({"bounding": names, "effective": names, "permitted": names, "inheritable": names, "ambient": names})
}

fn ambient_capabilities_reach_an_unprivileged_user(g: &Ground) -> Result<()> {
    let mut bundle = user(g, json!({"uid": 1000, "gid": 1000}))?;
    bundle.set("/process/capabilities", all_five(&["CAP_KILL"]));
    same("sets", sets(g, &bundle)?, [KILL; 5])
}

fn an_unprivileged_user_has_no_effective_capabilities(g: &Ground) -> Result<()> {
    let mut bundle = user(g, json!({"uid": 1000, "gid": 1000}))?;
    bundle.set("/process/capabilities", capabilities(&["CAP_KILL"]));
    same("sets", sets(g, &bundle)?, [0, 0, 0, KILL, 0])
}

fn unknown_capabilities_are_ignored(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/capabilities", capabilities(&["CAP_KILL", "CAP_BANANA"]));
    same("sets", sets(g, &bundle)?, [0, KILL, KILL, KILL, 0])
}

fn inheritable_capabilities_are_set_when_asked(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/capabilities", capabilities(&["CAP_KILL", "CAP_NET_BIND_SERVICE"]));
    bundle.set("/process/capabilities/inheritable", json!(["CAP_KILL"]));
    let both = KILL | NET_BIND;
    same("sets", sets(g, &bundle)?, [KILL, both, both, both, 0])
}

fn bounding_limits_what_a_set_uid_program_gains(g: &Ground) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut bundle = user(g, json!({"uid": 1000, "gid": 1000}))?;
    let program = bundle.rootfs().join("bin/probe");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755))?;
    bundle.set("/process/capabilities", json!({"bounding": ["CAP_KILL"]})).args(&["/bin/probe"]);
    let seen = g.run(&bundle)?.success()?.json()?;
    same("effective uid", seen["status"]["Uid"].as_str(), Some("1000\t0\t0\t0"))?;
    same("effective", seen["status"]["CapEff"].as_str(), Some("0000000000000020"))?;
    bundle.set("/process/noNewPrivileges", json!(true));
    let seen = g.run(&bundle)?.success()?.json()?;
    same("with no_new_privs", seen["status"]["Uid"].as_str(), Some("1000\t1000\t1000\t1000"))?;
    same("with no_new_privs", seen["status"]["CapEff"].as_str(), Some("0000000000000000"))
}

fn no_new_privs_is_set_when_asked_and_only_then(g: &Ground) -> Result<()> {
    for (asked, seen) in [(true, "1"), (false, "0")] {
        let mut bundle = g.bundle()?;
        bundle.set("/process/noNewPrivileges", json!(asked));
        same("NoNewPrivs", field(g, &bundle, "NoNewPrivs")?.as_str(), seen)?;
    }
    Ok(())
}

fn rlimits_are_set(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    for (name, soft, hard) in [("RLIMIT_NOFILE", 100, 200), ("RLIMIT_CORE", 0, 0), ("RLIMIT_NPROC", 300, 400)] {
        bundle.push("/process/rlimits", json!({"type": name, "soft": soft, "hard": hard}));
    }
    let seen = &g.probe(&bundle)?["rlimits"];
    same("nofile", seen["RLIMIT_NOFILE"].clone(), json!({"soft": 100, "hard": 200}))?;
    same("core", seen["RLIMIT_CORE"].clone(), json!({"soft": 0, "hard": 0}))?;
    same("nproc", seen["RLIMIT_NPROC"].clone(), json!({"soft": 300, "hard": 400}))
}

fn rlimits_that_are_not_configured_are_the_callers(g: &Ground) -> Result<()> {
    let seen = limits_under(g, "ulimit -Ss 4096; ulimit -Sc 0")?;
    same("stack", seen["RLIMIT_STACK"]["soft"].as_u64(), Some(4096 * 1024))?;
    same("core", seen["RLIMIT_CORE"]["soft"].as_u64(), Some(0))
}

fn the_soft_limit_of_descriptors_is_the_callers_too(g: &Ground) -> Result<()> {
    same("nofile", limits_under(g, "ulimit -Sn 321")?["RLIMIT_NOFILE"]["soft"].as_u64(), Some(321))
}

fn limits_under(g: &Ground, limit: &str) -> Result<Value> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/probe"]).write()?;
    let script = format!("{limit}; exec $R run --bundle {} {}", bundle.dir.display(), g.id());
    Ok(g.shell(&script)?.success()?.json()?["rlimits"].clone())
}

fn oom_score_adj_is_set(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.sleeping(bundle.set("/process/oomScoreAdj", json!(500)))?;
    same("of init", host::read(format!("/proc/{}/oom_score_adj", c.pid()?).as_ref())?.as_str(), "500")?;
    same("of exec", c.exec_probe(&[])?["oom_score_adj"].as_str(), Some("500"))
}

fn oom_score_adj_is_left_alone_when_unset(g: &Ground) -> Result<()> {
    let own = host::read("/proc/self/oom_score_adj".as_ref())?;
    same("score", g.probe(&g.bundle()?)?["oom_score_adj"].as_str(), Some(own.as_str()))
}

fn signals_are_not_blocked(g: &Ground) -> Result<()> {
    let seen = g.probe(&g.bundle()?)?;
    same("blocked", seen["status"]["SigBlk"].as_str(), Some("0000000000000000"))?;
    let c = g.sleeping(&g.bundle()?)?;
    same("blocked in exec", c.exec_probe(&[])?["status"]["SigBlk"].as_str(), Some("0000000000000000"))
}

fn the_program_leads_its_own_session(g: &Ground) -> Result<()> {
    let seen = g.probe(&g.bundle()?)?;
    same("pid, session, group", json!([seen["pid"], seen["session"], seen["group"]]), json!([1, 1, 1]))?;
    same("terminal", seen["terminal"]["controlling"].as_bool(), Some(false))
}

fn the_program_is_a_single_thread(g: &Ground) -> Result<()> {
    same("threads", field(g, &g.bundle()?, "Threads")?.as_str(), "1")
}

fn the_parent_death_signal_does_not_follow_the_caller(g: &Ground) -> Result<()> {
    // The shim and conmon have PDEATHSIG set when they call the runtime; the container outlives the runtime.
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]).write()?;
    let id = g.id();
    let script = format!("setpriv --pdeathsig KILL $R create --bundle {} {id} && $R start {id}", bundle.dir.display());
    g.shell(&script)?.success()?;
    let state = g.call(&["state", &id])?.success()?.json()?;
    same("status", state["status"].as_str(), Some("running"))
}

fn the_session_keyring_is_the_containers_own(g: &Ground) -> Result<()> {
    let (one, two) = (g.probe(&g.bundle()?)?, g.probe(&g.bundle()?)?);
    ensure!(
        one["keyring"]["id"].is_i64() && one["keyring"]["id"] != two["keyring"]["id"],
        "{} {}",
        one["keyring"],
        two["keyring"]
    );
    Ok(())
}

fn no_new_keyring_keeps_the_callers(g: &Ground) -> Result<()> {
    let ids = (0..2).map(|_| {
        let mut bundle = g.bundle()?;
        let output = g.container(bundle.args(&["/bin/probe"])).run(&["--no-new-keyring"])?.success()?;
        Ok(output.json()?["keyring"].clone())
    });
    let ids = ids.collect::<Result<Vec<_>>>()?;
    same("keyring", &ids[0], &ids[1])
}

fn the_proc_of_the_program_is_its_own(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    same("processes", g.run(bundle.sh("echo /proc/[0-9]*"))?.success()?.stdout.trim(), "/proc/1")
}

fn personality_linux32_is_applied(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/personality", json!({"domain": "LINUX32"}));
    same("machine", g.probe(&bundle)?["machine"].as_str(), Some("i686"))
}

fn scheduler_and_io_priority_are_applied(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 5}));
    bundle.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}));
    let pid = g.sleeping(&bundle)?.pid()?;
    let stat = host::read(format!("/proc/{pid}/stat").as_ref())?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    // proc_pid_stat(5): nice is field 19 and the policy field 41; the command's name ended field 2.
    same("nice and policy", (fields.get(16), fields.get(38)), (Some(&"5"), Some(&"3")))
}

fn init_and_exec_are_alike(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle
        .set("/process/noNewPrivileges", json!(true))
        .set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [5]}));
    bundle.set("/process/capabilities", capabilities(&DEFAULT_CAPABILITIES));
    let init = g.probe(&bundle)?;
    let exec = g.sleeping(&bundle)?.exec_probe(&[])?;
    let fields = [
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "SigBlk",
        "Umask",
    ];
    for name in fields {
        same(name, &init["status"][name], &exec["status"][name])?;
    }
    same("rlimits", &init["rlimits"], &exec["rlimits"])?;
    same("environment", &init["env"], &exec["env"])
}
