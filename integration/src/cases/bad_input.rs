//! Input that is wrong: every row has a benign twin that runs, and after a refusal nothing may be left.

use crate::case::{Ground, same};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::Command;

crate::cases! {
    an_oci_version_of_another_major_is_refused [Differs("ociVersion is validated")];
    an_oci_version_that_is_no_version_is_refused [Differs("ociVersion is validated")];
    a_missing_oci_version_is_refused [Differs("ociVersion is required")];
    every_oci_version_1_is_accepted;
    a_duplicate_rlimit_is_refused [Differs("an rlimit may be named once")];
    an_unknown_rlimit_is_refused;
    an_rlimit_with_soft_above_hard_is_refused;
    a_relative_cwd_is_refused;
    an_empty_cwd_is_refused [Differs("a cwd is required")];
    empty_args_are_refused;
    missing_args_are_refused;
    a_missing_process_is_refused_at_start_or_create;
    an_argument_with_a_nul_is_refused;
    an_environment_entry_with_a_nul_is_refused;
    an_unknown_property_is_ignored;
    a_selinux_label_is_refused_where_selinux_is_off [Needs(SelinuxOff)];
    an_apparmor_profile_is_refused_where_apparmor_is_off [Needs(ApparmorOff)];
    ids_with_other_characters_are_refused;
    ids_of_every_allowed_character_are_accepted;
    ids_longer_than_a_file_name_are_refused;
    an_empty_id_is_refused;
    a_config_that_is_no_json_is_refused;
    a_truncated_config_is_refused;
    a_config_of_the_wrong_shape_is_refused;
    a_config_that_is_null_is_refused [Differs("null is not a configuration")];
    a_config_that_is_a_directory_is_refused;
    a_config_that_is_a_fifo_does_not_hang [Differs("config.json must be a regular file")];
    a_config_of_ten_megabytes_is_refused [Differs("config.json is at most a few megabytes")];
    a_deeply_nested_config_is_refused;
    a_config_with_duplicate_keys_is_refused [Differs("duplicate keys are refused")];
    a_config_with_trailing_text_is_refused [Differs("text after the object is refused")];
    ten_thousand_mounts_are_refused [Differs("the number of mounts is limited")];
    a_bundle_that_does_not_exist_is_refused;
    integers_that_do_not_fit_are_refused;
    a_bind_mount_with_data_is_refused [Differs("a bind mount takes no data")];
    an_idmapped_mount_with_one_map_is_refused [Differs("both maps or none")];
    user_ids_outside_of_the_mapping_are_refused [Needs(UserNamespaces), Later("user namespaces")];
    what_is_not_supported_yet_is_refused_by_name [CasemateOnly("a field is refused by name or applied, never ignored")];
    a_root_owned_by_another_container_is_no_obstacle;
    an_mknod_rule_of_an_unknown_type_is_refused;
}

/// Runs the unchanged bundle, which must work, then the changed one, which must be refused with `words` and must not
/// have run the program.
fn refused(g: &Ground, pointer: &str, value: Value, words: &[&str]) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/touch", "/ran"]);
    let ran = bundle.rootfs().join("ran");
    g.run(&bundle)?.success().context("the benign twin")?;
    std::fs::remove_file(&ran)?;
    let c = g.container(bundle.set(pointer, value));
    let mut output = c.run(&[])?;
    ensure!(output.code != 0 && output.code < 128, "{pointer}: {output}");
    for word in words {
        output = output.refused(word)?;
    }
    ensure!(!ran.exists(), "refused, but the program has run");
    c.call("state", &[])?.refused("does not exist").map(drop)
}

fn an_oci_version_of_another_major_is_refused(g: &Ground) -> Result<()> {
    for version in ["9.9.9", "2.0.0", "0.9.0"] {
        refused(g, "/ociVersion", json!(version), &[version])?;
    }
    Ok(())
}

fn an_oci_version_that_is_no_version_is_refused(g: &Ground) -> Result<()> {
    for version in ["banana", "", "1", "1.", "1.0", "1.x.0", "v1.0.0"] {
        refused(g, "/ociVersion", json!(version), &["ociVersion"])?;
    }
    Ok(())
}

fn a_missing_oci_version_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.unset("/ociVersion"))?.refused("ociVersion")?.exits(1).map(drop)
}

fn every_oci_version_1_is_accepted(g: &Ground) -> Result<()> {
    for version in ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0"] {
        let mut bundle = g.bundle()?;
        g.run(bundle.set("/ociVersion", json!(version)))?.success()?;
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(())
}

fn rlimit(name: &str, soft: u64, hard: u64) -> Value {
    json!({"type": name, "soft": soft, "hard": hard})
}

fn a_duplicate_rlimit_is_refused(g: &Ground) -> Result<()> {
    let twice = json!([rlimit("RLIMIT_NOFILE", 100, 100), rlimit("RLIMIT_NOFILE", 200, 200)]);
    refused(g, "/process/rlimits", twice, &["duplicate rlimit"])
}

fn an_unknown_rlimit_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/process/rlimits", json!([rlimit("RLIMIT_FOO", 1, 1)]), &["RLIMIT_FOO"])
}

