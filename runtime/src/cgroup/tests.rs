//! Layouts of hosts and the places of containers on them, as pure data.

use super::*;

const HYBRID: &str = "\
22 27 0:21 / /proc rw - proc proc rw
23 27 0:22 / /sys rw - sysfs sysfs rw
27 1 254:0 / / rw - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
const HYBRID_SELF: &str = "\
9:name=systemd:/user.slice
5:freezer:/
4:memory:/process_api/98f0
1:cpu,cpuacct:/
0::/
";

fn layout(cgroup: &str, mountinfo: &str) -> Layout {
    Layout::parse(cgroup, mountinfo).unwrap()
}

fn directories(cgroups_path: Option<&str>, layout: &Layout) -> Vec<String> {
    Path::from_spec(cgroups_path, "id", layout).unwrap().records.iter().map(Record::directory).collect()
}

#[test]
fn hybrid_host_is_read_with_the_callers_places() {
    let layout = layout(HYBRID_SELF, HYBRID);
    assert_eq!(layout.mode(), Mode::Hybrid);
    let read: Vec<_> = layout.hierarchies.iter().map(|h| (h.mount_point.as_str(), h.own.as_str())).collect();
    let expected = [
        ("/sys/fs/cgroup/systemd", "/user.slice"),
        ("/sys/fs/cgroup/memory", "/process_api/98f0"),
        ("/sys/fs/cgroup/cpu,cpuacct", "/"),
        ("/sys/fs/cgroup/unified", "/"),
    ];
    // The freezer is not mounted, so that nothing can be limited through it.
    assert_eq!(read, expected);
    assert_eq!(layout.controller("cpuacct").unwrap().mount_point, "/sys/fs/cgroup/cpu,cpuacct");
}

#[test]
fn hierarchies_hidden_below_another_mount_are_not_seen() {
    let over = format!("{HYBRID}50 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    let layout = layout(HYBRID_SELF, &over);
    assert_eq!(layout.mode(), Mode::Unified);
    assert_eq!(layout.hierarchies[0].mount_point, "/sys/fs/cgroup");
}

#[test]
fn mount_over_a_single_hierarchy_hides_it_alone() {
    let over = format!("{HYBRID}50 35 0:99 / /sys/fs/cgroup/memory rw - tmpfs tmpfs rw\n");
    assert!(layout(HYBRID_SELF, &over).controller("memory").is_none());
    assert!(layout(HYBRID_SELF, &over).controller("cpu").is_some());
}

#[test]
fn nested_container_sees_its_place_from_the_root_of_its_mount() {
    let mountinfo = "1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 /docker/abc /sys/fs/cgroup\\040x rw - cgroup cgroup rw,pids\n";
    let read = layout("1:pids:/docker/abc/inner\n", mountinfo);
    assert_eq!(read.hierarchies[0].own, "/inner");
    assert_eq!(read.hierarchies[0].mount_point, "/sys/fs/cgroup x");
    // Outside of the mount, or of the cgroup namespace.
    assert_eq!(layout("1:pids:/other\n", mountinfo).hierarchies[0].own, "/");
    assert_eq!(layout("1:pids:/docker/abc/../x\n", mountinfo).hierarchies[0].own, "/");
}

#[test]
fn host_without_cgroups_is_refused() {
    let error = Layout::parse("0::/\n", "1 0 0:1 / / rw - ext4 x rw\n").unwrap_err();
    assert!(matches!(error, Error::NoHierarchy), "{error}");
}

#[test]
fn layout_survives_serialisation() {
    let layout = layout(HYBRID_SELF, HYBRID);
    assert_eq!(serde_json::from_str::<Layout>(&serde_json::to_string(&layout).unwrap()).unwrap(), layout);
}

#[test]
fn absolute_path_counts_from_each_mount_and_relative_from_the_caller() {
    let layout = layout(HYBRID_SELF, HYBRID);
    assert_eq!(
        directories(Some("/docker/abc"), &layout),
        [
            "/sys/fs/cgroup/systemd/docker/abc",
            "/sys/fs/cgroup/memory/docker/abc",
            "/sys/fs/cgroup/cpu,cpuacct/docker/abc",
            "/sys/fs/cgroup/unified/docker/abc",
        ]
    );
    assert_eq!(directories(Some("x"), &layout)[1], "/sys/fs/cgroup/memory/process_api/98f0/x");
    assert_eq!(directories(None, &layout)[1], "/sys/fs/cgroup/memory/process_api/98f0/id");
    assert_eq!(directories(Some(""), &layout)[3], "/sys/fs/cgroup/unified/id");
}

#[test]
fn relative_path_of_a_unified_host_is_beside_the_caller() {
    let mountinfo = "1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let layout = layout("0::/user.slice/session.scope\n", mountinfo);
    assert_eq!(layout.mode(), Mode::Unified);
    assert_eq!(directories(None, &layout), ["/sys/fs/cgroup/user.slice/id"]);
}

#[test]
fn dots_cannot_lead_above_the_starting_point() {
    let layout = layout(HYBRID_SELF, HYBRID);
    assert_eq!(directories(Some("/../../a/./b//../c/"), &layout)[0], "/sys/fs/cgroup/systemd/a/c");
    assert_eq!(directories(Some("../../x"), &layout)[1], "/sys/fs/cgroup/memory/process_api/98f0/x");
}

#[test]
fn path_that_names_no_cgroup_or_forges_lines_is_refused() {
    let layout = layout(HYBRID_SELF, HYBRID);
    let long = "x".repeat(256);
    for bad in ["/", "..", "/a/..", "a\0b", "a\nb", long.as_str()] {
        let error = Path::from_spec(Some(bad), "id", &layout).unwrap_err();
        assert!(matches!(error, Error::BadPath { .. }), "{error}");
    }
}
