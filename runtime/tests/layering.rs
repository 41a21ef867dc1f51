//! The walls between the rooms, as tests: who may use whom, what pure rooms may not touch, where `unsafe` may be, how
//! long a file may get. `docs/architecture.md` draws the same.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room of `src/` and the rooms that it may use. A new room gets a line here, a new use a second thought.
const ROOMS: &[(&str, &str)] = &[
    // What everybody may use.
    ("error", ""),
    ("spec", "error"),
    ("version", "spec"),
    // The only room with `unsafe`; of `program` it knows the binary form.
    ("sys", "program"),
    // The decisions. They take layouts, paths and device rules of cgroups as data.
    ("plan", "cgroup error program spec"),
    ("program", "error plan"),
    ("policy", "cgroup error plan spec"),
    // The parts of the system, each by itself.
    ("cgroup", "error spec sys"),
    ("hooks", "error spec sys"),
    ("listen", "error"),
    ("log", "error"),
    ("notify", "error socket"),
    ("pid_file", "error"),
    ("socket", "error sys"),
    ("terminal", "error socket sys"),
    ("foreground", "error notify sys terminal"),
    ("host", "cgroup error plan spec state sys"),
    ("bundle", "error plan spec"),
    // The administrator's files: found and checked here, understood by `policy`.
    ("policy_file", "error policy"),
    ("state", "cgroup error plan policy spec sys"),
    // What carries a plan out.
    ("launch", "cgroup error host plan program spec state sys terminal"),
    // The edge: `cli` reads the command line into requests, `commands` does them.
    ("cli", "error log policy spec"),
    (
        "commands",
        "bundle cgroup cli error foreground hooks host launch listen log notify pid_file plan policy policy_file program socket \
         spec state sys terminal version",
    ),
];

/// What a room that only decides must not say: whatever asks the system, or is another answer each time.
const IMPURE: &[&str] = &[
    "rustix::fs",
    "rustix::process",
    "rustix::mount",
    "rustix::thread",
    "rustix::system",
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::os",
    "std::time",
    "std::thread",
    "nix::",
    "libc::",
    "caps::read",
    "caps::set",
    "caps::has_cap",
    "Layout::discover",
    "cgroup::Cgroup",
    "cgroup::driver",
    "crate::sys",
    "crate::state",
    "crate::launch",
    "crate::host",
];

/// Longer than 500 lines, and why.
const LONG: &[(&str, &str)] = &[];

/// One file without comments and tests, line by line with its number.
struct Source {
    /// Path below the crate.
    path: String,
    lines: Vec<(usize, String)>,
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &str) -> Vec<PathBuf> {
    let (mut files, mut directories) = (Vec::new(), vec![crate_root().join(directory)]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The files that `#[cfg(test)] mod NAME;` in `path` names.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap();
    let directory = match stem.to_str().unwrap() {
        "mod" | "lib" | "main" => path.parent().unwrap().to_path_buf(),
        _ => path.parent().unwrap().join(stem),
    };
    // Another attribute may stand between the two.
    let after = text.split("#[cfg(test)]").skip(1);
    let names = after.filter_map(|rest| {
        let line = rest.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#["))?;
        line.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';')
    });
    names.map(|name| directory.join(name)).collect()
}

/// The product code of a directory.
fn product(directory: &str) -> Vec<Source> {
    let files: Vec<(PathBuf, String)> =
        rust_files(directory).into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let tests: Vec<PathBuf> = files.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test = |path: &Path| tests.iter().any(|test| path.with_extension("") == *test || path.starts_with(test));
    let sources = files.iter().filter(|(path, _)| !is_test(path)).map(|(path, text)| {
        let mut lines = Vec::new();
        let all: Vec<&str> = text.lines().collect();
        for (i, line) in all.iter().enumerate() {
            // Tests stand at the end of a file.
            let next = all.iter().skip(i + 1).find(|line| !line.trim_start().starts_with("#["));
            if line.trim() == "#[cfg(test)]" && next.is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'))
            {
                break;
            }
            let code = line.split(" // ").next().unwrap_or(line);
            if !code.trim_start().starts_with("//") {
                lines.push((i + 1, code.to_string()));
            }
        }
        Source { path: path.strip_prefix(crate_root()).unwrap().display().to_string(), lines }
    });
    sources.collect()
}

