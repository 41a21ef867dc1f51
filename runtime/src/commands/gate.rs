//! The gate: what the caller, the administrator and the configuration say, brought together before anything is done.

use crate::bundle::Bundle;
use crate::cli::Globals;
use crate::error::Result;
use crate::log::Log;
use crate::plan::Facts;
use crate::policy::{self, Enforcement, Level, Note, Verdict, Why, judge};
use crate::spec::Spec;

/// What the command line says about the level.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    level: Option<Level>,
    called_as: Option<Level>,
}

impl Gate {
    /// As the global options and the program's name have it.
    pub fn of(globals: &Globals) -> Gate {
        Gate { level: globals.level, called_as: globals.called_as }
    }

    /// The policy for a container that is to be created.
    ///
    /// # Errors
    /// A policy file that cannot be trusted or read; a level below the minimum.
    pub fn choose(&self, _bundle: &Bundle) -> Result<(Enforcement, Vec<String>)> {
        let chosen = match (self.level, self.called_as) {
            (Some(level), named) if named.is_none_or(|named| named <= level) => Enforcement::new(level, "--level"),
            (_, Some(named)) => Enforcement::new(named, format!("the name casemate-{named}")),
            _ => Enforcement::new(Level::DEFAULT, "built-in default"),
        };
        Ok((chosen, Vec::new()))
    }

    /// The policy for a command on a container: the one that it was created under, or a tighter level.
    pub fn tighten(&self, stored: Option<&Enforcement>) -> Enforcement {
        let stored = stored.cloned().unwrap_or_else(|| Enforcement::new(Level::Privileged, "made without policy"));
        match self.level.max(self.called_as) {
            Some(level) if level > stored.level => {
                let chosen_by =
                    if self.level == Some(level) { "--level".into() } else { format!("the name casemate-{level}") };
                Enforcement { level, chosen_by, ..stored }
            }
            _ => stored,
        }
    }
}

/// Judges a container that is to be created.
///
/// # Errors
/// Everything that is refused, as one error.
pub fn admit(spec: &Spec, enforcement: &Enforcement, facts: &Facts, log: &Log) -> Result<Verdict> {
    let verdict = judge::create(spec, enforcement, facts);
    if let Some(error) = policy::denied(&verdict.refusals, enforcement) {
        return Err(error);
    }
    tell(&verdict.notes, log);
    Ok(verdict)
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
