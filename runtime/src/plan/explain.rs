//! The plan for people: what the container gets, what casemate opens, and what init does, in order.
//!
//! The JSON form of a [`Plan`] has everything; this one folds what is many and leaves out the values of environment
//! variables, which may be secrets and would end up wherever the text is pasted.

use super::namespace::NamespaceKind;
use super::process::SYS_ADMIN;
use super::{Handle, Plan};
use crate::program::{Attributes, Op, Target, words};
use serde_json::Value;

/// Where values begin, in columns.
const KEY: usize = 15;
/// Where lists are wrapped, in columns.
const WIDTH: usize = 110;

/// The whole text.
pub fn text(plan: &Plan) -> String {
    let mut page = Page::default();
    page.row("container", &plan.id);
    if !plan.rootfs.is_empty() {
        let readonly = plan.program.iter().any(is_readonly_root);
        page.row("rootfs", format!("{}{}", plan.rootfs, if readonly { " (read-only)" } else { "" }));
    }
    process(&mut page, plan);
    security(&mut page, plan);
    namespaces(&mut page, plan);
    cgroup(&mut page, plan);
    hooks(&mut page, plan);
    for warning in &plan.warnings {
        page.row("warning", warning);
    }
    page.heading(&count(plan.handles.len(), "casemate opens", "handle"));
    page.folded(&plan.handles, |handle| many_handles(handle, plan), describe);
    page.heading(&count(plan.program.len(), "init does", "step"));
    let mut rest = plan.program.as_slice();
    while let Some(first) = rest.first() {
        let alike = rest.iter().take_while(|op| group(op) == group(first)).count();
        let (group_of_steps, after) = rest.split_at(alike);
        page.lines.push(format!("  {}", group(first)));
        page.first = plan.program.len() - rest.len();
        page.folded(group_of_steps, many, |op| line(op, plan));
        rest = after;
    }
    page.lines.join("\n") + "\n"
}

/// Lines under way.
#[derive(Default)]
struct Page {
    lines: Vec<String>,
    /// Number of the first of the things that are to be listed.
    first: usize,
}

impl Page {
    fn row(&mut self, key: &str, value: impl AsRef<str>) {
        self.lines.push(format!("{key:<KEY$}{}", value.as_ref()));
    }

    fn heading(&mut self, text: &str) {
        self.lines.push(String::new());
        self.lines.push(text.to_string());
    }

    fn step(&mut self, number: &str, what: impl AsRef<str>) {
        self.lines.push(format!("  {number:>7}  {}", what.as_ref()));
    }

