//! Handing a unified cgroup to the container's root, which may then divide it further.

use rustix::fs::{AtFlags, Uid, chownat};
use rustix::io::Errno;

use super::{Cgroup, Error};

/// What cgroups(7) says to hand over where the kernel has no list of its own.
const FILES: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

impl Cgroup {
    /// Makes `uid`, a uid of the host, the owner of the unified cgroup and of the files that
    /// `/sys/kernel/cgroup/delegate` lists; cgroups(7), "Delegation". Limits stay with their owner.
    ///
    /// For containers with a cgroup namespace of their own and a writable cgroup mount. On a host
    /// without the unified hierarchy nothing happens: v1 cannot be delegated safely.
    ///
    /// # Errors
    /// A refused change of owner. A file that does not exist is none.
    pub fn delegate(&self, uid: u32) -> Result<(), Error> {
        let Some(dir) = self.unified()? else { return Ok(()) };
        let owner = Some(Uid::from_raw(uid));
        chownat(dir, "", owner, None, AtFlags::EMPTY_PATH)
            .map_err(|errno| Error::call("fchownat", dir.name.clone(), errno))?;
        // Absent before Linux 4.15; then the list of cgroups(7) holds.
        let listed = std::fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap_or_default();
        let mut files: Vec<&str> = listed.lines().filter(|f| !f.is_empty() && !f.contains('/')).collect();
        if files.is_empty() {
            files.extend(FILES);
        }
        for file in files {
            match chownat(dir, file, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::call("fchownat", format!("{}/{file}", dir.name), errno)),
            }
        }
        Ok(())
    }
}
