//! The checks, one file per attack surface.

mod credentials;
mod dev_tree;
mod harness;
mod masks;
mod procfs_mounts;

use crate::escape::check::Check;

/// Every check, in the order of the table.
pub fn all() -> Vec<Check> {
    [harness::all, credentials::all, procfs_mounts::all, dev_tree::all, masks::all]
        .iter()
        .flat_map(|list| list())
        .collect()
}