fn an_rlimit_with_soft_above_hard_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/process/rlimits", json!([rlimit("RLIMIT_CORE", 2, 1)]), &[])
}

fn a_relative_cwd_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/process/cwd", json!("tmp"), &["absolute path"])
}

fn an_empty_cwd_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/process/cwd", json!(""), &["cwd"])
}

fn empty_args_are_refused(g: &Ground) -> Result<()> {
    refused(g, "/process/args", json!([]), &["args"])
}

fn missing_args_are_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.unset("/process/args"))?.refused("args")?.exits(1).map(drop)
}

fn a_missing_process_is_refused_at_start_or_create(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.unset("/process"))?.refused("process")?.exits(1).map(drop)
}

fn an_argument_with_a_nul_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/process/args", json!(["/bin/touch", "/ran", "a\u{0}b"]), &[])
}

fn an_environment_entry_with_a_nul_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/process/env", json!(["PATH=/bin", "A=\u{0}"]), &[])
}

fn an_unknown_property_is_ignored(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    for pointer in ["/banana", "/process/banana", "/linux/banana", "/root/banana", "/linux/resources/banana"] {
        bundle.set(pointer, json!({"a": [1, 2]}));
    }
    g.run(&bundle)?.success().map(drop)
}

fn a_selinux_label_is_refused_where_selinux_is_off(g: &Ground) -> Result<()> {
    let words = "selinux label is specified in config, but selinux is disabled or not supported";
    refused(g, "/process/selinuxLabel", json!("system_u:system_r:container_t:s0"), &[words])
}

fn an_apparmor_profile_is_refused_where_apparmor_is_off(g: &Ground) -> Result<()> {
    refused(g, "/process/apparmorProfile", json!("nosuch"), &["apparmor"])
}

fn with_id(g: &Ground, id: &str) -> Result<crate::process::Output> {
    let bundle = g.bundle()?;
    bundle.write()?;
    let output = g.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), "--", id])?;
    std::fs::remove_dir_all(&bundle.dir)?;
    Ok(output)
}

fn ids_with_other_characters_are_refused(g: &Ground) -> Result<()> {
    for id in ["bad/id", "..", ".", "../up", "a b", "a\nb", "ünïcode", "a;b", "a*", "/abs", "a\u{1b}[0m"] {
        let output = with_id(g, id)?;
        ensure!(output.code == 1 && output.says("invalid container ID format"), "{id:?}: {output}");
    }
    Ok(())
}

fn ids_of_every_allowed_character_are_accepted(g: &Ground) -> Result<()> {
    for id in ["a", "0", "A-Z_a.z+9", "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz01"] {
        with_id(g, id)?.success()?;
    }
    Ok(())
}

fn ids_longer_than_a_file_name_are_refused(g: &Ground) -> Result<()> {
    let output = with_id(g, &"a".repeat(1025))?;
    ensure!(output.code == 1, "{output}");
    Ok(())
}

fn an_empty_id_is_refused(g: &Ground) -> Result<()> {
    let output = with_id(g, "")?;
    ensure!(output.code == 1, "{output}");
    Ok(())
}

fn config_text(g: &Ground, text: &str) -> Result<crate::process::Output> {
    let bundle = g.bundle()?;
    bundle.write_text(text)?;
    let output = g.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), &g.id()])?;
    std::fs::remove_dir_all(&bundle.dir)?;
    Ok(output)
}

fn a_config_that_is_no_json_is_refused(g: &Ground) -> Result<()> {
    for text in ["", "banana", "\u{0}", "\u{feff}{}", "{\"a\": NaN}"] {
        config_text(g, text)?.exits(1)?;
    }
    Ok(())
}

fn a_truncated_config_is_refused(g: &Ground) -> Result<()> {
    let text = g.bundle()?.spec.to_string();
    for length in [1, text.len() / 4, text.len() / 2, text.len() - 1] {
        config_text(g, &text[..length])?.exits(1)?;
    }
    Ok(())
}

fn a_config_of_the_wrong_shape_is_refused(g: &Ground) -> Result<()> {
    for text in ["{}", "[]", "7", "\"x\""] {
        config_text(g, text)?.exits(1)?;
    }
    for (pointer, value) in [
        ("/process", json!([])),
        ("/mounts", json!({})),
        ("/root", json!("rootfs")),
        ("/process/args", json!("true")),
        ("/linux/namespaces", json!({})),
        ("/process/user/uid", json!("0")),
    ] {
        refused(g, pointer, value, &[])?;
    }
    Ok(())
}

fn a_config_that_is_null_is_refused(g: &Ground) -> Result<()> {
    config_text(g, "null")?.refused("config.json")?.exits(1).map(drop)
}

fn a_config_that_is_a_directory_is_refused(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    std::fs::create_dir(bundle.dir.join("config.json"))?;
    g.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), &g.id()])?.exits(1).map(drop)
}

