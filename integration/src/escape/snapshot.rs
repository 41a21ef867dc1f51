//! The host before and after a check: any difference is an escape, whatever the check itself was about.

use crate::escape::outside::Outside;
use crate::host::Host;
use crate::runtime::Runtime;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Sysctls that change by themselves.
const RESTLESS: &[&str] = &[
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "fs/quota",
    "fs/binfmt_misc",
    "kernel/ns_last_pid",
    "kernel/pty/nr",
    "kernel/random",
    "kernel/keys",
    "kernel/sched_domain",
    "net/ipv4/route/flush",
    "net/ipv6/route/flush",
    "net/netfilter/nf_conntrack_count",
    "vm/compact_memory",
    "vm/drop_caches",
    "vm/stat_refresh",
    "user",
];

/// Everything compared, as `thing -> how it is`.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    things: BTreeMap<String, String>,
    /// The runtime's binary, whole: comparing is cheaper than summing.
    binary: Vec<u8>,
}

impl Snapshot {
    /// Looks at everything: mounts, sysctls, cgroups but those below `ours`, the outside tree, abstract sockets, the
    /// session keyring, the runtime's binary, and this process's own identity.
    pub fn take(outside: &Outside, runtime: &Runtime, host: &Host, ours: &str) -> Result<Self> {
        Self { things: surroundings(host, ours)?, binary: Vec::new() }.beside(outside, runtime)
    }

    /// The same host with another outside tree and runtime: what the next check finds, as nothing happens in between.
    pub fn beside(mut self, outside: &Outside, runtime: &Runtime) -> Result<Self> {
        self.things.retain(|thing, _| !thing.starts_with("outside ") && !thing.starts_with("binary "));
        for (path, state) in outside.entries()? {
            self.things.insert(format!("outside {}", path.display()), state);
        }
        self.things.insert(format!("binary {}", runtime.path.display()), binary(&runtime.path)?);
        self.binary = std::fs::read(&runtime.path)?;
        Ok(self)
    }

    /// What is different in `after`, in words; empty when nothing is.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (thing, before) in &self.things {
            match after.things.get(thing) {
                None => found.push(format!("{thing} is gone: {before}")),
                Some(now) if now != before => found.push(format!("{thing} was {before}, is {now}")),
                Some(_) => {}
            }
        }
        for (thing, now) in after.things.iter().filter(|(thing, _)| !self.things.contains_key(*thing)) {
            found.push(format!("{thing} is new: {now}"));
        }
        if self.binary != after.binary {
            found.push("the content of the runtime's binary has changed".to_owned());
        }
        found
    }
}

/// Mounts, sysctls, cgroups but those below `ours`, abstract sockets, the session keyring, the suite's own identity.
fn surroundings(host: &Host, ours: &str) -> Result<BTreeMap<String, String>> {
    let mut things = BTreeMap::new();
    for line in std::fs::read_to_string("/proc/self/mountinfo")?.lines() {
        let id = line.split(' ').next().unwrap_or_default();
        things.insert(format!("mount {id}"), line.to_owned());
    }
    let sysctls = Path::new("/proc/sys");
    read_sysctls(sysctls, sysctls, &mut things);
    for mount in host.controllers.values().chain(&host.unified) {
        list_cgroups(mount, mount, ours, &mut things);
    }
    for line in std::fs::read_to_string("/proc/net/unix").unwrap_or_default().lines() {
        if let Some(name) = line.split_whitespace().nth(7).filter(|name| name.starts_with('@')) {
            things.insert(format!("abstract socket {name}"), String::new());
        }
    }
    things.insert("session keyring".to_owned(), session_keyring());
    for name in ["ns/mnt", "ns/net", "ns/pid", "ns/uts", "ns/ipc", "ns/user", "ns/cgroup", "root", "cwd"] {
        let target = std::fs::read_link(format!("/proc/self/{name}"))?;
        things.insert(format!("own {name}"), target.display().to_string());
    }
    things.insert("own cgroup".to_owned(), std::fs::read_to_string("/proc/self/cgroup")?);
    Ok(things)
}

fn read_sysctls(dir: &Path, base: &Path, things: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
        if RESTLESS.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            read_sysctls(&path, base, things);
        } else if let Ok(value) = std::fs::read(&path) {
            // Those that cannot be read are the same before and after: they cannot be compared.
            things.insert(format!("sysctl {name}"), String::from_utf8_lossy(&value).trim().to_owned());
        }
    }
}

/// Cgroups at the top of a hierarchy that come and go by themselves: of other runs of this suite and of casemate's own
/// tests, and of the sandbox this project is built in.
const RESTLESS_CGROUPS: &[&str] = &["integration-", "casemate-selftest-", "casemate-test-", "process_api"];

/// The directories of a hierarchy, without this suite's own and those of others that come and go.
fn list_cgroups(dir: &Path, mount: &Path, ours: &str, things: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let restless = RESTLESS_CGROUPS.iter().any(|prefix| name.starts_with(prefix));
        let foreign = dir == mount && (restless || format!("/{name}") == ours);
        if foreign || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        things.insert(format!("cgroup {}", entry.path().display()), String::new());
        list_cgroups(&entry.path(), mount, ours, things);
    }
}

/// The id of the session keyring of this process and what is in it.
fn session_keyring() -> String {
    let probe = std::env::current_exe().map(|path| path.with_file_name("probe")).unwrap_or_default();
    let output = std::process::Command::new(probe).arg("keyring").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Inode, mode, owner and times of the runtime's binary.
fn binary(path: &Path) -> Result<String> {
    let data = std::fs::metadata(path).with_context(|| format!("stat \"{}\"", path.display()))?;
    let (inode, owner) = ((data.dev(), data.ino()), (data.uid(), data.gid()));
    let times = ((data.mtime(), data.mtime_nsec()), (data.ctime(), data.ctime_nsec()));
    Ok(format!("inode {inode:?} mode {:o} owner {owner:?} size {} times {times:?}", data.mode(), data.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_gone_or_other_is_told() {
        let snapshot = |pairs: &[(&str, &str)]| Snapshot {
            things: pairs.iter().map(|(thing, state)| ((*thing).to_owned(), (*state).to_owned())).collect(),
            binary: pairs.iter().map(|(thing, _)| thing.len() as u8).collect(),
        };
        let before = snapshot(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert!(before.changes(&before).is_empty());
        let after = snapshot(&[("a", "1"), ("b", "4"), ("d", "5")]);
        assert_eq!(before.changes(&after), ["b was 2, is 4", "c is gone: 3", "d is new: 5"]);
        let rewritten = Snapshot { binary: vec![2], ..snapshot(&[("a", "1"), ("b", "2"), ("c", "3")]) };
        assert_eq!(before.changes(&rewritten).len(), 1);
    }
}
