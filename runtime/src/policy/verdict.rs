//! What policy made of a configuration: the narrowed one, every change with its rule, every refusal with its reason.

use super::enforcement::Enforcement;
use super::rule::Rule;
use crate::error::{Error, Kind};
use crate::plan::Confinement;
use crate::spec::Spec;
use serde::Serialize;
use std::fmt;

/// Something a rule changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The rule.
    pub rule: Rule,
    /// JSON pointer (RFC 6901) into config.json: where it was changed, or where it would stand.
    pub pointer: String,
    /// What was there; empty for something that was missing.
    pub before: String,
    /// What is there now; empty for something that was taken away.
    pub after: String,
}

/// Something a rule refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// JSON pointer into config.json or process.json.
    pub pointer: String,
    /// What is refused, in one line.
    pub cause: String,
    /// Who decided that the rule holds: the level, or a line of the policy.
    pub origin: String,
    /// What would allow it.
    pub allow: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {} ({}; {})", self.rule, self.cause, self.pointer, self.origin)
    }
}

/// A protection that was to be there and is not, or what a rule in mode warn or audit would have done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The rule.
    pub rule: Rule,
    /// What there is to say.
    pub text: String,
    /// Why there is something to say.
    pub why: Why,
}

/// Why there is a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The rule is in mode warn.
    Warn,
    /// The rule is in mode audit.
    Audit,
    /// This kernel or host cannot give it.
    Unavailable,
}

/// The outcome for one configuration.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The configuration as it is after the rules.
    pub spec: Spec,
    /// Protections that config.json has no words for.
    pub confinement: Confinement,
    /// What was changed.
    pub changes: Vec<Change>,
    /// What is refused; with one of these nothing is started.
    pub refusals: Vec<Refusal>,
    /// What else there is to say.
    pub notes: Vec<Note>,
}

/// The refusals as the error that ends a command. Engines show one line of it, so the hint is that of the first.
pub fn denied(refusals: &[Refusal], enforcement: &Enforcement) -> Option<Error> {
    let first = refusals.first()?;
    let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    let message = format!("refused by policy at level {}: {}", enforcement.level, all.join("; "));
    Some(Error::new(Kind::Denied, message).hint(first.allow.clone()))
}
