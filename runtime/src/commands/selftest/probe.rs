//! `selftest-probe`: the process inside a micro-container. It tries what must not work, and tells.
//!
//! Some of what it tries would do harm on a host, so it goes on only as pid 1 and next to a file with the token of the
//! run, which nothing but a micro-container has.

use super::bundle::{BOUND_DEVICE, DISK, ESCAPE, PROGRAM, SENTINEL, SET_UID, WRITABLE};
use crate::cli::{Probe, ProbeMode};
use crate::error::{Call as _, Error, Kind, Result};
use crate::sys::attempt;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the probe tells: for each name 0 when the attempt succeeded, the errno, or the negative number of a signal.
pub type Answers = BTreeMap<String, i32>;

/// An ordinary user.
pub const USER: u32 = 65532;

/// More tasks than the default limit allows.
const TASKS: usize = 2_100;
/// Bytes of stack for a task that only waits.
const STACK: usize = 16 * 1024;

/// `casemate selftest-probe`.
///
/// # Errors
/// It is not in a micro-container; what could not be told.
pub fn run(probe: &Probe, out: &mut impl Write) -> Result<()> {
    let token = fs::read_to_string(SENTINEL).unwrap_or_default();
    let first = rustix::process::getpid() == rustix::process::Pid::INIT;
    // A status only tells, and is asked for by processes that were added.
    if token.is_empty() || token != probe.token || !(first || probe.mode == ProbeMode::Status) {
        return Err(Error::new(Kind::Denied, "this command runs in the containers of casemate selftest only"));
    }
    match probe.mode {
        ProbeMode::Status => {
            let status = fs::read_to_string("/proc/self/status").call("read", "/proc/self/status")?;
            out.write_all(status.as_bytes()).call("write", "stdout")
        }
        ProbeMode::Listen => {
            let name = SocketAddr::from_abstract_name(&probe.token).call("bind", "abstract socket")?;
            let _listener = UnixListener::bind_addr(&name).call("bind", "abstract socket")?;
            tell(&Answers::new(), out)
        }
        ProbeMode::Attempts => tell(&attempts(&probe.token), out),
    }
}

/// One line; then waits until nobody is interested any more, so that the container can be looked at from outside, and
/// ends if who asked has died.
fn tell(answers: &Answers, out: &mut impl Write) -> Result<()> {
    let line = serde_json::to_string(answers).map_err(|error| Error::new(Kind::System, format!("json: {error}")))?;
    writeln!(out, "{line}").and_then(|()| out.flush()).call("write", "stdout")?;
    io::stdin().read_to_end(&mut Vec::new()).call("read", "stdin").map(drop)
}

fn attempts(token: &str) -> Answers {
    let mut answers = Answers::new();
    for name in attempt::CALLS {
        match attempt::call(name) {
            Ok(Some(answer)) => drop(answers.insert(name.to_owned(), answer)),
            Ok(None) => {}
            Err(error) => drop(answers.insert(name.to_owned(), errno(&error))),
        }
    }
    let mut add = |name: &str, tried: io::Result<()>| {
        answers.insert(name.to_owned(), tried.map_or_else(|error| errno(&error), |()| 0));
    };
    for (name, path) in [("disk", DISK), ("bound-device", BOUND_DEVICE)] {
        // Without waiting for a medium or a reader.
        let options = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        add(name, options.map(drop));
    }
    for (name, path) in [("read-keys", "/proc/keys"), ("read-interrupts", "/proc/interrupts")] {
        add(name, read_some(path));
    }
    // Opened and not written to.
    add("write-sysrq", OpenOptions::new().write(true).open("/proc/sysrq-trigger").map(drop));
    add("escape", File::open(ESCAPE).map(drop));
    add("write-root", write_root());
    add("make-device", make_device());
    add("run-from-tmp", run_from_tmp());
    let socket = SocketAddr::from_abstract_name(token).and_then(|name| UnixStream::connect_addr(&name));
    add("abstract-socket", socket.map(drop));
    if let Some(directory) = cgroup_mount() {
        let path = format!("{directory}/selftest");
        add("make-cgroup", fs::create_dir(&path).and_then(|()| fs::remove_dir(&path)));
    }
    add("set-uid", set_uid(token));
    // Last: until here there is one thread, and forks are safe.
    add("tasks", tasks());
    answers
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn errno_of(raw: i32) -> io::Error {
    io::Error::from_raw_os_error(raw)
}

/// ENODATA for an empty file, which is as good as one that may not be read.
fn read_some(path: &str) -> io::Result<()> {
    match File::open(path)?.read(&mut [0; 16])? {
        0 => Err(errno_of(libc::ENODATA)),
        _ => Ok(()),
    }
}

fn write_root() -> io::Result<()> {
    let path = format!("{WRITABLE}/file");
    File::create(&path)?;
    fs::remove_file(&path)
}

/// A node for a device that is not the container's.
fn make_device() -> io::Result<()> {
    let path = format!("{WRITABLE}/device");
    mknodat(CWD, &path, FileType::CharacterDevice, Mode::RUSR, makedev(10, 229))?;
    fs::remove_file(&path)
}

/// A program in `/tmp`, where anybody may write. One that cannot be written is not a refusal to run it.
fn run_from_tmp() -> io::Result<()> {
    let path = "/tmp/program";
    fs::write(path, format!("#!{PROGRAM} --version\n")).map_err(|_| errno_of(libc::EIO))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    let ran = Command::new(path).output();
    fs::remove_file(path)?;
    match ran?.status.success() {
        true => Ok(()),
        false => Err(errno_of(libc::EIO)),
    }
}

/// The first cgroup filesystem that is mounted here.
fn cgroup_mount() -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = table.lines().find(|line| line.contains(" - cgroup"))?;
    line.split(' ').nth(4).map(str::to_owned)
}

/// Runs the set-uid program as an ordinary user: 0 when it was root.
fn set_uid(token: &str) -> io::Result<()> {
    let mut command = Command::new(SET_UID);
    command.args(["selftest-probe", "status", token]);
    if rustix::process::getuid().is_root() {
        command.uid(USER);
    }
    let output = command.output()?;
    let status = String::from_utf8_lossy(&output.stdout);
    let effective = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    match effective {
        Some("0") => Ok(()),
        Some(_) => Err(errno_of(libc::EPERM)),
        None => Err(errno_of(libc::EIO)),
    }
}

/// Starts more tasks than the default limit allows, and ends them; 0 when nothing stopped it.
fn tasks() -> io::Result<()> {
    static ENOUGH: AtomicBool = AtomicBool::new(false);
    let wait = || {
        while !ENOUGH.load(Ordering::Acquire) {
            std::thread::park();
        }
    };
    let mut started = Vec::with_capacity(TASKS);
    let mut result = Ok(());
    while result.is_ok() && started.len() < TASKS {
        result = std::thread::Builder::new().stack_size(STACK).spawn(wait).map(|thread| started.push(thread));
    }
    ENOUGH.store(true, Ordering::Release);
    for thread in started {
        thread.thread().unpark();
        // None of them panics.
        let _ended = thread.join();
    }
    result
}
