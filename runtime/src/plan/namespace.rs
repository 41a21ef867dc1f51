//! Namespaces: which are made, which are joined, and how.

use super::finding::Findings;
use crate::spec;
use serde::{Deserialize, Serialize};

/// A kind of namespace (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// Mounts.
    Mount,
    /// Hostname and NIS domain name.
    Uts,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Network devices, addresses, ports.
    Network,
    /// Process ids.
    Pid,
    /// The cgroup root that /proc and cgroup mounts show.
    Cgroup,
    /// User and group ids, capabilities.
    User,
    /// Monotonic and boot-time clocks.
    Time,
}

impl NamespaceKind {
    /// All kinds, in the order in which they are joined.
    pub const ALL: [NamespaceKind; 8] = {
        use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts};
        [User, Ipc, Uts, Network, Pid, Mount, Cgroup, Time]
    };

    /// The kind that the runtime-spec calls by this name.
    pub fn from_spec(name: &str) -> Option<NamespaceKind> {
        NamespaceKind::ALL.into_iter().find(|kind| kind.spec_name() == name)
    }

    /// The runtime-spec's name.
    pub fn spec_name(self) -> &'static str {
        match self {
            NamespaceKind::Mount => "mount",
            NamespaceKind::Uts => "uts",
            NamespaceKind::Ipc => "ipc",
            NamespaceKind::Network => "network",
            NamespaceKind::Pid => "pid",
            NamespaceKind::Cgroup => "cgroup",
            NamespaceKind::User => "user",
            NamespaceKind::Time => "time",
        }
    }

    /// The name of its file in /proc/PID/ns.
    pub fn proc_name(self) -> &'static str {
        match self {
            NamespaceKind::Mount => "mnt",
            NamespaceKind::Network => "net",
            other => other.spec_name(),
        }
    }

    /// `CLONE_NEW*` of clone(2).
    pub fn clone_flag(self) -> u64 {
        match self {
            NamespaceKind::Mount => 0x0002_0000,
            NamespaceKind::Cgroup => 0x0200_0000,
            NamespaceKind::Uts => 0x0400_0000,
            NamespaceKind::Ipc => 0x0800_0000,
            NamespaceKind::User => 0x1000_0000,
            NamespaceKind::Pid => 0x2000_0000,
            NamespaceKind::Network => 0x4000_0000,
            NamespaceKind::Time => 0x0000_0080,
        }
    }
}

/// What the config asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Namespaces {
    /// Made for this container.
    pub new: Vec<NamespaceKind>,
    /// Existing ones, with their paths.
    pub joined: Vec<(NamespaceKind, String)>,
}

impl Namespaces {
    /// Reads `linux.namespaces`.
    pub fn build(listed: &[spec::Namespace], findings: &mut Findings) -> Namespaces {
        let mut all = Namespaces::default();
        for (i, ns) in listed.iter().enumerate() {
            let pointer = format!("/linux/namespaces/{i}");
            let Some(kind) = NamespaceKind::from_spec(&ns.r#type) else {
                findings.invalid(&pointer, format!("namespace \"{}\" does not exist", ns.r#type));
                continue;
            };
            if all.is_private(kind) {
                findings.invalid(
                    &pointer,
                    format!("malformed spec file: duplicated ns {{\"{}\" \"{}\"}}", ns.r#type, ns.path),
                );
                continue;
            }
            match kind {
                NamespaceKind::User | NamespaceKind::Time => {
                    findings.unsupported(&pointer, format!("{} namespaces are not supported yet", ns.r#type));
                }
                NamespaceKind::Mount if !ns.path.is_empty() => {
                    findings.unsupported(&pointer, "joining an existing mount namespace is not supported");
                }
                _ => {}
            }
            if ns.path.is_empty() {
                all.new.push(kind);
            } else if ns.path.starts_with('/') {
                all.joined.push((kind, ns.path.clone()));
            } else {
                findings.invalid(&pointer, format!("namespace path \"{}\" is not absolute", ns.path));
            }
        }
        // The order of the config does not matter to the kernel; a fixed one makes plans comparable.
        all.new = NamespaceKind::ALL.into_iter().filter(|kind| all.is_new(*kind)).collect();
        let mut joined = std::mem::take(&mut all.joined);
        for kind in NamespaceKind::ALL {
            all.joined.extend(joined.extract_if(.., |(of, _)| *of == kind));
        }
        all
    }

    /// Whether it is made for this container.
    pub fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether it is another than the caller's, made or joined.
    pub fn is_private(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.joined.iter().any(|(k, _)| *k == kind)
    }

    /// Flags for clone3(2). The cgroup namespace is unshared later, when init is in its cgroup.
    pub fn clone_flags(&self) -> u64 {
        self.new.iter().filter(|k| **k != NamespaceKind::Cgroup).fold(0, |flags, k| flags | k.clone_flag())
    }

    /// Flags for setns(2) with a pidfd of the container's init; the pid namespace is the parent's to enter.
    pub fn join_flags(&self) -> u64 {
        let all = self.new.iter().chain(self.joined.iter().map(|(k, _)| k));
        all.filter(|k| **k != NamespaceKind::Pid).fold(0, |flags, k| flags | k.clone_flag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(kind: &str, path: &str) -> spec::Namespace {
        spec::Namespace { r#type: kind.into(), path: path.into() }
    }

    #[test]
    fn a_duplicate_namespace_is_refused_in_the_words_engines_know() {
        let mut findings = Findings::default();
        Namespaces::build(&[ns("pid", ""), ns("pid", "")], &mut findings);
        assert!(findings.to_string().contains("malformed spec file: duplicated ns {\"pid\" \"\"}"));
    }

    #[test]
    fn the_cgroup_namespace_is_not_made_by_clone() {
        let mut findings = Findings::default();
        let all = Namespaces::build(&[ns("cgroup", ""), ns("pid", ""), ns("mount", "")], &mut findings);
        assert!(findings.is_empty());
        assert_eq!(all.clone_flags(), 0x2002_0000);
        assert_eq!(all.join_flags(), 0x0202_0000);
    }
}
