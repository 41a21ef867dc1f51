//! The directory of one container, and the files in it.

use std::ffi::CStr;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::lock;
use super::record::{MAX_BYTES, Record};
use super::store::does_not_exist;
use crate::cgroup;
use crate::error::{Call as _, Context as _, Error, Kind, Result};

/// The [`Record`].
pub const STATE: &str = "state.json";

/// The configuration as it was used.
pub const CONFIG: &str = "config.json";

/// The socket init waits at. `start` removes it *before* it tells init to go on: without it the container was started.
pub const START: &str = "start";

/// The socket that stands for `$NOTIFY_SOCKET`, or a directory with it.
pub const NOTIFY: &str = "notify";

/// How the names of files begin that are being written.
const TEMPORARY: &str = ".new-";

/// How deep below an entry content of others is removed.
const MAX_DEPTH: usize = 32;

/// What [`Entry::remove`] does with files that the runtime did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They keep the entry from being removed.
    Refuse,
    /// They are removed too, but for file systems mounted among them.
    Remove,
}

/// The directory of one container, held open; with its lock if it was opened by [`super::Store::lock`].
#[derive(Debug)]
pub struct Entry {
    dir: OwnedFd,
    id: String,
    path: String,
    root: Arc<OwnedFd>,
    locked: bool,
}

impl Entry {
    pub(super) fn new(dir: OwnedFd, id: &str, path: String, root: Arc<OwnedFd>) -> Entry {
        Entry { dir, id: id.to_owned(), path, root, locked: false }
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory's path, for messages and for what a socket's address has to name.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether this entry holds the lock.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether another command holds the lock.
    ///
    /// # Errors
    /// What flock(2) reports.
    pub fn is_locked_by_another(&self) -> Result<bool> {
        // On the descriptor that has the lock the question would give the lock away.
        if self.locked { Ok(false) } else { lock::is_held(&self.dir, &self.path) }
    }

    pub(super) fn take_lock(&mut self) -> Result<()> {
        lock::take(&self.dir, &self.path, lock::DEADLINE)?;
        self.locked = true;
        // Who had the lock may have deleted the container, and someone may have made a new one of the same name.
        let ours = fstat(&self.dir).call("fstat", &self.path)?;
        match statat(&*self.root, &self.id, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino) => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(does_not_exist()),
            Err(errno) => Err(Error::call("fstatat", &self.path, errno)),
        }
    }

    /// Reads the record.
    ///
    /// # Errors
    /// A missing, truncated or tampered `state.json`; see [`Record::parse`].
    pub fn read(&self) -> Result<Record> {
        let record = self.read_file(STATE, MAX_BYTES).and_then(|bytes| Record::parse(&bytes, &self.id));
        record.context(format_args!("container \"{}\"", self.id)).hint("delete --force removes what is left of it")
    }

    /// The cgroups that a record names which is otherwise of no use; see [`Record::salvage_cgroups`].
    ///
    /// # Errors
    /// As [`Entry::read`].
    pub fn salvage_cgroups(&self) -> Result<Vec<cgroup::Record>> {
        Record::salvage_cgroups(&self.read_file(STATE, MAX_BYTES)?)
    }

