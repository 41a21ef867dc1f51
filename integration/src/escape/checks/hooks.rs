//! Programs that the administrator's side of a configuration names, run with the runtime's privileges.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::PathBuf;

crate::checks! {
    "CVE-2025-23266" a_hook_never_gets_the_containers_environment;
    "G6" a_hook_never_gets_the_callers_environment;
    "G6" a_hook_does_not_work_in_the_containers_tree;
    "G6" a_hook_gets_the_standard_descriptors_and_no_others;
    "G6" a_hook_that_fails_undoes_the_container;
}

/// The hooks that run with the runtime's privileges on the host's files.
const PRIVILEGED: [&str; 5] = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];

/// What one hook has written.
struct Told {
    cwd: String,
    env: Vec<String>,
    fds: Vec<String>,
}

/// A bundle whose privileged hooks are all the probe, and where each writes what it sees of itself.
fn telling(s: &Scene, env: Option<Value>) -> Result<(Bundle, Vec<(&'static str, PathBuf)>)> {
    let mut bundle = s.scripted("true")?;
    bundle.push("/process/env", json!("LD_PRELOAD=./container.so")).push("/process/env", json!("INNER=1"));
    let mut logs = Vec::new();
    for kind in PRIVILEGED {
        let log = bundle.dir.join(format!("hook-{kind}"));
        let mut hook = json!({"path": bundle.rootfs().join("bin/probe"), "args": ["probe", "tell", log]});
        if let Some(env) = &env {
            hook["env"] = env.clone();
        }
        bundle.push(&format!("/hooks/{kind}"), hook);
        logs.push((kind, log));
    }
    Ok((bundle, logs))
}

/// Runs the bundle with something of the caller's own in its environment and descriptors.
fn told(s: &Scene, env: Option<Value>) -> Result<Vec<(&'static str, Told)>> {
    let (bundle, logs) = telling(s, env)?;
    bundle.write()?;
    let script =
        format!("export CALLER=1; exec $R run --bundle {} {} 7< / 9< /etc", bundle.dir.display(), s.ground.id());
    let output = s.ground.shell(&script)?.success().context("the benign twin")?;
    anyhow::ensure!(output.stdout.contains(crate::escape::scene::RAN), "{output}");
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    logs.into_iter()
        .map(|(kind, log)| {
            let text = std::fs::read_to_string(&log).with_context(|| format!("the {kind} hook has not run"))?;
            let seen: Value = serde_json::from_str(&text)?;
            let fds = seen["descriptors"].as_object().context("no descriptors")?.iter();
            // The directory that the probe lists is open as well; its number is that of the procfs's pid namespace.
            let own = |to: &Value| to.as_str().is_some_and(|to| to.starts_with("/proc/") && to.ends_with("/fd"));
            let fds = fds.filter(|(_, to)| !own(to)).map(|(fd, to)| format!("{fd} -> {to}")).collect();
            Ok((kind, Told { cwd: seen["cwd"].as_str().unwrap_or_default().to_owned(), env: texts(&seen["env"]), fds }))
        })
        .collect()
}

fn a_hook_never_gets_the_containers_environment(s: &Scene) -> Result<Verdict> {
    for env in [None, Some(json!(["ONLY=this"]))] {
        for (kind, told) in told(s, env)? {
            let inner = told.env.iter().find(|entry| entry.starts_with("LD_PRELOAD") || entry.starts_with("INNER"));
            holds!(inner.is_none(), "{kind}: {inner:?}");
        }
    }
    Ok(Verdict::safe())
}

fn a_hook_never_gets_the_callers_environment(s: &Scene) -> Result<Verdict> {
    for (env, wanted) in [(None, vec![]), (Some(json!([])), vec![]), (Some(json!(["ONLY=this"])), vec!["ONLY=this"])] {
        for (kind, told) in told(s, env)? {
            holds!(told.env == wanted, "{kind}: the environment is {:?} instead of {wanted:?}", told.env);
        }
    }
    Ok(Verdict::safe())
}

fn a_hook_does_not_work_in_the_containers_tree(s: &Scene) -> Result<Verdict> {
    for (kind, told) in told(s, None)? {
        holds!(!told.cwd.is_empty() && !told.cwd.contains("/rootfs"), "{kind}: its working directory is {}", told.cwd);
    }
    Ok(Verdict::safe())
}

fn a_hook_gets_the_standard_descriptors_and_no_others(s: &Scene) -> Result<Verdict> {
    for (kind, told) in told(s, None)? {
        let more = told.fds.iter().find(|fd| !["0", "1", "2"].iter().any(|own| fd.starts_with(&format!("{own} "))));
        holds!(more.is_none() && told.fds.len() == 3, "{kind}: descriptors {:?}", told.fds);
    }
    Ok(Verdict::safe())
}

fn a_hook_that_fails_undoes_the_container(s: &Scene) -> Result<Verdict> {
    for kind in &PRIVILEGED[..3] {
        let hook = |script: &str| json!([{"path": "/bin/busybox", "args": ["sh", "-c", script], "timeout": 5}]);
        let pointer = format!("/hooks/{kind}");
        s.twin(s.scripted("true")?.set(&pointer, hook("true")))?;
        for script in ["exit 3", "kill -9 $$"] {
            let mut bundle = s.scripted("true")?;
            bundle.set(&pointer, hook(script));
            if let Some(verdict) = s.must_refuse(&format!("{kind}: {script}"), &s.ground.run(&bundle))? {
                return Ok(verdict);
            }
        }
    }
    Ok(Verdict::Refused("a container whose hook fails, or is killed".to_owned()))
}
