//! The checks, one file per attack surface.

mod credentials;
mod filters;
mod harness;
mod labels;
mod overlay;
mod procfs;
mod reach;
mod syscalls;
mod terminal_ioctls;

use crate::escape::check::Check;

/// Every check, in the order of the table.
pub fn all() -> Vec<Check> {
    [
        harness::all,
        credentials::all,
        syscalls::all,
        overlay::all,
        filters::all,
        terminal_ioctls::all,
        labels::all,
        procfs::all,
        reach::all,
    ]
    .iter()
    .flat_map(|list| list())
    .collect()
}
