//! Prints how long this crate and libseccomp take for one profile, side by side in one run.
//!
//! `compile_speed [PROFILE]`; without one Docker's default for x86_64, x86 and x32. docs/seccomp.md has the command.

use seccomp_profiles::oracle::{self, Shape};
use seccomp_profiles::{Arch, Profile, compile};
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let text = match env::args().nth(1) {
        Some(path) => fs::read(path)?,
        None => include_bytes!("../tests/profiles/docker-20.10.json").to_vec(),
    };
    let profile = Profile::from_json(&text)?;
    let insns = compile(&profile, Arch::NATIVE)?.insns.len();
    let linear = oracle::compile(&profile, Shape::Linear)?.len();
    let tree = oracle::compile(&profile, Shape::Tree)?.len();

    let mut rounds = [const { Vec::new() }; 3];
    // Alternating, so that whatever else the machine does is shared.
    for _ in 0..40 {
        rounds[0].push(timed(|| compile(black_box(&profile), Arch::NATIVE).map(drop).map_err(Into::into))?);
        rounds[1].push(timed(|| oracle::compile(black_box(&profile), Shape::Linear).map(drop).map_err(Into::into))?);
        rounds[2].push(timed(|| oracle::compile(black_box(&profile), Shape::Tree).map(drop).map_err(Into::into))?);
    }
    let [ours, by_line, by_tree] = rounds.map(median);
    let ratio = |theirs: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
    println!("compiler             instructions  median us  times ours");
    println!("seccomp-profiles     {insns:12}  {:9.1}", micros(ours));
    println!("libseccomp, default  {linear:12}  {:9.1}  {:10.0}", micros(by_line), ratio(by_line));
    println!("libseccomp, tree     {tree:12}  {:9.1}  {:10.0}", micros(by_tree), ratio(by_tree));
    Ok(())
}

fn timed(compile: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    compile()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
