//! Which values go to which files, decided without a cgroup.

use super::*;
use crate::cgroup::Layout;
use crate::cgroup::devices::{self, Rule};
use crate::spec::{BlockIo, Cpu, HugepageLimit, Pids, ThrottleDevice, WeightDevice};

fn pairs(writes: &[Write]) -> Vec<(&str, &str)> {
    writes.iter().map(|w| (w.file.as_str(), w.value.as_str())).collect()
}

fn memory_v2(memory: &Memory) -> Result<Vec<Write>, Error> {
    v2::memory(memory, || Ok(Some(1000)))
}

fn limits(limit: i64, swap: i64) -> Memory {
    Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() }
}

#[test]
fn cpu_shares_become_the_weight_that_all_runtimes_agree_on() {
    for (shares, weight) in
        [(1, 1), (2, 1), (3, 2), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (300_000, 10_000)]
    {
        assert_eq!(v2::cpu_weight(shares), weight, "{shares} shares");
    }
    let weights: Vec<u64> = (2..=262_144).map(v2::cpu_weight).collect();
    assert!(weights.is_sorted());
}

#[test]
fn swap_of_v2_is_the_part_above_the_memory_limit() {
    assert_eq!(pairs(&memory_v2(&limits(100, 300)).unwrap()), [("memory.swap.max", "200"), ("memory.max", "100")]);
    assert_eq!(pairs(&memory_v2(&limits(100, 100)).unwrap())[0], ("memory.swap.max", "0"));
    assert_eq!(pairs(&memory_v2(&limits(100, -1)).unwrap())[0], ("memory.swap.max", "max"));
    assert_eq!(pairs(&memory_v2(&limits(-1, 0)).unwrap()), [("memory.swap.max", "max"), ("memory.max", "max")]);
    // An update of the swap limit alone counts from the limit in force.
    assert_eq!(pairs(&memory_v2(&limits(0, 1500)).unwrap()), [("memory.swap.max", "500")]);
}

#[test]
fn swap_below_the_memory_limit_or_without_one_is_refused_on_v2() {
    let text = |memory| memory_v2(&memory).unwrap_err().to_string();
    assert_eq!(text(limits(100, 50)), "memory.swap: memory+swap limit should be >= memory limit");
    assert_eq!(text(limits(-1, 50)), "memory.swap: unable to set swap limit without memory limit");
}

