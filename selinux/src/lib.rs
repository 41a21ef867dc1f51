//! SELinux contexts.
