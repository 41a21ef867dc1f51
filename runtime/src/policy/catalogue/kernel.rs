//! Rules on what of the kernel is within reach: system calls, its parameters, its files.

use super::{Page, Severity, Standard::*};

pub(super) static SECCOMP_PROFILE: Page = Page {
    title: "a seccomp profile",
    severity: Severity::High,
    does: "gives the profile `default` (or the policy's) to a container that brings none",
    attack: "more than 70 system calls that programs in containers do not need, and the bugs behind them: keyrings \
             (CVE-2016-0728), new namespaces (CVE-2022-0185), AF_ALG (CVE-2026-31431)",
    breaks: "`seccomp=unconfined`, `seccompProfile: Unconfined`; programs that trace, mount or load",
    fix: "drop `seccomp=unconfined` (`seccompProfile.type: RuntimeDefault`)",
    allow: "name another profile in the policy, or give one: `--security-opt seccomp=FILE`",
    standards: &[(CisDocker, "5.22"), (PssBaseline, "Seccomp"), (PssRestricted, "Seccomp"), (Nist, "4.4.3")],
};

pub(super) static SECCOMP_OVERLAY: Page = Page {
    title: "the deny list below every profile",
    severity: Severity::High,
    does: "joins to every profile a list of what no profile should let through; the strictest answer counts, and \
           arguments are compared as the kernel reads them",
    attack: "input pushed into the caller's terminal (CVE-2019-10063, CVE-2023-28100), io_uring, userfaultfd and bpf as \
             tools of kernel exploits, new user namespaces (CVE-2024-1086), rare socket families",
    breaks: "io_uring databases, sandboxes inside the container (browsers, builders), VSOCK, programs that raise ambient \
             capabilities or set securebits",
    fix: "nothing to change in the configuration",
    allow: "let one group through by its token in the policy: `allow = [\"io-uring\"]` under [seccomp]; docs/seccomp.md has \
            the tokens",
    standards: &[(CisDocker, "5.22"), (Nist, "4.4.3")],
};

pub(super) static SECCOMP_RESTRICTED: Page = Page {
    title: "the smaller seccomp profile",
    severity: Severity::Medium,
    does: "intersects the given profile with the profile `restricted`: no tracing, no scheduling classes, four socket \
           families",
    attack: "more of the same as seccomp-profile: what databases, interpreters and servers were not seen to use is not \
             there to be exploited",
    breaks: "strace, gdb, profilers, clock and scheduler settings, 32-bit programs",
    fix: "nothing to change in the configuration",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static USER_NAMESPACES: Page = Page {
    title: "no new user namespaces inside",
    severity: Severity::Medium,
    does: "takes the token `nested` from those that a policy lets through: clone with CLONE_NEWUSER, unshare, setns and mount \
           stay denied",
    attack: "a user namespace gives its maker all capabilities over code that otherwise only root reaches: filesystems \
             (CVE-2022-0185), nf_tables (CVE-2023-32233, CVE-2024-1086)",
    breaks: "rootless builders and browsers' sandboxes inside the container",
    fix: "nothing to change in the configuration",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static SYSCTLS: Page = Page {
    title: "only safe kernel parameters",
    severity: Severity::High,
    does: "refuses parameters outside the Pod Security Standard's list of safe ones",
    attack: "parameters of the node, and values that smuggle others: core_pattern set through a container's sysctl \
             (CVE-2022-0811)",
    breaks: "`--sysctl` of others, such as net.core.somaxconn or kernel.msgmax",
    fix: "drop the parameter, or set it on the node",
    allow: "",
    standards: &[(PssBaseline, "Sysctls"), (Nist, "4.4.3")],
};

pub(super) static UNMASKED_PROC: Page = Page {
    title: "procfs is masked",
    severity: Severity::Critical,
    does: "refuses a container whose procfs has neither masked nor read-only paths",
    attack: "root writes /proc/sys/kernel/core_pattern or /proc/sysrq-trigger: the next crash runs its program on the host",
    breaks: "`procMount: Unmasked`, `--security-opt systempaths=unconfined`: builders inside containers",
    fix: "drop `systempaths=unconfined` (`procMount: Unmasked`)",
    allow: "",
    standards: &[(PssBaseline, "/proc Mount Type"), (Nist, "4.4.3")],
};

pub(super) static MASKED_PATHS: Page = Page {
    title: "the newest list of masked paths",
    severity: Severity::Medium,
    does: "adds what is missing from the current list of masked and read-only paths of procfs and sysfs",
    attack: "disks removed through /proc/scsi (CVE-2017-16539), hardware switched through /proc/acpi (CVE-2018-10892), \
             power measured through powercap (CVE-2020-8694), keystrokes timed through /proc/interrupts",
    breaks: "monitoring agents that read the host through their own procfs and sysfs",
    fix: "nothing, or a newer engine, which lists them",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static HARDENED_MASKS: Page = Page {
    title: "more masked paths than engines have",
    severity: Severity::Low,
    does: "masks further files of procfs and sysfs that tell about the kernel and the machine",
    attack: "addresses and layouts that make kernel exploits reliable: /proc/kallsyms, /proc/modules, /proc/slabinfo, \
             /sys/kernel",
    breaks: "tools that show the machine: lspci, lsmod, dmidecode, perf",
    fix: "add the paths to linux.maskedPaths",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static PROC_SUBSET: Page = Page {
    title: "a procfs with processes only",
    severity: Severity::Low,
    does: "mounts procfs with subset=pid: everything that is not a process is not there. Only a policy switches it on",
    attack: "as hardened-masks, by a list of what is there in place of one of what is not",
    breaks: "programs that read /proc/cpuinfo, /proc/meminfo, /proc/stat or /proc/sys: Java, Go, top, free",
    fix: "nothing to change in the configuration",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static READ_ONLY_SYS: Page = Page {
    title: "sysfs and cgroups are read-only",
    severity: Severity::High,
    does: "mounts sysfs and cgroup filesystems read-only",
    attack: "release_agent of cgroup v1 runs a program on the host (CVE-2022-0492), and a writable cgroup of the host's \
             (CVE-2023-25809)",
    breaks: "systemd and other cgroup managers inside the container, programs that set hardware through sysfs",
    fix: "mount sysfs and cgroup with the option ro",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};
