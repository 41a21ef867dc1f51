//! A cgroup of the container: made and filled by the parent, joined by the child.

use crate::sys::{self, Done, Fail, Path};
use core::ffi::CStr;

/// What is set in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Devices,
    Cpuset,
    Memory,
    Unified,
    Other,
}

/// One directory in one hierarchy.
pub struct Cgroup {
    kind: Kind,
    directory: &'static CStr,
}

/// The rules of the bundle, with those devices that every container has.
const ALLOWED: [&[u8]; 11] = [
    b"c *:* m",
    b"b *:* m",
    b"c 1:3 rw",
    b"c 1:5 rw",
    b"c 1:7 rw",
    b"c 1:8 rw",
    b"c 1:9 rw",
    b"c 5:0 rw",
    b"c 5:1 rw",
    b"c 5:2 rw",
    b"c 136:* rw",
];

impl Cgroup {
    /// Takes `KIND:DIRECTORY` apart.
    pub fn read(text: &'static CStr) -> Done<Self> {
        let bytes = text.to_bytes_with_nul();
        let colon = bytes.iter().position(|byte| *byte == b':').ok_or(Fail::USAGE)?;
        let (word, directory) = (&bytes[..colon], &bytes[colon + 1..]);
        let kind = match word {
            b"devices" => Kind::Devices,
            b"cpuset" => Kind::Cpuset,
            b"memory" => Kind::Memory,
            b"unified" => Kind::Unified,
            _ => Kind::Other,
        };
        Ok(Self { kind, directory: CStr::from_bytes_with_nul(directory).map_err(|_| Fail::USAGE)? })
    }

    /// Whether it is of the version 2 hierarchy, into which a process is cloned.
    pub fn is_unified(&self) -> bool {
        self.kind == Kind::Unified
    }

    /// A handle for clone3(2).
    pub fn open(&self) -> Done<i32> {
        sys::open(self.directory, sys::O_PATH | sys::O_DIRECTORY)
    }

    /// Makes the directory and sets what its kind needs.
    pub fn make(&self, memory: Option<&CStr>) -> Done {
        sys::mkdir(self.directory, 0o755)?;
        match (self.kind, memory) {
            (Kind::Devices, _) => {
                self.set(c"/devices.deny", &[b"a"])?;
                self.set(c"/devices.allow", &ALLOWED)
            }
            (Kind::Cpuset, _) => {
                // A new cpuset is empty, and no process can join it.
                self.inherit(c"/../cpuset.cpus", c"/cpuset.cpus")?;
                self.inherit(c"/../cpuset.mems", c"/cpuset.mems")
            }
            (Kind::Memory, Some(limit)) => {
                self.set(c"/memory.limit_in_bytes", &[limit.to_bytes()])?;
                self.set(c"/memory.memsw.limit_in_bytes", &[limit.to_bytes()])
            }
            _ => Ok(()),
        }
    }

    /// Moves the calling process into it. A process that moves itself, and has one thread, does not wait for all others
    /// to leave fork and exit.
    pub fn join(&self) -> Done {
        if self.is_unified() { Ok(()) } else { self.set(c"/tasks", &[b"0"]) }
    }

    /// Removes the directory.
    pub fn remove(&self) -> Done {
        sys::rmdir(self.directory)
    }

    fn set(&self, file: &CStr, lines: &[&[u8]]) -> Done {
        let fd = sys::open(Path::join(self.directory, file)?.text(), sys::O_WRONLY)?;
        for line in lines {
            sys::write(fd, line)?;
        }
        sys::close(fd)
    }

    fn inherit(&self, from: &CStr, to: &CStr) -> Done {
        let mut value = [0; 128];
        let fd = sys::open(Path::join(self.directory, from)?.text(), 0)?;
        let length = sys::read(fd, &mut value)?;
        sys::close(fd)?;
        self.set(to, &[&value[..length]])
    }
}
