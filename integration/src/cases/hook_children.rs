//! Hooks that leave children behind, talk much or never end.

use crate::case::{Ground, same};
use crate::host;
use crate::process::eventually;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

crate::cases! {
    a_hook_whose_children_go_on_talking_does_not_hold_up_the_container [CasemateOnly("a hook ends with its process")];
    the_output_of_a_failing_hook_is_told_in_part [CasemateOnly("at most 1 KiB of a hook's output is told")];
    a_timeout_ends_all_of_a_talking_hook [Differs("the hook's whole process group is killed")];
}

fn hook(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]})
}

/// Processes that `word` is an argument of.
fn running(word: &str) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if host::command_line(pid).unwrap_or_default().iter().any(|argument| argument == word) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn a_hook_whose_children_go_on_talking_does_not_hold_up_the_container(g: &Ground) -> Result<()> {
    for kind in ["createRuntime", "createContainer", "startContainer"] {
        let mut bundle = g.bundle()?;
        let word = format!("{}-{kind}", g.cgroup);
        bundle.push(&format!("/hooks/{kind}"), hook(&format!("yes {word} 2>/dev/null & exit 0")));
        let output = g.run(bundle.args(&["/bin/echo", "ran"]));
        for pid in running(&word)? {
            host::kill(pid)?;
        }
        same(kind, output?.success()?.stdout.as_str(), "ran\n")?;
    }
    Ok(())
}

fn the_output_of_a_failing_hook_is_told_in_part(g: &Ground) -> Result<()> {
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = g.bundle()?;
        let path = format!("/hooks/{kind}");
        g.run(bundle.set(&path, json!([hook("yes | head -c 3000000; exit 0")])))?.success()?;
        let output = g.run(bundle.set(&path, json!([hook("yes | head -c 3000000; exit 4")])))?;
        let output = output.refused("exit status 4")?.exits(1)?;
        ensure!(output.stderr.len() < 4096, "{} bytes on stderr", output.stderr.len());
    }
    Ok(())
}

fn a_timeout_ends_all_of_a_talking_hook(g: &Ground) -> Result<()> {
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = g.bundle()?;
        let word = format!("{}-{kind}", g.cgroup);
        // The second word is in the arguments of the hook's shell, too.
        let mut slow = hook(&format!("yes {word} & sleep 77; : {word}"));
        slow["timeout"] = json!(1);
        g.run(bundle.push(&format!("/hooks/{kind}"), slow))?.refused("timeout")?.exits(1)?;
        eventually("nothing of the hook is left", || Ok(running(&word)?.is_empty().then_some(())))?;
        let mut quick = hook("exit 0");
        quick["timeout"] = json!(10);
        g.run(bundle.set(&format!("/hooks/{kind}"), json!([quick])))?.success()?;
    }
    Ok(())
}
