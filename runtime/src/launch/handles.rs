//! What a plan names on the host, opened once: after this no path of the config is looked up again.

use crate::cgroup::Join;
use crate::error::{Call, Context, Error, Kind, Result};
use crate::plan::namespace::NamespaceKind;
use crate::plan::{Handle, Plan, sysctl_namespace};
use crate::program::Op;
use crate::state::procfs::Procfs;
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
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

/// Opens everything that the plan names.
///
/// # Errors
/// A path that does not exist or is not what the plan takes it for.
pub fn open(
    plan: &Plan,
    bundle: Option<BorrowedFd<'_>>,
    container: Option<BorrowedFd<'_>>,
    mut join: Join,
    cgroup_trees: &[(usize, String)],
) -> Result<Handles> {
    let mut all = Vec::with_capacity(plan.handles.len());
    let mut rootfs = None;
    for handle in &plan.handles {
        let fd = match handle {
            Handle::Rootfs { path } => {
                let dir = open_rootfs(path)?;
                let tree = clone_tree(dir.as_fd(), path, true)?;
                rootfs = Some(dir);
                tree
            }
            Handle::Tree { path, recursive } => clone_tree(open_source(path)?.as_fd(), path, *recursive)?,
            Handle::Procfs { path, recursive } => {
                let source = open_source(path)?;
                check_procfs(source.as_fd(), path)?;
                clone_tree(source.as_fd(), path, *recursive)?
            }
            Handle::CgroupTree { hierarchy } => {
                let missing = || Error::new(Kind::System, "the container has no cgroup in that hierarchy");
                let (_, path) = cgroup_trees.iter().find(|(index, _)| index == hierarchy).ok_or_else(missing)?;
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let source = rustix::fs::open(path.as_str(), flags, Mode::empty()).call("open", path)?;
                clone_tree(source.as_fd(), path, false)?
            }
            Handle::CgroupTasks { hierarchy } => {
                let at = join.tasks.iter().position(|(name, _)| name == hierarchy);
                let missing = || Error::new(Kind::System, format!("no tasks file for hierarchy {hierarchy}"));
                join.tasks.swap_remove(at.ok_or_else(missing)?).1
            }
            Handle::Namespace { kind, path } => {
                let namespace = open_namespace(*kind, path)?;
                refuse_own(plan, *kind, path, namespace.as_fd())?;
                namespace
            }
            Handle::Bundle => own(bundle, "bundle")?,
            Handle::Container => own(container, "container")?,
        };
        all.push(fd);
    }
    // For exec there is the container itself, which init joins.
    let pid = plan.namespaces.joined.iter().find(|(kind, _)| *kind == NamespaceKind::Pid && container.is_none());
    let pid_namespace = pid.map(|(kind, path)| open_namespace(*kind, path)).transpose()?;
    Ok(Handles { all, rootfs, pid_namespace })
}

/// The source of a bind mount.
fn open_source(path: &str) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .call("open", path)
        .map_err(|e| e.as_kind(Kind::InvalidConfig))
        .hint("the source of a bind mount does not exist or cannot be reached")
}

/// What is bound on /proc must be the root of a procfs: anything else would take the writes that label the process
/// (CVE-2019-16884).
fn check_procfs(source: BorrowedFd<'_>, path: &str) -> Result<()> {
    const PROC_ROOT_INO: u64 = 1;
    let filesystem = rustix::fs::fstatfs(source).call("fstatfs", path)?;
    let inode = rustix::fs::fstat(source).call("fstat", path)?.st_ino;
    if filesystem.f_type == rustix::fs::PROC_SUPER_MAGIC && inode == PROC_ROOT_INO {
        return Ok(());
    }
    let what = format!("\"/proc\" cannot be mounted because it is not of type proc: \"{path}\" is no procfs");
    Err(Error::new(Kind::InvalidConfig, what))
}

/// A path may lead to the caller's own namespace. Then what is written to it is the host's, which the plan, that sees
/// paths only, took for the container's.
fn refuse_own(plan: &Plan, kind: NamespaceKind, path: &str, joined: BorrowedFd<'_>) -> Result<()> {
    let changes = plan.program.iter().find_map(|op| match op {
        Op::Sysctl { name, .. } if sysctl_namespace(name) == Some(kind) => Some(format!("sysctl \"{name}\"")),
        Op::Hostname { .. } if kind == NamespaceKind::Uts => Some("hostname".to_string()),
        Op::Domainname { .. } if kind == NamespaceKind::Uts => Some("domainname".to_string()),
        _ => None,
    });
    let Some(change) = changes else { return Ok(()) };
    let own = Procfs::open()?.namespace(kind.proc_name())?;
    let id = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).call("fstat", path).map(|st| (st.st_dev, st.st_ino));
    if id(joined)? != id(own.as_fd())? {
        return Ok(());
    }
    let kind = kind.spec_name();
    let what =
        format!("{change} is not in a separate kernel namespace: \"{path}\" is the caller's own {kind} namespace");
    Err(Error::new(Kind::InvalidConfig, what))
}

fn own(fd: Option<BorrowedFd<'_>>, name: &str) -> Result<OwnedFd> {
    let missing = || Error::new(Kind::System, format!("the plan names a {name}, but there is none"));
    fd.ok_or_else(missing)?.try_clone_to_owned().call("fcntl", name)
}

/// The rootfs's directory. A symbolic link in its place is refused, as by every runtime: what it points to could be
/// exchanged by whoever owns it.
fn open_rootfs(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let what = if errno == Errno::NOTDIR { "invalid rootfs: no directory, or a symlink" } else { "invalid rootfs" };
        Error::call("open", path, errno).as_kind(Kind::InvalidConfig).context(what)
    })
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

/// A namespace, of the kind that the config says.
fn open_namespace(kind: NamespaceKind, path: &str) -> Result<OwnedFd> {
    let during = || format!("namespace path for {}", kind.spec_name());
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .call("open", path)
        .map_err(|e| e.as_kind(Kind::InvalidConfig))
        .context(during())?;
    let found = sys::namespace::namespace_type(fd.as_fd())
        .map_err(|_| Error::new(Kind::InvalidConfig, format!("{}: \"{path}\" is not a namespace", during())))?;
    if found != kind.clone_flag() {
        let found = NamespaceKind::ALL.into_iter().find(|k| k.clone_flag() == found);
        let found = found.map_or("unknown", NamespaceKind::spec_name);
        let what = format!("{}: \"{path}\" is a {found} namespace: invalid argument", during());
        return Err(Error::new(Kind::InvalidConfig, what));
    }
    Ok(fd)
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
