//! What the kernel says of a process: nothing here looks at a configuration.

use super::devices::{self, Devices};
use super::filters;
use super::mounts::{Cover, Mount, Mounts, cover};
use super::risk::{self, Verdict};
use crate::cgroup::Limits;
use crate::error::{Call as _, Error, Kind, Result};
use crate::host::capability_names;
use crate::plan::namespace::NamespaceKind;
use crate::plan::security::CapabilitySets;
use crate::state::procfs::Procfs;
use crate::state::{Container, Process, of_cgroup};
use rustix::fs::{fstat, readlinkat};
use rustix::io::Errno;
use serde::{Serialize, Serializer};
use std::os::fd::AsFd;

/// Everything that is read of one init.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kernel {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// Real, effective, saved and filesystem user id, as the caller's user namespace has them.
    pub uids: Vec<u32>,
    /// The same of the group.
    pub gids: Vec<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The five sets of capabilities(7).
    #[serde(serialize_with = "sets")]
    pub capabilities: CapabilitySets,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// The system calls it may make.
    pub seccomp: Seccomp,
    /// The label of the security module in `attr/current`; absent without one.
    pub label: Option<String>,
    /// AppArmor's, where it is another.
    pub apparmor: Option<String>,
    /// Its namespaces.
    pub namespaces: Vec<Namespace>,
    /// `uid_map`: first id inside, first id outside, how many.
    pub uid_map: Vec<Vec<u32>>,
    /// `gid_map`.
    pub gid_map: Vec<Vec<u32>>,
    /// Its mounts, without those that others cover.
    pub mounts: Vec<Mount>,
    /// Paths that are to be masked or read-only, and what they are.
    pub paths: Vec<(String, Cover)>,
    /// Device nodes in its /dev, and who may open them.
    pub devices: Devices,
    /// The limits of its cgroup.
    pub limits: Limits,
    /// Directories of the container's cgroup that it left.
    pub left_cgroups: Vec<String>,
    /// Soft and hard limit by the name that proc_pid_limits(5) gives.
    pub rlimits: Vec<(&'static str, String, String)>,
    /// -1000 to 1000.
    pub oom_score_adj: i32,
    /// Whether processes of the same user may look into it; not told for user 0.
    pub dumpable: Option<bool>,
}

/// The filters, and what they say.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// 0 for none, 1 for strict, 2 for filters.
    pub mode: u32,
    /// How many filters there are (Linux 5.9).
    pub filters: Option<usize>,
    /// Instructions of each, the oldest first.
    pub instructions: Vec<usize>,
    /// Init waits for `start`: the filters of the plan come right before its `execve`.
    pub pending: bool,
    /// Why they were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// What happens to the forty riskiest calls; empty when it cannot be known.
    pub verdicts: Vec<Verdict>,
    /// The filters themselves.
    #[serde(skip)]
    pub programs: Vec<Vec<u64>>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// Its kind.
    pub kind: NamespaceKind,
    /// Its inode.
    pub inode: u64,
    /// The caller is in it too, or it is the one that the kernel booted with.
    pub host: bool,
}

/// Inodes of the namespaces that the kernel boots with (include/linux/proc_ns.h); the others have none that is fixed.
const INITIAL: [(NamespaceKind, u64); 6] = [
    (NamespaceKind::Ipc, 0xEFFF_FFFF),
    (NamespaceKind::Uts, 0xEFFF_FFFE),
    (NamespaceKind::User, 0xEFFF_FFFD),
    (NamespaceKind::Pid, 0xEFFF_FFFC),
    (NamespaceKind::Cgroup, 0xEFFF_FFFB),
    (NamespaceKind::Time, 0xEFFF_FFFA),
];

/// The limits that matter for confinement, as proc_pid_limits(5) names them.
const RLIMITS: [&str; 3] = ["Max core file size", "Max open files", "Max processes"];

/// Whether init may be stopped for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopping {
    /// It may: its filters are read.
    Allowed,
    /// It is left alone.
    Refused,
}

/// Reads everything; `paths` are looked at beside the engines' list of paths to be masked.
///
/// # Errors
/// [`Kind::NotFound`] when the process ended meanwhile; a failed call.
pub fn read(container: &Container, process: &Process, paths: &[String], stopping: Stopping) -> Result<Kernel> {
    let read = read_all(container, process, paths, stopping);
    // Alive still, so its pid was its own all the time. An error of a process that ended is that it ended.
    if process.is_gone()? {
        return Err(Error::new(Kind::NotFound, "the container's init ended while it was looked at"));
    }
    read
}

