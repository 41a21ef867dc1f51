//! The directory `--root` names, with one entry for each container.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, open, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::entry::Entry;
use crate::error::{Call as _, Error, Kind, Result};

/// The directory of all containers, held open: its path is resolved once.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<OwnedFd>,
    path: PathBuf,
}

impl Store {
    /// Opens the directory, or makes it and what is missing above it with mode 0700. `None` when it is not there and
    /// is not to be made.
    ///
    /// # Errors
    /// `/` itself; a last component that is a symbolic link; a directory of somebody else, or one that others may
    /// write to (unless sticky), where they could put a container of theirs in the place of one of ours.
    pub fn open(root: &Path, create: bool) -> Result<Option<Store>> {
        if !root.components().any(|c| matches!(c, Component::Normal(_))) {
            return Err(Error::new(Kind::Usage, "Option --root argument should not be set to /"));
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut opened = open(root, flags, Mode::empty());
        if create && matches!(opened, Err(Errno::NOENT)) {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root).call("mkdir", root.display())?;
            opened = open(root, flags, Mode::empty());
        }
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let what = format!("open \"{}\": not a directory, or a symbolic link", root.display());
                return Err(Error::new(Kind::Denied, what).hint("name the directory itself with --root"));
            }
            Err(errno) => return Err(Error::call("open", root.display(), errno)),
        };
        owned_by_us(&fstat(&fd).call("fstat", root.display())?, &root.display().to_string())?;
        Ok(Some(Store { root: Arc::new(fd), path: root.to_path_buf() }))
    }

    /// Makes the entry of a new container and takes its lock.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] for an id in use, and what [`Store::lock`] reports.
    pub fn create(&self, id: &str) -> Result<Entry> {
        check_id(id)?;
        match mkdirat(&*self.root, id, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return Err(Error::new(Kind::AlreadyExists, "container with given ID already exists"));
            }
            Err(errno) => return Err(Error::call("mkdirat", self.at(id), errno)),
        }
        // A `delete --force` that comes between these two calls wins: the lock finds the directory gone.
        self.lock(id)
    }

    /// Opens the entry of a container and takes its lock, waiting at most [`super::lock::DEADLINE`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] with `container does not exist`, also when it is deleted while waiting; a lock that somebody
    /// keeps, with the holder's name.
    pub fn lock(&self, id: &str) -> Result<Entry> {
        let mut entry = self.entry(id)?;
        entry.take_lock()?;
        Ok(entry)
    }

    /// Opens the entry of a container without its lock, to look only.
    ///
    /// # Errors
    /// [`Kind::NotFound`] with `container does not exist`; an entry that is no directory, is somebody else's, or may be
    /// written by others.
    pub fn entry(&self, id: &str) -> Result<Entry> {
        check_id(id)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = match openat(&*self.root, id, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Err(does_not_exist()),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let what = format!("\"{}\" is no directory of a container", self.at(id));
                return Err(Error::new(Kind::Denied, what));
            }
            Err(errno) => return Err(Error::call("openat", self.at(id), errno)),
        };
        owned_by_us(&fstat(&dir).call("fstat", self.at(id))?, &self.at(id))?;
        Ok(Entry::new(dir, id, self.at(id), self.root.clone()))
    }

    /// The ids of all entries in ascending order. Names that are no ids, and what is no directory, belong to others.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn ids(&self) -> Result<Vec<String>> {
        let object = self.path.display();
        let mut ids = Vec::new();
        for item in Dir::read_from(&*self.root).call("getdents64", &object)? {
            let item = item.call("getdents64", &object)?;
            let maybe = matches!(item.file_type(), FileType::Directory | FileType::Unknown);
            if let (true, Some(id)) = (maybe, id_of(item.file_name())) {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The directory's path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, id: &str) -> String {
        self.path.join(id).display().to_string()
    }
}

/// The answer engines know.
pub(super) fn does_not_exist() -> Error {
    Error::new(Kind::NotFound, "container does not exist")
}

/// An id as the command line takes it. It is checked here again because it becomes a file name.
pub(super) fn is_id(id: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+');
    id.len() <= 255
        && id.bytes().next().is_some_and(word)
        && id.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn check_id(id: &str) -> Result<()> {
    if is_id(id) { Ok(()) } else { Err(Error::new(Kind::Usage, "invalid container ID format")) }
}

fn id_of(name: &CStr) -> Option<String> {
    name.to_str().ok().filter(|name| is_id(name)).map(str::to_owned)
}

/// Refuses a directory that somebody else may change.
fn owned_by_us(stat: &Stat, name: &str) -> Result<()> {
    let euid = geteuid().as_raw();
    let mode = Mode::from_raw_mode(stat.st_mode);
    let why = if stat.st_uid != euid {
        format!("is owned by user {}, not by {euid}", stat.st_uid)
    } else if mode.intersects(Mode::WGRP | Mode::WOTH) && !mode.contains(Mode::SVTX) {
        format!("may be written by group or others (mode {:04o})", stat.st_mode & 0o7777)
    } else {
        return Ok(());
    };
    let error = Error::new(Kind::Denied, format!("state directory \"{name}\" {why}"));
    Err(error.hint("a state directory decides which processes get signals; use one that only its owner can change"))
}

#[cfg(test)]
pub(super) mod tests;
