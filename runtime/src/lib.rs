//! The casemate container runtime: a library of rooms, and a binary that is a thin edge around them.
//!
//! The map of the rooms and the road of a `create` through them are drawn in `docs/architecture.md`.
#![warn(missing_docs)]

pub mod bundle;
pub mod cgroup;
pub mod cli;
pub mod commands;
pub mod error;
pub mod foreground;
pub mod hooks;
pub mod host;
pub mod launch;
pub mod listen;
pub mod log;
pub mod notify;
pub mod pid_file;
pub mod plan;
pub mod policy;
pub mod policy_file;
pub mod program;
pub mod socket;
pub mod spec;
pub mod state;
pub mod sys;
pub mod terminal;
pub mod version;
