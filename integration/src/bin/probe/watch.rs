//! A look at other processes.

use crate::look::{lines, links};
use serde_json::{Value, json};

/// Looks at every other process again and again until the file `stop` is there; tells what was seen, each thing once:
/// `exe` links, targets of descriptors above 2 but sockets, permitted capabilities, names, and those below whose root
/// `marker` was.
pub fn watch(marker: &str, stop: &std::path::Path) -> Value {
    use std::collections::BTreeSet;
    let mut seen: [BTreeSet<String>; 5] = Default::default();
    let own = std::process::id().to_string();
    while !stop.exists() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if pid == own || pid.parse::<u32>().is_err() {
                continue;
            }
            let [exes, descriptors, capabilities, names, rooted] = &mut seen;
            exes.extend(
                std::fs::read_link(entry.path().join("exe")).ok().map(|exe| exe.to_string_lossy().into_owned()),
            );
            for (fd, target) in links(&entry.path().join("fd").to_string_lossy()).as_object().into_iter().flatten() {
                let target = target.as_str().unwrap_or_default();
                if fd.parse::<u32>().is_ok_and(|fd| fd > 2) && !target.starts_with("socket:") {
                    descriptors.insert(target.to_owned());
                }
            }
            let status = lines(&entry.path().join("status").to_string_lossy());
            capabilities.extend(status.iter().filter_map(|line| line.strip_prefix("CapPrm:\t")).map(str::to_owned));
            names.extend(status.iter().filter_map(|line| line.strip_prefix("Name:\t")).map(str::to_owned));
            if entry.path().join("root").join(marker.trim_start_matches('/')).exists() {
                rooted.insert(pid);
            }
        }
    }
    let [exes, descriptors, capabilities, names, rooted] = seen;
    json!({"exe": exes, "descriptors": descriptors, "capabilities": capabilities, "names": names, "rooted": rooted})
}
