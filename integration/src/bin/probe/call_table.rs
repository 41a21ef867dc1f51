//! The calls of [`crate::calls`], in groups, and the arguments with which each of them comes to nothing.

use crate::calls;
use crate::calls::{BAD, Call, Entry::Native};

/// Flags that no call has.
const FLAGS: i64 = 0xffff_ffff;
/// A socket type that does not exist: the family is judged, no module is loaded, no socket made.
const TYPE: i64 = 15;
/// Upper half of a register that holds an `int`.
const UPPER: i64 = 1 << 32;
/// A path that is there.
const ROOT: &std::ffi::CStr = c"/";
/// SECCOMP_SET_MODE_FILTER and SECCOMP_FILTER_FLAG_NEW_LISTENER.
const LISTENER: [i64; 2] = [1, 8];

/// Every call.
pub fn all() -> Vec<Call> {
    let mut all = Vec::new();
    all.extend(attack_surface());
    all.extend(mounts());
    all.extend(administration());
    all.extend(sockets());
    all.extend(settings());
    all.extend(ordinary());
    #[cfg(target_arch = "x86_64")]
    all.extend(other_abis());
    all
}

fn attack_surface() -> impl Iterator<Item = Call> {
    let surface = calls!["surface", false, Native;
        "io_uring_setup" libc::SYS_io_uring_setup, [0, 0];
        "io_uring_enter" libc::SYS_io_uring_enter, [-1, 0, 0, 0, 0];
        "io_uring_register" libc::SYS_io_uring_register, [-1, 0, 0, 0];
        "userfaultfd" libc::SYS_userfaultfd, [FLAGS];
        "bpf" libc::SYS_bpf, [-1, 0, 0];
        "perf_event_open" libc::SYS_perf_event_open, [0, -1, -1, -1, 0];
    ];
    let keyrings = calls!["keyrings", false, Native;
        "add_key" libc::SYS_add_key, [0, 0, 0, 0, 0];
        "keyctl" libc::SYS_keyctl, [-1, 0, 0];
        "request_key" libc::SYS_request_key, [0, 0, 0, 0];
    ];
    let neighbours = calls!["neighbours", false, Native;
        "ptrace" libc::SYS_ptrace, [-1, -1, 0, 0];
        "process_vm_readv" libc::SYS_process_vm_readv, [-1, 0, 0, 0, 0];
        "process_vm_writev" libc::SYS_process_vm_writev, [-1, 0, 0, 0, 0];
        "pidfd_getfd" libc::SYS_pidfd_getfd, [-1, -1, 0];
        "kcmp" libc::SYS_kcmp, [-1, -1, 0, 0, 0];
        "process_madvise" libc::SYS_process_madvise, [-1, 0, 0, 0, 0];
    ];
    let handles = calls!["handles", false, Native;
        "open_by_handle_at" libc::SYS_open_by_handle_at, [-1, 0, 0];
    ];
    let listener = calls!["listener", false, crate::calls::Entry::Bound;
        "seccomp(NEW_LISTENER)" libc::SYS_seccomp, [LISTENER[0], LISTENER[1], 0];
    ];
    surface.into_iter().chain(keyrings).chain(neighbours).chain(handles).chain(listener)
}

fn mounts() -> impl Iterator<Item = Call> {
    let mounts = calls!["mounts", true, Native;
        "mount" libc::SYS_mount, [0, 0, 0, 0, 0];
        "umount2" libc::SYS_umount2, [0, FLAGS];
        "fsopen" libc::SYS_fsopen, [0, FLAGS];
        "fsconfig" libc::SYS_fsconfig, [-1, -1, 0, 0, 0];
        "fsmount" libc::SYS_fsmount, [-1, FLAGS, FLAGS];
        "fspick" libc::SYS_fspick, [-1, 0, FLAGS];
        "open_tree" libc::SYS_open_tree, [-1, 0, FLAGS];
        "move_mount" libc::SYS_move_mount, [-1, 0, -1, 0, FLAGS];
        "mount_setattr" libc::SYS_mount_setattr, [-1, 0, FLAGS, 0, 0];
        "open_tree_attr" 467, [-1, 0, FLAGS, 0, 0];
        "pivot_root" libc::SYS_pivot_root, [0, 0];
    ];
    let namespaces = calls!["namespaces", true, Native;
        // CLONE_NEWUSER does not go with CLONE_FS, and 1 is no flag of unshare.
        "clone(NEWUSER)" libc::SYS_clone, [libc::CLONE_NEWUSER | libc::CLONE_FS, 0, 0, 0, 0];
        "unshare(NEWUSER)" libc::SYS_unshare, [libc::CLONE_NEWUSER | 1];
        "unshare(NEWNS)" libc::SYS_unshare, [libc::CLONE_NEWNS | 1];
        "unshare(NEWNET)" libc::SYS_unshare, [libc::CLONE_NEWNET | 1];
        "setns" libc::SYS_setns, [-1, 0];
    ];
    mounts.into_iter().chain(namespaces)
}

