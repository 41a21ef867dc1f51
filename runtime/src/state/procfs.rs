//! The host's procfs, read through a descriptor that was verified to be one.

use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, open, openat2};
use rustix::io::Errno;

use crate::error::{Call as _, Error, Kind, Result};

/// The inode of the root of every procfs (PROC_ROOT_INO): a bind mount of a part of one has another.
const ROOT_INODE: u64 = 1;

/// Limit of one file, in bytes. The largest of interest are `PID/stat` and `locks`.
const MAX_BYTES: u64 = 1 << 20;

/// The procfs at `/proc`.
#[derive(Debug)]
pub struct Procfs {
    root: OwnedFd,
}

impl Procfs {
    /// Opens `/proc` and refuses what is no procfs: with a file system of somebody else there, every pid is whatever
    /// they say it is (CVE-2019-16884, CVE-2025-52881 are of this kind).
    ///
    /// # Errors
    /// Another file system at `/proc`, or a failed call.
    pub fn open() -> Result<Procfs> {
        let root = open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .call("open", "/proc")?;
        let magic = fstatfs(&root).call("fstatfs", "/proc")?.f_type;
        let inode = fstat(&root).call("fstat", "/proc")?.st_ino;
        if magic != PROC_SUPER_MAGIC || inode != ROOT_INODE {
            let error = Error::new(Kind::Denied, "\"/proc\" is not the root of a procfs");
            return Err(error.hint("mount proc there; without it no process can be told from another"));
        }
        Ok(Procfs { root })
    }

