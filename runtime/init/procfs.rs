//! Writes to procfs go through an instance of init's own: nothing can be mounted over its files (CVE-2025-52881).

use crate::Init;
use crate::format::{Record, refusal};
use crate::sys::{self, Done, Fail, Text};

fn handle(init: &mut Init) -> Done<i32> {
    if init.proc < 0 {
        let fs = sys::fsopen(Text::from_literal(c"proc"))?;
        sys::fsconfig_create(fs)?;
        let attrs = sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV | sys::MOUNT_ATTR_NOEXEC;
        init.proc = sys::fsmount(fs, attrs)?;
        sys::close(fs);
    }
    Ok(init.proc)
}

const INSIDE: u64 = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_XDEV | sys::RESOLVE_NO_MAGICLINKS;

/// Sets a kernel parameter of one of the container's namespaces.
pub fn sysctl(init: &mut Init, r: Record) -> Done {
    let (path, value) = (init.program.text(r.s)?, init.program.text(r.t)?);
    let proc = handle(init)?;
    let fd = sys::openat2(proc, path, sys::O_WRONLY, 0, INSIDE | sys::RESOLVE_NO_SYMLINKS)?;
    let written = sys::write(fd, value.bytes());
    sys::close(fd);
    written.map(drop)
}

/// Writes a label for the next execve or keyring and reads it back.
pub fn label(init: &mut Init, r: Record) -> Done {
    let (path, value) = (init.program.text(r.s)?, init.program.text(r.t)?);
    let proc = handle(init)?;
    let fd = sys::openat2(proc, path, sys::O_RDWR, 0, INSIDE)?;
    sys::write(fd, value.bytes())?;
    sys::rewind(fd)?;
    let mut back = [0u8; 1024];
    let n = sys::read(fd, &mut back)?;
    sys::close(fd);
    // AppArmor writes "exec NAME" and reads "NAME (MODE)".
    let wanted = value.bytes().strip_prefix(b"exec ").unwrap_or(value.bytes());
    let end = back[..n].iter().position(|c| matches!(c, 0 | b'\n' | b' ')).unwrap_or(n);
    if &back[..end] == wanted { Ok(()) } else { Err(Fail::refusal(refusal::NOT_IN_EFFECT)) }
}
