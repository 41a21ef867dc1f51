//! `exec`: exit codes, flags, the process file, and that the process is as confined as init.

use crate::bundle::{Bundle, capabilities};
use crate::case::{Container, Ground, same};
use crate::host;
use crate::process::eventually;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

crate::cases! {
    an_exec_whose_pid_file_cannot_be_written_leaves_no_process;
    exec_hands_on_the_exit_code;
    exec_of_a_killed_process_exits_128_and_the_signal;
    exec_that_cannot_start_exits_255;
    exec_of_an_unknown_id_exits_255;
    exec_in_a_stopped_container_is_refused;
    exec_in_a_created_container_is_accepted;
    exec_of_a_missing_program_names_it;
    exec_of_a_directory_is_permission_denied;
    exec_joins_every_namespace_of_init;
    exec_joins_the_cgroups_of_init;
    exec_takes_environment_and_user_of_the_container;
    exec_env_cwd_and_user_flags_are_applied;
    exec_user_may_name_a_group;
    exec_user_beyond_32_bits_is_refused [Differs("ids that do not fit are refused")];
    exec_additional_gids_are_added;
    exec_has_the_capabilities_of_the_container;
    exec_cap_adds_one_and_leaves_inheritable_empty;
    exec_no_new_privs_sets_it;
    exec_process_file_is_used_whole;
    exec_detach_writes_the_pid_of_a_child_of_the_caller;
    exec_that_failed_leaves_no_pid_file;
    exec_flags_after_the_id_belong_to_the_program;
    exec_streams_are_the_callers;
    exec_passes_only_the_preserved_descriptors;
    exec_ignores_a_descriptor_the_caller_leaked;
    exec_in_a_missing_working_directory_is_refused;
    exec_cgroup_places_the_process_below [Needs(CgroupV1)];
    exec_cgroup_outside_of_the_containers_is_refused [Needs(CgroupV1)];
    exec_process_without_args_is_refused;
    exec_process_with_a_relative_cwd_is_refused;
    exec_home_comes_from_the_containers_passwd;
    exec_apparmor_is_refused_where_it_is_off [Needs(ApparmorOff)];
    exec_process_label_is_refused_where_selinux_is_off [Needs(SelinuxOff)];
}

fn exec_hands_on_the_exit_code(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for code in [0, 1, 9, 126, 255] {
        c.exec(&[], &["/bin/sh", "-c", &format!("exit {code}")])?.exits(code)?;
    }
    Ok(())
}

fn exec_of_a_killed_process_exits_128_and_the_signal(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&[], &["/bin/sh", "-c", "kill -9 $$"])?.exits(137)?;
    c.exec(&[], &["/bin/sh", "-c", "kill -TERM $$"])?.exits(143).map(drop)
}

fn exec_that_cannot_start_exits_255(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&[], &["/nosuch"])?.exits(255)?.refused("no such file or directory")?;
    c.exec(&[], &["/bin/true"])?.success().map(drop)
}

fn exec_of_an_unknown_id_exits_255(g: &Ground) -> Result<()> {
    g.call(&["exec", "nosuch", "/bin/true"])?.exits(255)?.refused("container does not exist").map(drop)
}

fn exec_in_a_stopped_container_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    c.exec(&[], &["/bin/true"])?.exits(255)?.refused("cannot exec in a stopped container").map(drop)
}

fn exec_in_a_created_container_is_accepted(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    c.create(&[])?.success()?;
    same("hostname", c.exec(&[], &["/bin/hostname"])?.success()?.stdout.as_str(), "inside\n")
}

fn exec_of_a_missing_program_names_it(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&[], &["nosuchcmd"])?.refused("exec: \"nosuchcmd\": executable file not found in $PATH").map(drop)
}

fn exec_of_a_directory_is_permission_denied(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&[], &["/tmp"])?.refused("permission denied").map(drop)
}

fn exec_joins_every_namespace_of_init(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let (seen, init) = (c.exec_probe(&[])?, c.pid()?);
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user"] {
        same(kind, seen["namespaces"][kind].as_str(), Some(host::link(init, &format!("ns/{kind}"))?.as_str()))?;
    }
    Ok(())
}

fn detached(c: &Container, flags: &[&str]) -> Result<i32> {
    let file = c.ground.dir.join("exec-pid");
    let file = file.to_string_lossy();
    c.exec(&[&["--detach", "--pid-file", &file], flags].concat(), &["/bin/sleep", "2000"])?.success()?;
    let pid = std::fs::read_to_string(&*file)?.parse()?;
    eventually("the process is sleep", || Ok((host::command_line(pid)? == ["/bin/sleep", "2000"]).then_some(())))?;
    Ok(pid)
}

fn exec_joins_the_cgroups_of_init(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let pid = detached(&c, &[])?;
    let cgroups = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
    same("cgroups", cgroups(pid)?, cgroups(c.pid()?)?)
}

