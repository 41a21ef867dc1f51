//! What a plan gives to a container, and whether another plan gives no more.
//!
//! Policy may only narrow. [`grants`] reads from a plan's operations, not from the configuration, what the processes of
//! the container will have, and [`Grants::within`] compares two of them: in each dimension "no more than", and where two
//! values are merely different, not less. Property tests hold every rule to it.
//!
//! Not counted: what the container's own program is (arguments, environment, terminal), and the CAP_SYS_ADMIN that init
//! keeps for loading a filter and loses by `execve`.

mod devices;
mod mounts;
mod within;

pub use mounts::{Mounted, Source};

use super::filter::Listener;
use super::namespace::{NamespaceKind, Namespaces};
use super::security::CapabilitySets;
use super::{CgroupPlan, Plan, RuntimeHooks, clean};
use crate::program::{InnerHook, Op};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a container, or one more process in it, gets.
#[derive(Clone, Debug)]
pub struct Grants {
    /// The five sets, without what is kept for set-up only.
    pub capabilities: CapabilitySets,
    /// User, group and supplementary groups; none without a process.
    pub identity: Option<(u32, u32, Vec<u32>)>,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// The filters that are loaded; none: every call is allowed.
    pub filters: Vec<Filter>,
    /// Where a seccomp listener goes.
    pub listener: Option<Listener>,
    /// `LANDLOCK_SCOPE_*` that the process is cut off by.
    pub scoped: u64,
    /// Mounts in the order in which they are made, the root first.
    pub mounts: Vec<Mounted>,
    /// How the mounts of the mount namespace that is copied hang together with the host's: `MS_*`.
    pub host_propagation: Vec<u64>,
    /// Paths that are covered by a read-only clone of themselves.
    pub readonly_paths: BTreeSet<String>,
    /// Paths that are covered by something empty.
    pub masked_paths: BTreeSet<String>,
    /// What is made and what is joined.
    pub namespaces: Namespaces,
    /// For exec: the namespaces of the container that are joined.
    pub container_namespaces: Option<u64>,
    /// Device nodes by path: mode with type, major, minor, owner, group.
    pub devices: BTreeMap<String, (u32, u32, u32, u32, u32)>,
    /// Cgroup, limits and device rules.
    pub cgroup: Option<CgroupPlan>,
    /// v1 hierarchies that are joined.
    pub hierarchies: BTreeSet<String>,
    /// setrlimit(2): soft and hard limit by name.
    pub rlimits: BTreeMap<String, (u64, u64)>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Hooks in the runtime's namespaces.
    pub hooks: RuntimeHooks,
    /// Hooks in the container's namespaces.
    pub inner_hooks: Vec<InnerHook>,
    /// Labels by the file below /proc that they are written to.
    pub labels: BTreeMap<String, String>,
    /// A session keyring of its own.
    pub keyring: bool,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adj: Option<i64>,
}

/// A filter as it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// seccomp(2) flags.
    pub flags: u32,
    /// The instructions, as [`Op::Seccomp`] has them.
    pub instructions: Vec<u64>,
}

/// Reads what a plan gives.
pub fn grants(plan: &Plan) -> Grants {
    let mut all = Grants {
        capabilities: CapabilitySets::default(),
        identity: None,
        no_new_privileges: false,
        filters: Vec::new(),
        listener: plan.listener.clone(),
        scoped: 0,
        mounts: Vec::new(),
        host_propagation: Vec::new(),
        readonly_paths: BTreeSet::new(),
        masked_paths: BTreeSet::new(),
        namespaces: plan.namespaces.clone(),
        container_namespaces: None,
        devices: BTreeMap::new(),
        cgroup: plan.cgroup.clone(),
        hierarchies: BTreeSet::new(),
        rlimits: BTreeMap::new(),
        sysctls: BTreeMap::new(),
        hooks: plan.hooks.clone(),
        inner_hooks: Vec::new(),
        labels: BTreeMap::new(),
        keyring: false,
        oom_score_adj: plan.oom_score_adj,
    };
    let mut table = mounts::Table::new(&plan.handles);
    for op in &plan.program {
        table.take(op);
        all.take(op);
    }
    all.mounts = table.mounts;
    all.without_kept();
    all
}

