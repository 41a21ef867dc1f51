//! The checks, one file per attack surface.

mod credentials;
mod harness;
mod overlay;
mod syscalls;

use crate::escape::check::Check;

/// Every check, in the order of the table.
pub fn all() -> Vec<Check> {
    [harness::all, credentials::all, syscalls::all, overlay::all].iter().flat_map(|list| list()).collect()
}
