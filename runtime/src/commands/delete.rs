//! `delete`: the end of a container, or of what is left of one.
//!
//! Everything is done in an order that can be repeated: processes, cgroups, hooks, files, and the record last. A
//! `delete` that is killed in between leaves a container that can be deleted.

use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use super::{DEADLINE, Root, json};
use crate::cgroup::{self, Cgroup};
use crate::cli::Delete;
use crate::error::{Call as _, Error, Kind, Result};
use crate::hooks;
use crate::log::Log;
use crate::spec::{self, Spec, Status};
use crate::state::{CONFIG, Container, Entry, Phase, Process, Record, Unknown, of_cgroup};

/// How long the kernel may count processes that are dead.
const SETTLED: Duration = Duration::from_secs(1);

/// Removes a container that is stopped or was never started; with `--force` any, and what cannot be read too.
///
/// # Errors
/// `container does not exist`, unless forced; `cannot delete container ID that is not stopped`, unless forced; all that
/// could not be removed. Without `--force` the container stays then, to be deleted again.
pub fn run(root: &Root, delete: &Delete, log: &Log) -> Result<()> {
    let entry = root.existing().and_then(|store| store.lock(delete.id.as_str()));
    let entry = match entry {
        Err(error) if delete.force && error.kind == Kind::NotFound => return Ok(()),
        other => other?,
    };
    match entry.read() {
        Ok(record) if delete.force => force(&Container { entry, record }, log),
        Ok(record) => ended(&Container { entry, record }, log),
        Err(error) if delete.force => wreck(&entry, &error, log),
        Err(error) => Err(error),
    }
}

/// Without `--force`: the first failure ends it.
fn ended(container: &Container, log: &Log) -> Result<()> {
    let (status, process) = container.look()?;
    match status {
        Status::Stopped | Status::Created => {}
        Status::Creating | Status::Running | Status::Paused => {
            let what = format!("cannot delete container {} that is not stopped: {status}", container.entry.id());
            return Err(Error::new(Kind::WrongState, what));
        }
    }
    end_processes(container, process.as_ref())?;
    remove_cgroups(container, process.as_ref()).map_err(of_cgroup)?;
    run_poststop(container, log);
    container.entry.remove(Unknown::Refuse)
}

/// With `--force`: an init that does not die keeps the container, and so do cgroups that could not be removed: without the
/// record nobody would find them again. Those that are in use by another container are not its own any more.
fn force(container: &Container, log: &Log) -> Result<()> {
    let process = container.process()?;
    let killed = end_processes(container, process.as_ref());
    // Whoever cannot tell whether init is gone has not deleted anything.
    let alive = |process: &Process| match process.is_gone() {
        Ok(true) => None,
        Ok(false) => Some(Error::new(Kind::System, "init is still there after SIGKILL")),
        Err(error) => Some(error),
    };
    if let Some(error) = process.as_ref().and_then(alive) {
        return killed.and(Err(error));
    }
    let cgroups = match remove_cgroups(container, process.as_ref()) {
        Err(error) if !(is_empty(&container.record, process.as_ref()) && error.is_in_use()) => {
            return all_of([killed, Err(of_cgroup(error))]);
        }
        other => other.map_err(of_cgroup),
    };
    run_poststop(container, log);
    all_of([killed, cgroups, container.entry.remove(Unknown::Remove)])
}

/// Kills what is alive and waits for the end of init.
fn end_processes(container: &Container, process: Option<&Process>) -> Result<()> {
    let record = &container.record;
    if let Some(process) = process {
        process.signal(libc::SIGKILL)?;
    }
    let others = if is_empty(record, process) { Ok(()) } else { container.kill_all(DEADLINE) };
    // SIGKILL a second time does no harm.
    all_of([process.map_or(Ok(()), |process| process.kill(DEADLINE)), others])
}

/// Whether all processes of the container are known to be dead: those of a pid namespace of their own die with init.
/// What is in its cgroups then is not its own, for an empty cgroup may be given to another container.
fn is_empty(record: &Record, process: Option<&Process>) -> bool {
    process.is_none() && record.own_pid_namespace && record.phase == Phase::Created
}

fn remove_cgroups(container: &Container, process: Option<&Process>) -> Result<(), cgroup::Error> {
    let driver = cgroup::driver(container.record.systemd_cgroup)?;
    let deadline = if is_empty(&container.record, process) { SETTLED } else { DEADLINE };
    driver.remove(&container.cgroup(), deadline)
}

/// Runs the hooks; one that fails is a warning, as the spec asks for (runtime.md, "Lifecycle").
fn run_poststop(container: &Container, log: &Log) {
    let hooks = &container.record.poststop;
    if hooks.is_empty() {
        return;
    }
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let bundle = &container.record.bundle;
    // The bundle may be gone before its container. The hooks are to clean up, so they run all the same.
    let cwd = open(bundle.as_str(), directory, Mode::empty())
        .or_else(|_| open("/", directory, Mode::empty()))
        .call("open", bundle);
    match (cwd, json(&container.state(Status::Stopped, 0))) {
        (Ok(cwd), Ok(state)) => {
            for error in hooks::warn_all(hooks, "poststop", state.as_bytes(), cwd.as_fd()) {
                log.warn(&error.to_string());
            }
        }
        (Err(error), _) | (_, Err(error)) => log.warn(&format!("poststop hooks: {error}")),
    }
}

/// Removes an entry without a record to go by, for the reason `why`. No process is signalled: what names them cannot be
/// believed. Its cgroups are removed if nothing is in them; while something is, the entry stays and says so.
fn wreck(entry: &Entry, why: &Error, log: &Log) -> Result<()> {
    match entry.salvage_cgroups().or_else(|error| planned_cgroups(entry).ok_or(error)) {
        Ok(records) => {
            let driver = cgroup::driver(false).map_err(of_cgroup)?;
            driver.remove(&Cgroup::open(&records), Duration::ZERO).map_err(|error| {
                of_cgroup(error)
                    .context(format!("state.json of container \"{}\" cannot be used ({why})", entry.id()))
                    .hint("its processes may still run in these cgroups; end them, then delete --force again")
            })?;
        }
        Err(error) => {
            log.warn(&format!("container \"{}\": its cgroups are not known and stay: {error}", entry.id()));
        }
    }
    entry.remove(Unknown::Remove)
}

/// Where the configuration that was stored at create puts the container.
fn planned_cgroups(entry: &Entry) -> Option<Vec<cgroup::Record>> {
    let spec = Spec::parse(&entry.read_file(CONFIG, spec::MAX_BYTES).ok()?).ok()?;
    let asked = spec.linux.as_ref().map(|linux| linux.cgroups_path.as_str()).filter(|path| !path.is_empty());
    let layout = cgroup::Layout::discover().ok()?;
    Some(cgroup::Path::from_spec(asked, entry.id(), &layout).ok()?.records)
}

/// One error of all: the kind of the first and the words of each.
fn all_of<const N: usize>(results: [Result<()>; N]) -> Result<()> {
    let errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        [first, ..] => {
            let texts: Vec<String> = errors.iter().map(Error::to_string).collect();
            Err(Error::new(first.kind, texts.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests;
