//! The private place in which micro-containers are made, and this program called as engines call it.

use super::bundle::{self, BOUND, DISK, ESCAPE, PROGRAM, SENTINEL, SET_UID, WRITABLE};
use super::view::View;
use crate::cgroup::{self, Layout};
use crate::commands::spec::json;
use crate::error::{Call as _, Error, Kind, Result};
use crate::host::{HostFacts, capability_names};
use crate::policy::Level;
use crate::spec::Spec;
use crate::state::of_cgroup;
use crate::sys::namespace::unshare_mounts;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Pid, PidfdFlags, Resource, getrlimit, pidfd_open};
use rustix::time::Timespec;
use std::cell::{Cell, RefCell};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Where a tmpfs of our own hides what the host has. It has to be a place in which hosts have the sockets of engines.
const PLACE: &str = "/run";
/// The policy of the host, which is not what is tested.
const POLICY: &str = "/etc/casemate";
/// How long one command or one answer may take, in seconds.
const DEADLINE: i64 = 60;
/// The file for what a command says on standard error.
const ERRORS: &str = "errors";
/// The socket of an engine.
pub const DOCKER: &str = "/run/docker.sock";

/// The place, and what was made in it.
pub struct Ground {
    /// In every micro-container: a run knows its own by it.
    pub token: String,
    /// What the host has.
    pub facts: HostFacts,
    /// A directory that every command inherits, for it to keep from the container.
    pub leaked: OwnedFd,
    can_give: Vec<String>,
    core: u64,
    signals: SignalFd,
    ids: RefCell<Vec<String>>,
    made: Cell<u32>,
}

/// A container that waits for start, or runs.
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its first process.
    pub pid: i32,
    /// The probe ends when this is closed.
    _stdin: ChildStdin,
    stdout: File,
}

/// How a command ended.
pub struct Ended {
    /// Whether its exit code was 0.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it said on standard error: the last line.
    pub error: String,
}

