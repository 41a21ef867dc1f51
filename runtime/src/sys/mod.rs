//! The only room with `unsafe`: system calls that neither rustix nor nix has, one family in each file.
//!
//! A wrapper takes borrowed descriptors and references, answers owned descriptors, and says in its SAFETY comment which
//! invariant makes the call sound and who upholds it.
#![allow(unsafe_code)]

pub mod attempt;
pub mod bpf;
pub mod clone;
pub mod descriptors;
pub mod localtime;
pub mod namespace;
pub mod object;
pub mod pidfd;
pub mod probe;
pub mod ptrace;
pub mod signal;
pub mod spawn;
pub mod syscall_stop;
pub mod tracing;
#[cfg(all(panic = "abort", target_feature = "crt-static"))]
mod unwind;
