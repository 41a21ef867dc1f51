//! The policy file: what it switches, whom it exempts, and that a file that cannot be trusted stops everything.

use crate::bundle::Bundle;
use crate::case::Ground;
use crate::process::Output;
use anyhow::{Result, ensure};
use std::process::Command;

crate::cases! {
    a_policy_file_switches_rules_and_says_where [CasemateOnly("policy files")];
    what_audit_finds_is_kept_in_the_state [CasemateOnly("policy files")];
    a_policy_file_exempts_by_cgroup [CasemateOnly("policy files")];
    a_minimum_holds_against_the_caller [CasemateOnly("policy files")];
    a_policy_file_that_others_can_write_fails_closed [CasemateOnly("policy files")];
    a_policy_file_with_a_mistake_names_the_line [CasemateOnly("policy files")];
    exec_modes_allow_probes_only_or_nothing [CasemateOnly("policy files")];
}

/// Calls the runtime where /etc/casemate has these files; `prepare` is shell that may change them.
fn with_policy(g: &Ground, files: &[(&str, &str)], prepare: &str, args: &[&str]) -> Result<Output> {
    let dir = g.dir.join("policy");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    for (name, text) in files {
        let path = dir.join("casemate").join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&dir))?;
        std::fs::write(path, text)?;
    }
    // The host's /etc stays as it is: an overlay of it, in a mount namespace of this command's own.
    let script = "set -e; dir=$1; shift; mount -t tmpfs tmpfs \"$dir.mnt\"; mkdir \"$dir.mnt/up\" \"$dir.mnt/work\"; \
                  cp -r \"$dir/casemate\" \"$dir.mnt/up/casemate\"; cd \"$dir.mnt/up/casemate\"; eval \"$PREPARE\"; cd /; \
                  mount -t overlay -o lowerdir=/etc,upperdir=\"$dir.mnt/up\",workdir=\"$dir.mnt/work\" overlay /etc; exec \"$@\"";
    std::fs::create_dir_all(g.dir.join("policy.mnt"))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", script, "sh"]).arg(&dir);
    let called = g.command(args);
    command.arg(called.get_program()).args(called.get_args()).env("PREPARE", prepare).current_dir(&g.dir);
    g.recorder.run(command)
}

fn run_with_policy(g: &Ground, bundle: &Bundle, policy: &str) -> Result<Output> {
    bundle.write()?;
    let run = ["run", "--bundle", &bundle.dir.to_string_lossy(), &g.id()];
    with_policy(g, &[("policy.toml", policy)], "", &run)
}

fn a_policy_file_switches_rules_and_says_where(g: &Ground) -> Result<()> {
    let mut bundle = g.level(None).bundle()?;
    bundle.share("ipc").args(&["/bin/probe"]);
    run_with_policy(g, &bundle, "version = 1\n")?.refused("[host-ipc]")?;
    run_with_policy(g, &bundle, "version = 1\n[rules]\nhost-ipc = \"off\"\n")?.success()?;
    let warned = run_with_policy(g, &bundle, "version = 1\n[rules]\nhost-ipc = \"warn\"\n")?.success()?;
    ensure!(warned.stderr.contains("[host-ipc]"), "{warned}");
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/true"]);
    let refused =
        run_with_policy(g, &bundle, "version = 1\n\n[rules]\nnon-root = \"enforce\"\n")?.refused("[non-root]")?;
    ensure!(refused.stderr.contains("/etc/casemate/policy.toml:4"), "{refused}");
    Ok(())
}

fn what_audit_finds_is_kept_in_the_state(g: &Ground) -> Result<()> {
    let mut bundle = g.level(None).bundle()?;
    let link = g.dir.join("link");
    std::os::unix::fs::symlink("/etc", &link)?;
    bundle.share("ipc").bind(&link, "/mnt", &["bind", "ro"]).args(&["/bin/true"]).write()?;
    let id = g.id();
    let policy = "version = 1\n[rules]\nhost-ipc = \"audit\"\nsensitive-binds = \"audit\"\n";
    let create = ["create", "--bundle", &bundle.dir.to_string_lossy(), &id];
    with_policy(g, &[("policy.toml", policy)], "", &create)?.success()?;
    let state = g.call(&["state", &id])?.success()?.json()?;
    let found = state["annotations"]["io.casemate.not-enforced"].as_str().unwrap_or_default();
    // One by what the configuration says, one by what a path turned out to be.
    ensure!(found.contains("host-ipc") && found.contains("sensitive-binds"), "{state}");
    Ok(())
}

