//! The plan for people: what the container gets, what casemate opens, and what init does, in order.
//!
//! The JSON form of a [`Plan`] has everything; this one folds what is many and leaves out the values of environment
//! variables, which may be secrets and would end up wherever the text is pasted.

mod page;
mod steps;

use super::filter::SeccompSummary;
use super::namespace::NamespaceKind;
use super::process::SYS_ADMIN;
use super::{Handle, Plan};
use crate::program::{Op, Target, words};
use page::{KEY, Page, WIDTH, wrap};
use serde_json::Value;
use steps::{describe, group, limit, line, many, many_handles};

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
        (Some(SeccompSummary { layers, profile: None }), Some(instructions)) => {
            page.row("seccomp", format!("{}; {instructions} instructions", layers.join(", ")));
        }
        (Some(SeccompSummary { layers, profile: Some(profile) }), Some(instructions)) => {
            page.row(
                "seccomp",
                format!("{} unless a rule says else; {instructions} instructions", profile.default_action),
            );
            if !layers.is_empty() {
                page.row("", format!("and what these refuse: {}", layers.join(", ")));
            }
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
    if plan.program.iter().any(|op| matches!(op, Op::Landlock { .. })) {
        page.row("landlock", "no abstract sockets of processes outside");
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

fn count(n: usize, does: &str, what: &str) -> String {
    format!("{does} {n} {what}{}{}", plural(n), if n > 1 { ", in this order:" } else { ":" })
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
