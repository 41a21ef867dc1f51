//! What is checked, one line each, and how an observation of a container and one of its control become a verdict.

use super::bundle::{BOUND, ESCAPE};
use super::ground::Ground;
use super::view::{View, mount_lines};
use crate::error::{Error, Kind, Result, errno_text};
use crate::policy::{Level, Rule};
use rustix::io::Errno;
use serde::Serialize;
use std::fs;

use Level::{Baseline, Restricted};
use Look::{Attempt, Both, Paths, Shown};
use Scene::{Careless, Devices, Exec, Host, Profile};

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It holds, and without it the attempt succeeds.
    Pass,
    /// It does not hold.
    Fail,
    /// This host has nothing to protect, or nothing to protect it with.
    Unavailable,
    /// It holds, but the attempt fails without it as well: that proves nothing.
    NotProven,
}

/// What was seen in one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The protection.
    Held(String),
    /// What it should have stopped.
    Open(String),
    /// Nothing that could be protected.
    Absent(String),
}

/// Which containers are looked at. Each is made at the level that is tested, and as a control at level privileged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// One whose configuration confines nothing and brings a profile that allows everything.
    Careless,
    /// The same without a profile.
    Profile,
    /// A process added to that one.
    Exec,
    /// The careless one; the control may use every device.
    Devices,
    /// The careless one; the control shares the host's namespaces.
    Host,
}

/// How to find out.
#[derive(Clone, Copy)]
pub enum Look {
    /// The probe's answer: refused here, not refused in the control.
    Attempt(&'static str),
    /// What the kernel shows, of both containers.
    Shown(fn(&View) -> Result<Seen>),
    /// As [`Look::Shown`], with paths.
    Paths(fn(&View, &[&str]) -> Result<Seen>, &'static [&'static str]),
    /// A control of another kind, which comes second.
    Both(fn(&View, &Ground) -> Result<(Seen, Seen)>),
}

/// One check.
pub struct Check {
    /// The heading it stands under.
    pub group: &'static str,
    /// The rule it is the proof of; nothing for what holds at every level.
    pub rule: Option<Rule>,
    /// The level from which on it holds.
    pub from: Level,
    /// What holds.
    pub what: &'static str,
    /// Where.
    pub scene: Scene,
    /// How it is seen.
    pub look: Look,
}

const fn check(group: &'static str, rule: Rule, from: Level, what: &'static str, scene: Scene, look: Look) -> Check {
    Check { group, rule: Some(rule), from, what, scene, look }
}

const fn always(group: &'static str, what: &'static str, scene: Scene, look: Look) -> Check {
    Check { group, rule: None, from: Level::Privileged, what, scene, look }
}

const PRIVILEGES: &str = "privileges";
const CALLS: &str = "system calls";
const FILES: &str = "files and mounts";
const DEVICES: &str = "devices";
const ISOLATION: &str = "isolation";
const ADDED: &str = "added processes";

