//! Session, terminal, loopback.

use crate::Init;
use crate::format::{Record, flag, message, refusal};
use crate::mount;
use crate::path;
use crate::sys::{self, Done, Fail, Text};

const TIOCSCTTY: usize = 0x540e;

/// A session of its own: no terminal of the caller's, nothing to push characters into.
pub fn session(r: Record) -> Done {
    match sys::setsid() {
        // Already a leader: pid 1 of a new pid namespace cannot be, but an exec'd process that leads a group can.
        Err(f) if f.errno == sys::EPERM => {}
        other => other?,
    }
    if r.flags & flag::CONSOLE != 0 {
        sys::ioctl(0, TIOCSCTTY, 0)?;
    }
    Ok(())
}

/// A sibling in the pid namespace that was joined for children goes on; casemate is told, and this process ends.
pub fn enter_pid_namespace(init: &mut Init) -> Done {
    // Of what it could be robbed of there, the socket is all that has to stay.
    for fd in [init.root, init.object] {
        sys::close(fd);
    }
    (init.root, init.object) = (-1, -1);
    let (pid, pidfd) = sys::fork_sibling()?;
    if pid == 0 {
        return Ok(());
    }
    // Where nobody takes the message, casemate is gone, and the successor finds that out by itself or is on its way.
    let told = sys::send(init.control, message::SUCCESSOR, Some(pidfd));
    sys::exit(if told.is_ok() { 0 } else { 125 })
}

/// A pseudo-terminal of the container's own devpts. The other end is taken by TIOCGPTPEER, never by the name
/// /dev/pts/N, which something else could stand behind (CVE-2025-52565).
pub fn terminal(init: &mut Init, index: usize, r: Record) -> Done {
    const TIOCSPTLCK: usize = 0x4004_5431;
    const TIOCGPTPEER: usize = 0x5441;
    const TIOCSWINSZ: usize = 0x5414;
    let flags = sys::O_RDWR | sys::O_NOCTTY;
    // Its ptmx is devpts's own if nothing is mounted over it. Any other device would be opened before it is known.
    let pts = path::open_no_symlinks(init.root, Text::from_literal(c"/dev/pts"))?;
    if sys::fs_magic(pts)? != sys::DEVPTS_SUPER_MAGIC {
        return Err(Fail::refusal(refusal::NOT_A_PTMX));
    }
    let how = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_XDEV | sys::RESOLVE_NO_SYMLINKS;
    let master = match sys::openat2(pts, Text::from_literal(c"ptmx"), flags, 0, how) {
        Err(f) if f.errno == sys::EXDEV => return Err(Fail::refusal(refusal::NOT_A_PTMX)),
        other => other?,
    };
    sys::close(pts);
    let st = sys::fstat(master)?;
    let is_ptmx = st.mode & sys::S_IFMT == sys::S_IFCHR && st.rdev_major == 5 && st.rdev_minor == 2;
    if !is_ptmx || sys::fs_magic(master)? != sys::DEVPTS_SUPER_MAGIC {
        return Err(Fail::refusal(refusal::NOT_A_PTMX));
    }
    let mut unlocked = 0i32;
    sys::ioctl_with(master, TIOCSPTLCK, &mut unlocked)?;
    let peer = sys::ioctl(master, TIOCGPTPEER, flags)? as i32;
    if r.a != 0 || r.b != 0 {
        let mut size = [r.a as u16, r.b as u16, 0, 0];
        sys::ioctl_with(master, TIOCSWINSZ, &mut size)?;
    }
    sys::fchown(peer, r.n, u32::MAX)?;
    if r.flags & flag::CONSOLE != 0 {
        // A link of the image's would put the terminal over a file of its choice, in procfs too (CVE-2025-52565).
        let target = path::make_file_no_link(init.root, Text::from_literal(c"/dev/console"))?;
        let clone = sys::open_tree(peer, Text::from_literal(c""), sys::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH)?;
        sys::move_mount(clone, target)?;
        mount::remember(init, index, clone)?;
        init.made(clone)?;
        sys::close(clone);
        sys::close(target);
    }
    sys::send(init.control, message::TERMINAL, Some(master))?;
    sys::close(master);
    for fd in 0..3 {
        sys::dup_to(peer, fd)?;
    }
    sys::close(peer);
    Ok(())
}

/// Brings up `lo` in the container's network namespace.
pub fn loopback() -> Done {
    const SIOCGIFFLAGS: usize = 0x8913;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u16 = 1;
    /// `struct ifreq` of netdevice(7).
    #[repr(C)]
    struct IfReq {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    let mut request = IfReq { name: [0; 16], flags: 0, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    let socket = sys::datagram_socket()?;
    sys::ioctl_with(socket, SIOCGIFFLAGS, &mut request)?;
    request.flags |= IFF_UP;
    sys::ioctl_with(socket, SIOCSIFFLAGS, &mut request)?;
    sys::close(socket);
    Ok(())
}
