//! Which devices a container may open: rules, and the two ways of enforcing them.
//!
//! The rules of the spec are an ordered list in which a later rule wins, for each kind of access by
//! itself. [`effective`] turns it into a minimal list with the same meaning; below everything lies
//! "deny". cgroup v1 then gets the fewest writes to `devices.deny` and `devices.allow`, the unified
//! hierarchy a small eBPF program.

use std::fmt;

use super::{Cgroup, Error};
use crate::spec::DeviceCgroup;

mod attach;
pub mod program;
#[cfg(test)]
mod tests;
mod v1;

/// The type of device a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Character and block devices.
    All,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// Kinds of access: a set of [`Access::READ`], [`Access::WRITE`] and [`Access::MKNOD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// mknod(2); the bits are those of `BPF_DEVCG_ACC_*`.
    pub const MKNOD: Self = Self(1);
    /// Opening for reading.
    pub const READ: Self = Self(2);
    /// Opening for writing.
    pub const WRITE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// The bits of `BPF_DEVCG_ACC_*`.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One rule. `None` as a number is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Allow, or deny.
    pub allow: bool,
    /// The type of device.
    pub kind: Kind,
    /// The major number.
    pub major: Option<u32>,
    /// The minor number.
    pub minor: Option<u32>,
    /// The kinds of access.
    pub access: Access,
}

impl Rule {
    /// A rule that allows everything with one character device, or with all of a major number.
    #[must_use]
    pub const fn character(major: u32, minor: Option<u32>) -> Self {
        Self { allow: true, kind: Kind::Char, major: Some(major), minor, access: Access::ALL }
    }

    /// Reads a rule of the spec.
    ///
    /// # Errors
    /// An unknown type, a letter that is none of `rwm`, or a number that no device can have.
    pub fn parse(rule: &DeviceCgroup) -> Result<Self, Error> {
        let bad = |reason| Error::Devices { rule: describe(rule), reason };
        let kind = match rule.r#type.as_str() {
            "" | "a" => Kind::All,
            "c" | "u" => Kind::Char,
            "b" => Kind::Block,
            _ => return Err(bad("the type is none of \"a\", \"b\" and \"c\"")),
        };
        // A major number has 12 bits and a minor number 20.
        let number = |n: Option<i64>, bits: u32| match n {
            None | Some(-1) => Ok(None),
            Some(n) => match u32::try_from(n) {
                Ok(n) if n < 1 << bits => Ok(Some(n)),
                _ => Err(bad("no device has such a number")),
            },
        };
        let mut access = Access(0);
        for letter in rule.access.chars() {
            access = access.union(match letter {
                'r' => Access::READ,
                'w' => Access::WRITE,
                'm' => Access::MKNOD,
                _ => return Err(bad("access has a letter that is none of \"r\", \"w\" and \"m\"")),
            });
        }
        if rule.access.is_empty() {
            access = Access::ALL;
        }
        let (major, minor) = (number(rule.major, 12)?, number(rule.minor, 20)?);
        Ok(Self { allow: rule.allow, kind, major, minor, access })
    }

    /// Whether every device of `other` is one of this rule.
    fn covers(&self, other: &Self) -> bool {
        (self.kind == Kind::All || self.kind == other.kind)
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }

    /// Whether some device and some access belong to both rules.
    fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        (self.kind == Kind::All || other.kind == Kind::All || self.kind == other.kind)
            && meet(self.major, other.major)
            && meet(self.minor, other.minor)
            && self.access.intersects(other.access)
    }

    fn is_everything(&self) -> bool {
        self.kind == Kind::All && self.major.is_none() && self.minor.is_none() && self.access == Access::ALL
    }
}