fn a_config_that_is_a_fifo_does_not_hang(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    let mut mkfifo = Command::new("mkfifo");
    mkfifo.arg(bundle.dir.join("config.json"));
    g.recorder.run(mkfifo)?.success()?;
    g.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), &g.id()])?.exits(1).map(drop)
}

fn a_config_of_ten_megabytes_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/annotations", json!({"big": "x".repeat(10 << 20)}));
    g.run(&bundle)?.refused("config.json")?.exits(1).map(drop)
}

fn a_deeply_nested_config_is_refused(g: &Ground) -> Result<()> {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    config_text(g, &format!("{{\"ociVersion\":\"1.0.0\",\"banana\":{deep}}}"))?.exits(1).map(drop)
}

fn a_config_with_duplicate_keys_is_refused(g: &Ground) -> Result<()> {
    let text = g.bundle()?.spec.to_string();
    config_text(g, &text.replacen('{', "{\"ociVersion\":\"1.0.0\",", 1))?.refused("duplicate")?.exits(1).map(drop)
}

fn a_config_with_trailing_text_is_refused(g: &Ground) -> Result<()> {
    let text = g.bundle()?.spec.to_string();
    config_text(g, &format!("{text} banana"))?.exits(1).map(drop)
}

fn ten_thousand_mounts_are_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    for n in 0..10_000 {
        bundle.mount(&format!("/mnt/{n}"), "tmpfs", "tmpfs", &[]);
    }
    g.run(&bundle)?.refused("mounts")?.exits(1).map(drop)
}

fn a_bundle_that_does_not_exist_is_refused(g: &Ground) -> Result<()> {
    g.call(&["run", "--bundle", "/nosuch/bundle", &g.id()])?.refused("no such file or directory")?.exits(1).map(drop)
}

fn integers_that_do_not_fit_are_refused(g: &Ground) -> Result<()> {
    for (pointer, value) in [
        ("/process/user/uid", json!(1u64 << 40)),
        ("/process/user/gid", json!(1.5)),
        ("/linux/resources/memory/limit", json!(1e30)),
        ("/process/oomScoreAdj", json!("many")),
    ] {
        refused(g, pointer, value, &[])?;
    }
    Ok(())
}

fn a_bind_mount_with_data_is_refused(g: &Ground) -> Result<()> {
    let bind = |options: Value| json!([{"destination": "/mnt", "type": "bind", "source": "/etc", "options": options}]);
    let mut bundle = g.bundle()?;
    g.run(bundle.push("/mounts", bind(json!(["bind"]))[0].clone()))?.success()?;
    let mut bundle = g.bundle()?;
    g.run(bundle.push("/mounts", bind(json!(["bind", "size=4k"]))[0].clone()))?.refused("size").map(drop)
}

fn an_idmapped_mount_with_one_map_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.push(
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": "/etc", "options": ["bind"],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]}),
    );
    g.run(&bundle)?.exits(1).map(drop)
}

fn user_ids_outside_of_the_mapping_are_refused(g: &Ground) -> Result<()> {
    for user in [json!({"uid": 70000, "gid": 0}), json!({"uid": 0, "gid": 70000})] {
        let mut bundle = g.bundle()?;
        bundle.user_namespace(300_000)?;
        g.run(&bundle)?.success()?;
        g.run(bundle.set("/process/user", user))?.exits(1)?;
    }
    Ok(())
}

fn what_is_not_supported_yet_is_refused_by_name(g: &Ground) -> Result<()> {
    let map = json!([{"containerID": 0, "hostID": 300_000, "size": 65536}]);
    for (pointer, value, name) in [
        ("/linux/uidMappings", map.clone(), "uidMappings"),
        ("/linux/gidMappings", map.clone(), "gidMappings"),
        ("/linux/timeOffsets", json!({"boottime": {"secs": 1}}), "timeOffsets"),
        ("/linux/personality", json!({"domain": "LINUX32"}), "personality"),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_DEFAULT", "nodes": ""}), "memoryPolicy"),
        ("/linux/intelRdt", json!({"closID": "c"}), "intelRdt"),
        ("/linux/netDevices", json!({"eth0": {}}), "netDevices"),
        ("/linux/namespaces/0/type", json!("user"), "user"),
        ("/linux/namespaces/0/type", json!("time"), "time"),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER"}), "scheduler"),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 4}), "ioPriority"),
        ("/process/execCPUAffinity", json!({"initial": "0"}), "execCPUAffinity"),
    ] {
        refused(g, pointer, value, &[name, "not supported yet"])?;
    }
    Ok(())
}

fn a_root_owned_by_another_container_is_no_obstacle(g: &Ground) -> Result<()> {
    // Two containers may share a root filesystem and a bundle.
    let bundle = g.bundle()?;
    let mut second = bundle.clone();
    second.set("/linux/cgroupsPath", json!(format!("{}/second", g.cgroup)));
    let (a, b) = (g.sleeping(&bundle)?, g.sleeping(&second)?);
    same("status", (a.status()?.as_str(), b.status()?.as_str()), ("running", "running"))
}

fn an_mknod_rule_of_an_unknown_type_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/linux/resources/devices/3/type", json!("x"), &[])
}
