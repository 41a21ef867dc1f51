//! Limits: from `linux.resources` to writes of cgroup files.
//!
//! `v1` and `v2` decide, purely, which values go to which files. Here is who decides between the
//! two, controller by controller (a hybrid host has some on each side), and the writing.
//!
//! Engines write zeros for "leave it" (`cpu.shares`, `blockIO.weight`, `memory.reservation` ...); a
//! zero therefore asks for nothing, except where it has a meaning of its own: `pids.limit` and the
//! rates of throttled devices.

use rustix::io::Errno;

use super::dir::Dir;
use super::layout::Version;
use super::{Cgroup, Error, create};
use crate::spec::{Memory, Resources};
use check::{NO_UNIFIED, bad_unified, check_unified, unavailable};

mod check;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

/// A controller that limits can be asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Cpuset,
    Cpu,
    Memory,
    Pids,
    BlockIo,
    Hugetlb,
    NetCls,
    NetPrio,
    Rdma,
}

/// Memory comes late, so that a refusal for another reason is reported before anything is reclaimed.
const CONTROLLERS: [Controller; 9] = [
    Controller::Cpuset,
    Controller::Cpu,
    Controller::Pids,
    Controller::BlockIo,
    Controller::Hugetlb,
    Controller::NetCls,
    Controller::NetPrio,
    Controller::Rdma,
    Controller::Memory,
];

impl Controller {
    fn name(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Cpuset, _) => "cpuset",
            (Self::Cpu, _) => "cpu",
            (Self::Memory, _) => "memory",
            (Self::Pids, _) => "pids",
            (Self::BlockIo, Version::V1) => "blkio",
            (Self::BlockIo, Version::V2) => "io",
            (Self::Hugetlb, _) => "hugetlb",
            (Self::NetCls, _) => "net_cls",
            (Self::NetPrio, _) => "net_prio",
            (Self::Rdma, _) => "rdma",
        }
    }

    /// The field of `linux.resources` that asks something of this controller, if one does.
    fn asked_by(self, resources: &Resources) -> Option<&'static str> {
        let asked = |is: bool, field| is.then_some(field);
        match self {
            Self::Cpuset => {
                let cpu = resources.cpu.as_ref()?;
                asked(!cpu.cpus.is_empty(), "cpu.cpus").or(asked(!cpu.mems.is_empty(), "cpu.mems"))
            }
            Self::Cpu => {
                let cpu = resources.cpu.as_ref()?;
                asked(cpu.shares.is_some_and(|n| n != 0), "cpu.shares")
                    .or(asked(cpu.quota.is_some_and(|n| n != 0), "cpu.quota"))
                    .or(asked(cpu.period.is_some_and(|n| n != 0), "cpu.period"))
                    .or(asked(cpu.burst.is_some(), "cpu.burst"))
                    .or(asked(cpu.idle.is_some(), "cpu.idle"))
                    .or(asked(cpu.realtime_runtime.is_some_and(|n| n != 0), "cpu.realtimeRuntime"))
                    .or(asked(cpu.realtime_period.is_some_and(|n| n != 0), "cpu.realtimePeriod"))
            }
            Self::Memory => memory_asked(resources.memory.as_ref()?),
            Self::Pids => asked(resources.pids.as_ref()?.limit.is_some(), "pids.limit"),
            Self::BlockIo => {
                let io = resources.block_io.as_ref()?;
                asked(io.weight.is_some_and(|n| n != 0), "blockIO.weight")
                    .or(asked(io.leaf_weight.is_some_and(|n| n != 0), "blockIO.leafWeight"))
                    .or(asked(!io.weight_device.is_empty(), "blockIO.weightDevice"))
                    .or(asked(!io.throttle_read_bps_device.is_empty(), "blockIO.throttleReadBpsDevice"))
                    .or(asked(!io.throttle_write_bps_device.is_empty(), "blockIO.throttleWriteBpsDevice"))
                    .or(asked(!io.throttle_read_iops_device.is_empty(), "blockIO.throttleReadIOPSDevice"))
                    .or(asked(!io.throttle_write_iops_device.is_empty(), "blockIO.throttleWriteIOPSDevice"))
            }
            Self::Hugetlb => asked(!resources.hugepage_limits.is_empty(), "hugepageLimits"),
            Self::NetCls => asked(resources.network.as_ref()?.class_id.is_some_and(|n| n != 0), "network.classID"),
            Self::NetPrio => asked(!resources.network.as_ref()?.priorities.is_empty(), "network.priorities"),
            Self::Rdma => asked(!resources.rdma.is_empty(), "rdma"),
        }
    }
}