    /// Numbered things, one a line; those of which `many` gives the same verb stand together behind it.
    fn folded<T>(
        &mut self,
        things: &[T],
        many: impl Fn(&T) -> Option<(&'static str, String)>,
        one: impl Fn(&T) -> String,
    ) {
        let mut rest = things;
        while let Some(thing) = rest.first() {
            let at = self.first + things.len() - rest.len();
            let Some((verb, _)) = many(thing) else {
                self.step(&at.to_string(), one(thing));
                rest = rest.get(1..).unwrap_or_default();
                continue;
            };
            let alike = rest.iter().map_while(|thing| many(thing).filter(|(v, _)| *v == verb).map(|(_, item)| item));
            let items: Vec<String> = alike.collect();
            let last = at + items.len() - 1;
            let number = if last == at { at.to_string() } else { format!("{at}-{last}") };
            for (nth, text) in wrap(&items, WIDTH - 12 - verb.len()).iter().enumerate() {
                let (number, verb_here) = if nth == 0 { (number.as_str(), verb) } else { ("", "") };
                self.step(number, format!("{verb_here:width$} {text}", width = verb.len()));
            }
            rest = rest.get(items.len()..).unwrap_or_default();
        }
    }

    /// A list with commas, wrapped below its first item.
    fn list(&mut self, key: &str, items: &[String]) {
        let mut lines = wrap(items, WIDTH - KEY).into_iter();
        self.row(key, lines.next().unwrap_or_else(|| "none".into()));
        lines.for_each(|line| self.row("", line));
    }
}

/// Items with commas between them, as lines of at most `width` columns where the items allow it.
fn wrap(items: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let item = if i + 1 < items.len() { format!("{item},") } else { item.clone() };
        match lines.last_mut() {
            Some(line) if line.len() + 1 + item.len() <= width => {
                line.push(' ');
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    lines
}

fn is_readonly_root(op: &Op) -> bool {
    use super::mount_options::attr;
    matches!(op, Op::SetMount { target: Target::Root, attributes } if attributes.set & attr::RDONLY != 0)
}

fn process(page: &mut Page, plan: &Plan) {
    let execute = plan.program.iter().find_map(|op| match op {
        Op::Execute { args, env } => Some((args, env)),
        _ => None,
    });
    let Some((args, env)) = execute else { return page.row("process", "none") };
    page.row("process", format!("{args:?}{}", if plan.terminal { " on a terminal" } else { "" }));
    let mut umask = String::new();
    for op in plan.program.iter().rev() {
        match op {
            Op::Umask { mask } => umask = format!(", umask {mask:04o}"),
            Op::Identity { uid, gid, groups } => {
                let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
                let groups = if groups.is_empty() { "none".to_string() } else { groups.join(" ") };
                page.row("user", format!("uid {uid}, gid {gid}, groups {groups}{umask}"));
            }
            Op::WorkingDirectory { path, second: false } => page.row("cwd", path),
            _ => {}
        }
    }
    let name = |entry: &String| entry.split('=').next().unwrap_or(entry).to_string();
    page.list("environment", &env.iter().map(name).collect::<Vec<_>>());
    let limits = plan.program.iter().filter_map(|op| match op {
        Op::Rlimit { name, soft, hard, .. } => Some(format!("{name} {}:{}", limit(*soft), limit(*hard))),
        _ => None,
    });
    let limits: Vec<String> = limits.collect();
    if !limits.is_empty() {
        page.list("rlimits", &limits);
    }
    if let Some(score) = plan.oom_score_adj {
        page.row("oom score", score.to_string());
    }
}

fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".into() } else { value.to_string() }
}

fn security(page: &mut Page, plan: &Plan) {
    let mut sets: Vec<(String, u64)> = Vec::new();
    let mut add = |name: &str, set: u64| match sets.iter_mut().find(|(_, s)| *s == set) {
        Some((names, _)) => *names = format!("{names}, {name}"),
        None => sets.push((name.to_string(), set)),
    };
    let no_new_privileges = plan.program.contains(&Op::NoNewPrivileges);
    let bounding = plan.program.iter().find_map(|op| match op {
        Op::Bounding { keep, .. } => Some(*keep),
        _ => None,
    });
    // What init keeps to load a filter and execve takes away; see plan/process.rs.
    let mut kept = 0;
    for op in &plan.program {
        match op {
            Op::Bounding { keep, .. } => add("bounding", *keep),
            Op::Capabilities { effective, permitted, inheritable } => {
                if plan.seccomp.is_some() && !no_new_privileges {
                    kept = permitted & SYS_ADMIN & !bounding.unwrap_or(u64::MAX);
                }
                add("effective", effective & !kept);
                add("permitted", permitted & !kept);
                add("inheritable", *inheritable);
            }
            Op::Ambient { set } => add("ambient", *set),
            Op::Label { file, label } => page.row("label", format!("\"{label}\" in /proc/{file}")),
            _ => {}
        }
    }
    for (i, (names, set)) in sets.iter().enumerate() {
        page.row(if i == 0 { "capabilities" } else { "" }, format!("{names}:"));
        let set: Vec<String> = words::capabilities(*set).split(',').map(str::to_string).collect();
        wrap(&set, WIDTH - KEY - 2).into_iter().for_each(|line| page.row("", format!("  {line}")));
    }
    if kept != 0 {
        page.row("", "until execve also CAP_SYS_ADMIN, to load the seccomp filter");
    }
    if bounding.is_some() {
        page.row("no new privs", if no_new_privileges { "yes" } else { "no" });
    }
    let instructions = plan.program.iter().find_map(|op| match op {
        Op::Seccomp { instructions, .. } => Some(*instructions),
        _ => None,
    });
    match (&plan.seccomp, instructions) {
        (Some(profile), Some(instructions)) => {
            page.row(
                "seccomp",
                format!("{} unless a rule says else; {instructions} instructions", profile.default_action),
            );
            for (action, count) in &profile.syscalls {
                page.row("", format!("{action}: {count} system call{}", plural(*count)));
            }
            page.row("", format!("architectures: {}", profile.architectures.join(", ")));
            if let Some(flags) = &profile.flags {
                page.row("", format!("flags: {}", if flags.is_empty() { "none".into() } else { flags.join(", ") }));
            }
            if let Some(listener) = &plan.listener {
                page.row("", format!("listener goes to {}", listener.path));
            }
        }
        _ => page.row("seccomp", "no filter"),
    }
}

fn namespaces(page: &mut Page, plan: &Plan) {
    let names = |kinds: &[NamespaceKind]| kinds.iter().map(|k| k.spec_name().to_string()).collect::<Vec<_>>();
    let verb = if plan.rootfs.is_empty() { "the container's" } else { "new" };
    page.row("namespaces", format!("{verb}: {}", names(&plan.namespaces.new).join(", ")));
    for (kind, path) in &plan.namespaces.joined {
        page.row("", format!("joined: {} at {path}", kind.spec_name()));
    }
    let shared: Vec<NamespaceKind> =
        NamespaceKind::ALL.into_iter().filter(|kind| !plan.namespaces.is_private(*kind)).collect();
    page.row("", format!("the host's: {}", names(&shared).join(", ")));
}

fn cgroup(page: &mut Page, plan: &Plan) {
    let Some(cgroup) = &plan.cgroup else { return };
    let mut paths: Vec<(&str, Vec<String>)> = Vec::new();
    for record in &cgroup.path.records {
        match paths.iter_mut().find(|(path, _)| *path == record.path) {
            Some((_, hierarchies)) => hierarchies.push(record.hierarchy()),
            None => paths.push((&record.path, vec![record.hierarchy()])),
        }
    }
    for (i, (path, hierarchies)) in paths.iter().enumerate() {
        page.row(if i == 0 { "cgroup" } else { "" }, format!("/{path}"));
        let hierarchies: Vec<String> = hierarchies.iter().map(|h| h.replace(',', "+")).collect();
        wrap(&hierarchies, WIDTH - KEY - 5).iter().enumerate().for_each(|(i, line)| {
            page.row("", format!("  {:<3}{line}", if i == 0 { "in" } else { "" }));
        });
    }
    let mut limits = Vec::new();
    // Numbers, strings and lists only: there is nothing in it that JSON could not hold.
    if let Value::Object(fields) = serde_json::to_value(&cgroup.resources).unwrap_or_default() {
        fields.into_iter().filter(|(name, _)| name != "devices").for_each(|(name, v)| flatten(&name, &v, &mut limits));
    }
    page.row("limits", limits.first().map_or("none", String::as_str));
    limits.iter().skip(1).for_each(|limit| page.row("", limit));
    page.list("devices", &cgroup.devices);
}

/// Each value of a tree with its path.
fn flatten(path: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, v)| flatten(&format!("{path}.{name}"), v, out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| flatten(&format!("{path}[{i}]"), v, out));
        }
        Value::String(text) => out.push(format!("{path} = {text}")),
        other => out.push(format!("{path} = {other}")),
    }
}

