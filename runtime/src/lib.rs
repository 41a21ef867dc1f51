//! The casemate container runtime.
