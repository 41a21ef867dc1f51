//! Paths of the config inside the rootfs: resolved by openat2(2) below the root's handle, never by string.

use crate::format::refusal;
use crate::sys::{self, Done, Fail, Text};

const IN_ROOT: u64 = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
/// As the kernel's PATH_MAX.
const PATH_MAX: usize = 4096;
/// As the kernel's MAXSYMLINKS.
const MAX_LINKS: u32 = 40;

/// A path under construction, always NUL-terminated.
struct Buffer {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { bytes: [0; PATH_MAX], len: 0 }
    }
    fn push(&mut self, part: &[u8]) -> Done {
        if self.len + part.len() >= PATH_MAX {
            return Err(Fail::refusal(refusal::PATH_TOO_LONG));
        }
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
        self.bytes[self.len] = 0;
        Ok(())
    }
    fn text(&self) -> Done<Text> {
        Text::from_bytes(&self.bytes).ok_or(Fail::refusal(refusal::PATH_TOO_LONG))
    }
}

/// A handle on an existing file.
pub fn open(root: i32, path: Text) -> Done<i32> {
    sys::openat2(root, path, sys::O_PATH, 0, IN_ROOT)
}

/// A handle on an existing file that no symbolic link leads to.
pub fn open_no_symlinks(root: i32, path: Text) -> Done<i32> {
    sys::openat2(root, path, sys::O_PATH, 0, IN_ROOT | sys::RESOLVE_NO_SYMLINKS)
}

/// A handle on what a mount has at `path`. Links are followed in procfs and sysfs only, which have their own: any other
/// may lead out of the mount, and is nothing here.
pub fn open_in_mount(mount: i32, path: Text) -> Done<i32> {
    if matches!(sys::fs_magic(mount)?, sys::PROC_SUPER_MAGIC | sys::SYSFS_MAGIC) {
        return open(mount, path);
    }
    open_no_symlinks(mount, path).map_err(|f| if f.errno == sys::ELOOP { Fail { errno: sys::ENOENT, ..f } } else { f })
}

/// Whether `path` leads to a directory.
pub fn is_directory(root: i32, path: Text) -> Done<bool> {
    match sys::openat2(root, path, sys::O_PATH | sys::O_DIRECTORY, 0, IN_ROOT) {
        Ok(fd) => {
            sys::close(fd);
            Ok(true)
        }
        Err(f) if matches!(f.errno, sys::ENOENT | sys::ENOTDIR | sys::ELOOP) => Ok(false),
        Err(f) => Err(f),
    }
}

/// A handle on the directory at `path`, made with its parents where missing.
pub fn make_directory(root: i32, path: Text) -> Done<i32> {
    match sys::openat2(root, path, sys::O_PATH | sys::O_DIRECTORY, 0, IN_ROOT) {
        Err(f) if f.errno == sys::ENOENT => {}
        other => return other,
    }
    let mut current = Buffer::new();
    current.push(path.bytes())?;
    let mut links = 0;
    'again: loop {
        let mut prefix = Buffer::new();
        let mut parent = sys::openat2(root, Text::from_literal(c"."), sys::O_PATH, 0, IN_ROOT)?;
        let mut rest = &current.bytes[..current.len];
        while let Some((name, after)) = component(rest) {
            rest = after;
            prefix.push(b"/")?;
            let before = prefix.len;
            prefix.push(name)?;
            let text = prefix.text()?;
            let fd = match sys::openat2(root, text, sys::O_PATH | sys::O_DIRECTORY, 0, IN_ROOT) {
                Ok(fd) => fd,
                Err(f) if f.errno == sys::ENOENT => {
                    // The last component only: `parent` is where it goes, whatever links led there.
                    let last = Text::from_bytes(&prefix.bytes[before..]).ok_or(f)?;
                    match sys::mkdirat(parent, last, 0o755) {
                        Ok(()) => sys::openat2(root, text, sys::O_PATH | sys::O_DIRECTORY, 0, IN_ROOT)?,
                        // A link to something missing: make what it points to instead, inside the root. Or somebody
                        // else made the directory just now, and the next round finds it.
                        Err(f) if f.errno == sys::EEXIST => {
                            links += 1;
                            if links > MAX_LINKS {
                                return Err(Fail::refusal(refusal::TOO_MANY_LINKS));
                            }
                            let next = behind_link(parent, last, &prefix.bytes[..before], rest)?;
                            sys::close(parent);
                            current = next.unwrap_or(current);
                            continue 'again;
                        }
                        Err(f) => return Err(f),
                    }
                }
                Err(f) => return Err(f),
            };
            sys::close(parent);
            parent = fd;
        }
        return Ok(parent);
    }
}

/// The path that a link called `name` in `parent` leads to, relative to the root, with `rest` behind it; `directory` is
/// the path of `parent`. `None` when it is no link.
fn behind_link(parent: i32, name: Text, directory: &[u8], rest: &[u8]) -> Done<Option<Buffer>> {
    let mut target = [0u8; PATH_MAX];
    let n = match sys::readlinkat(parent, name, &mut target) {
        Ok(n) => n,
        Err(f) if f.errno == sys::EINVAL => return Ok(None),
        Err(f) => return Err(f),
    };
    let mut next = Buffer::new();
    if target.first() != Some(&b'/') {
        next.push(directory)?;
    }
    next.push(&target[..n])?;
    if !rest.is_empty() {
        next.push(b"/")?;
        next.push(rest)?;
    }
    Ok(Some(next))
}

