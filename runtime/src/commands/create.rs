//! `create`: from a bundle to a container whose init waits for `start`. `run` begins the same way.

use super::Root;
use super::caller::Caller;
use crate::bundle::Bundle;
use crate::cgroup::{self, Cgroup, Version};
use crate::cli::Create;
use crate::error::{Call, Error, Kind, Result};
use crate::launch::{self, Init, Means};
use crate::log::Log;
use crate::plan::{self, CgroupPlan, CreateRequest, Facts, Plan, RuntimeHooks};
use crate::spec::{State, Status};
use crate::state::{CONFIG, Entry, InitProcess, Phase, Record, Unknown, VERSION, now, of_cgroup};
use crate::terminal::console_socket;
use crate::{hooks, host};
use crate::{notify, pid_file};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// How long processes may take to end after SIGKILL.
pub const DYING: Duration = Duration::from_secs(10);

/// Whether the container waits for `start`, or the caller starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `create`.
    Create,
    /// `run --detach`.
    RunDetached,
    /// `run`.
    RunForeground,
}

/// A container that was made, with everything that its maker holds of it.
pub struct Made {
    /// Its state directory, locked.
    pub entry: Entry,
    /// What is on disk.
    pub record: Record,
    /// Its first process.
    pub init: Init,
    /// Its cgroups.
    pub cgroup: Cgroup,
    /// Its hooks.
    pub hooks: RuntimeHooks,
    bundle: Bundle,
    hooked: bool,
}

/// `casemate create`.
///
/// # Errors
/// Everything that is wrong with the configuration, before anything was done; or what failed, after it was undone.
pub fn run(root: &Root, systemd_cgroup: bool, request: &Create, log: &Log) -> Result<()> {
    make(root, systemd_cgroup, request, Mode::Create, log).map(drop)
}

/// Makes the container, or undoes everything.
///
/// # Errors
/// See [`run`].
pub fn make(root: &Root, systemd_cgroup: bool, request: &Create, mode: Mode, log: &Log) -> Result<Made> {
    let caller = Caller::secure(request.preserve_fds)?;
    let bundle = Bundle::open(request.bundle.as_deref())?;
    let facts = host::facts()?;
    let driver = cgroup::driver(systemd_cgroup).map_err(of_cgroup)?;
    check_console(request, &bundle, mode)?;
    let id = request.id.as_str();
    let plan_request = plan_request(request, &bundle, mode, &caller, &format!("{}/{id}", root.path.display()));
    let plan = plan::create(&bundle.spec, &plan_request, &facts)?;
    plan.warnings.iter().for_each(|warning| log.warn(warning));

    // From here on there is something to undo.
    let entry = root.create()?.create(id)?;
    let during = "casemate create failed: unable to start container process";
    let mut undo = Undo { entry: Some(entry), ..Undo::default() };
    match build(&mut undo, &plan, &bundle, &facts, driver, request, mode, &caller, log) {
        Ok((record, init)) => match (undo.entry.take(), undo.cgroup.take()) {
            (Some(entry), Some(cgroup)) => {
                Ok(Made { entry, record, init, cgroup, hooks: plan.hooks, bundle, hooked: undo.hooked })
            }
            _ => Err(Error::new(Kind::System, "the state directory or the cgroup is gone")),
        },
        Err(error) => {
            undo.run(&plan, &bundle, driver, log);
            Err(error.context(during))
        }
    }
}

/// What was done so far.
#[derive(Default)]
struct Undo {
    entry: Option<Entry>,
    cgroup: Option<Cgroup>,
    init: Option<(i32, OwnedFd)>,
    hooked: bool,
}