fn find(sources: &[Source], wrong: impl Fn(&Source, &str) -> Option<String>) {
    let mut found = Vec::new();
    for source in sources {
        for (number, line) in &source.lines {
            found.extend(wrong(source, line).map(|what| format!("{}:{number}: {what}: {}", source.path, line.trim())));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The room that a file of `src/` belongs to.
fn room(source: &Source) -> &str {
    let below = source.path.strip_prefix("src/").unwrap();
    below.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The rooms that a line of code names, as `crate::a::b` or as `crate::{a, b::c}`.
fn named(line: &str) -> Vec<&str> {
    let mut rooms = Vec::new();
    for (at, word) in line.match_indices("crate::") {
        // `$crate::` is a macro's, where it is used.
        if line[..at].ends_with('$') {
            continue;
        }
        let rest = &line[at + word.len()..];
        let first = |text: &'_ str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::len);
        match rest.strip_prefix('{').map(|inside| inside.split_once('}').expect("rooms on one line").0) {
            Some(inside) => rooms.extend(inside.split(',').map(|part| &part.trim()[..first(part).unwrap()])),
            None => rooms.push(&rest[..first(rest).unwrap()]),
        }
    }
    rooms
}

#[test]
fn rooms_use_only_the_rooms_that_they_may() {
    let rooms: BTreeMap<&str, BTreeSet<&str>> =
        ROOMS.iter().map(|(room, uses)| (*room, uses.split_whitespace().collect())).collect();
    let mut seen = BTreeSet::new();
    let sources = product("src");
    for source in &sources {
        seen.insert(room(source));
    }
    let without_edge = seen.iter().filter(|room| !["lib", "main"].contains(room)).copied().collect::<BTreeSet<&str>>();
    assert_eq!(without_edge, rooms.keys().copied().collect(), "the rooms of src/ and those of this table");
    find(&sources, |source, line| {
        let own = room(source);
        let allowed = rooms.get(own)?;
        let wrong = named(line)
            .into_iter()
            .find(|used| *used != own && *used != "Result" && rooms.contains_key(used) && !allowed.contains(used));
        wrong.map(|used| format!("{own} may not use {used}"))
    });
}

#[test]
fn plans_and_programs_are_made_without_asking_the_system() {
    let pure: Vec<Source> =
        product("src").into_iter().filter(|s| ["plan", "policy", "program"].contains(&room(s))).collect();
    assert!(pure.len() > 15);
    find(&pure, |_, line| IMPURE.iter().find(|word| line.contains(*word)).map(|word| format!("{word} is not pure")));
}

#[test]
fn unsafe_code_is_in_the_two_rooms_for_it() {
    let sources: Vec<Source> = ["src", "init"].into_iter().flat_map(product).collect();
    find(&sources, |source, line| {
        let allowed = source.path.starts_with("src/sys/") || source.path.starts_with("init/sys/");
        let said = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        (said && !allowed).then(|| "unsafe code".to_string())
    });
}

#[test]
fn product_code_does_not_panic_on_purpose() {
    const PANICS: &[&str] =
        &[".unwrap()", ".expect(", ".unwrap_err()", "panic!(", "todo!(", "unimplemented!(", "dbg!("];
    let sources: Vec<Source> = ["src", "init"].into_iter().flat_map(product).collect();
    find(&sources, |_, line| PANICS.iter().find(|p| line.contains(*p)).map(|p| format!("{p} in product code")));
}

#[test]
fn no_file_is_too_long_or_has_a_name_that_says_nothing() {
    const NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc", "types"];
    let mut wrong = Vec::new();
    for path in ["src", "init", "tests"].into_iter().flat_map(rust_files) {
        let below = path.strip_prefix(crate_root()).unwrap().display().to_string();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        let reason = LONG.iter().find(|(long, _)| *long == below);
        if lines > 500 && reason.is_none() {
            wrong.push(format!("{below} has {lines} lines: split it, or say here why not"));
        }
        if lines <= 500 && reason.is_some() {
            wrong.push(format!("{below} has {lines} lines and needs no exception"));
        }
        if below.split('/').any(|part| NAMES.contains(&part.trim_end_matches(".rs"))) {
            wrong.push(format!("{below}: name what is in it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
