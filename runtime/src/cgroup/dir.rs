//! One directory of a cgroup file system, reached by descriptors only.
//!
//! Paths below a mount are resolved with openat2(2) so that neither a symbolic link nor another mount
//! on the way can lead elsewhere: the directory that was checked is the one written to.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{self, Errno};
use rustix::path::Arg;

use super::Error;
use super::layout::Version;

/// statfs(2) of cgroup v1.
const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;
/// statfs(2) of cgroup v2.
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open cgroup directory (`O_PATH`) and its name for messages.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    pub(super) name: String,
}

impl Dir {
    /// Opens the root of a mounted hierarchy and makes sure that it is one.
    pub(super) fn open_mount(version: Version, mount_point: &str) -> Result<Self, Error> {
        let fd = fs::open(mount_point, DIRECTORY, Mode::empty()).map_err(|e| Error::call("open", mount_point, e))?;
        let magic = fs::fstatfs(&fd).map_err(|e| Error::call("fstatfs", mount_point, e))?.f_type;
        let wanted = match version {
            Version::V1 => CGROUP_SUPER_MAGIC,
            Version::V2 => CGROUP2_SUPER_MAGIC,
        };
        if magic != wanted {
            return Err(Error::NotCgroupfs { mount_point: mount_point.to_owned() });
        }
        Ok(Self { fd, name: mount_point.to_owned() })
    }

    /// Opens a directory below this one, `None` if there is none.
    pub(super) fn open(&self, path: &str) -> Result<Option<Self>, Error> {
        let name = format!("{}/{path}", self.name);
        match openat2(&self.fd, path, DIRECTORY) {
            Ok(fd) => Ok(Some(Self { fd, name })),
            Err(Errno::NOENT | Errno::NODEV) => Ok(None),
            Err(errno) => Err(Error::call("openat2", name, errno)),
        }
    }

    /// Opens a child, whatever bytes its name has; `shown` is its name for messages.
    pub(super) fn child(&self, name: &CStr, shown: String) -> Result<Option<Self>, Error> {
        match openat2(&self.fd, name, DIRECTORY) {
            Ok(fd) => Ok(Some(Self { fd, name: shown })),
            Err(Errno::NOENT | Errno::NODEV) => Ok(None),
            Err(errno) => Err(Error::call("openat2", shown, errno)),
        }
    }

