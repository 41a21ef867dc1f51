//! `linux.resources`: limits and device rules of a cgroup; also what `update --resources` reads.
//!
//! Absent and zero differ: absent leaves the kernel's value, and engines write zero for "leave it"
//! only where a zero would have no meaning. The rooms that apply a value decide that, so that every
//! scalar that may be absent is an `Option`.

use std::collections::BTreeMap;

use super::field::object;

object! {
    /// Limits and device rules of one cgroup; cgroups(7).
    pub struct Resources {
        /// Device rules, applied in this order.
        pub devices: Vec<DeviceCgroup> = "devices";
        /// Memory limits.
        pub memory: Option<Memory> = "memory";
        /// CPU time and CPU placement.
        pub cpu: Option<Cpu> = "cpu";
        /// Number of tasks.
        pub pids: Option<Pids> = "pids";
        /// Block I/O weights and throttles.
        pub block_io: Option<BlockIo> = "blockIO";
        /// Limits of huge pages, by page size.
        pub hugepage_limits: Vec<HugepageLimit> = "hugepageLimits";
        /// Network class and priorities (cgroup v1).
        pub network: Option<Network> = "network";
        /// RDMA limits by device name.
        pub rdma: BTreeMap<String, Rdma> = "rdma";
        /// Files of cgroup v2 and what to write to them, verbatim.
        pub unified: BTreeMap<String, String> = "unified";
    }
}

object! {
    /// One rule of the device controller.
    pub struct DeviceCgroup {
        /// Whether the rule allows or denies.
        pub allow: bool = "allow", always;
        /// `a`, `b` or `c`; empty is `a`.
        pub r#type: String = "type";
        /// The major number; absent or -1 is any.
        pub major: Option<i64> = "major";
        /// The minor number; absent or -1 is any.
        pub minor: Option<i64> = "minor";
        /// Letters of `rwm`; empty is all three.
        pub access: String = "access";
    }
}

object! {
    /// Memory limits in bytes; -1 is no limit.
    pub struct Memory {
        /// The hard limit.
        pub limit: Option<i64> = "limit";
        /// The soft limit (v1) or protection (v2).
        pub reservation: Option<i64> = "reservation";
        /// Memory and swap together.
        pub swap: Option<i64> = "swap";
        /// Kernel memory (v1, obsolete since Linux 5.4).
        pub kernel: Option<i64> = "kernel";
        /// Kernel memory of TCP (v1).
        pub kernel_tcp: Option<i64> = "kernelTCP";
        /// Tendency to swap, 0 to 100 (v1).
        pub swappiness: Option<u64> = "swappiness";
        /// Whether tasks wait at the limit in place of being killed (v1).
        pub disable_oom_killer: Option<bool> = "disableOOMKiller";
        /// Hierarchical accounting (v1); always on in today's kernels.
        pub use_hierarchy: Option<bool> = "useHierarchy";
        /// Whether `update` must refuse a limit below the present usage.
        pub check_before_update: Option<bool> = "checkBeforeUpdate";
    }
}

object! {
    /// CPU time and placement; times in microseconds.
    pub struct Cpu {
        /// Relative weight on the v1 scale, 2 to 262144.
        pub shares: Option<u64> = "shares";
        /// Time allowed in each period; -1 is no limit.
        pub quota: Option<i64> = "quota";
        /// Unused time that may be saved up.
        pub burst: Option<u64> = "burst";
        /// Length of a period.
        pub period: Option<u64> = "period";
        /// Real-time scheduling time allowed in each real-time period (v1).
        pub realtime_runtime: Option<i64> = "realtimeRuntime";
        /// Length of a real-time period (v1).
        pub realtime_period: Option<u64> = "realtimePeriod";
        /// CPUs in list format (`0-3,7`); empty leaves them.
        pub cpus: String = "cpus";
        /// Memory nodes in list format; empty leaves them.
        pub mems: String = "mems";
        /// 1 makes the cgroup `SCHED_IDLE`, 0 the default.
        pub idle: Option<i64> = "idle";
    }
}

object! {
    /// Number of tasks.
    pub struct Pids {
        /// The limit; -1 is none. Absent means "leave it" (1.3 made it optional).
        pub limit: Option<i64> = "limit";
    }
}

object! {
    /// Block I/O control.
    pub struct BlockIo {
        /// The weight, 10 to 1000.
        pub weight: Option<u16> = "weight";
        /// The weight against child cgroups (v1, CFQ).
        pub leaf_weight: Option<u16> = "leafWeight";
        /// Weights of single devices.
        pub weight_device: Vec<WeightDevice> = "weightDevice";
        /// Read limits in bytes a second.
        pub throttle_read_bps_device: Vec<ThrottleDevice> = "throttleReadBpsDevice";
        /// Write limits in bytes a second.
        pub throttle_write_bps_device: Vec<ThrottleDevice> = "throttleWriteBpsDevice";
        /// Read limits in operations a second.
        pub throttle_read_iops_device: Vec<ThrottleDevice> = "throttleReadIOPSDevice";
        /// Write limits in operations a second.
        pub throttle_write_iops_device: Vec<ThrottleDevice> = "throttleWriteIOPSDevice";
    }
}

object! {
    /// The block I/O weight of one device.
    pub struct WeightDevice {
        /// The device's major number.
        pub major: i64 = "major", always;
        /// The device's minor number.
        pub minor: i64 = "minor", always;
        /// The weight, 10 to 1000.
        pub weight: Option<u16> = "weight";
        /// The weight against child cgroups (v1, CFQ).
        pub leaf_weight: Option<u16> = "leafWeight";
    }
}

object! {
    /// The throttle of one block device.
    pub struct ThrottleDevice {
        /// The device's major number.
        pub major: i64 = "major", always;
        /// The device's minor number.
        pub minor: i64 = "minor", always;
        /// Bytes or operations a second; 0 is no limit.
        pub rate: u64 = "rate", always;
    }
}

object! {
    /// The limit of one size of huge page.
    pub struct HugepageLimit {
        /// The size as in the controller's file names, for example `2MB`.
        pub page_size: String = "pageSize", always;
        /// Bytes.
        pub limit: u64 = "limit", always;
    }
}

object! {
    /// Network classification (v1).
    pub struct Network {
        /// The `net_cls` class id.
        pub class_id: Option<u32> = "classID";
        /// The `net_prio` map.
        pub priorities: Vec<InterfacePriority> = "priorities";
    }
}

object! {
    /// The priority of traffic on one interface (v1).
    pub struct InterfacePriority {
        /// The interface's name.
        pub name: String = "name", always;
        /// The priority.
        pub priority: u32 = "priority", always;
    }
}

object! {
    /// RDMA limits of one device; at least one of the two has to be given.
    pub struct Rdma {
        /// Handles that may be open.
        pub hca_handles: Option<u32> = "hcaHandles";
        /// Objects that may exist.
        pub hca_objects: Option<u32> = "hcaObjects";
    }
}
