//! What a config names on the host, opened once and before anything is done: after this no path of it is looked up again,
//! so that what was judged is what is mounted.

use super::descriptors;
use crate::error::{Call, Context, Error, Kind, Result};
use crate::plan::namespace::NamespaceKind;
use crate::plan::{FileKind, Handle, JoinedNamespace, Plan, Source, sysctl_namespace};
use crate::program::Op;
use crate::state::procfs::Procfs;
use crate::sys;
use crate::sys::descriptors::Limit;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags, fstat, openat2, statx};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The open files of a plan, by the index of their handles. Empty for exec, which names none.
#[derive(Default)]
pub struct Sources {
    pub(super) files: Vec<Option<Opened>>,
    /// The pid namespace to be entered before the clone: no handle of init's.
    pub(super) pid_namespace: Option<Opened>,
    /// RLIMIT_NOFILE as it was, if it had to be raised for so many.
    pub(super) limit: Option<Limit>,
}

/// One of them.
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    path: String,
    /// Of a namespace.
    kind: Option<NamespaceKind>,
}

impl Opened {
    fn file(fd: OwnedFd, path: &str) -> Option<Opened> {
        Some(Opened { fd, path: path.into(), kind: None })
    }

    fn namespace(kind: NamespaceKind, path: &str) -> Result<Opened> {
        Ok(Opened { fd: open_namespace(kind, path)?, path: path.into(), kind: Some(kind) })
    }
}

impl Sources {
    /// Opens the rootfs, the sources of bind mounts and the namespaces that a plan for a new container names.
    ///
    /// # Errors
    /// A path that does not exist or is not what the plan takes it for.
    pub fn open(plan: &Plan) -> Result<Sources> {
        let limit = descriptors::make_room(plan)?;
        let mut files = Vec::with_capacity(plan.handles.len());
        for handle in &plan.handles {
            files.push(match handle {
                Handle::Rootfs { path } => Opened::file(open_rootfs(path)?, path),
                Handle::Tree { path, .. } => Opened::file(open_source(path)?, path),
                Handle::Procfs { path, .. } => {
                    let source = open_source(path)?;
                    check_procfs(source.as_fd(), path)?;
                    Opened::file(source, path)
                }
                Handle::Namespace { kind, path } => {
                    let namespace = Opened::namespace(*kind, path)?;
                    refuse_own(plan, *kind, path, namespace.fd.as_fd())?;
                    Some(namespace)
                }
                // casemate's own: made later, or in its hands already.
                Handle::NotifyDirectory { .. }
                | Handle::CgroupTree { .. }
                | Handle::CgroupTasks { .. }
                | Handle::Bundle
                | Handle::Container => None,
            });
        }
        let pid = plan.namespaces.joined.iter().find(|(kind, _)| *kind == NamespaceKind::Pid);
        let pid_namespace = pid.map(|(kind, path)| Opened::namespace(*kind, path)).transpose()?;
        Ok(Sources { files, pid_namespace, limit })
    }

    /// Where the rootfs and the sources of bind mounts really are.
    ///
    /// # Errors
    /// One that was deleted meanwhile, or is not below casemate's root; or a failed call.
    pub fn paths(&self) -> Result<Vec<Source>> {
        let procfs = Procfs::open()?;
        let mut sources = Vec::new();
        for (handle, opened) in self.files.iter().enumerate() {
            let Some(Opened { fd, path, kind: None }) = opened else { continue };
            sources.push(place(&procfs, fd.as_fd(), path, handle)?);
        }
        Ok(sources)
    }

    /// The namespaces that the config names by a path.
    ///
    /// # Errors
    /// A failed call.
    pub fn namespaces(&self) -> Result<Vec<JoinedNamespace>> {
        let mut joined = Vec::new();
        for opened in self.files.iter().flatten().chain(&self.pid_namespace) {
            let Some(kind) = opened.kind else { continue };
            let is_own = is_own(kind, &opened.path, opened.fd.as_fd())?;
            joined.push(JoinedNamespace { kind, path: opened.path.clone(), is_own });
        }
        Ok(joined)
    }
}

/// What is open under `path`, by where it really is; `handle` is its place in the plan.
///
/// # Errors
/// As [`Sources::paths`].
pub fn place_of(file: BorrowedFd<'_>, path: &str, handle: usize) -> Result<Source> {
    place(&Procfs::open()?, file, path, handle)
}

fn place(procfs: &Procfs, file: BorrowedFd<'_>, path: &str, handle: usize) -> Result<Source> {
    let stat = fstat(file).call("fstat", path)?;
    Ok(Source {
        handle,
        path: path.into(),
        real_path: real_path(procfs, file, path)?,
        device: stat.st_dev,
        inode: stat.st_ino,
        kind: file_kind(&stat),
    })
}

