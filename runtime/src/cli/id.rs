//! Container ids.

use std::fmt;
use std::str::FromStr;

/// The id of a container: 1 to 255 characters of `[A-Za-z0-9_+.-]`, the first neither `.` nor `-`.
///
/// An id names a directory below the runtime's root and is printed to terminals and given to
/// other programs. So it has no separator, cannot be `..` or look like a flag, leaves names with a
/// leading dot to the runtime, and is no longer than a file name may be (NAME_MAX, 255).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = String;

    fn from_str(text: &str) -> Result<ContainerId, String> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+');
        let first = text.bytes().next().is_some_and(word);
        if first && text.len() <= 255 && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-')) {
            return Ok(ContainerId(text.to_owned()));
        }
        Err("invalid container ID format".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_engines_are_taken() {
        let hex = "a".repeat(64);
        for text in [hex.as_str(), "a", "0", "_x", "+x", "my-app_1.2+b", "a..", "ID", &"a".repeat(255)] {
            assert_eq!(text.parse::<ContainerId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn ids_that_could_leave_the_root_directory_are_refused() {
        for text in [
            "",
            ".",
            "..",
            "...",
            ".a",
            "-a",
            "--all",
            "a/b",
            "/a",
            "../a",
            "a b",
            "a\n",
            "a\0",
            "a:b",
            "a*",
            "\u{e4}",
            "a\u{202e}",
            &"a".repeat(256),
        ] {
            assert_eq!(text.parse::<ContainerId>(), Err("invalid container ID format".to_owned()), "{text:?}");
        }
    }
}
