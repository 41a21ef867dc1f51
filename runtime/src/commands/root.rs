//! Where the containers are: `--root`, or the default.

use std::path::PathBuf;

use crate::cli::{self, Globals};
use crate::error::{Error, Kind, Result};
use crate::state::Store;
use crate::state::procfs::Procfs;

/// The directory of all containers, before it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its path.
    pub path: PathBuf,
    /// Whether the user named it.
    pub given: bool,
}

impl Root {
    /// The directory that the options and the environment name.
    ///
    /// # Errors
    /// Without `--root`: see [`cli::default_root`].
    pub fn of(globals: &Globals) -> Result<Root> {
        if let Some(path) = &globals.root {
            return Ok(Root { path: path.clone(), given: true });
        }
        let euid = rustix::process::geteuid().as_raw();
        let in_userns = euid == 0 && in_userns()?;
        let (dir, user) = (std::env::var_os("XDG_RUNTIME_DIR"), std::env::var_os("USER"));
        let path = cli::default_root(euid, in_userns, dir.as_deref(), user.as_deref())
            .map_err(|what| Error::new(Kind::Usage, what))?;
        Ok(Root { path, given: false })
    }

    /// Opens the directory; `None` when nobody has made it yet.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn store(&self) -> Result<Option<Store>> {
        Store::open(&self.path, false)
    }

    /// Opens the directory, made if it is not there.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn create(&self) -> Result<Store> {
        let missing = || Error::new(Kind::System, format!("open \"{}\": nothing there", self.path.display()));
        Store::open(&self.path, true)?.ok_or_else(missing)
    }

    /// Opens the directory to look for one container in it.
    ///
    /// # Errors
    /// `container does not exist` when there is no directory.
    pub fn existing(&self) -> Result<Store> {
        self.store()?.ok_or_else(|| Error::new(Kind::NotFound, "container does not exist"))
    }
}

/// Whether root here is another than the host's, whose user ids are all mapped to themselves (user_namespaces(7)).
fn in_userns() -> Result<bool> {
    let name = format!("{}/uid_map", std::process::id());
    match Procfs::open()?.read(&name) {
        Ok(map) => Ok(!map.split_ascii_whitespace().eq(["0", "0", "4294967295"])),
        // A kernel without user namespaces.
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::call("read", format!("/proc/{name}"), errno)),
    }
}
