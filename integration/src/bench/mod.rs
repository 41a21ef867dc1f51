//! Several runtimes side by side: time, CPU, memory and system calls of the operations engines wait for, and beside them
//! the floor, the least that the kernel takes for the same container.
//!
//! Every round does each operation once with each runtime, one after the other, so that a busy moment of the machine falls
//! on all of them. It does so twice: cold, after the machine was left alone for 30 ms, when the kernel's cgroup lock is in
//! the state it has when a container is started now and then; and hot, right after the same operation of the same runtime.

mod calls;
pub mod contender;
mod crowd;
mod figures;
mod floor;
mod memory;
mod operation;
mod orphans;
mod plot;
mod row;
mod setup;
mod table;

use crate::host::{self, Host};
use crate::isolation;
use crate::options::{BenchFormat, BenchOptions};
use crate::process::Recorder;
use crate::runtime::{Kind, Runtime};
use anyhow::{Context, Result};
use contender::Contender;
use figures::{Column, Figures};
use floor::Floor;
use memory::Memory;
use operation::{Lane, Operation};
use orphans::Orphans;
use row::Heat;
use serde_json::Value;
use setup::Setup;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where and on what host it happens.
struct Place {
    ground: PathBuf,
    /// The parent of all cgroups.
    cgroup: String,
    host: Host,
    profile: Value,
}

