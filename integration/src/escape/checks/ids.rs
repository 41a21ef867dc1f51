//! Names that become paths: ids, sub-cgroups, and sysctls.

use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::process::Output;
use crate::{holds, host};
use anyhow::{Context, Result};
use serde_json::json;

crate::checks! {
    "G1" an_id_that_is_no_plain_name_is_refused;
    "G1" an_id_that_is_a_path_reaches_no_state_outside_of_the_root;
    "G1" a_sub_cgroup_of_exec_stays_below_the_containers_cgroup;
    "G1" a_failed_create_leaves_no_frozen_or_other_cgroup;
    "CVE-2022-0811" a_sysctl_reaches_no_parameter_of_the_host;
    "CVE-2022-0532" a_sysctl_of_a_namespace_that_is_the_hosts_is_refused;
}

/// What no runtime may take for a name, with why.
const IDS: [&str; 13] =
    ["../x", "..", ".", "a/b", "/abs", "", "a b", "a\nb", "é", "x;y", "a\u{1b}[0m", "x\\y", "x/../../../tmp/x"];

fn run_as(s: &Scene, bundle: &crate::bundle::Bundle, id: &str) -> Result<Output> {
    bundle.write()?;
    s.ground.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), "--", id])
}

/// The names in the check's directory, but for bundles and outputs.
fn beside(s: &Scene) -> Result<Vec<String>> {
    let names = std::fs::read_dir(&s.ground.dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.retain(|name| name != "root");
    names.sort();
    Ok(names)
}

fn an_id_that_is_no_plain_name_is_refused(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    run_as(s, &bundle, "plain-name_1.x")?.success().context("the benign twin")?;
    let before = beside(s)?;
    let long = "a".repeat(300);
    for id in IDS.iter().copied().chain([long.as_str()]) {
        if let Some(verdict) = s.must_refuse(&format!("id {id:?}"), &run_as(s, &bundle, id))? {
            return Ok(verdict);
        }
        let after = beside(s)?;
        holds!(before == after, "id {id:?}: made something beside --root: {after:?}");
    }
    Ok(Verdict::Refused(format!("{} ids", IDS.len() + 1)))
}

fn an_id_that_is_a_path_reaches_no_state_outside_of_the_root(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    let pid = container.pid()?;
    // A second root beside the container's, from which its state is one step up.
    let other = s.ground.root.join(".other");
    std::fs::create_dir(&other)?;
    let id = format!("../{}", container.id);
    for words in [&["delete", "--force"][..], &["kill"], &["pause"], &["state"], &["exec"]] {
        let mut command = s.ground.runtime.command(&other, s.level);
        command.args(words).arg(&id).current_dir(&s.ground.dir);
        match words[0] {
            "kill" => drop(command.arg("KILL")),
            "exec" => drop(command.arg("/bin/true")),
            _ => {}
        }
        let output = s.ground.recorder.run(command)?;
        // delete --force of what is not there is a success for engines.
        holds!(output.code != 0 || words[0] == "delete", "{} reached it: {output}", words[0]);
        holds!(host::is_alive(pid) && container.status()? == "running", "{} reached it", words[0]);
    }
    std::fs::remove_dir_all(&other)?;
    Ok(Verdict::safe())
}

fn a_sub_cgroup_of_exec_stays_below_the_containers_cgroup(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    let container = s.sleeping(&bundle)?;
    let escaped = format!("{}/escaped", s.ground.cgroup);
    for dir in s.ground.host.cgroup_dirs(&s.ground.cgroup) {
        std::fs::create_dir(dir.join("escaped"))?;
    }
    let file = s.ground.dir.join("pid");
    let mut said = String::new();
    for path in ["../escaped", "/../escaped", "x/../../escaped", "../../../../../../.."] {
        let flags = ["--detach", "--pid-file", &file.to_string_lossy(), "--cgroup", path];
        let output = container.exec(&flags, &["/bin/sleep", "1000"])?;
        said = output.stderr.trim().to_owned();
        if output.code == 0 {
            let pid: i32 = host::read(&file)?.parse()?;
            let lines = host::read(format!("/proc/{pid}/cgroup").as_ref())?;
            // cpuset and others of v1 may be shared by several containers, the freezer is always the container's.
            let line =
                lines.lines().find(|line| line.contains("freezer") || line.starts_with("0::")).unwrap_or_default();
            host::kill(pid)?;
            crate::process::eventually("it has ended", || Ok((!host::is_alive(pid)).then_some(())))?;
            holds!(line.contains(bundle.cgroups_path()), "--cgroup {path}: {line}");
        }
    }
    container.call("delete", &["--force"])?.success()?;
    for dir in s.ground.host.cgroup_dirs(&escaped) {
        host::remove_cgroup(&dir)?;
    }
    Ok(Verdict::Refused(said))
}

fn a_failed_create_leaves_no_frozen_or_other_cgroup(s: &Scene) -> Result<Verdict> {
    s.twin(&s.scripted("true")?)?;
    let failing: [(&str, serde_json::Value); 4] = [
        ("/process/args", json!(["/nosuch"])),
        ("/process/cwd", json!("/.probe/below-a-file")),
        ("/hooks", json!({"createRuntime": [{"path": "/bin/false"}]})),
        ("/mounts", json!([{"destination": "/x", "type": "bind", "source": "/nosuch", "options": ["bind"]}])),
    ];
    for (pointer, value) in failing {
        let mut bundle = s.bundle()?;
        let container = s.ground.container(bundle.set(pointer, value));
        if let Some(verdict) = s.must_refuse(pointer, &container.create(&[]))? {
            return Ok(verdict);
        }
        let dirs = s.ground.host.cgroup_dirs(bundle.cgroups_path());
        holds!(dirs.is_empty(), "{pointer}: left {dirs:?}");
    }
    Ok(Verdict::safe())
}

fn a_sysctl_reaches_no_parameter_of_the_host(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.scripted("true")?;
    s.twin(bundle.set("/linux/sysctl", json!({"kernel.shm_rmid_forced": "1"})))?;
    // Of the suite's own network namespace and of the kernel; the snapshot compares all of them afterwards.
    let names = [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "kernel.shm_rmid_forced+kernel.core_pattern",
        "net/../kernel/core_pattern",
        "net.../../kernel.core_pattern",
        "net.ipv4/../../kernel/core_pattern",
        "net...kernel.core_pattern",
        "fs.mqueue./../../../kernel/core_pattern",
        "fs/mqueue/../../kernel/core_pattern",
        "/kernel.core_pattern",
        "net.ipv4.ip_forward\n",
        "net.ipv4.ip_forward\u{0}kernel",
        "net.ipv4.ip_forward=1 kernel.core_pattern",
    ];
    for name in names {
        bundle.set("/linux/sysctl", json!({name: "1"}));
        let output = s.ground.run(&bundle);
        if let Some(verdict) = s.must_refuse(&format!("sysctl {name:?}"), &output)? {
            return Ok(verdict);
        }
    }
    // Another spelling of what is the container's own does no harm.
    bundle.set("/linux/sysctl", json!({"net//ipv4.ip_forward": "1"}));
    if let Some(verdict) = s.withstands("net//", &s.ground.run(&bundle))? {
        return Ok(verdict);
    }
    for value in ["1+kernel.core_pattern=|/x", "1\nkernel.core_pattern=x", "1\u{0}kernel.core_pattern=x", ""] {
        bundle.set("/linux/sysctl", json!({"kernel.shm_rmid_forced": value}));
        if let Some(verdict) = s.withstands(&format!("value {value:?}"), &s.ground.run(&bundle))? {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Refused(format!("{} names", names.len())))
}

fn a_sysctl_of_a_namespace_that_is_the_hosts_is_refused(s: &Scene) -> Result<Verdict> {
    for (kind, name, value) in [
        ("network", "net.ipv4.ip_unprivileged_port_start", "1024"),
        ("ipc", "kernel.shm_rmid_forced", "1"),
        ("ipc", "fs.mqueue.msg_max", "11"),
        ("uts", "kernel.domainname", "other"),
    ] {
        let mut bundle = s.scripted("true")?;
        bundle.unset("/hostname").unmount("/dev/mqueue");
        // At its levels casemate allows the first two parameters only, and refuses the host's namespace itself.
        let strict = s.at("baseline") || s.at("restricted");
        let safe = name.starts_with("net.") || name.starts_with("kernel.shm");
        if safe || !strict {
            s.twin(bundle.clone().set("/linux/sysctl", json!({name: value})))?;
        }
        bundle.share(kind);
        if !strict {
            s.twin(&bundle)?;
        }
        bundle.set("/linux/sysctl", json!({name: value}));
        if let Some(verdict) = s.must_refuse(name, &s.ground.run(&bundle))? {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Refused("net, ipc and uts".to_owned()))
}