    /// Replaces the record.
    ///
    /// # Errors
    /// A record that could not be read again, or a failed call.
    pub fn write(&self, record: &Record) -> Result<()> {
        if record.id != self.id {
            let what = format!("state.json of container \"{}\" does not belong into \"{}\"", record.id, self.path);
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        self.write_file(STATE, &record.to_json()?)
    }

    /// Replaces a file of the entry, mode 0600: readers find the old content or the new one.
    ///
    /// There is no fsync(2). The state directory is a tmpfs, and where it is not, all it says is void after a crash of
    /// the host, which the boot id in the record shows.
    ///
    /// # Errors
    /// A failed call; the file is as it was then.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // Only the holder of the lock writes, so one temporary name for each file is enough; what a killed writer
        // left is removed. O_EXCL: nobody else's file or link is ever written to.
        let temporary = format!("{TEMPORARY}{name}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.unlink(&temporary, AtFlags::empty())?;
        let fd = openat(&self.dir, temporary.as_str(), flags, Mode::RUSR | Mode::WUSR).call("openat", self.at(name))?;
        std::fs::File::from(fd).write_all(bytes).call("write", self.at(name))?;
        renameat(&self.dir, temporary.as_str(), &self.dir, name).call("renameat", self.at(name))
    }

    /// Reads a file of the entry with at most `max` bytes.
    ///
    /// # Errors
    /// A file that is missing, longer, a symbolic link or not regular; a failed call.
    pub fn read_file(&self, name: &str, max: usize) -> Result<Vec<u8>> {
        // O_NONBLOCK: the open of a FIFO returns at once.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = match openat(&self.dir, name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NXIO) => return Err(self.not_regular(name)),
            other => other.call("openat", self.at(name))?,
        };
        let stat = fstat(&fd).call("fstat", self.at(name))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.not_regular(name));
        }
        let too_large = || Error::new(Kind::InvalidConfig, format!("\"{}\" is larger than {max} bytes", self.at(name)));
        if usize::try_from(stat.st_size).is_ok_and(|size| size > max) {
            return Err(too_large());
        }
        // One more than there should be, so that the read that finds the end needs no more room.
        let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(max) + 1);
        let file = std::fs::File::from(fd);
        file.take(max as u64 + 1).read_to_end(&mut bytes).call("read", self.at(name))?;
        if bytes.len() > max { Err(too_large()) } else { Ok(bytes) }
    }

    /// Whether init waits for `start`: the socket [`START`] is there.
    ///
    /// # Errors
    /// Something else of that name, or a failed call.
    pub fn is_waiting(&self) -> Result<bool> {
        match statat(&self.dir, START, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => Ok(true),
            Ok(_) => Err(Error::new(Kind::Denied, format!("\"{}\" is not a socket", self.at(START)))),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::call("fstatat", self.at(START), errno)),
        }
    }

    /// Removes [`START`], after which the container counts as started. `false` when it was not there.
    ///
    /// # Errors
    /// What unlinkat(2) reports.
    pub fn remove_start(&self) -> Result<bool> {
        self.unlink(START, AtFlags::empty())
    }

    /// Removes the entry with all that the runtime put there; what is in the way is named.
    ///
    /// `state.json` goes last, so that a `delete` that was killed can be repeated.
    ///
    /// # Errors
    /// A file the runtime did not make, under [`Unknown::Refuse`]; a failed call.
    pub fn remove(&self, unknown: Unknown) -> Result<()> {
        let names = names(&self.dir, &self.path)?;
        let foreign = names.iter().find(|name| !is_known(name)).filter(|_| unknown == Unknown::Refuse);
        if let Some(name) = foreign {
            let what = format!("\"{}\" was not made by the runtime", self.at(&name.to_string_lossy()));
            return Err(Error::new(Kind::Denied, what).hint("remove it, or use delete --force"));
        }
        for name in names.iter().filter(|name| name.to_bytes() != STATE.as_bytes()) {
            remove_all(self.dir.as_fd(), name, &self.at(&name.to_string_lossy()), MAX_DEPTH)?;
        }
        self.unlink(STATE, AtFlags::empty())?;
        match unlinkat(&*self.root, self.id.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::call("rmdir", &self.path, errno)),
        }
    }

    fn unlink(&self, name: &str, flags: AtFlags) -> Result<bool> {
        match unlinkat(&self.dir, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::call("unlinkat", self.at(name), errno)),
        }
    }

    fn not_regular(&self, name: &str) -> Error {
        Error::new(Kind::Denied, format!("\"{}\" is not a regular file", self.at(name)))
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

impl AsFd for Entry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Drop for Entry {
    /// Gives the lock back at once: a child between fork and exec has the descriptor too, and would keep it.
    fn drop(&mut self) {
        if self.locked {
            // The lock ends with the last descriptor anyway.
            let _unlocked = flock(&self.dir, FlockOperation::Unlock);
        }
    }
}

fn is_known(name: &CStr) -> bool {
    let Ok(name) = name.to_str() else { return false };
    let name = name.strip_prefix(TEMPORARY).unwrap_or(name);
    [STATE, CONFIG, START, NOTIFY].contains(&name)
}

fn names(dir: impl AsFd, path: &str) -> Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for item in Dir::read_from(dir).call("getdents64", path)? {
        let item = item.call("getdents64", path)?;
        if !matches!(item.file_name().to_bytes(), b"." | b"..") {
            names.push(item.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Removes a file, or a directory with its content; links are removed and not followed, and the removal of a mount
/// point fails with `EBUSY`.
fn remove_all(dir: BorrowedFd<'_>, name: &CStr, path: &str, depth: usize) -> Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // A directory; some file systems say EPERM.
        Err(Errno::ISDIR | Errno::PERM) if depth > 0 => {}
        Err(errno) => return Err(Error::call("unlinkat", path, errno)),
    }
    match unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(errno) => return Err(Error::call("rmdir", path, errno)),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let inner = openat(dir, name, flags, Mode::empty()).call("openat", path)?;
    // A mount point is not emptied: what is mounted there is somebody's data.
    let (here, there) = (fstat(dir).call("fstat", path)?, fstat(&inner).call("fstat", path)?);
    if here.st_dev != there.st_dev {
        return Err(Error::new(Kind::Denied, format!("a file system is mounted at \"{path}\"")).hint("unmount it"));
    }
    for child in names(&inner, path)? {
        let path = format!("{path}/{}", child.to_string_lossy());
        remove_all(inner.as_fd(), &child, &path, depth - 1)?;
    }
    unlinkat(dir, name, AtFlags::REMOVEDIR).call("rmdir", path)
}

#[cfg(test)]
mod tests;