fn hooks(page: &mut Page, plan: &Plan) {
    let inner = |wanted: &str| {
        let of_kind = plan.program.iter().filter_map(|op| match op {
            Op::Hook(hook) if hook.kind == wanted => Some(hook.path.clone()),
            _ => None,
        });
        of_kind.collect::<Vec<_>>()
    };
    let outer = |hooks: &[crate::spec::Hook]| hooks.iter().map(|h| h.path.clone()).collect::<Vec<_>>();
    for (kind, paths) in [
        ("prestart", outer(&plan.hooks.prestart)),
        ("createRuntime", outer(&plan.hooks.create_runtime)),
        ("createContainer", inner("createContainer")),
        ("startContainer", inner("startContainer")),
        ("poststart", outer(&plan.hooks.poststart)),
        ("poststop", outer(&plan.hooks.poststop)),
    ] {
        for path in paths {
            page.row("hook", format!("{kind}: {path}"));
        }
    }
}

/// Handles of which there are often many in a row.
fn many_handles(handle: &Handle, plan: &Plan) -> Option<(&'static str, String)> {
    Some(match handle {
        Handle::CgroupTasks { hierarchy } => ("tasks of the container's cgroup in", hierarchy.replace(',', "+")),
        Handle::CgroupTree { hierarchy } => ("clone of the container's cgroup in", hierarchy_name(*hierarchy, plan)),
        _ => return None,
    })
}

