//! The judge: asks every rule about one configuration.

use super::enforcement::{Enforcement, Lacking};
use super::level::Mode;
use super::mounts::Seen;
use super::rule::{Effect, Rule};
use super::verdict::{Change, Note, Refusal, Verdict, Why};
use super::{capabilities, devices, filters, labels, masks, mounts, namespaces, process, resources, sysctls};
use crate::plan::{Confinement, Facts, JoinedNamespace};
use crate::spec::{Linux, Process, Spec};

/// A configuration under judgement.
pub(super) struct Judge<'a> {
    pub enforcement: &'a Enforcement,
    pub facts: &'a Facts,
    /// The configuration as it is so far.
    pub spec: Spec,
    pub confinement: Confinement,
    /// It was refused as a privileged one: what that consists of need not be said one by one.
    pub is_privileged: bool,
    changes: Vec<Change>,
    refusals: Vec<Refusal>,
    notes: Vec<Note>,
}

/// Judges a container that is to be created.
pub fn create(spec: &Spec, enforcement: &Enforcement, facts: &Facts) -> Verdict {
    create_from(spec.clone(), enforcement, facts)
}

/// The same of a configuration that nobody needs any more: a profile has hundreds of names, and copying them takes longer
/// than judging.
pub fn create_from(spec: Spec, enforcement: &Enforcement, facts: &Facts) -> Verdict {
    let mut judge = Judge::new(spec, enforcement, facts);
    // First, because it decides what else needs to be said.
    capabilities::privileged(&mut judge);
    capabilities::judge(&mut judge);
    process::judge(&mut judge);
    namespaces::judge(&mut judge);
    sysctls::judge(&mut judge);
    mounts::judge(&mut judge);
    // After the mounts: what is masked depends on what is mounted.
    masks::judge(&mut judge);
    devices::judge(&mut judge);
    resources::judge(&mut judge);
    labels::judge(&mut judge);
    // After the capabilities, which profiles depend on.
    filters::judge(&mut judge);
    judge.verdict()
}

/// Judges what the configuration named, after it was opened: what only the objects themselves tell.
pub fn objects(
    spec: &Spec,
    bundle: &str,
    sources: &[Seen<'_>],
    joined: &[JoinedNamespace],
    enforcement: &Enforcement,
    facts: &Facts,
) -> Verdict {
    // What names something on the host, and no more: see `create_from`.
    let namespaces = spec.linux.as_ref().map(|linux| linux.namespaces.clone()).unwrap_or_default();
    let linux = Some(Linux { namespaces, ..Linux::default() });
    let named = Spec { root: spec.root.clone(), mounts: spec.mounts.clone(), linux, ..Spec::default() };
    let mut judge = Judge::new(named, enforcement, facts);
    mounts::opened(&mut judge, bundle, sources);
    namespaces::joined(&mut judge, joined);
    judge.verdict()
}

impl<'a> Judge<'a> {
    pub(super) fn new(spec: Spec, enforcement: &'a Enforcement, facts: &'a Facts) -> Judge<'a> {
        Judge {
            enforcement,
            facts,
            spec,
            confinement: Confinement::default(),
            is_privileged: false,
            changes: Vec::new(),
            refusals: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        Verdict {
            spec: self.spec,
            confinement: self.confinement,
            changes: self.changes,
            refusals: self.refusals,
            notes: self.notes,
        }
    }

    /// Whether a rule is to be asked at all.
    pub(super) fn asks(&self, rule: Rule) -> bool {
        self.enforcement.mode(rule) != Mode::Off
    }

    /// Whether a rule that would change something is to do it; keeps the change, or what would have been changed.
    pub(super) fn narrows(&mut self, rule: Rule, pointer: &str, before: &str, after: &str) -> bool {
        debug_assert_eq!(rule.effect(), Effect::Narrow, "{rule}");
        let change = || Change { rule, pointer: pointer.into(), before: before.into(), after: after.into() };
        match self.enforcement.mode(rule) {
            Mode::Off => {}
            Mode::Enforce => self.changes.push(change()),
            mode => {
                let text = match (before, after) {
                    (before, "") => format!("would take away {before}"),
                    ("", after) => format!("would add {after}"),
                    (before, after) => format!("would make {after} of {before}"),
                };
                self.note(rule, pointer, text, mode);
            }
        }
        self.enforcement.mode(rule) == Mode::Enforce
    }

    /// Refuses, or keeps what would have been refused.
    pub(super) fn refuse(&mut self, rule: Rule, pointer: &str, cause: impl Into<String>, allow: impl Into<String>) {
        debug_assert_eq!(rule.effect(), Effect::Refuse, "{rule}");
        self.against(rule, pointer, cause.into(), allow.into());
    }

    fn against(&mut self, rule: Rule, pointer: &str, cause: String, allow: String) {
        match self.enforcement.mode(rule) {
            Mode::Off => {}
            Mode::Enforce => {
                let origin = self.enforcement.origin(rule);
                self.refusals.push(Refusal { rule, pointer: pointer.into(), cause, origin, allow });
            }
            mode => self.note(rule, pointer, format!("would refuse: {cause}"), mode),
        }
    }

    /// A protection that this kernel cannot give: refused or reported, as the policy says.
    pub(super) fn lacks(&mut self, rule: Rule, what: &str) {
        match self.enforcement.lacking {
            Lacking::Refuse if self.enforcement.mode(rule) == Mode::Enforce => {
                let allow = "lacking = \"report\" in the policy lets containers start without it";
                self.against(rule, "", format!("this host cannot give it: {what}"), allow.into());
            }
            _ => self.notes.push(Note { rule, text: what.into(), why: Why::Unavailable }),
        }
    }

    fn note(&mut self, rule: Rule, pointer: &str, text: String, mode: Mode) {
        let why = if mode == Mode::Warn { Why::Warn } else { Why::Audit };
        let text = if pointer.is_empty() { text } else { format!("{text} ({pointer})") };
        self.notes.push(Note { rule, text, why });
    }

    /// The process, if the configuration has one.
    pub(super) fn process(&mut self) -> Option<&mut Process> {
        self.spec.process.as_mut()
    }

    /// The Linux part, made if there is none.
    pub(super) fn linux(&mut self) -> &mut Linux {
        self.spec.linux.get_or_insert_default()
    }
}

/// The line that switches a rule off, as hints have it.
pub(super) fn switch_off(rule: Rule) -> String {
    format!("`{rule} = \"off\"` under [rules] or in an exemption of /etc/casemate/policy.toml allows it")
}
