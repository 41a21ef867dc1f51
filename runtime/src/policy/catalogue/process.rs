//! Rules on the process: capabilities, user, limits, labels.

use super::{Page, Severity, Standard::*};

pub(super) static PRIVILEGED: Page = Page {
    title: "not privileged",
    severity: Severity::Critical,
    does: "refuses a container that has all capabilities and all devices at once",
    attack: "such a container mounts the host's disk, loads modules, or has the kernel run its program through \
             release_agent or core_pattern: one command each, no bug needed",
    breaks: "`--privileged`, `privileged: true`; node agents, docker-in-docker, installers of drivers",
    fix: "drop `--privileged` (`privileged: true`)",
    allow: "grant the one capability or device that is needed, or run that workload at level privileged by an exemption",
    standards: &[(CisDocker, "5.5"), (PssBaseline, "Privileged Containers"), (Nist, "4.4.3")],
};

pub(super) static CAPABILITIES: Page = Page {
    title: "only capabilities of the baseline list",
    severity: Severity::High,
    does: "refuses capabilities beyond AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, \
           SETFCAP, SETGID, SETPCAP, SETUID and SYS_CHROOT. NET_RAW has a rule of its own: net-raw",
    attack: "SYS_ADMIN reaches release_agent (CVE-2022-0492) and filesystem code (CVE-2022-0185), DAC_READ_SEARCH reads \
             any file by its handle, SYS_MODULE loads code, SYS_PTRACE takes over neighbours",
    breaks: "`--cap-add` of others: VPN and network tools (NET_ADMIN), time servers (SYS_TIME), debuggers (SYS_PTRACE), \
             FUSE (SYS_ADMIN)",
    fix: "grant no capability beyond the list: drop `--cap-add` (`capabilities.add`)",
    allow: "",
    standards: &[(CisDocker, "5.4"), (PssBaseline, "Capabilities"), (Nist, "4.4.3")],
};