    /// Opens the directory above. Nobody can move a cgroup to another one, so it is the one that this one was found in.
    pub(super) fn parent(&self) -> Result<Self, Error> {
        let fd = fs::openat(&self.fd, "..", DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        let name = format!("{}/..", self.name.trim_end_matches("/.."));
        Ok(Self { fd: fd.map_err(|errno| Error::call("openat", name.clone(), errno))?, name })
    }

    /// Makes one directory; `false` if it is there already.
    pub(super) fn mkdir(&self, component: &str) -> Result<bool, Error> {
        match fs::mkdirat(&self.fd, component, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(Error::call("mkdirat", format!("{}/{component}", self.name), errno)),
        }
    }

    /// Removes one directory.
    pub(super) fn rmdir(&self, component: impl Arg) -> Result<(), Errno> {
        fs::unlinkat(&self.fd, component, AtFlags::REMOVEDIR)
    }

    /// Opens a file of this cgroup.
    pub(super) fn open_file(&self, file: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        openat2(&self.fd, file, flags | OFlags::CLOEXEC)
    }

    /// Reads a file whole; `None` if the file, or by now the cgroup, does not exist.
    pub(super) fn read(&self, file: &str) -> Result<Option<String>, Error> {
        let fail = |call, errno| Error::call(call, format!("{}/{file}", self.name), errno);
        let fd = match self.open_file(file, OFlags::RDONLY) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NODEV) => return Ok(None),
            Err(errno) => return Err(fail("openat2", errno)),
        };
        match read_all(&fd) {
            Ok(text) => Ok(Some(text)),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(fail("read", errno)),
        }
    }

    /// Writes a value with a single write(2), which is how cgroup files take theirs.
    pub(super) fn try_write(&self, file: &str, value: &str) -> Result<(), Errno> {
        let fd = self.open_file(file, OFlags::WRONLY)?;
        let written = io::retry_on_intr(|| io::write(&fd, value.as_bytes()))?;
        if written == value.len() { Ok(()) } else { Err(Errno::IO) }
    }

    /// Writes one value after another to a file that is opened once.
    pub(super) fn write_each<'a>(&self, file: &str, values: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let fd = self
            .open_file(file, OFlags::WRONLY)
            .map_err(|errno| Error::call("openat2", format!("{}/{file}", self.name), errno))?;
        for value in values {
            let written = io::retry_on_intr(|| io::write(&fd, value.as_bytes()));
            match written.map_err(|errno| self.refused(file, value, errno))? {
                n if n == value.len() => {}
                _ => return Err(self.refused(file, value, Errno::IO)),
            }
        }
        Ok(())
    }

    /// Writes a value, with the words for a failure.
    pub(super) fn write(&self, file: &str, value: &str) -> Result<(), Error> {
        self.try_write(file, value).map_err(|errno| self.refused(file, value, errno))
    }

    /// The error for a refused write.
    pub(super) fn refused(&self, file: &str, value: &str, errno: Errno) -> Error {
        Error::Write { file: format!("{}/{file}", self.name), value: value.to_owned(), errno }
    }

    /// Reads a file with one number; `max` is `u64::MAX`, an absent file is `None`.
    pub(super) fn read_u64(&self, file: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.read(file)? else { return Ok(None) };
        match text.trim() {
            "max" => Ok(Some(u64::MAX)),
            number => number.parse().map(Some).map_err(|_| Error::Content {
                file: format!("{}/{file}", self.name),
                reason: format!("\"{}\" is not a number", number.escape_default()),
            }),
        }
    }

    /// Reads the value behind a key of a flat keyed file, such as `populated` of `cgroup.events`.
    pub(super) fn read_key(&self, file: &str, key: &str) -> Result<Option<u64>, Error> {
        Ok(self.read(file)?.as_deref().and_then(|text| keyed(text, key)))
    }

    /// The names of the child cgroups.
    pub(super) fn children(&self) -> Result<Vec<CString>, Error> {
        self.entries(FileType::Directory)
    }

    /// The names of the files, which are the kernel's own.
    pub(super) fn files(&self) -> Result<Vec<String>, Error> {
        let names = self.entries(FileType::RegularFile)?;
        Ok(names.iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn entries(&self, file_type: FileType) -> Result<Vec<CString>, Error> {
        let fail = |call, errno| Error::call(call, self.name.clone(), errno);
        let fd = match self.open_file(".", OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NODEV) => return Ok(Vec::new()),
            Err(errno) => return Err(fail("openat2", errno)),
        };
        let mut names = Vec::new();
        for entry in fs::Dir::new(fd).map_err(|e| fail("getdents64", e))? {
            let entry = match entry {
                Ok(entry) => entry,
                // The cgroup was removed while its directory was read.
                Err(Errno::NOENT | Errno::NODEV) => break,
                Err(errno) => return Err(fail("getdents64", errno)),
            };
            let name = entry.file_name();
            if entry.file_type() == file_type && !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The value behind a key of flat keyed text.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Reads from the current position to the end.
pub(super) fn read_all(fd: impl AsFd) -> Result<String, Errno> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match io::retry_on_intr(|| io::read(&fd, &mut buffer))? {
            0 => break,
            n => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn openat2(dir: &OwnedFd, path: impl Arg + Copy, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    // EAGAIN means that a rename or a mount raced with the lookup; 128 in a row is no accident.
    for _ in 0..128 {
        match fs::openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}
