//! The rows of the table: processes at moments, and what they hold then.

/// One row: a process at a moment, and what it holds then.
pub struct Phase {
    pub process: &'static str,
    pub when: &'static str,
    pub user: User,
    pub capabilities: Capabilities,
    pub namespaces: Namespaces,
    pub cgroup: Cgroup,
    pub root: Place,
    pub cwd: Place,
    /// Kinds of its descriptors above 2, in the order of the alphabet.
    pub descriptors: &'static str,
    /// What it cannot get back: no_new_privs and a filter.
    pub confined: Confined,
    /// Whether a process of its user may look into it.
    pub dumpable: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum User {
    Callers,
    Programs,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Capabilities {
    /// Permitted, effective and bounding are the caller's.
    All,
    /// The same, and CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH are not effective.
    Unreading,
    /// Permitted still all, effective while it is root; the bounding set is the plan's.
    Bounded,
    /// The plan's, and CAP_SYS_ADMIN where a filter has to be loaded without no_new_privs.
    Loading,
    /// The same before the ambient set is raised.
    Dropped,
    /// What execve(2) makes of the plan's.
    Executed,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Namespaces {
    Hosts,
    /// The container's, but the cgroup namespace.
    Born,
    /// The container's, but the pid namespace: that is for its children only.
    Entered,
    Containers,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Cgroup {
    Callers,
    /// The container's in the unified hierarchy, the caller's in the others.
    Born,
    Containers,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Place {
    /// The host's root, or where the caller stands.
    Callers,
    Bundle,
    /// The rootfs, with the host's mounts around it.
    Rootfs,
    /// The container's root, and no mount of the host in the table.
    Containers,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Confined {
    No,
    /// no_new_privs, where the plan has it.
    NoNewPrivileges,
    /// And the filter.
    Filtered,
}

/// A phase of casemate or of a hook in the host's namespaces.
const HOST: Phase = Phase {
    process: "",
    when: "",
    user: User::Callers,
    capabilities: Capabilities::All,
    namespaces: Namespaces::Hosts,
    cgroup: Cgroup::Callers,
    root: Place::Callers,
    cwd: Place::Callers,
    descriptors: "",
    confined: Confined::No,
    dumpable: false,
};

/// A phase of init behind pivot_root(2).
const INSIDE: Phase = Phase {
    namespaces: Namespaces::Containers,
    cgroup: Cgroup::Containers,
    root: Place::Containers,
    cwd: Place::Containers,
    ..HOST
};

/// A hook of the host's side.
const HOOK: Phase = Phase { cwd: Place::Bundle, dumpable: true, ..HOST };

/// What the program holds.
const PROGRAM: Phase = Phase {
    when: "its first instruction",
    user: User::Programs,
    capabilities: Capabilities::Executed,
    confined: Confined::Filtered,
    dumpable: true,
    ..INSIDE
};

pub const PHASES: [Phase; 27] = [
    Phase {
        process: "`create`",
        when: "everything is opened, nobody is cloned",
        descriptors: "bundle, cgroup, image, root, rootfs, socket, state",
        ..HOST
    },
    Phase {
        process: "its child",
        when: "cloned, before execveat",
        capabilities: Capabilities::Unreading,
        namespaces: Namespaces::Born,
        cgroup: Cgroup::Born,
        cwd: Place::Rootfs,
        descriptors: "bundle, caller's, cgroup, image, program, root, rootfs, socket, state",
        ..HOST
    },
    Phase {
        process: "init",
        when: "its first instruction",
        namespaces: Namespaces::Born,
        cgroup: Cgroup::Born,
        cwd: Place::Rootfs,
        descriptors: "bundle, cgroup, program, root, socket",
        ..HOST
    },
    Phase {
        process: "`create`",
        when: "a createRuntime hook runs",
        descriptors: "bundle, cgroup, pidfd, pipe, socket, state",
        ..HOST
    },
    Phase { process: "createRuntime hook", when: "its first instruction", ..HOOK },
    Phase {
        process: "createContainer hook",
        when: "its first instruction",
        namespaces: Namespaces::Containers,
        cgroup: Cgroup::Containers,
        ..HOOK
    },
    Phase {
        process: "init",
        when: "the host's mounts are gone",
        descriptors: "bundle, dev, program, root, socket",
        ..INSIDE
    },
    Phase {
        process: "init",
        when: "handles are closed, user and bounding set are changed",
        user: User::Programs,
        capabilities: Capabilities::Bounded,
        descriptors: "program, root, socket",
        ..INSIDE
    },
    Phase {
        process: "init",
        when: "capabilities are given up",
        user: User::Programs,
        capabilities: Capabilities::Dropped,
        descriptors: "program, root, socket",
        ..INSIDE
    },
    Phase {
        process: "init",
        when: "`create` has ended, it waits for `start`",
        user: User::Programs,
        capabilities: Capabilities::Loading,
        descriptors: "program, root, socket",
        confined: Confined::NoNewPrivileges,
        ..INSIDE
    },
    Phase { process: "`start`", when: "it is connected to init", descriptors: "pidfd, socket, state", ..HOST },
    Phase {
        process: "startContainer hook",
        when: "its first instruction",
        user: User::Programs,
        capabilities: Capabilities::Executed,
        confined: Confined::NoNewPrivileges,
        dumpable: true,
        ..INSIDE
    },
    Phase {
        process: "init",
        when: "the filter is loaded, execve is next",
        user: User::Programs,
        capabilities: Capabilities::Loading,
        descriptors: "program, root, socket",
        confined: Confined::Filtered,
        ..INSIDE
    },
    Phase { process: "the program", ..PROGRAM },
    Phase { process: "poststart hook", when: "its first instruction", ..HOOK },
    Phase {
        process: "`exec`",
        when: "nobody is cloned",
        descriptors: "cgroup, image, pidfd, root, socket, state",
        ..HOST
    },
    Phase {
        process: "its child",
        when: "cloned by `exec`, before execveat",
        capabilities: Capabilities::Unreading,
        cgroup: Cgroup::Born,
        descriptors: "cgroup, image, pidfd, program, root, socket, state",
        ..HOST
    },
    Phase {
        process: "init of `exec`",
        when: "its first instruction",
        cgroup: Cgroup::Born,
        descriptors: "cgroup, pidfd, program, socket",
        ..HOST
    },
    Phase {
        process: "init of `exec`",
        when: "it has joined the container, unseen there",
        namespaces: Namespaces::Entered,
        descriptors: "pidfd, program, socket",
        ..INSIDE
    },
    Phase {
        process: "init of `exec`",
        when: "capabilities are given up",
        user: User::Programs,
        capabilities: Capabilities::Dropped,
        namespaces: Namespaces::Entered,
        descriptors: "program, root, socket",
        ..INSIDE
    },
    Phase {
        process: "its successor",
        when: "seen in the container, the filter is loaded",
        user: User::Programs,
        capabilities: Capabilities::Loading,
        descriptors: "socket",
        confined: Confined::Filtered,
        ..INSIDE
    },
    Phase { process: "the program of `exec`", ..PROGRAM },
    Phase {
        process: "`exec`",
        when: "the program runs",
        descriptors: "cgroup, pidfd, root, signals, socket, state",
        ..HOST
    },
    Phase { process: "`run`", when: "the program runs", descriptors: "bundle, cgroup, pidfd, signals, socket", ..HOST },
    Phase { process: "`state`, `kill`", when: "the process is looked at", descriptors: "pidfd, state", ..HOST },
    Phase { process: "`delete`", when: "the process is looked at", descriptors: "pidfd, state", ..HOST },
    Phase { process: "poststop hook", when: "its first instruction", ..HOOK },
];
