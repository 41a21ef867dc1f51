//! `inspect`: how a container is confined, by what the kernel says, held against what was planned and against standards.
//!
//! ```text
//!  /proc/PID, ptrace, cgroup ──── kernel, filters, devices, mounts ──▶ Kernel ──┐
//!  stored config.json, record ─── planned ─────────────────────────▶ Planned ──┼─ compare ─▶ Differences
//!  the caller's mounts, facts ──────────────────────────────────────────────────┴─ grade ───▶ Grades ──▶ show
//! ```
//!
//! [`kernel`] never looks at a configuration, and everything behind it is a pure function of what it found.

mod devices;
mod filters;
mod grade;
mod kernel;
pub mod mounts;
mod planned;
pub mod risk;
mod show;

use super::doctor::Colour;
use super::{Root, json, print};
use crate::cli::{Inspect, ReportFormat};
use crate::error::{Call as _, Error, Kind, Result};
use crate::host;
use crate::plan::Facts;
use crate::policy::{Enforcement, Mode, Note, Rule, standard};
use crate::spec::Status;
use crate::state::procfs::Procfs;
use crate::state::{Container, Store};
use grade::{Grade, Seen};
use kernel::{Kernel, Stopping};
use mounts::Mounts;
use planned::{Differences, Planned};
use rustix::io::Errno;
use serde::Serialize;
use std::io::Write;

/// What is found out about one container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    id: String,
    status: Status,
    /// The policy it was made under; absent for one made before there was policy.
    enforcement: Option<Enforcement>,
    /// Rules of its level that do not hold, with the mode that they are in.
    not_enforced: Vec<(Rule, Mode)>,
    /// Protections that are missing, and what rules in mode warn or audit would have done.
    lacks: Vec<Note>,
    #[serde(flatten)]
    differences: Differences,
    /// Absent when there is no process.
    kernel: Option<Kernel>,
    grades: Vec<Grade>,
}

/// One container of `--all`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Line {
    Report(Box<Report>),
    /// What kept it from being looked at.
    Failed {
        id: String,
        error: String,
    },
}

/// Prints the report; answers whether everything that was looked at is as it was planned.
///
/// # Errors
/// Without `--all`: `container does not exist`, a record that cannot be used, a failed call. With it the directory.
pub fn run(root: &Root, inspect: &Inspect, colour: Colour, out: &mut dyn Write) -> Result<bool> {
    let look = Look::prepare(if inspect.no_stop { Stopping::Refused } else { Stopping::Allowed })?;
    let Some(id) = &inspect.id else { return all(root, inspect.format, colour, &look, out) };
    let report = look.at(&Container::load(&root.existing()?, id.as_str())?)?;
    let text = match inspect.format {
        ReportFormat::Text => show::page(&report, colour),
        ReportFormat::Json => json(&report)? + "\n",
    };
    print(out, &text)?;
    Ok(report.differences.mismatches.is_empty())
}

fn all(root: &Root, format: ReportFormat, colour: Colour, look: &Look, out: &mut dyn Write) -> Result<bool> {
    let lines = match root.store()? {
        Some(store) => lines(&store, look)?,
        None if root.given => return Err(Error::call("open", root.path.display(), Errno::NOENT)),
        None => Vec::new(),
    };
    let text = match format {
        ReportFormat::Text => show::table(&lines, colour),
        ReportFormat::Json => json(&lines)? + "\n",
    };
    print(out, &text)?;
    Ok(lines.iter().all(|line| matches!(line, Line::Report(report) if report.differences.mismatches.is_empty())))
}

fn lines(store: &Store, look: &Look) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for id in store.ids()? {
        match Container::load(store, &id).and_then(|container| look.at(&container)) {
            Ok(report) => lines.push(Line::Report(Box::new(report))),
            // Deleted since the directory was read.
            Err(_) if matches!(store.entry(&id), Err(gone) if gone.kind == Kind::NotFound) => {}
            Err(error) => lines.push(Line::Failed { id, error: error.to_string() }),
        }
    }
    Ok(lines)
}

/// What is the same for all containers.
struct Look {
    facts: Facts,
    host: Mounts,
    stopping: Stopping,
}

impl Look {
    fn prepare(stopping: Stopping) -> Result<Look> {
        let name = format!("{}/mountinfo", std::process::id());
        let text = Procfs::open()?.read(&name).call("read", format_args!("/proc/{name}"))?;
        let wrong = || Error::new(Kind::System, format!("read \"/proc/{name}\": not what proc(5) says"));
        Ok(Look { facts: host::facts()?, host: Mounts::parse(&text).ok_or_else(wrong)?, stopping })
    }

    fn at(&self, container: &Container) -> Result<Report> {
        let (status, process) = container.look()?;
        let planned = planned::planned(container, &self.facts);
        let kernel = match process.filter(|_| !matches!(status, Status::Stopped | Status::Creating)) {
            Some(process) => {
                let paths = paths(planned.as_ref().ok());
                match kernel::read(container, &process, &paths, self.stopping) {
                    Ok(kernel) => Some(kernel),
                    Err(_) if process.is_gone()? => None,
                    Err(error) => return Err(error),
                }
            }
            None => None,
        };
        let record = &container.record;
        let enforcement = record.enforcement.clone();
        let mut report = Report {
            id: record.id.clone(),
            status: if kernel.is_none() && status != Status::Creating { Status::Stopped } else { status },
            not_enforced: enforcement.as_ref().map(not_enforced).unwrap_or_default(),
            enforcement,
            lacks: record.notes.clone(),
            differences: Differences::default(),
            kernel: None,
            grades: Vec::new(),
        };
        if let Some(kernel) = kernel {
            report.differences = match &planned {
                Ok(planned) => planned::compare(planned, &kernel, status),
                // Without a plan nothing is proven, and that must not look like agreement.
                Err(error) => Differences {
                    mismatches: vec![format!("the plan cannot be made again: {error}")],
                    notes: Vec::new(),
                },
            };
            let planned = planned.as_ref().ok();
            let seen = Seen { kernel: &kernel, planned, facts: &self.facts, host: &self.host };
            report.grades = grade::all(&seen);
            report.kernel = Some(kernel);
        }
        Ok(report)
    }
}

/// The paths to look at: those of the plan, and those that standards ask about.
fn paths(planned: Option<&Planned>) -> Vec<String> {
    let listed = planned.into_iter().flat_map(|planned| planned.masked.iter().chain(&planned.read_only)).cloned();
    let standard = standard::MASKED.iter().chain(&standard::READ_ONLY).map(|path| (*path).to_owned());
    let mut paths: Vec<String> = listed.chain(standard).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Rules that the level has and that are in another mode than enforce.
fn not_enforced(enforcement: &Enforcement) -> Vec<(Rule, Mode)> {
    let of_level = Rule::ALL.iter().filter(|rule| rule.from().is_some_and(|from| from <= enforcement.level));
    of_level.map(|rule| (*rule, enforcement.mode(*rule))).filter(|(_, mode)| *mode != Mode::Enforce).collect()
}

#[cfg(test)]
mod tests;
