//! The gate: what the caller, the administrator and the configuration say, brought together before anything is done.

use super::Root;
use crate::cgroup;
use crate::cli::Globals;
use crate::error::{Call as _, Context as _, Kind, Result};
use crate::launch::{self, Sources};
use crate::log::Log;
use crate::plan::{Facts, FileKind, Source, clean};
use crate::policy::{
    self, Caller, Enforcement, Level, Mode, Note, Rule, Seen, Subject, Verdict, Why, judge, sensitive,
};
use crate::policy_file;
use crate::spec::Spec;
use crate::state::Container;
use std::os::fd::AsFd as _;
use std::path::Path;

/// What the command line says about the level.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    caller: Caller,
}

impl Gate {
    /// As the global options and the program's name have it.
    pub fn of(globals: &Globals) -> Gate {
        Gate { caller: Caller { level: globals.level, called_as: globals.called_as } }
    }

    /// The policy for a container that is to be created.
    ///
    /// # Errors
    /// A policy file that cannot be trusted or read; a level below the minimum.
    pub fn choose(&self, id: &str, spec: &Spec, bundle: &str, facts: &Facts, log: &Log) -> Result<Enforcement> {
        let document = policy_file::read()?;
        let linux = spec.linux.as_ref();
        let asked = linux.map(|linux| linux.cgroups_path.as_str()).filter(|path| !path.is_empty());
        // A path that cannot be is the plan's to refuse; no exemption is for it.
        let cgroup = cgroup::Path::from_spec(asked, id, &facts.cgroups).ok();
        let cgroup = cgroup.and_then(|path| Some(format!("/{}", path.records.first()?.path))).unwrap_or_default();
        let rootfs = spec.root.as_ref().map_or("", |root| root.path.as_str());
        let rootfs = clean(&if rootfs.starts_with('/') { rootfs.to_string() } else { format!("{bundle}/{rootfs}") });
        let subject = Subject { annotations: &spec.annotations, cgroup: &cgroup, rootfs: &rootfs };
        let choice = policy::choose(&self.caller, document.as_ref(), &subject, policy_file::today()?)?;
        choice.warnings.iter().for_each(|warning| log.warn(warning));
        Ok(choice.enforcement)
    }

    /// The policy for a command on a container: the one that it was created under, or a tighter level.
    pub fn tighten(&self, stored: Option<&Enforcement>) -> Enforcement {
        let stored = stored.cloned().unwrap_or_else(|| Enforcement::new(Level::Privileged, "made without policy"));
        let Caller { level, called_as } = self.caller;
        match level.max(called_as) {
            Some(tighter) if tighter > stored.level => {
                let by_option = level == Some(tighter);
                let chosen_by = if by_option { "--level".into() } else { format!("the name casemate-{tighter}") };
                Enforcement { level: tighter, chosen_by, ..stored }
            }
            _ => stored,
        }
    }
}

/// Judges a container that is to be created.
///
/// # Errors
/// Everything that is refused, as one error.
pub fn admit(spec: Spec, enforcement: &Enforcement, facts: &Facts, log: &Log) -> Result<Verdict> {
    let verdict = judge::create_from(spec, enforcement, facts);
    if let Some(error) = policy::denied(&verdict.refusals, enforcement) {
        return Err(error);
    }
    tell(&verdict.notes, log);
    Ok(verdict)
}

/// Judges what the configuration (`spec`, as the rules left it) names on the host, now that it is open: a path can lead
/// anywhere. Answers what there is to say beside refusals, for the container's state.
///
/// # Errors
/// Everything that is refused, as one error.
pub fn admit_sources(
    root: &Root,
    spec: &Spec,
    bundle: &str,
    sources: &Sources,
    enforcement: &Enforcement,
    facts: &Facts,
    log: &Log,
) -> Result<Vec<Note>> {
    let rules = [Rule::SensitiveBinds, Rule::HostPid, Rule::HostIpc, Rule::HostNetwork, Rule::HostUts];
    if rules.iter().all(|rule| enforcement.mode(*rule) == Mode::Off) {
        return Ok(Vec::new());
    }
    let mut paths = sources.paths()?;
    for layer in policy::overlay_layers(spec) {
        paths.push(looked_up(&layer)?);
    }
    let state = std::fs::canonicalize(&root.path).unwrap_or_else(|_| root.path.clone());
    let seen = |source| Seen { source, same_as: same_as(source).or_else(|| holds_state(source, &state)) };
    let seen: Vec<Seen<'_>> = paths.iter().map(seen).collect();
    let verdict = judge::objects(spec, bundle, &seen, &sources.namespaces()?, enforcement, facts);
    tell(&verdict.notes, log);
    policy::denied(&verdict.refusals, enforcement).map_or(Ok(verdict.notes), Err)
}

/// Engines keep casemate's state in places of their own. Whoever can write there says what containers are.
fn holds_state(source: &Source, state: &Path) -> Option<&'static str> {
    let place = Path::new(&source.real_path);
    (place.starts_with(state) || state.starts_with(place)).then_some("/run/casemate")
}

/// Where a layer of an overlay is. The kernel looks it up once more.
fn looked_up(path: &str) -> Result<Source> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // One that is not there now may be by the time of the mount, and would not have been looked at.
    let layer = open(path, flags, Mode::empty())
        .call("open", path)
        .map_err(|error| error.as_kind(Kind::InvalidConfig))
        .hint("the layer of an overlay does not exist or cannot be reached")?;
    launch::place_of(layer.as_fd(), path, usize::MAX)
}

/// The sensitive directory or socket that a source is under another name.
fn same_as(source: &Source) -> Option<&'static str> {
    if !matches!(source.kind, FileKind::Directory | FileKind::Socket) {
        return None;
    }
    let is_it = |path: &&&str| {
        // What is not there is nobody's source.
        rustix::fs::stat(**path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (source.device, source.inode))
    };
    sensitive::WHOLES.iter().find(is_it).copied()
}

/// Chooses categories for a container that needs some, so that no other one of this root has them but those of its
/// sandbox.
///
/// # Errors
/// The root cannot be listed.
pub fn categories(root: &Root, id: &str, spec: &Spec, enforcement: &mut Enforcement, facts: &Facts) -> Result<()> {
    let labelled = spec.process.as_ref().is_none_or(|process| !process.selinux_label.is_empty());
    if !facts.selinux || labelled || enforcement.mode(Rule::SelinuxLabel) != Mode::Enforce {
        return Ok(());
    }
    let mut taken = Vec::new();
    if let Some(store) = root.store()? {
        for other in store.ids()? {
            // One that cannot be read has no process that could meet ours: it was never made, or is gone.
            let Ok(other) = Container::load(&store, &other) else { continue };
            let same =
                policy::sandbox(&other.record.id, &other.record.annotations) == policy::sandbox(id, &spec.annotations);
            taken.extend(other.record.enforcement.and_then(|held| held.categories).filter(|_| !same));
        }
    }
    enforcement.categories = Some(policy::categories(id, &spec.annotations, &taken));
    Ok(())
}

/// Tells the administrator what rules in mode warn found, and what is missing.
pub fn tell(notes: &[Note], log: &Log) {
    for note in notes {
        let text = format!("policy [{}] {}", note.rule, note.text);
        match note.why {
            Why::Warn | Why::Unavailable => log.warn(&text),
            Why::Audit => log.debug(&text),
        }
    }
}
