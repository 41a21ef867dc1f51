//! Protections that config.json has no words for. Policy asks for them; the plan has them like everything else.

use seccomp_profiles::Profile;
use serde::Serialize;

/// A filter below the one of the configuration. The strictest answer of all layers counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SeccompLayer {
    /// The deny list of `seccomp-profiles`, without what these tokens stand for.
    Overlay {
        /// Tokens of `seccomp_profiles::Overlay`.
        allow: Vec<String>,
    },
    /// A profile of `seccomp-profiles`, by its name, for the capabilities of the process.
    Family {
        /// Its name.
        name: String,
    },
    /// A profile of the administrator's.
    Profile {
        /// What it is called in messages.
        name: String,
        /// What it says.
        profile: Box<Profile>,
    },
}

/// A tmpfs for a directory, if the root filesystem has that directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scratch {
    /// The directory, inside the container.
    pub destination: String,
    /// Bytes it may hold.
    pub size: u64,
    /// Permission bits of its root, which is the process's.
    pub mode: u32,
    /// With what the image has there.
    pub copy_up: bool,
}

/// What a container gets beyond its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Confinement {
    /// In the order in which they would be loaded, all before the configuration's own profile.
    pub seccomp: Vec<SeccompLayer>,
    /// `nosuid,nodev,noexec` filesystems on a root filesystem that is read-only.
    pub scratch: Vec<Scratch>,
    /// Connections to abstract sockets outside are refused (landlock(7), LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET).
    pub scope_abstract_sockets: bool,
}