fn administration() -> impl Iterator<Item = Call> {
    let kernel = calls!["kernel", true, Native;
        "kexec_load" libc::SYS_kexec_load, [0, 0, 0, FLAGS];
        "kexec_file_load" libc::SYS_kexec_file_load, [-1, -1, 0, 0, FLAGS];
        "init_module" libc::SYS_init_module, [0, 0, 0];
        "finit_module" libc::SYS_finit_module, [-1, 0, FLAGS];
        "delete_module" libc::SYS_delete_module, [0, 0];
    ];
    let administration = calls!["administration", true, Native;
        "reboot" libc::SYS_reboot, [0, 0, 0, 0];
        "syslog" libc::SYS_syslog, [-1, 0, 0];
        "swapon" libc::SYS_swapon, [0, 0];
        "swapoff" libc::SYS_swapoff, [0];
        "acct" libc::SYS_acct, [BAD];
        "settimeofday" libc::SYS_settimeofday, [BAD, 0];
        "clock_settime" libc::SYS_clock_settime, [-1, BAD];
        "quotactl" libc::SYS_quotactl, [FLAGS, 0, 0, 0];
        "quotactl_fd" 443, [-1, FLAGS, 0, 0];
        "fanotify_init" libc::SYS_fanotify_init, [FLAGS, 0];
        "vhangup" libc::SYS_vhangup, [];
        "sethostname" libc::SYS_sethostname, [0, -1];
        "setdomainname" libc::SYS_setdomainname, [0, -1];
        "move_pages" libc::SYS_move_pages, [0, 0, 0, 0, 0];
        "mbind" libc::SYS_mbind, [0, 0, -1, 0, 0];
        "migrate_pages" libc::SYS_migrate_pages, [-1, 0, 0, 0];
        "set_mempolicy" libc::SYS_set_mempolicy, [-1, 0, 0];
        "nfsservctl" libc::SYS_nfsservctl, [-1, 0, 0];
    ];
    #[cfg(target_arch = "x86_64")]
    let ports = calls!["administration", true, Native;
        "iopl" libc::SYS_iopl, [4];
        "ioperm" libc::SYS_ioperm, [0, 0, 0];
        "ustat" libc::SYS_ustat, [0, 0];
        "sysfs" libc::SYS_sysfs, [0];
        "uselib" libc::SYS_uselib, [0];
        "_sysctl" libc::SYS__sysctl, [0];
        "lookup_dcookie" libc::SYS_lookup_dcookie, [0, 0, 0];
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let ports = [];
    let rare = calls!["rare", false, Native;
        "chroot" libc::SYS_chroot, [0];
        "adjtimex" libc::SYS_adjtimex, [0];
        "clock_adjtime" libc::SYS_clock_adjtime, [-1, 0];
        "memfd_secret" libc::SYS_memfd_secret, [FLAGS];
        "vmsplice" libc::SYS_vmsplice, [-1, 0, 0, 0];
        "remap_file_pages" libc::SYS_remap_file_pages, [0, 0, 0, 0, 0];
        "rt_tgsigqueueinfo" libc::SYS_rt_tgsigqueueinfo, [-1, -1, 0, 0];
        "name_to_handle_at" libc::SYS_name_to_handle_at, [-1, 0, 0, 0, FLAGS];
        "mknod(character)" libc::SYS_mknodat, [-1, 0, libc::S_IFCHR, 0];
        "mknod(block)" libc::SYS_mknodat, [-1, 0, libc::S_IFBLK, 0];
    ];
    kernel.into_iter().chain(administration).chain(ports).chain(rare)
}

fn sockets() -> impl Iterator<Item = Call> {
    let exotic = calls!["sockets", false, Native;
        "socket(AX25)" libc::SYS_socket, [3, TYPE, 0];
        "socket(X25)" libc::SYS_socket, [9, TYPE, 0];
        "socket(KEY)" libc::SYS_socket, [15, TYPE, 0];
        "socket(RDS)" libc::SYS_socket, [21, TYPE, 0];
        "socket(PPPOX)" libc::SYS_socket, [24, TYPE, 0];
        "socket(LLC)" libc::SYS_socket, [26, TYPE, 0];
        "socket(CAN)" libc::SYS_socket, [29, TYPE, 0];
        "socket(TIPC)" libc::SYS_socket, [30, TYPE, 0];
        "socket(BLUETOOTH)" libc::SYS_socket, [31, TYPE, 0];
        "socket(RXRPC)" libc::SYS_socket, [33, TYPE, 0];
        "socket(NFC)" libc::SYS_socket, [39, TYPE, 0];
        "socket(KCM)" libc::SYS_socket, [41, TYPE, 0];
        "socket(QIPCRTR)" libc::SYS_socket, [42, TYPE, 0];
        "socket(SMC)" libc::SYS_socket, [43, TYPE, 0];
        "socket(XDP)" libc::SYS_socket, [44, TYPE, 0];
        "socketpair(KEY)" libc::SYS_socketpair, [15, TYPE, 0, 0];
    ];
    let crypto = calls!["crypto", false, Native;
        "socket(ALG)" libc::SYS_socket, [38, TYPE, 0];
        "socket(ALG) with an upper half" libc::SYS_socket, [38 | UPPER, TYPE, 0];
        "socket(VSOCK)" libc::SYS_socket, [40, TYPE, 0];
        "socket(VSOCK) with an upper half" libc::SYS_socket, [40 | UPPER, TYPE, 0];
    ];
    let raw = calls!["raw", false, Native;
        "socket(PACKET)" libc::SYS_socket, [17, 3, 0];
        "socket(INET, RAW)" libc::SYS_socket, [2, 3, 1];
        "socket(INET6, RAW)" libc::SYS_socket, [10, 3, 58];
    ];
    let netlink = calls!["netlink", false, Native;
        "socket(NETLINK_AUDIT)" libc::SYS_socket, [16, TYPE, 9];
        "socket(NETLINK_NETFILTER)" libc::SYS_socket, [16, TYPE, 12];
        "socket(NETLINK_XFRM)" libc::SYS_socket, [16, TYPE, 6];
    ];
    exotic.into_iter().chain(crypto).chain(raw).chain(netlink)
}

fn settings() -> impl Iterator<Item = Call> {
    let personality = calls!["personality", false, Native;
        "personality(ADDR_NO_RANDOMIZE)" libc::SYS_personality, [0x0004_0000];
        "personality(MMAP_PAGE_ZERO)" libc::SYS_personality, [0x0010_0000];
        "personality(ADDR_COMPAT_LAYOUT)" libc::SYS_personality, [0x0020_0000];
        "personality(READ_IMPLIES_EXEC)" libc::SYS_personality, [0x0040_0000];
        "personality(ADDR_NO_RANDOMIZE) with an upper half" libc::SYS_personality, [0x0004_0000 | UPPER];
    ];
    let terminal = calls!["terminal", false, Native;
        "ioctl(TIOCSTI)" libc::SYS_ioctl, [-1, 0x5412, 0];
        "ioctl(TIOCSTI) with an upper half" libc::SYS_ioctl, [-1, 0x5412 | UPPER, 0];
        "ioctl(TIOCSTI) with all upper bits" libc::SYS_ioctl, [-1, 0x5412 | -UPPER, 0];
        "ioctl(TIOCLINUX)" libc::SYS_ioctl, [-1, 0x541c, 0];
        "ioctl(TIOCLINUX) with an upper half" libc::SYS_ioctl, [-1, 0x541c | UPPER, 0];
        "ioctl(TIOCCONS)" libc::SYS_ioctl, [-1, 0x541d, 0];
        "ioctl(TIOCSETD)" libc::SYS_ioctl, [-1, 0x5423, 0];
    ];
    let process = calls!["process", false, Native;
        "prctl(PR_SET_MM)" libc::SYS_prctl, [libc::PR_SET_MM, -1, 0, 0, 0];
        "prctl(PR_SET_PTRACER)" libc::SYS_prctl, [libc::PR_SET_PTRACER, -2, 0, 0, 0];
        "prctl(PR_SET_IO_FLUSHER)" libc::SYS_prctl, [57, 99, 0, 0, 0];
        "prctl(PR_SET_SECUREBITS)" libc::SYS_prctl, [libc::PR_SET_SECUREBITS, -1, 0, 0, 0];
        "prctl(PR_CAP_AMBIENT_RAISE)" libc::SYS_prctl, [libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 99, 0, 0];
    ];
    personality.into_iter().chain(terminal).chain(process)
}

fn ordinary() -> impl Iterator<Item = Call> {
    let path = ROOT.as_ptr() as i64;
    let ordinary = [
        ("getpid", libc::SYS_getpid, [0; 4]),
        ("socket(UNIX)", libc::SYS_socket, [1, 1, 0, 0]),
        ("socket(INET)", libc::SYS_socket, [2, 1, 0, 0]),
        ("socket(INET6)", libc::SYS_socket, [10, 1, 0, 0]),
        ("socket(NETLINK_ROUTE)", libc::SYS_socket, [16, 3, 0, 0]),
        ("personality(0)", libc::SYS_personality, [0; 4]),
        ("personality(query)", libc::SYS_personality, [FLAGS, 0, 0, 0]),
        ("ioctl(TIOCGWINSZ)", libc::SYS_ioctl, [-1, 0x5413, 0, 0]),
        ("landlock_create_ruleset(VERSION)", libc::SYS_landlock_create_ruleset, [0, 0, 1, 0]),
        ("epoll_create1", libc::SYS_epoll_create1, [0; 4]),
        ("faccessat2", libc::SYS_faccessat2, [-1, path, 0, 0]),
    ];
    // What libc tries first and replaces when it is told ENOSYS, and only then.
    let fallbacks = calls!["fallbacks", false, Native;
        "clone3" libc::SYS_clone3, [0, 0];
        "statx" libc::SYS_statx, [-1, 0, 0, 0, 0];
        "openat2" libc::SYS_openat2, [-1, 0, 0, 0];
        "close_range" libc::SYS_close_range, [FLAGS, 0, 0];
        "pidfd_open" libc::SYS_pidfd_open, [-1, 0];
        "epoll_pwait2" libc::SYS_epoll_pwait2, [-1, 0, 0, 0, 0];
        "fchmodat2" 452, [-1, 0, 0, FLAGS];
        "futex_waitv" libc::SYS_futex_waitv, [0, 0, 0, 0, 0];
    ];
    let future = calls!["future", false, Native;
        "call 1000" 1000, [FLAGS, FLAGS, FLAGS, FLAGS, FLAGS];
        "call 2000" 2000, [FLAGS, FLAGS, FLAGS, FLAGS, FLAGS];
    ];
    // Named by no profile older than they are.
    let unreviewed = calls!["unreviewed", false, Native;
        "open_tree_attr" 467, [-1, 0, FLAGS, 0, 0];
        "file_getattr" 468, [-1, 0, 0, 0, FLAGS];
        "file_setattr" 469, [-1, 0, 0, 0, FLAGS];
        "lsm_get_self_attr" 459, [FLAGS, 0, 0, FLAGS];
        "lsm_set_self_attr" 460, [FLAGS, 0, 0, FLAGS];
        "lsm_list_modules" 461, [0, 0, FLAGS];
    ];
    let ordinary = ordinary.into_iter().map(|(name, number, [a, b, c, d])| Call {
        group: "ordinary",
        name,
        entry: Native,
        number,
        arguments: [a, b, c, d, 0],
        changing: false,
    });
    ordinary.chain(fallbacks).chain(future).chain(unreviewed)
}

/// What goes round a filter that looks at one ABI only.
#[cfg(target_arch = "x86_64")]
fn other_abis() -> impl Iterator<Item = Call> {
    use crate::calls::Entry::Interrupt;
    const X32: i64 = 0x4000_0000;
    let harmless = calls!["i386", false, Interrupt;
        "int 0x80: getpid" 20, [];
        "int 0x80: socketcall" 102, [1, 0];
        "int 0x80: keyctl" 288, [-1, 0, 0];
        "int 0x80: bpf" 357, [-1, 0, 0];
    ];
    let changing = calls!["i386", true, Interrupt;
        "int 0x80: unshare" 310, [libc::CLONE_NEWUSER | 1];
        "int 0x80: mount" 21, [0, 0, 0];
        "int 0x80: setns" 346, [-1, 0];
    ];
    let x32 = calls!["x32", false, Native;
        "x32: getpid" X32 | 39, [];
        "x32: keyctl" X32 | libc::SYS_keyctl, [-1, 0, 0];
        "x32: ptrace" X32 | 521, [-1, -1, 0, 0];
    ];
    let x32_changing = calls!["x32", true, Native;
        "x32: mount" X32 | libc::SYS_mount, [0, 0, 0, 0, 0];
        "x32: unshare" X32 | libc::SYS_unshare, [libc::CLONE_NEWUSER | 1];
    ];
    let rare = calls!["rare", false, Native;
        "modify_ldt" libc::SYS_modify_ldt, [0, 0, 0];
    ];
    harmless.into_iter().chain(changing).chain(x32).chain(x32_changing).chain(rare)
}