fn read_all(container: &Container, process: &Process, paths: &[String], stopping: Stopping) -> Result<Kernel> {
    let (pid, procfs) = (process.pid(), Procfs::open()?);
    let file = |name: &str| {
        let name = format!("{pid}/{name}");
        procfs.read(&name).call("read", format_args!("/proc/{name}"))
    };
    let status = file("status")?;
    let status = Status(&status).fields().ok_or_else(|| form(pid, "status"))?;
    let (capabilities, is_waiting) = (status.capabilities, container.entry.is_waiting()?);
    let mountinfo = file("mountinfo")?;
    let mounts = Mounts::parse(&mountinfo).filter(|_| mountinfo.len() < 1 << 20);
    let mounts = mounts.ok_or_else(|| form(pid, "mountinfo"))?;
    let root = procfs.root(pid)?;
    let cgroup = container.cgroup();
    let covers = |path: &String| match cover(root.as_fd(), &mounts, path) {
        Ok(cover) => Ok((path.clone(), cover)),
        Err(errno) => Err(Error::call("openat2", format_args!("{path} of the container"), errno)),
    };
    let label = |name: &str| match procfs.read(&format!("{pid}/attr/{name}")) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\n', '\0']).to_owned()).filter(|text| !text.is_empty())),
        // No such module, or none at all.
        Err(Errno::INVAL | Errno::NOENT | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(Error::call("read", format_args!("/proc/{pid}/attr/{name}"), errno)),
    };
    let stat = procfs.open_file(&format!("{pid}/status")).and_then(fstat).call("fstat", format_args!("/proc/{pid}"))?;
    let euid = status.uids.get(1).copied().unwrap_or_default();
    let limits_text = file("limits")?;
    Ok(Kernel {
        pid,
        capabilities,
        no_new_privileges: status.no_new_privileges,
        seccomp: seccomp(process, &status, is_waiting, stopping),
        label: label("current")?,
        apparmor: label("apparmor/current")?,
        namespaces: namespaces(&procfs, pid)?,
        uid_map: id_map(&file("uid_map")?),
        gid_map: id_map(&file("gid_map")?),
        paths: paths.iter().map(covers).collect::<Result<_>>()?,
        devices: devices::read(root.as_fd(), &mounts, &cgroup)?,
        limits: cgroup.limits().map_err(of_cgroup)?,
        left_cgroups: cgroup.left_by(pid, &file("cgroup")?).map_err(of_cgroup)?,
        rlimits: RLIMITS.into_iter().filter_map(|name| rlimit(&limits_text, name)).collect(),
        oom_score_adj: file("oom_score_adj")?.trim().parse().map_err(|_| form(pid, "oom_score_adj"))?,
        dumpable: (euid != 0).then_some(stat.st_uid == euid),
        mounts: mounts.0,
        uids: status.uids,
        gids: status.gids,
        groups: status.groups,
    })
}

fn form(pid: i32, file: &str) -> Error {
    Error::new(Kind::System, format!("read \"/proc/{pid}/{file}\": not what proc(5) says, or too long"))
}

/// `/proc/PID/status`, proc_pid_status(5).
struct Status<'a>(&'a str);

struct Fields {
    uids: Vec<u32>,
    gids: Vec<u32>,
    groups: Vec<u32>,
    capabilities: CapabilitySets,
    no_new_privileges: bool,
    seccomp: u32,
    filters: Option<usize>,
}

impl Status<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    fn numbers(&self, name: &str) -> Option<Vec<u32>> {
        self.field(name)?.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
    }

    fn fields(&self) -> Option<Fields> {
        let set = |name| u64::from_str_radix(self.field(name)?, 16).ok();
        Some(Fields {
            uids: self.numbers("Uid").filter(|ids| ids.len() == 4)?,
            gids: self.numbers("Gid").filter(|ids| ids.len() == 4)?,
            groups: self.numbers("Groups")?,
            capabilities: CapabilitySets {
                bounding: set("CapBnd")?,
                effective: set("CapEff")?,
                permitted: set("CapPrm")?,
                inheritable: set("CapInh")?,
                ambient: set("CapAmb")?,
            },
            no_new_privileges: self.field("NoNewPrivs")? == "1",
            seccomp: self.field("Seccomp")?.parse().ok()?,
            filters: self.field("Seccomp_filters").and_then(|count| count.parse().ok()),
        })
    }
}

