//! The checks, one file per attack surface.

mod annotations;
mod binary;
mod caller;
mod capabilities;
mod config_file;
mod covers;
mod created_files;
mod credentials;
mod descriptors;
mod destinations;
mod dev;
mod dev_tree;
mod excess;
mod filters;
mod handles;
mod harness;
mod hooks;
mod ids;
mod labels;
mod links;
mod masks;
mod mounts;
mod namespaces;
mod opened;
mod overlay;
mod paths;
mod processes;
mod procfs;
mod procfs_mounts;
mod races;
mod reach;
mod resources;
mod restarts;
mod self_exe;
mod state;
mod syscalls;
mod terminal_ioctls;
mod traced;
mod user_namespaces;
mod volumes;

use crate::escape::check::Check;

/// Every check, in the order of the table: the suite itself (`H`), the groups of invariants from `A` to `G`, lessons without
/// a number (`L`), advisories by year and number.
pub fn all() -> Vec<Check> {
    let lists: [fn() -> Vec<Check>; 38] = [
        // the suite itself
        harness::all,
        // A: identity
        credentials::all,
        capabilities::all,
        caller::all,
        // B: files
        handles::all,
        self_exe::all,
        paths::all,
        opened::all,
        destinations::all,
        dev::all,
        dev_tree::all,
        created_files::all,
        masks::all,
        covers::all,
        procfs::all,
        procfs_mounts::all,
        mounts::all,
        races::all,
        restarts::all,
        // C: namespaces and processes
        namespaces::all,
        processes::all,
        user_namespaces::all,
        // D: system calls
        syscalls::all,
        overlay::all,
        filters::all,
        terminal_ioctls::all,
        // E: resources
        resources::all,
        excess::all,
        // F: security modules and what lies just outside
        labels::all,
        reach::all,
        // G: the runtime as a program
        ids::all,
        annotations::all,
        hooks::all,
        state::all,
        descriptors::all,
        config_file::all,
        binary::all,
        traced::all,
    ];
    let mut checks: Vec<Check> = lists.iter().flat_map(|list| list()).collect();
    checks.sort_by_key(|check| place(check.id));
    checks
}

/// Where an id stands in the table: its kind, and the numbers in it.
fn place(id: &str) -> (usize, Vec<u32>) {
    let kind = id.split(|c: char| !c.is_ascii_uppercase()).next().unwrap_or_default();
    let order = ["H", "A", "B", "C", "D", "E", "F", "G", "L", "CVE"];
    let numbers = id.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect();
    (order.iter().position(|known| *known == kind).unwrap_or(order.len()), numbers)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn ids_stand_in_the_order_of_the_table() {
        let mut ids =
            ["GHSA-jq35-85cj-fj4p", "CVE-2024-5154", "CVE-2024-21626", "CVE-2015-3630", "L1", "B10", "B9", "A1", "H2"];
        ids.reverse();
        ids.sort_by_key(|id| place(id));
        let wanted =
            ["H2", "A1", "B9", "B10", "L1", "CVE-2015-3630", "CVE-2024-5154", "CVE-2024-21626", "GHSA-jq35-85cj-fj4p"];
        assert_eq!(ids, wanted);
    }
}
