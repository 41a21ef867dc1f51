//! The casemate container runtime.

pub mod spec;
