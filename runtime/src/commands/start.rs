//! `start`: runs the process of a created container.

use super::Root;
use super::create::json;
use crate::cli::{ContainerId, Delete};
use crate::error::{Call, Error, Kind, Result};
use crate::log::Log;
use crate::plan::{self, CreateRequest};
use crate::policy::judge;
use crate::program::Op;
use crate::spec::{Spec, Status};
use crate::state::{CONFIG, Container};
use crate::{hooks, host, launch, notify, spec};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use std::os::fd::{AsFd, OwnedFd};

/// `casemate start`.
///
/// # Errors
/// A container in another state, or why its process does not run.
pub fn run(root: &Root, id: &ContainerId, log: &Log) -> Result<()> {
    let store = root.existing()?;
    let container = Container::load_locked(&store, id.as_str())?;
    let (status, process) = container.look()?;
    let wrong = |what: &str| Err(Error::new(Kind::WrongState, what));
    let process = match (status, process) {
        (Status::Created, Some(process)) => process,
        (Status::Running, _) => return wrong("cannot start an already running container"),
        (Status::Paused, _) => return wrong("cannot start a container in the paused state"),
        (Status::Creating, _) => return wrong("cannot start a container that is being created"),
        _ => return wrong("cannot start a container that has stopped"),
    };
    let config = container.entry.read_file(CONFIG, spec::MAX_BYTES)?;
    let needs_process = || Error::new(Kind::InvalidConfig, "cannot start a container without process in its config");
    let spec = Spec::parse(&config)?;
    if spec.process.is_none() {
        return Err(needs_process());
    }
    let cgroup = container.cgroup();
    let notified = match notify::host_socket() {
        Some(host) => Some((host, notify::setup(container.entry.as_fd())?)),
        _ => None,
    };
    // Connected first, removed second: what is removed counts as started, whatever happens to this casemate.
    let channel = launch::connect(&container.entry)?;
    container.entry.remove_start()?;
    let listener = container.record.listener.clone();
    let mut deliver = |fd: OwnedFd| match &listener {
        Some(to) => {
            launch::deliver_listener(to, fd.as_fd(), process.pid(), container.state(Status::Running, process.pid()))
        }
        None => Ok(()),
    };
    let program = || program_of(&config, &container).unwrap_or_default();
    let hooks = spec.hooks.as_ref().is_some_and(|hooks| !hooks.start_container.is_empty());
    let expected = launch::Expected { listener: listener.is_some(), hooks };
    launch::start(&channel, process.as_fd(), expected, &program, &cgroup, &mut deliver)
        .map_err(|e| e.context("unable to start container process"))?;
    let bundle = open_bundle(&container.record.bundle)?;
    let state = json(&container.state(Status::Running, process.pid()));
    if let Err(error) = hooks::run_all(&container.record.poststart, "poststart", &state, bundle.as_fd()) {
        // runtime.md, lifecycle: a poststart hook that fails stops the container and destroys it.
        drop(container);
        super::delete::run(root, &Delete { id: id.clone(), force: true }, log)?;
        return Err(error);
    }
    if let Some((host, socket)) = notified
        && let Some(pid) = Pid::from_raw(process.pid())
    {
        // Without the lock: how long it takes is the service's to say, and it can be deleted meanwhile.
        drop(container);
        socket.forward_until_ready(&host, pid, process.as_fd())?;
    }
    Ok(())
}

fn open_bundle(path: &str) -> Result<OwnedFd> {
    // The engine may have taken the bundle away; then hooks run in `/`.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .or_else(|_| rustix::fs::open("/", flags, Mode::empty()))
        .call("open", path)
}

/// The container's program once more, for the words of its last operations or for its filter.
///
/// # Errors
/// A stored configuration that is no longer right.
pub(super) fn program_of(config: &[u8], container: &Container) -> Result<Vec<Op>> {
    let facts = host::facts()?;
    let mut spec = Spec::parse(config)?;
    let mut confinement = plan::Confinement::default();
    if let Some(enforcement) = &container.record.enforcement {
        let verdict = judge::create(&spec, enforcement, &facts);
        (spec, confinement) = (verdict.spec, verdict.confinement);
    }
    let request = CreateRequest {
        id: container.record.id.clone(),
        bundle: container.record.bundle.clone(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
        confinement,
    };
    Ok(plan::create(&spec, &request, &facts)?.program)
}
