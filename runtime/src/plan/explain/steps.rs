//! Handles and operations in words, with more than an error message says of them.

use super::{Handle, Plan};
use crate::program::{Attributes, Op, Target, words};

/// Handles of which there are often many in a row.
pub fn many_handles(handle: &Handle, plan: &Plan) -> Option<(&'static str, String)> {
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
pub fn many(op: &Op) -> Option<(&'static str, String)> {
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
pub fn group(op: &Op) -> &'static str {
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
        Op::MakeDirectory { .. } | Op::Terminal { .. } | Op::Session { .. } => "session",
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
        Op::Ready
        | Op::WaitStart { .. }
        | Op::EnterPidNamespace
        | Op::Landlock { .. }
        | Op::Seccomp { .. }
        | Op::Execute { .. } => "start",
    }
}

/// One operation that stands alone, with more than an error message says of it.
pub fn line(op: &Op, plan: &Plan) -> String {
    match op {
        Op::Mount { attributes, options, copy_up, inherit_mode, legacy_flags, if_directory, .. } => {
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
                (*if_directory, "if there is such a directory"),
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
        Handle::Tree { path, .. } | Handle::Procfs { path, .. } | Handle::NotifyDirectory { path } => {
            format!("\"{path}\"")
        }
        other => describe(other),
    }
}

/// What a handle is of.
pub fn describe(handle: &Handle) -> String {
    match handle {
        Handle::Rootfs { path } => format!("clone of the rootfs \"{path}\""),
        Handle::Procfs { path, .. } => format!("clone of the procfs at \"{path}\""),
        Handle::Tree { path, recursive: true } => format!("clone of \"{path}\" with what is mounted below"),
        Handle::Tree { path, recursive: false } | Handle::NotifyDirectory { path } => format!("clone of \"{path}\""),
        Handle::CgroupTree { hierarchy } => format!("clone of the container's cgroup in hierarchy {hierarchy}"),
        Handle::CgroupTasks { hierarchy } => format!("tasks of the container's cgroup in {hierarchy}"),
        Handle::Namespace { kind, path } => format!("{} namespace \"{path}\"", kind.spec_name()),
        Handle::Bundle => "the bundle's directory".into(),
        Handle::Container => "the container's init".into(),
    }
}

/// A resource limit, in words where it is none.
pub fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".into() } else { value.to_string() }
}
