//! `check`: answers, exit statuses and formats, as a pipeline sees them, also without any privilege.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::process::Output;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

crate::cases! {
    what_is_only_narrowed_exits_0_and_what_is_refused_1 [CasemateOnly("check")];
    what_check_refuses_create_refuses_by_the_same_rule [CasemateOnly("check")];
    what_cannot_be_checked_exits_2_and_prints_no_answer [CasemateOnly("check")];
    a_file_a_directory_and_standard_input_get_the_same_answer [CasemateOnly("check")];
    a_user_without_privileges_gets_the_same_answer [CasemateOnly("check")];
    a_standard_is_judged_as_written_and_after_narrowing [CasemateOnly("check")];
    sarif_names_rule_and_line [CasemateOnly("check")];
    check_leaves_nothing_behind [CasemateOnly("check")];
    rules_are_listed_with_level_and_effect [CasemateOnly("check")];
}

fn written(g: &Ground) -> Result<(Bundle, String)> {
    let bundle = g.bundle()?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy().into_owned();
    Ok((bundle, dir))
}

/// A bundle that shares the host's PID namespace.
fn host_pid(g: &Ground) -> Result<(Bundle, String)> {
    let (mut bundle, dir) = written(g)?;
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().context("no namespaces")?;
    namespaces.retain(|namespace| namespace["type"] != "pid");
    bundle.write()?;
    Ok((bundle, dir))
}

fn what_is_only_narrowed_exits_0_and_what_is_refused_1(g: &Ground) -> Result<()> {
    let (_, fine) = written(g)?;
    let (_, shared) = host_pid(g)?;
    g.level(None);
    let output = g.call(&["check", &fine])?.exits(0)?;
    ensure!(output.says("level baseline") && output.says("net-raw") && output.says("would start"), "{output}");
    let output = g.call(&["check", &shared])?.exits(1)?;
    ensure!(output.says("REFUSED") && output.says("host-pid") && output.says("config.json:"), "{output}");
    g.call(&["check", &shared, "--level", "privileged"])?.exits(0)?;
    // The global option chooses as well, as for `create`.
    g.call(&["--level", "privileged", "check", &shared])?.exits(0)?;
    let output = g.call(&["check", "--level", "restricted", &fine])?.exits(1)?;
    ensure!(output.says("non-root"), "{output}");
    Ok(())
}

fn what_check_refuses_create_refuses_by_the_same_rule(g: &Ground) -> Result<()> {
    let (bundle, dir) = host_pid(g)?;
    g.level(Some("baseline"));
    let report = g.call(&["check", "--level", "baseline", "--format", "json", &dir])?.exits(1)?.json()?;
    let refused = |finding: &&Value| finding["outcome"] == "refused";
    let finding = report["findings"].as_array().context("no findings")?.iter().find(refused).context("no refusal")?;
    let rule = finding["id"].as_str().context("no id")?;
    g.container(&bundle).run(&[])?.refused(&format!("[{rule}]"))?;
    Ok(())
}

fn what_cannot_be_checked_exits_2_and_prints_no_answer(g: &Ground) -> Result<()> {
    let file = |name: &str, text: &str| -> Result<String> {
        let path = g.dir.join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let empty = g.dir.join("empty");
    std::fs::create_dir(&empty)?;
    let (no_json, invalid) = (file("no.json", "{")?, file("invalid.json", "{\"ociVersion\": \"9.0.0\"}")?);
    let empty = empty.to_string_lossy().into_owned();
    let wrong: &[&[&str]] = &[
        &["check", "/no/such/file"],
        &["check", &empty],
        &["check", &no_json],
        &["check", &invalid],
        &["check", "--level", "strictest", &no_json],
        &["check", "--standard", "none", &no_json],
        &["check", "--as-written", &no_json],
        &["check", "one", "two"],
    ];
    for words in wrong {
        let output = g.call(words)?.exits(2)?;
        ensure!(!output.stderr.is_empty() && !output.stdout.contains("refused,"), "{output}");
    }
    g.call_with(&["check", "-"], "")?.exits(2)?;
    g.call_with(&["check", "-"], "[]")?.exits(2).map(drop)
}

fn findings(output: Output) -> Result<Value> {
    Ok(output.json()?["findings"].clone())
}

fn a_file_a_directory_and_standard_input_get_the_same_answer(g: &Ground) -> Result<()> {
    let (_, dir) = host_pid(g)?;
    g.level(None);
    let file = format!("{dir}/config.json");
    let text = std::fs::read_to_string(&file)?;
    let by_directory = findings(g.call(&["check", "-f", "json", &dir])?.exits(1)?)?;
    ensure!(by_directory.as_array().is_some_and(|all| all.len() > 3), "{by_directory}");
    same("a file", findings(g.call(&["check", "-f", "json", &file])?.exits(1)?)?, by_directory.clone())?;
    let from_stdin = g.call_with(&["check", "-f", "json", "-"], &text)?.exits(1)?;
    same("standard input", findings(from_stdin)?, by_directory.clone())?;
    let mut command = g.command(&["check", "-f", "json"]);
    command.current_dir(&dir);
    same("the working directory", findings(g.recorder.run(command)?.exits(1)?)?, by_directory)
}

fn a_user_without_privileges_gets_the_same_answer(g: &Ground) -> Result<()> {
    let (_, dir) = host_pid(g)?;
    g.level(None);
    let config = format!("{dir}/config.json");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644))?;
    // Where the suite's binary is, nobody may not be able to look.
    let binary = g.dir.join("casemate");
    std::fs::copy(&g.runtime.path, &binary)?;
    let wanted = findings(g.call(&["check", "-f", "json", "--level", "restricted", &config])?.exits(1)?)?;
    let nobody = |words: &[&str]| {
        let mut command = std::process::Command::new(&binary);
        command.args(words).uid(65534).gid(65534).current_dir("/").env_clear();
        g.recorder.run(command)
    };
    let seen = findings(nobody(&["check", "-f", "json", "--level", "restricted", &config])?.exits(1)?)?;
    same("as nobody", seen, wanted)?;
    nobody(&["check", "--standard", "cis-docker", &config])?.exits(1)?;
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600))?;
    nobody(&["check", &config])?.refused("permission denied")?.exits(2).map(drop)
}

