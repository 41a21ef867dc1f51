//! The mount tree: built from detached mounts with their attributes already set, attached by handle, checked at the end.

use crate::Init;
use crate::copyup;
use crate::format::{Record, flag, kind, refusal};
use crate::path;
use crate::sys::{self, Done, Fail, MountAttr, Text};

const EMPTY: Text = Text::from_literal(c"");

/// Nothing that happens in this mount namespace may reach the host's. First of all, before any mount.
pub fn host_propagation(propagation: u64) -> Done {
    let attr = MountAttr { set: 0, clear: 0, propagation, userns: 0 };
    sys::mount_setattr(sys::AT_FDCWD, Text::from_literal(c"/"), sys::AT_RECURSIVE, &attr)
}

/// A small filesystem with one empty directory and one null device of our own: what masked paths are covered with, so
/// that nothing of the container's is ever used for it (CVE-2025-31133). It is attached below where the root will be
/// attached, because mounts can be cloned from a detached one only since Linux 6.15; it goes with the old root.
pub fn mask_source(init: &mut Init) -> Done {
    let fs = sys::fsopen(Text::from_literal(c"tmpfs"))?;
    sys::fsconfig_string(fs, Text::from_literal(c"nr_inodes"), Text::from_literal(c"3"))?;
    sys::fsconfig_string(fs, Text::from_literal(c"mode"), Text::from_literal(c"0755"))?;
    sys::fsconfig_create(fs)?;
    let masks = sys::fsmount(fs, sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NOEXEC)?;
    sys::close(fs);
    sys::mkdirat(masks, Text::from_literal(c"empty"), 0o755)?;
    sys::mknodat(masks, Text::from_literal(c"null"), usize::from(sys::S_IFCHR) | 0o666, 0x103)?;
    sys::move_mount_here(masks)?;
    init.masks = masks;
    // It goes with the old root, so it is not one of those that must be there at the end.
    init.made(masks)?;
    init.made -= 1;
    Ok(())
}

/// Attaches the container's root on the working directory, which is the rootfs's own directory: the parent entered it
/// by handle before the clone, so no path is resolved a second time.
pub fn attach_root(init: &mut Init, r: Record) -> Done {
    let tree = r.slot;
    sys::move_mount_here(tree)?;
    init.root = tree;
    Ok(())
}

/// For exec: the root of the mount namespace that was joined.
pub fn open_root(init: &mut Init) -> Done {
    init.root = sys::openat(sys::AT_FDCWD, Text::from_literal(c"/"), sys::O_PATH | sys::O_DIRECTORY, 0)?;
    Ok(())
}

/// A new filesystem.
pub fn mount(init: &mut Init, index: usize, r: Record) -> Done {
    let fstype = init.program.text(r.s)?;
    let destination = init.program.text(r.t)?;
    if r.flags & flag::IF_DIRECTORY != 0 && !path::is_directory(init.root, destination)? {
        // No mount has this id: the check at the end knows by it.
        init.program.record(index)?.b = 0;
        return Ok(());
    }
    if r.flags & flag::LEGACY != 0 {
        return mount_legacy(init, index, r, fstype, destination);
    }
    let fs = sys::fsopen(fstype)?;
    for i in 0..r.n {
        let pair = init.program.words(r.u, 2 * r.n as usize)?;
        let (key, value) = (pair[2 * i as usize] as u32, pair[2 * i as usize + 1] as u32);
        let key = init.program.text(key)?;
        let set = match value {
            0 => sys::fsconfig_flag(fs, key),
            value => sys::fsconfig_string(fs, key, init.program.text(value)?),
        };
        set.map_err(|f| f.at(i + 1))?;
    }
    sys::fsconfig_create(fs)?;
    let mount = sys::fsmount(fs, r.a)?;
    sys::close(fs);
    if r.b != 0 {
        propagate(mount, r.b)?;
    }
    let existed = path::open(init.root, destination).map(sys::close).is_ok();
    let target = target(init, r, destination, Target::Directory)?;
    if r.flags & flag::INHERIT_MODE != 0 && existed {
        sys::chmod_here(mount, usize::from(sys::fstat(target)?.mode & 0o7777))?;
    }
    if r.flags & flag::COPY_UP != 0 {
        copyup::copy(target, mount)?;
    }
    sys::move_mount(mount, target)?;
    sys::close(target);
    remember(init, index, mount)?;
    init.made(mount)?;
    if r.flags & flag::IS_DEV != 0 {
        init.dev = mount;
    }
    keep(init, index, destination, mount)
}

