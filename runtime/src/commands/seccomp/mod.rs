//! `seccomp`: the profile tool, and two commands that watch containers at work.
//!
//! `record` runs a bundle and makes a profile of the calls of its processes; `trace` tells which calls of a running
//! container its filter denies. Both count in the kernel, from outside ([`program`]): no process of the container is
//! stopped or asked, so nothing of it can hang or be weakened when the watcher dies. Where the kernel cannot, `trace` stops
//! each call ([`tracer`]).

mod denied;
mod guard;
mod program;
mod record;
mod trace;
mod tracer;
mod verdict;
mod watch;

use super::gate::Gate;
use super::{Root, print};
use crate::cli::Seccomp;
use crate::error::Result;
use crate::log::Log;
use std::io::Write;
use std::process::ExitCode;

/// `casemate seccomp`.
///
/// # Errors
/// Of `record`, `trace` and `guard`. The tool tells its own.
pub fn run(
    root: Result<Root>,
    systemd_cgroup: bool,
    gate: &Gate,
    request: &Seccomp,
    log: &Log,
    out: &mut dyn Write,
) -> Result<ExitCode> {
    match request {
        Seccomp::Tool(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            Ok(ExitCode::from(seccomp_profiles::machine::run("casemate seccomp", &words)))
        }
        Seccomp::Help(text) => print(out, text).map(|_| ExitCode::SUCCESS),
        Seccomp::Record(request) => record::run(&root?, systemd_cgroup, gate, request, log, out),
        Seccomp::Trace(request) => trace::run(&root?, request, out).map(|()| ExitCode::SUCCESS),
        Seccomp::Guard(id) => guard::run(&root?, id, log).map(|()| ExitCode::SUCCESS),
    }
}
