//! Files of procfs and of the image's tree: `/proc/self/cgroup` and mountinfo (divided by a NUL), `PID/stat`, passwd(5).

use casemate::cgroup::{Layout, Path, Record, Version};
use casemate::commands::inspect::mounts::{Mounts, is_below};
use casemate::launch::home;
use casemate::state::procfs::Stat;
use std::hint::black_box;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (cgroup, mountinfo) = text.split_once('\0').unwrap_or(("0::/\n", &text));
    if let Ok(layout) = Layout::parse(cgroup, mountinfo) {
        black_box(layout.mode());
        for hierarchy in &layout.hierarchies {
            assert!(hierarchy.own.starts_with('/') && !hierarchy.own.contains("/.."), "{hierarchy:?}");
        }
        let path = Path::from_spec(None, "c1", &layout).unwrap();
        path.records.iter().for_each(|record| {
            black_box(record.holds(cgroup));
        });
    }
    if let Some(mounts) = Mounts::parse(mountinfo) {
        for mount in mounts.0.iter().take(64) {
            let found = mounts.of(&mount.point).unwrap();
            assert!(is_below(&mount.point, &found.point));
            mounts.place(&mount.point).unwrap();
        }
        mounts.may_wait("/proc/sys/kernel");
    }
    if let Some(stat) = Stat::parse(&text) {
        assert!(text.contains(&stat.command));
    }
    if let Some(directory) = home::find(&text, 1000) {
        assert!(directory.starts_with('/') && !directory.contains([':', '\n']), "{directory:?}");
    }
    let own = |version, path: &str| Record {
        version,
        controllers: vec!["memory".into()],
        mount_point: "/sys/fs/cgroup".into(),
        path: path.into(),
    };
    for version in [Version::V1, Version::V2] {
        // Whoever is in the cgroup below is in the one above.
        assert!(!own(version, "a/b").holds(cgroup) || own(version, "a").holds(cgroup));
    }
}
