//! The casemate container runtime: a library of rooms, and a binary that is a thin edge around them.
//!
//! The map of the rooms and the road of a `create` through them are drawn in `docs/architecture.md`.
#![warn(missing_docs)]

pub mod cgroup;
pub mod cli;
pub mod commands;
pub mod error;
pub mod hooks;
pub mod log;
pub mod plan;
pub mod program;
pub mod spec;
pub mod state;
pub mod sys;
