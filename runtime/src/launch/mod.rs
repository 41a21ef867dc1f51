//! The parent's half of making a process: open what the plan names, clone, converse, and know how it ended.
//!
//! The same few steps serve `create`, `run` and `exec`; what differs is in the plan. The parent never enters a namespace
//! of the container's, but for the one call that a joined pid namespace takes, which is undone at once.

pub mod channel;
mod descriptors;
mod handles;
pub mod home;
mod image;
mod listener;
mod sources;
mod start;

pub use listener::deliver as deliver_listener;
pub use sources::{Sources, place_of};
pub use start::{Expected, connect, listen, start};

use crate::cgroup::{Cgroup, Join};
use crate::error::{Call, Context, Error, Kind, Result};
use crate::plan::{Facts, Plan};
use crate::program::encode::Descriptors;
use crate::program::format::{Report, report_state};
use crate::program::{Op, Slot, words};
use crate::state::of_cgroup;
use crate::state::procfs::Procfs;
use crate::sys;
use crate::sys::object::Shared;
use channel::{Channel, FromInit};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};
use rustix::thread::LinkNameSpaceType;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long init may be silent. Only a hook may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a process may take to end when it has nothing left to do.
const DYING: Duration = Duration::from_secs(10);

/// What the plan is to be carried out with.
pub struct Means<'a> {
    /// Facts about the caller.
    pub facts: &'a Facts,
    /// What the plan names on the host; nothing for exec.
    pub sources: Sources,
    /// The bundle's directory, for hooks.
    pub bundle: Option<BorrowedFd<'a>>,
    /// For exec: a pidfd of the container's init.
    pub container: Option<BorrowedFd<'a>>,
    /// For exec: the container's root, for HOME.
    pub container_root: Option<BorrowedFd<'a>>,
    /// The container's cgroups.
    pub cgroup: &'a Cgroup,
    /// How to join them.
    pub join: Join,
    /// The container's own directories in the v1 hierarchies, by index in the layout.
    pub cgroup_trees: Vec<(usize, String)>,
    /// The socket on which `start` will connect.
    pub start: Option<OwnedFd>,
    /// How many descriptors from 3 on the process gets.
    pub preserve_fds: u32,
}

/// A process on its way: cloned, working through its program.
pub struct Init {
    /// Its pid, as casemate sees it.
    pub pid: Pid,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// Its terminal, when it has sent one.
    pub terminal: Option<OwnedFd>,
    channel: Channel,
    shared: Shared,
    program: Vec<Op>,
}

