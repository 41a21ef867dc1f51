//! The plan: everything that will be done for a container, decided before anything is done.
//!
//! [`create`] and [`exec`] are pure: configuration, request and facts in, [`Plan`] or all findings out. What the plan
//! says is what `explain` prints and what `launch` and init execute; nothing else decides anything.

mod cgroup_mount;
mod check;
mod confinement;
mod devices;
pub mod explain;
pub mod filter;
pub mod finding;
pub mod grants;
mod limits;
pub mod mount_options;
mod mounts;
pub mod namespace;
mod order;
mod process;
pub mod security;
mod source;
mod sysctls;
#[cfg(test)]
mod tests;

pub use confinement::{Confinement, Scratch, SeccompLayer};
pub use mounts::clean;
pub use source::{FileKind, JoinedNamespace, Source};
pub use sysctls::{namespace as sysctl_namespace, normalise as sysctl_name};

use crate::cgroup;
use crate::error::Result;
use crate::program::{Op, Slot};
use crate::spec::{Hook, Resources, Spec};
use filter::{Listener, SeccompSummary};
use finding::Findings;
use namespace::{NamespaceKind, Namespaces};
use serde::Serialize;

/// What the host is like, as far as a plan depends on it. Probed once, in `host`.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The caller's bounding set.
    pub bounding: u64,
    /// The caller's permitted set.
    pub permitted: u64,
    /// The kernel's highest capability.
    pub last_capability: u32,
    /// The caller's umask.
    pub umask: u32,
    /// SELinux is enabled.
    pub selinux: bool,
    /// AppArmor is enabled.
    pub apparmor: bool,
    /// Landlock's ABI version; 0 without Landlock.
    pub landlock_abi: u32,
    /// CPUs that show how often they were throttled for heat, which tells of other tenants' load; 0 on most machines.
    pub thermal_cpus: u32,
    /// The cgroup hierarchies.
    pub cgroups: cgroup::Layout,
}

/// What the command line says about a container that is to be created.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Its id.
    pub id: String,
    /// Absolute path of its bundle.
    pub bundle: String,
    /// `run`: the parent itself says start.
    pub runs: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// Somebody takes the terminal: a console socket, or a foreground `run`.
    pub takes_terminal: bool,
    /// Environment that the caller's environment adds (LISTEN_FDS, NOTIFY_SOCKET).
    pub extra_env: Vec<String>,
    /// Directory of the state that holds the notify socket, to be mounted at /run/notify.
    pub notify_directory: Option<String>,
    /// What policy adds.
    pub confinement: Confinement,
}

/// Something that the parent opens before the clone and init finds as a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "handle", rename_all = "camelCase")]
pub enum Handle {
    /// A detached clone of the rootfs.
    Rootfs {
        /// Its absolute path.
        path: String,
    },
    /// A detached clone of a tree of the host's.
    Tree {
        /// Its absolute path.
        path: String,
        /// With the mounts below it.
        recursive: bool,
    },
    /// The same of the root of a procfs, for a bind on /proc.
    Procfs {
        /// Its absolute path.
        path: String,
        /// With the mounts below it.
        recursive: bool,
    },
    /// A detached clone of the directory of the container's state that holds its notify socket. It is made after the
    /// plan.
    NotifyDirectory {
        /// Its absolute path.
        path: String,
    },
    /// A detached clone of the container's own directory in a v1 hierarchy.
    CgroupTree {
        /// Index into the layout's hierarchies.
        hierarchy: usize,
    },
    /// The `tasks` file of the container's directory in a v1 hierarchy.
    CgroupTasks {
        /// The hierarchy's name.
        hierarchy: String,
    },
    /// A namespace file.
    Namespace {
        /// The kind that it must be of.
        kind: NamespaceKind,
        /// Its path.
        path: String,
    },
    /// The bundle's directory.
    Bundle,
    /// A pidfd of the container's init.
    Container,
}

/// The hooks that the parent runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RuntimeHooks {
    /// Deprecated, used by Docker for its network.
    pub prestart: Vec<Hook>,
    /// After the namespaces are there, before pivot_root.
    pub create_runtime: Vec<Hook>,
    /// After the process runs.
    pub poststart: Vec<Hook>,
    /// After the container is deleted.
    pub poststop: Vec<Hook>,
}

