//! The format of the profiles in `profiles/`: each call with the reason why it is there.

use crate::capability::CapabilitySet;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;

/// A file of `profiles/`: a family, or the overlay.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: String,
    /// Whom it is for, in a sentence.
    pub(crate) summary: String,
    /// The family that this one begins with.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// Whether rules of that family that need a capability stay out, whatever the container has.
    #[serde(default)]
    pub(crate) without_capabilities: bool,
    /// For each native architecture the companions that are served too.
    #[serde(default)]
    pub(crate) architectures: Calls,
    /// Calls of that family that are not in this one, and why.
    #[serde(default)]
    pub(crate) remove: Calls,
    /// Calls; one named here follows these rules alone, not those of the other family.
    pub(crate) rules: Vec<FileRule>,
    /// Findings of lint that are meant to be there, and why.
    #[serde(default)]
    pub(crate) accepted: Calls,
}

/// Calls that are treated alike.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRule {
    /// Each call and its reason.
    pub(crate) calls: Calls,
    /// Absent: `allow` in a family, `EPERM` in the overlay.
    #[serde(default)]
    pub(crate) answer: Option<Answer>,
    /// Conditions, see [`crate::compile::condition`]; any line suffices, none means always.
    #[serde(default)]
    pub(crate) when: Vec<String>,
    /// The rule holds with one of these capabilities only.
    #[serde(default)]
    pub(crate) capabilities: Vec<String>,
    /// The rule does not hold with this capability.
    #[serde(default)]
    pub(crate) unless_capability: Option<String>,
    /// In the overlay: the word that takes the rule away.
    #[serde(default)]
    pub(crate) token: Option<String>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) enum Answer {
    #[serde(rename = "allow")]
    Allow,
    #[serde(rename = "EPERM")]
    Eperm,
    #[serde(rename = "ENOSYS")]
    Enosys,
}

/// Words with a sentence each, in the order of the file, no word twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls(pub(crate) Vec<(String, String)>);

impl Calls {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, reason)| reason.as_str())
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Calls, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Calls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words with a sentence each")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Calls, A::Error> {
                let mut words: Vec<(String, String)> = Vec::with_capacity(512);
                while let Some((word, sentence)) = map.next_entry::<String, String>()? {
                    if sentence.trim().is_empty() {
                        return Err(A::Error::custom(format_args!("\"{word}\" has no reason")));
                    }
                    words.push((word, sentence));
                }
                let mut sorted: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
                sorted.sort_unstable();
                if let Some(word) =
                    sorted.iter().zip(sorted.iter().skip(1)).find(|(left, right)| left == right).map(|pair| pair.0)
                {
                    return Err(A::Error::custom(format_args!("\"{word}\" is there twice")));
                }
                Ok(Calls(words))
            }
        }
        deserializer.deserialize_map(Words)
    }
}

impl FileRule {
    /// Whether the rule is meant for a container with these capabilities.
    pub(crate) fn holds_with(&self, caps: &CapabilitySet) -> bool {
        let included = self.capabilities.is_empty() || self.capabilities.iter().any(|cap| caps.contains(cap));
        included && !self.unless_capability.as_ref().is_some_and(|cap| caps.contains(cap))
    }
}