impl Ground {
    /// Moves this process into mounts of its own and builds the place. Nothing of it is seen by the host.
    ///
    /// # Errors
    /// The caller is not root; what the system calls report.
    pub fn new() -> Result<Ground> {
        if !rustix::process::geteuid().is_root() {
            let what = "selftest makes containers, which needs root";
            return Err(Error::new(Kind::Unsupported, what));
        }
        let facts = HostFacts::probe_for_create()?;
        // A child of ours must not die halfway through the making of a container.
        let ending = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
        let ending: SigSet = ending.into_iter().collect();
        ending.thread_block().call("sigprocmask", "SIGINT")?;
        let signals = SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        let signals = signals.call("signalfd", "SIGINT")?;
        let mut own = File::open("/proc/self/exe").call("open", "/proc/self/exe")?;

        unshare_mounts().call("unshare", "mount namespace")?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).call("mount", "/")?;
        mount_place(facts.selinux).call("mount", PLACE)?;
        if Path::new(POLICY).is_dir() {
            mount("selftest", POLICY, "tmpfs", MountFlags::RDONLY, c"mode=0755").call("mount", POLICY)?;
        }
        let token = format!("casemate-selftest-{}-{}", std::process::id(), crate::state::now());
        build(&token, &mut own)?;
        // Without close-on-exec.
        let leaked = rustix::fs::open(PLACE, OFlags::DIRECTORY, Mode::empty()).call("open", PLACE)?;
        Ok(Ground {
            token,
            can_give: capability_names(facts.bounding),
            facts,
            leaked,
            core: getrlimit(Resource::Core).maximum.unwrap_or(u64::MAX),
            signals,
            ids: RefCell::new(Vec::new()),
            made: Cell::new(0),
        })
    }

    /// A careless configuration whose process is the probe.
    pub fn careless(&self, uid: u32, network: &str, mode: &str) -> Spec {
        bundle::careless(&bundle::Asked {
            rootfs: &at("rootfs"),
            bound: &at("bound"),
            cgroup: String::new(),
            uid,
            can_give: &self.can_give,
            network: network.to_owned(),
            args: [PROGRAM, "selftest-probe", mode, &self.token].map(str::to_owned).to_vec(),
            core: self.core,
        })
    }

    /// Makes a container; its id is of use also when it was not made.
    ///
    /// # Errors
    /// The last line of what `create` said; [`Kind::Denied`] then.
    pub fn create(&self, level: Level, mut spec: Spec) -> (String, Result<Container>) {
        self.made.set(self.made.get() + 1);
        let id = format!("casemate-selftest-{}-{}", std::process::id(), self.made.get());
        self.ids.borrow_mut().push(id.clone());
        if let Some(linux) = &mut spec.linux {
            linux.cgroups_path = format!("/{id}");
        }
        let created = self.create_as(&id, level, &spec);
        (id, created)
    }

    fn create_as(&self, id: &str, level: Level, spec: &Spec) -> Result<Container> {
        let directory = at(id);
        fs::create_dir(&directory).call("mkdir", &directory)?;
        let path = format!("{directory}/config.json");
        fs::write(&path, json(spec)?).call("write", &path)?;
        let pid_file = format!("{directory}/pid");
        let args = ["create", "--bundle", &directory, "--pid-file", &pid_file, id];
        let mut child = self.start(level, &args, Stdio::piped(), &format!("{directory}/{ERRORS}"))?;
        let pipes = (child.stdin.take(), child.stdout.take());
        if !wait(&mut child)? {
            return Err(Error::new(Kind::Denied, last_line(&format!("{directory}/{ERRORS}"))));
        }
        let pid = fs::read_to_string(&pid_file).call("read", &pid_file)?;
        match (pid.trim().parse(), pipes) {
            (Ok(pid), (Some(stdin), Some(stdout))) => {
                Ok(Container { id: id.to_owned(), pid, _stdin: stdin, stdout: File::from(OwnedFd::from(stdout)) })
            }
            _ => Err(Error::new(Kind::System, format!("pid file \"{pid_file}\": \"{pid}\""))),
        }
    }

    /// Makes a container, starts it, and has its probe's answers and what the kernel shows of it.
    ///
    /// # Errors
    /// What `create` or `start` said; no answer within the deadline.
    pub fn run(&self, level: Level, spec: Spec) -> Result<View> {
        let (id, created) = self.create(level, spec);
        let mut container = created?;
        let waiting = View::waiting(container.pid)?;
        let started = self.call(level, &["start", &id])?;
        if !started.success {
            return Err(Error::new(Kind::Denied, started.error));
        }
        let line = container.line().map_err(|error| error.and(last_line(&format!("{}/{ERRORS}", at(&id)))))?;
        View::running(container, waiting, &line)
    }

    /// Calls this program as an engine does and waits for its end.
    ///
    /// # Errors
    /// It cannot be started, or takes longer than the deadline.
    pub fn call(&self, level: Level, args: &[&str]) -> Result<Ended> {
        let errors = at(ERRORS);
        let mut child = self.start(level, args, Stdio::null(), &errors)?;
        let success = wait(&mut child)?;
        let mut stdout = String::new();
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_string(&mut stdout).call("read", "stdout")?;
        }
        Ok(Ended { success, stdout, error: last_line(&errors) })
    }

    /// Removes a container, whatever became of it.
    ///
    /// # Errors
    /// What `delete` said.
    pub fn delete(&self, id: &str) -> Result<()> {
        let ended = self.call(Level::Privileged, &["delete", "--force", id])?;
        match ended.success {
            true => Ok(()),
            false => Err(Error::new(Kind::System, format!("delete {id}: {}", ended.error))),
        }
    }

    /// Removes all containers. Their ids are forgotten.
    ///
    /// # Errors
    /// The first that could not be removed, after the others.
    pub fn clear(&self) -> Result<()> {
        let mut result = Ok(());
        for id in self.ids.take() {
            let gone = self.delete(&id).and_then(|()| match self.remains(&id)? {
                Some(what) => Err(Error::new(Kind::System, format!("{what} is left of container {id}"))),
                None => Ok(()),
            });
            result = result.and(gone);
        }
        result
    }

    /// What there is of a container: its state, or a cgroup.
    ///
    /// # Errors
    /// The cgroup hierarchies cannot be found.
    pub fn remains(&self, id: &str) -> Result<Option<String>> {
        let layout = Layout::discover().map_err(of_cgroup)?;
        let path = cgroup::Path::from_spec(Some(&format!("/{id}")), id, &layout).map_err(of_cgroup)?;
        let directories = path.records.iter().map(cgroup::Record::directory).chain([format!("{}/{id}", at("state"))]);
        Ok(directories.into_iter().find(|path| Path::new(path).exists()))
    }

    /// Whether the user wants it to end.
    ///
    /// # Errors
    /// It does: then all that is left is to clear up.
    pub fn check_signals(&self) -> Result<()> {
        match self.signals.read_signal().call("read", "signalfd")? {
            None => Ok(()),
            Some(_) => Err(Error::new(Kind::System, "selftest was interrupted")),
        }
    }

    fn start(&self, level: Level, args: &[&str], stdin: Stdio, errors: &str) -> Result<Child> {
        let stderr = File::create(errors).call("open", errors)?;
        let mut command = Command::new("/proc/self/exe");
        command.args(["--root", &at("state"), "--level", level.word()]).args(args).env_clear().current_dir(PLACE);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(stderr);
        command.spawn().call("execve", "/proc/self/exe")
    }
}

