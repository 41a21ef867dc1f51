//! A bundle: its directory, held open, and the configuration in it.

use crate::error::{Call, Error, Kind, Result};
use crate::spec::Spec;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A bundle that was opened.
pub struct Bundle {
    /// Its absolute path.
    pub path: String,
    /// config.json, byte by byte: later commands use this copy, whatever happens to the file.
    pub config: Vec<u8>,
    /// The same, read.
    pub spec: Spec,
    dir: OwnedFd,
}

impl Bundle {
    /// Opens the bundle at `path`, or in the working directory.
    ///
    /// # Errors
    /// A directory or a config.json that is not there or not valid; nothing was done then.
    pub fn open(path: Option<&Path>) -> Result<Bundle> {
        let path = std::path::absolute(path.unwrap_or(Path::new("."))).call("getcwd", ".")?;
        let text = path.to_str().map(crate::plan::clean).ok_or_else(|| {
            Error::new(Kind::InvalidConfig, format!("bundle path \"{}\" is not UTF-8", path.display()))
        })?;
        let dir = rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .call("open", path.display())
            .map_err(|e| e.as_kind(Kind::InvalidConfig))?;
        let config = read_config(dir.as_fd(), &text)?;
        let spec = Spec::parse(&config).map_err(Error::from).map_err(|e| e.context(format!("{text}/config.json")))?;
        Ok(Bundle { path: text, config, spec, dir })
    }
}

impl AsFd for Bundle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn read_config(dir: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>> {
    // O_NONBLOCK: a FIFO in its place must not hang us; the check below refuses it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, "config.json", flags, Mode::empty()).map_err(|errno| match errno {
        rustix::io::Errno::NOENT => {
            Error::new(Kind::InvalidConfig, format!("JSON specification file config.json not found in \"{path}\""))
        }
        errno => Error::call("openat", format!("{path}/config.json"), errno).as_kind(Kind::InvalidConfig),
    })?;
    crate::spec::read_regular(fd.into(), Path::new(&format!("{path}/config.json"))).map_err(Error::from)
}
