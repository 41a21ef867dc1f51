//! Figures of the unified hierarchy.

use super::v1::page_sizes;
use super::{BlkioEntry, Hugetlb, Pressure, Stats, list, table};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

/// Reads what the controllers of the unified hierarchy count: on a hybrid host those few that are not
/// on v1, whose figures come afterwards and replace these.
pub(super) fn read(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    cpu(dir, stats)?;
    let enabled = dir.read("cgroup.controllers")?.unwrap_or_default();
    for controller in enabled.split_whitespace() {
        match controller {
            "cpuset" => {
                stats.cpuset.cpus = list(&dir.read("cpuset.cpus.effective")?.unwrap_or_default());
                stats.cpuset.mems = list(&dir.read("cpuset.mems.effective")?.unwrap_or_default());
            }
            "memory" => memory(dir, stats)?,
            "pids" => {
                stats.pids.current = dir.read_u64("pids.current")?.unwrap_or(0);
                stats.pids.limit = dir.read_u64("pids.max")?.filter(|&n| n != u64::MAX).unwrap_or(0);
            }
            "io" => io(dir, stats)?,
            "hugetlb" => hugetlb(dir, stats)?,
            _ => {}
        }
    }
    stats.cpu.psi = Pressure::read(dir, "cpu.pressure")?;
    stats.memory.psi = Pressure::read(dir, "memory.pressure")?;
    stats.blkio.psi = Pressure::read(dir, "io.pressure")?;
    Ok(())
}

/// `cpu.stat` has the times even where the controller is not enabled.
fn cpu(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    let text = table(&dir.read("cpu.stat")?.unwrap_or_default());
    let get = |key: &str| text.get(key).copied().unwrap_or(0);
    let nanoseconds = |key: &str| get(key).saturating_mul(1000);
    stats.cpu.usage.total = nanoseconds("usage_usec");
    stats.cpu.usage.user = nanoseconds("user_usec");
    stats.cpu.usage.kernel = nanoseconds("system_usec");
    stats.cpu.throttling.periods = get("nr_periods");
    stats.cpu.throttling.throttled_periods = get("nr_throttled");
    stats.cpu.throttling.throttled_time = nanoseconds("throttled_usec");
    Ok(())
}

fn memory(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    let number = |file: &str| Ok::<_, Error>(dir.read_u64(file)?.unwrap_or(0));
    let memory = &mut stats.memory;
    memory.raw = table(&dir.read("memory.stat")?.unwrap_or_default());
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
    memory.usage.usage = number("memory.current")?;
    memory.usage.limit = number("memory.max")?;
    memory.usage.max = number("memory.peak")?;
    if let (Some(usage), Some(limit)) = (dir.read_u64("memory.swap.current")?, dir.read_u64("memory.swap.max")?) {
        memory.swap.usage = usage.saturating_add(memory.usage.usage);
        // Saturates: no limit on either is no limit on both.
        memory.swap.limit = limit.saturating_add(memory.usage.limit);
        memory.swap.max = number("memory.swap.peak")?;
    }
    Ok(())
}

/// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
fn io(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    for line in dir.read("io.stat")?.unwrap_or_default().lines() {
        let mut fields = line.split(' ');
        let Some((major, minor)) = fields.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in fields.filter_map(|f| f.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value: value.parse().unwrap_or(0) });
        }
    }
    Ok(())
}

fn hugetlb(dir: &Dir, stats: &mut Stats) -> Result<(), Error> {
    for size in page_sizes(dir, "current")? {
        let usage = dir.read_u64(&format!("hugetlb.{size}.current"))?.unwrap_or(0);
        let failcnt = dir.read_key(&format!("hugetlb.{size}.events"), "max")?.unwrap_or(0);
        stats.hugetlb.insert(size, Hugetlb { usage, max: 0, failcnt });
    }
    Ok(())
}
