//! The descriptors that init inherits: one for each handle of a plan, trees as detached clones.

use super::sources::Sources;
use crate::cgroup::Join;
use crate::error::{Call, Context, Error, Kind, Result};
use crate::plan::{Handle, Plan};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The open handles of a plan.
pub struct Handles {
    /// In the plan's order.
    pub all: Vec<OwnedFd>,
    /// The rootfs's own directory, not its clone: where the clone will be attached.
    pub rootfs: Option<OwnedFd>,
    /// The pid namespace to be entered before the clone.
    pub pid_namespace: Option<OwnedFd>,
}

/// Opens what `sources` does not have, and clones the trees.
///
/// # Errors
/// A failed call.
pub fn open(
    plan: &Plan,
    sources: Sources,
    bundle: Option<BorrowedFd<'_>>,
    container: Option<BorrowedFd<'_>>,
    mut join: Join,
    cgroup_trees: &[(usize, String)],
) -> Result<Handles> {
    let mut all = Vec::with_capacity(plan.handles.len());
    let mut rootfs = None;
    let mut files = sources.files.into_iter();
    for handle in &plan.handles {
        let opened = files.next().flatten().map(|opened| opened.fd);
        let opened = || opened.ok_or_else(|| Error::new(Kind::System, "a source of the plan was not opened"));
        let fd = match handle {
            Handle::Rootfs { path } => {
                let dir = opened()?;
                let tree = clone_tree(dir.as_fd(), path, true)?;
                rootfs = Some(dir);
                tree
            }
            Handle::Tree { path, recursive } | Handle::Procfs { path, recursive } => {
                clone_tree(opened()?.as_fd(), path, *recursive)?
            }
            Handle::Namespace { .. } => opened()?,
            Handle::NotifyDirectory { path } => clone_directory(path)?,
            Handle::CgroupTree { hierarchy } => {
                let missing = || Error::new(Kind::System, "the container has no cgroup in that hierarchy");
                let (_, path) = cgroup_trees.iter().find(|(index, _)| index == hierarchy).ok_or_else(missing)?;
                clone_directory(path)?
            }
            Handle::CgroupTasks { hierarchy } => {
                let at = join.tasks.iter().position(|(name, _)| name == hierarchy);
                let missing = || Error::new(Kind::System, format!("no tasks file for hierarchy {hierarchy}"));
                join.tasks.swap_remove(at.ok_or_else(missing)?).1
            }
            Handle::Bundle => own(bundle, "bundle")?,
            Handle::Container => own(container, "container")?,
        };
        all.push(fd);
    }
    Ok(Handles { all, rootfs, pid_namespace: sources.pid_namespace.map(|opened| opened.fd) })
}

/// A clone of a directory of casemate's own.
fn clone_directory(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source = rustix::fs::open(path, flags, Mode::empty()).call("open", path)?;
    clone_tree(source.as_fd(), path, false)
}

fn own(fd: Option<BorrowedFd<'_>>, name: &str) -> Result<OwnedFd> {
    let missing = || Error::new(Kind::System, format!("the plan names a {name}, but there is none"));
    fd.ok_or_else(missing)?.try_clone_to_owned().call("fcntl", name)
}

/// A detached clone of a mount, or of the part of it below a directory or file (open_tree(2)).
fn clone_tree(source: BorrowedFd<'_>, path: &str, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(source, "", flags)
        .call("open_tree", path)
        .hint("cloning a mount takes CAP_SYS_ADMIN and Linux 5.2, and a source that is not unbindable")
}

/// The working directory while the clone is made: the rootfs's directory, so that the child finds itself in its copy of
/// it (clone(2), CLONE_NEWNS). Before and after it is the caller's, which relative paths of the command line count from.
pub struct Place {
    callers: OwnedFd,
}

impl Place {
    /// Enters the rootfs's directory, if there is one.
    ///
    /// # Errors
    /// What openat(2) and fchdir(2) say.
    pub fn enter(rootfs: Option<&OwnedFd>) -> Result<Option<Place>> {
        let Some(dir) = rootfs else { return Ok(None) };
        let callers = rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .call("open", "working directory")?;
        rustix::process::fchdir(dir).call("fchdir", "rootfs")?;
        Ok(Some(Place { callers }))
    }

    /// Goes back to the caller's.
    ///
    /// # Errors
    /// What fchdir(2) says.
    pub fn leave(self) -> Result<()> {
        rustix::process::fchdir(&self.callers).call("fchdir", "working directory")
    }
}
