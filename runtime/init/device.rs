//! Device nodes and links in the container's /dev: on the filesystem that was just mounted there, where nothing of the
//! image's is, or in the rootfs's own /dev when the config mounts none, where a link is refused (CVE-2026-41579).

use crate::Init;
use crate::format::{Record, flag, refusal};
use crate::path;
use crate::sys::{self, Done, Fail, Text};

/// mknod(2); an existing node must be the one asked for. What has the name afterwards is looked at and changed by handle:
/// in a directory that others can write to it may be another file by then.
pub fn device(init: &mut Init, r: Record) -> Done {
    let (parent, name) = place(init, r)?;
    let made = match sys::mknodat(parent, name, r.a as usize, r.b) {
        Ok(()) => true,
        Err(f) if f.errno == sys::EEXIST => false,
        Err(f) => return Err(f),
    };
    let node = sys::openat(parent, name, sys::O_PATH | sys::O_NOFOLLOW, 0)?;
    let st = sys::fstat(node)?;
    let rdev = u64::from(st.rdev_minor & 0xff)
        | u64::from(st.rdev_major & 0xfff) << 8
        | u64::from(st.rdev_minor & !0xff) << 12;
    let same_type = st.mode & sys::S_IFMT == r.a as u16 & sys::S_IFMT;
    if !same_type || rdev != r.b {
        return Err(Fail::refusal(refusal::DEVICE_MISMATCH));
    }
    if made && (r.u != 0 || r.n != 0) {
        sys::fchownat(node, Text::from_literal(c""), r.u, r.n, sys::AT_EMPTY_PATH)?;
    }
    sys::close(node);
    sys::close(parent);
    Ok(())
}

/// symlink(2); an existing file stays as it is.
pub fn symlink(init: &mut Init, r: Record) -> Done {
    let target = init.program.text(r.s)?;
    let (parent, name) = place(init, r)?;
    match sys::symlinkat(target, parent, name) {
        Err(f) if f.errno != sys::EEXIST => return Err(f),
        _ => {}
    }
    sys::close(parent);
    Ok(())
}

fn place(init: &Init, r: Record) -> Done<(i32, Text)> {
    let path = init.program.text(r.t)?;
    if r.flags & flag::ON_DEV != 0 {
        return path::make_parent(init.dev, path);
    }
    let (parent, name) = path::make_parent(init.root, path)?;
    path::parent_has_no_symlinks(init.root, path, parent)?;
    Ok((parent, name))
}
