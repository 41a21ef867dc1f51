//! The command line itself: list, ps, spec, features, events, logs, and the forms of argument engines use.

use crate::case::{Ground, same};
use crate::process::{Output, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

crate::cases! {
    version_begins_with_a_name_and_a_number;
    help_exits_0;
    an_unknown_command_is_refused;
    an_unknown_flag_is_refused;
    a_missing_id_is_refused;
    both_forms_of_a_flag_and_one_dash_are_accepted;
    a_repeated_global_flag_is_accepted;
    root_slash_is_refused;
    list_of_an_empty_root_is_null_or_an_empty_array;
    list_shows_every_container_as_state_does;
    list_quiet_prints_ids_only;
    list_as_a_table_has_the_columns;
    ps_json_is_the_pids;
    ps_of_a_stopped_container_is_null;
    ps_as_a_table_shows_the_program;
    spec_writes_a_configuration_that_runs;
    spec_does_not_overwrite;
    features_is_one_json_object_on_standard_output;
    features_has_what_engines_ask_for;
    features_lists_user_namespaces [Later("user namespaces")];
    events_stats_prints_one_object;
    events_of_a_stopped_container_are_refused;
    a_log_file_holds_one_json_error_with_a_time;
    a_log_file_is_appended_to;
    nothing_is_logged_on_success;
    with_a_log_file_the_bare_message_is_on_standard_error;
    an_unknown_log_format_is_refused;
    a_bundle_without_config_json_says_so;
    an_empty_xdg_runtime_dir_changes_nothing;
    an_empty_environment_is_enough;
    the_default_root_does_not_depend_on_the_environment;
    update_reads_resources_from_standard_input [Needs(CgroupV1)];
    checkpoint_help_exits_0 [Later("checkpoint")];
    restore_lsm_mount_context_needs_an_argument [Later("restore")];
    completion_is_offered [CasemateOnly("shell completions")];
}

fn version_begins_with_a_name_and_a_number(g: &Ground) -> Result<()> {
    for flag in ["--version", "-v"] {
        let output = g.call(&[flag])?.success()?;
        let first = output.stdout.lines().next().unwrap_or_default();
        ensure!(first.contains(" version ") && first.chars().any(|c| c.is_ascii_digit()), "first line \"{first}\"");
        ensure!(output.stdout.contains("spec: 1."), "no spec line: {output}");
    }
    Ok(())
}

fn help_exits_0(g: &Ground) -> Result<()> {
    for args in [&["--help"][..], &["create", "--help"], &["exec", "-h"], &["update", "--help"]] {
        let output = g.call(args)?.success()?;
        ensure!(output.stdout.contains("--"), "no flags: {output}");
    }
    Ok(())
}

fn an_unknown_command_is_refused(g: &Ground) -> Result<()> {
    g.call(&["frobnicate"])?.refused("frobnicate").map(drop)
}

fn an_unknown_flag_is_refused(g: &Ground) -> Result<()> {
    g.call(&["state", "--frobnicate", "id"])?.refused("frobnicate").map(drop)
}

fn a_missing_id_is_refused(g: &Ground) -> Result<()> {
    for command in ["create", "start", "state", "kill", "delete", "exec", "pause", "resume"] {
        let output = g.call(&[command])?;
        ensure!(output.code != 0 && output.code < 128 || output.code == 255, "{output}");
    }
    Ok(())
}

fn both_forms_of_a_flag_and_one_dash_are_accepted(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("exit 3").write()?;
    let dir = bundle.dir.to_string_lossy();
    let equals = format!("--bundle={dir}");
    for form in [&["--bundle", &*dir][..], &[&equals], &["-b", &dir], &["-bundle", &dir]] {
        let id = g.id();
        g.call(&[&["run"], form, &[&id]].concat())?.exits(3)?;
    }
    Ok(())
}

fn a_repeated_global_flag_is_accepted(g: &Ground) -> Result<()> {
    let mut command = std::process::Command::new(&g.runtime.path);
    command.arg("--root=/nosuch").arg(format!("--root={}", g.root.display())).args([
        "--log-format",
        "json",
        "state",
        "x",
    ]);
    g.recorder.run(command)?.refused("does not exist").map(drop)
}

fn root_slash_is_refused(g: &Ground) -> Result<()> {
    let mut command = std::process::Command::new(&g.runtime.path);
    command.args(["--root", "/", "state", "nosuch"]);
    g.recorder.run(command)?.exits(1).map(drop)
}

fn list_of_an_empty_root_is_null_or_an_empty_array(g: &Ground) -> Result<()> {
    std::fs::create_dir(&g.root)?;
    let list = g.call(&["list", "--format", "json"])?.success()?.json()?;
    ensure!(list.is_null() || list == json!([]), "{list}");
    Ok(())
}

fn list_shows_every_container_as_state_does(g: &Ground) -> Result<()> {
    let containers = [g.sleeping(&g.bundle()?)?, g.sleeping(&g.bundle()?)?];
    containers[1].stop()?;
    let list = g.call(&["list", "--format=json"])?.success()?.json()?;
    let list = list.as_array().context("not an array")?;
    same("containers", list.len(), 2)?;
    for c in &containers {
        let shown = list.iter().find(|shown| shown["id"] == c.id.as_str()).context("a container is missing")?;
        let state = c.state()?;
        for key in ["id", "pid", "status", "bundle", "rootfs", "created"] {
            same(key, &shown[key], &state[key])?;
        }
    }
    Ok(())
}

fn list_quiet_prints_ids_only(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for flag in ["--quiet", "-q"] {
        same("ids", g.call(&["list", flag])?.success()?.stdout.trim(), c.id.as_str())?;
    }
    Ok(())
}

fn list_as_a_table_has_the_columns(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let table = g.call(&["list"])?.success()?.stdout;
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    same("columns", columns, vec!["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])?;
    let row: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    same("row", row[..3].to_vec(), vec![c.id.as_str(), &c.pid()?.to_string(), "running"])
}

fn ps_json_is_the_pids(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.exec(&["--detach"], &["/bin/sleep", "2000"])?.success()?;
    let mut pids: Vec<i32> = serde_json::from_value(c.call("ps", &["--format", "json"])?.success()?.json()?)?;
    pids.sort_unstable();
    same("pids", pids, g.host.cgroup_processes(c.bundle.cgroups_path()))
}

fn ps_of_a_stopped_container_is_null(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    let pids = c.call("ps", &["--format=json"])?.success()?.json()?;
    ensure!(pids.is_null() || pids == json!([]), "{pids}");
    Ok(())
}

fn ps_as_a_table_shows_the_program(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let table = g.call(&["ps", &c.id])?.success()?.stdout;
    ensure!(table.lines().next().is_some_and(|line| line.contains("PID")), "no header: {table}");
    ensure!(table.lines().count() == 2 && table.contains("sleep"), "{table}");
    Ok(())
}

fn spec_writes_a_configuration_that_runs(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    g.call(&["spec", "--bundle", &bundle.dir.to_string_lossy()])?.success()?;
    let mut spec: Value = serde_json::from_slice(&std::fs::read(bundle.dir.join("config.json"))?)?;
    same("args", spec["process"]["args"].clone(), json!(["sh"]))?;
    same("terminal", spec["process"]["terminal"].clone(), json!(true))?;
    same("no_new_privs", spec["process"]["noNewPrivileges"].clone(), json!(true))?;
    same("readonly", spec["root"]["readonly"].clone(), json!(true))?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/bin/probe"]);
    spec["linux"]["cgroupsPath"] = json!(bundle.cgroups_path());
    bundle.write_text(&spec.to_string())?;
    let seen = g.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), &g.id()])?.success()?.json()?;
    same("pid", seen["pid"].as_i64(), Some(1))?;
    same("effective", seen["status"]["CapEff"].as_str(), Some("0000000020000420"))
}

