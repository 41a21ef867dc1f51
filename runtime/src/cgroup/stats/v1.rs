//! Figures of the v1 controllers.

use super::{BlkioEntry, MemoryEntry, Stats, list, table};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Nanoseconds of one tick of `cpuacct.stat`: USER_HZ is 100 on every architecture of this runtime.
const TICK: u64 = 10_000_000;

/// Reads what one controller counts.
pub(super) fn read(controller: &str, dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    match controller {
        "cpu" => cpu(dir, stats),
        "cpuacct" => cpuacct(dir, stats),
        "cpuset" => cpuset(dir, stats),
        "memory" => memory(dir, stats),
        "pids" => {
            stats.pids.current = dir.read_u64("pids.current")?.unwrap_or(0);
            stats.pids.limit = dir.read_u64("pids.max")?.filter(|&n| n != u64::MAX).unwrap_or(0);
            Ok(())
        }
        "blkio" => blkio(dir, stats),
        "hugetlb" => hugetlb(dir, stats),
        _ => Ok(()),
    }
}

fn cpu(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    let text = table(&dir.read("cpu.stat")?.unwrap_or_default());
    let get = |key: &str| text.get(key).copied().unwrap_or(0);
    stats.cpu.throttling.periods = get("nr_periods");
    stats.cpu.throttling.throttled_periods = get("nr_throttled");
    stats.cpu.throttling.throttled_time = get("throttled_time");
    Ok(())
}

fn cpuacct(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    let usage = &mut stats.cpu.usage;
    usage.total = dir.read_u64("cpuacct.usage")?.unwrap_or(0);
    let text = dir.read("cpuacct.usage_percpu")?.unwrap_or_default();
    usage.percpu = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    (usage.percpu_kernel, usage.percpu_user) = by_cpu(&dir.read("cpuacct.usage_all")?.unwrap_or_default());
    let ticks = table(&dir.read("cpuacct.stat")?.unwrap_or_default());
    let nanoseconds = |key: &str| ticks.get(key).copied().unwrap_or(0).saturating_mul(TICK);
    usage.kernel = nanoseconds("system");
    usage.user = nanoseconds("user");
    Ok(())
}

/// The kernel and user columns of `cpuacct.usage_all`: a heading, then `cpu user system`.
fn by_cpu(text: &str) -> (Vec<u64>, Vec<u64>) {
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1).map(str::parse::<u64>);
        let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
        Some((system, user))
    });
    rows.unzip()
}

fn cpuset(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    let number = |file: &str| Ok::<_, Error>(dir.read_u64(file)?.unwrap_or(0));
    let cpuset = &mut stats.cpuset;
    cpuset.cpus = list(&dir.read("cpuset.cpus")?.unwrap_or_default());
    cpuset.cpu_exclusive = number("cpuset.cpu_exclusive")?;
    cpuset.mems = list(&dir.read("cpuset.mems")?.unwrap_or_default());
    cpuset.mem_hardwall = number("cpuset.mem_hardwall")?;
    cpuset.mem_exclusive = number("cpuset.mem_exclusive")?;
    cpuset.memory_migrate = number("cpuset.memory_migrate")?;
    cpuset.memory_spread_page = number("cpuset.memory_spread_page")?;
    cpuset.memory_spread_slab = number("cpuset.memory_spread_slab")?;
    cpuset.memory_pressure = number("cpuset.memory_pressure")?;
    cpuset.sched_load_balance = number("cpuset.sched_load_balance")?;
    let level = dir.read("cpuset.sched_relax_domain_level")?.unwrap_or_default();
    cpuset.sched_relax_domain_level = level.trim().parse().unwrap_or(0);
    Ok(())
}

fn memory(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    stats.memory.raw = table(&dir.read("memory.stat")?.unwrap_or_default());
    stats.memory.cache = stats.memory.raw.get("cache").copied().unwrap_or(0);
    let entry = |kind: &str| {
        let number = |what: &str| Ok::<_, Error>(dir.read_u64(&format!("memory.{kind}{what}"))?.unwrap_or(0));
        Ok::<_, Error>(MemoryEntry {
            limit: number("limit_in_bytes")?,
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes")?,
            failcnt: number("failcnt")?,
        })
    };
    stats.memory.usage = entry("")?;
    stats.memory.swap = entry("memsw.")?;
    stats.memory.kernel = entry("kmem.")?;
    stats.memory.kernel_tcp = entry("kmem.tcp.")?;
    Ok(())
}

/// The scheduler's own figures where it has any (BFQ), otherwise those of throttling.
fn blkio(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    let read = |names: &[&str]| {
        for name in names {
            let entries = blkio_entries(&dir.read(&format!("blkio.{name}"))?.unwrap_or_default());
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok::<_, Error>(Vec::new())
    };
    let blkio = &mut stats.blkio;
    blkio.io_service_bytes_recursive = read(&[
        "bfq.io_service_bytes_recursive",
        "io_service_bytes_recursive",
        "throttle.io_service_bytes_recursive",
        "throttle.io_service_bytes",
    ])?;
    blkio.io_serviced_recursive = read(&[
        "bfq.io_serviced_recursive",
        "io_serviced_recursive",
        "throttle.io_serviced_recursive",
        "throttle.io_serviced",
    ])?;
    blkio.io_queued_recursive = read(&["bfq.io_queued_recursive", "io_queued_recursive"])?;
    blkio.io_service_time_recursive = read(&["bfq.io_service_time_recursive", "io_service_time_recursive"])?;
    blkio.io_wait_time_recursive = read(&["bfq.io_wait_time_recursive", "io_wait_time_recursive"])?;
    blkio.io_merged_recursive = read(&["bfq.io_merged_recursive", "io_merged_recursive"])?;
    blkio.io_time_recursive = read(&["bfq.time_recursive", "time_recursive"])?;
    blkio.sectors_recursive = read(&["bfq.sectors_recursive", "sectors_recursive"])?;
    Ok(())
}

/// Lines of `8:0 Read 4096` or `8:0 4096`; the closing `Total 4096` belongs to no device.
#[must_use]
pub fn blkio_entries(text: &str) -> Vec<BlkioEntry> {
    let parse = |line: &str| {
        let mut fields = line.split_whitespace();
        let (major, minor) = fields.next()?.split_once(':')?;
        let (second, third) = (fields.next()?, fields.next());
        let (op, value) = third.map_or(("", second), |value| (second, value));
        Some(BlkioEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op: op.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(parse).collect()
}

fn hugetlb(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    for size in page_sizes(dir, "usage_in_bytes")? {
        let number = |what: &str| Ok::<_, Error>(dir.read_u64(&format!("hugetlb.{size}.{what}"))?.unwrap_or(0));
        let entry = super::Hugetlb {
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes")?,
            failcnt: number("failcnt")?,
        };
        stats.hugetlb.insert(size, entry);
    }
    Ok(())
}

/// The page sizes for which the cgroup has a file.
pub(super) fn page_sizes(dir: &Dir, file: &str) -> Result<Vec<String>, Error> {
    let names = dir.files()?.into_iter();
    Ok(names
        .filter_map(|name| {
            let (size, rest) = name.strip_prefix("hugetlb.")?.split_once('.')?;
            (rest == file).then(|| size.to_owned())
        })
        .collect())
}
