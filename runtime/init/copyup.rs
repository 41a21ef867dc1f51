//! tmpcopyup: what the image has at the target of a tmpfs appears in the tmpfs.

use crate::format::refusal;
use crate::sys::{self, Done, Fail, MountAttr, Text};

/// How deep a tree may be.
const DEPTH: u32 = 64;

/// Copies the contents of the directory `from` into the new filesystem `to`: files, directories, links and nodes, with
/// owner and mode. Nothing is followed.
pub fn copy(from: i32, to: i32) -> Done {
    let here = Text::from_literal(c".");
    // Without devices: one that takes the place of a file meanwhile must not be opened, still less copied.
    let empty = Text::from_literal(c"");
    let tree = sys::open_tree(from, empty, sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH | sys::AT_RECURSIVE)?;
    let attr = MountAttr { set: sys::MOUNT_ATTR_NODEV, clear: 0, propagation: 0, userns: 0 };
    sys::mount_setattr(tree, empty, sys::AT_EMPTY_PATH | sys::AT_RECURSIVE, &attr)?;
    let source = sys::openat(tree, here, sys::O_DIRECTORY, 0)?;
    let target = sys::openat(to, here, sys::O_DIRECTORY, 0)?;
    directory(source, target, DEPTH)?;
    sys::close(source);
    sys::close(tree);
    sys::close(target);
    Ok(())
}

fn directory(source: i32, target: i32, depth: u32) -> Done {
    let Some(deeper) = depth.checked_sub(1) else { return Err(Fail::refusal(refusal::PATH_TOO_LONG)) };
    let mut buffer = [0u8; 2048];
    loop {
        let n = sys::getdents(source, &mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        let mut entries = &buffer[..n];
        // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name.
        while let (Some(&[low, high]), Some(name)) = (entries.get(16..18), entries.get(19..)) {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let Some(name) = Text::from_bytes(name) else { break };
            if name.bytes() != b"." && name.bytes() != b".." {
                entry(source, target, name, deeper)?;
            }
            entries = entries.get(length..).unwrap_or(&[]);
        }
    }
}

fn entry(source: i32, target: i32, name: Text, depth: u32) -> Done {
    let st = sys::statx(source, name, sys::AT_SYMLINK_NOFOLLOW)?;
    let mode = usize::from(st.mode & 0o7777);
    match st.mode & sys::S_IFMT {
        sys::S_IFDIR => {
            sys::mkdirat(target, name, mode)?;
            let flags = sys::O_DIRECTORY | sys::O_NOFOLLOW;
            let (from, to) = (sys::openat(source, name, flags, 0)?, sys::openat(target, name, flags, 0)?);
            directory(from, to, depth)?;
            sys::fchown(to, st.uid, st.gid)?;
            sys::fchmod(to, mode)?;
            sys::close(from);
            sys::close(to);
        }
        sys::S_IFREG => {
            let from = sys::openat(source, name, sys::O_NOFOLLOW | sys::O_NONBLOCK, 0)?;
            let to = sys::openat(target, name, sys::O_CREAT | sys::O_EXCL | sys::O_WRONLY | sys::O_NOFOLLOW, 0o600)?;
            contents(from, to)?;
            sys::fchown(to, st.uid, st.gid)?;
            // After chown, which clears the set-id bits.
            sys::fchmod(to, mode)?;
            sys::close(from);
            sys::close(to);
        }
        sys::S_IFLNK => {
            let mut link = [0u8; 4096];
            let n = sys::readlinkat(source, name, &mut link[..4095])?;
            link[n] = 0;
            let to = Text::from_bytes(&link).ok_or(Fail::refusal(refusal::PATH_TOO_LONG))?;
            sys::symlinkat(to, target, name)?;
            sys::fchownat(target, name, st.uid, st.gid, sys::AT_SYMLINK_NOFOLLOW)?;
        }
        _ => {
            let rdev = u64::from(st.rdev_minor & 0xff)
                | u64::from(st.rdev_major & 0xfff) << 8
                | u64::from(st.rdev_minor & !0xff) << 12;
            sys::mknodat(target, name, usize::from(st.mode), rdev)?;
            sys::fchownat(target, name, st.uid, st.gid, sys::AT_SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

fn contents(from: i32, to: i32) -> Done {
    let mut buffer = [0u8; 4096];
    loop {
        let n = sys::read(from, &mut buffer)?;
        let mut part = &buffer[..n];
        if part.is_empty() {
            return Ok(());
        }
        while !part.is_empty() {
            let n = sys::write(to, part)?;
            part = &part[n..];
        }
    }
}