fn spec_does_not_overwrite(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    bundle.write_text("mine")?;
    g.call(&["spec", "-b", &bundle.dir.to_string_lossy()])?.refused("config.json exists")?;
    same("content", std::fs::read_to_string(bundle.dir.join("config.json"))?.as_str(), "mine")
}

fn features(g: &Ground) -> Result<(Output, Value)> {
    let mut command = std::process::Command::new(&g.runtime.path);
    command.arg("features");
    let output = g.recorder.run(command)?.success()?;
    let json = output.json()?;
    Ok((output, json))
}

fn features_is_one_json_object_on_standard_output(g: &Ground) -> Result<()> {
    let (output, features) = features(g)?;
    same("standard error", output.stderr.as_str(), "")?;
    ensure!(features.is_object(), "{features}");
    Ok(())
}

fn features_has_what_engines_ask_for(g: &Ground) -> Result<()> {
    let (_, features) = features(g)?;
    let has = |pointer: &str, wanted: &str| {
        let list = features.pointer(pointer).and_then(Value::as_array).with_context(|| format!("no {pointer}"))?;
        ensure!(list.iter().any(|item| item == wanted), "{pointer} lacks {wanted}");
        Ok(())
    };
    ensure!(features["ociVersionMin"].is_string() && features["ociVersionMax"].is_string(), "no versions");
    for option in ["ro", "rw", "rro", "rbind", "rslave", "nosuid", "nodev", "noexec", "tmpcopyup"] {
        has("/mountOptions", option)?;
    }
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        has("/hooks", hook)?;
    }
    for namespace in ["cgroup", "ipc", "mount", "network", "pid", "uts"] {
        has("/linux/namespaces", namespace)?;
    }
    has("/linux/capabilities", "CAP_SYS_ADMIN")?;
    has("/linux/seccomp/actions", "SCMP_ACT_NOTIFY")?;
    same("seccomp", features.pointer("/linux/seccomp/enabled"), Some(&json!(true)))?;
    same("cgroup v1", features.pointer("/linux/cgroup/v1"), Some(&json!(true)))?;
    same("cgroup v2", features.pointer("/linux/cgroup/v2"), Some(&json!(true)))
}