/// Clones init and lets it begin.
///
/// # Errors
/// A path that the plan names and that is not there, or a failed call.
pub fn spawn(mut plan: Plan, means: Means<'_>) -> Result<Init> {
    let bundle = means.bundle;
    let mut join = means.join;
    let unified = join.unified.take();
    // Sources were opened with room for all handles.
    let raised = match means.sources.limit {
        None => descriptors::make_room(&plan)?,
        raised => raised,
    };
    if let Some(before) = raised {
        descriptors::restore(before, &mut plan.program);
    }
    let mut handles = handles::open(&plan, means.sources, bundle, means.container, join, &means.cgroup_trees)?;
    if let Some(uid) = plan.needs_home {
        let root = handles.rootfs.as_ref().map(AsFd::as_fd).or(means.container_root);
        set_home(&mut plan.program, &root.map_or_else(|| "/".into(), |root| home::directory(root, uid)));
    }
    // The image first: its pages are charged to the caller's cgroup, never to the container's.
    let image = image::image()?;
    let (channel, init_end) = Channel::pair()?;
    let attempt = |plan: &Plan, handles: &handles::Handles, unified: Option<BorrowedFd<'_>>| {
        let descriptors = Descriptors {
            control: init_end.as_raw_fd(),
            start: means.start.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            first: 3 + means.preserve_fds as i32,
            handles: handles.all.iter().map(AsRawFd::as_raw_fd).collect(),
        };
        let object = image::program(&plan.program, &descriptors)?;
        let mut inherit = vec![init_end.as_fd(), object.as_fd()];
        inherit.extend(means.start.as_ref().map(AsFd::as_fd));
        inherit.extend(handles.all.iter().map(AsFd::as_fd));
        let argument = CString::new(object.as_raw_fd().to_string())
            .map_err(|_| Error::new(Kind::System, "a descriptor's number has a NUL"))?;
        let child = clone(
            handles,
            &sys::clone::Spawn {
                namespaces: if means.container.is_some() { 0 } else { plan.namespaces.clone_flags() },
                cgroup: unified,
                image: image.as_fd(),
                inherit: &inherit,
                argument: &argument,
                effective: means.facts.permitted,
                permitted: means.facts.permitted,
            },
        );
        child.map(|child| (child, object))
    };
    let refused = |result: std::result::Result<sys::clone::Child, Errno>| {
        result.call("clone3", "init").hint("making namespaces takes CAP_SYS_ADMIN and Linux 5.12")
    };
    let (child, object) = match attempt(&plan, &handles, unified.as_ref().map(AsFd::as_fd))? {
        // The cgroup does not take newborns: a controller that must be joined by a whole process, or a v2 parent with
        // processes of its own; or clone3 itself is not to be had. Then init joins by itself, as on v1.
        (Err(Errno::AGAIN | Errno::BUSY | Errno::OPNOTSUPP | Errno::NOSYS), _) if unified.is_some() => {
            let join = means.cgroup.join(None, &[]).and_then(Join::without_clone).map_err(of_cgroup)?;
            join_by_itself(&mut plan, &mut handles, join);
            let (child, object) = attempt(&plan, &handles, None)?;
            (refused(child)?, object)
        }
        (child, object) => (refused(child)?, object),
    };
    let shared = Shared::map(&object).call("mmap", "program")?;
    let pid = Pid::from_raw(child.pid).ok_or_else(|| Error::new(Kind::System, "clone3 gave no pid"))?;
    let init = Init { pid, pidfd: child.pidfd, terminal: None, channel, shared, program: plan.program };
    if let Some(score) = plan.oom_score_adj {
        init.write_oom_score_adj(score)?;
    }
    Ok(init)
}

/// One clone, from inside the rootfs's directory and, for a moment, with a pid namespace that the config names for
/// children.
fn clone(
    handles: &handles::Handles,
    spawn: &sys::clone::Spawn<'_>,
) -> Result<std::result::Result<sys::clone::Child, Errno>> {
    let own = match &handles.pid_namespace {
        None => None,
        Some(target) => {
            let own = Procfs::open()?.namespace("pid")?;
            set_children_pid_namespace(target.as_fd()).call("setns", "pid namespace")?;
            Some(own)
        }
    };
    let place = handles::Place::enter(handles.rootfs.as_ref())?;
    let child = sys::clone::spawn(spawn);
    if let Some(place) = place {
        place.leave()?;
    }
    if let Some(own) = own {
        set_children_pid_namespace(own.as_fd()).call("setns", "own pid namespace")?;
    }
    Ok(child)
}

/// For children only: the caller itself stays where it is (pid_namespaces(7)).
fn set_children_pid_namespace(fd: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    rustix::thread::move_into_link_name_space(fd, Some(LinkNameSpaceType::ProcessID))
}

fn join_by_itself(plan: &mut Plan, handles: &mut handles::Handles, join: Join) {
    for (hierarchy, tasks) in join.tasks {
        let known = plan.program.iter().any(|op| matches!(op, Op::JoinCgroup { hierarchy: h, .. } if *h == hierarchy));
        if !known {
            let slot = Slot(handles.all.len() as u32);
            handles.all.push(tasks);
            plan.program.insert(0, Op::JoinCgroup { hierarchy, tasks: slot });
        }
    }
}

fn set_home(program: &mut [Op], home: &str) {
    for op in program {
        if let Op::Execute { env, .. } = op {
            env.retain(|entry| !entry.starts_with("HOME="));
            env.push(format!("HOME={home}"));
        }
    }
}