/// Where the file is now, as the kernel says (proc_pid_fd(5)). For a file that was deleted, or that is in another mount
/// namespace, it says something that looks like a path: so that has to lead to the same file on the same mount.
fn real_path(procfs: &Procfs, file: BorrowedFd<'_>, path: &str) -> Result<String> {
    let link = format!("{}/fd/{}", std::process::id(), file.as_raw_fd());
    let place = rustix::fs::readlinkat(procfs, &link, Vec::new()).call("readlinkat", format_args!("/proc/{link}"))?;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let again = openat2(CWD, &place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    let identity = |file: BorrowedFd<'_>| {
        let st = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID);
        st.call("statx", path).map(|st| (st.stx_dev_major, st.stx_dev_minor, st.stx_ino, st.stx_mnt_id))
    };
    let is_there = match again {
        Ok(again) => identity(again.as_fd())? == identity(file)?,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => false,
        Err(errno) => return Err(Error::call("openat2", path, errno)),
    };
    let place = place.into_string().ok().filter(|place| is_there && place.starts_with('/'));
    let lost = || Error::new(Kind::InvalidConfig, format!("\"{path}\" was deleted, or is on no mount of casemate's"));
    place.ok_or_else(lost)
}

fn file_kind(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => FileKind::Directory,
        FileType::RegularFile => FileKind::Regular,
        FileType::CharacterDevice => FileKind::CharacterDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::Symlink | FileType::Unknown => FileKind::Other,
    }
}

/// The source of a bind mount. A magic link (proc(5), `/proc/PID/fd` and the like) is followed where the configuration
/// itself names it. A link on the way, which a volume may have, does not lead through one: it could stand for a descriptor
/// of casemate's own, or for another mount namespace.
fn open_source(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let (link, rest) = magic_link(path);
    let opened = match link {
        "" => openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS),
        link => rustix::fs::open(link, flags, Mode::empty()).and_then(|at| match rest {
            "" => Ok(at),
            rest => openat2(at, rest, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS),
        }),
    };
    let hint = match opened {
        Err(Errno::LOOP) => "a link on the way leads in circles, or through a magic link of /proc",
        _ => "the source of a bind mount does not exist or cannot be reached",
    };
    opened.call("open", path).map_err(|e| e.as_kind(Kind::InvalidConfig)).hint(hint)
}

/// The magic link that `path` begins with, and what follows it; both empty parts of it when there is none.
fn magic_link(path: &str) -> (&str, &str) {
    let parts: Vec<&str> = path.split('/').collect();
    let is_process = |part: &str| matches!(part, "self" | "thread-self") || part.parse::<u32>().is_ok();
    let (at, kind) = match parts.as_slice() {
        ["", "proc", process, "task", _, kind, ..] if is_process(process) => (6, *kind),
        ["", "proc", process, kind, ..] if is_process(process) => (4, *kind),
        _ => return ("", path),
    };
    let count = match kind {
        "root" | "cwd" | "exe" => at,
        "fd" | "map_files" | "ns" => at + 1,
        _ => return ("", path),
    };
    let length = parts.iter().take(count).map(|part| part.len() + 1).sum::<usize>() - 1;
    let (link, rest) = path.split_at(length.min(path.len()));
    (link, rest.trim_start_matches('/'))
}

/// What is bound on /proc must be the root of a procfs: anything else would take the writes that label the process
/// (CVE-2019-16884).
fn check_procfs(source: BorrowedFd<'_>, path: &str) -> Result<()> {
    const PROC_ROOT_INO: u64 = 1;
    let filesystem = rustix::fs::fstatfs(source).call("fstatfs", path)?;
    let inode = fstat(source).call("fstat", path)?.st_ino;
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
    if !is_own(kind, path, joined)? {
        return Ok(());
    }
    let kind = kind.spec_name();
    let what =
        format!("{change} is not in a separate kernel namespace: \"{path}\" is the caller's own {kind} namespace");
    Err(Error::new(Kind::InvalidConfig, what))
}

fn is_own(kind: NamespaceKind, path: &str, joined: BorrowedFd<'_>) -> Result<bool> {
    let own = Procfs::open()?.namespace(kind.proc_name())?;
    let id = |fd: BorrowedFd<'_>| fstat(fd).call("fstat", path).map(|st| (st.st_dev, st.st_ino));
    Ok(id(joined)? == id(own.as_fd())?)
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

#[cfg(test)]
mod tests;
