//! The probe: a static program that a container runs, which prints one JSON object of what it sees of itself.
//!
//! Without arguments it only looks; `probe watch` looks at others. `probe weigh` serves the benchmark. `probe try NAME [ARGUMENT...]` attempts one thing and prints `ok` or the error; some
//! of these would harm a host, so they are refused unless the probe is in a pid namespace of its own, beside the file
//! `/.probe` that only the suite's root filesystems have.

use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Resource, getrlimit};
use serde_json::{Map, Value, json};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["try", what @ ..] = words.as_slice() {
        return attempt(what);
    }
    if let ["weigh", file, program, arguments @ ..] = words.as_slice() {
        return weigh(file, program, arguments);
    }
    match words.as_slice() {
        ["watch", marker, stop] => println!("{}", watch(marker, std::path::Path::new(stop))),
        ["session", program, arguments @ ..] => return in_a_new_session_keyring(program, arguments),
        _ => println!("{}", look(&words)),
    }
    ExitCode::SUCCESS
}

/// Looks at every other process again and again until the file `stop` is there; tells what was seen, each thing once:
/// `exe` links, targets of descriptors above 2 but sockets, permitted capabilities, names, and those below whose root
/// `marker` was.
fn watch(marker: &str, stop: &std::path::Path) -> Value {
    use std::collections::BTreeSet;
    let mut seen: [BTreeSet<String>; 5] = Default::default();
    let own = std::process::id().to_string();
    while !stop.exists() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if pid == own || pid.parse::<u32>().is_err() {
                continue;
            }
            let [exes, descriptors, capabilities, names, rooted] = &mut seen;
            exes.extend(
                std::fs::read_link(entry.path().join("exe")).ok().map(|exe| exe.to_string_lossy().into_owned()),
            );
            for (fd, target) in links(&entry.path().join("fd").to_string_lossy()).as_object().into_iter().flatten() {
                let target = target.as_str().unwrap_or_default();
                if fd.parse::<u32>().is_ok_and(|fd| fd > 2) && !target.starts_with("socket:") {
                    descriptors.insert(target.to_owned());
                }
            }
            let status = lines(&entry.path().join("status").to_string_lossy());
            capabilities.extend(status.iter().filter_map(|line| line.strip_prefix("CapPrm:\t")).map(str::to_owned));
            names.extend(status.iter().filter_map(|line| line.strip_prefix("Name:\t")).map(str::to_owned));
            if entry.path().join("root").join(marker.trim_start_matches('/')).exists() {
                rooted.insert(pid);
            }
        }
    }
    let [exes, descriptors, capabilities, names, rooted] = seen;
    json!({"exe": exes, "descriptors": descriptors, "capabilities": capabilities, "names": names, "rooted": rooted})
}

/// Becomes a program whose session keyring is a new one, as that of a login is.
fn in_a_new_session_keyring(program: &str, arguments: &[&str]) -> ExitCode {
    use std::os::unix::process::CommandExt;
    const KEYCTL_JOIN_SESSION_KEYRING: i64 = 1;
    if let Err(errno) = raw(libc::SYS_keyctl, [KEYCTL_JOIN_SESSION_KEYRING, 0, 0]) {
        eprintln!("probe: keyctl: {errno}");
        return ExitCode::FAILURE;
    }
    eprintln!("probe: {}", std::process::Command::new(program).args(arguments).exec());
    ExitCode::FAILURE
}