impl Init {
    /// Its pid as a number.
    pub fn raw_pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Converses until init is ready. `hooks` runs the runtime hooks when the mounts are there.
    ///
    /// # Errors
    /// What init reports, how it died, or what `hooks` says.
    pub fn set_up(
        &mut self,
        cgroup: &Cgroup,
        on_terminal: &mut dyn FnMut(OwnedFd) -> Result<Option<OwnedFd>>,
        hooks: &mut dyn FnMut(i32) -> Result<()>,
    ) -> Result<()> {
        let patience = if self.has_hooks() { None } else { Some(PATIENCE) };
        loop {
            match self.channel.receive(patience)? {
                FromInit::Terminal(master) => self.terminal = on_terminal(master)?,
                FromInit::Mounted => {
                    hooks(self.raw_pid())?;
                    self.channel.proceed().map_err(|_| self.failure(cgroup))?;
                }
                FromInit::Ready => return Ok(()),
                FromInit::Closed => return Err(self.failure(cgroup)),
                FromInit::Program(_) | FromInit::Successor(_) => return Err(out_of_turn()),
            }
        }
    }

    /// The state is on disk: init may outlive casemate.
    ///
    /// # Errors
    /// Init is gone.
    pub fn commit(&self, cgroup: &Cgroup) -> Result<()> {
        self.channel.commit().map_err(|_| self.failure(cgroup))
    }

    /// Runs the process and waits until it does. `on_listener` gets the seccomp listener and the process's pid.
    ///
    /// # Errors
    /// What init reports, or how it died.
    pub fn start(&mut self, cgroup: &Cgroup, on_listener: &mut dyn FnMut(OwnedFd, i32) -> Result<()>) -> Result<()> {
        self.channel.start().map_err(|_| self.failure(cgroup))?;
        if self.program.contains(&Op::EnterPidNamespace) {
            match self.channel.receive(Some(PATIENCE))? {
                FromInit::Successor(pidfd) => self.succeed(pidfd)?,
                FromInit::Closed => return Err(self.failure(cgroup)),
                _ => return Err(out_of_turn()),
            }
        }
        let pid = self.raw_pid();
        let patience = if self.has_hooks() { None } else { Some(PATIENCE) };
        let wait = Wait { channel: &self.channel, shared: &self.shared, pidfd: self.pidfd.as_fd(), patience };
        wait.for_exec(self.listens(), &mut |fd| on_listener(fd, pid))?;
        match self.shared.state() {
            report_state::EXECUTING => Ok(()),
            _ => Err(self.failure(cgroup)),
        }
    }

    /// SIGKILL, and the zombie collected.
    ///
    /// # Errors
    /// The signal cannot be sent, or the process does not end.
    pub fn end(&self) -> Result<()> {
        match sys::pidfd::send_signal(self.pidfd.as_fd(), libc::SIGKILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(Error::call("pidfd_send_signal", self.raw_pid(), errno)),
        }
        if !channel::wait_readable(self.pidfd.as_fd(), Some(DYING))? {
            return Err(Error::new(Kind::System, format!("init {} does not end after SIGKILL", self.raw_pid())));
        }
        match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(_) | Err(Errno::CHILD) => Ok(()),
            Err(errno) => Err(Error::call("waitid", self.raw_pid(), errno)),
        }
    }

    /// From now on the process is the one behind `pidfd`; the one that forked it ends and is collected.
    fn succeed(&mut self, pidfd: OwnedFd) -> Result<()> {
        let name = format!("{}/fdinfo/{}", std::process::id(), pidfd.as_raw_fd());
        let info =
            Procfs::open()?.read(&name).map_err(|errno| Error::call("read", format_args!("/proc/{name}"), errno))?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()).and_then(Pid::from_raw);
        // It has ended already, and nobody has waited for it: only we could.
        let pid = pid.ok_or_else(|| Error::new(Kind::System, format!("read \"/proc/{name}\": no pid")))?;
        let before = std::mem::replace(&mut self.pidfd, pidfd);
        self.pid = pid;
        collect(before.as_fd())
    }

    fn has_hooks(&self) -> bool {
        self.program.iter().any(|op| matches!(op, Op::Hook(_)))
    }

    fn listens(&self) -> bool {
        self.program.iter().any(|op| matches!(op, Op::Seccomp { listener: true, .. }))
    }

    /// Why init closed its socket.
    fn failure(&self, cgroup: &Cgroup) -> Error {
        let report = self.shared.report();
        if report.state == report_state::FAILED {
            return words::failure(&self.program, &report);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        // Its socket is closed, so it is on its way out. If not, that is what is told.
        let _ended = channel::wait_readable(self.pidfd.as_fd(), Some(DYING));
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options).ok().flatten();
        let how = match status.map(|s| (s.exit_status(), s.terminating_signal())) {
            Some((Some(sys::clone::EXEC_FAILED), _)) => {
                return Error::new(Kind::InitFailed, "the embedded init could not be executed")
                    .hint("a security module or vm.memfd_noexec may forbid executing memory objects");
            }
            Some((Some(sys::clone::INHERIT_FAILED), _)) => {
                return Error::new(Kind::InitFailed, "fcntl before init failed, so init would lack a descriptor");
            }
            Some((Some(sys::clone::CAPSET_FAILED), _)) => {
                return Error::new(Kind::InitFailed, "capset before init was refused, so init could be looked into");
            }
            Some((Some(code), _)) => format!("exited with status {code}"),
            Some((None, Some(signal))) => killed_by(signal),
            _ => "closed its socket".into(),
        };
        died(&how, cgroup)
    }

    /// The score is inherited by what init runs. It is written before init has anything to say, so it is in effect
    /// before the process exists; the pid cannot be another's, for only casemate could have waited for it.
    fn write_oom_score_adj(&self, score: i64) -> Result<()> {
        Procfs::open()?
            .write(&format!("{}/oom_score_adj", self.raw_pid()), &score.to_string())
            .context(format!("set oom_score_adj to {score}"))
            .hint("lowering it below the caller's own takes CAP_SYS_RESOURCE")
    }
}