const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const HARDENED: &[&str] = &["/proc/kallsyms", "/proc/kmsg", "/proc/kpagecount", "/proc/kpageflags", "/proc/modules"];
const READ_ONLY: &[&str] = &["/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// All of them, in the order of the report.
#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check(PRIVILEGES, Rule::NoNewPrivileges, Baseline, "no_new_privs is set", Careless, Shown(no_new_privs)),
    check(PRIVILEGES, Rule::NoNewPrivileges, Baseline, "a set-uid program of root gives nothing", Careless, Attempt("set-uid")),
    check(PRIVILEGES, Rule::AmbientCapabilities, Baseline, "inheritable and ambient sets are empty", Careless, Shown(ambient)),
    check(PRIVILEGES, Rule::NetRaw, Baseline, "CAP_NET_RAW is not in the bounding set", Careless, Shown(net_raw)),
    check(PRIVILEGES, Rule::NetRaw, Baseline, "no raw socket can be made", Careless, Attempt("raw-socket")),
    check(PRIVILEGES, Rule::DropCapabilities, Restricted, "no capability but CAP_NET_BIND_SERVICE", Careless, Shown(no_capabilities)),
    check(PRIVILEGES, Rule::CoreDumps, Restricted, "no core dump is written", Careless, Shown(core_dumps)),
    check(CALLS, Rule::SeccompProfile, Baseline, "a filter is on where the configuration brings none", Profile, Shown(filter)),
    check(CALLS, Rule::SeccompProfile, Baseline, "kcmp is refused", Profile, Attempt("kcmp")),
    check(CALLS, Rule::SeccompProfile, Baseline, "pidfd_getfd is refused", Profile, Attempt("pidfd-getfd")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "TIOCSTI is refused", Careless, Attempt("tiocsti")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "TIOCSTI with a high bit set is refused", Careless, Attempt("tiocsti-wide")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "AF_ALG sockets are refused", Careless, Attempt("af-alg")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "AF_VSOCK sockets are refused", Careless, Attempt("af-vsock")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "AF_PACKET sockets are refused", Careless, Attempt("af-packet")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "io_uring_setup is refused", Careless, Attempt("io-uring")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "keyctl is refused", Careless, Attempt("keyctl")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "bpf is refused", Careless, Attempt("bpf")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "userfaultfd is refused", Careless, Attempt("userfaultfd")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "the mount calls are refused", Careless, Attempt("open-tree")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "ADDR_NO_RANDOMIZE is refused", Careless, Attempt("personality")),
    check(CALLS, Rule::SeccompOverlay, Baseline, "a new user namespace is refused", Careless, Attempt("new-user-namespace")),
    check(CALLS, Rule::UserNamespaces, Restricted, "no new user namespaces", Careless, Attempt("new-user-namespace")),
    check(CALLS, Rule::SeccompRestricted, Restricted, "ptrace is refused below a profile that allows it", Careless, Attempt("ptrace")),
    check(FILES, Rule::MaskedPaths, Baseline, "files of the kernel are covered", Careless, Paths(covered, MASKED)),
    check(FILES, Rule::MaskedPaths, Baseline, "/proc/keys cannot be read", Careless, Attempt("read-keys")),
    check(FILES, Rule::MaskedPaths, Baseline, "/proc/interrupts cannot be read", Careless, Attempt("read-interrupts")),
    check(FILES, Rule::MaskedPaths, Baseline, "/proc/sys and what acts on the host is read-only", Careless, Paths(read_only, READ_ONLY)),
    check(FILES, Rule::MaskedPaths, Baseline, "/proc/sysrq-trigger cannot be written to", Careless, Attempt("write-sysrq")),
    check(FILES, Rule::HardenedMasks, Restricted, "more files of the kernel are covered", Careless, Paths(covered, HARDENED)),
    check(FILES, Rule::ReadOnlySys, Baseline, "sysfs is read-only", Careless, Paths(read_only_types, &["sysfs"])),
    check(FILES, Rule::ReadOnlySys, Baseline, "cgroup filesystems are read-only", Careless, Paths(read_only_types, &["cgroup", "cgroup2"])),
    check(FILES, Rule::ReadOnlySys, Baseline, "no cgroup can be made", Careless, Attempt("make-cgroup")),
    check(FILES, Rule::BindAttributes, Baseline, "binds are nosuid and nodev", Careless, Shown(bind_attributes)),
    check(FILES, Rule::BindAttributes, Baseline, "a device on a bind cannot be opened", Careless, Attempt("bound-device")),
    check(FILES, Rule::ReadOnlyRoot, Restricted, "the root filesystem cannot be written to", Careless, Attempt("write-root")),
    check(FILES, Rule::ReadOnlyRoot, Restricted, "/tmp is a filesystem of its own, nosuid, nodev and noexec", Careless, Shown(scratch)),
    check(FILES, Rule::ReadOnlyRoot, Restricted, "what is written to /tmp cannot be run", Careless, Attempt("run-from-tmp")),
    always(FILES, "a link to a file of the host leads nowhere", Careless, Both(escape)),
    always(DEVICES, "a disk cannot be opened, whatever node there is", Devices, Attempt("disk")),
    check(DEVICES, Rule::DeviceRules, Baseline, "no node can be made for a device that is not its own", Careless, Attempt("make-device")),
    always(ISOLATION, "no namespace is the host's", Host, Shown(namespaces)),
    check(ISOLATION, Rule::PidsLimit, Baseline, "the number of tasks is limited", Careless, Attempt("tasks")),
    check(ISOLATION, Rule::LandlockScope, Restricted, "abstract sockets of others in the same network are out of reach", Careless, Attempt("abstract-socket")),
    always(ISOLATION, "no descriptor of the caller is inherited", Careless, Both(descriptors)),
    always(ISOLATION, "init does not run from the file of the host", Careless, Both(init_image)),
    check(ISOLATION, Rule::NonRoot, Restricted, "init cannot be traced before it becomes the program", Careless, Both(not_dumpable)),
    check(ISOLATION, Rule::SelinuxLabel, Baseline, "SELinux confines where no label is given", Careless, Shown(selinux)),
    check(ADDED, Rule::ExecFloor, Baseline, "an added process has no_new_privs", Exec, Shown(no_new_privs)),
    check(ADDED, Rule::ExecFloor, Baseline, "an added process has a filter", Exec, Shown(filter)),
    check(ADDED, Rule::ExecFloor, Baseline, "an added process has no CAP_NET_RAW", Exec, Shown(net_raw)),
];

