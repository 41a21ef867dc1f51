//! How long policy takes for one configuration: `cargo run --release -p casemate --example policy_speed [config.json]`.
//!
//! Medians over 2000 rounds, in microseconds, with nothing else: the policy file read (`policy_file`), the judgement
//! (`policy::judge::create`), and the plan before and after it.

use casemate::error::Result;
use casemate::plan::{self, Confinement, CreateRequest};
use casemate::policy::{Enforcement, Level, judge};
use casemate::spec::Spec;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 2000;

fn main() -> Result<()> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/docker-20.10-01.json");
    let path = std::env::args().nth(1).unwrap_or_else(|| default.to_string());
    let spec: Spec = casemate::spec::load(path.as_ref())?;
    let facts = casemate::host::facts()?;
    let request = |confinement: &Confinement| CreateRequest {
        id: "speed".into(),
        bundle: "/".into(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
        confinement: confinement.clone(),
    };
    println!("{path}");
    // Once outside of the measurement, so that an error is told and not timed.
    casemate::policy_file::read()?;
    show("policy file", || drop(black_box(casemate::policy_file::read())));
    for level in Level::ALL {
        let enforcement = Enforcement::new(level, "test");
        show(&format!("judge, {level}"), || drop(black_box(judge::create(&spec, &enforcement, &facts))));
        let verdict = judge::create(&spec, &enforcement, &facts);
        let request = request(&verdict.confinement);
        plan::create(&verdict.spec, &request, &facts)?;
        show(&format!("plan, {level}"), || drop(black_box(plan::create(&verdict.spec, &request, &facts))));
    }
    Ok(())
}

fn show(what: &str, mut once: impl FnMut()) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            once();
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<20}{:>10.1} us", times.get(ROUNDS / 2).copied().unwrap_or_default());
}
