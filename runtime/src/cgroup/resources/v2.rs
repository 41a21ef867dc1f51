//! Limits as files of cgroup v2; `Documentation/admin-guide/cgroup-v2.rst` of the kernel.

use super::{Absent, Controller, Write, swappiness, unsupported, v1};
use crate::cgroup::Error;
use crate::spec::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};

/// The writes of one controller, memory excepted.
pub(super) fn writes(controller: Controller, resources: &Resources) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    match controller {
        Controller::Cpuset => writes = resources.cpu.as_ref().map(v1::cpuset).unwrap_or_default(),
        Controller::Cpu => {
            if let Some(cpu) = &resources.cpu {
                writes = self::cpu(cpu)?;
            }
        }
        Controller::Pids => writes.extend(v1::pids(resources)?),
        Controller::BlockIo => {
            if let Some(io) = &resources.block_io {
                writes = block_io(io)?;
            }
        }
        Controller::Hugetlb => {
            for limit in &resources.hugepage_limits {
                writes.extend(v1::hugetlb(limit, "max", "rsvd.max")?);
            }
        }
        // Never found on v2: locate() has refused by now.
        Controller::NetCls => return Err(unsupported("network.classID", "v2")),
        Controller::NetPrio => return Err(unsupported("network.priorities", "v2")),
        Controller::Rdma => writes = v1::rdma(resources)?,
        Controller::Memory => {
            if let Some(memory) = &resources.memory {
                writes = self::memory(memory, || Ok(None))?;
            }
        }
    }
    Ok(writes)
}

/// `in_force` reads the memory limit that holds now, for an update of the swap limit alone.
pub(super) fn memory(
    memory: &Memory,
    in_force: impl FnOnce() -> Result<Option<i64>, Error>,
) -> Result<Vec<Write>, Error> {
    if swappiness(memory).is_some() {
        return Err(unsupported("memory.swappiness", "v2"));
    }
    let mut writes = Vec::new();
    let limit = memory.limit.filter(|&n| n != 0);
    if let Some(swap) = memory.swap.filter(|&n| n != 0) {
        let limit = match limit {
            None if swap != -1 => in_force()?,
            limit => limit,
        };
        let value = swap_max(limit, swap)?;
        // On a kernel without swap there is none to allow or to forbid.
        let absent = if value == "max" || value == "0" { Absent::Leave } else { Absent::Refuse };
        writes.push(Write::new("memory.swap", "memory.swap.max", value).or(absent));
    } else if limit == Some(-1) {
        writes.push(Write::new("memory.swap", "memory.swap.max", "max").or(Absent::Leave));
    }
    if let Some(limit) = limit {
        writes.push(Write::new("memory.limit", "memory.max", or_max(limit)));
    }
    if let Some(reservation) = memory.reservation.filter(|&n| n != 0) {
        writes.push(Write::new("memory.reservation", "memory.low", or_max(reservation)));
    }
    Ok(writes)
}

/// The spec's limit is for memory and swap together, as on v1; v2 limits swap by itself.
fn swap_max(limit: Option<i64>, swap: i64) -> Result<String, Error> {
    let bad = |reason: &str| Error::BadValue { field: "memory.swap".to_owned(), reason: reason.to_owned() };
    match limit {
        _ if swap == -1 => Ok("max".to_owned()),
        None | Some(-1) => Err(bad("unable to set swap limit without memory limit")),
        Some(limit) if limit < 0 || swap < 0 => Err(bad("invalid memory value")),
        Some(limit) if swap < limit => Err(bad("memory+swap limit should be >= memory limit")),
        Some(limit) => Ok((swap - limit).to_string()),
    }
}

fn or_max(bytes: i64) -> String {
    if bytes == -1 { "max".to_owned() } else { bytes.to_string() }
}

fn cpu(cpu: &Cpu) -> Result<Vec<Write>, Error> {
    if cpu.realtime_runtime.is_some_and(|n| n != 0) {
        return Err(unsupported("cpu.realtimeRuntime", "v2"));
    }
    if cpu.realtime_period.is_some_and(|n| n != 0) {
        return Err(unsupported("cpu.realtimePeriod", "v2"));
    }
    let mut writes = Vec::new();
    if let Some(shares) = cpu.shares.filter(|&n| n != 0) {
        writes.push(Write::new("cpu.shares", "cpu.weight", cpu_weight(shares)));
    }
    let (quota, period) = (cpu.quota.filter(|&n| n != 0), cpu.period.filter(|&n| n != 0));
    if quota.is_some() || period.is_some() {
        let limit = quota.filter(|&n| n > 0).map_or("max".to_owned(), |n| n.to_string());
        let field = if quota.is_some() { "cpu.quota" } else { "cpu.period" };
        writes.push(Write::new(field, "cpu.max", format!("{limit} {}", period.unwrap_or(100_000))));
    }
    if let Some(burst) = cpu.burst {
        let absent = if burst == 0 { Absent::Leave } else { Absent::Refuse };
        writes.push(Write::new("cpu.burst", "cpu.max.burst", burst).or(absent));
    }
    writes.extend(v1::idle(cpu));
    Ok(writes)
}

/// The weight, 1 to 10000, of v1 shares, 2 to 262144: a quadratic in the logarithm through
/// (2, 1), (1024, 100) and (262144, 10000), as all runtimes have agreed on.
pub(super) fn cpu_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        // Exact below 2^53, and the result is between 1 and 10000.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

fn block_io(io: &BlockIo) -> Result<Vec<Write>, Error> {
    let leaf_weight = |weight: Option<u16>| weight.is_some_and(|n| n != 0);
    if leaf_weight(io.leaf_weight) || io.weight_device.iter().any(|d| leaf_weight(d.leaf_weight)) {
        return Err(unsupported("blockIO.leafWeight", "v2"));
    }
    let mut writes = Vec::new();
    if let Some(weight) = io.weight.filter(|&n| n != 0) {
        let plain = Absent::Instead("io.weight", io_weight(weight).to_string());
        writes.push(Write::new("blockIO.weight", "io.bfq.weight", weight).or(plain));
    }
    for device in &io.weight_device {
        if let Some(weight) = device.weight.filter(|&n| n != 0) {
            let name = format!("{}:{}", device.major, device.minor);
            let plain = Absent::Instead("io.weight", format!("{name} {}", io_weight(weight)));
            writes.push(Write::new("blockIO.weightDevice", "io.bfq.weight", format!("{name} {weight}")).or(plain));
        }
    }
    let mut throttle = |field, key: &str, devices: &[ThrottleDevice]| {
        for device in devices {
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            let value = format!("{}:{} {key}={rate}", device.major, device.minor);
            writes.push(Write::new(field, "io.max", value));
        }
    };
    throttle("blockIO.throttleReadBpsDevice", "rbps", &io.throttle_read_bps_device);
    throttle("blockIO.throttleWriteBpsDevice", "wbps", &io.throttle_write_bps_device);
    throttle("blockIO.throttleReadIOPSDevice", "riops", &io.throttle_read_iops_device);
    throttle("blockIO.throttleWriteIOPSDevice", "wiops", &io.throttle_write_iops_device);
    Ok(writes)
}

/// The range 10 to 1000 of the spec stretched to the 1 to 10000 of `io.weight`.
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9_999 / 990
}
