//! A check: what must not be possible, and the verdict on it.

use crate::escape::scene::Scene;
use crate::host::Fact;
use anyhow::Result;
use regex_lite::Regex;

/// What is known about a check beside its name.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// Public advisories that name a program: what the check finds in that program may be published.
    Advisory(&'static str, &'static str),
    /// The runtime whose `--version` begins so has the hole: when it does not come out `UNSAFE`, the check proves nothing.
    KnownHole(&'static str),
    /// The host must have this.
    Needs(Fact),
    /// Hardening of casemate's own, which no configuration can ask another runtime for.
    Own(&'static str),
    /// The levels of casemate at which the hardening is in force; other runtimes and levels do not have it.
    Levels(&'static [&'static str]),
    /// casemate refuses the feature by name until it has it.
    Later(&'static str),
}

/// How a check ended in one runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The container ran and what must hold did hold. The text may say how often, or how it was seen.
    Safe(String),
    /// The runtime refused, with these words, the container never ran, and nothing was left.
    Refused(String),
    /// What must not happen did.
    Unsafe(String),
    /// Could not be tried here: the key of the missing fact (see expected-skips.txt), and why.
    Unavailable(&'static str, String),
    /// The check itself went wrong, or its benign twin did not run: it says nothing about the runtime.
    Invalid(String),
}

impl Verdict {
    /// What held, held.
    pub fn safe() -> Self {
        Self::Safe(String::new())
    }

    /// One word for a cell of the table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Safe(_) => "safe",
            Self::Refused(_) => "refused",
            Self::Unsafe(_) => "UNSAFE",
            Self::Unavailable(..) => "unavailable",
            Self::Invalid(_) => "INVALID",
        }
    }

    /// The words beside it; may be empty.
    pub fn detail(&self) -> &str {
        match self {
            Self::Safe(text) | Self::Refused(text) | Self::Unsafe(text) | Self::Invalid(text) => text,
            Self::Unavailable(_, text) => text,
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Check {
    /// An advisory's id, or the group's letter and number.
    pub id: &'static str,
    /// The behaviour that must hold.
    pub name: &'static str,
    pub marks: Vec<Mark>,
    pub body: fn(&Scene) -> Result<Verdict>,
}

impl Check {
    /// `id name`, what `--filter` is matched against.
    pub fn title(&self) -> String {
        format!("{} {}", self.id, self.name)
    }

    /// The public advisories about one program.
    pub fn advisory(&self, program: &str) -> Option<&'static str> {
        self.marks.iter().find_map(|mark| match mark {
            Mark::Advisory(of, ids) if *of == program => Some(*ids),
            _ => None,
        })
    }
}

/// The checks a filter leaves.
pub fn select(checks: Vec<Check>, filter: Option<&Regex>) -> Vec<Check> {
    checks.into_iter().filter(|check| filter.is_none_or(|filter| filter.is_match(&check.title()))).collect()
}

/// The list of a file's checks: an id, the function whose name is the behaviour, and marks in brackets.
#[macro_export]
macro_rules! checks {
    ($($id:literal $name:ident $([$($mark:expr),+])?;)+) => {
        /// The checks of this file.
        pub fn all() -> Vec<$crate::escape::check::Check> {
            #[allow(unused_imports)]
            use $crate::{escape::check::Mark::*, host::Fact::*};
            vec![$($crate::escape::check::Check {
                id: $id, name: stringify!($name), marks: vec![$($($mark),+)?], body: $name,
            }),+]
        }
    };
}

/// Returns `UNSAFE` with the words that follow unless the condition holds.
#[macro_export]
macro_rules! holds {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Ok($crate::escape::check::Verdict::Unsafe(format!($($words)+)));
        }
    };
}
