//! The casemate container runtime.

pub mod cgroup;
pub mod spec;
pub mod sys;
