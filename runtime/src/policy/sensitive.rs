//! Host paths that lead out of a container which has them.
//!
//! Each says how far down it reaches. Engines bind single files, volumes and shm from below their state roots, which is
//! ordinary; the roots themselves, and the directories that hold those of all containers, are not.

use std::fmt;

/// How much of a path's tree is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The path alone.
    Exact,
    /// The path and its direct children.
    Children,
    /// The path and everything below it.
    Prefix,
}

/// One path.
#[derive(Clone, Copy, Debug)]
pub struct Sensitive {
    /// Absolute, without symbolic links of Debian's or Fedora's (`/run`, not `/var/run`).
    pub path: &'static str,
    /// How far down.
    pub extent: Extent,
    /// Reading it is ordinary.
    pub writable_only: bool,
    /// What it is.
    pub what: &'static str,
}

const fn exact(path: &'static str, what: &'static str) -> Sensitive {
    Sensitive { path, extent: Extent::Exact, writable_only: false, what }
}
const fn children(path: &'static str, what: &'static str) -> Sensitive {
    Sensitive { path, extent: Extent::Children, writable_only: false, what }
}
const fn prefix(path: &'static str, what: &'static str) -> Sensitive {
    Sensitive { path, extent: Extent::Prefix, writable_only: false, what }
}
const fn writable(path: &'static str, what: &'static str) -> Sensitive {
    Sensitive { path, extent: Extent::Prefix, writable_only: true, what }
}

const ROOTS_KEYS: &str = "keys and settings of the host's root";
const ROOT_RUNS: &str = "what the host's root runs";
const SOCKET: &str = "a socket that gives control of the host";
const ENGINE: &str = "the state of an engine and of all its containers";
const CONFIG: &str = "configuration that gives control of the host";

/// The list. The ancestors of sockets and of state roots are sensitive, too: see [`find`].
pub const PATHS: &[Sensitive] = &[
    exact("/", "the whole host"),
    exact("/etc", "the host's configuration"),
    // What people keep there is theirs to bind; what says who is root, or what root runs, is not.
    exact("/root", "the home of the host's root"),
    prefix("/root/.aws", ROOTS_KEYS),
    prefix("/root/.azure", ROOTS_KEYS),
    prefix("/root/.config", ROOTS_KEYS),
    prefix("/root/.docker", ROOTS_KEYS),
    prefix("/root/.git-credentials", ROOTS_KEYS),
    prefix("/root/.gnupg", ROOTS_KEYS),
    prefix("/root/.kube", ROOTS_KEYS),
    prefix("/root/.netrc", ROOTS_KEYS),
    prefix("/root/.ssh", ROOTS_KEYS),
    writable("/root/.bash_login", ROOT_RUNS),
    writable("/root/.bash_logout", ROOT_RUNS),
    writable("/root/.bash_profile", ROOT_RUNS),
    writable("/root/.bashrc", ROOT_RUNS),
    writable("/root/.local", ROOT_RUNS),
    writable("/root/.profile", ROOT_RUNS),
    writable("/root/.zshrc", ROOT_RUNS),
    prefix("/proc", "the host's processes and kernel parameters"),
    prefix("/sys", "the host's kernel and devices"),
    prefix("/dev", "the host's devices"),
    prefix("/boot", "the host's kernel image"),
    prefix("/lib/modules", "the host's kernel modules"),
    prefix("/usr/lib/modules", "the host's kernel modules"),
    // Programs that the host runs as root.
    writable("/bin", "the host's programs"),
    writable("/sbin", "the host's programs"),
    writable("/lib", "the host's libraries"),
    writable("/lib64", "the host's libraries"),
    writable("/usr", "the host's programs"),
    writable("/opt/cni", "programs that the kubelet's runtime runs as root"),
    // Sockets.
    prefix("/run/docker.sock", SOCKET),
    prefix("/run/containerd/containerd.sock", SOCKET),
    prefix("/run/containerd/containerd.sock.ttrpc", SOCKET),
    prefix("/run/crio/crio.sock", SOCKET),
    prefix("/run/podman", SOCKET),
    prefix("/run/cri-dockerd.sock", SOCKET),
    prefix("/run/dockershim.sock", SOCKET),
    prefix("/run/buildkit", SOCKET),
    prefix("/run/k3s/containerd/containerd.sock", SOCKET),
    prefix("/run/dbus", SOCKET),
    prefix("/run/systemd/private", SOCKET),
    prefix("/run/systemd/notify", SOCKET),
    prefix("/run/user", "sockets and state of the host's users"),
    prefix("/run/docker/containerd/containerd.sock", SOCKET),
    prefix("/run/docker/containerd/containerd.sock.ttrpc", SOCKET),
    prefix("/run/docker/plugins", SOCKET),
    prefix("/run/docker/swarm", SOCKET),
    prefix("/run/containerd/s", SOCKET),
    // State roots.
    children("/var/lib/docker", ENGINE),
    children("/var/lib/containerd", ENGINE),
    exact("/var/lib/containers", ENGINE),
    children("/var/lib/containers/storage", ENGINE),
    children("/var/lib/crio", ENGINE),
    children("/var/lib/kubelet", "the state of the kubelet and of all its pods"),
    prefix("/var/lib/kubelet/pki", "the kubelet's keys"),
    prefix("/var/lib/kubelet/device-plugins", "sockets of the kubelet"),
    prefix("/var/lib/kubelet/plugins_registry", "sockets of the kubelet"),
    prefix("/var/lib/kubelet/pod-resources", "sockets of the kubelet"),
    prefix("/var/lib/etcd", "the cluster's database"),
    exact("/var/lib/rancher", ENGINE),
    children("/var/lib/rancher/k3s", ENGINE),
    children("/run/docker", ENGINE),
    children("/run/containerd", ENGINE),
    exact("/run/containers", ENGINE),
    children("/run/containers/storage", ENGINE),
    children("/run/crio", ENGINE),
    // The state of low-level runtimes, by the names engines give to them, and bundles.
    prefix("/run/docker/runtime-runc", ENGINE),
    prefix("/run/docker/runtime-casemate", ENGINE),
    prefix("/run/containerd/runc", ENGINE),
    prefix("/run/containerd/io.containerd.runtime.v2.task", ENGINE),
    prefix("/run/runc", ENGINE),
    prefix("/run/crun", ENGINE),
    prefix("/run/casemate", ENGINE),
    // Configuration.
    prefix("/etc/shadow", "the host's passwords"),
    prefix("/etc/shadow-", "the host's passwords"),
    prefix("/etc/gshadow", "the host's passwords"),
    prefix("/etc/gshadow-", "the host's passwords"),
    prefix("/etc/sudoers", CONFIG),
    prefix("/etc/sudoers.d", CONFIG),
    prefix("/etc/ssh", CONFIG),
    prefix("/etc/kubernetes", CONFIG),
    prefix("/etc/ssl/private", "the host's keys"),
    prefix("/etc/casemate", CONFIG),
    writable("/etc", "the host's configuration"),
    prefix("/var/spool/cron", CONFIG),
    writable("/var/log", "the host's logs"),
];

