//! Containers in a user namespace: what a runtime has to do for them that it has not for others.

use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::process::Command;

crate::checks! {
    "CVE-2023-25809" the_cgroup_file_system_of_a_user_namespace_cannot_be_written [
        Advisory("runc", "CVE-2023-25809"), Needs(UserNamespaces), Later("user namespaces")
    ];
    "CVE-2014-8989" groups_cannot_be_dropped_in_the_user_namespace_of_an_ordinary_user [
        Needs(UserNamespaces), Later("user namespaces")
    ];
}

fn the_cgroup_file_system_of_a_user_namespace_cannot_be_written(s: &Scene) -> Result<Verdict> {
    // A tmpfs around v1 hierarchies is the container's own.
    let attempt = "while read id parent device root point rest; do case \"$rest\" in *' - cgroup'*) \
                   mkdir $point/made && echo MADE $point;; esac; done < /proc/self/mountinfo; true";
    let mut twin = s.scripted("true")?;
    s.twin(twin.user_namespace(100_000)?)?;
    let mut bundle = s.scripted(attempt)?;
    bundle.user_namespace(100_000)?.unmount("/sys/fs/cgroup");
    // Without a cgroup namespace, and not read-only.
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev"]);
    let attack = s.attack(&bundle)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    holds!(!attack.output.stdout.contains("MADE"), "a cgroup was made: {}", attack.output);
    Ok(Verdict::safe())
}

fn groups_cannot_be_dropped_in_the_user_namespace_of_an_ordinary_user(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.scripted("cat /proc/self/setgroups")?;
    let own = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    bundle.set("/linux/uidMappings", own.clone()).set("/linux/gidMappings", own);
    bundle.unset("/linux/cgroupsPath").unset("/linux/resources").unmount("/sys/fs/cgroup").unmount("/dev/pts");
    bundle.write()?;
    // The whole of it belongs to the user who calls: the bundle, the state, the directory of sockets.
    let root = s.ground.dir.join("rootless");
    std::fs::create_dir(&root)?;
    let owned = s.host("chown", &["-R", "1000:1000", &bundle.dir.to_string_lossy(), &root.to_string_lossy()])?;
    ensure!(owned.code == 0, "{owned}");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1000", "--regid", "1000", "--clear-groups", "--"]).arg(&s.ground.runtime.path);
    command.arg("--root").arg(&root).args(["run", "--bundle"]).arg(&bundle.dir).arg("rootless");
    command.env("XDG_RUNTIME_DIR", &root).current_dir(&bundle.dir);
    let output = s.ground.recorder.run(command)?;
    ensure!(output.code == 0, "a container of a user without privileges did not run: {output}");
    let answer = output.stdout.lines().last().context("no answer")?;
    holds!(answer == "deny", "setgroups: {answer}");
    Ok(Verdict::safe())
}