fn a_policy_file_exempts_by_cgroup(g: &Ground) -> Result<()> {
    let mut bundle = g.level(None).bundle()?;
    bundle.share("ipc").args(&["/bin/true"]);
    let exemption = |cgroup: &str, expires: &str| {
        format!(
            "version = 1\n[[exemption]]\nname = \"agents\"\nreason = \"test\"\ncgroup = \"{cgroup}\"\nexpires = {expires}\n\
             level = \"privileged\"\n"
        )
    };
    let parent = bundle.cgroups_path().rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default();
    run_with_policy(g, &bundle, &exemption(&parent, "2999-01-01"))?.success()?;
    run_with_policy(g, &bundle, &exemption("/elsewhere", "2999-01-01"))?.refused("[host-ipc]")?;
    run_with_policy(g, &bundle, &exemption(&parent, "2020-01-01"))?.refused("[host-ipc]").map(drop)
}

fn a_minimum_holds_against_the_caller(g: &Ground) -> Result<()> {
    let mut bundle = g.level(Some("privileged")).bundle()?;
    bundle.args(&["/bin/true"]);
    run_with_policy(g, &bundle, "version = 1\n")?.success()?;
    let refused = run_with_policy(g, &bundle, "version = 1\nminimum = \"baseline\"\n")?.refused("privileged")?;
    ensure!(refused.stderr.contains("/etc/casemate/policy.toml:2"), "{refused}");
    Ok(())
}

fn a_policy_file_that_others_can_write_fails_closed(g: &Ground) -> Result<()> {
    let mut bundle = g.level(None).bundle()?;
    bundle.args(&["/bin/true"]).write()?;
    let call = |prepare: &str| {
        let run = ["run", "--bundle", &bundle.dir.to_string_lossy(), &g.id()];
        with_policy(g, &[("policy.toml", "version = 1\n"), ("policy.d/10.toml", "version = 1\n")], prepare, &run)
    };
    call("true")?.success()?;
    for change in [
        "chmod g+w policy.toml",
        "chmod o+w policy.d",
        "chown 1000 policy.toml",
        "chown 1000 .",
        "chmod 666 policy.d/10.toml",
        "mv policy.toml p; ln -s p policy.toml",
        "rm policy.toml; mkfifo policy.toml",
    ] {
        let output = call(change)?;
        ensure!(output.code == 1 && output.stderr.contains("/etc/casemate"), "after {change}: {output}");
    }
    Ok(())
}

fn a_policy_file_with_a_mistake_names_the_line(g: &Ground) -> Result<()> {
    let mut bundle = g.level(None).bundle()?;
    bundle.args(&["/bin/true"]);
    for (policy, line) in [
        ("version = 1\nlevel = tight\n", 2),
        ("version = 1\nlevel = \"tight\"\n", 2),
        ("version = 1\n\n[rules]\nhost-pids = \"off\"\n", 4),
        ("version = 1\n[rules]\nhost-pid = \"of\"\n", 3),
        ("version = 1\nlevels = \"baseline\"\n", 2),
        ("version = 1\n[[exemption]]\nname = \"x\"\n", 2),
    ] {
        run_with_policy(g, &bundle, policy)?.refused(&format!("/etc/casemate/policy.toml:{line}"))?;
    }
    Ok(())
}

fn exec_modes_allow_probes_only_or_nothing(g: &Ground) -> Result<()> {
    g.level(None);
    let create = |mode: &str| -> Result<String> {
        let mut bundle = g.bundle()?;
        bundle.args(&["/bin/sleep", "1000"]).write()?;
        let id = g.id();
        let create = ["create", "--bundle", &bundle.dir.to_string_lossy(), &id];
        with_policy(g, &[("policy.toml", &format!("version = 1\n[exec]\n{mode}\n"))], "", &create)?.success()?;
        g.call(&["start", &id])?.success()?;
        Ok(id)
    };
    let denied = create("mode = \"deny\"")?;
    let output = g.call(&["exec", &denied, "/bin/true"])?.exits(255)?;
    ensure!(output.stderr.contains("[exec-mode]"), "{output}");
    let probes = create("mode = \"probes\"\nprobes = [[\"/bin/cat\", \"/etc/passwd\"]]")?;
    g.call(&["exec", &probes, "/bin/cat", "/etc/passwd"])?.success()?;
    g.call(&["exec", &probes, "/bin/cat", "/etc/group"])?.exits(255)?;
    g.call(&["exec", &probes, "/bin/sh"])?.exits(255).map(drop)
}
