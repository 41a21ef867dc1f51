//! The escape suite: every published vulnerability of a low-level runtime, and the invariants behind them, tried on any
//! OCI runtime.
//!
//! A [`check::Check`] is a row of the [`table`], a runtime at a level is a column. Each check has a [`scene`] of its own:
//! a ground, a `--root`, a cgroup, and a tree [`outside`] of the container. It shows first that its benign twin runs, then
//! attacks. Whatever it is about, a [`snapshot`] of the host before and after must be the same, and nothing may be left.

mod answers;
pub mod check;
mod checks;
mod created;
mod elf;
mod formats;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod marks;
pub mod outside;
mod racer;
mod scene;
pub mod snapshot;
mod table;
mod tally;
mod trace;
mod way;

pub use answers::PROFILE;

use crate::case::Ground;
use crate::host::{self, Host};
use crate::isolation;
use crate::options::{EscapeOptions, TableFormat};
use crate::process::Recorder;
use crate::report::expected_skips;
use crate::runtime::{Kind, Runtime};
use anyhow::{Context, Result, ensure};
use check::{Check, Mark, Verdict, select};
use outside::Outside;
use scene::Scene;
use snapshot::Snapshot;
use std::cell::RefCell;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use table::{Cell, Column, Row, Table, spoken};

const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];

/// Prints the checks.
pub fn list(options: &EscapeOptions) -> Result<ExitCode> {
    for check in select(checks::all(), options.filter.as_ref()) {
        println!("{:<16} {}", check.id, spoken(check.name));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the selected checks against each runtime.
pub fn run(options: &EscapeOptions) -> Result<ExitCode> {
    let base = isolation::ground()?;
    let recorder = Recorder::new(base.join("output"))?;
    let host = Host::look()?;
    let checks = select(checks::all(), options.filter.as_ref());
    ensure!(!checks.is_empty(), "no check matches the filter");
    let mut table = Table::new(columns(options, &recorder)?, options.format, checks.len());
    let parent = format!("/{}", base.file_name().context("ground without a name")?.to_string_lossy());
    let (mut n, mut known) = (0, None);
    for check in checks {
        let mut cells = Vec::new();
        for column in &table.columns {
            n += 1;
            let begin = Instant::now();
            let verdict = unavailable(&check, column, &host, options.published).map_or_else(
                || {
                    let ground = Ground::new(&column.runtime, &host, &base, &parent, n)?;
                    run_one(&check, column, ground, &parent, options.races, &mut known)
                },
                Ok,
            );
            let verdict = verdict.unwrap_or_else(|error| Verdict::Invalid(format!("{error:#}")));
            cells.push(Cell { verdict, took: begin.elapsed() });
        }
        table.add(Row { check, cells });
    }
    for dir in host.cgroup_dirs(&parent) {
        host::remove_cgroup(&dir)?;
    }
    match options.format {
        TableFormat::Json => println!("{:#}", formats::json(&table)),
        TableFormat::Junit => print!("{}", formats::junit(&table)),
        TableFormat::Markdown => print!("{}", formats::markdown(&table)),
        TableFormat::Table | TableFormat::Tap => {}
    }
    Ok(table.close(&expected_skips()?))
}

/// A column for each runtime, and of casemate one for each level.
fn columns(options: &EscapeOptions, recorder: &Recorder) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for (n, (path, level)) in options.runtimes.iter().enumerate() {
        let runtime = Runtime::find(path, recorder)?;
        let wanted = level.as_deref().unwrap_or(&options.level);
        let levels: Vec<Option<&'static str>> = match runtime.kind {
            Kind::Casemate => LEVELS.into_iter().filter(|l| wanted == "all" || wanted == *l).map(Some).collect(),
            Kind::Other => vec![None],
        };
        columns.extend(levels.into_iter().map(|level| Column { runtime: runtime.clone(), level, judged: n == 0 }));
    }
    Ok(columns)
}

/// Why a check is not tried in a column.
fn unavailable(check: &Check, column: &Column, host: &Host, published: bool) -> Option<Verdict> {
    let other = column.runtime.kind == Kind::Other;
    if published && !column.judged && other && check.advisory(&column.program()).is_none() {
        let why = "no public advisory about this runtime is behind the check";
        return Some(Verdict::Unavailable("other-runtime", why.to_owned()));
    }
    check
        .marks
        .iter()
        .find_map(|mark| match mark {
            Mark::Own(what) if other => Some(("other-runtime", format!("hardening of casemate's own: {what}"))),
            Mark::Levels(levels) if !column.level.is_some_and(|level| levels.contains(&level)) => {
                Some(("level", format!("in force at {}", levels.join(" and "))))
            }
            Mark::Later(what) if !other => {
                Some(("later", format!("casemate refuses it by name until it has it: {what}")))
            }
            Mark::Needs(fact) => host.missing(*fact),
            _ => None,
        })
        .map(|(fact, why)| Verdict::Unavailable(fact, why))
}

/// Runs a check in one column. `known` is the host after the last one when nothing had changed, and becomes that after this.
fn run_one(
    check: &Check,
    column: &Column,
    ground: Ground,
    parent: &str,
    races: usize,
    known: &mut Option<Snapshot>,
) -> Result<Verdict> {
    ground.level(column.level);
    let outside = Outside::new(ground.dir.join("outside"))?;
    let (runtime, host) = (ground.runtime, ground.host);
    let scene = Scene { ground, level: column.level, outside, races, visited: RefCell::new(None) };
    let before = match known.take() {
        Some(known) => known.beside(&scene.outside, runtime)?,
        None => Snapshot::take(&scene.outside, runtime, host, parent)?,
    };
    let verdict = (check.body)(&scene).unwrap_or_else(|error| Verdict::Invalid(format!("{error:#}")));
    // What is still there is deleted by force; what remains even so was left behind.
    let swept = scene.ground.sweep();
    let after = Snapshot::take(&scene.outside, runtime, host, parent)?;
    unmount_below(&scene.ground.dir)?;
    std::fs::remove_dir_all(&scene.ground.dir).context("remove the check's directory")?;
    let changes = before.changes(&after);
    if changes.is_empty() && swept.is_ok() {
        *known = Some(after);
    }
    Ok(match (verdict, swept) {
        (Verdict::Unsafe(why), _) => Verdict::Unsafe(why),
        (_, _) if !changes.is_empty() => Verdict::Unsafe(format!("the host has changed: {}", changes.join("; "))),
        (Verdict::Invalid(why), _) => Verdict::Invalid(why),
        (_, Err(left)) => Verdict::Unsafe(format!("{left:#}")),
        (verdict, Ok(())) => verdict,
    })
}

/// Takes away mounts that a runtime left, so that the next check begins on clean ground. They have been told already.
fn unmount_below(dir: &Path) -> Result<()> {
    for mount in host::mounts("self")?.iter().rev().filter(|mount| Path::new(&mount.point).starts_with(dir)) {
        rustix::mount::unmount(&mount.point, rustix::mount::UnmountFlags::DETACH)
            .with_context(|| format!("umount \"{}\"", mount.point))?;
    }
    Ok(())
}
