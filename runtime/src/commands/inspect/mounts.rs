//! The mounts of a process as the kernel lists them, and what lies where: `/proc/PID/mountinfo`, proc_pid_mountinfo(5).

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatfs, fstatvfs, openat2};
use rustix::io::Errno;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{BorrowedFd, OwnedFd};

/// One mount that can be reached by a path: none is mounted on top of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where, inside the container.
    pub point: String,
    /// The directory or file of the filesystem that is there.
    pub root: String,
    /// The filesystem's device, `MAJOR:MINOR`: the same for two mounts of the same filesystem.
    pub device: String,
    /// The filesystem's type.
    pub r#type: String,
    /// The mount or the filesystem is read-only.
    pub read_only: bool,
    /// Set-user-ID bits and file capabilities do not count.
    pub nosuid: bool,
    /// Device nodes cannot be opened.
    pub nodev: bool,
    /// Nothing can be executed.
    pub noexec: bool,
    /// Mounts made here appear elsewhere too.
    pub shared: bool,
    #[serde(skip)]
    id: u32,
    #[serde(skip)]
    parent: u32,
}

impl Mount {
    fn parse(line: &str) -> Option<Mount> {
        let (fields, rest) = line.split_once(" - ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let mut rest = rest.split(' ');
        let (fs_type, options) = (rest.next()?, fields.get(5)?);
        let has = |option: &str| options.split(',').any(|word| word == option);
        let superblock = rest.nth(1).unwrap_or_default();
        Some(Mount {
            id: fields.first()?.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            device: (*fields.get(2)?).to_owned(),
            root: unescape(fields.get(3)?),
            point: unescape(fields.get(4)?),
            r#type: fs_type.to_owned(),
            read_only: has("ro") || superblock.split(',').next() == Some("ro"),
            nosuid: has("nosuid"),
            nodev: has("nodev"),
            noexec: has("noexec"),
            shared: fields.iter().skip(6).any(|tag| tag.starts_with("shared:")),
        })
    }

    /// Where it is, without a slash at the end; empty for the root.
    fn trimmed(&self) -> &str {
        self.point.trim_end_matches('/')
    }

    /// Whether lookups may wait for a program or another machine.
    fn is_remote(&self) -> bool {
        ["fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "virtiofs", "autofs"]
            .iter()
            .any(|name| self.r#type.starts_with(name))
    }
}

/// The mounts that paths lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts(pub Vec<Mount>);

impl Mounts {
    /// Reads a mountinfo; `None` for one of another form.
    pub fn parse(text: &str) -> Option<Mounts> {
        let all: Vec<Mount> = text.lines().map(Mount::parse).collect::<Option<_>>()?;
        // By number and by place: a container may have made a hundred thousand mounts, and each is looked for.
        let mut by_id: BTreeMap<u32, usize> = BTreeMap::new();
        by_id.extend(all.iter().enumerate().rev().map(|(index, mount)| (mount.id, index)));
        let mut on: BTreeSet<(u32, &str)> = BTreeSet::new();
        on.extend(all.iter().filter(|mount| mount.id != mount.parent).map(|mount| (mount.parent, mount.trimmed())));
        // On top of a mount lies the one whose parent it is, on the same point.
        let covered: Vec<bool> = all.iter().map(|mount| on.contains(&(mount.id, mount.trimmed()))).collect();
        // A mount hides those on the same parent that are further down.
        let hidden = |mount: &Mount| above(mount.trimmed()).any(|point| on.contains(&(mount.parent, point)));
        let mut reached: Vec<bool> = all.iter().map(|mount| !hidden(mount)).collect();
        // What stands on a hidden mount is hidden, and so is what stands inside of a covered one.
        let mut carried: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
        for (index, mount) in all.iter().enumerate() {
            let Some(&parent) = by_id.get(&mount.parent) else { continue };
            let inside = all.get(parent).is_some_and(|parent| parent.point != mount.point);
            if inside
                && covered.get(parent).copied().unwrap_or(false)
                && let Some(flag) = reached.get_mut(index)
            {
                *flag = false;
            }
            if let Some(list) = carried.get_mut(parent) {
                list.push(index);
            }
        }
        let mut lost: Vec<usize> =
            reached.iter().enumerate().filter_map(|(index, flag)| (!flag).then_some(index)).collect();
        while let Some(index) = lost.pop() {
            for &index in carried.get(index).into_iter().flatten() {
                if let Some(flag) = reached.get_mut(index).filter(|flag| **flag) {
                    *flag = false;
                    lost.push(index);
                }
            }
        }
        let visible = all.into_iter().zip(reached).zip(covered);
        let visible = visible.filter(|((_, reached), covered)| *reached && !covered).map(|((mount, _), _)| mount);
        Some(Mounts(visible.collect()))
    }

    /// The mount that a path is on, symbolic links aside.
    pub fn of(&self, path: &str) -> Option<&Mount> {
        self.0.iter().filter(|mount| is_below(path, &mount.point)).max_by_key(|mount| mount.point.len())
    }

    /// Whether a lookup of the path may wait for somebody; the root filesystem is the engine's own.
    pub fn may_wait(&self, path: &str) -> bool {
        self.0.iter().any(|mount| mount.point != "/" && is_below(path, &mount.point) && mount.is_remote())
    }

    /// Where a path lies: the filesystem's device and the path in it.
    pub fn place(&self, path: &str) -> Option<(&str, String)> {
        let mount = self.of(path)?;
        let rest = path.strip_prefix(mount.point.trim_end_matches('/')).unwrap_or_default();
        let place = format!("{}{rest}", mount.root.trim_end_matches('/'));
        Some((&mount.device, if place.is_empty() { "/".to_owned() } else { place }))
    }
}

/// The directories above a path, each without a slash at its end.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(end, _)| path.get(..end))
}

/// Whether a path is a directory or in it.
pub fn is_below(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Spaces and the like stand as three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a path of a container is for those inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cover {
    /// It is not there.
    Absent,
    /// An empty read-only directory or a null device is in its place.
    Masked,
    /// It can be read.
    ReadOnly,
    /// It can be read, and written as far as permissions go.
    Writable,
    /// It was not looked at: it may be on a filesystem that makes callers wait.
    Unknown,
}

/// Looks at a path of a container through the container's root, the kernel keeping inside.
///
/// # Errors
/// A failed call.
pub fn cover(root: BorrowedFd<'_>, mounts: &Mounts, path: &str) -> Result<Cover, Errno> {
    if mounts.may_wait(path) {
        return Ok(Cover::Unknown);
    }
    let handle = match open(root, path, OFlags::PATH) {
        Ok(handle) => handle,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Cover::Absent),
        Err(errno) => return Err(errno),
    };
    let (stat, read_only) = (fstat(&handle)?, fstatvfs(&handle)?.f_flag.contains(StatVfsMountFlags::RDONLY));
    let is_null = stat.st_rdev == rustix::fs::makedev(1, 3);
    /// TMPFS_MAGIC of linux/magic.h.
    const TMPFS: i64 = 0x0102_1994;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if is_null => Cover::Masked,
        FileType::Directory if read_only && fstatfs(&handle)?.f_type == TMPFS => Cover::Masked,
        _ if read_only => Cover::ReadOnly,
        _ => Cover::Writable,
    })
}

