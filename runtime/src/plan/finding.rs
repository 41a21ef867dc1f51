//! What is wrong with a configuration: all of it at once, each with a pointer to where.

use crate::error::{Error, Kind};
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// JSON pointer (RFC 6901) into config.json or process.json.
    pub pointer: String,
    /// What is wrong with it.
    pub message: String,
    /// Valid, but not something that casemate has.
    pub unsupported: bool,
}

/// How many findings an error names: engines keep one line of it.
const SHOWN: usize = 32;

/// A key as a part of a JSON pointer (RFC 6901, section 3).
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Findings of one pass over a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    /// The configuration breaks the runtime-spec, or itself.
    pub fn invalid(&mut self, pointer: &str, message: impl Into<String>) {
        self.all.push(Finding { pointer: pointer.into(), message: message.into(), unsupported: false });
    }

    /// The configuration asks for something that casemate does not have.
    pub fn unsupported(&mut self, pointer: &str, message: impl Into<String>) {
        self.all.push(Finding { pointer: pointer.into(), message: message.into(), unsupported: true });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Each of them, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.all.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Ok, or everything that was found as one error.
    pub fn into_result(self) -> Result<(), Error> {
        if self.all.is_empty() {
            return Ok(());
        }
        let kind = if self.all.iter().all(|f| f.unsupported) { Kind::Unsupported } else { Kind::InvalidConfig };
        Err(Error::new(kind, self.to_string()))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.all.iter().take(SHOWN).enumerate() {
            let between = if i == 0 { "" } else { "; " };
            write!(f, "{between}{}", finding.message)?;
            if !finding.pointer.is_empty() {
                write!(f, " ({})", finding.pointer)?;
            }
        }
        match self.all.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
