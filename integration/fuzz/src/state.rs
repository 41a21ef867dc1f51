//! state.json, and the state that hooks and agents get: what is read is what is written.

use casemate::spec::{self, Report, State};
use casemate::state::Record;

pub fn run(data: &[u8]) {
    if let Ok(record) = Record::parse(data, "c1") {
        let written = record.to_json().unwrap();
        assert_eq!(Record::parse(&written, "c1").unwrap(), record, "what is written is not what was read");
        assert_eq!(Record::salvage_cgroups(&written).unwrap(), record.cgroups);
        let state = record.state(spec::Status::Running, 7);
        let text = serde_json::to_vec(&state).unwrap();
        assert_eq!(spec::parse::<State>(&text).unwrap(), state);
    }
    for cgroup in Record::salvage_cgroups(data).unwrap_or_default() {
        let directory = cgroup.directory();
        assert!(directory.starts_with('/') && !directory.contains('\0'), "{directory:?}");
        assert!(directory.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")), "{directory:?}");
    }
    if let Ok(report) = spec::parse::<Report>(data) {
        let text = serde_json::to_vec(&report).unwrap();
        assert_eq!(spec::parse::<Report>(&text).unwrap(), report);
    }
}
