//! What comes with a configuration and is nobody's order: annotations, and environments that are not the container's.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::{RAN, Scene};
use crate::escape::way::Way;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;

crate::checks! {
    "CVE-2024-3154" properties_of_systemd_units_in_annotations_change_nothing;
    "CVE-2023-6476" annotations_of_other_programs_change_nothing;
    "CVE-2022-4318" an_environment_entry_with_a_nul_is_refused;
    "CVE-2022-4318" a_home_with_a_line_break_writes_nothing_into_the_container;
    "CVE-2021-3602" the_callers_environment_is_not_the_programs;
    "CVE-2020-14370" the_callers_environment_is_not_that_of_an_exec;
}

/// What the kernel says a program may do: identity, capabilities, filters, limits, namespaces that are the host's,
/// cgroups and mounts, without the numbers that are new for each container.
fn shape(pid: i32) -> Result<BTreeMap<String, String>> {
    let mut seen = BTreeMap::new();
    let fields = "Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters Umask";
    for field in fields.split(' ') {
        seen.insert(field.to_owned(), host::status(pid, field)?);
    }
    for kind in ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"] {
        let name = format!("ns/{kind}");
        let own = host::link(pid, &name)? == host::link("self", &name)?;
        seen.insert(name, format!("the host's: {own}"));
    }
    for file in ["cgroup", "limits", "oom_score_adj", "personality", "attr/current"] {
        seen.insert(file.to_owned(), std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default());
    }
    let mounts = host::mounts(pid)?
        .into_iter()
        .map(|m| format!("{} {} {} {} {}", m.root, m.point, m.options.join(","), m.propagation.join(","), m.kind));
    seen.insert("mounts".to_owned(), mounts.collect::<Vec<_>>().join("\n"));
    Ok(seen)
}

/// The shape of a container of this bundle in `create+start`, and of an `exec` into it.
fn shapes(s: &Scene, bundle: &Bundle) -> Result<Vec<BTreeMap<String, String>>> {
    let container = s.sleeping(bundle)?;
    let mut shapes = vec![shape(container.pid()?)?];
    let file = s.ground.dir.join("shape.pid");
    container.exec(&["--detach", "--pid-file", &file.to_string_lossy()], &["/bin/sleep", "1001"])?.success()?;
    let pid = host::read(&file)?.parse()?;
    let arrived = || Ok(host::command_line(pid)?.contains(&"1001".to_owned()).then_some(()));
    crate::process::eventually("the exec has begun", arrived)?;
    shapes.push(shape(pid)?);
    container.call("delete", &["--force"])?.success()?;
    Ok(shapes)
}

/// Runs the bundle without and with each annotation: refused, or in every respect the same container.
fn the_same_with(s: &Scene, annotations: &[(&str, String)]) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/annotations", json!({"org.example.harmless": "1"}));
    let before = shapes(s, &bundle)?;
    let again = shapes(s, &bundle)?;
    ensure!(before == again, "two containers of one bundle differ");
    let mut other = bundle.clone();
    other.set("/process/oomScoreAdj", json!(777));
    ensure!(before != shapes(s, &other)?, "another container looks the same");
    let mut refused = 0;
    for (name, value) in annotations {
        bundle.set("/annotations", json!({*name: value}));
        let after = match shapes(s, &bundle) {
            Ok(after) => after,
            Err(error) => {
                let mut again = bundle.clone();
                s.script(&mut again, "true");
                match s.refused(&s.attack(&again)?)? {
                    Some(Verdict::Refused(_)) => refused += 1,
                    Some(verdict) => return Ok(verdict),
                    None => return Err(error.context(format!("{name}={value}"))),
                }
                continue;
            }
        };
        for (before, after) in before.iter().zip(&after) {
            let changed: Vec<&String> = before.keys().filter(|key| before.get(*key) != after.get(*key)).collect();
            holds!(changed.is_empty(), "{name}={value} changes {changed:?}");
        }
    }
    Ok(Verdict::Safe(if refused == 0 { String::new() } else { format!("{refused} of {} refused", annotations.len()) }))
}

fn properties_of_systemd_units_in_annotations_change_nothing(s: &Scene) -> Result<Verdict> {
    let touch = format!("'/bin/touch {}'", s.outside.path("empty/made").display());
    let names = ["ExecStartPre", "ExecStopPost", "FragmentPath", "OnFailure", "DevicePolicy", "Delegate", "User"];
    let names: Vec<String> = names.iter().map(|name| format!("org.systemd.property.{name}")).collect();
    let list: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), touch.clone())).collect();
    the_same_with(s, &list)
}