/// Opens a path as if the directory were the root.
pub fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: a rename raced with the resolution; 128 in a row is no accident.
    for _ in 0..128 {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a container of Docker's, with a scratch filesystem below its root as casemate has it.
    const TEXT: &str = "\
1021 1020 0:93 / / ro,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u
1022 1021 0:97 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1023 1021 0:98 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
1024 1023 0:99 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
1025 1021 8:1 /srv/my\\040data /data rw,relatime shared:7 - ext4 /dev/sda1 rw,errors=remount-ro
1026 1022 0:97 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw
1027 1021 8:1 /old /mnt/a rw - ext4 /dev/sda1 rw
1028 1021 0:55 / /mnt rw - tmpfs tmpfs ro
1029 1027 0:56 / /mnt/a/b rw - tmpfs tmpfs rw
";

    #[test]
    fn mounts_that_others_hide_are_left_out() {
        let mounts = Mounts::parse(TEXT).unwrap();
        let points: Vec<&str> = mounts.0.iter().map(|mount| mount.point.as_str()).collect();
        assert_eq!(points, ["/", "/proc", "/dev", "/dev/pts", "/data", "/proc/sys", "/mnt"]);
        let data = mounts.of("/data/x").unwrap();
        assert_eq!(
            (data.root.as_str(), data.shared, data.read_only, data.nosuid),
            ("/srv/my data", true, false, false)
        );
        assert!(mounts.of("/").unwrap().read_only && mounts.of("/mnt").unwrap().read_only);
        assert!(
            mounts.of("/proc/sys/kernel").unwrap().read_only && !mounts.of("/proc/sysrq-trigger").unwrap().read_only
        );
    }

    #[test]
    fn a_pile_of_mounts_on_one_point_shows_its_top() {
        let text = "1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / /p rw - proc x rw\n3 2 0:3 / /p ro - tmpfs x rw\n4 3 0:4 / /p/q rw - tmpfs x rw\n";
        let mounts = Mounts::parse(text).unwrap();
        assert_eq!(mounts.0.iter().map(|m| m.device.as_str()).collect::<Vec<_>>(), ["0:1", "0:3", "0:4"]);
        // What was in the mount below is gone with it, a pile of two as well.
        let text = "1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / /p rw - proc x rw\n3 2 0:3 / /p/q ro - tmpfs x rw\n4 3 0:4 / /p/q rw - tmpfs x rw\n5 2 0:5 / /p rw - tmpfs x rw\n";
        let mounts = Mounts::parse(text).unwrap();
        assert_eq!(mounts.0.iter().map(|m| m.device.as_str()).collect::<Vec<_>>(), ["0:1", "0:5"]);
    }

    /// Found by fuzzing: pairs of mounts were compared, for minutes.
    #[test]
    fn many_mounts_are_seen_as_few_are() {
        let mut text = String::from("1 0 0:1 / / rw - ext4 x rw\n");
        (2..30_000).for_each(|id| text += &format!("{id} {} 0:1 / /a rw - tmpfs x rw\n", id - 1));
        let piled = Mounts::parse(&text).unwrap();
        assert_eq!(piled.0.iter().map(|mount| mount.id).collect::<Vec<_>>(), [1, 29_999]);
        text += "30000 1 0:1 / /b rw - tmpfs x rw\n30001 2 0:1 / /a/c rw - tmpfs x rw\n30002 30001 0:1 / /a/c/d rw - tmpfs x rw\n";
        let more = Mounts::parse(&text).unwrap();
        assert_eq!(more.0.iter().map(|mount| mount.id).collect::<Vec<_>>(), [1, 29_999, 30_000]);
    }

    #[test]
    fn a_place_is_the_path_in_its_filesystem() {
        let mounts = Mounts::parse(TEXT).unwrap();
        assert_eq!(mounts.place("/data/x"), Some(("8:1", "/srv/my data/x".into())));
        assert_eq!(mounts.place("/data"), Some(("8:1", "/srv/my data".into())));
        assert_eq!(mounts.place("/etc"), Some(("0:93", "/etc".into())));
        assert_eq!(mounts.place("/"), Some(("0:93", "/".into())));
    }

    #[test]
    fn text_of_another_form_is_refused() {
        assert_eq!(Mounts::parse("1 0 0:1 / /"), None);
        assert_eq!(Mounts::parse("x 0 0:1 / / rw - ext4 x rw"), None);
        assert_eq!(unescape("a\\134b\\"), "a\\b\\");
    }

    #[test]
    fn paths_of_this_process_are_covered_as_they_are() {
        let mounts = Mounts::parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap()).unwrap();
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        use std::os::fd::AsFd;
        let look = |path| cover(root.as_fd(), &mounts, path).unwrap();
        assert_eq!(look("/dev/null"), Cover::Masked);
        assert_eq!(look("/no/such/path"), Cover::Absent);
        assert_eq!(look("/proc/version"), Cover::Writable);
    }
}