/// Measures and prints.
pub fn run(options: &BenchOptions) -> Result<ExitCode> {
    let ground = isolation::ground()?;
    let profile = match &options.profile {
        Some(path) => serde_json::from_slice(&std::fs::read(path).with_context(|| path.display().to_string())?)?,
        None => serde_json::from_str(include_str!("docker-profile.json"))?,
    };
    let cgroup = format!("/{}", ground.file_name().context("ground without a name")?.to_string_lossy());
    let place = Place { ground, cgroup, host: Host::look()?, profile };
    let figures = orphans::wait_for_them(|orphans| measure(options, &place, orphans))?;
    match options.format {
        BenchFormat::Text => table::print(&figures),
        BenchFormat::Json => println!("{:#}", figures.json()),
    }
    if let Some(file) = &options.plot {
        std::fs::write(file, plot::svg(&figures)?).with_context(|| format!("write \"{}\"", file.display()))?;
    }
    for dir in place.host.cgroup_dirs(&place.cgroup) {
        crate::process::eventually("the cgroups can be removed", || Ok(host::remove_cgroup(&dir).ok()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(options: &BenchOptions, place: &Place, orphans: &Orphans) -> Result<Figures> {
    let recorder = Recorder::new(place.ground.join("output"))?;
    let mut contenders = Vec::new();
    for (n, path) in options.runtimes.iter().enumerate() {
        contenders.push(enter(path, n, place, &recorder)?);
    }
    contenders.extend(enter_floor(&contenders, place)?);
    let lanes: Vec<Lane> = contenders.iter().map(|(contender, setup)| Lane { contender, setup, orphans }).collect();
    let mut columns = Vec::new();
    for lane in &lanes {
        let Contender { name, path, version, .. } = lane.contender;
        eprintln!("# {name}: {} ({version})", path.display());
        columns.push(Column::new(lane.contender)?);
    }
    rounds(options.rounds, &lanes, &mut columns)?;
    for (lane, column) in lanes.iter().zip(&mut columns) {
        look_closer(lane, column, options).with_context(|| lane.contender.name.clone())?;
    }
    let cpus = std::thread::available_parallelism()?;
    let machine = format!("Linux {}, {cpus} processors", host::read(Path::new("/proc/sys/kernel/osrelease"))?);
    Ok(Figures { columns, rounds: options.rounds, containers: options.containers, machine })
}

/// What is not measured in rounds: memory, system calls, lists.
fn look_closer(lane: &Lane, column: &mut Column, options: &BenchOptions) -> Result<()> {
    eprintln!("# {}: memory", column.name);
    column.memory = Memory::look(lane)?;
    eprintln!("# {}: system calls", column.name);
    column.calls = calls::count(lane)?;
    if !column.floor {
        eprintln!("# {}: list of {}", column.name, options.containers);
        crowd::list(lane, options.containers, options.rounds, &mut column.samples)?;
    }
    Ok(())
}

/// The timed rounds; the first warms up and is not counted. Each begins with another contender.
fn rounds(rounds: u32, lanes: &[Lane], columns: &mut [Column]) -> Result<()> {
    let begin = std::time::Instant::now();
    for round in 0..=rounds {
        let took = begin.elapsed().as_secs();
        eprintln!("# round {round} of {rounds}, {took} s{}", if round == 0 { " (warms up)" } else { "" });
        // Many at a time are a load: a few rounds tell.
        let parallel = (round <= 5).then_some((Operation::Parallel, Heat::Cold));
        let each = Operation::EACH.into_iter().flat_map(|operation| Heat::BOTH.map(|heat| (operation, heat)));
        for (operation, heat) in each.chain(parallel) {
            for n in 0..lanes.len() {
                let n = (n + round as usize) % lanes.len();
                let (Some(lane), Some(column)) = (lanes.get(n), columns.get_mut(n)) else { continue };
                let taken = lane.take(operation, heat).with_context(|| lane.contender.name.clone())?;
                for (row, sample) in taken {
                    if round > 0 {
                        column.samples.add(row, heat, sample);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Prepares a runtime: `PATH@LEVEL` is casemate at that level. A first container shows whether it works beside the unified
/// hierarchy of a hybrid host.
fn enter(path: &Path, n: usize, place: &Place, recorder: &Recorder) -> Result<(Contender, Setup)> {
    let words = path.to_string_lossy().into_owned();
    let (path, level) = match words.rsplit_once('@') {
        Some((path, level)) if !level.contains('/') => (Path::new(path), Some(level.to_owned())),
        _ => (path, None),
    };
    let runtime = Runtime::find(path, recorder)?;
    let dir = place.ground.join(format!("bench{n}"));
    let setup = Setup::new(&dir, &format!("{}/{n}", place.cgroup), level.as_deref(), &place.profile)?;
    let root = dir.join("root");
    let contender = Contender::new(runtime.clone(), root.clone(), level.clone(), None)?;
    let hybrid = place.host.unified.as_deref().filter(|_| !place.host.controllers.is_empty());
    let contender = match (contender.run(&setup.plain, "first"), hybrid) {
        (Ok(_), _) => contender,
        (Err(error), None) => return Err(error).with_context(|| format!("a first container of {}", contender.name)),
        (Err(_), Some(unified)) => {
            eprintln!("# {}: does not run beside the unified hierarchy; measured without it", contender.name);
            let contender = Contender::new(runtime, root, level, Some(unified))?;
            contender.run(&setup.plain, "first").with_context(|| format!("{} without it", contender.name))?;
            contender
        }
    };
    Ok((contender, setup))
}

/// Prepares the floor, where it can be, and makes sure that it makes the container that casemate makes.
fn enter_floor(contenders: &[(Contender, Setup)], place: &Place) -> Result<Option<(Contender, Setup)>> {
    let dir = place.ground.join("bench-floor");
    let setup = Setup::new(&dir, &format!("{}/floor", place.cgroup), None, &place.profile)?;
    let root = dir.join("root");
    std::fs::create_dir(&root)?;
    let Some(mut floor) = Floor::new(&dir.join("program"), &place.host)? else {
        eprintln!("# floor: left out, it is made for controllers in version 1 hierarchies");
        return Ok(None);
    };
    floor.make_parents(&setup.plain)?;
    match contenders.iter().find(|(contender, _)| contender.kind == Kind::Casemate) {
        Some((casemate, _)) => floor.compile_filter(&casemate.path, &setup.filtered)?,
        None => eprintln!("# floor: without the profile, which casemate would compile"),
    }
    let contender = Contender::floor(floor, root)?;
    match contenders.iter().find(|(contender, _)| contender.is_plain_casemate()) {
        Some((casemate, theirs)) => {
            let facts = floor::compare((&contender, &setup), (casemate, theirs), &place.host)
                .context("the floor does not make the same container as casemate")?;
            eprintln!("# floor: makes the same container as casemate privileged, {facts} facts compared");
        }
        None => eprintln!("# floor: compared with nothing, since casemate at level privileged is not here"),
    }
    Ok(Some((contender, setup)))
}
