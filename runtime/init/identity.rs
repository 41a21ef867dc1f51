//! User, groups and capabilities of the process.

use crate::Init;
use crate::format::Record;
use crate::sys::{self, Done};

/// Drops from the bounding set what is not in `keep`. Needs CAP_SETPCAP, so it comes before the user changes.
pub fn bounding(keep: u64, last: u32) -> Done {
    for capability in 0..=last {
        if keep & (1 << capability) == 0 {
            sys::prctl(sys::PR_CAPBSET_DROP, capability as usize, 0).map_err(|f| f.at(capability))?;
        }
    }
    Ok(())
}

/// Groups, then group, then user. Permitted capabilities survive the change of user; what stays is CAPABILITIES' to say.
pub fn identity(init: &mut Init, r: Record) -> Done {
    let uid = r.a as u32;
    give_stdio(uid);
    sys::prctl(sys::PR_SET_KEEPCAPS, 1, 0)?;
    let count = r.n as usize;
    let words = init.program.words(r.u, count.div_ceil(2))?;
    sys::setgroups(sys::halves(words, count))?;
    sys::setresgid(r.b as u32)?;
    sys::setresuid(uid)?;
    sys::prctl(sys::PR_SET_KEEPCAPS, 0, 0).map(drop)
}

/// The process can reopen /dev/stdout and /dev/stderr when they are its own, as images that log there expect.
fn give_stdio(uid: u32) {
    for fd in 0..3 {
        let Ok(st) = sys::fstat(fd) else { continue };
        let is_null = st.mode & sys::S_IFMT == sys::S_IFCHR && st.rdev_major == 1 && st.rdev_minor == 3;
        if st.uid != uid && !is_null {
            // Failing is right: a pipe or file of somebody else's filesystem stays as the caller made it.
            let _ = sys::fchown(fd, uid, u32::MAX);
        }
    }
}

/// Raises ambient capabilities; they must be permitted and inheritable by now.
pub fn ambient(set: u64) -> Done {
    const PR_CAP_AMBIENT_RAISE: usize = 2;
    for capability in 0..64u32 {
        if set & (1 << capability) != 0 {
            sys::prctl(sys::PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability as usize).map_err(|f| f.at(capability))?;
        }
    }
    Ok(())
}
