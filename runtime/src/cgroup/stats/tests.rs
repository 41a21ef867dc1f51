//! The shape of the figures, as far as it can be told without a cgroup.

use super::*;

#[test]
fn empty_figures_have_the_shape_that_readers_of_events_know() {
    let json = serde_json::to_string(&Stats::default()).unwrap();
    let expected = concat!(
        r#"{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"#,
        r#""cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"#,
        r#""memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"#,
        r#""sched_relax_domain_level":0},"#,
        r#""memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},"#,
        r#""kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},"#,
        r#""pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}"#
    );
    assert_eq!(json, expected);
}

#[test]
fn block_io_lines_with_and_without_operation_are_read_and_totals_are_not() {
    let entries = v1::blkio_entries("8:0 Read 4096\n8:16 7\nTotal 4103\n");
    let entry = |minor, op: &str, value| BlkioEntry { major: 8, minor, op: op.to_owned(), value };
    assert_eq!(entries, [entry(0, "Read", 4096), entry(16, "", 7)]);
}

#[test]
fn pressure_lines_are_read() {
    let pressure = Pressure::parse("some avg10=0.50 avg60=1.25 avg300=0.00 total=12\nfull avg10=0.00 total=3\n");
    assert_eq!(pressure.some, PressureLine { avg10: 0.5, avg60: 1.25, avg300: 0.0, total: 12 });
    assert_eq!(pressure.full.total, 3);
}

#[test]
fn cpu_lists_are_expanded() {
    assert_eq!(list("0-2,5\n"), [0, 1, 2, 5]);
    assert!(list("\n").is_empty());
}
