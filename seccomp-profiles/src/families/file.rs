//! The format of the profiles in `profiles/`: each call with the reason why it is there. A container waits for this, so
//! nothing is copied: the texts have no escapes, and what else they promise the tests look after.

use crate::capability::CapabilitySet;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;

/// A file of `profiles/`: a family, or the overlay.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
    /// Whom it is for, in a sentence.
    pub(crate) summary: &'a str,
    /// The family that this one begins with.
    #[serde(default)]
    pub(crate) from: Option<&'a str>,
    /// Whether rules of that family that need a capability stay out, whatever the container has.
    #[serde(default)]
    pub(crate) without_capabilities: bool,
    /// For each native architecture the companions that are served too.
    #[serde(default, borrow)]
    pub(crate) architectures: Calls<'a>,
    /// Calls of that family that are not in this one, and why.
    #[serde(default, borrow)]
    pub(crate) remove: Calls<'a>,
    /// Calls; one named here follows these rules alone, not those of the other family.
    #[serde(borrow)]
    pub(crate) rules: Vec<FileRule<'a>>,
    /// Findings of lint that are meant to be there, and why.
    #[serde(default, borrow)]
    pub(crate) accepted: Calls<'a>,
}

/// Calls that are treated alike.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRule<'a> {
    /// Each call and its reason.
    #[serde(borrow)]
    pub(crate) calls: Calls<'a>,
    /// Absent: `allow` in a family, `EPERM` in the overlay.
    #[serde(default)]
    pub(crate) answer: Option<Answer>,
    /// Conditions, see [`crate::compile::condition`]; any line suffices, none means always.
    #[serde(default, borrow)]
    pub(crate) when: Vec<&'a str>,
    /// The rule holds with one of these capabilities only.
    #[serde(default, borrow)]
    pub(crate) capabilities: Vec<&'a str>,
    /// The rule does not hold with this capability.
    #[serde(default)]
    pub(crate) unless_capability: Option<&'a str>,
    /// In the overlay: the word that takes the rule away.
    #[serde(default)]
    pub(crate) token: Option<&'a str>,
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
pub(crate) struct Calls<'a>(pub(crate) Vec<(&'a str, &'a str)>);

impl<'a> Calls<'a> {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, _)| *name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, reason)| *reason)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Calls<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Calls<'a>, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Calls<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words with a sentence each")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Calls<'de>, A::Error> {
                let mut words = Vec::new();
                while let Some(entry) = map.next_entry::<&str, &str>()? {
                    words.push(entry);
                }
                Ok(Calls(words))
            }
        }
        deserializer.deserialize_map(Words)
    }
}

impl FileRule<'_> {
    /// Whether the rule is meant for a container with these capabilities.
    pub(crate) fn holds_with(&self, caps: &CapabilitySet) -> bool {
        let included = self.capabilities.is_empty() || self.capabilities.iter().any(|cap| caps.contains(cap));
        included && !self.unless_capability.as_ref().is_some_and(|cap| caps.contains(cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{families, overlay};

    #[test]
    fn every_word_has_a_reason_and_stands_once() {
        for text in families::FAMILIES.iter().map(|(_, text)| *text).chain([overlay::TEXT]) {
            let file: File<'_> = serde_json::from_str(text).unwrap();
            let lists = [&file.architectures, &file.remove, &file.accepted].into_iter();
            for Calls(words) in lists.chain(file.rules.iter().map(|rule| &rule.calls)) {
                let mut sorted: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                sorted.sort_unstable();
                assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]), "{}: {sorted:?}", file.name);
                assert!(words.iter().all(|(_, reason)| !reason.trim().is_empty()), "{}", file.name);
            }
        }
    }
}
