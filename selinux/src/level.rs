//! Levels and ranges: the fourth field of a context, which policies with MLS or MCS have.

use crate::categories::number;
use crate::{Categories, Invalid};
use std::fmt;
use std::str::FromStr;

/// Sensitivities of the policies that distributions ship: s0 to s15; policies for MCS only have s0.
const SENSITIVITIES: u16 = 16;

/// A sensitivity with its categories: `s0`, `s0:c1,c2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level {
    /// 0 to 15.
    sensitivity: u16,
    categories: Categories,
}

impl Level {
    /// Its sensitivity, 0 to 15.
    pub fn sensitivity(&self) -> u16 {
        self.sensitivity
    }

    /// Its categories.
    pub fn categories(&self) -> &Categories {
        &self.categories
    }

    /// Whether this level may read what has the other one: no lower sensitivity, and all of its categories.
    pub fn dominates(&self, other: &Level) -> bool {
        self.sensitivity >= other.sensitivity && self.categories.contains_all(&other.categories)
    }
}

impl FromStr for Level {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Level, Invalid> {
        let (sensitivity, categories) = match text.split_once(':') {
            Some((sensitivity, categories)) => (sensitivity, Categories::parse(categories)?),
            None => (text, Categories::default()),
        };
        let number = sensitivity.strip_prefix('s').and_then(number).filter(|n| *n < SENSITIVITIES);
        let sensitivity = number.ok_or_else(|| Invalid::Sensitivity(text.to_string()))?;
        Ok(Level { sensitivity, categories })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.sensitivity)?;
        if self.categories.is_empty() { Ok(()) } else { write!(f, ":{}", self.categories) }
    }
}

/// From the level at which a process is, to the one that it is cleared for: `s0-s0:c0.c1023`. A single level is the
/// range from itself to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    low: Level,
    high: Level,
}

impl Range {
    /// The lower level.
    pub fn low(&self) -> &Level {
        &self.low
    }

    /// The upper level, which dominates the lower.
    pub fn high(&self) -> &Level {
        &self.high
    }
}

impl FromStr for Range {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Range, Invalid> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let range = Range { low: low.parse()?, high: high.parse()? };
        if range.high.dominates(&range.low) { Ok(range) } else { Err(Invalid::Range(text.to_string())) }
    }
}

/// As the kernel prints it: one level where both are the same.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high { write!(f, "{}", self.low) } else { write!(f, "{}-{}", self.low, self.high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(text: &str) -> Level {
        text.parse().unwrap()
    }

    #[test]
    fn levels_and_ranges_are_read_and_printed() {
        for (given, wanted) in [
            ("s0", "s0"),
            ("s15:c1", "s15:c1"),
            ("s0:c5,c3", "s0:c3,c5"),
            ("s0-s0:c0.c1023", "s0-s0:c0.c1023"),
            ("s0-s0", "s0"),
            ("s0:c1-s3:c1,c2", "s0:c1-s3:c1,c2"),
        ] {
            assert_eq!(given.parse::<Range>().unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn what_is_not_a_level_is_refused() {
        for text in ["", "s", "s16", "s00", "0", "S0", "SystemLow", "s0 ", "c1", "-s0", "s0-", "s0-s0-s0"] {
            assert!(matches!(text.parse::<Range>(), Err(Invalid::Sensitivity(_))), "{text:?}");
        }
        for text in ["s0:", "s0:c1:c2", "s0:s1"] {
            assert!(matches!(text.parse::<Range>(), Err(Invalid::Categories(_))), "{text:?}");
        }
    }

    #[test]
    fn a_range_whose_upper_level_does_not_dominate_is_refused() {
        for text in ["s0:c1-s0", "s1-s0", "s0:c1-s0:c2"] {
            assert_eq!(text.parse::<Range>(), Err(Invalid::Range(text.into())));
        }
    }

    #[test]
    fn a_level_dominates_itself_and_what_has_less_of_both() {
        assert!(level("s0:c1,c2").dominates(&level("s0:c1,c2")));
        assert!(level("s1:c1,c2").dominates(&level("s0:c1")));
        assert!(!level("s0:c1,c2").dominates(&level("s1:c1")));
        assert!(!level("s0:c1,c2").dominates(&level("s0:c1,c3")));
    }
}