/// Directories and sockets that hold so much that they are looked for by what they are, not only by their path: a bind
/// mount or a second name on the host would hide them.
pub const WHOLES: [&str; 12] = [
    "/",
    "/boot",
    "/dev",
    "/etc",
    "/root",
    "/run",
    "/run/containerd/containerd.sock",
    "/run/docker.sock",
    "/var",
    "/var/lib",
    "/var/lib/docker",
    "/var/lib/kubelet",
];

/// What is there is everybody's.
const ORDINARY: [&str; 6] = ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

/// Links that lead to the same place on every distribution.
const LINKS: [(&str, &str); 1] = [("/var/run", "/run")];

/// What a path is on hosts where programs and libraries are below /usr, and /var/run is /run.
pub fn behind_link(path: &str) -> Option<String> {
    let usr = ["/bin", "/sbin", "/lib", "/lib64"].iter().find_map(|link| below(path, link));
    let links = LINKS.iter().find_map(|(link, target)| Some(format!("{target}{}", below(path, link)?)));
    links.or_else(|| usr.map(|_| format!("/usr{path}")))
}

/// Why a host path is sensitive.
#[derive(Clone, Copy, Debug)]
pub struct Why {
    /// The entry of the list.
    pub entry: &'static Sensitive,
    /// It is not the path itself but a directory above it.
    pub above: bool,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.above {
            write!(f, "holds {}: {}", self.entry.path, self.entry.what)
        } else if self.entry.writable_only {
            write!(f, "writable: {}", self.entry.what)
        } else {
            f.write_str(self.entry.what)
        }
    }
}

