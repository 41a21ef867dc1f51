//! The checks, one file per attack surface.

mod annotations;
mod binary;
mod config_file;
mod credentials;
mod descriptors;
mod harness;
mod hooks;
mod ids;
mod state;
mod traced;

use crate::escape::check::Check;

/// Every check, in the order of the table.
pub fn all() -> Vec<Check> {
    [
        harness::all,
        credentials::all,
        ids::all,
        annotations::all,
        state::all,
        hooks::all,
        descriptors::all,
        config_file::all,
        binary::all,
        traced::all,
    ]
    .iter()
    .flat_map(|list| list())
    .collect()
}
