//! How a new process gets into the container's cgroups.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::fcntl_dupfd_cloexec;

use super::dir::Dir;
use super::layout::Version;
use super::{Cgroup, Error, path};

/// Descriptors with which a process joins; see [`super`] for why no pid is written anywhere.
#[derive(Debug)]
pub struct Join {
    /// The cgroup for `CLONE_INTO_CGROUP` of clone3(2).
    pub unified: Option<OwnedFd>,
    /// Files, by hierarchy, to which the process itself writes `0` while it has a single thread.
    pub tasks: Vec<(String, OwnedFd)>,
}

impl Join {
    /// For kernels and cgroups that refuse `CLONE_INTO_CGROUP` (`EAGAIN`, `EBUSY`): the process writes
    /// `0` to `cgroup.procs` of the unified cgroup as well.
    ///
    /// # Errors
    /// `cgroup.procs` that cannot be opened for writing.
    pub fn without_clone(mut self) -> Result<Self, Error> {
        if let Some(unified) = self.unified.take() {
            let procs = rustix::fs::openat(&unified, "cgroup.procs", write_only(), rustix::fs::Mode::empty())
                .map_err(|errno| Error::call("openat", "cgroup.procs of the unified cgroup", errno))?;
            self.tasks.push(("unified".to_owned(), procs));
        }
        Ok(self)
    }
}

fn write_only() -> OFlags {
    OFlags::WRONLY | OFlags::CLOEXEC
}

impl Cgroup {
    /// Opens what a process needs to join: init's at creation, that of `exec` later.
    ///
    /// With `sub` (`exec --cgroup`) it joins that child of the container's cgroup in the hierarchies
    /// with one of `controllers`, or in all of them if `controllers` is empty.
    ///
    /// # Errors
    /// [`Error::Gone`] if a directory of the container is gone, a `sub` that leads out of it, or a
    /// failed call.
    pub fn join(&self, sub: Option<&str>, controllers: &[String]) -> Result<Join, Error> {
        let sub = sub.filter(|s| !s.is_empty() && *s != "/").map(inside).transpose()?;
        let mut join = Join { unified: None, tasks: Vec::with_capacity(self.places.len()) };
        for place in &self.places {
            let mut dir = place.dir()?.ok_or(Error::Gone)?;
            let chosen = controllers.is_empty() || controllers.iter().any(|c| place.record.controllers.contains(c));
            let child: Dir;
            if let Some(sub) = sub.as_deref().filter(|_| chosen) {
                child = dir
                    .open(sub)?
                    .ok_or_else(|| Error::call("openat2", format!("{}/{sub}", dir.name), rustix::io::Errno::NOENT))?;
                dir = &child;
            }
            match place.record.version {
                Version::V2 => {
                    let fd = fcntl_dupfd_cloexec(dir.as_fd(), 3)
                        .map_err(|errno| Error::call("fcntl", dir.name.clone(), errno))?;
                    join.unified = Some(fd);
                }
                Version::V1 => {
                    let fd = dir
                        .open_file("tasks", OFlags::WRONLY)
                        .map_err(|errno| Error::call("openat2", format!("{}/tasks", dir.name), errno))?;
                    join.tasks.push((place.record.hierarchy(), fd));
                }
            }
        }
        Ok(join)
    }
}

/// A child cgroup of the container; `..` is refused even where it would not lead out.
fn inside(sub: &str) -> Result<String, Error> {
    if sub.split('/').any(|component| component == "..") {
        return Err(Error::BadPath {
            path: sub.to_owned(),
            reason: "\"..\" is not allowed below a container's cgroup",
        });
    }
    path::clean(sub)
}
