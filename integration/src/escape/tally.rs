//! Several variants of one attack, tried one after the other and judged as one.

use crate::escape::check::Verdict;
use crate::escape::scene::{Attack, Scene};
use anyhow::Result;

/// How many variants were held off, and how.
#[derive(Debug, Default)]
pub struct Tally {
    tried: usize,
    refused: usize,
    /// What the runtime said to the first that it refused.
    words: String,
}

impl Tally {
    /// Counts a variant. A verdict is the end of the check; without one the variant was refused, or ran (`attack.ran`)
    /// and what must hold is still to be looked at.
    pub fn count(&mut self, scene: &Scene, attack: &Attack) -> Result<Option<Verdict>> {
        self.tried += 1;
        match scene.refused(attack)? {
            Some(Verdict::Refused(words)) => {
                self.refused += 1;
                if self.words.is_empty() {
                    self.words = words;
                }
                Ok(None)
            }
            other => Ok(other),
        }
    }

    /// The verdict on all of them, when each was refused or came to nothing.
    pub fn verdict(self) -> Verdict {
        match (self.refused, self.tried) {
            (_, 0) => Verdict::Invalid("no variant was tried".to_owned()),
            (refused, tried) if refused == tried => Verdict::Refused(self.words),
            (0, tried) => Verdict::Safe(format!("{tried} variants ran and came to nothing")),
            (refused, tried) => Verdict::Safe(format!("of {tried} variants {refused} were refused")),
        }
    }
}