impl Container {
    /// The next line that the container's process prints.
    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            readable(self.stdout.as_fd(), "an answer of the container")?;
            match (self.stdout.read(&mut byte).call("read", "stdout")?, byte) {
                (0, _) => return Err(Error::new(Kind::System, "the container ended before it answered")),
                (_, [b'\n']) => return Ok(String::from_utf8_lossy(&line).into_owned()),
                (_, [other]) => line.push(other),
            }
        }
    }
}

/// Whether the command ended with exit code 0; killed when it takes too long.
fn wait(child: &mut Child) -> Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::new(Kind::System, "a child has no pid"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).call("pidfd_open", child.id())?;
    let in_time = readable(pidfd.as_fd(), "the end of a command");
    if in_time.is_err() {
        child.kill().call("kill", child.id())?;
    }
    let status = child.wait().call("wait4", child.id())?;
    in_time.map(|()| status.success())
}

fn readable(fd: BorrowedFd<'_>, what: &str) -> Result<()> {
    let deadline = Timespec { tv_sec: DEADLINE, tv_nsec: 0 };
    match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&deadline)).call("poll", what)? {
        0 => Err(Error::new(Kind::System, format!("waited {DEADLINE} s for {what}"))),
        _ => Ok(()),
    }
}

/// What a command said last; nothing when it said nothing.
fn last_line(path: &str) -> String {
    let said = fs::read_to_string(path).unwrap_or_default();
    let line = said.trim_end().lines().last().unwrap_or_default();
    // Without the time and the level of the log.
    let message = line.split_once(" msg=\"").map_or(line, |(_, message)| message.trim_end_matches('"'));
    super::super::printable(&message.replace("\\\"", "\""))
}

/// With SELinux, files that its policy lets containers run; where it has no such type, the host's labels.
fn mount_place(selinux: bool) -> std::result::Result<(), Errno> {
    let labelled = c"mode=0755,context=system_u:object_r:container_file_t:s0";
    let place = |options| mount("selftest", PLACE, "tmpfs", MountFlags::empty(), options);
    match selinux.then(|| place(labelled)) {
        None | Some(Err(Errno::INVAL)) => place(c"mode=0755"),
        Some(mounted) => mounted,
    }
}

/// A path in the place.
pub fn at(name: &str) -> String {
    format!("{PLACE}/casemate-selftest/{name}")
}

/// The root filesystem of all containers, and the directory that is bound into them.
fn build(token: &str, program: &mut File) -> Result<()> {
    let rootfs = at("rootfs");
    let inside = |path: &str| format!("{rootfs}{path}");
    for path in ["/dev", "/proc", "/sys", "/tmp", "/run", "/var/tmp", BOUND, WRITABLE] {
        fs::create_dir_all(inside(path)).call("mkdir", inside(path))?;
    }
    for path in ["bound", "state"] {
        fs::create_dir_all(at(path)).call("mkdir", at(path))?;
    }
    for path in ["/tmp", WRITABLE] {
        permit(&inside(path), 0o1777)?;
    }
    for (path, mode) in [(PROGRAM, 0o755), (SET_UID, 0o4755)] {
        let mut copy = File::create(inside(path)).call("open", inside(path))?;
        program.rewind().call("lseek", "/proc/self/exe")?;
        io::copy(program, &mut copy).call("write", inside(path))?;
        permit(&inside(path), mode)?;
    }
    write(&inside(SENTINEL), token)?;
    let secret = at("secret");
    write(&secret, "a file of the host")?;
    symlink(&secret, inside(ESCAPE)).call("symlink", inside(ESCAPE))?;
    for (path, kind, major, minor) in
        [(inside(DISK), FileType::BlockDevice, 8, 0), (at("bound/null"), FileType::CharacterDevice, 1, 3)]
    {
        mknodat(CWD, &path, kind, Mode::empty(), makedev(major, minor)).call("mknodat", &path)?;
        permit(&path, 0o666)?;
    }
    symlink("/", at("to-root")).call("symlink", at("to-root"))?;
    // The address of an engine; nobody listens behind it.
    UnixListener::bind(DOCKER).map(drop).call("bind", DOCKER)
}

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).call("write", path)
}

/// Modes are given apart from the making, which the umask cuts.
fn permit(path: &str, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).call("chmod", path)
}
