//! `process`: what runs in the container, and as whom (config.md, "Process").

use super::field::object;

object! {
    /// The process of a container, or of one `exec` session.
    pub struct Process {
        /// Whether the process gets a pseudo-terminal.
        pub terminal: bool = "terminal";
        /// Size of the pseudo-terminal in characters; ignored without `terminal`.
        pub console_size: Option<ConsoleSize> = "consoleSize";
        /// Who the process is. Absent means uid 0 and gid 0, as it does in Go.
        pub user: User = "user", always;
        /// The program and its arguments; at least one is needed to start anything.
        pub args: Vec<String> = "args";
        /// The environment as `NAME=value`.
        pub env: Vec<String> = "env";
        /// The absolute working directory, as seen in the container.
        pub cwd: String = "cwd", always;
        /// The five capability sets; absent leaves them empty.
        pub capabilities: Option<Capabilities> = "capabilities";
        /// Resource limits, setrlimit(2); a type may occur once.
        pub rlimits: Vec<PosixRlimit> = "rlimits";
        /// Whether `PR_SET_NO_NEW_PRIVS` is set, prctl(2).
        pub no_new_privileges: bool = "noNewPrivileges";
        /// The AppArmor profile to run under; empty for none.
        pub apparmor_profile: String = "apparmorProfile";
        /// `/proc/PID/oom_score_adj`, -1000 to 1000; absent leaves it as inherited.
        pub oom_score_adj: Option<i64> = "oomScoreAdj";
        /// Scheduling attributes, sched_setattr(2).
        pub scheduler: Option<Scheduler> = "scheduler";
        /// The SELinux label to run under; empty for none.
        pub selinux_label: String = "selinuxLabel";
        /// I/O scheduling class and priority, ioprio_set(2).
        pub io_priority: Option<IoPriority> = "ioPriority";
        /// CPUs of an `exec` session before and after it joins the cgroup.
        pub exec_cpu_affinity: Option<CpuAffinity> = "execCPUAffinity";
    }
}

object! {
    /// Size of a terminal. Go's type is named `Box`.
    pub struct ConsoleSize {
        /// Rows.
        pub height: u64 = "height", always;
        /// Columns.
        pub width: u64 = "width", always;
    }
}

object! {
    /// User and groups of a process, as ids inside its user namespace.
    pub struct User {
        /// The user id.
        pub uid: u32 = "uid", always;
        /// The primary group id.
        pub gid: u32 = "gid", always;
        /// The umask(2) of the process; absent leaves the inherited one.
        pub umask: Option<u32> = "umask";
        /// The supplementary groups.
        pub additional_gids: Vec<u32> = "additionalGids";
    }
}

object! {
    /// Capability sets by name (`CAP_CHOWN`), in the order given; capabilities(7).
    pub struct Capabilities {
        /// The bounding set.
        pub bounding: Vec<String> = "bounding";
        /// The effective set.
        pub effective: Vec<String> = "effective";
        /// The inheritable set.
        pub inheritable: Vec<String> = "inheritable";
        /// The permitted set.
        pub permitted: Vec<String> = "permitted";
        /// The ambient set.
        pub ambient: Vec<String> = "ambient";
    }
}

object! {
    /// One resource limit; getrlimit(2).
    pub struct PosixRlimit {
        /// The limit's name, for example `RLIMIT_NOFILE`.
        pub r#type: String = "type", always;
        /// The ceiling of the soft limit; `u64::MAX` is infinity.
        pub hard: u64 = "hard", always;
        /// The enforced limit; `u64::MAX` is infinity.
        pub soft: u64 = "soft", always;
    }
}

object! {
    /// Scheduling attributes; sched_setattr(2), sched(7).
    pub struct Scheduler {
        /// The policy's name, for example `SCHED_BATCH`.
        pub policy: String = "policy", always;
        /// The nice value, -20 to 19, for `SCHED_OTHER` and `SCHED_BATCH`.
        pub nice: i32 = "nice";
        /// The static priority, 1 to 99, for `SCHED_FIFO` and `SCHED_RR`.
        pub priority: i32 = "priority";
        /// Flags by name, for example `SCHED_FLAG_RESET_ON_FORK`.
        pub flags: Vec<String> = "flags";
        /// `SCHED_DEADLINE` runtime in nanoseconds.
        pub runtime: u64 = "runtime";
        /// `SCHED_DEADLINE` deadline in nanoseconds.
        pub deadline: u64 = "deadline";
        /// `SCHED_DEADLINE` period in nanoseconds.
        pub period: u64 = "period";
    }
}

object! {
    /// I/O priority; ioprio_set(2).
    pub struct IoPriority {
        /// The class's name, for example `IOPRIO_CLASS_BE`.
        pub class: String = "class", always;
        /// The level in the class, 0 (highest) to 7.
        pub priority: i64 = "priority", always;
    }
}

object! {
    /// CPU lists of an `exec` session, in the kernel's list format (`0-3,7`).
    pub struct CpuAffinity {
        /// CPUs to use until the session is in the container's cgroup; empty to leave them.
        pub initial: String = "initial";
        /// CPUs to use from then on; empty to leave them.
        pub r#final: String = "final";
    }
}