impl Grants {
    /// Every operation is named: a new one has to be judged here.
    fn take(&mut self, op: &Op) {
        match op {
            Op::JoinCgroup { hierarchy, .. } => {
                self.hierarchies.insert(hierarchy.clone());
            }
            Op::JoinContainer { namespaces, .. } => self.container_namespaces = Some(*namespaces),
            Op::HostPropagation { propagation } => self.host_propagation.push(*propagation),
            Op::Device { path, mode, major, minor, uid, gid, .. } => {
                self.devices.insert(clean(path), (*mode, *major, *minor, *uid, *gid));
            }
            Op::Hook(hook) => self.inner_hooks.push(hook.clone()),
            Op::Sysctl { name, value } => {
                self.sysctls.insert(name.clone(), value.clone());
            }
            Op::ReadonlyPath { path } => {
                self.readonly_paths.insert(covered(path));
            }
            Op::Mask { path } => {
                self.masked_paths.insert(covered(path));
            }
            Op::Keyring => self.keyring = true,
            Op::Label { file, label } => {
                self.labels.insert(file.clone(), label.clone());
            }
            Op::Rlimit { name, soft, hard, .. } => {
                self.rlimits.insert(name.clone(), (*soft, *hard));
            }
            Op::Bounding { keep, .. } => self.capabilities.bounding = *keep,
            Op::Identity { uid, gid, groups } => self.identity = Some((*uid, *gid, groups.clone())),
            Op::Capabilities { effective, permitted, inheritable } => {
                self.capabilities.effective = *effective;
                self.capabilities.permitted = *permitted;
                self.capabilities.inheritable = *inheritable;
            }
            Op::Ambient { set } => self.capabilities.ambient = *set,
            Op::NoNewPrivileges => self.no_new_privileges = true,
            Op::Landlock { scoped } => self.scoped |= *scoped,
            Op::Seccomp { flags, filter, .. } => {
                self.filters.push(Filter { flags: *flags, instructions: filter.clone() });
            }
            // The table of mounts has them.
            Op::AttachRoot { .. } | Op::Mount { .. } | Op::Bind { .. } | Op::SetMount { .. } => {}
            // `Plan::namespaces` has them.
            Op::JoinNamespace { .. } | Op::Unshare { .. } | Op::EnterPidNamespace => {}
            // Names and links inside, and the container's own program.
            Op::Symlink { .. } | Op::MakeDirectory { .. } | Op::Terminal { .. } | Op::Session { .. } => {}
            Op::Loopback | Op::Hostname { .. } | Op::Domainname { .. } | Op::WorkingDirectory { .. } => {}
            Op::Umask { .. } | Op::FindExecutable { .. } | Op::Execute { .. } => {}
            // Steps of the set-up.
            Op::MaskSource | Op::OpenRoot | Op::RuntimeHooks | Op::Pivot | Op::CheckMounts { .. } => {}
            Op::CloseHandles | Op::Ready | Op::WaitStart { .. } => {}
        }
    }

    /// Without no_new_privs a filter takes CAP_SYS_ADMIN, which init then has until `execve`. Where it is in none of the
    /// sets that an `execve` keeps something of, it is nothing that the container has.
    fn without_kept(&mut self) {
        let caps = &mut self.capabilities;
        let kept = super::process::SYS_ADMIN & !(caps.bounding | caps.inheritable | caps.ambient);
        caps.effective &= !kept;
        caps.permitted &= !kept;
    }

    /// Where a namespace of this kind comes from.
    fn namespace(&self, kind: NamespaceKind) -> Namespace<'_> {
        if self.namespaces.is_new(kind) {
            return Namespace::New;
        }
        let joined = self.namespaces.joined.iter().find(|(joined, _)| *joined == kind);
        joined.map_or(Namespace::Host, |(_, path)| Namespace::Joined(path))
    }
}

/// A path that is covered, so that it can be compared. What `..` leads to is the image's to say: such a path is like no
/// other one.
fn covered(path: &str) -> String {
    if path.split('/').any(|part| part == "..") { path.to_string() } else { clean(path) }
}

/// Where a namespace comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Namespace<'g> {
    New,
    Joined(&'g str),
    Host,
}