/// The verdict on what was seen, and the words for it.
pub fn judge(tested: Seen, control: Seen) -> (Status, String) {
    match (tested, control) {
        (Seen::Open(seen), _) => (Status::Fail, seen),
        (Seen::Absent(why), _) | (_, Seen::Absent(why)) => (Status::Unavailable, why),
        (Seen::Held(seen), Seen::Open(control)) => (Status::Pass, format!("{seen}; control: {control}")),
        (Seen::Held(seen), Seen::Held(control)) => {
            (Status::NotProven, format!("{seen}; the control as well: {control}"))
        }
    }
}

/// What an answer of the probe shows. The kernel's lack of a call is seen in the control, where no filter answers.
pub fn answer(view: &View, name: &str, is_control: bool) -> Result<Seen> {
    const REFUSALS: [Errno; 7] =
        [Errno::PERM, Errno::ACCESS, Errno::ROFS, Errno::NOSYS, Errno::NOENT, Errno::AGAIN, Errno::NODATA];
    let Some(&answer) = view.answers.get(name) else {
        return Ok(Seen::Absent("there is nothing to try it on".to_owned()));
    };
    let errno = match answer {
        0 => return Ok(Seen::Open("it succeeds".to_owned())),
        1..4096 => Errno::from_raw_os_error(answer),
        _ => return Ok(Seen::Held(format!("killed by signal {}", answer.unsigned_abs()))),
    };
    let text = errno_text(errno);
    Ok(match REFUSALS.contains(&errno) {
        true if errno == Errno::NOSYS && is_control => Seen::Absent("the kernel does not have it".to_owned()),
        _ if errno == Errno::NOENT && is_control => Seen::Absent("this host does not have it".to_owned()),
        true => Seen::Held(text),
        false => Seen::Open(format!("it reaches the kernel: {text}")),
    })
}

fn held_if(held: bool, words: String) -> Result<Seen> {
    Ok(if held { Seen::Held(words) } else { Seen::Open(words) })
}

fn no_new_privs(view: &View) -> Result<Seen> {
    let value = view.field("NoNewPrivs")?;
    held_if(value == "1", format!("NoNewPrivs {value}"))
}

fn filter(view: &View) -> Result<Seen> {
    let value = view.field("Seccomp")?;
    held_if(value == "2", format!("Seccomp {value}"))
}

fn ambient(view: &View) -> Result<Seen> {
    let (inheritable, ambient) = (view.number("CapInh", 16)?, view.number("CapAmb", 16)?);
    held_if(inheritable | ambient == 0, format!("CapInh {inheritable:x}, CapAmb {ambient:x}"))
}

fn net_raw(view: &View) -> Result<Seen> {
    let bounding = view.number("CapBnd", 16)?;
    held_if(bounding & 1 << 13 == 0, format!("CapBnd {bounding:x}"))
}

fn no_capabilities(view: &View) -> Result<Seen> {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let all = sets.iter().try_fold(0, |all, set| Ok::<u64, Error>(all | view.number(set, 16)?))?;
    held_if(all & !(1 << 10) == 0, format!("all sets together {all:x}"))
}