fn user_bundle(g: &Ground) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [2000]}));
    bundle.set("/process/env", json!(["PATH=/bin", "FROM=config"])).set("/process/cwd", json!("/tmp"));
    Ok(bundle)
}

fn exec_takes_environment_and_user_of_the_container(g: &Ground) -> Result<()> {
    let seen = g.sleeping(&user_bundle(g)?)?.exec_probe(&[])?;
    same("uid", seen["status"]["Uid"].as_str(), Some("1000\t1000\t1000\t1000"))?;
    same("gid", seen["status"]["Gid"].as_str(), Some("1000\t1000\t1000\t1000"))?;
    same("groups", seen["status"]["Groups"].as_str(), Some("2000"))?;
    same("cwd", seen["cwd"].as_str(), Some("/tmp"))?;
    ensure!(seen["env"].to_string().contains("FROM=config"), "{}", seen["env"]);
    Ok(())
}

fn exec_env_cwd_and_user_flags_are_applied(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let seen = c.exec_probe(&["--env", "A=1", "--env=B=2", "--cwd", "/etc", "--user", "1000"])?;
    same("cwd", seen["cwd"].as_str(), Some("/etc"))?;
    same("uid", seen["status"]["Uid"].as_str(), Some("1000\t1000\t1000\t1000"))?;
    let env = seen["env"].to_string();
    ensure!(env.contains("A=1") && env.contains("B=2") && env.contains("PATH="), "{env}");
    Ok(())
}

fn exec_user_may_name_a_group(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let seen = c.exec_probe(&["-u", "1000:2000"])?;
    same("gid", seen["status"]["Gid"].as_str(), Some("2000\t2000\t2000\t2000"))?;
    for user in ["-1", "4294967295", "a:b", "1:2:3"] {
        let refused = c.exec(&["--user", user], &["/bin/true"])?;
        ensure!(refused.code != 0, "user \"{user}\": {refused}");
    }
    Ok(())
}

fn exec_user_beyond_32_bits_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for user in ["4294967296", "0:4294967296", "18446744073709551616"] {
        let refused = c.exec(&["--user", user], &["/bin/true"])?;
        ensure!(refused.code != 0, "user \"{user}\": {refused}");
    }
    Ok(())
}

fn exec_additional_gids_are_added(g: &Ground) -> Result<()> {
    let seen = g.sleeping(&g.bundle()?)?.exec_probe(&["-g", "2000", "-g", "3000"])?;
    same("groups", seen["status"]["Groups"].as_str(), Some("2000 3000"))
}

fn exec_has_the_capabilities_of_the_container(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/capabilities", capabilities(&["CAP_KILL", "CAP_CHOWN"]));
    let c = g.sleeping(&bundle)?;
    let (seen, init) = (c.exec_probe(&[])?, c.pid()?);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        same(set, seen["status"][set].as_str(), Some(host::status(init, set)?.as_str()))?;
    }
    same("effective", seen["status"]["CapEff"].as_str(), Some("0000000000000021"))
}

fn exec_cap_adds_one_and_leaves_inheritable_empty(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/capabilities", capabilities(&["CAP_KILL"]));
    let seen = g.sleeping(&bundle)?.exec_probe(&["--cap", "CAP_CHOWN"])?;
    for (set, wanted) in [("CapBnd", "21"), ("CapEff", "21"), ("CapPrm", "21"), ("CapInh", "00"), ("CapAmb", "00")] {
        same(set, seen["status"][set].as_str(), Some(format!("{wanted:0>16}").as_str()))?;
    }
    Ok(())
}

fn exec_no_new_privs_sets_it(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    same("without", c.exec_probe(&[])?["status"]["NoNewPrivs"].as_str(), Some("0"))?;
    same("with", c.exec_probe(&["--no-new-privs"])?["status"]["NoNewPrivs"].as_str(), Some("1"))
}

fn exec_process(c: &Container, process: &Value) -> Result<crate::process::Output> {
    let file = c.ground.dir.join("process.json");
    std::fs::write(&file, process.to_string())?;
    c.ground.call(&["exec", "--process", &file.to_string_lossy(), &c.id])
}

fn process(args: &[&str]) -> Value {
    json!({"args": args, "cwd": "/tmp", "env": ["PATH=/bin", "ONLY=this"], "user": {"uid": 1000, "gid": 2000},
        "capabilities": capabilities(&["CAP_CHOWN"]), "noNewPrivileges": true,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]})
}

fn exec_process_file_is_used_whole(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let seen = exec_process(&c, &process(&["/bin/probe"]))?.success()?.json()?;
    same("cwd", seen["cwd"].as_str(), Some("/tmp"))?;
    same("gid", seen["status"]["Gid"].as_str(), Some("2000\t2000\t2000\t2000"))?;
    same("bounding", seen["status"]["CapBnd"].as_str(), Some("0000000000000001"))?;
    same("no_new_privs", seen["status"]["NoNewPrivs"].as_str(), Some("1"))?;
    same("nofile", seen["rlimits"]["RLIMIT_NOFILE"].clone(), json!({"soft": 100, "hard": 200}))?;
    ensure!(!seen["env"].to_string().contains("/usr/local"), "the container's PATH: {}", seen["env"]);
    Ok(())
}