impl Controller {
    /// Whether all that is asked of the controller is what holds without it.
    fn asked_for_no_limit(self, resources: &Resources) -> bool {
        let unlimited = |n: Option<i64>| matches!(n, None | Some(0 | -1));
        match self {
            Self::Pids => resources.pids.as_ref().is_none_or(|p| p.limit == Some(-1)),
            Self::Memory => resources.memory.as_ref().is_none_or(|m| {
                unlimited(m.limit) && unlimited(m.swap) && unlimited(m.reservation) && swappiness(m).is_none()
            }),
            Self::Cpu => resources.cpu.as_ref().is_none_or(|c| {
                let zero = |n: Option<u64>| matches!(n, None | Some(0));
                let no_real_time = zero(c.realtime_period) && matches!(c.realtime_runtime, None | Some(0));
                zero(c.shares)
                    && unlimited(c.quota)
                    && zero(c.burst)
                    && matches!(c.idle, None | Some(0))
                    && no_real_time
            }),
            Self::Cpuset | Self::BlockIo | Self::Hugetlb | Self::NetCls | Self::NetPrio | Self::Rdma => false,
        }
    }
}

fn memory_asked(memory: &Memory) -> Option<&'static str> {
    let asked = |is: bool, field| is.then_some(field);
    asked(memory.limit.is_some_and(|n| n != 0), "memory.limit")
        .or(asked(memory.swap.is_some_and(|n| n != 0), "memory.swap"))
        .or(asked(memory.reservation.is_some_and(|n| n != 0), "memory.reservation"))
        .or(asked(swappiness(memory).is_some(), "memory.swappiness"))
        .or(asked(memory.disable_oom_killer == Some(true), "memory.disableOOMKiller"))
}

/// The swappiness asked for; engines that go through a signed type send -1 for "leave it".
fn swappiness(memory: &Memory) -> Option<u64> {
    memory.swappiness.filter(|&s| s != u64::MAX)
}

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Write {
    field: &'static str,
    file: String,
    value: String,
    absent: Absent,
}

/// What it means that the file does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Absent {
    /// The limit cannot be set: an error.
    Refuse,
    /// The value is what holds without the file.
    Leave,
    /// Another file, with its own spelling of the value, does the same.
    Instead(&'static str, String),
}

impl Write {
    fn new(field: &'static str, file: impl Into<String>, value: impl ToString) -> Self {
        Self { field, file: file.into(), value: value.to_string(), absent: Absent::Refuse }
    }

    fn or(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    fn to(&self, dir: &Dir) -> Result<(), (Errno, Error)> {
        match (dir.try_write(&self.file, &self.value), &self.absent) {
            (Ok(()), _) | (Err(Errno::NOENT), Absent::Leave) => Ok(()),
            (Err(Errno::NOENT), Absent::Instead(file, value)) => {
                dir.try_write(file, value).map_err(|e| (e, dir.refused(file, value, e)))
            }
            (Err(errno), _) => Err((errno, dir.refused(&self.file, &self.value, errno))),
        }
    }
}

/// A field that the version of cgroups on this host does not have.
fn unsupported(field: &str, version: &str) -> Error {
    Error::BadValue { field: field.to_owned(), reason: format!("cgroup {version} has no such limit") }
}

/// Warnings about fields that have no effect.
fn warnings(resources: &Resources, memory_version: Option<Version>) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(memory) = &resources.memory else { return warnings };
    if memory.kernel.is_some_and(|n| n != 0) || memory.kernel_tcp.is_some_and(|n| n != 0) {
        warnings.push("memory.kernel and memory.kernelTCP have no effect: kernel memory counts as memory".to_owned());
    }
    if memory.disable_oom_killer == Some(true) && memory_version == Some(Version::V2) {
        warnings.push("memory.disableOOMKiller has no effect: cgroup v2 has no such switch".to_owned());
    }
    warnings
}

impl Cgroup {
    /// Writes all limits; see [`super::Driver::apply`].
    pub(super) fn apply(&self, resources: &Resources) -> Result<Vec<String>, Error> {
        let mut memory_version = None;
        for controller in CONTROLLERS {
            let Some(field) = controller.asked_by(resources) else { continue };
            let (version, dir) = match self.locate(controller, field) {
                Err(Error::NoController { .. }) if controller.asked_for_no_limit(resources) => continue,
                found => found?,
            };
            match controller {
                Controller::Memory => {
                    memory_version = Some(version);
                    set_memory(version, dir, resources)?;
                }
                _ => {
                    let writes = match version {
                        Version::V1 => v1::writes(controller, resources)?,
                        Version::V2 => v2::writes(controller, resources)?,
                    };
                    settle(dir, &writes).map_err(|(_, _, error)| error)?;
                }
            }
        }
        self.set_unified(resources)?;
        Ok(warnings(resources, memory_version))
    }

