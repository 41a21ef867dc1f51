//! `selftest`: what it says of this host, and that it leaves nothing behind.

use crate::case::{Ground, same};
use crate::process::eventually;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

crate::cases! {
    selftest_finds_every_promised_control_effective [CasemateOnly("selftest")];
    selftest_of_one_level_tests_that_level_only [CasemateOnly("selftest")];
    selftest_counts_what_it_lists [CasemateOnly("selftest")];
    selftest_that_is_interrupted_removes_its_containers [CasemateOnly("selftest")];
    selftest_probe_runs_in_no_other_place [CasemateOnly("selftest")];
}

fn findings(report: &Value) -> Result<&Vec<Value>> {
    report["findings"].as_array().context("findings")
}

/// Directories of its containers in any cgroup hierarchy.
fn cgroups() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    for directory in hierarchies.filter(|path| path.is_dir()).chain([root.to_owned()]) {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            let own = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("casemate-selftest-"));
            found.extend(own.then_some(path));
        }
    }
    Ok(found)
}

fn selftest_finds_every_promised_control_effective(g: &Ground) -> Result<()> {
    let report: Value = g.level(None).call(&["selftest", "--format", "json"])?.success()?.json()?;
    let bad =
        findings(&report)?.iter().filter(|finding| finding["status"] == "fail" || finding["status"] == "not-proven");
    same("what failed or was not proven", bad.collect::<Vec<_>>(), Vec::<&Value>::new())?;
    let passed = |level: &str| {
        let of_level = |finding: &&Value| finding["level"] == level && finding["status"] == "pass";
        Ok::<_, anyhow::Error>(findings(&report)?.iter().filter(of_level).count())
    };
    let (baseline, restricted) = (passed("baseline")?, passed("restricted")?);
    ensure!(baseline > 40 && restricted > baseline, "{baseline} at baseline, {restricted} at restricted");
    same("cgroups that are left", cgroups()?, Vec::<PathBuf>::new())
}

fn selftest_of_one_level_tests_that_level_only(g: &Ground) -> Result<()> {
    for level in ["privileged", "baseline"] {
        let report: Value =
            g.level(None).call(&["selftest", "--level", level, "--format", "json"])?.success()?.json()?;
        ensure!(!findings(&report)?.is_empty(), "no findings at {level}");
        ensure!(findings(&report)?.iter().all(|finding| finding["level"] == level), "{report}");
    }
    Ok(())
}

fn selftest_counts_what_it_lists(g: &Ground) -> Result<()> {
    let text = g.level(None).call(&["selftest", "--level", "baseline"])?.success()?.stdout;
    let listed = text.lines().filter(|line| line.starts_with("    pass ")).count();
    let last = text.lines().last().unwrap_or_default();
    ensure!(last.starts_with(&format!("{listed} passed, 0 failed, ")), "{last}, {listed} listed");
    ensure!(!text.contains('\x1b'), "colours in a pipe");
    Ok(())
}

fn selftest_that_is_interrupted_removes_its_containers(g: &Ground) -> Result<()> {
    let script = "$R selftest & pid=$!; for i in $(seq 500); do \
                  find /sys/fs/cgroup -maxdepth 2 -name 'casemate-selftest-*' 2>/dev/null | grep -q . && break; \
                  sleep 0.01; done; kill -TERM $pid; wait $pid";
    g.level(None).shell(script)?.refused("selftest was interrupted").map(drop)?;
    eventually("its cgroups are gone", || Ok(cgroups()?.is_empty().then_some(())))
}

fn selftest_probe_runs_in_no_other_place(g: &Ground) -> Result<()> {
    for mode in ["attempts", "listen", "status"] {
        g.call(&["selftest-probe", mode, "token"])?.refused("in the containers of casemate selftest only")?;
    }
    Ok(())
}
