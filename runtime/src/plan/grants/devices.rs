//! Device rules compared by what they allow.

use crate::cgroup::devices::{Access, Kind, Rule};
use std::collections::BTreeSet;

/// The first device that `now` allows something with that `before` denies, in words.
///
/// A number that no rule names stands for all others, so that these are all devices there are.
pub fn excess(now: &[Rule], before: &[Rule]) -> Option<String> {
    let mut majors: BTreeSet<u32> = BTreeSet::new();
    majors.extend(now.iter().chain(before).filter_map(|rule| rule.major));
    let majors: Vec<u32> = unnamed(&majors).into_iter().chain(majors).collect();
    for major in majors {
        let about = |rules: &[Rule]| -> Vec<Rule> {
            rules.iter().filter(|rule| rule.major.is_none_or(|named| named == major)).copied().collect()
        };
        let (now, before) = (about(now), about(before));
        let mut minors: BTreeSet<u32> = BTreeSet::new();
        minors.extend(now.iter().chain(&before).filter_map(|rule| rule.minor));
        for minor in unnamed(&minors).into_iter().chain(minors) {
            for kind in [Kind::Char, Kind::Block] {
                for access in [Access::READ, Access::WRITE, Access::MKNOD] {
                    if allows(&now, kind, minor, access) && !allows(&before, kind, minor, access) {
                        let letter = if kind == Kind::Char { 'c' } else { 'b' };
                        return Some(format!("device {letter} {major}:{minor}: access {access}"));
                    }
                }
            }
        }
    }
    None
}

/// The smallest number that is not among these.
fn unnamed(numbers: &BTreeSet<u32>) -> Option<u32> {
    (0..=u32::MAX).find(|number| !numbers.contains(number))
}

/// The last rule about it decides; without one it is denied.
fn allows(rules: &[Rule], kind: Kind, minor: u32, access: Access) -> bool {
    let about = |rule: &&Rule| {
        (rule.kind == Kind::All || rule.kind == kind)
            && rule.minor.is_none_or(|named| named == minor)
            && rule.access.bits() & access.bits() != 0
    };
    rules.iter().rev().find(about).is_some_and(|rule| rule.allow)
}
