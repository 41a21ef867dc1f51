//! The runtime-spec 1.3 for Linux, as types, and `config.json` read into them.
//!
//! This room owns the JSON of the spec and nothing else: no value is judged here beyond its JSON
//! type. Closed sets (namespace types, rlimits, capabilities, mount options) stay strings, so that
//! the plan can report every finding of a configuration and not only the first. Called by the
//! parent before anything is decided; it touches the system only to read the file.
//!
//! A Rust field is the snake_case of its JSON name (`r#type` for `type`); a struct has Go's name
//! without the `Linux` prefix. The parts for other platforms (`solaris`, `windows`, `vm`, `zos`,
//! `freebsd`) are unknown fields here, and unknown fields are ignored.

mod error;
pub mod field;
mod file;
mod linux;
mod place;
mod process;
mod resources;
mod state;

use std::collections::BTreeMap;

pub use error::SpecError;
pub use file::{MAX_BYTES, MAX_DEPTH, load, parse, read, read_regular};
pub use linux::{Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset};
pub use place::{Place, find};
pub use process::{Capabilities, ConsoleSize, CpuAffinity, IoPriority, PosixRlimit, Process, Scheduler, User};
pub use resources::{
    BlockIo, Cpu, DeviceCgroup, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};
pub use state::{ContainerProcessState, Report, State, Status};

use field::object;
use std::path::Path;

/// The version of the runtime-spec these types describe.
pub const VERSION: &str = "1.3.0";

object! {
    /// A container's configuration: `config.json` (config.md).
    pub struct Spec {
        /// The version of the spec the bundle follows.
        pub oci_version: String = "ociVersion", always;
        /// The container's process; without it there is nothing to `start`.
        pub process: Option<Process> = "process";
        /// The root filesystem.
        pub root: Option<Root> = "root";
        /// The hostname in the container's uts namespace; empty leaves it.
        pub hostname: String = "hostname";
        /// The NIS domain name in the container's uts namespace; empty leaves it.
        pub domainname: String = "domainname";
        /// Mounts on top of the root filesystem, in this order.
        pub mounts: Vec<Mount> = "mounts";
        /// Programs to run at points of the container's life.
        pub hooks: Option<Hooks> = "hooks";
        /// Free metadata.
        pub annotations: BTreeMap<String, String> = "annotations";
        /// The Linux part.
        pub linux: Option<Linux> = "linux";
    }
}

object! {
    /// The root filesystem.
    pub struct Root {
        /// Its directory, absolute or relative to the bundle.
        pub path: String = "path", always;
        /// Whether the container sees it read-only.
        pub readonly: bool = "readonly";
    }
}

object! {
    /// A mount on top of the root filesystem; mount(8).
    pub struct Mount {
        /// Where in the container.
        pub destination: String = "destination", always;
        /// The filesystem's type; a placeholder for bind mounts.
        pub r#type: String = "type";
        /// A device, a path (absolute or relative to the bundle), or a name.
        pub source: String = "source";
        /// Options in fstab style.
        pub options: Vec<String> = "options";
        /// User id ranges of an idmapped mount.
        pub uid_mappings: Vec<IdMapping> = "uidMappings";
        /// Group id ranges of an idmapped mount.
        pub gid_mappings: Vec<IdMapping> = "gidMappings";
    }
}

object! {
    /// Hooks by the point at which they run, each list in its order.
    pub struct Hooks {
        /// As `createRuntime`; deprecated, and still used by Docker.
        pub prestart: Vec<Hook> = "prestart";
        /// In the runtime's namespaces, during `create`.
        pub create_runtime: Vec<Hook> = "createRuntime";
        /// In the container's namespaces, during `create`, before the root is changed.
        pub create_container: Vec<Hook> = "createContainer";
        /// In the container, during `start`, before the program.
        pub start_container: Vec<Hook> = "startContainer";
        /// In the runtime's namespaces, after `start`.
        pub poststart: Vec<Hook> = "poststart";
        /// In the runtime's namespaces, after `delete`.
        pub poststop: Vec<Hook> = "poststop";
    }
}

object! {
    /// A program the runtime runs with the container's state on its stdin.
    pub struct Hook {
        /// Its absolute path.
        pub path: String = "path", always;
        /// Its argv, with argv\[0\]; empty for the path alone.
        pub args: Vec<String> = "args";
        /// Its whole environment as `NAME=value`.
        pub env: Vec<String> = "env";
        /// Seconds after which it is killed; has to be above 0. Absent waits for ever.
        pub timeout: Option<i64> = "timeout";
    }
}

impl Spec {
    /// Reads a configuration from its bytes.
    ///
    /// # Errors
    /// See [`parse`].
    pub fn parse(bytes: &[u8]) -> Result<Spec, SpecError> {
        parse(bytes)
    }

    /// Reads `config.json` of the bundle at `bundle`.
    ///
    /// # Errors
    /// [`SpecError::NotFound`] when there is none, and what [`load`] reports.
    pub fn load(bundle: &Path) -> Result<Spec, SpecError> {
        load(&bundle.join("config.json")).map_err(|error| error.in_bundle(bundle))
    }
}

#[cfg(test)]
mod tests;
