//! Levels and modes: how much a container is confined, and what a rule does about what it finds.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A set of rules, each level with those of the one before it. The order is from wide to tight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The configuration as written.
    Privileged,
    /// The Pod Security Standard of that name, and what costs ordinary images nothing.
    Baseline,
    /// No capabilities, no root, a read-only root filesystem, the smaller profile.
    Restricted,
}

impl Level {
    /// All of them, from wide to tight.
    pub const ALL: [Level; 3] = [Level::Privileged, Level::Baseline, Level::Restricted];

    /// What holds when nobody says anything.
    pub const DEFAULT: Level = Level::Baseline;

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(word: &str) -> Result<Level, String> {
        let found = Level::ALL.into_iter().find(|level| level.word() == word);
        found.ok_or_else(|| format!("unknown level \"{word}\": want privileged, baseline or restricted"))
    }
}

/// What a rule does about what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing: the rule is not asked.
    Off,
    /// The configuration stays as it is; what the rule would have done is kept in the container's state.
    Audit,
    /// As audit, and the caller is told (`Log::warn`).
    Warn,
    /// It narrows or refuses.
    Enforce,
}

impl Mode {
    /// All of them, from nothing to everything.
    pub const ALL: [Mode; 4] = [Mode::Off, Mode::Audit, Mode::Warn, Mode::Enforce];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Audit => "audit",
            Mode::Warn => "warn",
            Mode::Enforce => "enforce",
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Mode, String> {
        let found = Mode::ALL.into_iter().find(|mode| mode.word() == word);
        found.ok_or_else(|| format!("unknown mode \"{word}\": want enforce, warn, audit or off"))
    }
}
