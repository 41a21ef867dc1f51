//! `list` with many containers: each runtime makes them once, asks again and again, and removes them.
//!
//! The containers are created and not started; how they were made is not measured. One runtime after the other, because
//! thousands of containers of the others would burden it.

use super::operation::Lane;
use super::row::{Heat, Row, Samples};
use anyhow::Result;
use std::time::Duration;

/// So many are made and removed at a time.
const TOGETHER: usize = 16;

/// Lists a tenth of the containers, then all, `rounds` times each.
pub fn list(lane: &Lane, containers: usize, rounds: u32, samples: &mut Samples) -> Result<()> {
    let made = fill(lane, 0, containers / 10).and_then(|()| {
        measure(lane, Row::ListSome, rounds, samples)?;
        fill(lane, containers / 10, containers)?;
        measure(lane, Row::ListAll, rounds, samples)
    });
    if made.is_ok() {
        let calls: Vec<_> = (0..containers).map(|n| words(&["delete", "--force", &format!("listed{n}")])).collect();
        for together in calls.chunks(TOGETHER) {
            lane.contender.call_together(together)?;
        }
    }
    made
}

fn fill(lane: &Lane, from: usize, to: usize) -> Result<()> {
    let mut calls = Vec::new();
    for n in from..to {
        let dir = lane.setup.listed(n)?.dir;
        calls.push(words(&["create", "--bundle", &dir.to_string_lossy(), &format!("listed{n}")]));
    }
    for together in calls.chunks(TOGETHER) {
        lane.contender.call_together(together)?;
    }
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn measure(lane: &Lane, row: Row, rounds: u32, samples: &mut Samples) -> Result<()> {
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(30));
        samples.add(row, Heat::Cold, lane.contender.call(&["list"])?);
        samples.add(row, Heat::Hot, lane.contender.call(&["list"])?);
    }
    Ok(())
}
