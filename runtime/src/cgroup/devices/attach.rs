//! Attaching the device program to a unified cgroup.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::{Rule, program};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;
use crate::sys::bpf::{self, Attach};

/// The name of our programs: others on the same cgroup, systemd's for one, are left alone.
const NAME: &str = "casemate_dev";

/// Makes the rules those of the cgroup: the program of an earlier call is replaced in one step, so that
/// at no moment none is in force. More programs than one all have to allow, so adding never widens.
pub(super) fn apply(dir: &Dir, rules: &[Rule]) -> Result<(), Error> {
    let fail = |call, errno| Error::call(call, dir.name.clone(), errno);
    let new = bpf::load_cgroup_device(&program::compile(rules), NAME)
        .map_err(|errno| fail("bpf(BPF_PROG_LOAD, CGROUP_DEVICE)", errno))?;
    let mut ours = Vec::new();
    for id in bpf::query_cgroup_device(dir.as_fd()).map_err(|errno| fail("bpf(BPF_PROG_QUERY)", errno))? {
        match bpf::open_program(id) {
            Ok(program) if bpf::program_name(program.as_fd()).is_ok_and(|name| name == NAME) => ours.push(program),
            // Detached since the query.
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(fail("bpf(BPF_PROG_GET_FD_BY_ID)", errno)),
        }
    }
    let last = ours.pop();
    let how = last.as_ref().map_or(Attach::Beside, |old| Attach::Replacing(old.as_fd()));
    bpf::attach_cgroup_device(dir.as_fd(), new.as_fd(), how)
        .map_err(|errno| fail("bpf(BPF_PROG_ATTACH, CGROUP_DEVICE)", errno))?;
    for old in ours {
        bpf::detach_cgroup_device(dir.as_fd(), old.as_fd())
            .map_err(|errno| fail("bpf(BPF_PROG_DETACH, CGROUP_DEVICE)", errno))?;
    }
    Ok(())
}