/// A plan has one cgroup for each hierarchy of the layout, in its order.
fn hierarchy_name(index: usize, plan: &Plan) -> String {
    let record = plan.cgroup.as_ref().and_then(|cgroup| cgroup.path.records.get(index));
    record.map_or_else(|| format!("hierarchy {index}"), |record| record.hierarchy().replace(',', "+"))
}

/// Operations of which there are often many in a row: the verb, and what is particular to this one.
fn many(op: &Op) -> Option<(&'static str, String)> {
    Some(match op {
        Op::JoinCgroup { hierarchy, .. } => ("join cgroup", hierarchy.replace(',', "+")),
        Op::Device { path, mode, major, minor, uid, gid, .. } => {
            let kind = match mode & 0o170_000 {
                0o060_000 => "b",
                0o010_000 => "p",
                _ => "c",
            };
            let mode = if mode & 0o7777 == 0o666 { String::new() } else { format!(" {:04o}", mode & 0o7777) };
            let owner = if (*uid, *gid) == (0, 0) { String::new() } else { format!(" {uid}:{gid}") };
            ("make device", format!("{path} {kind} {major}:{minor}{mode}{owner}"))
        }
        Op::Symlink { target, path, .. } => ("link", format!("{path} -> {target}")),
        Op::Sysctl { name, value } => ("set sysctl", format!("{name} = \"{value}\"")),
        Op::ReadonlyPath { path } => ("make read-only", path.clone()),
        Op::Mask { path } => ("mask", path.clone()),
        Op::Rlimit { name, soft, hard, .. } => ("set", format!("{name} {}:{}", limit(*soft), limit(*hard))),
        _ => return None,
    })
}

/// What part of the work an operation belongs to.
fn group(op: &Op) -> &'static str {
    match op {
        Op::JoinCgroup { .. } | Op::JoinNamespace { .. } | Op::JoinContainer { .. } | Op::Unshare { .. } => "joins",
        Op::HostPropagation { .. }
        | Op::Loopback
        | Op::MaskSource
        | Op::AttachRoot { .. }
        | Op::OpenRoot
        | Op::Mount { .. }
        | Op::Bind { .. } => "mounts",
        Op::SetMount { target: Target::Root | Target::Dev, .. } => "root",
        Op::SetMount { .. } => "mounts",
        Op::Symlink { path, .. } if !path.starts_with("/dev/") => "mounts",
        Op::Device { .. } | Op::Symlink { .. } => "devices",
        Op::MakeDirectory { .. } | Op::Terminal { .. } | Op::Session => "session",
        Op::Hook(hook) if hook.kind == "startContainer" => "start",
        Op::RuntimeHooks | Op::Hook(_) => "hooks",
        Op::ReadonlyPath { .. } | Op::Mask { .. } => "covers",
        Op::Pivot | Op::CheckMounts { .. } => "root",
        Op::Hostname { .. } | Op::Domainname { .. } | Op::Sysctl { .. } => "names and parameters",
        Op::Keyring
        | Op::Label { .. }
        | Op::CloseHandles
        | Op::Rlimit { .. }
        | Op::WorkingDirectory { .. }
        | Op::Bounding { .. }
        | Op::Identity { .. }
        | Op::Capabilities { .. }
        | Op::Ambient { .. }
        | Op::NoNewPrivileges
        | Op::Umask { .. }
        | Op::FindExecutable { .. } => "process",
        Op::Ready | Op::WaitStart { .. } | Op::Seccomp { .. } | Op::Execute { .. } => "start",
    }
}