/// A handle on the file at `path`: an empty regular file, made with its parents, where there is none. A link to
/// something missing is followed inside the root, as images have at /etc/resolv.conf.
pub fn make_file(root: i32, path: Text) -> Done<i32> {
    let mut current = Buffer::new();
    current.push(path.bytes())?;
    for _ in 0..MAX_LINKS {
        let path = current.text()?;
        match open(root, path) {
            Err(f) if f.errno == sys::ENOENT => {}
            other => return other,
        }
        let (parent, name) = make_parent(root, path)?;
        let made = sys::openat(parent, name, sys::O_CREAT | sys::O_EXCL | sys::O_NOFOLLOW | sys::O_WRONLY, 0o644);
        let next = match made {
            Ok(file) => {
                sys::close(file);
                None
            }
            Err(f) if f.errno == sys::EEXIST => {
                let directory = &current.bytes[..current.len - name.bytes().len()];
                behind_link(parent, name, directory, b"")?
            }
            Err(f) => return Err(f),
        };
        sys::close(parent);
        current = next.unwrap_or(current);
    }
    Err(Fail::refusal(refusal::TOO_MANY_LINKS))
}

/// A handle on the file at `path` itself: an empty regular file where there is nothing, refused where there is a link.
pub fn make_file_no_link(root: i32, path: Text) -> Done<i32> {
    let (parent, name) = make_parent(root, path)?;
    match sys::openat(parent, name, sys::O_CREAT | sys::O_EXCL | sys::O_NOFOLLOW | sys::O_WRONLY, 0o644) {
        Ok(file) => sys::close(file),
        Err(f) if f.errno == sys::EEXIST => {}
        Err(f) => return Err(f),
    }
    let file = sys::openat(parent, name, sys::O_PATH | sys::O_NOFOLLOW, 0)?;
    sys::close(parent);
    if sys::fstat(file)?.mode & sys::S_IFMT == sys::S_IFLNK {
        return Err(Fail::refusal(refusal::CONSOLE_IS_LINK));
    }
    Ok(file)
}

/// The directory in which `path` lies, made where missing, and the last component.
pub fn make_parent(root: i32, path: Text) -> Done<(i32, Text)> {
    let bytes = path.bytes();
    let end = bytes.iter().rposition(|c| *c == b'/').unwrap_or(0);
    let mut parent = Buffer::new();
    parent.push(b"/")?;
    parent.push(&bytes[..end])?;
    let name_at = if bytes.get(end) == Some(&b'/') { end + 1 } else { end };
    // The name ends where the path ends, so its NUL is the path's.
    let name = suffix(path, name_at)?;
    Ok((make_directory(root, parent.text()?)?, name))
}

/// `path` from byte `at` on.
fn suffix(path: Text, at: usize) -> Done<Text> {
    path.from(at).ok_or(Fail::refusal(refusal::BAD_PROGRAM))
}

/// Splits off the first component that is a name.
fn component(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = path.iter().position(|c| *c != b'/')?;
    let path = &path[start..];
    let end = path.iter().position(|c| *c == b'/').unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    if name == b"." { component(rest) } else { Some((name, rest)) }
}

/// Whether the way to `path`, as far as it exists, enters a mount whose id `is_one_of` knows.
pub fn crosses(root: i32, path: Text, mut is_one_of: impl FnMut(u64) -> bool) -> Done<bool> {
    let mut prefix = Buffer::new();
    let mut rest = path.bytes();
    while let Some((name, after)) = component(rest) {
        rest = after;
        prefix.push(b"/")?;
        prefix.push(name)?;
        let fd = match open(root, prefix.text()?) {
            Ok(fd) => fd,
            Err(f) if f.errno == sys::ENOENT || f.errno == sys::ENOTDIR => break,
            Err(f) => return Err(f),
        };
        let id = sys::fstat(fd)?.mnt_id;
        sys::close(fd);
        if is_one_of(id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses `path` when a symbolic link led to its parent directory.
pub fn parent_has_no_symlinks(root: i32, path: Text, parent: i32) -> Done {
    let bytes = path.bytes();
    let end = bytes.iter().rposition(|c| *c == b'/').unwrap_or(0);
    let mut plain = Buffer::new();
    plain.push(b"/")?;
    plain.push(&bytes[..end])?;
    let again = match open_no_symlinks(root, plain.text()?) {
        Err(f) if f.errno == sys::ELOOP => return Err(Fail::refusal(refusal::DEVICE_IS_LINK)),
        other => other?,
    };
    let (a, b) = (sys::fstat(parent)?, sys::fstat(again)?);
    sys::close(again);
    if a.ino == b.ino && a.mnt_id == b.mnt_id { Ok(()) } else { Err(Fail::refusal(refusal::DEVICE_IS_LINK)) }
}
