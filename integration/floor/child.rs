//! The child: from the clone to the container's program.

use crate::Plan;
use crate::sys::{self, Done, Fail};
use core::ffi::CStr;

const NOSUID: usize = 2;
const NODEV: usize = 4;
const NOEXEC: usize = 8;
const RDONLY: usize = 1;
const REMOUNT: usize = 32;
const BIND: usize = 0x1000;
const REC: usize = 0x4000;
const SLAVE: usize = 0x80000;
const STRICTATIME: usize = 0x0100_0000;
const NONE: usize = NOSUID | NODEV | NOEXEC;

/// Character devices: name, major, minor.
const DEVICES: [(&CStr, u64, u64); 6] = [
    (c"dev/null", 1, 3),
    (c"dev/zero", 1, 5),
    (c"dev/full", 1, 7),
    (c"dev/random", 1, 8),
    (c"dev/urandom", 1, 9),
    (c"dev/tty", 5, 0),
];
const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"pts/ptmx", c"dev/ptmx"),
];
const READONLY: [&CStr; 5] = [c"proc/bus", c"proc/fs", c"proc/irq", c"proc/sys", c"proc/sysrq-trigger"];
/// What covers it, and the path.
const MASKED: [(&CStr, &CStr); 10] = [
    (DIRECTORY, c"proc/acpi"),
    (DIRECTORY, c"proc/asound"),
    (FILE, c"proc/kcore"),
    (FILE, c"proc/keys"),
    (FILE, c"proc/latency_stats"),
    (FILE, c"proc/timer_list"),
    (FILE, c"proc/timer_stats"),
    (FILE, c"proc/sched_debug"),
    (DIRECTORY, c"proc/scsi"),
    (DIRECTORY, c"sys/firmware"),
];
const DIRECTORY: &CStr = c"empty";
const FILE: &CStr = c"null";
/// Docker's default capabilities, as a set.
const CAPABILITIES: u64 = 0xa804_25fb;
const ENVIRONMENT: [&CStr; 2] = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", c"HOME=/root"];

/// Returns only with an error.
pub fn run(plan: &Plan, go: i32) -> Done {
    for cgroup in plan.cgroups() {
        cgroup.join()?;
    }
    sys::umask(0)?;
    sys::close_on_exec_from(3)?;
    sys::setsid()?;
    sys::new_session_keyring()?;
    sys::loopback()?;
    sys::sethostname(b"inside")?;
    // Before the host's tree is out of reach.
    let filter = plan.filter.map(|file| sys::open(file, 0)).transpose()?;
    let masks = root(plan.rootfs)?;
    mounts()?;
    for (name, major, minor) in DEVICES {
        sys::mknod(sys::AT_FDCWD, name, major << 8 | minor)?;
    }
    for (target, name) in LINKS {
        sys::symlink(target, name)?;
    }
    cover(masks)?;
    sys::pivot_root()?;
    sys::unmount_here()?;
    sys::chdir(c"/")?;
    sys::drop_bounding(CAPABILITIES)?;
    sys::setgroups(&[])?;
    sys::umask(0o022)?;
    sys::read(go, &mut [0])?;
    if let Some(filter) = filter {
        // Docker's profile lets read, seccomp and execve through; what is after this line has to be among it.
        sys::seccomp(filter)?;
    }
    let program = plan.program.first().ok_or(Fail::USAGE)?;
    sys::execve(program, plan.program, &ENVIRONMENT)
}

/// Puts the root filesystem in its place, as a mount, and enters it. Answers a handle on a small filesystem with an empty
/// directory and a null device, which cover what is to be masked; it lies below the root and is gone with the host's.
fn root(rootfs: &CStr) -> Done<i32> {
    sys::mount(c"", c"/", c"", REC | SLAVE, c"")?;
    let root = sys::clone_tree(rootfs)?;
    sys::make_private(root)?;
    sys::mount(c"none", rootfs, c"tmpfs", NOSUID | NOEXEC, c"nr_inodes=3,mode=755")?;
    let masks = sys::open(rootfs, sys::O_PATH | sys::O_DIRECTORY)?;
    sys::mkdir_in(masks, DIRECTORY, 0o755)?;
    sys::mknod(masks, FILE, 1 << 8 | 3)?;
    sys::mount(c"", rootfs, c"", REMOUNT | BIND | RDONLY | NOSUID | NOEXEC, c"")?;
    sys::move_mount(root, rootfs)?;
    sys::fchdir(root)?;
    Ok(masks)
}

fn mounts() -> Done {
    sys::mount(c"proc", c"proc", c"proc", NONE, c"")?;
    sys::mount(c"tmpfs", c"dev", c"tmpfs", NOSUID | STRICTATIME, c"mode=755,size=65536k")?;
    sys::mkdir(c"dev/pts", 0o755)?;
    sys::mount(c"devpts", c"dev/pts", c"devpts", NOSUID | NOEXEC, c"newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    sys::mkdir(c"dev/shm", 0o755)?;
    sys::mount(c"tmpfs", c"dev/shm", c"tmpfs", NONE, c"mode=1777,size=65536k")?;
    sys::mkdir(c"dev/mqueue", 0o755)?;
    sys::mount(c"mqueue", c"dev/mqueue", c"mqueue", NONE, c"")?;
    // The mount is read-only, not the filesystem, which takes a second call.
    sys::mount(c"sysfs", c"sys", c"sysfs", NONE, c"")?;
    sys::mount(c"", c"sys", c"", REMOUNT | BIND | RDONLY | NONE, c"")
}

/// Read-only and masked paths, those that exist on this kernel.
fn cover(masks: i32) -> Done {
    for path in READONLY {
        if sys::if_there(sys::mount(path, path, c"", BIND | REC, c""))?.is_some() {
            sys::mount(c"", path, c"", REMOUNT | BIND | RDONLY | NONE, c"")?;
        }
    }
    for (what, path) in MASKED {
        mask(masks, what, path)?;
    }
    Ok(())
}

/// Opens the path first: a mount that fails costs far more than the call that tells.
fn mask(masks: i32, what: &CStr, path: &CStr) -> Done {
    let Some(target) = sys::if_there(sys::open(path, sys::O_PATH))? else { return Ok(()) };
    let clone = sys::clone_tree_in(masks, what)?;
    if what == DIRECTORY {
        sys::set_nodev(clone)?;
    }
    sys::move_mount_onto(clone, target)
}
