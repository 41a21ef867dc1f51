//! Numeric users of `exec --user`, strictly.

use std::str::FromStr;

/// A user id, and a group id where one was given.
///
/// Read with exact widths and nothing else around the digits: a wider number cut to 32 bits would
/// be another user, as often as not root, and 4294967295 is `(uid_t)-1`, which setresuid(2) takes
/// for "leave it".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user id, below 4294967295.
    pub uid: u32,
    /// The group id, below 4294967295; absent leaves the container's.
    pub gid: Option<u32>,
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<User, String> {
        let parsed = match text.split_once(':') {
            None => parse_id(text).map(|uid| User { uid, gid: None }),
            Some((uid, gid)) => parse_id(uid).and_then(|uid| parse_id(gid).map(|gid| User { uid, gid: Some(gid) })),
        };
        parsed.ok_or_else(|| format!("invalid user \"{text}\": want UID or UID:GID, numbers from 0 to 4294967294"))
    }
}

/// Reads a user or group id: decimal digits without a leading zero, from 0 to 4294967294.
pub fn parse_id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    let id = if digits && canonical { text.parse::<u32>().ok()? } else { return None };
    (id != u32::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        assert_eq!("0".parse(), Ok(User { uid: 0, gid: None }));
        assert_eq!("1000:100".parse(), Ok(User { uid: 1000, gid: Some(100) }));
        assert_eq!("4294967294:4294967294".parse(), Ok(User { uid: 4_294_967_294, gid: Some(4_294_967_294) }));
    }

    #[test]
    fn numbers_that_would_be_cut_or_mean_no_change_are_refused() {
        for text in [
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "-1",
            "1:",
            ":1",
            ":",
            "",
            "1x",
            " 1",
            "1 ",
            "0x1",
            "+1",
            "01",
            "1:4294967296",
            "1:4294967295",
            "1:-1",
            "1:2:3",
            "root",
            "\u{661}",
        ] {
            assert!(text.parse::<User>().is_err(), "{text}");
        }
    }
}
