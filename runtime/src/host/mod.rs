//! What this host offers, as plain data, so that decisions can be made, printed and tested on any host.
//!
//! [`HostFacts`] is what a `create` depends on, at the price of a few system calls. [`Survey`] is everything that
//! `doctor` reports. Probing changes nothing: it reads files of the kernel and makes calls that cannot succeed.

mod survey;

pub use survey::{Answer, Cgroups, Survey};

use crate::cgroup::Layout;
use crate::error::{Call, Error, Kind, Result};
use crate::plan::Facts;
use crate::sys::probe;
use casemate_selinux::Selinuxfs;
use rustix::io::Errno;
use seccomp_profiles::profile::Flag;
use serde::{Deserialize, Serialize};
use std::fs;

/// The facts that a plan depends on, without the cgroup hierarchies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostFacts {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel_release: String,
    /// The caller's bounding set, a bit for each capability.
    pub bounding: u64,
    /// The caller's permitted set.
    pub permitted: u64,
    /// The kernel's highest capability.
    pub last_capability: u32,
    /// The caller's umask.
    pub umask: u32,
    /// SELinux is enabled.
    pub selinux: bool,
    /// AppArmor is enabled.
    pub apparmor: bool,
    /// Landlock's ABI version; 0 without Landlock.
    #[serde(default)]
    pub landlock_abi: u32,
    /// CPUs with a directory `thermal_throttle` in sysfs.
    #[serde(default)]
    pub thermal_cpus: u32,
    /// The caller is in the initial user namespace.
    pub initial_user_namespace: bool,
}

/// The inode of the initial user namespace (`PROC_USER_INIT_INO`), which is the same on every kernel.
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

impl HostFacts {
    /// Probes what `create` needs: fewer than 30 system calls, and none that waits.
    ///
    /// # Errors
    /// A file of procfs cannot be read, or does not hold what proc(5) says.
    pub fn probe_for_create() -> Result<HostFacts> {
        let status = read("/proc/self/status")?;
        let link = fs::read_link("/proc/self/ns/user").call("readlink", "/proc/self/ns/user")?;
        Ok(HostFacts {
            kernel_release: rustix::system::uname().release().to_string_lossy().into_owned(),
            bounding: number(&status, "CapBnd", 16)?,
            permitted: number(&status, "CapPrm", 16)?,
            last_capability: last_capability()?,
            umask: u32::try_from(number(&status, "Umask", 8)?).unwrap_or_default(),
            selinux: selinux()?,
            apparmor: apparmor()?,
            landlock_abi: probe::landlock_abi().unwrap_or_default(),
            thermal_cpus: thermal_cpus(),
            initial_user_namespace: link.as_os_str() == INITIAL_USER_NAMESPACE,
        })
    }

    /// Probes everything.
    ///
    /// # Errors
    /// As [`HostFacts::probe_for_create`].
    pub fn probe_all() -> Result<Survey> {
        Survey::probe()
    }

    /// With the cgroup hierarchies, the facts that a plan is made from.
    pub fn with_cgroups(&self, cgroups: Layout) -> Facts {
        Facts {
            bounding: self.bounding,
            permitted: self.permitted,
            last_capability: self.last_capability,
            umask: self.umask,
            selinux: self.selinux,
            apparmor: self.apparmor,
            landlock_abi: self.landlock_abi,
            thermal_cpus: self.thermal_cpus,
            cgroups,
        }
    }
}

/// Everything about this host and this caller that a plan depends on.
///
/// # Errors
/// As [`HostFacts::probe_for_create`], and a host without cgroups.
pub fn facts() -> Result<Facts> {
    let cgroups = Layout::discover().map_err(crate::state::of_cgroup)?;
    Ok(HostFacts::probe_for_create()?.with_cgroups(cgroups))
}

/// The names of the capabilities in a set, in the kernel's order.
pub fn capability_names(set: u64) -> Vec<String> {
    let all = caps::all();
    let names = (0..64).filter(|bit| set & (1 << bit) != 0).filter_map(|bit| all.iter().find(|one| one.index() == bit));
    names.map(ToString::to_string).collect()
}

/// The flags of a seccomp filter that this kernel has.
pub fn seccomp_flags() -> Vec<Flag> {
    let has = |flag: &Flag| {
        probe::has_seccomp_flag(match flag {
            Flag::Tsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
            Flag::Log => libc::SECCOMP_FILTER_FLAG_LOG,
            Flag::SpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            // Valid only with a listener.
            Flag::WaitKillableRecv => {
                libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
            }
        })
    };
    Flag::ALL.iter().copied().filter(has).collect()
}

/// How many CPUs there can be, if the first one has the directory; whose CPU is not there has none to cover.
fn thermal_cpus() -> u32 {
    if rustix::fs::stat("/sys/devices/system/cpu/cpu0/thermal_throttle").is_err() {
        return 0;
    }
    // `0-127`, or `0` alone.
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    possible.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<u32>().ok()).map_or(1, |last| last + 1)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).call("read", path)
}

/// The contents of a file without the line's end; nothing when there is no such file.
fn read_if_there(path: &str) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => Ok(None),
        Err(error) => Err(error).call("read", path),
    }
}

fn content(path: &str) -> Error {
    Error::new(Kind::System, format!("read \"{path}\": not what proc(5) says"))
}

/// The number behind `name:` in a file like `/proc/self/status`.
fn number(status: &str, name: &str, radix: u32) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| u64::from_str_radix(value.trim(), radix).ok()).ok_or_else(|| content("/proc/self/status"))
}

fn last_capability() -> Result<u32> {
    let path = "/proc/sys/kernel/cap_last_cap";
    read(path)?.trim().parse().map_err(|_| content(path))
}

fn selinux() -> Result<bool> {
    match rustix::fs::statfs("/sys/fs/selinux") {
        // The kernel's types are signed on some architectures; ST_RDONLY is 1.
        Ok(stat) => Ok(Selinuxfs { magic: Some(stat.f_type as u64), read_only: stat.f_flags & 1 != 0 }.is_enabled()),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::call("statfs", "/sys/fs/selinux", errno)),
    }
}

fn apparmor() -> Result<bool> {
    Ok(read_if_there("/sys/module/apparmor/parameters/enabled")?.is_some_and(|text| text == "Y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_those_of_this_process() {
        let facts = HostFacts::probe_for_create().unwrap();
        let sets = rustix::thread::capabilities(None).unwrap();
        assert_eq!(facts.permitted, sets.permitted.bits());
        assert_eq!(facts.bounding & !((2 << facts.last_capability) - 1), 0);
        for capability in caps::all() {
            let bounding = caps::has_cap(None, caps::CapSet::Bounding, capability).unwrap();
            assert_eq!(facts.bounding & capability.bitmask() != 0, bounding, "{capability}");
        }
        assert!(facts.last_capability >= 40);
        assert!(facts.kernel_release.starts_with(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn facts_survive_json() {
        let facts = HostFacts::probe_for_create().unwrap();
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<HostFacts>(&text).unwrap(), facts);
    }

    #[test]
    fn capability_names_are_in_the_kernels_order() {
        assert_eq!(capability_names(0b1000_0000_0011), ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_NET_BROADCAST"]);
        assert!(capability_names(0).is_empty());
    }

    #[test]
    fn missing_field_of_status_is_an_error() {
        assert!(number("Umask:\t0022\n", "CapBnd", 16).is_err());
        assert_eq!(number("Umask:\t0022\n", "Umask", 8).unwrap(), 0o22);
    }
}