fn core_dumps(view: &View) -> Result<Seen> {
    let limits = view.read("limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let mut words = line.unwrap_or_default().split_whitespace();
    match (words.next(), words.next()) {
        (Some("0"), Some("0")) => Ok(Seen::Held("RLIMIT_CORE 0".to_owned())),
        (Some(_), Some(hard)) => Ok(Seen::Open(format!("RLIMIT_CORE up to {hard}"))),
        _ => Err(Error::new(Kind::System, "no core file size in /proc/PID/limits")),
    }
}

/// A path is covered when it lies on another filesystem than the one around it.
fn covered(view: &View, paths: &[&str]) -> Result<Seen> {
    let around = |path: &str| view.filesystem(if path.starts_with("/sys") { "/sys" } else { "/proc" });
    let there: Vec<_> = paths.iter().filter_map(|path| Some((*path, view.filesystem(path)?))).collect();
    let bare: Vec<_> = there.iter().filter(|(path, of)| around(path) == Some(*of)).map(|(path, _)| *path).collect();
    match (there.len(), bare.len()) {
        (0, _) => Ok(Seen::Absent("none of them is on this host".to_owned())),
        (count, 0) => Ok(Seen::Held(format!("{count} paths"))),
        _ => Ok(Seen::Open(format!("not covered: {}", bare.join(" ")))),
    }
}

fn read_only(view: &View, paths: &[&str]) -> Result<Seen> {
    let table = view.read("mountinfo")?;
    let lines = mount_lines(&table);
    let there: Vec<_> = paths.iter().filter(|path| view.filesystem(path).is_some()).copied().collect();
    let is = |path: &str| lines.iter().rfind(|line| line.target == path).is_some_and(|line| line.has("ro"));
    let writable: Vec<_> = there.iter().filter(|path| !is(path)).copied().collect();
    held_if(
        writable.is_empty(),
        match writable.is_empty() {
            true => there.join(" "),
            false => format!("can be written to: {}", writable.join(" ")),
        },
    )
}

fn read_only_types(view: &View, types: &[&str]) -> Result<Seen> {
    let table = view.read("mountinfo")?;
    let lines: Vec<_> = mount_lines(&table).into_iter().filter(|line| types.contains(&line.kind)).collect();
    let writable: Vec<_> = lines.iter().filter(|line| !line.has("ro")).map(|line| line.target).collect();
    match (lines.len(), writable.len()) {
        (0, _) => Ok(Seen::Absent("none is mounted".to_owned())),
        (count, 0) => Ok(Seen::Held(format!("{count} mounts"))),
        _ => Ok(Seen::Open(format!("can be written to: {}", writable.join(" ")))),
    }
}

fn bind_attributes(view: &View) -> Result<Seen> {
    let table = view.read("mountinfo")?;
    let lines = mount_lines(&table);
    let line = lines.iter().rfind(|line| line.target == BOUND);
    let line = line.ok_or_else(|| Error::new(Kind::System, "the bind is not mounted"))?;
    held_if(line.has("nosuid") && line.has("nodev"), line.options.to_owned())
}

fn scratch(view: &View) -> Result<Seen> {
    let table = view.read("mountinfo")?;
    let lines = mount_lines(&table);
    Ok(match lines.iter().rfind(|line| line.target == "/tmp") {
        Some(line) if line.kind == "tmpfs" && ["nosuid", "nodev", "noexec"].iter().all(|o| line.has(o)) => {
            Seen::Held(line.options.to_owned())
        }
        Some(line) => Seen::Open(format!("{} {}", line.kind, line.options)),
        None => Seen::Open("it is a directory of the root filesystem".to_owned()),
    })
}

fn escape(view: &View, _: &Ground) -> Result<(Seen, Seen)> {
    let tested = match view.answers.get("escape") {
        Some(2) => Seen::Held(errno_text(Errno::NOENT)),
        _ => Seen::Open("it leads to something".to_owned()),
    };
    let path = format!("{}{ESCAPE}", super::ground::at("rootfs"));
    let control = match fs::read(&path) {
        Ok(_) => Seen::Open("it opens on the host".to_owned()),
        Err(error) => Seen::Held(error.kind().to_string()),
    };
    Ok((tested, control))
}

fn namespaces(view: &View) -> Result<Seen> {
    let mut shared = Vec::new();
    for name in ["ipc", "mnt", "net", "pid", "uts"] {
        let own = fs::read_link(format!("/proc/self/ns/{name}"));
        if own.is_ok_and(|own| view.link(&format!("ns/{name}")).is_ok_and(|link| own.as_os_str() == link.as_str())) {
            shared.push(name);
        }
    }
    // An unreadable link must not pass for another namespace.
    view.link("ns/pid")?;
    held_if(
        shared.is_empty(),
        match shared.is_empty() {
            true => "ipc, mnt, net, pid and uts are its own".to_owned(),
            false => format!("shared with the host: {}", shared.join(" ")),
        },
    )
}

fn descriptors(view: &View, ground: &Ground) -> Result<(Seen, Seen)> {
    let open = view.descriptors()?;
    let tested = held_if(open == ["0", "1", "2"], format!("open: {}", open.join(" ")))?;
    let flags = rustix::io::fcntl_getfd(&ground.leaked);
    let inherited = flags.is_ok_and(|flags| !flags.contains(rustix::io::FdFlags::CLOEXEC));
    let control = held_if(!inherited, "a directory was handed to every command".to_owned())?;
    Ok((tested, control))
}

fn init_image(view: &View, _: &Ground) -> Result<(Seen, Seen)> {
    let exe = &view.waiting.exe;
    let tested = held_if(exe.starts_with("/memfd:") && !view.waiting.exe_is_ours, exe.clone())?;
    let own = fs::read_link("/proc/self/exe").map(|own| own.display().to_string()).unwrap_or_default();
    Ok((tested, held_if(own.starts_with("/memfd:"), own)?))
}

fn not_dumpable(view: &View, _: &Ground) -> Result<(Seen, Seen)> {
    let words = |uid| format!("its files in /proc belong to user {uid}");
    let (before, after) = (view.waiting.owner, view.owner()?);
    Ok((held_if(before == 0, words(before))?, held_if(after == 0, words(after))?))
}

fn selinux(view: &View) -> Result<Seen> {
    let label = view.read("attr/current")?;
    let label = label.trim_end_matches(['\0', '\n']);
    held_if(label.contains(":container_t:") && label.contains(":c"), label.to_owned())
}

#[cfg(test)]
mod tests;
