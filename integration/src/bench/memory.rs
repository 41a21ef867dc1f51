//! Memory: peaks, an init that waits, the smallest limit that works.

use super::contender::{Contender, Mode};
use super::operation::{Lane, Operation};
use super::row::{Heat, Samples};
use crate::bundle::Bundle;
use crate::host;
use anyhow::Result;
use serde_json::json;

/// An init that waits for start.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub resident_kib: u64,
    pub threads: u64,
}

/// What one contender needs.
#[derive(Debug, Default)]
pub struct Memory {
    pub waiting: Option<Waiting>,
    /// The smallest memory limit in KiB under which at least two of three containers run.
    pub limit_kib: Option<u64>,
    /// Peaks only.
    pub weighed: Samples,
}

/// Limits in KiB that are tried.
const LIMITS: [u64; 17] =
    [64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384];

impl Memory {
    /// Looks at all of it.
    pub fn look(lane: &Lane) -> Result<Self> {
        let contender = lane.contender;
        let filtered = contender.floor.as_ref().is_none_or(super::floor::Floor::has_filter);
        let waiting = if contender.floor.is_some() { None } else { Some(waiting(contender, &lane.setup.plain)?) };
        let limit_kib = smallest_limit(contender, lane.setup.ending(filtered))?;
        let mut weighed = Samples::default();
        contender.look_at(Mode::Weighed);
        for operation in [Operation::EACH; 3].concat() {
            for (row, sample) in lane.take(operation, Heat::Cold)? {
                weighed.add(row, Heat::Cold, sample);
            }
        }
        contender.look_at(Mode::Timed);
        Ok(Self { waiting, limit_kib, weighed })
    }
}

fn waiting(contender: &Contender, bundle: &Bundle) -> Result<Waiting> {
    let (dir, pid_file) = (bundle.dir.to_string_lossy(), bundle.dir.join("pid"));
    contender.call(&["create", "--bundle", &dir, "--pid-file", &pid_file.to_string_lossy(), "waiting"])?;
    let pid: i32 = host::read(&pid_file)?.parse()?;
    let resident = host::status(pid, "VmRSS")?;
    let threads = host::status(pid, "Threads")?.parse()?;
    contender.call(&["delete", "--force", "waiting"])?;
    Ok(Waiting { resident_kib: resident.split(' ').next().unwrap_or_default().parse()?, threads })
}

fn smallest_limit(contender: &Contender, bundle: &Bundle) -> Result<Option<u64>> {
    let mut found = None;
    for kib in LIMITS {
        let mut limited = bundle.clone();
        limited.set("/linux/resources/memory", json!({"limit": kib * 1024, "swap": kib * 1024})).write()?;
        let mut worked = 0;
        for _ in 0..3 {
            worked += u32::from(contender.run(&limited, "limited").is_ok());
            match &contender.floor {
                Some(floor) => floor.clear(&limited, &contender.root.join("limited"))?,
                None => drop(contender.call(&["delete", "--force", "limited"])?),
            }
        }
        if worked >= 2 {
            found = Some(kib);
            break;
        }
    }
    bundle.write()?;
    Ok(found)
}
