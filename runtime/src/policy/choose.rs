//! What holds for one container: the caller's level, the administrator's document and the container's annotations
//! brought together.

use super::date::Date;
use super::document::{Document, Exemption, Settings};
use super::enforcement::{Enforcement, ExecMode, Said};
use super::level::{Level, Mode};
use super::rule::Rule;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// The annotation by which a container asks for a tighter level.
pub const LEVEL_ANNOTATION: &str = "io.casemate.level";
/// The annotation by which a container asks that nothing be added to it: `deny`.
pub const EXEC_ANNOTATION: &str = "io.casemate.exec";

/// What the caller asks for; the caller is the administrator's engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// `--level`.
    pub level: Option<Level>,
    /// The level in the name it calls us by.
    pub called_as: Option<Level>,
}

/// What is known about the container.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Of config.json.
    pub annotations: &'a BTreeMap<String, String>,
    /// Its cgroup in the hierarchy: `/kubepods/besteffort/podX/ID`. Empty where it has none: no exemption matches it.
    pub cgroup: &'a str,
    /// Its root filesystem, absolute.
    pub rootfs: &'a str,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What holds.
    pub enforcement: Enforcement,
    /// Exemptions for this container that have expired.
    pub warnings: Vec<String>,
}

/// Chooses.
///
/// The level is the caller's (the tighter of two), else the document's, else [`Level::DEFAULT`] or the minimum if that is
/// tighter. An exemption's replaces it, even by a wider one. The annotations come last and can only tighten.
///
/// # Errors
/// [`Kind::Denied`] for a caller who asks for less than the minimum; [`Kind::InvalidConfig`] for an annotation of ours
/// with a word that means nothing.
pub fn choose(caller: &Caller, document: Option<&Document>, subject: &Subject<'_>, today: Date) -> Result<Choice> {
    let mut warnings = Vec::new();
    let exemption = document.and_then(|document| find(document, subject, today, &mut warnings));
    let mut settings = document.map(|document| document.settings.clone()).unwrap_or_default();
    if let Some(exemption) = exemption {
        settings.override_with(&exemption.settings);
        switch_on(&mut settings, &exemption.settings);
    }
    let (level, chosen_by) = match exemption {
        Some(Exemption { name, settings: Settings { level: Some(level), .. }, .. }) => {
            (level.value, format!("exemption {} ({})", name.value, name.origin))
        }
        _ => asked_for(caller, document)?,
    };
    let mut enforcement = Enforcement {
        modes: settings.modes,
        overlay_allow: settings.overlay_allow,
        seccomp: settings.seccomp,
        binds_allow: settings.binds_allow,
        exec: settings.exec,
        lacking: document.and_then(|document| document.lacking.as_ref()).map(|said| said.value).unwrap_or_default(),
        exemption: exemption.map(|exemption| exemption.name.clone()),
        ..Enforcement::new(level, chosen_by)
    };
    tighten(&mut enforcement, subject.annotations)?;
    Ok(Choice { enforcement, warnings })
}

/// The level of the caller or, where it names none, of the document.
fn asked_for(caller: &Caller, document: Option<&Document>) -> Result<(Level, String)> {
    let minimum = document.and_then(|document| document.minimum.as_ref());
    let chosen = match (caller.level, caller.called_as) {
        (Some(level), called_as) if called_as.is_none_or(|name| name <= level) => (level, "--level".to_owned()),
        (_, Some(level)) => (level, format!("the name casemate-{level}")),
        _ => match (document.and_then(|document| document.settings.level.as_ref()), minimum) {
            (Some(said), _) => (said.value, said.origin.clone()),
            (None, Some(minimum)) if minimum.value > Level::DEFAULT => (minimum.value, minimum.origin.clone()),
            _ => (Level::DEFAULT, "built-in default".to_owned()),
        },
    };
    match minimum {
        Some(Said { value: minimum, origin }) if chosen.0 < *minimum => {
            let (level, by) = chosen;
            let what = format!("refused by policy: level {level} ({by}) is below the minimum {minimum} ({origin})");
            let hint = format!("ask for {minimum}, or let the administrator add an exemption for this container");
            Err(Error::new(Kind::Denied, what).hint(hint))
        }
        _ => Ok(chosen),
    }
}

/// The first exemption for this container; expired ones are told about and passed over.
fn find<'a>(
    document: &'a Document,
    subject: &Subject<'_>,
    today: Date,
    warnings: &mut Vec<String>,
) -> Option<&'a Exemption> {
    for exemption in document.exemptions.iter().filter(|exemption| matches(exemption, subject)) {
        let Exemption { name, expires, .. } = exemption;
        if today <= expires.value {
            return Some(exemption);
        }
        let (day, at) = (expires.value, &expires.origin);
        warnings.push(format!("exemption \"{}\" is not applied: its last day was {day} ({at})", name.value));
    }
    None
}

fn matches(exemption: &Exemption, subject: &Subject<'_>) -> bool {
    let holds = |prefix: &Option<String>, path| prefix.as_ref().is_none_or(|prefix| is_at_or_below(path, prefix));
    holds(&exemption.cgroup, subject.cgroup)
        && holds(&exemption.rootfs, subject.rootfs)
        && exemption.annotations.iter().all(|(key, said)| subject.annotations.get(key) == Some(&said.value))
}

/// Whether a path is `prefix` or below it. One that goes up again is below nothing.
fn is_at_or_below(path: &str, prefix: &str) -> bool {
    let below = path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below && path.split('/').all(|part| part != "..")
}

/// What an exemption says about seccomp and exec is meant to hold, also at a level that does not have the rule.
fn switch_on(settings: &mut Settings, own: &Settings) {
    let exec = own.exec.as_ref().filter(|said| said.value != ExecMode::Allow);
    let said = [
        (Rule::SeccompProfile, own.seccomp.as_ref().map(|said| &said.origin)),
        (Rule::ExecMode, exec.map(|said| &said.origin)),
    ];
    for (rule, origin) in said {
        if let (Some(origin), false) = (origin, own.modes.contains_key(&rule)) {
            settings.modes.insert(rule, Said { value: Mode::Enforce, origin: origin.clone() });
        }
    }
}

/// The container's own wishes. They are written by whoever may start it, so they count only where they tighten.
fn tighten(enforcement: &mut Enforcement, annotations: &BTreeMap<String, String>) -> Result<()> {
    let origin = |key: &str| format!("annotation {key}");
    let wrong = |key: &str, why: String| Error::new(Kind::InvalidConfig, format!("annotation \"{key}\": {why}"));
    if let Some(word) = annotations.get(LEVEL_ANNOTATION) {
        let level: Level = word.parse().map_err(|why| wrong(LEVEL_ANNOTATION, why))?;
        if level > enforcement.level {
            enforcement.level = level;
            enforcement.chosen_by = origin(LEVEL_ANNOTATION);
        }
    }
    match annotations.get(EXEC_ANNOTATION).map(String::as_str) {
        None => {}
        Some("deny") => {
            let origin = origin(EXEC_ANNOTATION);
            enforcement.modes.insert(Rule::ExecMode, Said { value: Mode::Enforce, origin: origin.clone() });
            enforcement.exec = Some(Said { value: ExecMode::Deny, origin });
        }
        Some(other) => return Err(wrong(EXEC_ANNOTATION, format!("unknown word \"{other}\": want deny"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