#[allow(clippy::too_many_arguments)]
fn build(
    undo: &mut Undo,
    plan: &Plan,
    bundle: &Bundle,
    facts: &Facts,
    driver: &dyn cgroup::Driver,
    request: &Create,
    mode: Mode,
    caller: &Caller,
    log: &Log,
) -> Result<(Record, Init)> {
    let entry = undo.entry.as_ref().ok_or_else(|| Error::new(Kind::System, "no state directory"))?;
    let limits = plan.cgroup.as_ref().ok_or_else(|| Error::new(Kind::System, "no cgroup is planned"))?;
    // In use by somebody else: refused before it is recorded as ours.
    let prepared = driver.prepare(&limits.path).map_err(of_cgroup)?;
    // Recorded before it is made: a casemate that is killed in between leaves nothing that `delete` does not know of.
    let mut record = record(entry, plan, limits, bundle);
    entry.write_file(CONFIG, &bundle.config)?;
    entry.write(&record)?;
    let start = if mode == Mode::Create { Some(launch::listen(entry)?) } else { None };
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        notify::make_directory(entry.as_fd())?;
    }
    let (made, join) = driver.create(prepared).map_err(of_cgroup)?;
    let cgroup = undo.cgroup.insert(made);
    driver.apply(cgroup, &limits.resources).map_err(of_cgroup)?.iter().for_each(|warning| log.warn(warning));
    let means = Means {
        facts,
        bundle: Some(bundle.as_fd()),
        container: None,
        container_root: None,
        cgroup,
        join,
        cgroup_trees: cgroup_trees(limits, facts),
        start,
        preserve_fds: caller.preserve_fds,
    };
    let mut init = launch::spawn(plan.clone(), means)?;
    undo.init = Some((init.raw_pid(), init.pidfd.try_clone().call("fcntl", "pidfd")?));
    let console = request.console_socket.as_deref();
    let mut on_terminal = |master: OwnedFd| match console {
        Some(path) => console_socket::send(path, master.as_fd(), "/dev/ptmx").map(|()| None),
        None => Ok(Some(master)),
    };
    let hooked = &mut undo.hooked;
    let mut run_hooks = |pid: i32| {
        *hooked = true;
        runtime_hooks(plan, bundle, pid)
    };
    init.set_up(cgroup, &mut on_terminal, &mut run_hooks)?;
    // After init has made its device nodes, which these rules need not allow.
    cgroup.apply_devices(&limits.device_rules).map_err(of_cgroup)?;
    record.init = Some(InitProcess::of(init.raw_pid())?);
    record.phase = Phase::Created;
    entry.write(&record)?;
    if let Some(path) = &request.pid_file {
        pid_file::write(path, init.pid)?;
    }
    if let Some(path) = &request.pidfd_socket {
        console_socket::send(path, init.pidfd.as_fd(), "pidfd")?;
    }
    init.commit(cgroup)?;
    Ok((record, init))
}

impl Undo {
    /// Leaves nothing behind. The error that is told is the one that led here; what goes wrong now is a warning.
    fn run(self, plan: &Plan, bundle: &Bundle, driver: &dyn cgroup::Driver, log: &Log) {
        let mut failures: Vec<Error> = Vec::new();
        if let Some((pid, pidfd)) = &self.init {
            failures.extend(end(*pid, pidfd).err());
        }
        if let Some(cgroup) = &self.cgroup {
            failures.extend(cgroup.kill_all(DYING).map_err(of_cgroup).err());
            failures.extend(driver.remove(cgroup, DYING).map_err(of_cgroup).err());
        }
        if self.hooked {
            // runtime.md, lifecycle: a create that fails in its hooks still runs those of poststop.
            let state = json(&state(plan, bundle, Status::Stopped, 0));
            failures.extend(hooks::warn_all(&plan.hooks.poststop, "poststop", &state, bundle.as_fd()));
        }
        if let Some(entry) = &self.entry {
            failures.extend(entry.remove(Unknown::Remove).err());
        }
        failures.iter().for_each(|failure| log.warn(&format!("while undoing: {failure}")));
    }
}

impl Made {
    /// The state that hooks and agents read.
    pub fn state(&self, status: Status) -> State {
        State {
            oci_version: self.record.oci_version.clone(),
            id: self.record.id.clone(),
            status,
            pid: self.init.raw_pid(),
            bundle: self.record.bundle.clone(),
            annotations: self.record.annotations.clone(),
        }
    }

    /// The poststart hooks.
    ///
    /// # Errors
    /// The first that fails.
    pub fn poststart(&self) -> Result<()> {
        let state = json(&self.state(Status::Running));
        hooks::run_all(&self.hooks.poststart, "poststart", &state, self.bundle.as_fd())
    }

    /// Ends the container and leaves nothing behind.
    pub fn abandon(self, log: &Log) {
        let Made { entry, record, init, cgroup, hooks, bundle, .. } = self;
        let mut failures: Vec<Error> = Vec::new();
        failures.extend(end(init.raw_pid(), &init.pidfd).err());
        failures.extend(cgroup.kill_all(DYING).map_err(of_cgroup).err());
        match cgroup::driver(record.systemd_cgroup) {
            Ok(driver) => failures.extend(driver.remove(&cgroup, DYING).map_err(of_cgroup).err()),
            Err(error) => failures.push(of_cgroup(error)),
        }
        let state = State {
            oci_version: record.oci_version.clone(),
            id: record.id.clone(),
            status: Status::Stopped,
            pid: 0,
            bundle: record.bundle.clone(),
            annotations: record.annotations.clone(),
        };
        failures.extend(hooks::warn_all(&hooks.poststop, "poststop", &json(&state), bundle.as_fd()));
        failures.extend(entry.remove(Unknown::Remove).err());
        failures.iter().for_each(|failure| log.warn(&format!("while undoing: {failure}")));
    }

