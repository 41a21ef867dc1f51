//! Coverage-guided fuzzing of everything that casemate reads. One program, so that it is linked once; `run` beside it
//! says with `CASEMATE_FUZZ` which target it is. docs/fuzzing.md has what each target covers.
//!
//! A target reads bytes as the product does, goes on with what was read as far as that needs no kernel, and asserts what
//! has to hold of the result. A panic, a wrapped number, more than 5 s or more memory than [`memory::MOST`] is a finding.
#![no_main]

mod cgroup_files;
mod check;
mod command_line;
mod config;
#[path = "../../../runtime/tests/facts/mod.rs"]
mod facts;
mod filters;
mod init_program;
mod memory;
mod mutation;
mod narrowing;
mod policy;
mod process;
mod procfs;
mod profile;
#[allow(dead_code, reason = "init uses all of it")]
#[path = "../../../runtime/init/program.rs"]
mod program;
mod protocol;
#[path = "../../../runtime/tests/reader/mod.rs"]
mod reader;
mod resources;
mod state;
mod sys;
mod words;

// Where init's rooms look for it.
use casemate::program::format;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::sync::LazyLock;

/// A parser, or several of a kind.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    /// Whether the input is one JSON document, which is then also mutated as a tree.
    is_json: bool,
}

const fn json(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, is_json: true }
}

const fn text(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, is_json: false }
}

/// In the order of docs/fuzzing.md; `run` has the same list.
const TARGETS: &[Target] = &[
    json("config", config::run),
    json("check", check::run),
    json("process", process::run),
    json("resources", resources::run),
    json("state", state::run),
    text("policy", policy::run),
    json("profile", profile::run),
    text("profile-tool", profile::tool),
    text("filters", filters::run),
    text("command-line", command_line::run),
    text("words", words::run),
    text("mount-options", words::mount_options),
    text("procfs", procfs::run),
    text("cgroup-files", cgroup_files::run),
    text("protocol", protocol::run),
    text("init-program", init_program::run),
];

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CASEMATE_FUZZ").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("CASEMATE_FUZZ=\"{name}\" is no target: want one of {}", names.join(" "));
        std::process::exit(2);
    };
    target
});

fuzz_target!(init: LazyLock::force(&TARGET), |data: &[u8]| {
    memory::bounded(|| (TARGET.run)(data));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed, TARGET.is_json)
});
