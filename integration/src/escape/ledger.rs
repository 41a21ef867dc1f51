//! `docs/cve-ledger.md` and the list of checks say the same.

use crate::escape::check::Mark;
use crate::escape::checks;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// The page.
fn page() -> Result<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cve-ledger.md");
    std::fs::read_to_string(path).with_context(|| format!("read \"{path}\""))
}

/// What is between back quotes in the last column of the tables.
fn rows_named(page: &str) -> BTreeSet<&str> {
    let columns = page
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.trim_end_matches('|').rsplit('|').next());
    columns.flat_map(|column| column.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_row_that_the_ledger_names_is_a_check() {
    let page = page().unwrap();
    let ids: BTreeSet<&str> = checks::all().iter().map(|check| check.id).collect();
    let named = rows_named(&page);
    assert!(named.len() > 20, "{named:?}");
    let unknown: Vec<_> = named.difference(&ids).collect();
    assert!(unknown.is_empty(), "no check has the id {unknown:?}");
}

#[test]
fn every_check_of_an_advisory_is_in_the_ledger() {
    let page = page().unwrap();
    let checks = checks::all();
    let advisories = checks.iter().map(|check| check.id).filter(|id| id.starts_with("CVE-") || id.starts_with("GHSA-"));
    let missing: BTreeSet<&str> = advisories.filter(|id| !page.contains(id)).collect();
    assert!(missing.is_empty(), "not in docs/cve-ledger.md: {missing:?}");
}

#[test]
fn every_invariant_has_its_line_in_the_ledger() {
    let page = page().unwrap();
    for (group, count) in [('A', 11), ('B', 20), ('C', 8), ('D', 20), ('E', 9), ('F', 4), ('G', 11)] {
        for n in 1..=count {
            let lines = page.lines().filter(|line| line.starts_with(&format!("| {group}{n} | "))).count();
            assert_eq!(lines, 1, "{group}{n}");
        }
    }
}

#[test]
fn every_advisory_that_a_mark_names_is_in_the_ledger() {
    let page = page().unwrap();
    for check in checks::all() {
        for mark in &check.marks {
            let Mark::Advisory(_, ids) = mark else { continue };
            let missing = ids.split(", ").find(|id| !page.contains(id));
            assert!(missing.is_none(), "{}: {missing:?}", check.title());
        }
    }
}