/// Whether a clean absolute path is sensitive. `readonly`: the container could not write to it.
pub fn find(path: &str, readonly: bool) -> Option<Why> {
    let resolved = LINKS.iter().find_map(|(link, target)| Some(format!("{target}{}", below(path, link)?)));
    let path = resolved.as_deref().unwrap_or(path);
    if ORDINARY.contains(&path) {
        return None;
    }
    let holds = |entry: &&Sensitive| {
        let Some(rest) = below(path, entry.path) else { return false };
        let depth = rest.split('/').filter(|part| !part.is_empty()).count();
        let reached = match entry.extent {
            Extent::Exact => depth == 0,
            Extent::Children => depth <= 1,
            Extent::Prefix => true,
        };
        reached && !(readonly && entry.writable_only)
    };
    if let Some(entry) = PATHS.iter().find(holds) {
        return Some(Why { entry, above: false });
    }
    // The directories above; what lies below only when it can be written to is not reached by accident.
    let inside = |entry: &&Sensitive| !entry.writable_only && path != entry.path && below(entry.path, path).is_some();
    PATHS.iter().find(inside).map(|entry| Why { entry, above: true })
}

/// Whether a root filesystem there would be the host's: a path of the list, one above, or one where there are no bundles.
/// What is merely below others may be an ordinary bundle.
pub fn whole(path: &str) -> Option<Why> {
    let nobodys = ["/proc", "/sys", "/dev", "/etc"].iter().any(|tree| below(path, tree).is_some());
    let bundles = !nobodys || below(path, "/dev/shm").is_some_and(|rest| !rest.is_empty());
    find(path, false).filter(|why| why.above || why.entry.path == path || !bundles)
}

/// What follows after `parent` in a path that is `parent` or lies below it.
pub(super) fn below<'p>(path: &'p str, parent: &str) -> Option<&'p str> {
    if parent == "/" {
        return Some(path);
    }
    path.strip_prefix(parent).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitive_paths_are_found_and_ordinary_ones_are_not() {
        for path in [
            "/",
            "/etc",
            "/root",
            "/root/.ssh/id",
            "/proc",
            "/proc/1/root",
            "/sys",
            "/sys/fs/cgroup",
            "/dev",
            "/dev/sda",
            "/boot",
            "/lib/modules",
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/containerd/containerd.sock",
            "/var/lib/docker",
            "/var/lib/docker/volumes",
            "/var/lib/kubelet",
            "/var/lib/kubelet/pods",
            "/var",
            "/var/lib",
            "/run",
            "/var/run",
            "/usr/lib",
            "/run/casemate/x/y",
            "/etc/shadow",
            "/etc/kubernetes/pki/ca.key",
            "/var/lib/containers/storage/volumes",
            // Sockets and state below the state roots.
            "/run/docker/containerd/containerd.sock",
            "/run/docker/containerd/containerd.sock.ttrpc",
            "/run/docker/plugins/p.sock",
            "/run/docker/swarm/control.sock",
            "/run/docker/runtime-runc/moby",
            "/run/docker/runtime-casemate/moby/x",
            "/run/containerd/runc/k8s.io",
            "/run/containerd/runc/k8s.io/x/state.json",
            "/run/containerd/s/7c0e",
            "/run/containerd/io.containerd.runtime.v2.task/k8s.io/x/config.json",
        ] {
            assert!(find(path, true).is_some(), "{path}");
        }
        for path in [
            "/srv",
            "/root/app",
            "/home/me/project",
            "/etc/hosts",
            "/etc/resolv.conf",
            "/etc/localtime",
            "/etc/ssl/certs",
            "/usr/share/zoneinfo",
            "/etc/passwd",
            "/mnt/data",
            "/tmp/x",
            "/rootfs",
            "/etcetera",
            "/var/lib/docker/volumes/v/_data",
            "/var/lib/docker/containers/c7b4/resolv.conf",
            "/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/t",
            "/var/lib/kubelet/pods/u/etc-hosts",
            "/run/containerd/io.containerd.grpc.v1.cri/sandboxes/a/shm",
            "/var/lib/containers/storage/overlay-containers/fb9e/userdata/hosts",
            "/run/netns/n",
            "/var/log",
            "/var/lib/lxcfs/proc/meminfo",
            "/var/lib/containers/storage/volumes/v/_data",
            "/run/containers/storage/overlay-containers/x/userdata/run",
            "/var/lib/mysql",
            "/dev/null",
            "/dev/urandom",
        ] {
            assert!(
                find(path, true).is_none(),
                "{path}: {}",
                find(path, true).map_or(String::new(), |why| why.to_string())
            );
        }
        for path in ["/etc/localtime", "/usr/share", "/usr", "/var/log"] {
            assert!(find(path, false).is_some(), "{path}");
        }
    }
}
