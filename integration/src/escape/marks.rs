//! What every row has to have: a name, an id, and marks that agree with each other and with `expected-skips.txt`.

use crate::escape::check::{Check, Mark};
use crate::escape::{LEVELS, checks};
use crate::report::expected_skips;
use regex_lite::Regex;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_check_has_a_name_of_its_own_that_states_a_behaviour() {
    let all = checks::all();
    let names: BTreeSet<&str> = all.iter().map(|check| check.name).collect();
    assert_eq!(all.len(), names.len());
    let plain = Regex::new("^[a-z][a-z0-9]*(_[a-z0-9]+)+$").unwrap();
    assert!(all.iter().all(|check| plain.is_match(check.name) && check.name.len() <= 72));
}

#[test]
fn every_id_is_a_group_with_a_number_or_an_advisory() {
    let id = Regex::new("^([HABCDEFGL][0-9]+|CVE-[0-9]{4}-[0-9]{4,7}|GHSA(-[0-9a-z]{4}){3})$").unwrap();
    for check in checks::all() {
        assert!(id.is_match(check.id), "{}", check.title());
    }
}

#[test]
fn every_known_hole_has_an_advisory_that_names_the_same_program() {
    let mut holes = 0;
    for check in checks::all() {
        for mark in &check.marks {
            let Mark::KnownHole(version) = mark else { continue };
            let program = version.split(' ').next().unwrap();
            assert!(check.advisory(program).is_some(), "{}: {version}", check.title());
            holes += 1;
        }
    }
    assert!(holes > 0);
}

#[test]
fn every_advisory_is_of_a_program_that_is_compared_and_has_a_number() {
    let ids = Regex::new("^CVE-[0-9]{4}-[0-9]{4,7}(, CVE-[0-9]{4}-[0-9]{4,7})*$").unwrap();
    for check in checks::all() {
        for mark in &check.marks {
            let Mark::Advisory(program, list) = mark else { continue };
            assert!(["runc", "crun", "youki"].contains(program) && ids.is_match(list), "{}", check.title());
        }
    }
}

#[test]
fn every_level_that_a_check_names_is_one() {
    let named = |check: &Check| {
        let levels = check.marks.iter().filter_map(|mark| match mark {
            Mark::Levels(levels) => Some(*levels),
            _ => None,
        });
        levels.flatten().copied().collect::<Vec<_>>()
    };
    assert!(checks::all().iter().flat_map(named).all(|level| LEVELS.contains(&level)));
}

/// The words after `Unavailable(` in the sources below a directory.
fn unavailable(dir: &Path, found: &mut BTreeSet<String>) {
    let key = Regex::new("Unavailable\\(\\s*\"([a-z0-9-]+)\"").unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            unavailable(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(key.captures_iter(&text).map(|captures| captures[1].to_owned()));
        }
    }
}

#[test]
fn every_reason_why_a_check_is_unavailable_is_an_expected_skip() {
    let mut keys = BTreeSet::new();
    unavailable(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/escape"), &mut keys);
    assert!(keys.contains("kernel-file"), "{keys:?}");
    let expected = expected_skips().unwrap();
    let unknown: Vec<_> = keys.iter().filter(|key| !expected.contains(*key)).collect();
    assert!(unknown.is_empty(), "not in expected-skips.txt: {unknown:?}");
}
