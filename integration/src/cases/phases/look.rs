//! What a process holds, as the host's `/proc` tells it, against a row of the table.

use super::rows::{Capabilities, Cgroup, Confined, Namespaces, Phase, Place, User};
use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::host;
use crate::isolation;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The runtime's group, and the program's. Files below `/proc/PID` belong to the group of a dumpable process, and to
/// group 0 otherwise (proc(5)): that is how it is seen from outside.
pub const CALLERS_GROUP: u32 = 4242;
/// See [`CALLERS_GROUP`].
pub const PROGRAMS_GROUP: u32 = 2000;

const SYS_ADMIN: u64 = 1 << 21;
const DAC_OVERRIDE_AND_READ_SEARCH: u64 = 0b110;

/// The five sets of capabilities(7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
}

impl std::fmt::Debug for Sets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sets { inheritable, permitted, effective, bounding, ambient } = self;
        write!(f, "inh {inheritable:x} prm {permitted:x} eff {effective:x} bnd {bounding:x} amb {ambient:x}")
    }
}

/// What the table's words stand for at one level.
pub struct Setting<'a> {
    pub ground: &'a Ground<'a>,
    pub bundle: Bundle,
    /// What the level leaves of the configuration's sets.
    pub plan: Sets,
    pub uid: u32,
    pub no_new_privileges: bool,
    /// Init of the container, once it is known.
    pub init: Option<i32>,
}

