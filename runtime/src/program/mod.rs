//! The plan's operations as data: what init will do, in order.
//!
//! One enum serves everybody: the plan is made of it, `explain` prints it, golden tests compare it, policy narrows it,
//! [`encode`] writes it for init, and [`words`] turns a failed operation's number back into what a person was told.
//! Every operation is one step that init's interpreter (`init/main.rs`) does with a few system calls.

pub mod encode;
pub mod format;
pub mod words;

use crate::plan::namespace::NamespaceKind;
use serde::Serialize;

/// Number of a handle that the parent opens before the clone; an index into `Plan::handles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Slot(pub u32);

/// Attributes of a mount (mount_setattr(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0 to leave it.
    pub propagation: u64,
    /// Down the whole tree.
    pub recursive: bool,
}

/// What a mount operation may find at its destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// No symbolic link may lead there (proc, sysfs).
    pub no_symlinks: bool,
    /// It may lie in procfs (the files that lxcfs provides).
    pub in_proc: bool,
}

/// Which mount an attribute change is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A detached tree that is not attached yet.
    Tree(Slot),
    /// The container's root.
    Root,
    /// The /dev that was mounted by an operation.
    Dev,
    /// The mount at a path.
    Path(String),
}

/// A hook that runs inside the container's namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InnerHook {
    /// `createContainer` or `startContainer`.
    pub kind: &'static str,
    /// Its number among the hooks of its kind.
    pub index: usize,
    /// The program, resolved where the hook runs.
    pub path: String,
    /// Its arguments; empty: its path.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<String>,
    /// Seconds it may take; 0 is no limit.
    pub timeout: u32,
    /// Handle of its working directory; none: where init is.
    pub cwd: Option<Slot>,
    /// The container's state before and after the number of the pid.
    #[serde(skip)]
    pub state: (String, String),
}