    /// Whether runtime hooks were run.
    pub fn was_hooked(&self) -> bool {
        self.hooked
    }
}

/// SIGKILL, and the zombie collected.
fn end(pid: i32, pidfd: &OwnedFd) -> Result<()> {
    match crate::sys::pidfd::send_signal(pidfd.as_fd(), libc::SIGKILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(Error::call("pidfd_send_signal", pid, errno)),
    }
    if !launch::channel::wait_readable(pidfd.as_fd(), Some(DYING))? {
        return Err(Error::new(Kind::System, format!("init {pid} does not end after SIGKILL")));
    }
    let id = rustix::process::WaitId::PidFd(pidfd.as_fd());
    match rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED) {
        Ok(_) | Err(rustix::io::Errno::CHILD) => Ok(()),
        Err(errno) => Err(Error::call("waitid", pid, errno)),
    }
}

fn check_console(request: &Create, bundle: &Bundle, mode: Mode) -> Result<()> {
    let terminal = bundle.spec.process.as_ref().is_some_and(|p| p.terminal);
    let detached = mode != Mode::RunForeground;
    if request.console_socket.is_some() && (!terminal || !detached) {
        let what = "cannot use console socket if casemate will not detach or allocate tty";
        return Err(Error::new(Kind::Usage, what));
    }
    if terminal && detached && request.console_socket.is_none() {
        let what = "cannot allocate tty if casemate will detach without setting console socket";
        return Err(Error::new(Kind::Usage, what));
    }
    Ok(())
}

fn plan_request(request: &Create, bundle: &Bundle, mode: Mode, caller: &Caller, entry_path: &str) -> CreateRequest {
    let mut extra_env = caller.env.clone();
    let notified = std::env::var_os("NOTIFY_SOCKET").is_some_and(|v| !v.is_empty());
    if notified {
        extra_env.push(notify::ENV.into());
    }
    CreateRequest {
        id: request.id.as_str().into(),
        bundle: bundle.path.clone(),
        runs: mode != Mode::Create,
        no_pivot: request.no_pivot,
        no_new_keyring: request.no_new_keyring,
        takes_terminal: request.console_socket.is_some() || mode == Mode::RunForeground,
        extra_env,
        notify_directory: notified.then(|| format!("{entry_path}/{}", notify::DIRECTORY)),
    }
}

fn record(entry: &Entry, plan: &Plan, limits: &CgroupPlan, bundle: &Bundle) -> Record {
    Record {
        version: VERSION,
        id: entry.id().into(),
        bundle: bundle.path.clone(),
        rootfs: plan.rootfs.clone(),
        created: now(),
        owner_uid: rustix::process::geteuid().as_raw(),
        oci_version: bundle.spec.oci_version.clone(),
        annotations: bundle.spec.annotations.clone(),
        phase: Phase::Creating,
        init: None,
        cgroups: limits.path.records.clone(),
        systemd_cgroup: false,
        own_pid_namespace: plan.namespaces.is_new(plan::namespace::NamespaceKind::Pid),
        listener: plan.listener.clone(),
        poststart: plan.hooks.poststart.clone(),
        poststop: plan.hooks.poststop.clone(),
    }
}

/// The container's directories in the v1 hierarchies, for mounts of type cgroup.
fn cgroup_trees(limits: &CgroupPlan, facts: &Facts) -> Vec<(usize, String)> {
    let hierarchies = facts.cgroups.hierarchies.iter().enumerate();
    hierarchies
        .filter(|(_, h)| h.version == Version::V1)
        .filter_map(|(index, h)| {
            let mine = limits.path.records.iter().find(|r| r.mount_point == h.mount_point)?;
            Some((index, mine.directory()))
        })
        .collect()
}

fn runtime_hooks(plan: &Plan, bundle: &Bundle, pid: i32) -> Result<()> {
    let state = json(&state(plan, bundle, Status::Creating, pid));
    hooks::run_all(&plan.hooks.prestart, "prestart", &state, bundle.as_fd())?;
    hooks::run_all(&plan.hooks.create_runtime, "createRuntime", &state, bundle.as_fd())
}

fn state(plan: &Plan, bundle: &Bundle, status: Status, pid: i32) -> State {
    State {
        oci_version: bundle.spec.oci_version.clone(),
        id: plan.id.clone(),
        status,
        pid,
        bundle: bundle.path.clone(),
        annotations: bundle.spec.annotations.clone(),
    }
}

/// The state as hooks read it.
pub fn json(state: &State) -> Vec<u8> {
    // Strings and numbers only: there is nothing in it that could not be written.
    serde_json::to_vec(state).unwrap_or_default()
}