impl Setting<'_> {
    /// Fails unless `pid` holds exactly what the row says.
    pub fn check(&self, pid: i32, phase: &Phase) -> Result<()> {
        self.compare(pid, phase).with_context(|| format!("{}, {} (pid {pid})", phase.process, phase.when))
    }

    fn compare(&self, pid: i32, phase: &Phase) -> Result<()> {
        let uid = if phase.user == User::Programs { self.uid } else { 0 };
        same("user ids", host::status(pid, "Uid")?, [uid; 4].map(|id| id.to_string()).join("\t"))?;
        same("capabilities", sets(pid)?, self.capabilities(phase, uid)?)?;
        self.namespaces(pid, phase.namespaces)?;
        self.cgroup(pid, phase.cgroup)?;
        self.places(pid, phase)?;
        let wanted: BTreeSet<String> =
            phase.descriptors.split(", ").filter(|word| !word.is_empty()).map(str::to_owned).collect();
        same("descriptors", self.descriptors(pid)?, wanted)?;
        let own = std::process::id().cast_signed();
        let number = |pid, field| -> Result<u32> { Ok(host::status(pid, field)?.parse()?) };
        let (no_new_privileges, filters) = match phase.confined {
            Confined::No => (false, 0),
            Confined::NoNewPrivileges => (self.no_new_privileges, 0),
            Confined::Filtered => (self.no_new_privileges, 1),
        };
        same("filters", number(pid, "Seccomp_filters")?, number(own, "Seccomp_filters")? + filters)?;
        let callers = number(own, "NoNewPrivs")? != 0;
        same("no_new_privs", number(pid, "NoNewPrivs")? != 0, no_new_privileges || callers)?;
        let group = std::fs::metadata(format!("/proc/{pid}/status")).context("stat of the status")?.gid();
        ensure!([0, CALLERS_GROUP, PROGRAMS_GROUP].contains(&group), "its files belong to group {group}");
        same("dumpable", group != 0, phase.dumpable)
    }

    fn capabilities(&self, phase: &Phase, uid: u32) -> Result<Sets> {
        let own = sets(std::process::id().cast_signed())?;
        let all = Sets { inheritable: 0, ambient: 0, effective: own.permitted, ..own };
        let plan = self.plan;
        Ok(match phase.capabilities {
            Capabilities::All => all,
            Capabilities::Unreading => Sets { effective: all.effective & !DAC_OVERRIDE_AND_READ_SEARCH, ..all },
            Capabilities::Bounded => {
                Sets { effective: if uid == 0 { all.effective } else { 0 }, bounding: plan.bounding, ..all }
            }
            Capabilities::Loading => self.loading(),
            Capabilities::Dropped => Sets { ambient: 0, ..self.loading() },
            // capabilities(7), "Transformation of capabilities during execve()", without file capabilities.
            Capabilities::Executed => {
                let root = plan.inheritable | plan.bounding;
                let root = if self.no_new_privileges { root & plan.permitted } else { root };
                let permitted = plan.ambient | if uid == 0 { root } else { 0 };
                Sets { permitted, effective: permitted, ..plan }
            }
        })
    }

    fn loading(&self) -> Sets {
        let plan = self.plan;
        let kept = if self.no_new_privileges { 0 } else { SYS_ADMIN };
        Sets { permitted: plan.permitted | kept, effective: plan.effective | kept, ..plan }
    }

    fn namespaces(&self, pid: i32, wanted: Namespaces) -> Result<()> {
        for name in ["mnt", "net", "ipc", "uts", "pid", "pid_for_children", "cgroup", "user", "time"] {
            let containers = match (wanted, name) {
                (_, "user" | "time") | (Namespaces::Hosts, _) => false,
                (Namespaces::Born, name) => name != "cgroup",
                (Namespaces::Entered, name) => name != "pid",
                (Namespaces::Containers, _) => true,
            };
            let (seen, hosts) = (host::link(pid, &format!("ns/{name}"))?, host::link("self", &format!("ns/{name}"))?);
            same(&format!("{name} is another namespace than the host's"), seen != hosts, containers)?;
            if let (true, Some(init)) = (containers, self.init) {
                same(&format!("{name} namespace"), seen, host::link(init, &format!("ns/{name}"))?)?;
            }
        }
        Ok(())
    }

    fn cgroup(&self, pid: i32, wanted: Cgroup) -> Result<()> {
        for line in host::read(Path::new(&format!("/proc/{pid}/cgroup")))?.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controller, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let unified = controller.is_empty();
            let used = if unified { self.ground.host.unified.is_some() } else { controller == "pids" };
            let containers = match wanted {
                Cgroup::Callers => false,
                Cgroup::Born => unified,
                Cgroup::Containers => true,
            };
            let within = path == self.bundle.cgroups_path();
            ensure!(!used || within == containers, "cgroup {line}");
        }
        Ok(())
    }

    fn places(&self, pid: i32, phase: &Phase) -> Result<()> {
        let ground = isolation::ground()?;
        let hosts_mounts = host::mounts(pid)?.iter().any(|mount| Path::new(&mount.point) == ground);
        same("has the host's mounts", hosts_mounts, phase.root == Place::Callers)?;
        let wanted = |place: Place| match place {
            Place::Callers => None,
            Place::Bundle => Some(self.bundle.dir.clone()),
            Place::Rootfs | Place::Containers => Some(self.bundle.rootfs()),
        };
        let root = wanted(phase.root).unwrap_or_else(|| PathBuf::from("/"));
        let cwd = wanted(phase.cwd).unwrap_or_else(|| self.ground.dir.clone());
        for (name, path) in [("root", root), ("cwd", cwd)] {
            let is = |path: &Path| -> Result<(u64, u64)> {
                let stat = std::fs::metadata(path).with_context(|| format!("stat \"{}\"", path.display()))?;
                Ok((stat.dev(), stat.ino()))
            };
            let seen = is(&PathBuf::from(format!("/proc/{pid}/{name}")))?;
            ensure!(seen == is(&path)?, "{name} is not \"{}\" but {:?}", path.display(), host::link(pid, name));
        }
        Ok(())
    }

    /// Kinds of descriptors above 2 that were not inherited from whoever started this suite.
    fn descriptors(&self, pid: i32) -> Result<BTreeSet<String>> {
        let inherited: BTreeSet<String> = links("self")?.into_iter().collect();
        let kind = |link: String| match link.as_str() {
            "/" => "root".to_owned(),
            _ if link.starts_with("socket:") => "socket".to_owned(),
            _ if link.starts_with("pipe:") => "pipe".to_owned(),
            _ if link.starts_with("/memfd:init") => "image".to_owned(),
            _ if link.starts_with("/memfd:program") => "program".to_owned(),
            _ if link.ends_with("[pidfd]") => "pidfd".to_owned(),
            _ if link.ends_with("[signalfd]") => "signals".to_owned(),
            _ if link.starts_with("/sys/fs/cgroup") => "cgroup".to_owned(),
            path if Path::new(path).starts_with(&self.ground.root) => "state".to_owned(),
            path if Path::new(path) == self.ground.dir => "caller's".to_owned(),
            path if Path::new(path) == self.bundle.dir => "bundle".to_owned(),
            path if Path::new(path) == self.bundle.rootfs() => "rootfs".to_owned(),
            "/dev" => "dev".to_owned(),
            _ => format!("\"{link}\""),
        };
        Ok(links(pid)?.into_iter().filter(|link| !inherited.contains(link)).map(kind).collect())
    }
}

fn sets(pid: i32) -> Result<Sets> {
    let set = |name: &str| -> Result<u64> { Ok(u64::from_str_radix(&host::status(pid, name)?, 16)?) };
    Ok(Sets {
        inheritable: set("CapInh")?,
        permitted: set("CapPrm")?,
        effective: set("CapEff")?,
        bounding: set("CapBnd")?,
        ambient: set("CapAmb")?,
    })
}

/// Where the descriptors above 2 lead.
fn links(pid: impl std::fmt::Display) -> Result<Vec<String>> {
    let dir = format!("/proc/{pid}/fd");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("open \"{dir}\""))?.flatten() {
        let above = entry.file_name().to_string_lossy().parse::<u32>().is_ok_and(|fd| fd > 2);
        match std::fs::read_link(entry.path()) {
            Ok(link) if above => found.push(link.to_string_lossy().into_owned()),
            // The descriptor of this very directory is gone when it is listed for oneself.
            _ => {}
        }
    }
    Ok(found)
}