fn exec_detach_writes_the_pid_of_a_child_of_the_caller(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let pid = detached(&c, &[])?;
    // The caller is gone; pid 1 of this namespace is the next reaper, as a shim would be.
    same("parent", host::status(pid, "PPid")?.as_str(), "1")
}

fn exec_that_failed_leaves_no_pid_file(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let file = g.dir.join("exec-pid");
    c.exec(&["--detach", "--pid-file", &file.to_string_lossy()], &["/nosuch"])?.exits(255)?;
    ensure!(!file.exists(), "a pid file");
    Ok(())
}

fn exec_flags_after_the_id_belong_to_the_program(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let seen = c.exec(&[], &["/bin/probe", "--env", "A=1", "-d", "--", "x"])?.success()?.json()?;
    same("arguments", seen["args"].clone(), json!(["--env", "A=1", "-d", "--", "x"]))
}

fn exec_streams_are_the_callers(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let output = g.call_with(&["exec", &c.id, "/bin/sh", "-c", "cat; echo err >&2"], "in\n")?.success()?;
    same("streams", (output.stdout.as_str(), output.stderr.as_str()), ("in\n", "err\n"))
}

fn exec_passes_only_the_preserved_descriptors(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let script =
        format!("echo one > $OUT/one; exec $R exec --preserve-fds 1 {} /bin/probe 3< $OUT/one 4< $OUT/one", c.id);
    let seen = g.shell(&script)?.success()?.json()?;
    let numbers: Vec<&String> = seen["descriptors"].as_object().context("descriptors")?.keys().collect();
    same("descriptors", numbers, vec!["0", "1", "2", "3"])
}

fn exec_ignores_a_descriptor_the_caller_leaked(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let seen = g.shell(&format!("exec $R exec {} /bin/probe 5< / 9< /etc", c.id))?.success()?.json()?;
    let numbers: Vec<&String> = seen["descriptors"].as_object().context("descriptors")?.keys().collect();
    same("descriptors", numbers, vec!["0", "1", "2"])
}

fn exec_in_a_missing_working_directory_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&["--cwd", "/nosuch/dir"], &["/bin/true"])?.refused("no such file or directory")?.exits(255).map(drop)
}

fn exec_cgroup_places_the_process_below(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let below = g.host.cgroup_file("pids", c.bundle.cgroups_path(), "below")?;
    std::fs::create_dir(&below)?;
    let pid = detached(&c, &["--cgroup", "pids:below"])?;
    same("processes below", host::read(&below.join("cgroup.procs"))?, pid.to_string())?;
    host::kill(pid)
}

fn exec_cgroup_outside_of_the_containers_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for path in ["pids:..", "pids:../..", "/../b1", "nosuch:below"] {
        let refused = c.exec(&["--cgroup", path], &["/bin/true"])?;
        ensure!(refused.code != 0, "\"{path}\": {refused}");
    }
    c.exec(&["--cgroup", "pids:/"], &["/bin/true"])?.success().map(drop)
}

fn exec_process_without_args_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    exec_process(&c, &process(&["/bin/true"]))?.success()?;
    exec_process(&c, &process(&[]))?.refused("args").map(drop)
}

fn exec_process_with_a_relative_cwd_is_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let mut process = process(&["/bin/true"]);
    process["cwd"] = json!("tmp");
    exec_process(&c, &process)?.refused("absolute path").map(drop)
}

fn exec_home_comes_from_the_containers_passwd(g: &Ground) -> Result<()> {
    let seen = g.sleeping(&g.bundle()?)?.exec_probe(&["--user", "1000"])?;
    ensure!(seen["env"].to_string().contains("HOME=/home/alice"), "{}", seen["env"]);
    Ok(())
}

fn exec_apparmor_is_refused_where_it_is_off(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&["--apparmor", "nosuch"], &["/bin/true"])?.refused("apparmor")?.exits(255).map(drop)
}

fn exec_process_label_is_refused_where_selinux_is_off(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&["--process-label", "system_u:system_r:container_t:s0"], &["/bin/true"])?.refused("")?.exits(255).map(drop)
}

fn an_exec_whose_pid_file_cannot_be_written_leaves_no_process(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for flags in [&["--pid-file", "/nosuch/pid"][..], &["--detach", "--pid-file", "/nosuch/pid"]] {
        let output = c.exec(flags, &["/bin/sleep", "1000"])?;
        ensure!(output.code != 0, "{output}");
        let left = || g.host.cgroup_processes(c.bundle.cgroups_path());
        same("processes", left(), vec![c.pid()?])?;
        c.exec(&["--pid-file", &g.dir.join("pid").to_string_lossy()], &["/bin/true"])?.success()?;
    }
    Ok(())
}
