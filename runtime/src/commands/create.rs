//! `create`: from a bundle to a container whose init waits for `start`. `run` begins the same way.

use super::Root;
use super::caller::Caller;
use super::gate::{self, Gate};
use super::unfinished::Unfinished;
use crate::bundle::Bundle;
use crate::cgroup::{self, Cgroup, Driver, Version};
use crate::cli::Create;
use crate::error::{Error, Kind, Result};
use crate::launch::{self, Init, Means, Sources};
use crate::log::Log;
use crate::plan::{self, CgroupPlan, Confinement, CreateRequest, Facts, Plan};
use crate::policy::{Enforcement, Note};
use crate::spec::{Spec, State, Status};
use crate::state::{CONFIG, Entry, InitProcess, Phase, Record, VERSION, now, of_cgroup};
use crate::terminal::console_socket;
use crate::{hooks, host, notify, pid_file};
use std::os::fd::{AsFd, OwnedFd};

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
    bundle: Bundle,
    driver: &'static dyn Driver,
}

/// `casemate create`.
///
/// # Errors
/// Everything that is wrong with the configuration, before anything was done; or what failed, after it was undone.
pub fn run(root: &Root, systemd_cgroup: bool, gate: &Gate, request: &Create, log: &Log) -> Result<()> {
    let caller = Caller::secure(request.preserve_fds)?;
    make(root, systemd_cgroup, gate, request, Mode::Create, caller, log).map(drop)
}

/// Makes the container, or undoes everything. `caller` was secured before anything was opened: what casemate opens itself
/// must not be taken for a descriptor that it was given.
///
/// # Errors
/// See [`run`].
pub fn make(
    root: &Root,
    systemd_cgroup: bool,
    gate: &Gate,
    request: &Create,
    mode: Mode,
    caller: Caller,
    log: &Log,
) -> Result<Made> {
    let mut bundle = Bundle::open(request.bundle.as_deref())?;
    let facts = host::facts()?;
    let driver = cgroup::driver(systemd_cgroup).map_err(of_cgroup)?;
    check_console(request, &bundle, mode)?;
    let id = request.id.as_str();
    let mut enforcement = gate.choose(id, &bundle.spec, &bundle.path, &facts, log)?;
    gate::categories(root, id, &bundle.spec, &mut enforcement, &facts)?;
    // From here on the configuration is what policy makes of it.
    let spec = std::mem::take(&mut bundle.spec);
    let of_config = |error: Error| error.context(format!("{}/config.json", bundle.path));
    let mut verdict = gate::admit(spec, &enforcement, &facts, log).map_err(of_config)?;
    if request.recorded {
        have_filter(&mut verdict.spec);
    }
    let entry_path = format!("{}/{id}", root.path.display());
    let plan_request = plan_request(request, &bundle, &verdict.confinement, mode, &caller, &entry_path);
    let plan = plan::create(&verdict.spec, &plan_request, &facts).map_err(of_config)?;
    if !rustix::process::geteuid().is_root() {
        let what = "running containers without root is not supported yet";
        return Err(Error::new(Kind::Unsupported, what).hint("explain needs no privileges"));
    }
    plan.warnings.iter().for_each(|warning| log.warn(warning));
    let during = |error: Error| error.context("casemate create failed: unable to start container process");
    let sources = Sources::open(&plan).map_err(during)?;
    let seen = gate::admit_sources(root, &verdict.spec, &bundle.path, &sources, &enforcement, &facts, log);
    verdict.notes.extend(seen.map_err(of_config)?);

    // From here on there is something to undo.
    let mut unfinished = Unfinished::new(root.create()?.create(id)?);
    let work = Work {
        plan: &plan,
        enforcement: &enforcement,
        spec: &verdict.spec,
        notes: &verdict.notes,
        bundle: &bundle,
        facts: &facts,
        driver,
        systemd_cgroup,
        request,
        mode,
        caller: &caller,
        log,
    };
    let error = match work.carry_out(&mut unfinished, sources) {
        Ok(()) => match unfinished {
            Unfinished { entry, record: Some(record), cgroup: Some(cgroup), init: Some(init) } => {
                return Ok(Made { entry, record, init, cgroup, bundle, driver });
            }
            other => {
                unfinished = other;
                Error::new(Kind::System, "a part of the container is missing")
            }
        },
        Err(error) => error,
    };
    Err(unfinished.undo(&bundle, driver, during(error)))
}

/// What a container is made of.
struct Work<'a> {
    plan: &'a Plan,
    enforcement: &'a Enforcement,
    spec: &'a Spec,
    notes: &'a [Note],
    bundle: &'a Bundle,
    facts: &'a Facts,
    driver: &'static dyn Driver,
    systemd_cgroup: bool,
    request: &'a Create,
    mode: Mode,
    caller: &'a Caller,
    log: &'a Log,
}