fn seccomp(process: &Process, status: &Fields, is_waiting: bool, stopping: Stopping) -> Seccomp {
    let mut seccomp = Seccomp { mode: status.seccomp, filters: status.filters, ..Seccomp::default() };
    if status.seccomp == 0 && is_waiting {
        seccomp.pending = true;
        return seccomp;
    }
    let read = match (status.seccomp, stopping) {
        (0, _) => Ok(Vec::new()),
        (2, Stopping::Allowed) => filters::read(process),
        (2, Stopping::Refused) => Err("not asked for: --no-stop".to_owned()),
        // Strict: read, write, exit and sigreturn only, so that there is no question.
        _ => return seccomp,
    };
    let verdicts = read.and_then(|programs| {
        seccomp.instructions = programs.iter().map(Vec::len).collect();
        seccomp.programs = programs;
        risk::verdicts(&seccomp.programs, status.capabilities.bounding)
    });
    match verdicts {
        Ok(verdicts) => seccomp.verdicts = verdicts,
        Err(why) => seccomp.unread = Some(why),
    }
    seccomp
}

fn namespaces(procfs: &Procfs, pid: i32) -> Result<Vec<Namespace>> {
    let own = std::process::id();
    let inode = |pid: &str, kind: NamespaceKind| {
        let path = format!("{pid}/ns/{}", kind.proc_name());
        match readlinkat(procfs.as_fd(), path.as_str(), Vec::new()) {
            Ok(link) => Ok(namespace_inode(&link.to_string_lossy())),
            // A kernel without this kind.
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::call("readlink", format_args!("/proc/{path}"), errno)),
        }
    };
    let mut all = Vec::new();
    for kind in NamespaceKind::ALL {
        let Some(found) = inode(&pid.to_string(), kind)? else { continue };
        let host = INITIAL.contains(&(kind, found)) || inode(&own.to_string(), kind)? == Some(found);
        all.push(Namespace { kind, inode: found, host });
    }
    Ok(all)
}

/// The number in `net:[4026531840]`.
fn namespace_inode(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

fn id_map(text: &str) -> Vec<Vec<u32>> {
    text.lines().map(|line| line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()).collect()
}

/// A line of `/proc/PID/limits`: the name, the soft and the hard limit, the unit.
fn rlimit(text: &str, name: &'static str) -> Option<(&'static str, String, String)> {
    let mut values = text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace();
    Some((name, values.next()?.to_owned(), values.next()?.to_owned()))
}

fn sets<S: Serializer>(sets: &CapabilitySets, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(named(sets).map(|(name, set)| (name, capability_names(set))))
}

/// The five sets with their names, from the widest to the narrowest.
pub fn named(sets: &CapabilitySets) -> [(&'static str, u64); 5] {
    [
        ("bounding", sets.bounding),
        ("permitted", sets.permitted),
        ("effective", sets.effective),
        ("inheritable", sets.inheritable),
        ("ambient", sets.ambient),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\\nUid:\t0\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t5\t5\t5\n\
        Groups:\t5 20 \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    #[test]
    fn status_is_read_by_its_names() {
        let fields = Status(STATUS).fields().unwrap();
        assert_eq!((fields.uids, fields.groups), (vec![1000, 1001, 1002, 1003], vec![5, 20]));
        assert_eq!((fields.capabilities.bounding, fields.capabilities.effective), (0xa804_25fb, 0x400));
        assert_eq!((fields.no_new_privileges, fields.seccomp, fields.filters), (true, 2, Some(2)));
        assert!(Status(&STATUS.replace("NoNewPrivs", "x")).fields().is_none());
        assert!(Status(&STATUS.replace("\t1003", "")).fields().is_none());
    }

    #[test]
    fn limits_are_read_by_their_names() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max core file size        0                    unlimited            bytes     \n";
        assert_eq!(rlimit(text, "Max core file size"), Some(("Max core file size", "0".into(), "unlimited".into())));
        assert_eq!(rlimit(text, "Max processes"), None);
    }

    #[test]
    fn own_namespaces_are_the_hosts() {
        let pid = std::process::id() as i32;
        let all = namespaces(&Procfs::open().unwrap(), pid).unwrap();
        assert!(all.len() >= 7 && all.iter().all(|namespace| namespace.host), "{all:?}");
        assert_eq!(namespace_inode("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(namespace_inode("net:[x]"), None);
    }
}