/// mount(2) by the working directory, for what fsconfig(2) cannot say: iversion, and values of more than 255 bytes.
fn mount_legacy(init: &mut Init, index: usize, r: Record, fstype: Text, destination: Text) -> Done {
    let pair = init.program.words(r.u, 2)?;
    let (source, data) = (pair[0] as u32, pair[1] as u32);
    let (source, data) = (init.program.text(source)?, if data == 0 { EMPTY } else { init.program.text(data)? });
    let target = target(init, r, destination, Target::Directory)?;
    // Ids only grow, so the mount that is about to be made has a greater one than this.
    let clone = sys::open_tree(target, EMPTY, sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH)?;
    let newest = sys::fstat(clone)?;
    sys::close(clone);
    let before = sys::openat(sys::AT_FDCWD, Text::from_literal(c"."), sys::O_PATH, 0)?;
    sys::fchdir(target)?;
    sys::mount_here(source, fstype, r.a, data)?;
    sys::fchdir(before)?;
    sys::close(before);
    sys::close(target);
    let mount = path::open(init.root, destination)?;
    if sys::ids_are_unique(&newest) && sys::fstat(mount)?.mnt_id <= newest.mnt_id {
        return Err(Fail::refusal(refusal::MOUNT_NOT_ON_TOP).at(index as u32));
    }
    if r.b != 0 {
        propagate(mount, r.b)?;
    }
    remember(init, index, mount)?;
    init.made(mount)?;
    keep(init, index, destination, mount)
}

/// Keeps the handle of a mount that a later operation names, for that operation: the directory it was mounted on may have
/// another name by then.
fn keep(init: &mut Init, index: usize, destination: Text, mount: i32) -> Done {
    for later in index + 1..init.program.ops {
        let r = *init.program.record(later)?;
        let named = match r.kind {
            kind::MASK | kind::READONLY_PATH => below(init.program.text(r.s)?, destination)?.is_some(),
            kind::BIND if r.flags & flag::IN_PROC != 0 => below(init.program.text(r.t)?, destination)?.is_some(),
            kind::SET_MOUNT if r.t != 0 => init.program.text(r.t)?.bytes() == destination.bytes(),
            _ => false,
        };
        if named {
            init.program.record(index)?.slot = mount;
            return Ok(());
        }
    }
    if mount != init.dev {
        sys::close(mount);
    }
    Ok(())
}

/// A tree that the parent cloned from the host, its attributes set by SET_MOUNT operations before this one.
pub fn bind(init: &mut Init, index: usize, r: Record) -> Done {
    let destination = init.program.text(r.t)?;
    let tree = r.slot;
    let is_directory = sys::fstat(tree)?.mode & sys::S_IFMT == sys::S_IFDIR;
    let shape = if is_directory { Target::Directory } else { Target::File };
    // In the procfs that is planned there, and in no other file system that has its name at the moment.
    let in_proc = if r.flags & flag::IN_PROC != 0 { planned(init, index, destination)? } else { None };
    let target = match in_proc {
        Some((proc, rest)) => path::open_no_symlinks(proc, rest)?,
        None => target(init, r, destination, shape)?,
    };
    sys::move_mount(tree, target)?;
    sys::close(target);
    remember(init, index, tree)
}

enum Target {
    Directory,
    File,
}

/// Where a mount goes: inside the root, and not in procfs, where a mount could stand in for the files that label and
/// limit this very process (CVE-2019-16884, CVE-2023-27561). Judged by what the path led to, not by how it is spelled.
fn target(init: &Init, r: Record, destination: Text, shape: Target) -> Done<i32> {
    let target = match &shape {
        Target::Directory if r.flags & flag::NO_SYMLINKS != 0 => {
            match path::open_no_symlinks(init.root, destination) {
                // proc and sysfs go on an ordinary directory (CVE-2019-19921).
                Err(f) if f.errno == sys::ELOOP => return Err(Fail::refusal(refusal::NOT_A_DIRECTORY)),
                Err(f) if f.errno == sys::ENOENT => path::make_directory(init.root, destination)?,
                Err(f) => return Err(f),
                Ok(fd) if sys::fstat(fd)?.mode & sys::S_IFMT != sys::S_IFDIR => {
                    return Err(Fail::refusal(refusal::NOT_A_DIRECTORY));
                }
                Ok(fd) => fd,
            }
        }
        Target::Directory => path::make_directory(init.root, destination)?,
        Target::File => path::make_file(init.root, destination)?,
    };
    let is_directory = sys::fstat(target)?.mode & sys::S_IFMT == sys::S_IFDIR;
    if matches!(shape, Target::File) && is_directory {
        // What mount(2) says; move_mount(2) says EINVAL.
        return Err(Fail { call: crate::nr::MOVE_MOUNT as u32, errno: sys::ENOTDIR, detail: 0 });
    }
    if r.flags & flag::IN_PROC == 0 && sys::fs_magic(target)? == sys::PROC_SUPER_MAGIC {
        return Err(Fail::refusal(refusal::TARGET_IN_PROC));
    }
    Ok(target)
}

