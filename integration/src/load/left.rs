//! What there is of processes, cgroups, mounts, state, descriptors and keys, to be compared before and after.

use crate::host::{self, Host};
use crate::process::eventually;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Things by kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Things(BTreeMap<&'static str, BTreeSet<String>>);

impl Things {
    /// Looks. Processes are those of this pid namespace, keys those whose description has `mark` in it.
    pub fn look(host: &Host, root: &Path, cgroup: &str, mark: &str) -> Result<Self> {
        let mut things = BTreeMap::new();
        let names = |dir: &Path| -> BTreeSet<String> {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let is_pid = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        things.insert("process", names(Path::new("/proc")).into_iter().filter(is_pid).collect());
        // A root without containers may hold the runtime's own caches and locks, which begin with a dot.
        things.insert("state", names(root).into_iter().filter(|name| !name.starts_with('.')).collect());
        let mut cgroups = BTreeSet::new();
        for dir in host.cgroup_dirs(cgroup) {
            let inner = std::fs::read_dir(&dir)?.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
            cgroups.extend(inner.map(|entry| entry.path().display().to_string()));
        }
        things.insert("cgroup", cgroups);
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").context("read the mount table")?;
        things.insert("mount", mounts.lines().map(str::to_owned).collect());
        things.insert("descriptor", names(Path::new("/proc/self/fd")));
        let keys = std::fs::read_to_string("/proc/keys").unwrap_or_default();
        things.insert("key", keys.lines().filter(|line| line.contains(mark)).map(str::to_owned).collect());
        Ok(Self(things))
    }

    /// What is new in `after`, in words.
    pub fn new_in(&self, after: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (kind, now) in &after.0 {
            let before = self.0.get(kind);
            let new: Vec<&String> = now.iter().filter(|thing| !before.is_some_and(|b| b.contains(*thing))).collect();
            if let Some(first) = new.first() {
                found.push(format!("left behind: {} of {kind}, the first is {first}", new.len()));
            }
        }
        found
    }
}

/// What is still there that was not there before. The kernel takes away what a dead process held when it gets to it, so
/// the answer is awaited as long as [`eventually`] waits.
pub fn left(before: &Things, look: impl Fn() -> Result<Things>) -> Result<Vec<String>> {
    let mut last = Vec::new();
    let gone = eventually("nothing is left", || {
        last = before.new_in(&look()?);
        Ok(last.is_empty().then_some(()))
    });
    // The words of what is left say more than the deadline does.
    Ok(if gone.is_ok() { Vec::new() } else { last })
}

/// Whether a process of the host's view is there and alive.
pub fn alive(pid: i64) -> bool {
    i32::try_from(pid).is_ok_and(host::is_alive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_and_what_went_is_not() {
        let things = |list: &[&str]| Things([("state", list.iter().map(|s| (*s).to_owned()).collect())].into());
        assert!(things(&["a", "b"]).new_in(&things(&["a"])).is_empty());
        assert_eq!(things(&["a"]).new_in(&things(&["b", "c"])), ["left behind: 2 of state, the first is b"]);
    }
}