    /// Opens a file below `/proc` for reading. Mounts on top of single files are not entered.
    ///
    /// # Errors
    /// What openat2(2) reports; `EXDEV` where something is mounted on top.
    pub fn open_file(&self, name: &str) -> std::result::Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        loop {
            // EAGAIN: a rename somewhere in the system raced with the resolution (openat2(2)).
            match openat2(&self.root, name, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Reads a file below `/proc`; bytes that are no UTF-8, as a process may have in its name, are replaced.
    ///
    /// # Errors
    /// What openat2(2) and read(2) report: `ENOENT` or `ESRCH` for a process that is gone.
    pub fn read(&self, name: &str) -> std::result::Result<String, Errno> {
        read_all(self.open_file(name)?)
    }

    /// A namespace of the caller's own, by its name in `/proc/PID/ns`.
    ///
    /// # Errors
    /// A failed call.
    pub fn namespace(&self, name: &str) -> Result<OwnedFd> {
        // A magic link is what is wanted here, in the caller's own directory of a procfs that was verified.
        let path = format!("{}/ns/{name}", std::process::id());
        rustix::fs::openat(&self.root, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .call("openat", format_args!("/proc/{path}"))
    }

    /// The root directory of a process, as it sees it. The caller checks afterwards that the pid was still the one meant.
    ///
    /// # Errors
    /// A failed call.
    pub fn root(&self, pid: i32) -> Result<OwnedFd> {
        // A magic link is what is wanted here; the procfs it is in was verified.
        let path = format!("{pid}/root");
        rustix::fs::openat(&self.root, path.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .call("openat", format_args!("/proc/{path}"))
    }

    /// Opens the file behind a descriptor of the caller's, an `O_PATH` one that was looked at, for more.
    ///
    /// # Errors
    /// What openat(2) reports.
    pub fn reopen(&self, file: BorrowedFd<'_>, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let path = format!("{}/fd/{}", std::process::id(), file.as_raw_fd());
        rustix::fs::openat(&self.root, path.as_str(), flags | OFlags::CLOEXEC, Mode::empty())
    }

    /// Writes a file below `/proc` in one call.
    ///
    /// # Errors
    /// A failed call.
    pub fn write(&self, name: &str, value: &str) -> Result<()> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let fd = openat2(&self.root, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
            .call("openat2", format_args!("/proc/{name}"))?;
        rustix::io::write(&fd, value.as_bytes()).call("write", format_args!("/proc/{name}")).map(drop)
    }

    /// The id of this boot, a new one after each.
    ///
    /// # Errors
    /// A failed call.
    pub fn boot_id(&self) -> Result<String> {
        const NAME: &str = "sys/kernel/random/boot_id";
        // Mounts are entered here: some system containers have a file of their own on top, with an id that is as
        // good, since it changes with each boot of theirs.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = openat2(&self.root, NAME, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
            .call("openat2", format_args!("/proc/{NAME}"))?;
        Ok(read_all(file).call("read", format_args!("/proc/{NAME}"))?.trim_end().to_owned())
    }

    /// `/proc/PID/stat`, or `None` when there is no such process.
    ///
    /// # Errors
    /// A failed call, or a line that cannot be read.
    pub fn stat(&self, pid: i32) -> Result<Option<Stat>> {
        let name = format!("{pid}/stat");
        match self.read(&name) {
            Ok(line) => Stat::parse(&line).map(Some).ok_or_else(|| {
                Error::new(Kind::System, format!("read \"/proc/{name}\": a line of another form than proc(5) says"))
            }),
            Err(Errno::NOENT | Errno::SRCH) => Ok(None),
            Err(errno) => Err(Error::call("read", format_args!("/proc/{name}"), errno)),
        }
    }
}

impl AsFd for Procfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

fn read_all(fd: OwnedFd) -> std::result::Result<String, Errno> {
    // Files in procfs tell no size; nearly all of them are shorter than this, and then one read does.
    let mut bytes = Vec::with_capacity(4096);
    let file = std::fs::File::from(fd);
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is of interest in `/proc/PID/stat`, proc_pid_stat(5); times in clock ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Field 2: the name of the main thread, at most 15 bytes.
    pub command: String,
    /// Field 3: `R`, `S`, `D`, `Z`, `X`...
    pub state: char,
    /// Field 4: the parent.
    pub ppid: i32,
    /// Field 7: the controlling terminal's device number, 0 for none.
    pub tty: i32,
    /// Field 14: time in user mode.
    pub utime: u64,
    /// Field 15: time in the kernel.
    pub stime: u64,
    /// Field 22: when the process started, since boot.
    pub start_time: u64,
}

impl Stat {
    /// The name may hold spaces, parentheses and line breaks, so fields are counted from the last parenthesis.
    pub fn parse(line: &str) -> Option<Stat> {
        let (head, tail) = line.rsplit_once(')')?;
        let command = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Stat {
            command,
            state: field(3)?.chars().next()?,
            ppid: field(4)?.parse().ok()?,
            tty: field(7)?.parse().ok()?,
            utime: field(14)?.parse().ok()?,
            stime: field(15)?.parse().ok()?,
            start_time: field(22)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_process_cannot_forge_its_fields() {
        let line = "7 (a) R 1 1 1 0 (x\n) S 5 5 5 34816 5 4194304 1 0 0 0 11 22 0 0 20 0 1 0 333 1 1\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.ppid, stat.utime, stat.stime, stat.start_time), ('S', 5, 11, 22, 333));
        assert_eq!(stat.command, "a) R 1 1 1 0 (x\n");
    }

    #[test]
    fn line_that_is_cut_off_is_refused() {
        for line in ["", "7", "7 (a", "7 (a)", "7 (a) S 5 5 5", "7 (a) S 5 5 5 0 5 1 1 0 0 0 1 2 0 0 20 0 1 0"] {
            assert_eq!(Stat::parse(line), None, "{line}");
        }
    }

    #[test]
    fn own_process_is_found_with_its_parent() {
        let stat = Procfs::open().unwrap().stat(std::process::id() as i32).unwrap().unwrap();
        assert_eq!(stat.ppid, std::os::unix::process::parent_id() as i32);
    }

    #[test]
    fn files_outside_of_procfs_are_not_reached() {
        let procfs = Procfs::open().unwrap();
        assert_eq!(procfs.read("../etc/passwd").unwrap_err(), Errno::XDEV);
        assert_eq!(procfs.read("self/stat").unwrap_err(), Errno::LOOP);
    }
}
