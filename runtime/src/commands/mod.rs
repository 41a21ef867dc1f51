//! The commands: one file and one `run` for each.
//!
//! A command takes the [`Root`] and what the command line asked for, and prints to the writer it is given. Texts of
//! errors that engines look for (`docs/runc-compat.md`) are worded in the command that gives them.
//!
//! | command | lock | may be called by |
//! |---|---|---|
//! | `state` `list` `ps` `events` `kill` `inspect` | none | anybody, also a hook of the container during `create` |
//! | `delete` `pause` `resume` `update` | the container's | not a hook of the same container: it would wait for itself |

pub mod caller;
pub mod check;
pub mod create;
pub mod delete;
pub mod doctor;
pub mod events;
pub mod exec;
pub mod explain;
pub mod features;
pub mod gate;
pub mod inspect;
pub mod kill;
pub mod list;
mod passwd;
pub mod pause;
pub mod ps;
mod root;
pub mod run;
pub mod seccomp;
pub mod selftest;
pub mod spec;
pub mod start;
pub mod state;
mod unfinished;
pub mod update;

pub use root::Root;

use std::io::{ErrorKind, Write};
use std::time::Duration;

use crate::error::{Call as _, Error, Kind, Result};

/// How long a command waits for the kernel to end or to freeze processes.
const DEADLINE: Duration = Duration::from_secs(10);

/// Prints; a reader who went away is no failure, for what was asked is done. `false` when he did.
fn print(out: &mut dyn Write, text: &str) -> Result<bool> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => other.call("write", "stdout").map(|()| true),
    }
}

/// JSON of a value whose keys are strings: it cannot fail, and if it does it is our mistake.
fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(Kind::System, format!("write json: {error}")))
}

/// The text containerd and CRI-O know for a container that has ended.
fn not_running() -> Error {
    Error::new(Kind::WrongState, "container not running")
}

/// The text with `?` for each control character: what a container chose must not act on the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod fixture;
