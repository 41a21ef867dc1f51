//! `explain`: prints what would be done for a bundle. Needs no privileges and does nothing.

use crate::bundle::Bundle;
use crate::cli::{Explain, ReportFormat};
use crate::error::{Error, Kind, Result};
use crate::host;
use crate::plan::{self, CreateRequest, Handle, Plan};
use crate::program::words;
use std::io::Write;

/// `casemate explain`.
///
/// # Errors
/// Everything that is wrong with the configuration.
pub fn run(request: &Explain, out: &mut dyn Write) -> Result<()> {
    let bundle = Bundle::open(request.bundle.as_deref())?;
    let plan_request = CreateRequest {
        id: "ID".into(),
        bundle: bundle.path.clone(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
    };
    let plan = plan::create(&bundle.spec, &plan_request, &host::facts()?)?;
    let text = match request.format {
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&plan);
            json.map_err(|e| Error::new(Kind::System, format!("plan as JSON: {e}")))? + "\n"
        }
        ReportFormat::Text => text(&plan),
    };
    // A reader that closes its end, as `head` does, has seen enough.
    match out.write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::new(Kind::System, format!("write: {e}"))),
        _ => Ok(()),
    }
}

/// The plan for people: what casemate opens and makes, then what init does, in order.
fn text(plan: &Plan) -> String {
    let mut lines = vec![format!("rootfs      {}", plan.rootfs)];
    let new: Vec<&str> = plan.namespaces.new.iter().map(|k| k.spec_name()).collect();
    lines.push(format!("namespaces  new: {}", if new.is_empty() { "none".into() } else { new.join(", ") }));
    for (kind, path) in &plan.namespaces.joined {
        lines.push(format!("            joined: {} at {path}", kind.spec_name()));
    }
    if let Some(cgroup) = &plan.cgroup {
        for (i, record) in cgroup.path.records.iter().enumerate() {
            lines.push(format!("{:<12}{}", if i == 0 { "cgroup" } else { "" }, record.directory()));
        }
        lines.push(format!("devices     {}", cgroup.devices.join("; ")));
    }
    if let Some(score) = plan.oom_score_adj {
        lines.push(format!("oom score   {score}"));
    }
    let hooks = [
        ("prestart", plan.hooks.prestart.len()),
        ("createRuntime", plan.hooks.create_runtime.len()),
        ("poststart", plan.hooks.poststart.len()),
        ("poststop", plan.hooks.poststop.len()),
    ];
    for (kind, count) in hooks.iter().filter(|(_, count)| *count > 0) {
        lines.push(format!("hooks       {kind}: {count}"));
    }
    for warning in &plan.warnings {
        lines.push(format!("warning     {warning}"));
    }
    lines.push(String::new());
    lines.push(format!("casemate opens {}", count(plan.handles.len(), "handle")));
    for (i, handle) in plan.handles.iter().enumerate() {
        lines.push(format!("  {i:>3}  {}", describe(handle)));
    }
    lines.push(String::new());
    lines.push(format!("init does {}", count(plan.program.len(), "step")));
    for (i, op) in plan.program.iter().enumerate() {
        lines.push(format!("  {i:>3}  {}", words::describe(op)));
    }
    lines.join("\n") + "\n"
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}:") } else { format!("{n} {what}s, in this order:") }
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
