//! The device controller of cgroup v1: a default and a list of exceptions from it.

use super::{Access, Kind, Rule};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// A default and its exceptions, each as the controller prints it, without wildcards of type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) default_allow: bool,
    pub(super) exceptions: Vec<Rule>,
}

impl Table {
    /// The table of a minimal list.
    ///
    /// A rule that takes back a part of an earlier one (`allow c 1:*`, then `deny c 1:3`) has no form
    /// here: the kernel would accept the write and change nothing. So it is refused.
    pub(super) fn from_rules(rules: &[Rule]) -> Result<Self, Error> {
        let (default_allow, rest) = match rules.split_first() {
            Some((first, rest)) if first.allow && first.is_everything() => (true, rest),
            _ => (false, rules),
        };
        let mut exceptions: Vec<Rule> = Vec::with_capacity(rest.len());
        for rule in rest {
            if rule.allow == default_allow {
                let reason = "takes back a part of another rule, which cgroup v1 cannot express";
                return Err(Error::Devices { rule: rule.to_string(), reason });
            }
            let kinds: &[Kind] = match rule.kind {
                Kind::All => &[Kind::Char, Kind::Block],
                Kind::Char => &[Kind::Char],
                Kind::Block => &[Kind::Block],
            };
            for &kind in kinds {
                let exception = Rule { kind, ..*rule };
                match exceptions.iter_mut().find(|e| same_devices(e, &exception)) {
                    Some(e) => e.access = e.access.union(exception.access),
                    None => exceptions.push(exception),
                }
            }
        }
        Ok(Self { default_allow, exceptions })
    }

    /// Parses `devices.list`; it shows exceptions only while the default is "deny".
    fn parse(list: &str) -> Self {
        let mut exceptions = Vec::new();
        for line in list.lines() {
            match parse_line(line) {
                Some(rule) if rule.is_everything() => return Self { default_allow: true, exceptions: Vec::new() },
                Some(rule) => exceptions.push(rule),
                None => {}
            }
        }
        Self { default_allow: false, exceptions }
    }

    /// The writes, in order, that lead from the table `now` to this one.
    pub(super) fn writes(&self, now: &Self) -> Vec<(&'static str, String)> {
        let (except, restore) =
            if self.default_allow { ("devices.deny", "devices.allow") } else { ("devices.allow", "devices.deny") };
        let mut writes = Vec::new();
        // Exceptions of an allowing default cannot be read back, so that table is written anew.
        let kept: &[Rule] = if self.default_allow || now.default_allow {
            writes.push((restore, "a".to_owned()));
            &[]
        } else {
            &now.exceptions
        };
        for old in kept {
            let new = self.exceptions.iter().find(|new| same_devices(new, old)).map_or(Access(0), |new| new.access);
            let gone = old.access.without(new);
            if gone != Access(0) {
                writes.push((restore, line(&Rule { access: gone, ..*old })));
            }
        }
        for new in &self.exceptions {
            let old = kept.iter().find(|old| same_devices(new, old)).map_or(Access(0), |old| old.access);
            let more = new.access.without(old);
            if more != Access(0) {
                writes.push((except, line(&Rule { access: more, ..*new })));
            }
        }
        writes
    }
}

/// Makes the rules those of the cgroup. Access that stays is never lost in between.
pub(super) fn apply(dir: &Dir, rules: &[Rule]) -> Result<(), Error> {
    let table = Table::from_rules(rules)?;
    let now = Table::parse(&dir.read("devices.list")?.ok_or(Error::Gone)?);
    for chunk in table.writes(&now).chunk_by(|a, b| a.0 == b.0) {
        let file = chunk.first().map_or("", |first| first.0);
        dir.write_each(file, chunk.iter().map(|(_, value)| value.as_str()))?;
    }
    Ok(())
}

fn same_devices(a: &Rule, b: &Rule) -> bool {
    (a.kind, a.major, a.minor) == (b.kind, b.major, b.minor)
}

fn line(rule: &Rule) -> String {
    let text = rule.to_string();
    text.split_once(' ').map_or(text.clone(), |(_verdict, line)| line.to_owned())
}

pub(super) fn parse_line(line: &str) -> Option<Rule> {
    let mut fields = line.split_whitespace();
    let kind = match fields.next()? {
        "a" => Kind::All,
        "c" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let (major, minor) = fields.next()?.split_once(':')?;
    let mut access = Access(0);
    for (letter, bit) in [('r', Access::READ), ('w', Access::WRITE), ('m', Access::MKNOD)] {
        if line.rsplit(' ').next()?.contains(letter) {
            access = access.union(bit);
        }
    }
    Some(Rule { allow: true, kind, major: major.parse().ok(), minor: minor.parse().ok(), access })
}