/// Keeps the mount's id in its record, for the check at the end.
pub fn remember(init: &mut Init, index: usize, mount: i32) -> Done {
    let id = sys::fstat(mount)?.mnt_id;
    init.program.record(index)?.b = id;
    Ok(())
}

fn propagate(mount: i32, propagation: u64) -> Done {
    let attr = MountAttr { set: 0, clear: 0, propagation, userns: 0 };
    sys::mount_setattr(mount, EMPTY, sys::AT_EMPTY_PATH, &attr)
}

/// Changes attributes of a detached tree (slot ≥ 0), of the root (-1), of /dev (-2), or of the mount at a path.
pub fn set_mount(init: &mut Init, index: usize, r: Record) -> Done {
    let attr = MountAttr { set: r.a, clear: r.b, propagation: u64::from(r.n), userns: 0 };
    let recursive = if r.flags & flag::RECURSIVE != 0 { sys::AT_RECURSIVE } else { 0 };
    let (fd, opened) = match (r.t, r.slot) {
        (0, -1) => (init.root, false),
        (0, -2) => (init.dev, false),
        (0, slot) => (slot, false),
        (path, _) => {
            let path = init.program.text(path)?;
            match planned(init, index, path)? {
                Some((mount, rest)) if rest.bytes() == b"." => (mount, false),
                _ => (path::open(init.root, path)?, true),
            }
        }
    };
    sys::mount_setattr(fd, EMPTY, sys::AT_EMPTY_PATH | recursive, &attr)?;
    if opened {
        sys::close(fd);
    }
    Ok(())
}

/// Covers a path with a read-only clone of itself. A path that is not there needs none.
pub fn readonly_path(init: &mut Init, index: usize, r: Record) -> Done {
    for target in existing(init, index, r)?.into_iter().flatten() {
        let clone = sys::open_tree(target, EMPTY, sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH | sys::AT_RECURSIVE)?;
        let attr = MountAttr { set: sys::MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, userns: 0 };
        sys::mount_setattr(clone, EMPTY, sys::AT_EMPTY_PATH | sys::AT_RECURSIVE, &attr)?;
        cover(init, index, clone, target)?;
    }
    Ok(())
}

/// Covers a path with an empty directory or a null device of our own.
pub fn mask(init: &mut Init, index: usize, r: Record) -> Done {
    for target in existing(init, index, r)?.into_iter().flatten() {
        let mut attr = MountAttr {
            set: sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NOEXEC,
            clear: 0,
            propagation: 0,
            userns: 0,
        };
        let name = match sys::fstat(target)?.mode & sys::S_IFMT {
            sys::S_IFDIR => {
                attr.set |= sys::MOUNT_ATTR_NODEV;
                Text::from_literal(c"empty")
            }
            // Without following: a link here would be one that cannot be resolved, and nothing can be mounted on it.
            sys::S_IFLNK => return Err(Fail::refusal(refusal::NOT_MASKABLE)),
            _ => Text::from_literal(c"null"),
        };
        let null = sys::open_tree(init.masks, name, sys::OPEN_TREE_CLONE)?;
        sys::mount_setattr(null, EMPTY, sys::AT_EMPTY_PATH, &attr)?;
        cover(init, index, null, target)?;
    }
    Ok(())
}

fn cover(init: &mut Init, index: usize, cover: i32, target: i32) -> Done {
    sys::move_mount(cover, target)?;
    remember(init, index, cover)?;
    init.made(cover)?;
    sys::close(cover);
    sys::close(target);
    Ok(())
}

/// What is to be covered for a path: what it leads to, and what the planned mount on its way has there, should that be
/// another file. The directory that was mounted on may have changed its name since, and "nothing there" would be the
/// answer for a file that is not masked then (CVE-2019-19921).
fn existing(init: &mut Init, index: usize, r: Record) -> Done<[Option<i32>; 2]> {
    let path = init.program.text(r.s)?;
    let planned = match planned(init, index, path)? {
        Some((mount, rest)) => there(path::open_in_mount(mount, rest))?,
        None => None,
    };
    let found = there(path::open(init.root, path))?;
    if let (Some(a), Some(b)) = (planned, found) {
        let (a, b) = (sys::fstat(a)?, sys::fstat(b)?);
        if a.ino == b.ino && a.mnt_id == b.mnt_id {
            found.into_iter().for_each(sys::close);
            return Ok([planned, None]);
        }
    }
    Ok([planned, found])
}