pub(super) static NET_RAW: Page = Page {
    title: "no raw sockets",
    severity: Severity::Medium,
    does: "drops CAP_NET_RAW, which engines grant to everybody, from all sets",
    attack: "forged ARP, DNS and router advertisements against neighbours on the bridge (CVE-2020-13401), and the packet \
             socket code of the kernel (CVE-2020-14386)",
    breaks: "ping without ping_group_range, ping with file capabilities, tcpdump, arping, DHCP clients",
    fix: "`--cap-drop NET_RAW` (`capabilities.drop`)",
    allow: "for ping: `--sysctl net.ipv4.ping_group_range=\"0 2147483647\"` and a ping without file capabilities",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static AMBIENT_CAPABILITIES: Page = Page {
    title: "no inheritable or ambient capabilities",
    severity: Severity::Medium,
    does: "empties the inheritable and ambient sets",
    attack: "inheritable sets let programs with file capabilities gain what their user should not have (CVE-2022-29162, \
             CVE-2022-24769), ambient ones give a user without privileges root's (CVE-2016-8867)",
    breaks: "programs of a user other than root that count on ambient capabilities, as `capabilities.add` without root \
             where the engine makes them ambient",
    fix: "leave process.capabilities.inheritable and ambient out",
    allow: "",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static NO_NEW_PRIVILEGES: Page = Page {
    title: "no new privileges",
    severity: Severity::High,
    does: "sets no_new_privs: execve grants nothing, neither by set-user-ID nor by file capabilities",
    attack: "local root through a faulty set-user-ID program of the image (sudo: CVE-2021-3156, pkexec: CVE-2021-4034)",
    breaks: "sudo, su, ping and others that are set-user-ID or have file capabilities, for users other than root",
    fix: "`--security-opt no-new-privileges` (`allowPrivilegeEscalation: false`)",
    allow: "",
    standards: &[(CisDocker, "5.26"), (PssRestricted, "Privilege Escalation"), (Nist, "4.4.3")],
};

pub(super) static DROP_CAPABILITIES: Page = Page {
    title: "no capabilities",
    severity: Severity::Medium,
    does: "drops all capabilities from all sets; CAP_NET_BIND_SERVICE stays where it was granted",
    attack: "whatever the kernel guards with a capability alone: device nodes by MKNOD, other users' files by \
             DAC_OVERRIDE, set-user-ID files on shared volumes by FSETID and SETUID",
    breaks: "entry points that start as root and change owner or user (official images of redis, postgres, mysql, nginx): \
             run them as their user",
    fix: "`--cap-drop ALL` (`capabilities.drop: [ALL]`)",
    allow: "",
    standards: &[(PssRestricted, "Capabilities"), (Nist, "4.4.3")],
};

pub(super) static NON_ROOT: Page = Page {
    title: "not as root",
    severity: Severity::High,
    does: "refuses user id 0, unless a user namespace maps it to another id of the host",
    attack: "user 0 of the container is user 0 for every file of the host that comes within reach: overwriting the \
             runtime (CVE-2019-5736), descriptors that leaked (CVE-2024-21626)",
    breaks: "images whose user is root: give `--user` or `runAsUser`",
    fix: "`--user UID` (`runAsUser: UID`), or USER in the image",
    allow: "",
    standards: &[(PssRestricted, "Running as Non-root"), (PssRestricted, "Running as Non-root user"), (Nist, "4.4.3")],
};

pub(super) static CORE_DUMPS: Page = Page {
    title: "no core dumps",
    severity: Severity::Low,
    does: "sets RLIMIT_CORE to 0",
    attack: "a crash hands the program's memory, with its secrets, to a handler that runs as root on the host and may be \
             tricked about whose it is (CVE-2025-5054)",
    breaks: "core files of crashed programs",
    fix: "`--ulimit core=0`",
    allow: "",
    standards: &[],
};

pub(super) static PIDS_LIMIT: Page = Page {
    title: "a limit on the number of tasks",
    severity: Severity::Medium,
    does: "sets a pids limit of 2,048 where none is given",
    attack: "a fork bomb takes every process id and thread of the host from all others",
    breaks: "programs with more than 2,048 threads",
    fix: "`--pids-limit 2048`",
    allow: "give a limit of your own: `--pids-limit N`; -1, which is none, becomes 2,048 too",
    standards: &[(CisDocker, "5.29"), (Nist, "4.4.3")],
};

pub(super) static SELINUX_TYPE: Page = Page {
    title: "only SELinux types for containers",
    severity: Severity::High,
    does: "refuses labels whose type is not container_t, container_init_t, container_kvm_t or container_engine_t",
    attack: "spc_t and unconfined_t are what a process without a container has: SELinux stops nothing any more",
    breaks: "`--security-opt label=type:...`, `seLinuxOptions.type` with types of one's own",
    fix: "drop `label=type:...` (`seLinuxOptions.type`)",
    allow: "",
    standards: &[(CisDocker, "5.3"), (PssBaseline, "SELinux"), (Nist, "4.4.3")],
};

pub(super) static SELINUX_LABEL: Page = Page {
    title: "an SELinux label",
    severity: Severity::Medium,
    does: "where SELinux is enabled and no label is given, sets container_t and a pair of categories that no other \
           container has",
    attack: "without a label the container keeps the runtime's own domain, and without categories of its own it may use \
             what its neighbours own",
    breaks: "host files bound into the container whose label containers may not use: relabel them (`:z`, `:Z`)",
    fix: "enable SELinux in the engine (`selinux-enabled`)",
    allow: "",
    standards: &[(CisDocker, "5.3"), (Nist, "4.4.3")],
};

pub(super) static APPARMOR_PROFILE: Page = Page {
    title: "not unconfined by AppArmor",
    severity: Severity::High,
    does: "refuses the AppArmor profile `unconfined`",
    attack: "engines' profiles deny mounts and writes to files of procfs and sysfs that lead to the host, such as \
             release_agent (CVE-2022-0492)",
    breaks: "`--security-opt apparmor=unconfined`",
    fix: "drop `apparmor=unconfined`",
    allow: "load a profile of one's own and name it: `--security-opt apparmor=NAME`",
    standards: &[(CisDocker, "5.2"), (PssBaseline, "AppArmor"), (Nist, "4.4.3")],
};
