//! Profile to filter: `check` the words, `decide` what happens to each number, `emit` the instructions.
//!
//! A pure function of the profile and the native ABI; what the kernel is asked to do with the result is the caller's.
//! docs/seccomp.md has the semantics and how they are proven.

pub(crate) mod check;
pub(crate) mod clause;
pub(crate) mod condition;
pub(crate) mod decide;
mod emit;
pub(crate) mod intersect;
pub(crate) mod layers;

use crate::bpf::{Insn, MAX_INSNS};
use crate::profile::Profile;
use crate::syscalls::Arch;
use std::{error, fmt};

pub use layers::{Decisions, Layer, compile_layers};

/// A program for seccomp(2) and what to pass with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The program, at most [`MAX_INSNS`] long.
    pub insns: Vec<Insn>,
    /// Flags for `SECCOMP_SET_MODE_FILTER`, see [`flag`].
    pub flags: u32,
    /// Whether a rule notifies: seccomp(2) then returns a listener, which goes to `listener_path`.
    pub notify: bool,
    /// Path of the socket that receives the listener; not empty where `notify` is set.
    pub listener_path: String,
    /// Words for whoever listens there.
    pub listener_metadata: String,
    /// What the filter leaves out of the profile, one sentence each: names of unknown calls above all.
    pub warnings: Vec<String>,
}

/// `SECCOMP_FILTER_FLAG_*` of linux/seccomp.h.
pub mod flag {
    /// Log every action but ALLOW.
    pub const LOG: u32 = 1 << 1;
    /// Leave the mitigation of speculative store bypass alone.
    pub const SPEC_ALLOW: u32 = 1 << 2;
    /// Return a listener for notifications.
    pub const NEW_LISTENER: u32 = 1 << 3;
    /// Only fatal signals interrupt a call that a listener has received.
    pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// Everything that is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// One sentence for each problem, never empty.
    pub problems: Vec<String>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seccomp profile: {}", self.problems.join("; "))
    }
}

impl error::Error for CompileError {}

/// Compiles a profile for a kernel whose native ABI is `native`.
///
/// # Errors
/// All problems of the profile at once: an errno for an action that takes none, one out of range (0 to 4095 for ERRNO, to
/// 65535 for TRACE), NOTIFY as the default or for `write` or without a listener path, metadata without a path, an
/// argument beyond the sixth, an empty name, rules of one call that contradict each other, more than 8192
/// conditions (those of a rule count for each of its calls), a program beyond 4096 instructions.
pub fn compile(profile: &Profile, native: Arch) -> Result<Filter, CompileError> {
    let checked = check::check(profile, native)?;
    let decided = decide::decide(&checked)?;
    finish(
        &decided,
        checked.flags,
        checked.notify,
        profile.listener_path.clone(),
        profile.listener_metadata.clone(),
        checked.warnings,
    )
}

fn finish(
    decided: &decide::Decided,
    flags: u32,
    notify: bool,
    listener_path: String,
    listener_metadata: String,
    warnings: Vec<String>,
) -> Result<Filter, CompileError> {
    let insns = emit::emit(decided);
    if insns.len() > MAX_INSNS {
        let problem = format!(
            "the filter has {} instructions, the kernel takes {MAX_INSNS}: name fewer conditions or architectures",
            insns.len()
        );
        return Err(CompileError { problems: vec![problem] });
    }
    Ok(Filter { insns, flags, notify, listener_path, listener_metadata, warnings })
}
