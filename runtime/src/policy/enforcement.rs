//! What holds for one container: its level, and where the policy says something else than the level.
//!
//! Chosen once, at `create`, and kept in the container's state: `exec` and `update` go by what was chosen then.

use super::level::{Level, Mode};
use super::rule::Rule;
use seccomp_profiles::Profile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that the policy says, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said<T> {
    /// What.
    pub value: T,
    /// Where: `/etc/casemate/policy.toml:12`.
    pub origin: String,
}

/// The profile of containers that bring none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SeccompChoice {
    /// One of the families of the crate `seccomp-profiles`.
    Family(String),
    /// A profile of the administrator's, as it was read when the container was created.
    Profile {
        /// The file it was read from.
        path: String,
        /// What it said.
        profile: Box<Profile>,
    },
}

/// Which processes may be added to a running container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ExecMode {
    /// Any.
    #[default]
    Allow,
    /// Those with exactly one of these argument lists, without a terminal.
    Probes(Vec<Vec<String>>),
    /// None.
    Deny,
}

/// What to do about a protection that this kernel cannot give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lacking {
    /// The container starts; its state says what is missing.
    #[default]
    Report,
    /// The container is refused.
    Refuse,
}

/// The policy as it is for one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enforcement {
    /// The level.
    pub level: Level,
    /// Who chose it: `built-in default`, `--level`, `the name casemate-restricted`, `/etc/casemate/policy.toml:3`.
    pub chosen_by: String,
    /// Rules that are in another mode than the level has them in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<Rule, Said<Mode>>,
    /// Tokens of the seccomp overlay whose calls are let through.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overlay_allow: BTreeMap<String, Said<()>>,
    /// The profile of containers that bring none; absent for the family `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Said<SeccompChoice>>,
    /// Host paths that may be bound although they are sensitive: each with everything below it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binds_allow: BTreeMap<String, Said<()>>,
    /// Which processes may be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Said<ExecMode>>,
    /// What to do about a protection that cannot be had.
    #[serde(default)]
    pub lacking: Lacking,
    /// The categories that were chosen for the container, if SELinux is on and its configuration has no label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<String>,
    /// The exemption that holds, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Said<String>>,
}

impl Enforcement {
    /// A level with nothing changed.
    pub fn new(level: Level, chosen_by: impl Into<String>) -> Enforcement {
        Enforcement {
            level,
            chosen_by: chosen_by.into(),
            modes: BTreeMap::new(),
            overlay_allow: BTreeMap::new(),
            seccomp: None,
            binds_allow: BTreeMap::new(),
            exec: None,
            lacking: Lacking::default(),
            categories: None,
            exemption: None,
        }
    }

    /// What a rule does here.
    pub fn mode(&self, rule: Rule) -> Mode {
        match self.modes.get(&rule) {
            Some(said) => said.value,
            None if rule.from().is_some_and(|from| from <= self.level) => Mode::Enforce,
            None => Mode::Off,
        }
    }

    /// Who put a rule into that mode, for messages: `level baseline (built-in default)`.
    pub fn origin(&self, rule: Rule) -> String {
        match self.modes.get(&rule) {
            Some(said) => said.origin.clone(),
            None => format!("level {}, {}", self.level, self.chosen_by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_the_rules_of_those_below_it() {
        let at = |level| Enforcement::new(level, "test");
        assert_eq!(at(Level::Privileged).mode(Rule::HostPid), Mode::Off);
        assert_eq!(at(Level::Baseline).mode(Rule::HostPid), Mode::Enforce);
        assert_eq!(at(Level::Baseline).mode(Rule::NonRoot), Mode::Off);
        assert_eq!(at(Level::Restricted).mode(Rule::HostPid), Mode::Enforce);
        assert_eq!(at(Level::Restricted).mode(Rule::ProcSubset), Mode::Off);
    }

    #[test]
    fn a_rule_can_be_in_another_mode_than_its_level_says() {
        let mut baseline = Enforcement::new(Level::Baseline, "test");
        let said = Said { value: Mode::Warn, origin: "/etc/casemate/policy.toml:4".into() };
        baseline.modes.insert(Rule::HostPid, said);
        assert_eq!(baseline.mode(Rule::HostPid), Mode::Warn);
        assert_eq!(baseline.origin(Rule::HostPid), "/etc/casemate/policy.toml:4");
        assert_eq!(baseline.origin(Rule::HostIpc), "level baseline, test");
    }
}
