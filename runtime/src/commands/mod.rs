//! The commands: each takes its part of the command line and does it.

pub mod caller;
pub mod create;
pub mod exec;
pub mod explain;
pub mod run;
pub mod start;

use crate::cli::Globals;
use crate::error::{Error, Kind, Result};
use crate::state::Store;
use std::path::PathBuf;

/// The state root: `--root`, or the default for this caller.
///
/// # Errors
/// A rootless caller without XDG_RUNTIME_DIR.
pub fn root(globals: &Globals) -> Result<PathBuf> {
    if let Some(root) = &globals.root {
        return Ok(root.clone());
    }
    let euid = rustix::process::geteuid().as_raw();
    let xdg = std::env::var_os("XDG_RUNTIME_DIR");
    let user = std::env::var_os("USER");
    crate::cli::default_root(euid, euid == 0 && in_user_namespace(), xdg.as_deref(), user.as_deref())
        .map_err(|message| Error::new(Kind::Usage, message))
}

/// Whether the caller's user namespace is not the initial one, whose map covers all ids.
fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().ne(["0", "0", "4294967295"]))
}

/// The store below the root, made if it is not there.
///
/// # Errors
/// A root that cannot be made or is not the caller's alone.
pub fn store(globals: &Globals) -> Result<Store> {
    let root = root(globals)?;
    Store::open(&root, true)?.ok_or_else(|| Error::new(Kind::System, format!("open \"{}\"", root.display())))
}

/// The store below the root, or the answer for every id in a root that does not exist.
///
/// # Errors
/// `container does not exist`.
pub fn existing_store(globals: &Globals) -> Result<Store> {
    let missing = || Error::new(Kind::NotFound, "container does not exist");
    Store::open(&root(globals)?, false)?.ok_or_else(missing)
}
