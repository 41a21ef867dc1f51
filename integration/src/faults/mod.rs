//! casemate killed, and failed with an error, at every system call it makes.
//!
//! A [`sweep`] takes one command on one container ([`place`]). A [`tracer`] counts the calls of the command and of the
//! processes it makes up to the container's program: each is a point, once with SIGKILL instead of the call and once with
//! an [error](errors) instead of its answer. After each the command has to have told the truth, and `delete --force` has
//! to leave nothing. Every 25 points, and at the end of each row, the same id lives a whole life and the whole host is
//! compared with what it was before.

mod errors;
mod place;
mod sweep;
mod tracer;

use crate::case::Ground;
use crate::host::{self, Host};
use crate::isolation;
use crate::options::FaultOptions;
use crate::process::Recorder;
use crate::runtime::Runtime;
use anyhow::{Context, Result, ensure};
use place::Place;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use sweep::{Row, Subject, Sweep};

/// Level, terminal: a container of each, side by side.
const VARIANTS: [(&str, &str, bool); 2] = [("privileged", "privileged", true), ("baseline", "baseline", false)];

/// One line of the table.
struct Line {
    title: String,
    row: Result<Row>,
}

/// Runs every injection and prints how many there were.
pub fn run(options: &FaultOptions) -> Result<ExitCode> {
    let base = isolation::ground()?;
    let recorder = Recorder::new(base.join("output"))?;
    let (host, runtime) = (Host::look()?, Runtime::find(&options.runtime, &recorder)?);
    let parent = format!("/{}", base.file_name().context("ground without a name")?.to_string_lossy());
    let lines = Mutex::new(Vec::new());
    let add = |line: Line| {
        println!("{}", describe(&line));
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    };
    std::thread::scope(|scope| {
        for (n, (variant, level, terminal)) in VARIANTS.into_iter().enumerate() {
            let (host, runtime, base, parent, add) = (&host, &runtime, &base, &parent, &add);
            scope.spawn(move || {
                let ground = Ground::new(runtime, host, base, parent, n);
                let place = ground.and_then(|ground| {
                    ground.level(Some(level));
                    Place::new(ground, parent, terminal)
                });
                let place = match place {
                    Ok(place) => place,
                    Err(error) => return add(Line { title: format!("{variant} without a fault"), row: Err(error) }),
                };
                for subject in Subject::ALL {
                    let title = |process: &str, kind: &str| format!("{} {variant} {process} {kind}", subject.name());
                    let selected = |process: &str, kind: &str| {
                        options.filter.as_ref().is_none_or(|filter| filter.is_match(&title(process, kind)))
                    };
                    let mut report = |row: Row| add(Line { title: title(&row.process, row.kind), row: Ok(row) });
                    if let Err(error) = Sweep::run(&place, subject, options.every, &selected, &mut report) {
                        add(Line { title: format!("{} {variant}", subject.name()), row: Err(error) });
                    }
                }
                if let Err(error) = place.ground.sweep() {
                    add(Line { title: format!("{variant} afterwards"), row: Err(error) });
                }
            });
        }
    });
    for dir in host.cgroup_dirs(&parent) {
        host::remove_cgroup(&dir)?;
    }
    let lines = lines.into_inner().unwrap_or_else(PoisonError::into_inner);
    close(lines)
}

fn describe(line: &Line) -> String {
    match &line.row {
        Err(error) => format!("FAIL {}: {error:#}", line.title),
        Ok(row) if row.failures.is_empty() => {
            let missed = if row.missed > 0 { format!(", {} not come to", row.missed) } else { String::new() };
            format!("ok   {}: {} points{missed}", line.title, row.points)
        }
        Ok(row) => format!(
            "FAIL {}: {} of {} points\n    {}",
            line.title,
            row.failures.len(),
            row.points,
            row.failures.join("\n    ")
        ),
    }
}

/// The table, and the closing line.
fn close(mut lines: Vec<Line>) -> Result<ExitCode> {
    ensure!(!lines.is_empty(), "no sweep matches the filter");
    lines.sort_by(|one, other| one.title.cmp(&other.title));
    println!("\n{:<48} {:>7} {:>7} {:>9}", "command, level, process, fault", "points", "missed", "failures");
    let (mut points, mut failed) = (0, 0);
    for line in &lines {
        match &line.row {
            Ok(row) => {
                let bad = row.failures.len();
                println!("{:<48} {:>7} {:>7} {bad:>9}", line.title, row.points, row.missed);
                points += row.points;
                failed += usize::from(bad > 0);
            }
            Err(_) => {
                println!("{:<48} {:>7} {:>7} {:>9}", line.title, "-", "-", "broken");
                failed += 1;
            }
        }
    }
    println!("{points} injection points");
    println!("{} passed, {failed} failed, 0 skipped", lines.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
