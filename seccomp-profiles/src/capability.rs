//! Sets of capabilities(7): what a profile is resolved for.

use std::fmt;

/// A bounding set, one bit a capability, numbered as in linux/capability.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet(u64);

/// A name that Linux 6.18 does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCapability(pub String);

impl fmt::Display for UnknownCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown capability \"{}\": names are like CAP_NET_RAW, see capabilities(7)", self.0)
    }
}

impl std::error::Error for UnknownCapability {}

/// By number, without the prefix `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: CapabilitySet = CapabilitySet(0);
    /// The 14 that Docker grants when nothing is said.
    pub const DOCKER: CapabilitySet = CapabilitySet(0xa804_25fb);
    /// All that Linux 6.18 has.
    pub const ALL: CapabilitySet = CapabilitySet((1 << NAMES.len()) - 1);

    /// The set with these bits, as in `/proc/PID/status`; unknown ones are kept and mean nothing here.
    #[must_use]
    pub const fn from_bits(bits: u64) -> CapabilitySet {
        CapabilitySet(bits)
    }

    /// The set of these names, with or without `CAP_`, in any case.
    ///
    /// # Errors
    /// The first name that Linux does not have.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<CapabilitySet, UnknownCapability> {
        names.into_iter().try_fold(CapabilitySet::EMPTY, |set, name| {
            let bit = bit(name).ok_or_else(|| UnknownCapability(name.to_owned()))?;
            Ok(CapabilitySet(set.0 | bit))
        })
    }

    /// Whether the capability of this name is in the set.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        bit(name).is_some_and(|bit| self.0 & bit != 0)
    }
}

fn bit(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == short).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_grants_fourteen() {
        let names = "chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service \
                     sys_chroot kill audit_write";
        assert_eq!(CapabilitySet::from_names(names.split_whitespace()), Ok(CapabilitySet::DOCKER));
        assert!(CapabilitySet::DOCKER.contains("CAP_NET_RAW") && !CapabilitySet::DOCKER.contains("SYS_ADMIN"));
        assert!(CapabilitySet::ALL.contains("cap_checkpoint_restore"));
    }

    #[test]
    fn an_unknown_name_is_told() {
        let error = CapabilitySet::from_names(["CAP_CHOWN", "CAP_X"]).unwrap_err();
        assert!(error.to_string().contains("\"CAP_X\""));
    }
}
