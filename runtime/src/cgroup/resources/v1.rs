//! Limits as files of cgroup v1; `Documentation/admin-guide/cgroup-v1/` of the kernel.

use super::{Absent, Controller, Write, swappiness};
use crate::cgroup::Error;
use crate::spec::{BlockIo, Cpu, HugepageLimit, Memory, Resources, ThrottleDevice};

/// The writes of one controller, memory excepted.
pub(super) fn writes(controller: Controller, resources: &Resources) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    match controller {
        Controller::Cpuset => writes = resources.cpu.as_ref().map(cpuset).unwrap_or_default(),
        Controller::Cpu => {
            if let Some(cpu) = &resources.cpu {
                writes = self::cpu(cpu)?;
            }
        }
        Controller::Pids => writes.extend(pids(resources)?),
        Controller::BlockIo => writes = resources.block_io.as_ref().map(block_io).unwrap_or_default(),
        Controller::Hugetlb => {
            for limit in &resources.hugepage_limits {
                writes.extend(hugetlb(limit, "limit_in_bytes", "rsvd.limit_in_bytes")?);
            }
        }
        Controller::NetCls => {
            let class_id = resources.network.as_ref().and_then(|n| n.class_id).filter(|&id| id != 0);
            writes.extend(class_id.map(|id| Write::new("network.classID", "net_cls.classid", id)));
        }
        Controller::NetPrio => {
            for entry in resources.network.iter().flat_map(|n| &n.priorities) {
                let value = format!("{} {}", entry.name, entry.priority);
                writes.push(Write::new("network.priorities", "net_prio.ifpriomap", value));
            }
        }
        Controller::Rdma => writes = rdma(resources)?,
        Controller::Memory => {
            if let Some(memory) = &resources.memory {
                writes = self::memory(memory)?;
            }
        }
    }
    Ok(writes)
}

pub(super) fn memory(memory: &Memory) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    let limit = memory.limit.filter(|&n| n != 0);
    let swap = memory.swap.filter(|&n| n != 0);
    let swap_file = "memory.memsw.limit_in_bytes";
    if let Some(limit) = limit {
        writes.push(Write::new("memory.limit", "memory.limit_in_bytes", limit));
    }
    match (limit, swap) {
        // Without swap accounting there is nothing to lift.
        (_, Some(-1)) => writes.push(Write::new("memory.swap", swap_file, -1).or(Absent::Leave)),
        (_, Some(swap)) => writes.push(Write::new("memory.swap", swap_file, swap)),
        // Lifting the limit lifts the one above it, which would otherwise go on to hold.
        (Some(-1), None) => writes.push(Write::new("memory.swap", swap_file, -1).or(Absent::Leave)),
        (_, None) => {}
    }
    if let Some(reservation) = memory.reservation.filter(|&n| n != 0) {
        writes.push(Write::new("memory.reservation", "memory.soft_limit_in_bytes", reservation));
    }
    if let Some(value) = swappiness(memory) {
        if value > 100 {
            let reason = format!("invalid memory swappiness value: {value} (valid range is 0-100)");
            return Err(Error::BadValue { field: "memory.swappiness".to_owned(), reason });
        }
        writes.push(Write::new("memory.swappiness", "memory.swappiness", value));
    }
    if memory.disable_oom_killer == Some(true) {
        writes.push(Write::new("memory.disableOOMKiller", "memory.oom_control", 1));
    }
    Ok(writes)
}

fn cpu(cpu: &Cpu) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    if let Some(shares) = cpu.shares.filter(|&n| n != 0) {
        // The kernel would take any number and silently use the nearest that it allows.
        let reason = match shares {
            0..2 => Some("the minimum allowed cpu-shares is 2"),
            2..=262_144 => None,
            _ => Some("the maximum allowed cpu-shares is 262144"),
        };
        if let Some(reason) = reason {
            return Err(Error::BadValue { field: "cpu.shares".to_owned(), reason: reason.to_owned() });
        }
        writes.push(Write::new("cpu.shares", "cpu.shares", shares));
    }
    if let Some(period) = cpu.period.filter(|&n| n != 0) {
        writes.push(Write::new("cpu.period", "cpu.cfs_period_us", period));
    }
    if let Some(quota) = cpu.quota.filter(|&n| n != 0) {
        writes.push(Write::new("cpu.quota", "cpu.cfs_quota_us", quota));
    }
    if let Some(burst) = cpu.burst {
        let absent = if burst == 0 { Absent::Leave } else { Absent::Refuse };
        writes.push(Write::new("cpu.burst", "cpu.cfs_burst_us", burst).or(absent));
    }
    if let Some(period) = cpu.realtime_period.filter(|&n| n != 0) {
        writes.push(Write::new("cpu.realtimePeriod", "cpu.rt_period_us", period));
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|&n| n != 0) {
        writes.push(Write::new("cpu.realtimeRuntime", "cpu.rt_runtime_us", runtime));
    }
    writes.extend(idle(cpu));
    Ok(writes)
}

