//! OCI seccomp profiles.
