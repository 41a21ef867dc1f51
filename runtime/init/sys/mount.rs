//! The mount API (fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)), and what it lacks.

use super::*;

pub const OPEN_TREE_CLONE: usize = 1;
pub const MOUNT_ATTR_RDONLY: u64 = 1;
pub const MOUNT_ATTR_NOSUID: u64 = 2;
pub const MOUNT_ATTR_NODEV: u64 = 4;
pub const MOUNT_ATTR_NOEXEC: u64 = 8;
pub fn open_tree(dir: i32, path: Text, flags: usize) -> Done<i32> {
    sys!(OPEN_TREE, dir, path.0, flags | O_CLOEXEC).map(|fd| fd as i32)
}
/// Attaches the mount `from` on the file that `target` is open on.
pub fn move_mount(from: i32, target: i32) -> Done {
    const F_EMPTY_PATH: usize = 4;
    const T_EMPTY_PATH: usize = 0x40;
    let none = Text::from_literal(c"");
    sys!(MOVE_MOUNT, from, none.0, target, none.0, F_EMPTY_PATH | T_EMPTY_PATH).map(drop)
}
/// Attaches the mount `from` on the working directory.
pub fn move_mount_here(from: i32) -> Done {
    const F_EMPTY_PATH: usize = 4;
    sys!(MOVE_MOUNT, from, Text::from_literal(c"").0, AT_FDCWD, Text::from_literal(c".").0, F_EMPTY_PATH).map(drop)
}
pub fn fsopen(fstype: Text) -> Done<i32> {
    const FSOPEN_CLOEXEC: usize = 1;
    sys!(FSOPEN, fstype.0, FSOPEN_CLOEXEC).map(|fd| fd as i32)
}
pub fn fsconfig_flag(fs: i32, key: Text) -> Done {
    sys!(FSCONFIG, fs, 0, key.0, 0, 0).map(drop)
}
pub fn fsconfig_string(fs: i32, key: Text, value: Text) -> Done {
    sys!(FSCONFIG, fs, 1, key.0, value.0, 0).map(drop)
}
pub fn fsconfig_create(fs: i32) -> Done {
    sys!(FSCONFIG, fs, 6, 0, 0, 0).map(drop)
}
pub fn fsmount(fs: i32, attrs: u64) -> Done<i32> {
    const FSMOUNT_CLOEXEC: usize = 1;
    sys!(FSMOUNT, fs, FSMOUNT_CLOEXEC, attrs).map(|fd| fd as i32)
}
/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
pub struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns: u64,
}
pub fn mount_setattr(fd: i32, path: Text, flags: usize, attr: &MountAttr) -> Done {
    sys!(MOUNT_SETATTR, fd, path.0, flags, attr as *const MountAttr, size_of::<MountAttr>()).map(drop)
}
/// Whether mount ids are the unique ones that only grow.
pub fn ids_are_unique(st: &Statx) -> bool {
    st.mask & 0x4000 != 0
}
/// How many mounts of this namespace have an id of `first` or above (listmount(2), Linux 6.8).
pub fn count_mounts_from(first: u64) -> Done<usize> {
    const LSMT_ROOT: u64 = u64::MAX;
    // struct mnt_id_req: size and spare, mount id, last id seen.
    let mut request = [24u64, LSMT_ROOT, first - 1];
    let mut ids = [0u64; 64];
    let mut count = 0;
    loop {
        let n = sys!(LISTMOUNT, request.as_mut_ptr(), ids.as_mut_ptr(), ids.len(), 0)?;
        count += n;
        match ids[..n].last() {
            Some(last) if n == ids.len() => request[2] = *last,
            _ => return Ok(count),
        }
    }
}
pub fn chmod_here(dir: i32, mode: usize) -> Done {
    sys!(FCHMODAT, dir, Text::from_literal(c".").0, mode).map(drop)
}
/// mount(2) on the working directory.
pub fn mount_here(source: Text, fstype: Text, flags: u64, data: Text) -> Done {
    sys!(MOUNT, source.0, Text::from_literal(c".").0, fstype.0, flags, data.0).map(drop)
}
/// Stacks the old root on the working directory, which becomes the root (pivot_root(2), "pivot_root(".", ".")").
pub fn pivot_root_here() -> Done {
    let here = Text::from_literal(c".");
    sys!(PIVOT_ROOT, here.0, here.0).map(drop)
}
pub fn unmount_here() -> Done {
    const MNT_DETACH: usize = 2;
    sys!(UMOUNT2, Text::from_literal(c".").0, MNT_DETACH).map(drop)
}