fn killed_by(signal: i32) -> String {
    let name = nix::sys::signal::Signal::try_from(signal).map_or_else(|_| signal.to_string(), |s| s.to_string());
    let seccomp = if signal == libc::SIGSYS { " (by a seccomp filter, its own or casemate's caller's)" } else { "" };
    format!("was killed by signal {name}{seccomp}")
}

/// Init died without a report.
pub(crate) fn died(how: &str, cgroup: &Cgroup) -> Error {
    if cgroup.oom_killed().is_ok_and(|n| n > 0) {
        return Error::new(Kind::InitFailed, "container init was OOM-killed (memory limit too low?)")
            .hint("raise linux.resources.memory.limit");
    }
    Error::new(Kind::InitFailed, format!("init {how} before it was ready"))
}

fn out_of_turn() -> Error {
    Error::new(Kind::InitFailed, "init said something out of turn")
}

/// Waits for the end of a child and takes its status.
fn collect(pidfd: BorrowedFd<'_>) -> Result<()> {
    if !channel::wait_readable(pidfd, Some(DYING))? {
        return Err(Error::new(Kind::InitFailed, "init does not end"));
    }
    rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).call("waitid", "init").map(drop)
}

/// The last part of a start.
pub(crate) struct Wait<'a> {
    pub(crate) channel: &'a Channel,
    pub(crate) shared: &'a Shared,
    pub(crate) pidfd: BorrowedFd<'a>,
    /// How long it may take; without a limit while hooks run.
    pub(crate) patience: Option<Duration>,
}

impl Wait<'_> {
    /// Waits until init's socket closes; meanwhile hands out the seccomp listener, if there will be one.
    pub(crate) fn for_exec(&self, listens: bool, on_listener: &mut dyn FnMut(OwnedFd) -> Result<()>) -> Result<()> {
        let deadline = self.patience.map(|patience| Instant::now() + patience);
        let mut waiting = listens;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Init cannot say when its listener is there: after the filter it makes no system call. So it is looked at.
            let step = if waiting { Some(Duration::from_millis(1)) } else { left };
            if channel::wait_readable(self.channel.as_fd(), step)? {
                return match self.channel.receive(Some(PATIENCE))? {
                    FromInit::Closed => Ok(()),
                    _ => Err(out_of_turn()),
                };
            }
            if waiting && self.shared.state() == report_state::LISTENER {
                let report: Report = self.shared.report();
                let fd = listener::fetch(self.pidfd, report.listener)?;
                on_listener(fd)?;
                self.shared.acknowledge();
                waiting = false;
            }
            if left.is_some_and(|left| left.is_zero()) {
                let seconds = self.patience.unwrap_or_default().as_secs();
                return Err(Error::new(Kind::InitFailed, format!("the process does not run after {seconds} s")));
            }
        }
    }
}