/// `cpu.idle` is spelled alike on both versions.
pub(super) fn idle(cpu: &Cpu) -> Option<Write> {
    let idle = cpu.idle?;
    let absent = if idle == 0 { Absent::Leave } else { Absent::Refuse };
    Some(Write::new("cpu.idle", "cpu.idle", idle).or(absent))
}

/// The cpuset files are spelled alike on both versions.
pub(super) fn cpuset(cpu: &Cpu) -> Vec<Write> {
    let files = [("cpu.cpus", "cpuset.cpus", &cpu.cpus), ("cpu.mems", "cpuset.mems", &cpu.mems)];
    files.iter().filter(|(_, _, v)| !v.is_empty()).map(|(field, file, v)| Write::new(field, *file, v)).collect()
}

/// `pids.max` is spelled alike on both versions. 0 ("no fork") becomes 1: the first process is one.
pub(super) fn pids(resources: &Resources) -> Result<Option<Write>, Error> {
    let value = match resources.pids.as_ref().and_then(|p| p.limit) {
        None => return Ok(None),
        Some(-1) => "max".to_owned(),
        Some(0) => "1".to_owned(),
        Some(limit @ 1..) => limit.to_string(),
        Some(limit) => {
            let reason = format!("{limit} is no limit: use -1 for none");
            return Err(Error::BadValue { field: "pids.limit".to_owned(), reason });
        }
    };
    Ok(Some(Write::new("pids.limit", "pids.max", value)))
}

fn block_io(io: &BlockIo) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(weight) = io.weight.filter(|&n| n != 0) {
        let bfq = Absent::Instead("blkio.bfq.weight", weight.to_string());
        writes.push(Write::new("blockIO.weight", "blkio.weight", weight).or(bfq));
    }
    if let Some(weight) = io.leaf_weight.filter(|&n| n != 0) {
        writes.push(Write::new("blockIO.leafWeight", "blkio.leaf_weight", weight));
    }
    for device in &io.weight_device {
        let entry = |weight: u16| format!("{}:{} {weight}", device.major, device.minor);
        if let Some(weight) = device.weight.filter(|&n| n != 0) {
            let bfq = Absent::Instead("blkio.bfq.weight_device", entry(weight));
            writes.push(Write::new("blockIO.weightDevice", "blkio.weight_device", entry(weight)).or(bfq));
        }
        if let Some(weight) = device.leaf_weight.filter(|&n| n != 0) {
            writes.push(Write::new("blockIO.weightDevice", "blkio.leaf_weight_device", entry(weight)));
        }
    }
    let mut throttle = |field, file: &str, devices: &[ThrottleDevice]| {
        let entry = |d: &ThrottleDevice| format!("{}:{} {}", d.major, d.minor, d.rate);
        writes.extend(devices.iter().map(|d| Write::new(field, file, entry(d))));
    };
    throttle("blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", &io.throttle_read_bps_device);
    throttle("blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", &io.throttle_write_bps_device);
    throttle("blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", &io.throttle_read_iops_device);
    throttle("blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", &io.throttle_write_iops_device);
    writes
}

/// The limit of use and, where the kernel has it (5.7), that of reservations: a page that is reserved
/// but not used yet otherwise passes the first and kills at the fault.
pub(super) fn hugetlb(limit: &HugepageLimit, file: &str, rsvd_file: &str) -> Result<[Write; 2], Error> {
    let size = &limit.page_size;
    let digits = size.trim_end_matches(['K', 'M', 'G', 'B']);
    let is_size = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_size || !matches!(size.get(digits.len()..), Some("KB" | "MB" | "GB")) {
        let reason = format!("\"{}\" is not a page size such as 2MB", size.escape_default());
        return Err(Error::BadValue { field: "hugepageLimits.pageSize".to_owned(), reason });
    }
    Ok([
        Write::new("hugepageLimits", format!("hugetlb.{size}.{file}"), limit.limit),
        Write::new("hugepageLimits", format!("hugetlb.{size}.{rsvd_file}"), limit.limit).or(Absent::Leave),
    ])
}

/// `rdma.max` is spelled alike on both versions.
pub(super) fn rdma(resources: &Resources) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for (device, limit) in &resources.rdma {
        let bad = |reason: &str| Error::BadValue {
            field: format!("rdma[\"{}\"]", device.escape_default()),
            reason: reason.to_owned(),
        };
        if device.is_empty() || device.contains(char::is_whitespace) {
            return Err(bad("is not the name of a device"));
        }
        let mut value = device.clone();
        for (key, number) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)] {
            value.extend(number.map(|n| format!(" {key}={n}")));
        }
        if value.len() == device.len() {
            return Err(bad("at least one of hcaHandles and hcaObjects is needed"));
        }
        writes.push(Write::new("rdma", "rdma.max", value));
    }
    Ok(writes)
}
