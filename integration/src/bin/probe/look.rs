//! What a program sees of itself.

use rustix::fs::FileType;
use rustix::process::{Resource, getrlimit};
use serde_json::{Map, Value, json};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Everything that the program can see of itself, as one object.
pub fn look(arguments: &[&str]) -> Value {
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
        "session": stat_field(6),
        "group": stat_field(5),
        "terminal": terminal(),
        "attributes": crate::attributes::attributes(),
        "machine": rustix::system::uname().machine().to_string_lossy(),
    })
}

/// What a program has from who started it: environment, working directory, descriptors. Nothing here asks for a number
/// of another pid namespace, so a hook may look as well.
pub fn heritage() -> Value {
    json!({
        "env": std::env::vars_os().map(|(k, v)| format!("{}={}", k.to_string_lossy(), v.to_string_lossy())).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default(),
        "descriptors": descriptors(),
    })
}

/// Every field of /proc/self/status: ids, groups, umask, the five capability sets, no_new_privs, seccomp, signals.
fn status() -> Value {
    let fields = lines("/proc/self/status");
    let fields = fields.iter().filter_map(|line| line.split_once(':'));
    Value::Object(fields.map(|(key, value)| (key.to_owned(), json!(value.trim()))).collect())
}

/// A number of /proc/self/stat, counted as proc_pid_stat(5) does. A session or group led from outside of the pid
/// namespace is 0, which rustix has no value for.
fn stat_field(n: usize) -> i32 {
    let stat = text("/proc/self/stat");
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().nth(n - 3).and_then(|field| field.parse().ok()).unwrap_or(-1)
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
pub fn directory(path: &str) -> Value {
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

/// What keyctl(2) says of the session keyring: its id, `type;uid;gid;perm;description`, the keys in it; or the error.
pub fn session_keyring() -> Value {
    const KEYCTL_GET_KEYRING_ID: libc::c_long = 0;
    const KEYCTL_DESCRIBE: libc::c_long = 6;
    const KEYCTL_READ: libc::c_long = 11;
    const KEY_SPEC_SESSION_KEYRING: libc::c_long = -3;
    const KEYCTL_GET_SECURITY: libc::c_long = 17;
    let mut buffer = [0u8; 256];
    let mut label = [0u8; 256];
    let mut keys = [0u8; 1024];
    // SAFETY: GET_KEYRING_ID reads two integers; DESCRIBE, READ and GET_SECURITY write at most the given length into live buffers.
    #[allow(unsafe_code)]
    let (id, length, read, labelled) = unsafe {
        let id = libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
        let length = libc::syscall(libc::SYS_keyctl, KEYCTL_DESCRIBE, id, buffer.as_mut_ptr(), buffer.len());
        let read = libc::syscall(libc::SYS_keyctl, KEYCTL_READ, id, keys.as_mut_ptr(), keys.len());
        let label = libc::syscall(libc::SYS_keyctl, KEYCTL_GET_SECURITY, id, label.as_mut_ptr(), label.len());
        (id, length, read, label)
    };
    let described = usize::try_from(length).ok().and_then(|length| buffer.get(..length.min(buffer.len())));
    let read = usize::try_from(read).ok().and_then(|length| keys.get(..length.min(keys.len()))).unwrap_or_default();
    let keys: Vec<i32> = read.as_chunks().0.iter().map(|key| i32::from_ne_bytes(*key)).collect();
    let label = usize::try_from(labelled).ok().and_then(|length| label.get(..length.min(label.len())));
    let label = String::from_utf8_lossy(label.unwrap_or_default()).trim_end_matches('\0').to_owned();
    match described {
        Some(bytes) => {
            let description = String::from_utf8_lossy(bytes);
            json!({"id": id, "description": description.trim_end_matches('\0'), "keys": keys, "label": label})
        }
        None => json!({"error": std::io::Error::last_os_error().to_string()}),
    }
}

/// A file as text, trimmed; empty when it cannot be read.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The lines of a file.
pub fn lines(path: &str) -> Vec<String> {
    text(path).lines().map(str::to_owned).collect()
}

/// The names and targets of the links in a directory.
pub fn links(path: &str) -> Value {
    let mut found = Map::new();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        found.insert(entry.file_name().to_string_lossy().into_owned(), json!(target.to_string_lossy()));
    }
    Value::Object(found)
}