impl Work<'_> {
    /// The road of a `create`, from an empty state directory to an init that waits.
    fn carry_out(&self, made: &mut Unfinished, sources: Sources) -> Result<()> {
        let (plan, request) = (self.plan, self.request);
        let limits = plan.cgroup.as_ref().ok_or_else(|| Error::new(Kind::System, "no cgroup is planned"))?;
        // In use by somebody else: refused before it is recorded as ours.
        let prepared = self.driver.prepare(&limits.path).map_err(of_cgroup)?;
        // Recorded before it is made: a casemate that is killed in between leaves nothing that `delete` does not know.
        let record = made.record.insert(self.record(&made.entry, limits));
        made.entry.write_file(CONFIG, &self.bundle.config)?;
        made.entry.write(record)?;
        let start = if self.mode == Mode::Create { Some(launch::listen(&made.entry)?) } else { None };
        if notify::host_socket().is_some() {
            notify::make_directory(made.entry.as_fd())?;
        }
        let (cgroup, join) = self.driver.create(prepared).map_err(of_cgroup)?;
        let cgroup = made.cgroup.insert(cgroup);
        let warnings = self.driver.apply(cgroup, &limits.resources).map_err(of_cgroup)?;
        warnings.iter().for_each(|warning| self.log.warn(warning));
        let means = Means {
            facts: self.facts,
            sources,
            bundle: Some(self.bundle.as_fd()),
            container: None,
            container_root: None,
            cgroup,
            join,
            cgroup_trees: cgroup_trees(limits, self.facts),
            start,
            preserve_fds: self.caller.preserve_fds,
        };
        let init = made.init.insert(launch::spawn(plan.clone(), means)?);
        let console = request.console_socket.as_deref();
        let mut on_terminal = |master: OwnedFd| match console {
            Some(path) => console_socket::send(path, master.as_fd(), "/dev/ptmx").map(|()| None),
            None => Ok(Some(master)),
        };
        let bundle = self.bundle.as_fd();
        let mut runtime_hooks = |pid: i32| {
            let state = json(&record.state(Status::Creating, pid));
            hooks::run_all(&plan.hooks.prestart, "prestart", &state, bundle)?;
            hooks::run_all(&plan.hooks.create_runtime, "createRuntime", &state, bundle)
        };
        init.set_up(cgroup, &mut on_terminal, &mut runtime_hooks)?;
        // After init has made its device nodes, which these rules need not allow.
        cgroup.apply_devices(&limits.device_rules).map_err(of_cgroup)?;
        record.init = Some(InitProcess::of(init.raw_pid())?);
        record.phase = Phase::Created;
        made.entry.write(record)?;
        if let Some(path) = &request.pid_file {
            pid_file::write(path, init.pid)?;
        }
        if let Some(path) = &request.pidfd_socket {
            console_socket::send(path, init.pidfd.as_fd(), "pidfd")?;
        }
        // Last: from here on init outlives casemate.
        init.commit(cgroup)
    }

    fn record(&self, entry: &Entry, limits: &CgroupPlan) -> Record {
        Record {
            version: VERSION,
            id: entry.id().into(),
            bundle: self.bundle.path.clone(),
            rootfs: self.plan.rootfs.clone(),
            created: now(),
            owner_uid: rustix::process::geteuid().as_raw(),
            oci_version: self.spec.oci_version.clone(),
            annotations: self.spec.annotations.clone(),
            enforcement: Some(self.enforcement.clone()),
            notes: self.notes.to_vec(),
            phase: Phase::Creating,
            init: None,
            cgroups: limits.path.records.clone(),
            systemd_cgroup: self.systemd_cgroup,
            own_pid_namespace: self.plan.namespaces.is_new(plan::namespace::NamespaceKind::Pid),
            listener: self.plan.listener.clone(),
            poststart: self.plan.hooks.poststart.clone(),
            poststop: self.plan.hooks.poststop.clone(),
        }
    }
}

impl Made {
    /// The state that hooks and agents read.
    pub fn state(&self, status: Status) -> State {
        self.record.state(status, self.init.raw_pid())
    }

    /// The poststart hooks.
    ///
    /// # Errors
    /// The first that fails.
    pub fn poststart(&self) -> Result<()> {
        let state = json(&self.state(Status::Running));
        hooks::run_all(&self.record.poststart, "poststart", &state, self.bundle.as_fd())
    }

    /// Ends the container and leaves nothing behind; answers the error that led here.
    pub fn abandon(self, error: Error) -> Error {
        let Made { entry, record, init, cgroup, bundle, driver } = self;
        let unfinished = Unfinished { entry, record: Some(record), cgroup: Some(cgroup), init: Some(init) };
        unfinished.undo(&bundle, driver, error)
    }
}

/// Gives a container without a profile one that allows everything.
fn have_filter(spec: &mut Spec) {
    let seccomp = &mut spec.linux.get_or_insert_default().seccomp;
    seccomp.get_or_insert_with(|| seccomp_profiles::Profile::with_default(seccomp_profiles::profile::Action::Allow));
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

fn plan_request(
    request: &Create,
    bundle: &Bundle,
    confinement: &Confinement,
    mode: Mode,
    caller: &Caller,
    entry_path: &str,
) -> CreateRequest {
    let mut extra_env = caller.env.clone();
    let notified = notify::host_socket().is_some();
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
        confinement: confinement.clone(),
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

/// The state as hooks read it.
pub fn json(state: &State) -> Vec<u8> {
    // Strings and numbers only: there is nothing in it that could not be written.
    serde_json::to_vec(state).unwrap_or_default()
}
