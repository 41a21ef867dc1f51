//! The checks, one file per attack surface.

mod annotations;
mod binary;
mod caller;
mod capabilities;
mod config_file;
mod covers;
mod created_files;
mod credentials;
mod descriptors;
mod dev;
mod dev_tree;
mod excess;
mod filters;
mod harness;
mod hooks;
mod ids;
mod inherited;
mod labels;
mod leaked_handles;
mod links;
mod masks;
mod mounts;
mod namespaces;
mod overlay;
mod paths;
mod processes;
mod procfs;
mod procfs_mounts;
mod races;
mod reach;
mod resources;
mod restarts;
mod self_exe;
mod state;
mod symlinks;
mod syscalls;
mod terminal_ioctls;
mod traced;
mod user_namespaces;

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
        inherited::all,
        paths::all,
        races::all,
        covers::all,
        mounts::all,
        dev::all,
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
        caller::all,
        namespaces::all,
        processes::all,
        resources::all,
        excess::all,
    ]
    .iter()
    .flat_map(|list| list())
    .collect()
}