fn features_lists_user_namespaces(g: &Ground) -> Result<()> {
    let (_, features) = features(g)?;
    let listed = features.pointer("/linux/namespaces").and_then(Value::as_array).context("no namespaces")?;
    ensure!(listed.iter().any(|kind| kind == "user"), "{listed:?}");
    Ok(())
}

fn events_stats_prints_one_object(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let stats = c.call("events", &["--stats"])?.success()?.json()?;
    same("type", stats["type"].as_str(), Some("stats"))?;
    same("id", stats["id"].as_str(), Some(c.id.as_str()))?;
    same("pids", stats["data"]["pids"]["current"].as_u64(), Some(1))?;
    ensure!(
        stats["data"]["memory"]["usage"]["usage"].as_u64().is_some_and(|n| n > 0),
        "memory {}",
        stats["data"]["memory"]
    );
    ensure!(stats["data"]["cpu"]["usage"]["total"].is_u64(), "cpu {}", stats["data"]["cpu"]);
    Ok(())
}

fn events_of_a_stopped_container_are_refused(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    c.stop()?;
    let output = c.call("events", &["--stats"])?;
    ensure!(output.code == 1 && output.stdout.is_empty(), "{output}");
    Ok(())
}

fn failing(g: &Ground, log: &std::path::Path) -> Result<Output> {
    let log = log.to_string_lossy();
    g.call(&["--log", &log, "--log-format", "json", "start", "nosuch"])?.exits(1)
}

fn a_log_file_holds_one_json_error_with_a_time(g: &Ground) -> Result<()> {
    let log = g.dir.join("log.json");
    failing(g, &log)?;
    let text = std::fs::read_to_string(&log)?;
    // podman reads the whole file as one object
    let entry: Value = serde_json::from_str(&text).with_context(|| format!("not one object: {text}"))?;
    same("level", entry["level"].as_str(), Some("error"))?;
    ensure!(entry["msg"].as_str().is_some_and(|msg| msg.contains("container does not exist")), "{entry}");
    let time = entry["time"].as_str().unwrap_or_default();
    ensure!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.as_bytes()[19] != b' ', "time \"{time}\"");
    Ok(())
}

