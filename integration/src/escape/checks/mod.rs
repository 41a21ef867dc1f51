//! The checks, one file per attack surface.

mod created_files;
mod capabilities;
mod credentials;
mod filters;
mod caller;
mod capabilities;
mod credentials;
mod excess;
mod harness;
mod labels;
mod overlay;
mod procfs;
mod reach;
mod syscalls;
mod terminal_ioctls;
mod dev_tree;
mod harness;
mod leaked_handles;
mod masks;
mod procfs_mounts;
mod restarts;
mod self_exe;
mod symlinks;
mod user_namespaces;
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
mod namespaces;
mod processes;
mod resources;

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
        procfs_mounts::all,
        dev_tree::all,
        masks::all,
        symlinks::all,
        created_files::all,
        self_exe::all,
        leaked_handles::all,
        restarts::all,
        user_namespaces::all,
        ids::all,
        annotations::all,
        state::all,
        hooks::all,
        descriptors::all,
        config_file::all,
        binary::all,
        traced::all,
        capabilities::all,
        credentials::all,
        capabilities::all,
        caller::all,
        namespaces::all,
        processes::all,
        resources::all,
        excess::all,
    ]
    .iter()
    .flat_map(|list| list())
    .collect()
    [harness::all, capabilities::all, credentials::all].iter().flat_map(|list| list()).collect()
    [harness::all, capabilities::all, credentials::all, namespaces::all].iter().flat_map(|list| list()).collect()
    [harness::all, capabilities::all, credentials::all, namespaces::all, processes::all]
    [harness::all, capabilities::all, credentials::all, namespaces::all, processes::all, resources::all]
        .iter()
        .flat_map(|list| list())
        .collect()
}
