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
    sys::prctl(sys::PR_SET_KEEPCAPS, 0, 0)?;
    protect()
}

/// A change of credentials sets dumpable to what fs.suid_dumpable says and forgets the signal for the parent's death
/// (commit_creds in the kernel): both again.
fn protect() -> Done {
    sys::prctl(sys::PR_SET_DUMPABLE, 0, 0)?;
    sys::prctl(sys::PR_SET_PDEATHSIG, 9, 0).map(drop)
}

/// The process can reopen /dev/stdout and /dev/stderr when they are its own, as images that log there expect. Pipes and
/// sockets only: they end with the container. A file or terminal of the host's would stay the container user's, who
/// could then open for writing what the caller gave for reading.
fn give_stdio(uid: u32) {
    for fd in 0..3 {
        let Ok(st) = sys::fstat(fd) else { continue };
        let passes = matches!(st.mode & sys::S_IFMT, sys::S_IFIFO | sys::S_IFSOCK);
        if st.uid != uid && passes {
            // Failing is right: a pipe of somebody else's filesystem stays as the caller made it.
            let _ = sys::fchown(fd, uid, u32::MAX);
        }
    }
}

/// Sets effective, permitted and inheritable.
pub fn capabilities(r: Record) -> Done {
    sys::capset(r.a, r.b, u64::from(r.s) | u64::from(r.t) << 32)?;
    protect()
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
