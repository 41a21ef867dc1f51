//! Which cgroup hierarchies this host has, where they are mounted and where the caller is in them.

use rustix::fs::{self, OFlags};
use rustix::io::retry_on_intr;
use serde::{Deserialize, Serialize};

use super::Error;

/// How a host divides controllers between the two versions of cgroups; cgroups(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies and cgroup v2 beside them.
    Hybrid,
    /// Only cgroup v2.
    Unified,
}

/// The version of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// cgroup v1.
    V1,
    /// cgroup v2, the unified hierarchy.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// The version.
    pub version: Version,
    /// The controllers, as the kernel spells them; `name=systemd` for a named v1 hierarchy.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount_point: String,
    /// The caller's cgroup below the mount, `/` if it is the mount's root or outside of it.
    pub own: String,
}

/// The cgroup hierarchies of a host: plain data, so that decisions can be tried on any host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The hierarchies in the order of `/proc/self/cgroup`.
    pub hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Reads the layout of this host from `/proc/self/cgroup` and `/proc/self/mountinfo`.
    ///
    /// That each mount point really is a cgroup file system is checked when it is opened.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, or a host where no hierarchy is mounted.
    pub fn discover() -> Result<Self, Error> {
        let mut layout = Self::parse(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)?;
        for hierarchy in layout.hierarchies.iter_mut().filter(|h| h.version == Version::V2) {
            let available = read(&format!("{}/cgroup.controllers", hierarchy.mount_point))?;
            hierarchy.controllers = available.split_whitespace().map(str::to_owned).collect();
        }
        Ok(layout)
    }

    /// Parses the two files of proc(5); the controllers of the unified hierarchy are in neither.
    ///
    /// # Errors
    /// A line that cannot be parsed, or no mounted hierarchy.
    pub fn parse(cgroup: &str, mountinfo: &str) -> Result<Self, Error> {
        let mounts = mountinfo.lines().map(Mount::parse).collect::<Result<Vec<_>, _>>()?;
        let mut hierarchies = Vec::new();
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(own)) = (fields.next(), fields.next(), fields.next()) else {
                return Err(content("/proc/self/cgroup", line));
            };
            let controllers: Vec<&str> = controllers.split(',').filter(|c| !c.is_empty()).collect();
            let version = if controllers.is_empty() { Version::V2 } else { Version::V1 };
            // A hierarchy that is not mounted here has no files to write to: it limits nobody.
            let Some(mount) = mounts.iter().find(|m| m.carries(version, &controllers) && m.is_visible(&mounts)) else {
                continue;
            };
            hierarchies.push(Hierarchy {
                version,
                controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
                mount_point: unescape(mount.mount_point)?,
                own: below(&unescape(mount.root)?, own),
            });
        }
        if hierarchies.is_empty() { Err(Error::NoHierarchy) } else { Ok(Self { hierarchies }) }
    }

    /// How the host divides its controllers.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.unified().is_some(), self.hierarchies.iter().any(|h| h.version == Version::V1)) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::Unified,
            (false, _) => Mode::V1,
        }
    }

    /// The unified hierarchy, if there is one.
    #[must_use]
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.version == Version::V2)
    }

    /// The hierarchy that has a controller; block I/O is `blkio` on v1 and `io` on v2.
    #[must_use]
    pub fn controller(&self, name: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == name))
    }
}

/// One read of a whole table in most cases: mountinfo is made anew for each, and could change between
/// two. (A growing buffer costs 100 us here, this 15.)
fn read(path: &str) -> Result<String, Error> {
    let fail = |call, errno| Error::call(call, path, errno);
    let file = fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, fs::Mode::empty()).map_err(|e| fail("open", e))?;
    let mut bytes = vec![0; 16 * 1024];
    let mut end = 0;
    loop {
        let rest = bytes.get_mut(end..).unwrap_or_default();
        match retry_on_intr(|| rustix::io::read(&file, &mut *rest)).map_err(|e| fail("read", e))? {
            0 => break,
            n => end += n,
        }
        if bytes.len() - end < 4096 {
            bytes.resize(bytes.len() * 2, 0);
        }
    }
    bytes.truncate(end);
    String::from_utf8(bytes).map_err(|_| Error::Content { file: path.to_owned(), reason: "is not UTF-8".to_owned() })
}

fn content(file: &str, line: &str) -> Error {
    Error::Content { file: file.to_owned(), reason: format!("unexpected line \"{}\"", line.escape_default()) }
}

/// A path of `/proc/self/cgroup` as seen from a mount whose root is `root`.
///
/// Inside a container without its own cgroup namespace the mount shows only the container's part,
/// while the kernel reports the path from the host's root.
fn below(root: &str, own: &str) -> String {
    let root = root.trim_end_matches('/');
    match own.strip_prefix(root) {
        Some(rest) if rest.starts_with('/') && !rest.contains("/..") => rest.to_owned(),
        _ => "/".to_owned(),
    }
}

/// The fields of a line of mountinfo that matter here.
#[derive(Clone, Copy)]
struct Mount<'a> {
    id: &'a str,
    parent: &'a str,
    root: &'a str,
    mount_point: &'a str,
    fs_type: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Result<Self, Error> {
        let parse = || {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ');
            let mut right = right.split(' ');
            Some(Self {
                id: left.next()?,
                parent: left.next()?,
                root: left.nth(1)?,
                mount_point: left.next()?,
                fs_type: right.next()?,
                options: right.nth(1)?,
            })
        };
        parse().ok_or_else(|| content("/proc/self/mountinfo", line))
    }

    fn carries(&self, version: Version, controllers: &[&str]) -> bool {
        match version {
            Version::V2 => self.fs_type == "cgroup2",
            Version::V1 => {
                self.fs_type == "cgroup"
                    && controllers.iter().all(|c| self.options.split(',').any(|option| option == *c))
            }
        }
    }

    /// Whether a path lookup of the mount point ends at this mount: nothing is mounted over it or over
    /// a directory on the way to it.
    fn is_visible(&self, mounts: &[Mount<'a>]) -> bool {
        let covers = |other: &Mount<'_>, limit: &str| {
            let mount_point = other.mount_point.trim_end_matches('/');
            mount_point.len() <= limit.len()
                && self.mount_point.strip_prefix(mount_point).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        let (mut at, mut came_from, mut limit) = (*self, "", self.mount_point);
        // Each turn goes one mount up, and a mount has fewer ancestors than there are mounts.
        for _ in 0..mounts.len() {
            let hides = |m: &Mount<'_>| m.parent == at.id && m.id != came_from && m.id != at.id && covers(m, limit);
            if mounts.iter().any(hides) {
                return false;
            }
            let Some(up) = mounts.iter().find(|m| m.id == at.parent && m.id != at.id) else { break };
            (came_from, limit) = (at.id, at.mount_point);
            at = *up;
        }
        true
    }
}

/// Undoes mountinfo's octal escapes.
fn unescape(field: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = (byte == b'\\')
            .then(|| tail.get(..3).and_then(|o| std::str::from_utf8(o).ok()))
            .flatten()
            .and_then(|octal| u8::from_str_radix(octal, 8).ok());
        let (value, after) = match escaped {
            Some(value) => (value, tail.get(3..).unwrap_or_default()),
            None => (byte, tail),
        };
        bytes.push(value);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| content("/proc/self/mountinfo", field))
}