fn there(found: Done<i32>) -> Done<Option<i32>> {
    match found {
        Ok(fd) => Ok(Some(fd)),
        Err(f) if f.errno == sys::ENOENT || f.errno == sys::ENOTDIR => Ok(None),
        Err(f) => Err(f),
    }
}

/// The handle of the planned mount on the way to `path`, the last one before operation `index`, and the rest of the path
/// below it. `None` when there is none, or the way is not to be known from the text.
fn planned(init: &mut Init, index: usize, path: Text) -> Done<Option<(i32, Text)>> {
    if path.bytes().split(|byte| *byte == b'/').any(|name| name == b"..") {
        return Ok(None);
    }
    for index in (0..index).rev() {
        let r = *init.program.record(index)?;
        if r.kind != kind::MOUNT && r.kind != kind::BIND || r.b == 0 {
            continue;
        }
        if let Some(rest) = below(path, init.program.text(r.t)?)? {
            return Ok((r.slot >= 0).then_some((r.slot, rest)));
        }
    }
    Ok(None)
}

/// What is left of `path` below `destination`, by their text; `.` when they are the same.
fn below(path: Text, destination: Text) -> Done<Option<Text>> {
    let destination = destination.bytes();
    match path.bytes().strip_prefix(destination) {
        Some([]) => Ok(Some(Text::from_literal(c"."))),
        Some([b'/', ..]) => path.from(destination.len()).ok_or(Fail::refusal(refusal::PATH_TOO_LONG)).map(Some),
        _ => Ok(None),
    }
}

/// Makes the new root the root and lets go of the host's mounts, all at once.
pub fn pivot(init: &mut Init, index: usize) -> Done {
    // Nothing after this goes by the handle of a mount but /dev's.
    for earlier in 0..index {
        let r = *init.program.record(earlier)?;
        if (r.kind == kind::MOUNT || r.kind == kind::BIND) && r.slot >= 0 && r.slot != init.dev {
            sys::close(r.slot);
            init.program.record(earlier)?.slot = -1;
        }
    }
    sys::fchdir(init.root)?;
    sys::pivot_root_here()?;
    sys::unmount_here()?;
    sys::fchdir(init.root)
}

/// Every planned mount is there and on top, or below a later planned one, and nobody has added any. After pivot, when
/// the host's mounts are gone.
pub fn check(init: &mut Init, last: usize, r: Record) -> Done {
    if r.flags & flag::EXTRA_MOUNTS == 0 && init.first_made != 0 {
        match sys::count_mounts_from(init.first_made) {
            Ok(n) if n != init.made as usize => return Err(Fail::refusal(refusal::MOUNT_UNEXPECTED).at(n as u32)),
            // Before Linux 6.8 there is no listmount(2); the check of each mount below stands alone.
            Ok(_) => {}
            Err(f) if f.errno == sys::ENOSYS => {}
            Err(f) => return Err(f),
        }
    }
    for index in 0..last {
        let r = *init.program.record(index)?;
        let skipped = r.flags & flag::IF_DIRECTORY != 0 && r.b == 0;
        if r.kind != kind::MOUNT && r.kind != kind::BIND || skipped {
            continue;
        }
        let destination = init.program.text(r.t)?;
        let found = match path::open(init.root, destination) {
            Ok(fd) => {
                let id = sys::fstat(fd)?.mnt_id;
                sys::close(fd);
                id
            }
            Err(f) if f.errno == sys::ENOENT || f.errno == sys::ENOTDIR => 0,
            Err(f) => return Err(f),
        };
        if found == r.b {
            continue;
        }
        // Something else is there: right if the way leads through what a later operation attached, be it that mount
        // itself or one of those that came with it.
        let program = &mut init.program;
        let later = |id| (index + 1..last).any(|later| program.record(later).is_ok_and(|l| attaches(l) && l.b == id));
        if !path::crosses(init.root, destination, later)? {
            return Err(Fail::refusal(refusal::MOUNT_NOT_ON_TOP).at(index as u32));
        }
    }
    Ok(())
}

/// Whether an operation attaches a mount whose id is in its record by now.
fn attaches(r: &Record) -> bool {
    match r.kind {
        kind::MOUNT | kind::BIND | kind::READONLY_PATH | kind::MASK => true,
        kind::TERMINAL => r.flags & flag::CONSOLE != 0,
        _ => false,
    }
}