/// Where the container's cgroups are and what limits they have.
#[derive(Clone, Debug, Serialize)]
pub struct CgroupPlan {
    /// One directory in each hierarchy.
    pub path: cgroup::Path,
    /// The limits, as the config has them.
    pub resources: Resources,
    /// The complete list of device rules; nothing else is allowed.
    pub devices: Vec<String>,
    /// The same, for the driver.
    #[serde(skip)]
    pub device_rules: Vec<cgroup::devices::Rule>,
}

/// Everything that will be done to create a container, or to run one more process in it.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The container's id.
    pub id: String,
    /// The rootfs's absolute path; empty for exec.
    pub rootfs: String,
    /// What is made and what is joined.
    pub namespaces: Namespaces,
    /// Opened by the parent, in this order.
    pub handles: Vec<Handle>,
    /// Cgroups to make; none for exec.
    pub cgroup: Option<CgroupPlan>,
    /// Hooks of the parent's.
    pub hooks: RuntimeHooks,
    /// Written by the parent to the child's /proc/PID/oom_score_adj.
    pub oom_score_adj: Option<i64>,
    /// Whether init sends a terminal.
    pub terminal: bool,
    /// What the seccomp filter was compiled from; none without a filter.
    pub seccomp: Option<SeccompSummary>,
    /// Where a seccomp listener goes.
    pub listener: Option<Listener>,
    /// What init does.
    pub program: Vec<Op>,
    /// Whether HOME is to be taken from the container's /etc/passwd.
    pub needs_home: Option<u32>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// A plan under construction.
struct Builder<'s> {
    facts: &'s Facts,
    bundle: &'s str,
    namespaces: Namespaces,
    handles: Vec<Handle>,
    program: Vec<Op>,
    findings: Findings,
    warnings: Vec<String>,
    mount_label: Option<String>,
    /// The config mounts a tmpfs on /dev.
    has_dev: bool,
    /// That tmpfs is to become read-only.
    readonly_dev: bool,
    /// Other tmpfs that are to become read-only when all that goes onto them is there.
    readonly_later: Vec<String>,
    /// The config binds something of the host's on /dev.
    foreign_dev: bool,
    /// Some mount takes part in propagation with the host.
    shares_mounts: bool,
    has_seccomp: bool,
}

impl<'s> Builder<'s> {
    fn new(facts: &'s Facts, bundle: &'s str) -> Builder<'s> {
        Builder {
            facts,
            bundle,
            namespaces: Namespaces::default(),
            handles: Vec::new(),
            program: Vec::with_capacity(64),
            findings: Findings::default(),
            warnings: Vec::new(),
            mount_label: None,
            has_dev: false,
            readonly_dev: false,
            readonly_later: Vec::new(),
            foreign_dev: false,
            shares_mounts: false,
            has_seccomp: false,
        }
    }

    fn handle(&mut self, handle: Handle) -> Slot {
        self.handles.push(handle);
        Slot(self.handles.len() as u32 - 1)
    }

    /// A host path of the config: relative ones are the bundle's.
    fn bundle_path(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_string() } else { format!("{}/{path}", self.bundle) }
    }
}

/// Plans a new container.
pub fn create(spec: &Spec, request: &CreateRequest, facts: &Facts) -> Result<Plan> {
    order::create(spec, request, facts)
}

/// What `exec` is asked for.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The container's id.
    pub id: String,
    /// The process, complete.
    pub process: crate::spec::Process,
    /// Environment that the caller's environment adds.
    pub extra_env: Vec<String>,
    /// Hierarchies whose `tasks` the process joins by itself.
    pub cgroup_tasks: Vec<String>,
    /// What policy adds; its scratch filesystems are the container's already.
    pub confinement: Confinement,
}

/// Plans one more process in a container whose config is `spec`.
pub fn exec(spec: &Spec, request: &ExecRequest, facts: &Facts) -> Result<Plan> {
    order::exec(spec, request, facts)
}
