//! Files of cgroups(7) as `events` reads them: flat keyed tables, lists of CPUs, pressure, block I/O.

use casemate::cgroup::stats::{Pressure, blkio_entries, list, table};
use std::hint::black_box;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert!(table(&text).keys().all(|key| !key.contains(' ')));
    assert!(list(&text).len() <= usize::from(u16::MAX) + 1, "more CPUs than there are numbers for them");
    assert!(blkio_entries(&text).len() <= text.lines().count());
    black_box(Pressure::parse(&text));
}
