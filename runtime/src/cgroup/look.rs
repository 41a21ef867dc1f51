//! What a container's cgroups hold it to, as the kernel has it now: nothing is taken from the configuration.

use super::dir::Dir;
use super::layout::Version;
use super::processes::collect;
use super::{Cgroup, Error, Record};
use crate::sys::bpf;
use serde::Serialize;
use std::os::fd::AsFd;

/// Limits of the container's own cgroup. A limit that is not there is none; those of the cgroups above it hold as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Tasks.
    pub pids: Option<u64>,
    /// Thousandths of a CPU.
    pub millicpu: Option<u64>,
    /// `cpu.shares` of v1, or `cpu.weight` of v2: the part of the CPUs when all are busy.
    pub cpu_weight: Option<u64>,
}

/// Which devices the cgroup lets processes open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DeviceAccess {
    /// All: nothing restricts them.
    Everything,
    /// Those of `devices.list` (v1), as the kernel prints it: `c 1:3 rwm`.
    Listed(Vec<String>),
    /// What this number of programs on the unified cgroup let through; the kernel does not say what that is.
    Programs(usize),
}

impl Cgroup {
    /// The limits on memory, tasks and CPU time.
    ///
    /// # Errors
    /// A failed call, or a file of another form than cgroups(7) says.
    pub fn limits(&self) -> Result<Limits, Error> {
        let mut limits = Limits::default();
        if let Some(dir) = self.v1("memory")? {
            limits.memory = dir.read_u64("memory.limit_in_bytes")?.filter(|bytes| *bytes < V1_UNLIMITED);
        } else if let Some(dir) = self.unified()? {
            limits.memory = limit(dir, "memory.max")?;
        }
        if let Some(dir) = self.v1("pids")?.or(self.unified()?) {
            limits.pids = limit(dir, "pids.max")?;
        }
        if let Some(dir) = self.v1("cpu")? {
            // -1 is no quota.
            let quota = dir.read("cpu.cfs_quota_us")?.and_then(|text| text.trim().parse::<u64>().ok());
            limits.millicpu = millicpu(quota, dir.read_u64("cpu.cfs_period_us")?);
            limits.cpu_weight = dir.read_u64("cpu.shares")?;
        } else if let Some(dir) = self.unified()? {
            let text = dir.read("cpu.max")?.unwrap_or_default();
            let mut words = text.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
            limits.millicpu = millicpu(words.next().flatten(), words.next().flatten());
            limits.cpu_weight = dir.read_u64("cpu.weight")?;
        }
        Ok(limits)
    }

    /// What the device controller lets through.
    ///
    /// # Errors
    /// A failed call; bpf(2) takes CAP_SYS_ADMIN here.
    pub fn device_access(&self) -> Result<DeviceAccess, Error> {
        if let Some(dir) = self.v1("devices")? {
            let text = dir.read("devices.list")?.ok_or(Error::Gone)?;
            return Ok(listed(&text));
        }
        let Some(dir) = self.unified()? else { return Ok(DeviceAccess::Everything) };
        match bpf::query_cgroup_device(dir.as_fd()) {
            Ok(programs) if programs.is_empty() => Ok(DeviceAccess::Everything),
            Ok(programs) => Ok(DeviceAccess::Programs(programs.len())),
            Err(errno) => Err(Error::call("bpf(BPF_PROG_QUERY)", dir.name.clone(), errno)),
        }
    }

    /// The directories of the container's cgroups that a process is not in, nor in one below: it left them, and what
    /// they limit does not hold for it. `proc_cgroup` is its `/proc/PID/cgroup`.
    ///
    /// # Errors
    /// A failed call.
    pub fn left_by(&self, pid: i32, proc_cgroup: &str) -> Result<Vec<String>, Error> {
        let mut left = Vec::new();
        for place in self.places.iter().filter(|place| !place.record.holds(proc_cgroup)) {
            // The file's paths count from the reader's cgroup namespace, which need not be where the mount begins.
            let mut pids = Vec::new();
            if let Some(dir) = place.dir()? {
                collect(dir, &mut pids)?;
            }
            if !pids.contains(&pid) {
                left.push(place.record.directory());
            }
        }
        Ok(left)
    }
}

impl Record {
    /// Whether a `/proc/PID/cgroup` has its process in this cgroup or below it; cgroups(7).
    #[must_use]
    pub fn holds(&self, proc_cgroup: &str) -> bool {
        let hierarchy = match self.version {
            Version::V1 => self.hierarchy(),
            Version::V2 => String::new(),
        };
        let lines = proc_cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines.filter(|(controllers, _)| *controllers == hierarchy).any(|(_, path)| {
            let below = path.trim_start_matches('/').strip_prefix(self.path.as_str());
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// What v1 prints for "no limit": the largest number of bytes in whole pages of any size.
const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_0000;

fn limit(dir: &Dir, file: &str) -> Result<Option<u64>, Error> {
    Ok(dir.read_u64(file)?.filter(|value| *value != u64::MAX))
}

fn millicpu(quota: Option<u64>, period: Option<u64>) -> Option<u64> {
    quota?.saturating_mul(1000).checked_div(period?)
}

fn listed(text: &str) -> DeviceAccess {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.iter().any(|line| line.starts_with("a *:* ")) {
        true => DeviceAccess::Everything,
        false => DeviceAccess::Listed(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_that_begins_with_all_is_everything() {
        assert_eq!(listed("a *:* rwm\n"), DeviceAccess::Everything);
        assert_eq!(listed("c 1:3 rwm\nb *:* m\n"), DeviceAccess::Listed(vec!["c 1:3 rwm".into(), "b *:* m".into()]));
        assert_eq!(listed(""), DeviceAccess::Listed(Vec::new()));
    }

    #[test]
    fn cpu_time_is_in_thousandths_of_a_cpu() {
        assert_eq!(millicpu(Some(150_000), Some(100_000)), Some(1500));
        assert_eq!(millicpu(None, Some(100_000)), None);
        assert_eq!(millicpu(Some(1), Some(0)), None);
    }

    #[test]
    fn process_in_another_cgroup_of_a_longer_name_is_not_in_this_one() {
        let record = |version, controllers: &[&str], path: &str| Record {
            version,
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
            mount_point: "/sys/fs/cgroup/m".into(),
            path: path.into(),
        };
        let text = "5:cpu,cpuacct:/docker/c/sub\n3:pids:/docker/cc\n0::/docker/c\n";
        assert!(record(Version::V1, &["cpu", "cpuacct"], "docker/c").holds(text));
        assert!(record(Version::V2, &[], "docker/c").holds(text));
        assert!(!record(Version::V1, &["pids"], "docker/c").holds(text));
        assert!(!record(Version::V1, &["memory"], "docker/c").holds(text));
    }
}