fn a_log_file_is_appended_to(g: &Ground) -> Result<()> {
    let log = g.dir.join("log.json");
    failing(g, &log)?;
    failing(g, &log)?;
    same("lines", std::fs::read_to_string(&log)?.lines().count(), 2)
}

fn nothing_is_logged_on_success(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    bundle.write()?;
    let log = g.dir.join("log.json");
    let (log_path, dir) = (log.to_string_lossy(), bundle.dir.to_string_lossy());
    g.call(&["--log", &log_path, "--log-format", "json", "run", "--bundle", &dir, &g.id()])?.success()?;
    same("log", std::fs::read_to_string(&log).unwrap_or_default().as_str(), "")
}

fn with_a_log_file_the_bare_message_is_on_standard_error(g: &Ground) -> Result<()> {
    let output = failing(g, &g.dir.join("log.json"))?;
    ensure!(output.stderr.contains("container does not exist"), "{output}");
    ensure!(!output.stderr.contains("level="), "{output}");
    same("lines", output.stderr.lines().count(), 1)
}

fn an_unknown_log_format_is_refused(g: &Ground) -> Result<()> {
    g.call(&["--log-format", "xml", "state", "nosuch"])?.refused("log-format").map(drop)
}

fn a_bundle_without_config_json_says_so(g: &Ground) -> Result<()> {
    let dir = g.dir.join("empty");
    std::fs::create_dir(&dir)?;
    let output = g.call(&["create", "--bundle", &dir.to_string_lossy(), &g.id()])?.exits(1)?;
    ensure!(output.says("config.json") && output.says("not found"), "{output}");
    Ok(())
}

fn an_empty_xdg_runtime_dir_changes_nothing(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let mut command = c.command("state", &[]);
    command.env_clear().env("XDG_RUNTIME_DIR", "");
    let state = g.recorder.run(command)?.success()?.json()?;
    same("status", state["status"].as_str(), Some("running"))
}

fn an_empty_environment_is_enough(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    for mut command in
        [c.create_command(&[])?, c.command("start", &[]), c.command("kill", &[]), c.command("delete", &["-f"])]
    {
        command.env_clear();
        g.recorder.run(command)?.success()?;
    }
    Ok(())
}

fn the_default_root_does_not_depend_on_the_environment(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]).write()?;
    // The default root is the host's: the id must not meet another's.
    let id = format!("integration-{}-{}", std::process::id(), g.id());
    let call = |args: &[&str], runtime_dir: Option<&str>| {
        let mut command = std::process::Command::new(&g.runtime.path);
        command.env_clear().envs(runtime_dir.map(|dir| ("XDG_RUNTIME_DIR", dir))).args(args).arg(&id);
        g.recorder.run(command)
    };
    call(&["create", "--bundle", &bundle.dir.to_string_lossy()], Some("/run/user/0"))?.success()?;
    let state = call(&["state"], Some("")).and_then(Output::success);
    call(&["delete", "--force"], None)?.success()?;
    state.map(drop)
}

fn update_reads_resources_from_standard_input(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    for flags in [&["--resources", "-"][..], &["--resources=-"], &["-r", "-"]] {
        g.call_with(&[&["update"], flags, &[&c.id]].concat(), r#"{"pids":{"limit":77}}"#)?.success()?;
    }
    eventually("the limit", || Ok((c.cgroup("pids", "pids.max")? == "77").then_some(())))
}

fn checkpoint_help_exits_0(g: &Ground) -> Result<()> {
    g.call(&["checkpoint", "--help"])?.success().map(drop)
}

fn restore_lsm_mount_context_needs_an_argument(g: &Ground) -> Result<()> {
    g.call(&["restore", "--lsm-mount-context"])?.refused("flag needs an argument").map(drop)
}

fn completion_is_offered(g: &Ground) -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        ensure!(!g.call(&["completion", shell])?.success()?.stdout.is_empty(), "{shell}");
    }
    Ok(())
}
