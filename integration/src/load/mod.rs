//! Many containers at a time: nothing lost, nothing left, and how long it took.
//!
//! Each runtime in turn makes all containers, starts them, is asked for each and for all, runs a program in each, and
//! deletes them, many commands at a time ([`crew`]). Afterwards what there is must be what there was before ([`left`]).
//! The runtime named first is judged; the others are there for their figures.

mod crew;
mod left;

use crate::host::{self, Host};
use crate::isolation;
use crate::options::LoadOptions;
use crate::process::Recorder;
use crate::runtime::Runtime;
use anyhow::{Context, Result, anyhow};
use crew::{Crew, Figures, PHASES};
use std::path::Path;
use std::process::ExitCode;

/// How many failures are told in full.
const TOLD: usize = 10;

/// Runs the load of each runtime in turn and prints a table.
pub fn run(options: &LoadOptions) -> Result<ExitCode> {
    let ground = isolation::ground()?;
    let recorder = Recorder::new(ground.join("output"))?;
    let host = Host::look()?;
    let parent = format!("/{}", ground.file_name().context("ground without a name")?.to_string_lossy());
    let mut columns = Vec::new();
    for (n, path) in options.runtimes.iter().enumerate() {
        // `PATH@LEVEL` is casemate at that level.
        let words = path.to_string_lossy().into_owned();
        let (path, level) = match words.rsplit_once('@') {
            Some((path, level)) if !level.contains('/') => (Path::new(path), Some(level)),
            _ => (path.as_path(), None),
        };
        let runtime = Runtime::find(path, &recorder)?;
        let file = runtime.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = level.map_or_else(|| file.clone(), |level| format!("{file} {level}"));
        println!("# {name}: {} ({})", runtime.path.display(), runtime.version);
        let crew =
            Crew::new(runtime, level, &host, ground.join(format!("load{n}")), &format!("{parent}/{n}"), options)?;
        // In a thread of its own, because a runtime may need another mount namespace.
        let figures = std::thread::scope(|scope| scope.spawn(|| crew.work()).join());
        let figures = figures.map_err(|_| anyhow!("the thread of {name} panicked"))?;
        columns.push((name.clone(), figures.with_context(|| name)?));
    }
    // What a runtime left has been counted, and is in nobody's way.
    for pid in host.cgroup_processes(&parent) {
        host::kill(pid)?;
    }
    for dir in host.cgroup_dirs(&parent) {
        crate::process::eventually("the cgroups can be removed", || Ok(host::remove_cgroup(&dir).ok()))?;
    }
    print(&columns, options);
    Ok(close(&columns, options.containers))
}

fn print(columns: &[(String, Figures)], options: &LoadOptions) {
    let LoadOptions { containers, parallel, .. } = options;
    println!("\n{containers} containers, {parallel} commands at a time: containers per second");
    row("", columns.iter().map(|(name, _)| name.clone()));
    for phase in PHASES {
        row(phase, columns.iter().map(|(_, figures)| format!("{:.0}", figures.per_second(phase, *containers))));
    }
    let whole = |figures: &Figures| figures.took.values().sum::<f64>();
    row("all of it, s", columns.iter().map(|(_, figures)| format!("{:.1}", whole(figures))));
    row("one list of all, ms", columns.iter().map(|(_, figures)| format!("{:.0}", figures.list * 1000.0)));
    let Some((first, base)) = columns.first() else { return };
    println!("\nas a multiple of {first}'s time");
    row("", columns.iter().map(|(name, _)| name.clone()));
    for phase in PHASES {
        let of = |figures: &Figures| figures.took.get(phase).copied().unwrap_or(f64::NAN);
        row(phase, columns.iter().map(|(_, figures)| format!("{:.2}", of(figures) / of(base))));
    }
    row("all of it", columns.iter().map(|(_, figures)| format!("{:.2}", whole(figures) / whole(base))));
    row("one list of all", columns.iter().map(|(_, figures)| format!("{:.2}", figures.list / base.list)));
    println!();
}

fn row(title: &str, cells: impl Iterator<Item = String>) {
    println!("{title:<22}{}", cells.map(|cell| format!("{cell:>22}")).collect::<String>());
}

/// Prints what was lost or left, the first runtime's as failures, and the closing line.
fn close(columns: &[(String, Figures)], containers: usize) -> ExitCode {
    let mut failed = (0, 0);
    for (n, (name, figures)) in columns.iter().enumerate() {
        for (id, why) in figures.lost.iter().take(TOLD) {
            println!("# {name}: {id}: {why}");
        }
        if figures.lost.len() > TOLD {
            println!("# {name}: and {} more", figures.lost.len() - TOLD);
        }
        for thing in &figures.left {
            println!("# {name}: {thing}");
        }
        if n == 0 {
            failed = (figures.lost.len(), figures.left.len());
        }
    }
    let (lost, left) = failed;
    println!("{} passed, {} failed, 0 skipped", containers.saturating_sub(lost), lost + left);
    if lost + left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