/// One operation that stands alone, with more than an error message says of it.
fn line(op: &Op, plan: &Plan) -> String {
    match op {
        Op::Mount { attributes, options, copy_up, inherit_mode, legacy_flags, .. } => {
            let mut notes = vec![words::attributes(attributes)];
            let options = options.iter().filter(|(key, _)| key != "source");
            notes.extend(options.map(|(key, value)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            }));
            for (on, note) in [
                (*copy_up, "with a copy of what it covers"),
                (*inherit_mode, "with the mode of what it covers"),
                (legacy_flags.is_some(), "by mount(2)"),
            ] {
                notes.extend(on.then(|| note.to_string()));
            }
            with_notes(words::describe(op), notes)
        }
        Op::Bind { at, .. } if at.in_proc => format!("{} (inside /proc)", words::describe(op)),
        Op::SetMount { target: Target::Tree(slot), attributes } => {
            let tree = plan.handles.get(slot.0 as usize).map_or_else(|| "?".into(), |handle| name(handle, plan));
            format!("set {tree} to {}", words_of(attributes))
        }
        Op::HostPropagation { propagation } => {
            let attributes = Attributes { propagation: *propagation, recursive: true, ..Attributes::default() };
            format!("{}: {}", words::describe(op), words_of(&attributes))
        }
        Op::CheckMounts { extra: true } => "check the mount table; others may have added mounts".into(),
        Op::Capabilities { .. } => "set capabilities as above".into(),
        Op::Ambient { .. } => "raise ambient capabilities as above".into(),
        Op::Bounding { last, .. } => format!("drop all others of capabilities 0 to {last} from the bounding set"),
        Op::WorkingDirectory { second: true, .. } => format!("{}, if that was refused before", words::describe(op)),
        Op::FindExecutable { candidates, search: true } if candidates.is_empty() => {
            "find the executable: PATH has no directories".into()
        }
        Op::FindExecutable { candidates, .. } => format!("find the executable: {}", candidates.join(", ")),
        Op::Hook(hook) if hook.timeout > 0 => format!("{}, at most {} s", words::describe(op), hook.timeout),
        other => words::describe(other),
    }
}

fn words_of(attributes: &Attributes) -> String {
    let words = words::attributes(attributes);
    if words.is_empty() { "relatime".into() } else { words }
}

fn with_notes(what: String, notes: Vec<String>) -> String {
    let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
    if notes.is_empty() { what } else { format!("{what}: {}", notes.join(", ")) }
}

fn name(handle: &Handle, plan: &Plan) -> String {
    match handle {
        Handle::CgroupTree { hierarchy } => {
            format!("\"cgroup:{}\"", hierarchy_name(*hierarchy, plan).replace('+', ","))
        }
        Handle::Rootfs { .. } => "the rootfs".into(),
        Handle::Tree { path, .. } => format!("\"{path}\""),
        other => describe(other),
    }
}

fn describe(handle: &Handle) -> String {
    match handle {
        Handle::Rootfs { path } => format!("clone of the rootfs \"{path}\""),
        Handle::Tree { path, recursive: true } => format!("clone of \"{path}\" with what is mounted below"),
        Handle::Tree { path, recursive: false } => format!("clone of \"{path}\""),
        Handle::CgroupTree { hierarchy } => format!("clone of the container's cgroup in hierarchy {hierarchy}"),
        Handle::CgroupTasks { hierarchy } => format!("tasks of the container's cgroup in {hierarchy}"),
        Handle::Namespace { kind, path } => format!("{} namespace \"{path}\"", kind.spec_name()),
        Handle::Bundle => "the bundle's directory".into(),
        Handle::Container => "the container's init".into(),
    }
}

fn count(n: usize, does: &str, what: &str) -> String {
    format!("{does} {n} {what}{}{}", plural(n), if n > 1 { ", in this order:" } else { ":" })
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
