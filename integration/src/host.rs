//! Facts about the host, and the host's view of a container: `/proc/PID` and the cgroup files.

use anyhow::{Context, Result};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a case may need of the host; see [`Host::missing`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    CgroupV1,
    /// The memory controller is in the unified hierarchy.
    CgroupV2,
    SwapAccounting,
    UserNamespaces,
    TimeNamespaces,
    /// SELinux is off: the refusal of a label can be seen.
    SelinuxOff,
    /// AppArmor is off: the refusal of a profile can be seen.
    ApparmorOff,
    /// SELinux is on: labels can be seen.
    Selinux,
    /// AppArmor is on: profiles can be seen.
    Apparmor,
    /// Landlock with scopes, since Linux 6.12.
    LandlockScopes,
    /// strace(1), which makes system calls fail.
    Strace,
}

/// The host, looked at once.
#[derive(Debug)]
pub struct Host {
    /// Mount points of v1 controllers, by controller.
    pub controllers: BTreeMap<String, PathBuf>,
    /// The mount point of the unified hierarchy, also on a hybrid host.
    pub unified: Option<PathBuf>,
}

/// One line of mountinfo.
#[derive(Debug, Clone)]
pub struct Mount {
    /// `major:minor` of the file system.
    pub device: String,
    pub root: String,
    pub point: String,
    pub options: Vec<String>,
    /// `shared:N`, `master:N`, `unbindable`.
    pub propagation: Vec<String>,
    pub kind: String,
    pub super_options: String,
}

impl Mount {
    /// Whether a per-mount option such as `ro` is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

impl Host {
    /// Reads the mount table.
    pub fn look() -> Result<Self> {
        let mut controllers = BTreeMap::new();
        let mut unified = None;
        for mount in mounts("self")? {
            match mount.kind.as_str() {
                "cgroup" => {
                    let names = mount.super_options.split(',').map(|name| name.trim_start_matches("name="));
                    for name in names.filter(|name| !["rw", "ro", "xattr"].contains(name)) {
                        controllers.insert(name.to_owned(), PathBuf::from(&mount.point));
                    }
                }
                "cgroup2" => unified = Some(PathBuf::from(&mount.point)),
                _ => {}
            }
        }
        Ok(Self { controllers, unified })
    }

    /// The key and the words of a fact this host lacks.
    pub fn missing(&self, fact: Fact) -> Option<(&'static str, String)> {
        let exists = |path: &str| Path::new(path).exists();
        let (present, key, words) = match fact {
            Fact::CgroupV1 => (!self.controllers.is_empty(), "cgroup-v1", "needs cgroup v1 controllers"),
            Fact::CgroupV2 => {
                let list = self.unified.as_ref().map(|mount| mount.join("cgroup.controllers"));
                let list = list.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
                (
                    list.split_whitespace().any(|name| name == "memory"),
                    "cgroup-v2",
                    "needs the memory controller in cgroup v2",
                )
            }
            Fact::SwapAccounting => {
                let memory = self.controllers.get("memory");
                let present = memory.is_some_and(|dir| dir.join("memory.memsw.limit_in_bytes").exists());
                (present, "swap-accounting", "needs memory.memsw.*")
            }
            Fact::UserNamespaces => {
                let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
                let present = exists("/proc/self/ns/user") && limit.trim() != "0";
                (present, "user-namespaces", "needs user namespaces")
            }
            Fact::TimeNamespaces => (exists("/proc/self/ns/time"), "time-namespaces", "needs time namespaces"),
            Fact::SelinuxOff => (!exists("/sys/fs/selinux/enforce"), "selinux-off", "needs a kernel without SELinux"),
            Fact::ApparmorOff => {
                let on = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
                (on.trim() != "Y", "apparmor-off", "needs a kernel without AppArmor")
            }
            Fact::Selinux => (exists("/sys/fs/selinux/enforce"), "selinux", "needs SELinux"),
            Fact::Apparmor => {
                let on = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
                (on.trim() == "Y", "apparmor", "needs AppArmor")
            }
            Fact::LandlockScopes => {
                (landlock_version() >= 6, "landlock-scopes", "needs Landlock's scopes (Linux 6.12)")
            }
            Fact::Strace => (exists("/usr/bin/strace"), "strace", "needs /usr/bin/strace"),
        };
        (!present).then(|| (key, words.to_owned()))
    }

    /// Where a container's file of a v1 controller is.
    pub fn cgroup_file(&self, controller: &str, cgroups_path: &str, file: &str) -> Result<PathBuf> {
        let mount = self.controllers.get(controller).with_context(|| format!("no v1 controller {controller}"))?;
        Ok(mount.join(cgroups_path.trim_start_matches('/')).join(file))
    }

