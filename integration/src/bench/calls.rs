//! System calls: every operation once under strace(1), which counts those of the runtime, of what it starts and of the
//! container's program.

use super::contender::{Mode, Sample};
use super::operation::{Lane, Operation};
use super::row::{Heat, Row};
use crate::process::eventually;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// How many there are in each row; `create` has those of the init it leaves, up to the end of its program.
pub fn count(lane: &Lane) -> Result<BTreeMap<Row, u64>> {
    lane.contender.look_at(Mode::Counted);
    let mut counts = BTreeMap::new();
    for operation in Operation::EACH {
        for (row, sample) in lane.take(operation, Heat::Cold)? {
            counts.insert(row, total(&sample)?);
        }
    }
    lane.contender.look_at(Mode::Timed);
    Ok(counts)
}

fn total(sample: &Sample) -> Result<u64> {
    let of = |file: &Path| {
        let what = format!("strace has written \"{}\"", file.display());
        eventually(&what, || Ok(std::fs::read_to_string(file).ok().and_then(|text| summed(&text))))
    };
    sample.counts.iter().map(|file| of(file)).sum::<Result<u64>>().context("system calls")
}

/// The last line of a summary: the sum, and the word "total".
fn summed(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.trim().strip_suffix("total")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::summed;

    #[test]
    fn the_sum_of_a_summary_is_found() {
        let text = "    calls syscall\n--------- ----------------\n       12 read\n        3 close\n--------- --\n       15 total\n";
        assert_eq!(summed(text), Some(15));
        assert_eq!(summed(""), None);
    }
}
