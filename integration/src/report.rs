//! One line per case, and the closing line.

use crate::options::Format;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

/// How a case ended.
#[derive(Debug)]
pub enum Outcome {
    Passed,
    Failed(String),
    /// The fact that is missing, by its key in the list of expected skips, and in words.
    Skipped {
        fact: &'static str,
        reason: String,
    },
}

/// Counts outcomes and prints them as they come.
#[derive(Debug)]
pub struct Report {
    format: Format,
    total: usize,
    done: usize,
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    unexpected: BTreeSet<String>,
    expected: BTreeSet<String>,
}

impl Report {
    /// Starts a report of `total` cases; `expected` are the facts whose absence may skip a case.
    pub fn new(format: Format, total: usize, expected: BTreeSet<String>) -> Self {
        if format == Format::Tap {
            println!("TAP version 13\n1..{total}");
        }
        Self {
            format,
            total,
            done: 0,
            passed: 0,
            failed: Vec::new(),
            skipped: 0,
            unexpected: BTreeSet::new(),
            expected,
        }
    }

    /// Prints one outcome.
    pub fn add(&mut self, title: &str, outcome: Outcome, took: Duration) {
        self.done += 1;
        let (n, ms) = (self.done, took.as_millis());
        let place = format!("[{n:>3}/{}]", self.total);
        match (outcome, self.format) {
            (Outcome::Passed, format) => {
                self.passed += 1;
                match format {
                    Format::Text => println!("{place} ok    {title} ({ms} ms)"),
                    Format::Tap => println!("ok {n} - {title}"),
                }
            }
            (Outcome::Failed(why), format) => {
                match format {
                    Format::Text => println!("{place} FAIL  {title} ({ms} ms)\n    {why}"),
                    Format::Tap => println!("not ok {n} - {title}\n# {}", why.replace('\n', "\n# ")),
                }
                self.failed.push(title.to_owned());
            }
            (Outcome::Skipped { fact, reason }, format) => {
                self.skipped += 1;
                match format {
                    Format::Text => println!("{place} skip  {title}: {fact}: {reason}"),
                    Format::Tap => println!("ok {n} - {title} # SKIP {fact}: {reason}"),
                }
                if !self.expected.contains(fact) {
                    self.unexpected.insert(fact.to_owned());
                }
            }
        }
    }

    /// Prints the closing line and gives the exit code.
    pub fn close(self) -> ExitCode {
        for title in &self.failed {
            println!("# failed: {title}");
        }
        for fact in &self.unexpected {
            println!("# unexpected skip: \"{fact}\" is not in expected-skips.txt");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped);
        if self.failed.is_empty() && self.unexpected.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The facts whose absence may skip a case: one `key: why` per line, `#` starts a comment.
pub fn expected_skips() -> Result<BTreeSet<String>> {
    parse_expected_skips(include_str!("../expected-skips.txt"))
}

fn parse_expected_skips(text: &str) -> Result<BTreeSet<String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (key, why) =
                line.split_once(": ").with_context(|| format!("expected-skips.txt: no reason in \"{line}\""))?;
            anyhow::ensure!(!why.trim().is_empty(), "expected-skips.txt: no reason for \"{key}\"");
            Ok(key.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_skip_has_a_reason() {
        assert!(parse_expected_skips("cgroup-v2").is_err());
        assert!(parse_expected_skips("# only\n\ncgroup-v2: the host is hybrid\n").unwrap().contains("cgroup-v2"));
        assert!(!expected_skips().unwrap().is_empty());
    }
}
