//! Names of the host's users, from /etc/passwd alone: other sources would need plug-ins of the C library.

use std::collections::BTreeMap;
use std::io::Read as _;

/// Limit of the file, in bytes; what is behind it gets no names.
const MAX_BYTES: u64 = 1 << 20;

/// Names by user id.
#[derive(Debug, Default)]
pub(super) struct Passwd {
    names: BTreeMap<u32, String>,
}

impl Passwd {
    /// Reads the file; without it there are numbers in place of names.
    pub(super) fn read() -> Passwd {
        let mut text = Vec::new();
        if let Ok(file) = std::fs::File::open("/etc/passwd") {
            // Half a file has half the names, which are only shown to people.
            let _read = file.take(MAX_BYTES).read_to_end(&mut text);
        }
        Passwd::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Passwd {
        let mut names = BTreeMap::new();
        for line in text.lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(_), Some(Ok(uid))) =
                (fields.next(), fields.next(), fields.next().map(str::parse::<u32>))
            {
                names.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Passwd { names }
    }

    /// The user's name, or his id where there is none.
    pub(super) fn name(&self, uid: u32) -> String {
        self.names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// The name of one user. Root, the usual one, needs no file.
pub(super) fn name(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { Passwd::read().name(uid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_two_names_counts_and_broken_lines_do_not() {
        let passwd = Passwd::parse("root:x:0:0::/:/bin/sh\ntoor:x:0:0\nbroken\na:x:y\nme:x:1000:");
        assert_eq!((passwd.name(0), passwd.name(1000), passwd.name(7)), ("root".into(), "me".into(), "7".into()));
    }
}
