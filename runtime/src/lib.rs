//! The casemate container runtime: a library of rooms, and a binary that is a thin edge around them.
//!
//! The map of the rooms and the road of a `create` through them are drawn in `docs/architecture.md`.
#![warn(missing_docs)]

pub mod error;
pub mod hooks;
pub mod spec;
pub mod sys;