/// One step of init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum Op {
    /// Writes `0` into a v1 hierarchy's `tasks`.
    JoinCgroup {
        /// The hierarchy, as /proc/self/cgroup names it.
        hierarchy: String,
        /// The open `tasks` file.
        tasks: Slot,
    },
    /// setns(2) into an existing namespace.
    JoinNamespace {
        /// Its kind.
        namespace: NamespaceKind,
        /// The open namespace file.
        handle: Slot,
        /// Where it was named.
        path: String,
    },
    /// setns(2) with a pidfd: all the namespaces of a running container at once.
    JoinContainer {
        /// `CLONE_NEW*` flags.
        namespaces: u64,
        /// The pidfd of its init.
        handle: Slot,
    },
    /// unshare(2); only the cgroup namespace, whose root is where init stands when it is made.
    Unshare {
        /// The namespace.
        namespace: NamespaceKind,
    },
    /// Makes every mount of the new mount namespace a slave of, or private from, the host's.
    HostPropagation {
        /// `MS_SLAVE` or `MS_PRIVATE`.
        propagation: u64,
    },
    /// Makes the filesystem that masks are cloned from.
    MaskSource,
    /// Attaches the rootfs at its own path.
    AttachRoot {
        /// The detached clone of the rootfs.
        tree: Slot,
    },
    /// For exec: takes the joined mount namespace's root as the root.
    OpenRoot,
    /// Mounts a new filesystem.
    Mount {
        /// Its type.
        fstype: String,
        /// Where.
        destination: String,
        /// fsconfig(2) parameters; without a value: a flag.
        options: Vec<(String, Option<String>)>,
        /// Its attributes, set before it is visible.
        attributes: Attributes,
        /// What may be at the destination.
        at: Destination,
        /// This is the container's /dev.
        is_dev: bool,
        /// Copy what the rootfs has there into it first.
        copy_up: bool,
        /// Its root takes the mode of the directory it covers.
        inherit_mode: bool,
        /// mount(2) flags instead of fsconfig, for an option that fsconfig cannot say.
        legacy_flags: Option<u64>,
        /// Only if the destination is a directory, which is not made; otherwise nothing is done.
        #[serde(skip_serializing_if = "is_false")]
        if_directory: bool,
    },
    /// Attaches a tree of the host's, cloned by the parent, its attributes already set.
    Bind {
        /// The detached clone.
        tree: Slot,
        /// What it is a clone of.
        source: String,
        /// Where.
        destination: String,
        /// What may be at the destination.
        at: Destination,
    },
    /// Changes attributes of a mount.
    SetMount {
        /// Which.
        target: Target,
        /// How.
        attributes: Attributes,
    },
    /// mknod(2).
    Device {
        /// Path inside the container.
        path: String,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, with the permission bits.
        mode: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// On the /dev that was mounted, not on the rootfs's.
        on_dev: bool,
    },
    /// symlink(2).
    Symlink {
        /// What it points to.
        target: String,
        /// Path inside the container.
        path: String,
        /// On the /dev that was mounted, not on the rootfs's.
        on_dev: bool,
    },
    /// Makes a directory where there is none.
    MakeDirectory {
        /// Path inside the container.
        path: String,
    },
    /// Takes a terminal from the container's devpts as standard input, output and error.
    Terminal {
        /// Rows, 0: leave.
        rows: u16,
        /// Columns, 0: leave.
        columns: u16,
        /// Bind it on /dev/console.
        console: bool,
        /// Owner.
        uid: u32,
    },
    /// setsid(2).
    Session {
        /// Standard input becomes the session's controlling terminal.
        terminal: bool,
    },
    /// For exec: a fork into the pid namespace that was joined; the forked process goes on, the forking one ends.
    EnterPidNamespace,
    /// Tells the parent that the mounts are there and waits while it runs the runtime hooks.
    RuntimeHooks,
    /// Runs a hook inside.
    Hook(InnerHook),
    /// pivot_root(2) and away with the host's mounts.
    Pivot,
    /// Compares the mount table with this program.
    CheckMounts {
        /// Hooks or slave propagation may have added mounts.
        extra: bool,
    },
    /// Brings up `lo`.
    Loopback,
    /// sethostname(2).
    Hostname {
        /// The name.
        name: String,
    },
    /// setdomainname(2).
    Domainname {
        /// The name.
        name: String,
    },
    /// Writes a kernel parameter.
    Sysctl {
        /// Dotted name.
        name: String,
        /// Value.
        value: String,
    },
    /// Covers a path with a read-only clone of itself.
    ReadonlyPath {
        /// Path inside the container.
        path: String,
    },
    /// Covers a path with an empty directory or a null device.
    Mask {
        /// Path inside the container.
        path: String,
    },
    /// Joins a new anonymous session keyring.
    Keyring,
    /// Writes a label and reads it back.
    Label {
        /// File below /proc, e.g. `self/attr/exec`.
        file: String,
        /// The label.
        label: String,
    },
    /// setrlimit(2).
    Rlimit {
        /// `RLIMIT_*`.
        name: String,
        /// Its number.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    },
    /// Drops what is not listed from the bounding set.
    Bounding {
        /// Bit set of what stays.
        keep: u64,
        /// Highest capability of this kernel.
        last: u32,
    },
    /// Groups, group and user.
    Identity {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Supplementary groups, exactly these.
        groups: Vec<u32>,
    },
    /// capset(2).
    Capabilities {
        /// Effective set.
        effective: u64,
        /// Permitted set.
        permitted: u64,
        /// Inheritable set.
        inheritable: u64,
    },
    /// Raises ambient capabilities.
    Ambient {
        /// The set.
        set: u64,
    },
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges,
    /// Enters the working directory.
    WorkingDirectory {
        /// Path inside the container.
        path: String,
        /// The second try, as the process's own user.
        second: bool,
    },
    /// umask(2).
    Umask {
        /// The mask.
        mask: u32,
    },
    /// Finds the executable.
    FindExecutable {
        /// Paths to try, in order.
        candidates: Vec<String>,
        /// They come from PATH: what cannot run is passed over.
        search: bool,
    },
    /// Closes every handle.
    CloseHandles,
    /// Tells the parent that all is set up and waits until that is on disk.
    Ready,
    /// Waits for start.
    WaitStart {
        /// From the parent itself (run, exec), not from a later `start`.
        control: bool,
    },
    /// Cuts the process off from what lies outside (landlock(7)).
    Landlock {
        /// `LANDLOCK_SCOPE_*`.
        scoped: u64,
    },
    /// Loads the filter.
    Seccomp {
        /// seccomp(2) flags.
        flags: u32,
        /// Number of instructions.
        instructions: usize,
        /// Hand out the listener.
        listener: bool,
        /// The instructions, one in 64 bits.
        #[serde(skip)]
        filter: Vec<u64>,
    },
    /// execve(2).
    Execute {
        /// Arguments.
        args: Vec<String>,
        /// Environment.
        env: Vec<String>,
    },
}

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET` of landlock(7): connections to abstract sockets of processes that are not below
/// the same restriction are refused.
pub const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;

/// What few operations have is not in the JSON form of the others.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}
