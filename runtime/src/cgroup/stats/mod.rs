//! What a container has used, in the shape of the `data` of `events --stats`.
//!
//! The field names, what is left out when it is zero, and the order are those that the readers of
//! `events` know. Times are nanoseconds and sizes bytes. On v2 the swap figures include memory, as
//! they do on v1. What the host does not count is zero or absent, never an error.

use std::collections::BTreeMap;

use serde::Serialize;

use super::layout::Version;
use super::{Cgroup, Error};

mod pressure;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use pressure::{Pressure, PressureLine};
pub use v1::blkio_entries;

// serde wants a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The figures of one container at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// CPU placement.
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Tasks.
    pub pids: Pids,
    /// Block I/O.
    pub blkio: Blkio,
    /// Huge pages by size.
    pub hugetlb: BTreeMap<String, Hugetlb>,
    /// Intel RDT: none is read here.
    pub intel_rdt: BTreeMap<String, String>,
    /// Network interfaces: none is read here.
    pub network_interfaces: Option<Vec<()>>,
}

/// CPU time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Use.
    pub usage: CpuUsage,
    /// Throttling by the quota.
    pub throttling: Throttling,
    /// Pressure stall information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// CPU time used, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    /// All of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// By CPU.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// By CPU, in the kernel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// By CPU, in user space.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In user space.
    pub user: u64,
}

/// Throttling by the CPU quota.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that passed.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Periods in which the quota ran out.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// Time spent waiting for the next period, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// CPU placement (v1; on v2 only the two lists).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpuset {
    /// The CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// `cpuset.cpu_exclusive`
    pub cpu_exclusive: u64,
    /// The memory nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    /// `cpuset.mem_hardwall`
    pub mem_hardwall: u64,
    /// `cpuset.mem_exclusive`
    pub mem_exclusive: u64,
    /// `cpuset.memory_migrate`
    pub memory_migrate: u64,
    /// `cpuset.memory_spread_page`
    pub memory_spread_page: u64,
    /// `cpuset.memory_spread_slab`
    pub memory_spread_slab: u64,
    /// `cpuset.memory_pressure`
    pub memory_pressure: u64,
    /// `cpuset.sched_load_balance`
    pub sched_load_balance: u64,
    /// `cpuset.sched_relax_domain_level`
    pub sched_relax_domain_level: i64,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// The page cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// Memory.
    pub usage: MemoryEntry,
    /// Memory and swap.
    pub swap: MemoryEntry,
    /// Kernel memory (v1).
    pub kernel: MemoryEntry,
    /// Kernel memory of TCP (v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Pressure stall information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// The limit; 2^64 - 1 on v2 if there is none.
    pub limit: u64,
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was ever in use.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit (v1).
    pub failcnt: u64,
}

/// Tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pids {
    /// There are.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// There may be; 0 if there is no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Block I/O, of the cgroup and all below it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Operations that wait.
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlkioEntry>,
    /// Time in service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    /// Time spent waiting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    /// Operations that were merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    /// Disk time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkioEntry>,
    /// Sectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkioEntry>,
    /// Pressure stall information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One figure of block I/O.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    /// The device's major number.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// The device's minor number.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write`, ...
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The figure.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Hugetlb {
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was ever in use (v1).
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

impl Cgroup {
    /// Reads the figures of a container, each from the hierarchy that counts it.
    ///
    /// # Errors
    /// A failed call, or [`Error::Gone`] if no directory of the container is left.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = Stats::default();
        if self.listing()?.is_none() {
            return Err(Error::Gone);
        }
        if let Some(dir) = self.unified()? {
            v2::read(dir, &mut stats)?;
        }
        for place in self.places.iter().filter(|p| p.record.version == Version::V1) {
            if let Some(dir) = place.dir()? {
                for controller in &place.record.controllers {
                    v1::read(controller, dir, &mut stats)?;
                }
            }
        }
        Ok(stats)
    }
}

/// Flat keyed text as a map; lines of another form are left out.
#[must_use]
pub fn table(text: &str) -> BTreeMap<String, u64> {
    let mut table = BTreeMap::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        if let Ok(value) = value.parse() {
            table.insert(key.to_owned(), value);
        }
    }
    table
}

/// A list of CPUs or nodes, `0-3,7`.
#[must_use]
pub fn list(text: &str) -> Vec<u16> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse()) {
            numbers.extend(first..=last);
        }
    }
    numbers
}
