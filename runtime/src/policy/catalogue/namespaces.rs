//! Rules on namespaces of the host.

use super::{Page, Severity, Standard::*};

pub(super) static HOST_PID: Page = Page {
    title: "not in the host's PID namespace",
    severity: Severity::Critical,
    does: "refuses a container without a PID namespace of its own, and one that joins the host's",
    attack: "the host's processes can be seen, signalled and, with the same user id, traced; /proc/1/root is the host's \
             root directory",
    breaks: "`--pid host`, `hostPID: true`: node monitors, debuggers of the host",
    fix: "drop `--pid host` (`hostPID: true`)",
    allow: "",
    standards: &[(CisDocker, "5.16"), (PssBaseline, "Host Namespaces"), (Nist, "4.4.3")],
};

pub(super) static HOST_IPC: Page = Page {
    title: "not in the host's IPC namespace",
    severity: Severity::High,
    does: "refuses a container without an IPC namespace of its own, and one that joins the host's",
    attack: "shared memory, semaphores and message queues of the host's programs can be read and changed",
    breaks: "`--ipc host`, `hostIPC: true`",
    fix: "drop `--ipc host` (`hostIPC: true`)",
    allow: "share between containers: `--ipc container:NAME`",
    standards: &[(CisDocker, "5.17"), (PssBaseline, "Host Namespaces"), (Nist, "4.4.3")],
};

pub(super) static HOST_NETWORK: Page = Page {
    title: "not in the host's network namespace",
    severity: Severity::High,
    does: "refuses a container without a network namespace of its own, and one that joins the host's",
    attack: "services that trust the local host, abstract sockets of engines (CVE-2020-15257), and all traffic of the \
             node with NET_RAW",
    breaks: "`--network host`, `hostNetwork: true`: kube-proxy, CNI agents, node exporters",
    fix: "drop `--network host` (`hostNetwork: true`)",
    allow: "publish ports: `-p`",
    standards: &[(CisDocker, "5.10"), (PssBaseline, "Host Namespaces"), (Nist, "4.4.2")],
};

pub(super) static HOST_UTS: Page = Page {
    title: "not in the host's UTS namespace",
    severity: Severity::Low,
    does: "refuses a container without a UTS namespace of its own, and one that joins the host's",
    attack: "with SYS_ADMIN the host's name is changed, which logs, certificates and clusters go by; without it the name \
             is known",
    breaks: "`--uts host`; `hostNetwork: true`, which brings it along",
    fix: "drop `--uts host` (`hostNetwork: true`)",
    allow: "",
    standards: &[(CisDocker, "5.21"), (Nist, "4.4.3")],
};

pub(super) static LANDLOCK_SCOPE: Page = Page {
    title: "no abstract sockets outside",
    severity: Severity::Low,
    does: "where the kernel has Landlock's scopes (Linux 6.12), refuses connections to abstract unix sockets that were \
           not made inside",
    attack: "abstract sockets have no file and no permissions; who shares a network namespace with a service reaches it \
             (CVE-2020-15257)",
    breaks: "sidecars that talk to the other containers of their pod through abstract sockets",
    fix: "nothing to change in the configuration",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};
