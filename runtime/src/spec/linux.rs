//! `linux`: namespaces, devices, mappings and what else is Linux's own (config-linux.md).

use std::collections::BTreeMap;
use std::fmt;

use seccomp_profiles::Profile;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::field::{Field, object};
use super::resources::Resources;

object! {
    /// The Linux part of a container's configuration.
    pub struct Linux {
        /// User id ranges of the user namespace; user_namespaces(7).
        pub uid_mappings: Vec<IdMapping> = "uidMappings";
        /// Group id ranges of the user namespace.
        pub gid_mappings: Vec<IdMapping> = "gidMappings";
        /// Kernel parameters by dotted or slashed name; only namespaced ones can be had.
        pub sysctl: BTreeMap<String, String> = "sysctl";
        /// Limits and device rules of the container's cgroup.
        pub resources: Option<Resources> = "resources";
        /// The cgroup's path, or `slice:prefix:name` with the systemd driver.
        pub cgroups_path: String = "cgroupsPath";
        /// Namespaces to make or to join; those not listed are shared with the runtime.
        pub namespaces: Vec<Namespace> = "namespaces";
        /// Device nodes to make in the container's `/dev`.
        pub devices: Vec<Device> = "devices";
        /// Host network devices to move into the container, by their name on the host.
        pub net_devices: BTreeMap<String, NetDevice> = "netDevices";
        /// The filter of system calls, seccomp(2); its words are checked by the crate that compiles it.
        pub seccomp: Option<Profile> = "seccomp";
        /// Propagation of the root mount, for example `rslave`; mount_namespaces(7).
        pub rootfs_propagation: String = "rootfsPropagation";
        /// Paths in the container that are made unreadable.
        pub masked_paths: Vec<String> = "maskedPaths";
        /// Paths in the container that are made read-only.
        pub readonly_paths: Vec<String> = "readonlyPaths";
        /// The SELinux context of the container's mounts; empty for none.
        pub mount_label: String = "mountLabel";
        /// Cache and memory bandwidth allocation; resctrl in the kernel's documentation.
        pub intel_rdt: Option<IntelRdt> = "intelRdt";
        /// NUMA policy of the container's memory, set_mempolicy(2).
        pub memory_policy: Option<MemoryPolicy> = "memoryPolicy";
        /// The execution domain, personality(2).
        pub personality: Option<Personality> = "personality";
        /// Clock offsets of the time namespace, by clock (`monotonic`, `boottime`).
        pub time_offsets: BTreeMap<String, TimeOffset> = "timeOffsets";
    }
}

object! {
    /// One range of a user namespace's id map.
    pub struct IdMapping {
        /// First id inside.
        pub container_id: u32 = "containerID", always;
        /// First id outside, in the runtime's user namespace.
        pub host_id: u32 = "hostID", always;
        /// Number of ids.
        pub size: u32 = "size", always;
    }
}

object! {
    /// A namespace to make, or with a path to join; namespaces(7).
    pub struct Namespace {
        /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
        pub r#type: String = "type", always;
        /// The absolute path of the namespace to join; empty to make one.
        pub path: String = "path";
    }
}

object! {
    /// A device node to make in the container; mknod(2).
    pub struct Device {
        /// The absolute path in the container.
        pub path: String = "path", always;
        /// `c`, `b`, `u` or `p`.
        pub r#type: String = "type", always;
        /// The major number; unused for `p`.
        pub major: i64 = "major", always;
        /// The minor number; unused for `p`.
        pub minor: i64 = "minor", always;
        /// Permission bits; absent for the runtime's default.
        pub file_mode: Option<u32> = "fileMode";
        /// The owner inside the container; absent for 0.
        pub uid: Option<u32> = "uid";
        /// The owning group inside the container; absent for 0.
        pub gid: Option<u32> = "gid";
    }
}

object! {
    /// A host network device moved into the container's network namespace.
    pub struct NetDevice {
        /// Its name inside; empty to keep the host's.
        pub name: String = "name";
    }
}

object! {
    /// Offset of one clock of a time namespace; time_namespaces(7).
    pub struct TimeOffset {
        /// Whole seconds.
        pub secs: i64 = "secs";
        /// Nanoseconds to add to them, 0 to 999999999.
        pub nanosecs: u32 = "nanosecs";
    }
}

object! {
    /// An execution domain; personality(2).
    pub struct Personality {
        /// `LINUX` or `LINUX32`.
        pub domain: String = "domain", always;
        /// Flags by name; the spec defines none.
        pub flags: Vec<String> = "flags";
    }
}

object! {
    /// Resource Director Technology: a directory of resctrl and what is written to it.
    pub struct IntelRdt {
        /// Name of the class of service; empty for the container's id, `/` for the root class.
        pub clos_id: String = "closID";
        /// Lines of `schemata`, in order, after the two older fields.
        pub schemata: Vec<String> = "schemata";
        /// The `L3` line of `schemata`.
        pub l3_cache_schema: String = "l3CacheSchema";
        /// The `MB` line of `schemata`.
        pub mem_bw_schema: String = "memBwSchema";
        /// Whether the container gets a monitoring group.
        pub enable_monitoring: bool = "enableMonitoring";
    }
}

object! {
    /// A NUMA memory policy; set_mempolicy(2).
    pub struct MemoryPolicy {
        /// The mode's name, for example `MPOL_BIND`.
        pub mode: String = "mode", always;
        /// The nodes in the kernel's list format (`0-1,3`).
        pub nodes: String = "nodes", always;
        /// Mode flags by name, for example `MPOL_F_STATIC_NODES`.
        pub flags: Vec<String> = "flags";
    }
}

impl Field for Profile {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Profile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Profile, A::Error> {
                Profile::deserialize(MapAccessDeserializer::new(access))
            }
        }

        // By way of a map, because the derived Deserialize would take an array as well.
        deserializer.deserialize_map(Object)
    }

    fn is_absent(&self) -> bool {
        false
    }
}
