//! The cases, one file per behaviour, and the loop that runs them.

mod bad_input;
mod cgroups;
mod cgroups_v2;
mod check;
mod commands;
mod covers;
mod crash;
mod descriptors;
mod destinations;
mod devices;
mod exec;
mod faults;
mod filters;
mod freeze;
mod hook_children;
mod hooks;
mod identity;
mod inspect;
mod lifecycle;
mod limits;
mod mounts;
mod namespaces;
mod paths;
mod phases;
mod policy;
mod policy_file;
mod propagation;
mod races;
mod refusals;
mod run;
mod seccomp;
mod seccomp_tool;
mod selftest;
mod streams;
mod terminal;
mod undo;
mod visibility;

use crate::case::{Case, Ground, select};
use crate::host::Host;
use crate::isolation;
use crate::options::Options;
use crate::process::Recorder;
use crate::report::{Outcome, Report, expected_skips};
use crate::runtime::Runtime;
use anyhow::{Context, Result, ensure};
use std::process::ExitCode;
use std::time::Instant;

/// Every case, in the order they run.
pub fn all() -> Vec<Case> {
    [
        lifecycle::all,
        run::all,
        exec::all,
        freeze::all,
        commands::all,
        mounts::all,
        destinations::all,
        propagation::all,
        paths::all,
        devices::all,
        identity::all,
        namespaces::all,
        descriptors::all,
        terminal::all,
        hooks::all,
        cgroups::all,
        cgroups_v2::all,
        seccomp::all,
        seccomp_tool::all,
        bad_input::all,
        crash::all,
        visibility::all,
        covers::all,
        hook_children::all,
        undo::all,
        streams::all,
        limits::all,
        races::all,
        refusals::all,
        filters::all,
        faults::all,
        phases::all,
        policy::all,
        check::all,
        policy_file::all,
        inspect::all,
        selftest::all,
    ]
    .iter()
    .flat_map(|list| list())
    .collect()
}

/// Runs the selected cases against one runtime.
pub fn run(options: &Options) -> Result<ExitCode> {
    let ground = isolation::ground()?;
    let recorder = Recorder::new(ground.join("output"))?;
    let runtime = Runtime::find(&options.runtime, &recorder)?;
    let host = Host::look()?;
    let cases = select(all(), options.filter.as_ref());
    ensure!(!cases.is_empty(), "no case matches the filter");
    println!("# {} cases against {} ({})", cases.len(), runtime.path.display(), runtime.version);
    let parent = format!("/{}", ground.file_name().context("ground without a name")?.to_string_lossy());
    let mut report = Report::new(options.format, cases.len(), expected_skips()?);
    for (n, case) in cases.iter().enumerate() {
        let begin = Instant::now();
        let outcome = match case.skip(&runtime, &host) {
            Some((fact, reason)) => Outcome::Skipped { fact, reason },
            None => match run_one(case, &runtime, &host, &ground, &parent, n) {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::Failed(format!("{error:#}")),
            },
        };
        report.add(&case.title(), outcome, begin.elapsed());
    }
    for dir in host.cgroup_dirs(&parent) {
        crate::host::remove_cgroup(&dir)?;
    }
    Ok(report.close())
}

fn run_one(case: &Case, runtime: &Runtime, host: &Host, base: &std::path::Path, parent: &str, n: usize) -> Result<()> {
    let ground = Ground::new(runtime, host, base, parent, n)?;
    let result = (case.body)(&ground);
    let swept = ground.sweep();
    // Kept for the length of the run only when something went wrong and the directory may still be in use.
    let removed = std::fs::remove_dir_all(&ground.dir).context("remove the case's directory");
    result.and(swept).and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_that_states_a_behaviour() {
        let mut titles: Vec<String> = all().iter().map(Case::title).collect();
        let count = titles.len();
        titles.sort();
        titles.dedup();
        assert_eq!(count, titles.len());
        assert!(all().iter().all(|case| case.name.contains('_')));
    }
}