fn grades(output: Output) -> Result<Vec<(String, String)>> {
    let report = output.json()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = report["items"].as_array().context("no items")?;
    Ok(items.iter().map(|item| (text(&item["id"]), text(&item["grade"]))).collect())
}

fn a_standard_is_judged_as_written_and_after_narrowing(g: &Ground) -> Result<()> {
    let (mut bundle, dir) = written(g)?;
    bundle.set("/process/user/uid", json!(1000)).set("/process/noNewPrivileges", json!(false));
    bundle.write()?;
    g.level(None);
    let check = |flags: &[&str]| {
        let mut words = vec!["check", "-f", "json", dir.as_str()];
        words.extend(flags);
        g.call(&words)
    };
    let flags = ["--standard", "pss-restricted", "--level", "restricted"];
    let mended = grades(check(&flags)?.exits(0)?)?;
    let escalation = |grade: &str| ("Privilege Escalation".to_owned(), grade.to_owned());
    ensure!(mended.contains(&escalation("mended")), "{mended:?}");
    let written = grades(check(&["--standard", "pss-restricted", "--as-written"])?.exits(1)?)?;
    ensure!(written.contains(&escalation("violated")), "{written:?}");
    let cis = grades(check(&["--standard", "cis-docker"])?.exits(1)?)?;
    same("items", cis.len(), 32)?;
    let unseen = |id: &str| cis.contains(&(id.to_owned(), "notAssessable".to_owned()));
    ensure!(["5.7", "5.8", "5.14", "5.15", "5.27", "5.28", "5.30"].iter().all(|id| unseen(id)), "{cis:?}");
    Ok(())
}

fn sarif_names_rule_and_line(g: &Ground) -> Result<()> {
    let (bundle, dir) = host_pid(g)?;
    // One line for each value, so that lines tell something.
    let text = serde_json::to_string_pretty(&bundle.spec)?;
    std::fs::write(bundle.dir.join("config.json"), &text)?;
    g.level(None);
    let log = g.call(&["check", "--format", "sarif", &dir])?.exits(1)?.json()?;
    same("version", log["version"].clone(), json!("2.1.0"))?;
    let results = log["runs"][0]["results"].as_array().context("no results")?;
    let result = results.iter().find(|result| result["ruleId"] == "host-pid").context("no host-pid")?;
    same("level", result["level"].clone(), json!("error"))?;
    let line = text.lines().position(|line| line.contains("\"namespaces\"")).context("no namespaces")? + 1;
    let region = &result["locations"][0]["physicalLocation"]["region"];
    same("line", region["startLine"].clone(), json!(line))
}

fn check_leaves_nothing_behind(g: &Ground) -> Result<()> {
    let (bundle, dir) = written(g)?;
    g.level(None);
    g.call(&["check", &dir])?.exits(0)?;
    ensure!(!g.root.exists(), "a state directory was made");
    let mut names: Vec<_> = std::fs::read_dir(&bundle.dir)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    same("the bundle", names, ["config.json", "rootfs"].map(std::ffi::OsString::from).to_vec())
}

fn rules_are_listed_with_level_and_effect(g: &Ground) -> Result<()> {
    g.level(None);
    let output = g.call(&["check", "--rules"])?.exits(0)?;
    ensure!(output.stdout.lines().any(|line| line.starts_with("host-pid ") && line.contains("refuse")), "{output}");
    let rules = g.call(&["check", "--rules", "--format", "json"])?.exits(0)?.json()?;
    let rules = rules.as_array().context("no list")?;
    same("rules", rules.len(), output.stdout.lines().count() - 1)?;
    ensure!(rules.iter().all(|rule| rule["attack"].is_string() && rule["fix"].is_string()), "a rule without words");
    Ok(())
}