    /// Reads a container's file of a v1 controller, trimmed.
    pub fn cgroup(&self, controller: &str, cgroups_path: &str, file: &str) -> Result<String> {
        read(&self.cgroup_file(controller, cgroups_path, file)?)
    }

    /// The directories a cgroups path has in all hierarchies, those that exist.
    pub fn cgroup_dirs(&self, cgroups_path: &str) -> Vec<PathBuf> {
        let mounts = self.controllers.values().chain(&self.unified);
        let dirs: std::collections::BTreeSet<PathBuf> =
            mounts.map(|mount| mount.join(cgroups_path.trim_start_matches('/'))).filter(|dir| dir.is_dir()).collect();
        dirs.into_iter().collect()
    }

    /// The processes below a cgroups path, in any hierarchy.
    pub fn cgroup_processes(&self, cgroups_path: &str) -> Vec<i32> {
        let mut pids = Vec::new();
        for dir in self.cgroup_dirs(cgroups_path) {
            collect_processes(&dir, &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

fn collect_processes(dir: &Path, pids: &mut Vec<i32>) {
    let listed = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_processes(&entry.path(), pids);
        }
    }
}

/// The version of Landlock's interface; negative without Landlock.
fn landlock_version() -> i64 {
    const LANDLOCK_CREATE_RULESET_VERSION: i32 = 1;
    // SAFETY: with this flag and without attributes the call only answers with a number.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, LANDLOCK_CREATE_RULESET_VERSION)
    }
}

/// Removes a cgroup directory and those below it.
pub fn remove_cgroup(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    std::fs::remove_dir(dir).with_context(|| format!("rmdir \"{}\"", dir.display()))
}

/// A small file, trimmed.
pub fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read \"{}\"", path.display()))?;
    Ok(text.trim().to_owned())
}

/// One field of `/proc/PID/status`.
pub fn status(pid: i32, field: &str) -> Result<String> {
    let text = read(&PathBuf::from(format!("/proc/{pid}/status")))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no \"{field}\" in the status of {pid}"))?.trim().to_owned())
}

/// A link below `/proc/PID`, such as `ns/net` or `cwd`.
pub fn link(pid: impl std::fmt::Display, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{name}");
    Ok(std::fs::read_link(&path).with_context(|| format!("readlink \"{path}\""))?.to_string_lossy().into_owned())
}

/// The arguments of a process.
pub fn command_line(pid: i32) -> Result<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Ok(words.filter(|word| !word.is_empty()).collect())
}

/// Whether a process is there and not a zombie.
pub fn is_alive(pid: i32) -> bool {
    status(pid, "State").is_ok_and(|state| !state.starts_with(['Z', 'X']))
}

/// Sends SIGKILL to one process; one that is gone is no error.
pub fn kill(pid: i32) -> Result<()> {
    let Some(pid) = Pid::from_raw(pid) else { return Ok(()) };
    match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("kill {}", pid.as_raw_nonzero())),
    }
}

/// The mount table of a process.
pub fn mounts(pid: impl std::fmt::Display) -> Result<Vec<Mount>> {
    let text = read(&PathBuf::from(format!("/proc/{pid}/mountinfo")))?;
    text.lines().map(|line| parse_mount(line).with_context(|| format!("mountinfo line \"{line}\""))).collect()
}

/// The topmost mount at `point`.
pub fn mount_at(mounts: &[Mount], point: &str) -> Result<Mount> {
    mounts
        .iter()
        .rev()
        .find(|mount| mount.point == point)
        .cloned()
        .with_context(|| format!("nothing is mounted at {point}"))
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let front: Vec<&str> = front.split(' ').collect();
    let mut back = back.split(' ');
    Some(Mount {
        device: front.get(2)?.to_string(),
        root: front.get(3)?.to_string(),
        point: front.get(4)?.to_string(),
        options: front.get(5)?.split(',').map(str::to_owned).collect(),
        propagation: front.iter().skip(6).map(|tag| tag.to_string()).collect(),
        kind: back.next()?.to_owned(),
        super_options: back.nth(1).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mountinfo_line_is_taken_apart() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue";
        let mount = parse_mount(line).unwrap();
        assert_eq!((mount.root.as_str(), mount.point.as_str(), mount.kind.as_str()), ("/mnt1", "/mnt2", "ext3"));
        assert_eq!(mount.propagation, ["master:1", "shared:2"]);
        assert!(mount.has("noatime") && !mount.has("ro"));
        assert_eq!(mount.super_options, "rw,errors=continue");
        assert!(parse_mount("36 35 98:0").is_none());
    }

    #[test]
    fn this_process_is_alive_and_an_impossible_one_is_not() {
        assert!(is_alive(std::process::id().cast_signed()));
        assert!(!is_alive(i32::MAX));
    }
}
