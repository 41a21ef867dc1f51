//! Rules on mounts and devices.

use super::{Page, Severity, Standard::*};

pub(super) static BIND_ATTRIBUTES: Page = Page {
    title: "binds are nosuid and nodev",
    severity: Severity::Medium,
    does: "adds nosuid and nodev to bind mounts, and makes read-only ones read-only in what is mounted below their source, \
           too",
    attack: "a set-user-ID file or a device node that one container, or the host, leaves on a volume is privilege for \
             who finds it there (CVE-2021-41091)",
    breaks: "set-user-ID programs and device nodes on volumes",
    fix: "add the options nosuid and nodev to the mount",
    allow: "pass devices as devices: `--device`",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static SENSITIVE_BINDS: Page = Page {
    title: "no sensitive paths of the host",
    severity: Severity::Critical,
    does: "refuses binds of /, /etc, /root and the keys in it, /proc, /sys, /dev, /boot, /lib/modules, of the directories in which engines and \
           the kubelet keep their state, of sockets that control the host, and writable ones of its programs, \
           configuration and logs",
    attack: "an engine's socket starts a privileged container, /etc and /root take keys and users, /proc and /sys lead \
             to core_pattern and modules: each is root on the host",
    breaks: "`-v /var/run/docker.sock:...`, `-v /:/host`: CI agents, dashboards, log and metrics collectors",
    fix: "drop the bind (`-v`, `hostPath`), or bind a narrower path",
    allow: "allow the one path in the policy: `allow = [\"/srv/config\"]` under [binds]",
    standards: &[
        (CisDocker, "5.6"),
        (CisDocker, "5.32"),
        (PssBaseline, "HostPath Volumes"),
        (Nist, "4.4.3"),
        (Nist, "4.5.5"),
    ],
};

pub(super) static FILESYSTEM_TYPES: Page = Page {
    title: "no mounts of kernel or disk filesystems",
    severity: Severity::High,
    does: "refuses new mounts of types that show the kernel (debugfs, tracefs, bpf, ...) or read a disk",
    attack: "debugfs and tracefs expose and change the kernel; a crafted disk image is parsed by the kernel with root's \
             rights",
    breaks: "configurations written by hand: engines do not make such mounts in the container",
    fix: "drop the mount",
    allow: "mount it on the host and bind it",
    standards: &[(Nist, "4.4.3")],
};

pub(super) static SHARED_PROPAGATION: Page = Page {
    title: "no mounts that propagate to the host",
    severity: Severity::High,
    does: "refuses shared propagation of the root filesystem and of binds; slave propagation stays",
    attack: "what the container mounts appears on the host and in other containers, over whatever was there",
    breaks: "`-v ...:shared`, `mountPropagation: Bidirectional`: storage drivers, which also need to be privileged",
    fix: "drop `:shared` (`mountPropagation: Bidirectional`)",
    allow: "",
    standards: &[(CisDocker, "5.20"), (Nist, "4.4.3")],
};

pub(super) static READ_ONLY_ROOT: Page = Page {
    title: "a read-only root filesystem",
    severity: Severity::Medium,
    does: "mounts the root filesystem read-only, with tmpfs (nosuid, nodev, noexec) on /tmp, /run and /var/tmp where the \
           configuration mounts nothing",
    attack: "what an intruder downloads or changes in place stays for the next start, and is executed",
    breaks: "programs that write elsewhere: give them a volume; and those that execute from /tmp (JNA, some wheels)",
    fix: "`--read-only` (`readOnlyRootFilesystem: true`)",
    allow: "a volume where the program writes: `-v NAME:/path`, `--tmpfs /path`",
    standards: &[(CisDocker, "5.13"), (Nist, "4.4.4")],
};

pub(super) static DEVICE_WILDCARDS: Page = Page {
    title: "no device rules for a whole class",
    severity: Severity::High,
    does: "refuses device rules that allow reading or writing all devices, or all of a type",
    attack: "with MKNOD, which engines grant, a container makes the node of the host's disk and reads it",
    breaks: "`--device-cgroup-rule 'c *:* rwm'`",
    fix: "name single devices in the rules",
    allow: "name the device: `--device`, `--device-cgroup-rule 'c 189:* rwm'`",
    standards: &[(CisDocker, "5.18"), (Nist, "4.4.3")],
};

pub(super) static RAW_DEVICES: Page = Page {
    title: "no disks and no memory as devices",
    severity: Severity::Critical,
    does: "refuses block devices, /dev/mem, /dev/kmem, /dev/port and their like",
    attack: "who writes the disk below a mounted filesystem, or physical memory, owns the host",
    breaks: "`--device /dev/sda`: storage drivers, partitioners",
    fix: "drop the device",
    allow: "",
    standards: &[(CisDocker, "5.18"), (Nist, "4.4.3")],
};

pub(super) static DEVICE_RULES: Page = Page {
    title: "no making of device nodes of a whole class",
    severity: Severity::Medium,
    does: "takes the permission to make nodes (m) from device rules for a whole class, which engines write for everybody",
    attack: "a node of the host's disk, made in the container, is used by whoever finds it: the host's users through the \
             container's directory, another container through a volume",
    breaks: "mknod in the container: builders of images with device nodes, cdrom and disk tools",
    fix: "drop the rule, or pass the device itself",
    allow: "pass the device itself: `--device`",
    standards: &[(CisDocker, "5.18"), (Nist, "4.4.3")],
};

pub(super) static EXTRA_DEVICES: Page = Page {
    title: "no devices but those of every container",
    severity: Severity::Medium,
    does: "refuses devices beyond null, zero, full, random, urandom, tty and the terminal",
    attack: "drivers are the part of the kernel with the most bugs; each device opens one of them",
    breaks: "GPUs, /dev/kvm, /dev/fuse, /dev/net/tun, serial ports",
    fix: "drop `--device`",
    allow: "",
    standards: &[(CisDocker, "5.18"), (Nist, "4.4.3")],
};
