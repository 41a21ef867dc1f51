//! The rules by name. What each one is about, for people, is in [`super::catalogue`]; what each one does is in the file
//! of `policy/` that is named after its subject.

use super::level::Level;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Whether a rule changes a configuration or refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It takes away, or fills in a protection that is missing. The container starts.
    Narrow,
    /// The container, or the exec, is not started.
    Refuse,
}

macro_rules! rules {
    ($( $(#[$doc:meta])* $name:ident = $id:literal, $from:expr, $effect:ident; )*) => {
        /// A rule. Its id is stable: policy files, messages and reports name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $( $(#[$doc])* $name, )* }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Rule] = &[ $( Rule::$name, )* ];

            /// Its id.
            pub fn id(self) -> &'static str {
                match self { $( Rule::$name => $id, )* }
            }

            /// The level from which on it is enforced; `None` for one that only a policy switches on.
            pub fn from(self) -> Option<Level> {
                match self { $( Rule::$name => $from, )* }
            }

            /// What it does.
            pub fn effect(self) -> Effect {
                match self { $( Rule::$name => Effect::$effect, )* }
            }
        }
    };
}

const BASELINE: Option<Level> = Some(Level::Baseline);
const RESTRICTED: Option<Level> = Some(Level::Restricted);

rules! {
    /// Everything at once: all capabilities and all devices.
    Privileged = "privileged", BASELINE, Refuse;
    /// Capabilities beyond the Pod Security Standard's list.
    Capabilities = "capabilities", BASELINE, Refuse;
    /// CAP_NET_RAW, which engines grant to everybody.
    NetRaw = "net-raw", BASELINE, Narrow;
    /// Inheritable and ambient sets.
    AmbientCapabilities = "ambient-capabilities", BASELINE, Narrow;
    /// `no_new_privs`.
    NoNewPrivileges = "no-new-privileges", BASELINE, Narrow;
    /// A profile where none is given.
    SeccompProfile = "seccomp-profile", BASELINE, Narrow;
    /// The deny list below every profile.
    SeccompOverlay = "seccomp-overlay", BASELINE, Narrow;
    /// The host's PID namespace.
    HostPid = "host-pid", BASELINE, Refuse;
    /// The host's IPC namespace.
    HostIpc = "host-ipc", BASELINE, Refuse;
    /// The host's network namespace.
    HostNetwork = "host-network", BASELINE, Refuse;
    /// Kernel parameters outside the safe list.
    Sysctls = "sysctls", BASELINE, Refuse;
    /// A procfs with nothing masked.
    UnmaskedProc = "unmasked-proc", BASELINE, Refuse;
    /// The newest list of masked and read-only paths.
    MaskedPaths = "masked-paths", BASELINE, Narrow;
    /// sysfs and cgroup filesystems that can be written to.
    ReadOnlySys = "read-only-sys", BASELINE, Narrow;
    /// nosuid and nodev for binds.
    BindAttributes = "bind-attributes", BASELINE, Narrow;
    /// Binds of host paths that lead out of the container.
    SensitiveBinds = "sensitive-binds", BASELINE, Refuse;
    /// New mounts of filesystems that show the kernel or a disk.
    FilesystemTypes = "filesystem-types", BASELINE, Refuse;
    /// Mounts that propagate to the host.
    SharedPropagation = "shared-propagation", BASELINE, Refuse;
    /// Device rules for a whole class.
    DeviceWildcards = "device-wildcards", BASELINE, Refuse;
    /// Disks and memory as devices.
    RawDevices = "raw-devices", BASELINE, Refuse;
    /// Device rules that no node of the container needs.
    DeviceRules = "device-rules", BASELINE, Narrow;
    /// A limit on the number of tasks.
    PidsLimit = "pids-limit", BASELINE, Narrow;
    /// SELinux types outside the standard's list.
    SelinuxType = "selinux-type", BASELINE, Refuse;
    /// A type and a category pair where no label is given.
    SelinuxLabel = "selinux-label", BASELINE, Narrow;
    /// Unconfined by AppArmor.
    ApparmorProfile = "apparmor-profile", BASELINE, Refuse;
    /// An exec that asks for more than the container was asked for.
    ExecBeyondInit = "exec-beyond-init", BASELINE, Refuse;
    /// An exec that asks for less protection than init has.
    ExecFloor = "exec-floor", BASELINE, Narrow;
    /// An exec that the policy's exec mode does not allow.
    ExecMode = "exec-mode", BASELINE, Refuse;
    /// All capabilities but CAP_NET_BIND_SERVICE.
    DropCapabilities = "drop-capabilities", RESTRICTED, Narrow;
    /// The root filesystem, with tmpfs where programs write.
    ReadOnlyRoot = "read-only-root", RESTRICTED, Narrow;
    /// User 0.
    NonRoot = "non-root", RESTRICTED, Refuse;
    /// The profile `restricted`, together with a given one.
    SeccompRestricted = "seccomp-restricted", RESTRICTED, Narrow;
    /// New user namespaces inside, whatever the overlay lets through.
    UserNamespaces = "user-namespaces", RESTRICTED, Narrow;
    /// The host's UTS namespace.
    HostUts = "host-uts", RESTRICTED, Refuse;
    /// Any device that not every container has.
    ExtraDevices = "extra-devices", RESTRICTED, Refuse;
    /// Core dumps.
    CoreDumps = "core-dumps", RESTRICTED, Narrow;
    /// More masked paths than engines have.
    HardenedMasks = "hardened-masks", RESTRICTED, Narrow;
    /// Landlock's scope for abstract sockets.
    LandlockScope = "landlock-scope", RESTRICTED, Narrow;
    /// A procfs that shows processes only.
    ProcSubset = "proc-subset", None, Narrow;
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(id: &str) -> Result<Rule, String> {
        let found = Rule::ALL.iter().copied().find(|rule| rule.id() == id);
        found.ok_or_else(|| format!("unknown rule \"{id}\": `casemate check --rules` lists them"))
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rule, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_read_back() {
        for rule in Rule::ALL {
            assert_eq!(rule.id().parse(), Ok(*rule));
        }
        assert!("host_pid".parse::<Rule>().is_err());
    }
}
