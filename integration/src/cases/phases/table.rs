//! The rows as they stand in docs/threat-model.md.

use super::rows::{Capabilities, Cgroup, Confined, Namespaces, PHASES, Phase, Place, User};
use std::fmt::Write;

const MARKER: &str = "<!-- The rows are those of integration/src/cases/phases/rows.rs. -->\n\n";

fn line(phase: &Phase) -> String {
    let user = match phase.user {
        User::Callers => "caller's",
        User::Programs => "program's",
    };
    let capabilities = match phase.capabilities {
        Capabilities::All => "all",
        Capabilities::Unreading => "all, two not effective",
        Capabilities::Bounded => "all, bounding is the plan's",
        Capabilities::Dropped => "the plan's, loader's, not ambient",
        Capabilities::Loading => "the plan's, loader's",
        Capabilities::Executed => "the plan's, executed",
    };
    let namespaces = match phase.namespaces {
        Namespaces::Hosts => "host's",
        Namespaces::Born => "container's but cgroup",
        Namespaces::Entered => "container's but pid",
        Namespaces::Containers => "container's",
    };
    let cgroup = match phase.cgroup {
        Cgroup::Callers => "caller's",
        Cgroup::Born => "container's on v2",
        Cgroup::Containers => "container's",
    };
    let place = |place, callers: &'static str| match place {
        Place::Callers => callers,
        Place::Bundle => "bundle",
        Place::Rootfs => "rootfs",
        Place::Containers => "container's",
    };
    let confined = match phase.confined {
        Confined::No => "no",
        Confined::NoNewPrivileges => "no_new_privs",
        Confined::Filtered => "no_new_privs, filter",
    };
    let (root, cwd) = (place(phase.root, "host's"), place(phase.cwd, "caller's"));
    let descriptors = if phase.descriptors.is_empty() { "none" } else { phase.descriptors };
    let dumpable = if phase.dumpable { "yes" } else { "no" };
    format!(
        "| {} | {} | {user} | {capabilities} | {namespaces} | {cgroup} | {root} | {cwd} | {descriptors} | {confined} | {dumpable} |",
        phase.process, phase.when
    )
}

fn table() -> String {
    let mut text = String::from(
        "| process | when | user | capabilities | namespaces | cgroup | root | cwd | descriptors above 2 | confined | dumpable |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for phase in &PHASES {
        writeln!(text, "{}", line(phase)).unwrap();
    }
    text
}

#[test]
fn the_document_has_the_rows_that_are_checked() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/threat-model.md");
    let now = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = now.split_once(MARKER).unwrap();
    let tail = rest.split_once("\n\n").map_or("", |(_, tail)| tail);
    let wanted = format!("{head}{MARKER}{}\n{tail}", table());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let differs = now.lines().zip(wanted.lines()).find(|(is, wanted)| is != wanted);
    assert!(now == wanted, "docs/threat-model.md differs: {differs:?}\n(UPDATE_GOLDEN=1 takes what is now)");
}

#[test]
fn no_two_rows_are_the_same_moment() {
    let mut moments: Vec<_> = PHASES.iter().map(|phase| (phase.process, phase.when)).collect();
    moments.sort_unstable();
    moments.dedup();
    assert_eq!(moments.len(), PHASES.len());
}