#[test]
fn lifting_the_v1_memory_limit_lifts_that_of_swap() {
    let writes = v1::memory(&limits(-1, 0)).unwrap();
    assert_eq!(pairs(&writes), [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")]);
    assert_eq!(writes[1].absent, Absent::Leave);
}

#[test]
fn what_engines_send_as_zero_asks_for_nothing() {
    let resources = Resources {
        memory: Some(Memory { disable_oom_killer: Some(false), swappiness: Some(u64::MAX), ..limits(0, 0) }),
        cpu: Some(Cpu { shares: Some(0), quota: Some(0), period: Some(0), ..Cpu::default() }),
        block_io: Some(BlockIo { weight: Some(0), ..BlockIo::default() }),
        pids: Some(Pids { limit: None }),
        network: Some(crate::spec::Network { class_id: Some(0), ..Default::default() }),
        ..Resources::default()
    };
    for controller in CONTROLLERS {
        assert_eq!(controller.asked_by(&resources), None, "{controller:?}");
    }
}

#[test]
fn no_limit_can_be_had_without_the_controller() {
    let resources = Resources {
        memory: Some(limits(-1, -1)),
        pids: Some(Pids { limit: Some(-1) }),
        cpu: Some(Cpu { quota: Some(-1), ..Cpu::default() }),
        ..Resources::default()
    };
    for controller in [Controller::Memory, Controller::Pids, Controller::Cpu] {
        assert!(
            controller.asked_by(&resources).is_some() && controller.asked_for_no_limit(&resources),
            "{controller:?}"
        );
    }
}

#[test]
fn pids_limit_of_zero_leaves_room_for_the_first_process_only() {
    let limit = |limit| Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() };
    for (asked, written) in [(0, "1"), (-1, "max"), (7, "7")] {
        assert_eq!(v1::pids(&limit(asked)).unwrap().unwrap().value, written);
    }
    assert!(v1::pids(&limit(-2)).is_err());
}

#[test]
fn block_io_has_the_spelling_of_each_version() {
    let device = ThrottleDevice { major: 8, minor: 0, rate: 1 << 20 };
    let io = BlockIo {
        weight: Some(500),
        weight_device: vec![WeightDevice { major: 8, minor: 16, weight: Some(1000), leaf_weight: None }],
        throttle_read_bps_device: vec![device.clone()],
        throttle_write_iops_device: vec![ThrottleDevice { rate: 0, ..device }],
        ..BlockIo::default()
    };
    let resources = Resources { block_io: Some(io), ..Resources::default() };
    assert_eq!(
        pairs(&v1::writes(Controller::BlockIo, &resources).unwrap()),
        [
            ("blkio.weight", "500"),
            ("blkio.weight_device", "8:16 1000"),
            ("blkio.throttle.read_bps_device", "8:0 1048576"),
            ("blkio.throttle.write_iops_device", "8:0 0"),
        ]
    );
    let writes = v2::writes(Controller::BlockIo, &resources).unwrap();
    assert_eq!(
        pairs(&writes),
        [
            ("io.bfq.weight", "500"),
            ("io.bfq.weight", "8:16 1000"),
            ("io.max", "8:0 rbps=1048576"),
            ("io.max", "8:0 wiops=max"),
        ]
    );
    assert_eq!(writes[0].absent, Absent::Instead("io.weight", "4950".to_owned()));
    assert_eq!(writes[1].absent, Absent::Instead("io.weight", "8:16 10000".to_owned()));
}

#[test]
fn quota_and_period_are_one_file_of_v2() {
    let cpu = |quota, period| Resources {
        cpu: Some(Cpu { quota, period, burst: Some(10), idle: Some(1), ..Cpu::default() }),
        ..Resources::default()
    };
    let first = |resources: Resources| v2::writes(Controller::Cpu, &resources).unwrap()[0].value.clone();
    assert_eq!(first(cpu(Some(50_000), Some(200_000))), "50000 200000");
    assert_eq!(first(cpu(Some(-1), None)), "max 100000");
    assert_eq!(
        pairs(&v2::writes(Controller::Cpu, &cpu(Some(5), None)).unwrap()),
        [("cpu.max", "5 100000"), ("cpu.max.burst", "10"), ("cpu.idle", "1")]
    );
}

#[test]
fn huge_page_limits_cover_use_and_reservations() {
    let limit = |page_size: &str| HugepageLimit { page_size: page_size.to_owned(), limit: 4096 };
    let writes = v1::hugetlb(&limit("2MB"), "max", "rsvd.max").unwrap();
    assert_eq!(pairs(&writes), [("hugetlb.2MB.max", "4096"), ("hugetlb.2MB.rsvd.max", "4096")]);
    for bad in ["", "MB", "2", "../2MB", "2MB/x", "2mb", "2MBGB"] {
        assert!(v1::hugetlb(&limit(bad), "max", "rsvd.max").is_err(), "{bad}");
    }
}

#[test]
fn fields_of_v1_alone_are_refused_on_v2_by_name() {
    let memory = Memory { swappiness: Some(60), ..Memory::default() };
    assert_eq!(memory_v2(&memory).unwrap_err().to_string(), "memory.swappiness: cgroup v2 has no such limit");
    let cpu = Cpu { realtime_runtime: Some(5), ..Cpu::default() };
    let resources = Resources { cpu: Some(cpu), ..Resources::default() };
    assert!(v2::writes(Controller::Cpu, &resources).is_err());
}

#[test]
fn shares_and_swappiness_out_of_range_are_refused_on_v1() {
    let cpu = |shares| Resources { cpu: Some(Cpu { shares: Some(shares), ..Cpu::default() }), ..Resources::default() };
    let text = |shares| v1::writes(Controller::Cpu, &cpu(shares)).unwrap_err().to_string();
    assert_eq!(text(1), "cpu.shares: the minimum allowed cpu-shares is 2");
    assert_eq!(text(262_145), "cpu.shares: the maximum allowed cpu-shares is 262144");
    assert!(v1::memory(&Memory { swappiness: Some(101), ..Memory::default() }).is_err());
}

#[test]
fn kernel_memory_is_warned_about() {
    let memory = Memory { kernel: Some(1 << 20), ..Memory::default() };
    let resources = Resources { memory: Some(memory), ..Resources::default() };
    assert_eq!(warnings(&resources, None).len(), 1);
    assert_eq!(Controller::Memory.asked_by(&resources), None);
}

#[test]
fn everything_wrong_on_a_host_is_found_without_touching_it() {
    let hierarchy = |version, controllers: &[&str]| crate::cgroup::Hierarchy {
        version,
        controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
        mount_point: "/x".to_owned(),
        own: "/".to_owned(),
    };
    let hybrid = Layout {
        hierarchies: vec![
            hierarchy(Version::V1, &["memory"]),
            hierarchy(Version::V1, &["devices"]),
            hierarchy(Version::V2, &["pids"]),
        ],
    };
    let everything =
        Rule { allow: true, kind: devices::Kind::Char, major: Some(1), minor: None, access: devices::Access::ALL };
    let hole = Rule { allow: false, minor: Some(3), ..everything };
    let unified = [("pids.max", "1"), ("memory.high", "1"), ("cgroup.procs", "1")];
    let resources = Resources {
        memory: Some(Memory { swappiness: Some(101), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(5), cpus: "0".to_owned(), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(7) }),
        unified: unified.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        ..Resources::default()
    };
    let found: Vec<String> = hybrid.check(&resources, &[everything, hole]).iter().map(ToString::to_string).collect();
    let starts = [
        "cpu.cpus: the cpuset",
        "cpu.shares: the cpu ",
        "memory.swappiness: invalid",
        "unified[\"cgroup.procs\"]",
        "unified[\"memory.high\"]: can't be set",
        "device rule \"deny c 1:3 rwm\"",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (text, start) in found.iter().zip(starts) {
        assert!(text.starts_with(start), "{text}");
    }
}