    /// The directory where a controller can be spoken to. One that the unified hierarchy has but did
    /// not hand down yet is enabled on the way.
    fn locate(&self, controller: Controller, field: &str) -> Result<(Version, &Dir), Error> {
        if let Some(dir) = self.v1(controller.name(Version::V1))? {
            return Ok((Version::V1, dir));
        }
        let name = controller.name(Version::V2);
        match self.unified_with(name)? {
            Some(dir) => Ok((Version::V2, dir)),
            None => Err(Error::NoController { controller: name, field: field.to_owned() }),
        }
    }

    fn unified_with(&self, controller: &str) -> Result<Option<&Dir>, Error> {
        let has = |dir: &Dir| -> Result<bool, Error> {
            let available = dir.read("cgroup.controllers")?.unwrap_or_default();
            Ok(available.split_whitespace().any(|c| c == controller))
        };
        let Some(dir) = self.unified()? else { return Ok(None) };
        if has(dir)? {
            return Ok(Some(dir));
        }
        let Some(place) = self.places.iter().find(|p| p.record.version == Version::V2) else { return Ok(None) };
        let mount = Dir::open_mount(Version::V2, &place.record.mount_point)?;
        let above = place.record.path.rsplit_once('/').map_or("", |(above, _)| above);
        create::hand_down(&mount, above, Some(controller))?;
        Ok(if has(dir)? { Some(dir) } else { None })
    }

    /// Writes the files of `unified`, last, so that they have the last word.
    fn set_unified(&self, resources: &Resources) -> Result<(), Error> {
        for (file, value) in &resources.unified {
            let controller = check_unified(file)?;
            let dir = self.unified()?.ok_or_else(|| bad_unified(file, NO_UNIFIED))?;
            if controller != "cgroup" && self.unified_with(controller)?.is_none() {
                return Err(bad_unified(file, &unavailable(controller)));
            }
            for line in value.lines() {
                dir.write(file, line)?;
            }
        }
        Ok(())
    }
}

/// Writes values that depend on each other in whatever order the kernel takes: a limit and the limit
/// above it, a quota and its period or burst. Growing needs one order and shrinking the other, and
/// `EINVAL` is how the kernel tells which; the usual order is tried first and is right for a new
/// cgroup.
fn settle<'a>(dir: &Dir, writes: &'a [Write]) -> Result<(), (&'a Write, Errno, Error)> {
    let mut left: Vec<&Write> = writes.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut refused = Vec::new();
        let mut reason = None;
        for write in left {
            match write.to(dir) {
                Ok(()) => {}
                Err((Errno::INVAL, error)) => {
                    reason.get_or_insert((write, Errno::INVAL, error));
                    refused.push(write);
                }
                Err((errno, error)) => return Err((write, errno, error)),
            }
        }
        match reason {
            Some(reason) if refused.len() == before => return Err(reason),
            _ => left = refused,
        }
    }
    Ok(())
}

fn set_memory(version: Version, dir: &Dir, resources: &Resources) -> Result<(), Error> {
    let Some(memory) = &resources.memory else { return Ok(()) };
    let (usage_file, peak_file) = match version {
        Version::V1 => ("memory.usage_in_bytes", "memory.max_usage_in_bytes"),
        Version::V2 => ("memory.current", "memory.peak"),
    };
    if memory.check_before_update == Some(true) {
        // v2 would reclaim and then kill in place of refusing; v1 refuses by itself, but after reclaim.
        let usage = dir.read_u64(usage_file)?.unwrap_or(0);
        let below = |limit: Option<i64>| limit.filter(|&l| l > 0 && l.unsigned_abs() <= usage);
        let rejecting = |field: &str, what: &str, limit: i64| Error::BadValue {
            field: field.to_owned(),
            reason: format!("rejecting {what} limit {limit} <= usage {usage}: choose a limit above the usage"),
        };
        if let Some(limit) = below(memory.swap) {
            return Err(rejecting("memory.swap", "memory+swap", limit));
        }
        if let Some(limit) = below(memory.limit) {
            return Err(rejecting("memory.limit", "memory", limit));
        }
    }
    let writes = match version {
        Version::V1 => v1::memory(memory)?,
        Version::V2 => {
            let in_force = || Ok(dir.read_u64("memory.max")?.and_then(|limit| i64::try_from(limit).ok()));
            v2::memory(memory, in_force)?
        }
    };
    settle(dir, &writes).map_err(|(write, errno, error)| {
        let limit = write.value.parse::<i64>().ok().filter(|&l| l > 0 && errno == Errno::BUSY);
        match (limit, dir.read_u64(usage_file)) {
            (Some(limit), Ok(Some(usage))) => Error::LimitBelowUsage {
                field: write.field,
                limit,
                usage,
                peak: dir.read_u64(peak_file).ok().flatten(),
            },
            _ => error,
        }
    })
}