fn annotations_of_other_programs_change_nothing(s: &Scene) -> Result<Verdict> {
    let file = s.outside.path("file").to_string_lossy().into_owned();
    let list: Vec<(&str, String)> = [
        ("io.kubernetes.cri-o.UnifiedCgroup.memory.max", "max"),
        ("io.kubernetes.cri-o.Devices", "/dev/kmsg"),
        ("io.kubernetes.cri-o.userns-mode", "auto"),
        ("io.kubernetes.cri.sandbox-id", "../x"),
        ("io.podman.annotations.privileged", "TRUE"),
        ("org.nosuch.privileged", "true"),
        ("org.nosuch.path", &file),
        ("org.criu.config", &file),
        ("org.opencontainers.image.stopSignal", "../../x"),
        ("run.oci.nosuch", "1"),
        ("run.oci.nosuch.path", &file),
        ("run.oci.handler", "nosuch"),
        ("run.oci.systemd.subgroup", "../../x"),
        ("run.oci.delegate-cgroup", "../../x"),
        ("module.wasm.image/variant", "compat"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();
    the_same_with(s, &list)
}

fn an_environment_entry_with_a_nul_is_refused(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.scripted("true")?;
    s.twin(bundle.push("/process/env", json!("A=b")))?;
    for entry in ["A=\u{0}b", "A\u{0}=b", "\u{0}", "A=b\u{0}LD_PRELOAD=x"] {
        bundle.set("/process/env/1", json!(entry));
        if let Some(verdict) = s.must_refuse(&format!("env {entry:?}"), &s.ground.run(&bundle))? {
            return Ok(verdict);
        }
    }
    bundle.unset("/process/env").push("/process/args", json!("a\u{0}b"));
    if let Some(verdict) = s.must_refuse("an argument with a NUL", &s.ground.run(&bundle))? {
        return Ok(verdict);
    }
    Ok(Verdict::Refused("4 entries and an argument".to_owned()))
}

fn a_home_with_a_line_break_writes_nothing_into_the_container(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.scripted("cat /etc/passwd /etc/group")?;
    let twin = s.twin(bundle.push("/process/env", json!("HOME=/root")))?;
    for entry in ["HOME=/root\nevil:x:0:0::/:/bin/sh", "HOME=/\r", "HOME=", "NOEQUALS", "=noname", "HOME"] {
        bundle.set("/process/env/1", json!(entry));
        let attack = s.attack(&bundle)?;
        holds!(!attack.ran || attack.output.stdout == twin.stdout, "env {entry:?}: {}", attack.output.stdout);
        if let Some(verdict) = s.withstands(entry, &Ok(attack.output))? {
            return Ok(verdict);
        }
        let passwd = std::fs::read_to_string(bundle.rootfs().join("etc/passwd"))?;
        holds!(!passwd.contains("evil"), "env {entry:?}: written into /etc/passwd");
    }
    Ok(Verdict::safe())
}

const SECRET: &str = "SECRET_OF_THE_CALLER";

fn the_callers_environment_is_not_the_programs(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let container = s.ground.container(&bundle);
    for mut command in [container.create_command(&[])?, container.command("start", &[])] {
        command.env(SECRET, SECRET);
        s.ground.recorder.run(command)?.success()?;
    }
    container.wait_for_program()?;
    let pid = container.pid()?;
    let environ = String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/environ"))?).into_owned();
    holds!(environ.contains("PATH=") && !environ.contains(SECRET), "create+start: {environ:?}");
    bundle.args(&["/bin/env"]).write()?;
    let mut command = s.ground.command(&["run", "--bundle", &bundle.dir.to_string_lossy(), &s.ground.id()]);
    command.env(SECRET, SECRET);
    container.call("delete", &["--force"])?.success()?;
    let output = s.ground.recorder.run(command)?.success()?;
    holds!(output.stdout.contains("PATH=") && !output.stdout.contains(SECRET), "run: {output}");
    Ok(Verdict::safe())
}

fn the_callers_environment_is_not_that_of_an_exec(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    for flags in [&[][..], &["--env", "OWN=1"], &["--cap", "CAP_NET_BIND_SERVICE"]] {
        let mut words = vec!["exec"];
        words.extend(flags);
        let script = format!("echo {RAN}; env");
        words.extend([container.id.as_str(), "/bin/sh", "-c", &script]);
        let mut command = s.ground.command(&words);
        command.env(SECRET, SECRET);
        let output = s.ground.recorder.run(command)?.success()?;
        holds!(output.stdout.contains(RAN) && !output.stdout.contains(SECRET), "exec {flags:?}: {output}");
    }
    // The probe sees its own as the kernel gave it.
    let seen = s.look(Way::Exec, &s.bundle()?, &[])?;
    let env = seen.inside["env"].as_array().context("no env")?.iter().filter_map(Value::as_str);
    let names: Vec<&str> = env.filter_map(|entry| entry.split('=').next()).collect();
    holds!(names.iter().all(|name| ["PATH", "HOME"].contains(name)), "the environment has {names:?}");
    seen.end()?;
    Ok(Verdict::safe())
}