fn describe(rule: &DeviceCgroup) -> String {
    let number = |n: Option<i64>| n.map_or("*".to_owned(), |n| n.to_string());
    let verdict = if rule.allow { "allow" } else { "deny" };
    format!("{verdict} {} {}:{} {}", rule.r#type, number(rule.major), number(rule.minor), rule.access)
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.contains(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    /// The form of `devices.list`, `c 1:3 rwm`, with the verdict before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allow { "allow" } else { "deny" };
        let kind = match self.kind {
            Kind::All => "a",
            Kind::Char => "c",
            Kind::Block => "b",
        };
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{verdict} {kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

/// The device nodes every container has: null, zero, full, random, urandom, tty, console, ptmx and
/// the slaves of devpts. Nothing else is allowed unasked: no mknod of other devices, no tun.
pub const DEFAULT_NODES: [Rule; 9] = [
    Rule::character(1, Some(3)),
    Rule::character(1, Some(5)),
    Rule::character(1, Some(7)),
    Rule::character(1, Some(8)),
    Rule::character(1, Some(9)),
    Rule::character(5, Some(0)),
    Rule::character(5, Some(1)),
    Rule::character(5, Some(2)),
    Rule::character(136, None),
];

/// The shortest list found that means the same as "deny everything", then `rules`, then
/// `default_nodes`, where a later rule wins. An empty list denies everything.
///
/// # Errors
/// A rule that cannot be read.
pub fn effective(rules: &[DeviceCgroup], default_nodes: &[Rule]) -> Result<Vec<Rule>, Error> {
    let mut list = Vec::new();
    for rule in rules {
        add(&mut list, Rule::parse(rule)?);
    }
    for rule in default_nodes {
        add(&mut list, *rule);
    }
    Ok(list)
}

/// Appends a rule and drops what it makes superfluous.
fn add(list: &mut Vec<Rule>, mut rule: Rule) {
    for earlier in list.iter_mut().filter(|earlier| rule.covers(earlier)) {
        earlier.access = earlier.access.without(rule.access);
    }
    list.retain(|earlier| earlier.access != Access(0));
    // What an earlier rule says already, and no rule in between contradicts, need not be said again.
    // Before the first rule everything is denied.
    let contradicted = list.iter().rposition(|e| e.allow != rule.allow && e.overlaps(&rule));
    let agreeing = list.get(contradicted.map_or(0, |at| at + 1)..).unwrap_or_default();
    let said = agreeing.iter().filter(|e| e.allow == rule.allow && e.covers(&rule));
    rule.access = rule.access.without(said.fold(Access(0), |all, e| all.union(e.access)));
    if rule.access == Access(0) || (!rule.allow && contradicted.is_none()) {
        return;
    }
    let same = |e: &Rule| (e.allow, e.kind, e.major, e.minor) == (rule.allow, rule.kind, rule.major, rule.minor);
    let from = contradicted.map_or(0, |at| at + 1);
    match list.iter_mut().skip(from).find(|e| same(e)) {
        Some(earlier) => earlier.access = earlier.access.union(rule.access),
        None => list.push(rule),
    }
}

/// Finds the rule that cgroup v1 has no way to express, if there is one: a rule that takes back a part
/// of an earlier one. The kernel would accept it there and change nothing.
///
/// # Errors
/// [`Error::Devices`] with the rule.
pub fn check_v1(rules: &[Rule]) -> Result<(), Error> {
    v1::Table::from_rules(rules).map(drop)
}

impl Cgroup {
    /// Enforces a list of rules as [`effective`] gives it, on a new container and again on `update`.
    ///
    /// After init made its device nodes: making those that the workload may not make needs more
    /// than the workload gets.
    ///
    /// # Errors
    /// A rule that v1 cannot express ([`check_v1`]); a refused write or eBPF program.
    pub fn apply_devices(&self, rules: &[Rule]) -> Result<(), Error> {
        match self.v1("devices")? {
            Some(dir) => v1::apply(dir, rules),
            None => attach::apply(self.unified()?.ok_or(Error::Gone)?, rules),
        }
    }
}
