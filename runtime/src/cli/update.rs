//! `update`: other limits for a container.

use std::path::PathBuf;

use clap::Command;

use super::Request;
use super::argument::{Given, command, id, ignored, option};
use super::id::ContainerId;
use super::size::parse_limit;
use crate::spec::{BlockIo, Cpu, Memory, Pids, Resources};

/// `update`: change the limits of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The container's id.
    pub id: ContainerId,
    /// Where the new limits are.
    pub change: Change,
    /// A new `L3` line for the container's class of service.
    pub l3_cache_schema: Option<String>,
    /// A new `MB` line for the container's class of service.
    pub mem_bw_schema: Option<String>,
}

/// The source of the new limits.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// JSON of `linux.resources` on stdin (`--resources -`).
    Stdin,
    /// JSON of `linux.resources` in a file.
    File(PathBuf),
    /// The options of the command line.
    Limits(Box<Resources>),
}

pub(super) fn update() -> Command {
    command(
        "update",
        "Change the limits of a container",
        "With --resources the limits are those of the JSON read, and the options for single limits are ignored; \
         device rules are never changed. Limits not given stay as they are. Sizes are bytes, or numbers with k, m \
         or g; -1 is no limit.",
    )
    .arg(option("resources", "FILE", "Read linux.resources as JSON from FILE, or from stdin for -").short('r'))
    .arg(option("blkio-weight", "N", "Block I/O weight, 10 to 1000"))
    .arg(option("cpu-period", "US", "Length of a CPU period in microseconds"))
    .arg(option("cpu-quota", "US", "CPU time in each period in microseconds; -1 is no limit"))
    .arg(option("cpu-burst", "US", "Unused CPU time that may be saved up, in microseconds"))
    .arg(option("cpu-share", "N", "Relative CPU weight, 2 to 262144"))
    .arg(option("cpu-rt-period", "US", "Length of a real-time period in microseconds"))
    .arg(option("cpu-rt-runtime", "US", "Real-time CPU time in each period in microseconds"))
    .arg(option("cpu-idle", "N", "1 to run only when no one else wants the CPU, 0 for the default"))
    .arg(option("cpuset-cpus", "LIST", "CPUs, as 0-3,7"))
    .arg(option("cpuset-mems", "LIST", "Memory nodes, as 0-1"))
    .arg(option("memory", "SIZE", "Memory limit"))
    .arg(option("memory-reservation", "SIZE", "Memory soft limit"))
    .arg(option("memory-swap", "SIZE", "Limit of memory and swap together"))
    .arg(ignored("kernel-memory", "SIZE"))
    .arg(ignored("kernel-memory-tcp", "SIZE"))
    .arg(option("pids-limit", "N", "Limit of processes and threads; -1 is none"))
    .arg(option("l3-cache-schema", "LINE", "The L3 line of the container's resctrl group"))
    .arg(option("mem-bw-schema", "LINE", "The MB line of the container's resctrl group"))
    .arg(id())
}

pub(super) fn read(given: &Given) -> Result<Request, String> {
    let change = match given.path("resources") {
        Some(path) if path.as_os_str() == "-" => Change::Stdin,
        Some(path) => Change::File(path),
        None => Change::Limits(Box::new(read_limits(given)?)),
    };
    Ok(Request::Update(Update {
        id: given.id()?,
        change,
        l3_cache_schema: given.text("l3-cache-schema")?.filter(|line| !line.is_empty()),
        mem_bw_schema: given.text("mem-bw-schema")?.filter(|line| !line.is_empty()),
    }))
}

/// Only the parts of which something was given are there, so that nothing else is touched.
fn read_limits(given: &Given) -> Result<Resources, String> {
    let memory = Memory {
        limit: given.parsed("memory", parse_limit)?,
        reservation: given.parsed("memory-reservation", parse_limit)?,
        swap: given.parsed("memory-swap", parse_limit)?,
        ..Memory::default()
    };
    let cpu = Cpu {
        shares: given.number("cpu-share")?,
        quota: given.number("cpu-quota")?,
        burst: given.number("cpu-burst")?,
        period: given.number("cpu-period")?,
        realtime_runtime: given.number("cpu-rt-runtime")?,
        realtime_period: given.number("cpu-rt-period")?,
        cpus: given.text("cpuset-cpus")?.unwrap_or_default(),
        mems: given.text("cpuset-mems")?.unwrap_or_default(),
        idle: given.number("cpu-idle")?,
    };
    let block_io = BlockIo { weight: given.number("blkio-weight")?, ..BlockIo::default() };
    let pids = given.number("pids-limit")?.map(|limit| Pids { limit: Some(limit) });
    Ok(Resources {
        memory: (memory != Memory::default()).then_some(memory),
        cpu: (cpu != Cpu::default()).then_some(cpu),
        block_io: (block_io != BlockIo::default()).then_some(block_io),
        pids,
        ..Resources::default()
    })
}
