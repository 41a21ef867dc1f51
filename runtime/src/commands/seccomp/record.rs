//! `seccomp record`: runs a bundle, and makes the least profile from what its processes call.

use super::super::caller::Caller;
use super::super::create::Made;
use super::super::gate::Gate;
use super::super::{Root, print, run};
use super::denied::Tally;
use super::guard::Guard;
use super::verdict::Verdict;
use super::watch::{Watch, What};
use crate::cli::{ContainerId, Create, Run, SeccompRecord};
use crate::error::{Call as _, Error, Kind, Result};
use crate::log::Log;
use crate::state::Container;
use seccomp_profiles::record::Recording;
use seccomp_profiles::{Arch, Profile};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// `casemate seccomp record`; answers the process's exit code.
///
/// # Errors
/// What `run` would say; profiles that cannot be merged; an output that cannot be written; calls that were not counted.
pub fn run(
    root: &Root,
    systemd_cgroup: bool,
    gate: &Gate,
    request: &SeccompRecord,
    log: &Log,
    out: &mut dyn Write,
) -> Result<ExitCode> {
    // First of all: what is opened here must not be taken for a descriptor that LISTEN_FDS counts.
    let caller = Caller::secure(0)?;
    // All that can be wrong without the container is, before it runs.
    let bases = request.merge.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    profile(&Recording::default(), &bases, request)?;
    let output = request.output.as_deref().map(open).transpose()?;
    let id = match &request.id {
        Some(id) => id.clone(),
        None => own_id()?,
    };
    let guard = Guard::start(root, &id)?;
    let mut watching = None;
    let mut begin = |made: &Made| {
        let verdict = Verdict::of(&Container::load(&root.existing()?, id.as_str())?)?;
        let what = What::Made { arguments: request.arguments };
        watching = Some((Watch::begin(&made.record.cgroups, verdict.as_ref(), what)?, verdict));
        Ok(())
    };
    let ended = run::watched(root, systemd_cgroup, gate, &run_request(&id, request), caller, &mut begin, log);
    // The container is gone, or `run` has said why not.
    let dismissed = guard.dismiss();
    let code = ended?;
    dismissed?;
    let (watch, verdict) = watching.ok_or_else(|| Error::new(Kind::System, "the container ran and was not watched"))?;
    let recording = watch.made()?;
    let denied = verdict.as_ref().map(|verdict| watch.denied(verdict)).transpose()?;
    let [lost, _] = watch.lost()?;
    if lost > 0 {
        let what = format!("{lost} calls found no place: the profile would not be complete");
        return Err(Error::new(Kind::System, what).hint("record without --arguments"));
    }
    for (arch, number) in recording.unnamed() {
        log.warn(&format!("call {number} of {} has no name here, so no profile can allow it", arch.name()));
    }
    let mut tally = Tally::default();
    tally.add(&denied.unwrap_or_default().0);
    if !tally.is_empty() {
        eprint!("denied by the container's own filter, and not in the profile:\n{}", tally.table());
    }
    let mut json = serde_json::to_string_pretty(&profile(&recording, &bases, request)?)
        .map_err(|why| Error::new(Kind::System, why.to_string()))?;
    json.push('\n');
    match (output, &request.output) {
        (Some(mut file), Some(path)) => {
            // A pipe or a device has no length.
            let empty = if file.metadata().is_ok_and(|file| file.is_file()) { file.set_len(0) } else { Ok(()) };
            empty.and_then(|()| file.write_all(json.as_bytes())).call("write", path.display())?
        }
        _ => print(out, &json).map(drop)?,
    }
    eprintln!("{} different system calls were seen", recording.count());
    Ok(code)
}

fn profile(recording: &Recording, bases: &[Profile], request: &SeccompRecord) -> Result<Profile> {
    recording.profile(Arch::X86_64, bases).map_err(|(at, why)| {
        let path = request.merge.get(at).map(|path| path.display().to_string()).unwrap_or_default();
        let error = Error::new(Kind::InvalidConfig, format!("merge \"{path}\": {why}"));
        error.hint("only lists of what is allowed can be merged, as record makes them")
    })
}

fn read(path: &Path) -> Result<Profile> {
    let text = std::fs::read(path).call("read", path.display())?;
    Profile::from_json(&text).map_err(|why| Error::new(Kind::InvalidConfig, format!("\"{}\": {why}", path.display())))
}

/// Opened before the run, and written after it: what is merged may be the same file.
fn open(path: &Path) -> Result<File> {
    File::options().write(true).create(true).truncate(false).open(path).call("open", path.display())
}

fn own_id() -> Result<ContainerId> {
    format!("record-{}", std::process::id()).parse().map_err(|what: String| Error::new(Kind::Usage, what))
}

fn run_request(id: &ContainerId, request: &SeccompRecord) -> Run {
    let create = Create {
        id: id.clone(),
        bundle: Some(request.bundle.clone()),
        console_socket: None,
        pidfd_socket: None,
        pid_file: None,
        no_pivot: false,
        no_new_keyring: false,
        preserve_fds: 0,
        recorded: true,
    };
    Run { create, detach: false, keep: false, no_subreaper: false }
}
