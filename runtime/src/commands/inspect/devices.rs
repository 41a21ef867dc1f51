//! The device nodes that a container has, and which of them its cgroup lets it open.

use super::mounts::{Mounts, open};
use crate::cgroup::{Cgroup, DeviceAccess};
use crate::error::{Error, Result};
use crate::state::of_cgroup;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;
use serde::Serialize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How deep below /dev nodes are looked for, and how many at most: a container can make as many as it likes.
const MAX_DEPTH: usize = 4;
const MAX_NODES: usize = 1024;

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its path inside.
    pub path: String,
    /// `c` or `b`.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// The mount and the cgroup let it be opened; absent when the cgroup does not say (cgroup v2).
    pub reachable: Option<bool>,
}

impl Node {
    /// Whether every container has it (config-linux.md, "Default Devices"), or it is a terminal.
    pub fn is_ordinary(&self) -> bool {
        self.kind == 'c' && matches!((self.major, self.minor), (1, 3 | 5 | 7 | 8 | 9) | (5, 0..=2) | (136..=143, _))
    }
}

/// Nodes and rules.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    /// The nodes below /dev.
    pub nodes: Vec<Node>,
    /// There are more, or directories that were not looked into.
    pub incomplete: bool,
    /// What the cgroup lets through.
    pub access: DeviceAccess,
}

/// Reads both.
///
/// # Errors
/// A failed call.
pub fn read(root: BorrowedFd<'_>, mounts: &Mounts, cgroup: &Cgroup) -> Result<Devices> {
    let access = cgroup.device_access().map_err(of_cgroup)?;
    let mut walk = Walk { mounts, access: &access, nodes: Vec::new(), incomplete: false };
    let fail = |errno| Error::call("openat2", "/dev of the container", errno);
    if mounts.may_wait("/dev") {
        walk.incomplete = true;
    } else {
        match open(root, "/dev", OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dev) => walk.directory(dev, "/dev", 0).map_err(fail)?,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    let Walk { nodes, incomplete, .. } = walk;
    Ok(Devices { nodes, incomplete, access })
}

struct Walk<'a> {
    mounts: &'a Mounts,
    access: &'a DeviceAccess,
    /// By path.
    nodes: Vec<Node>,
    incomplete: bool,
}

impl Walk<'_> {
    fn directory(&mut self, directory: OwnedFd, path: &str, depth: usize) -> Result<(), Errno> {
        let mut entries = 0_usize;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let below = format!("{path}/{}", name.to_string_lossy());
            entries += 1;
            if entries > MAX_NODES || self.nodes.len() >= MAX_NODES {
                self.incomplete = true;
                break;
            }
            if name == c"." || name == c".." {
                continue;
            }
            // A mount point: asking it may wait for whoever serves it.
            if self.mounts.may_wait(&below) {
                self.incomplete = true;
                continue;
            }
            let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Gone since, or not for us.
                Err(_) => continue,
            };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice => 'c',
                FileType::BlockDevice => 'b',
                FileType::Directory if depth < MAX_DEPTH => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                    match openat2(directory.as_fd(), name, flags, Mode::empty(), resolve) {
                        Ok(child) => self.directory(child, &below, depth + 1)?,
                        Err(_) => self.incomplete = true,
                    }
                    continue;
                }
                FileType::Directory => {
                    self.incomplete = true;
                    continue;
                }
                _ => continue,
            };
            let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            let nodev = self.mounts.of(&below).is_some_and(|mount| mount.nodev);
            let reachable = if nodev { Some(false) } else { allowed(self.access, kind, major, minor) };
            let place = self.nodes.partition_point(|node| node.path < below);
            self.nodes.insert(place, Node { path: below, kind, major, minor, reachable });
        }
        Ok(())
    }
}

/// Whether the cgroup lets a device be read or written.
fn allowed(access: &DeviceAccess, kind: char, major: u32, minor: u32) -> Option<bool> {
    match access {
        DeviceAccess::Everything => Some(true),
        DeviceAccess::Programs(_) => None,
        DeviceAccess::Listed(lines) => Some(lines.iter().any(|line| {
            let mut words = line.split_ascii_whitespace();
            let (first, numbers, letters) = (words.next(), words.next(), words.next().unwrap_or_default());
            let is = |pattern: &str, number: u32| pattern == "*" || pattern == number.to_string();
            let of = numbers.and_then(|numbers| numbers.split_once(':'));
            first.is_some_and(|word| word == "a" || word.starts_with(kind))
                && of.is_some_and(|(a, b)| is(a, major) && is(b, minor))
                && letters.contains(['r', 'w'])
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_for_mknod_alone_lets_nothing_be_opened() {
        let listed = DeviceAccess::Listed(vec!["c *:* m".into(), "c 1:3 rwm".into(), "c 136:* rw".into()]);
        assert_eq!(allowed(&listed, 'c', 1, 3), Some(true));
        assert_eq!(allowed(&listed, 'c', 1, 4), Some(false));
        assert_eq!(allowed(&listed, 'b', 1, 3), Some(false));
        assert_eq!(allowed(&listed, 'c', 136, 7), Some(true));
        assert_eq!(allowed(&DeviceAccess::Everything, 'b', 8, 0), Some(true));
        assert_eq!(allowed(&DeviceAccess::Programs(1), 'b', 8, 0), None);
    }

    #[test]
    fn nodes_of_this_host_are_found_and_terminals_are_ordinary() {
        let mounts = Mounts::parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap()).unwrap();
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let devices = read(root.as_fd(), &mounts, &Cgroup::open(&[])).unwrap();
        let null = devices.nodes.iter().find(|node| node.path == "/dev/null").unwrap();
        assert_eq!((null.kind, null.major, null.minor), ('c', 1, 3));
        assert!(null.is_ordinary());
        let disk = Node { path: "/dev/sda".into(), kind: 'b', major: 8, minor: 0, reachable: Some(true) };
        assert!(!disk.is_ordinary());
    }
}
