//! The facts about this host and this caller that a plan depends on, in a few reads.

use crate::cgroup::Layout;
use crate::error::{Error, Kind, Result};
use crate::plan::Facts;
use crate::state::of_cgroup;
use crate::state::procfs::Procfs;

/// Probes them.
///
/// # Errors
/// A /proc that is not there or says something else than proc(5).
pub fn probe() -> Result<Facts> {
    let procfs = Procfs::open()?;
    let pid = std::process::id();
    let missing = |what: &str| Error::new(Kind::System, format!("read \"/proc/{pid}/status\": no {what}"));
    let status = procfs
        .read(&format!("{pid}/status"))
        .map_err(|errno| Error::call("read", format_args!("/proc/{pid}/status"), errno))?;
    let field = |name: &str| {
        status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim).ok_or_else(|| missing(name))
    };
    let hex = |name: &str| u64::from_str_radix(field(name)?, 16).map_err(|_| missing(name));
    let umask = u32::from_str_radix(field("Umask")?, 8).map_err(|_| missing("Umask"))?;
    let last = procfs.read("sys/kernel/cap_last_cap").ok().and_then(|t| t.trim().parse().ok());
    let last_capability = last.ok_or_else(|| missing("cap_last_cap"))?;
    Ok(Facts {
        bounding: hex("CapBnd")?,
        permitted: hex("CapPrm")?,
        last_capability,
        umask,
        selinux: selinux(),
        apparmor: apparmor(),
        cgroups: Layout::discover().map_err(of_cgroup)?,
    })
}

/// selinuxfs is mounted where it always is, exactly when SELinux is enabled.
fn selinux() -> bool {
    const SELINUX_MAGIC: u64 = 0xf97c_ff8c;
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|s| s.f_type as u64 == SELINUX_MAGIC)
}

fn apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'))
}