/// Runs a program and writes the largest resident set in KiB of it and of what it waited for. The benchmark is too large
/// to do this itself: a process begins with the resident set of the one it was forked from.
fn weigh(file: &str, program: &str, arguments: &[&str]) -> ExitCode {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let ended = std::process::Command::new(program).args(arguments).status();
    // SAFETY: the pointer is to a live, writable rusage, and one of zeroes is valid if the call fails.
    #[allow(unsafe_code)]
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    match (ended, std::fs::write(file, usage.ru_maxrss.to_string())) {
        (Ok(status), Ok(())) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn look(arguments: &[&str]) -> Value {
    json!({
        "args": arguments,
        "env": std::env::vars_os().map(|(k, v)| format!("{}={}", k.to_string_lossy(), v.to_string_lossy())).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default(),
        "status": status(),
        "rlimits": rlimits(),
        "descriptors": descriptors(),
        "mountinfo": lines("/proc/self/mountinfo"),
        "cgroup": lines("/proc/self/cgroup"),
        "namespaces": links("/proc/self/ns"),
        "hostname": text("/proc/sys/kernel/hostname"),
        "domainname": text("/proc/sys/kernel/domainname"),
        "oom_score_adj": text("/proc/self/oom_score_adj"),
        "personality": text("/proc/self/personality"),
        "dev": directory("/dev"),
        "keyring": session_keyring(),
        "pid": std::process::id(),
        "session": rustix::process::getsid(None).map(|pid| pid.as_raw_nonzero().get()).unwrap_or(0),
        "group": rustix::process::getpgrp().as_raw_nonzero().get(),
        "terminal": terminal(),
        "machine": rustix::system::uname().machine().to_string_lossy(),
    })
}

/// Every field of /proc/self/status: ids, groups, umask, the five capability sets, no_new_privs, seccomp, signals.
fn status() -> Value {
    let fields = lines("/proc/self/status");
    let fields = fields.iter().filter_map(|line| line.split_once(':'));
    Value::Object(fields.map(|(key, value)| (key.to_owned(), json!(value.trim()))).collect())
}

fn rlimits() -> Value {
    let known = [
        ("RLIMIT_AS", Resource::As),
        ("RLIMIT_CORE", Resource::Core),
        ("RLIMIT_CPU", Resource::Cpu),
        ("RLIMIT_DATA", Resource::Data),
        ("RLIMIT_FSIZE", Resource::Fsize),
        ("RLIMIT_MEMLOCK", Resource::Memlock),
        ("RLIMIT_NOFILE", Resource::Nofile),
        ("RLIMIT_NPROC", Resource::Nproc),
        ("RLIMIT_STACK", Resource::Stack),
    ];
    let show = |(name, resource): (&str, Resource)| {
        let limit = getrlimit(resource);
        (name.to_owned(), json!({"soft": limit.current, "hard": limit.maximum}))
    };
    Value::Object(known.into_iter().map(show).collect::<Map<_, _>>())
}

fn descriptors() -> Value {
    // The directory's own descriptor is listed by the kernel too; it is the one whose target is this directory.
    let own = format!("/proc/{}/fd", std::process::id());
    let mut list = links("/proc/self/fd");
    if let Value::Object(map) = &mut list {
        map.retain(|_, target| *target != own);
    }
    list
}

fn terminal() -> Value {
    // SAFETY: 0, 1 and 2 are only asked whether they are a terminal; a closed descriptor gives the answer "no".
    #[allow(unsafe_code)]
    let is = |fd: i32| rustix::termios::isatty(unsafe { BorrowedFd::borrow_raw(fd) });
    let size = rustix::termios::tcgetwinsize(std::io::stdin()).map(|size| (size.ws_row, size.ws_col)).ok();
    let controlling = std::fs::File::open("/dev/tty").is_ok();
    json!({"stdin": is(0), "stdout": is(1), "stderr": is(2), "size": size, "controlling": controlling})
}

/// Type, mode, device numbers and link target of what is in a directory.
fn directory(path: &str) -> Value {
    let mut found = Map::new();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let Ok(data) = std::fs::symlink_metadata(entry.path()) else { continue };
        let kind = match FileType::from_raw_mode(data.mode()) {
            FileType::CharacterDevice => "c",
            FileType::BlockDevice => "b",
            FileType::Directory => "d",
            FileType::Symlink => "l",
            FileType::Fifo => "p",
            FileType::RegularFile => "f",
            _ => "?",
        };
        let target = std::fs::read_link(entry.path()).ok().map(|target| target.to_string_lossy().into_owned());
        let (major, minor) = (rustix::fs::major(data.rdev()), rustix::fs::minor(data.rdev()));
        let mode = format!("{:o}", data.permissions().mode() & 0o7777);
        let owner = format!("{}:{}", data.uid(), data.gid());
        let value =
            json!({"type": kind, "mode": mode, "device": format!("{major}:{minor}"), "target": target, "owner": owner});
        found.insert(entry.file_name().to_string_lossy().into_owned(), value);
    }
    Value::Object(found)
}

/// What keyctl(2) says of the session keyring: `type;uid;gid;perm;description`, or the error.
fn session_keyring() -> Value {
    const KEYCTL_GET_KEYRING_ID: libc::c_long = 0;
    const KEYCTL_DESCRIBE: libc::c_long = 6;
    const KEY_SPEC_SESSION_KEYRING: libc::c_long = -3;
    let mut buffer = [0u8; 256];
    // SAFETY: GET_KEYRING_ID reads two integers; DESCRIBE writes at most the given length into the live buffer.
    #[allow(unsafe_code)]
    let (id, length) = unsafe {
        let id = libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
        (id, libc::syscall(libc::SYS_keyctl, KEYCTL_DESCRIBE, id, buffer.as_mut_ptr(), buffer.len()))
    };
    let described = usize::try_from(length).ok().and_then(|length| buffer.get(..length.min(buffer.len())));
    match described {
        Some(bytes) => json!({"id": id, "description": String::from_utf8_lossy(bytes).trim_end_matches('\0')}),
        None => json!({"error": std::io::Error::last_os_error().to_string()}),
    }
}

fn attempt(what: &[&str]) -> ExitCode {
    if std::process::id() > 1000 || !std::path::Path::new("/.probe").exists() {
        eprintln!("probe: acts only in a container of the suite");
        return ExitCode::from(2);
    }
    let result: Result<(), rustix::io::Errno> = match what {
        ["open", path] => rustix::fs::open(*path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map(drop),
        ["write", path] => rustix::fs::open(*path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).map(drop),
        ["read", path] => read_byte(path),
        ["mkdir", path] => rustix::fs::mkdir(*path, Mode::RWXU),
        ["sysinfo"] => raw(libc::SYS_sysinfo, [0; 3])
            .or_else(|errno| if errno == rustix::io::Errno::FAULT { Ok(()) } else { Err(errno) }),
        ["personality", value] => raw(libc::SYS_personality, [value.parse().unwrap_or(0), 0, 0]),
        ["unknown-syscall"] => raw(600, [0; 3]),
        ["io_uring"] => raw(libc::SYS_io_uring_setup, [0; 3]),
        ["unshare-user"] => raw(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0]),
        ["sethostname"] => rustix::system::sethostname(b"changed"),
        ["mount", path] => {
            rustix::mount::mount("none", *path, "tmpfs", rustix::mount::MountFlags::empty(), None::<&std::ffi::CStr>)
        }
        ["setuid", uid] => raw(libc::SYS_setuid, [uid.parse().unwrap_or(0), 0, 0]),
        _ => {
            eprintln!("probe: cannot try {what:?}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => println!("ok"),
        Err(errno) => println!("{}", std::io::Error::from(errno)),
    }
    ExitCode::SUCCESS
}

fn read_byte(path: &str) -> Result<(), rustix::io::Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    rustix::io::read(&file, &mut [0u8; 1]).map(drop)
}

fn raw(number: libc::c_long, arguments: [i64; 3]) -> Result<(), rustix::io::Errno> {
    let [a, b, c] = arguments;
    // SAFETY: the numbers this is called with take integers only, or are given null pointers, which the kernel refuses.
    #[allow(unsafe_code)]
    let result = unsafe { libc::syscall(number, a, b, c) };
    if result < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(rustix::io::Errno::from_raw_os_error(errno));
    }
    Ok(())
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn lines(path: &str) -> Vec<String> {
    text(path).lines().map(str::to_owned).collect()
}

fn links(path: &str) -> Value {
    let mut found = Map::new();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        found.insert(entry.file_name().to_string_lossy().into_owned(), json!(target.to_string_lossy()));
    }
    Value::Object(found)
}
