//! Several runtimes side by side: time, CPU and memory of the operations engines wait for.
//!
//! Every round runs each operation once with each runtime, one after the other, so that a busy moment of the machine
//! falls on all of them. Before each `run` and `create` the machine is left alone for 30 ms: then the kernel's cgroup
//! lock is in the state it has when a container is started now and then, not in a loop.

pub mod contender;
mod table;

use crate::bundle::Bundle;
use crate::host::{self, Host};
use crate::isolation;
use crate::options::BenchOptions;
use crate::process::Recorder;
use crate::runtime::Runtime;
use anyhow::{Context, Result};
use contender::{Contender, Sample};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const IDLE: Duration = Duration::from_millis(30);

/// The samples of every operation, per contender.
type Samples = Vec<BTreeMap<&'static str, Vec<Sample>>>;

/// The operations in the order they are printed.
const OPERATIONS: [&str; 11] = [
    "run",
    "run, seccomp",
    "create",
    "start",
    "delete",
    "create+start+delete",
    "create+start+delete, seccomp",
    "exec",
    "exec, seccomp",
    "state",
    "kill",
];

/// Where a contender's containers are: bundles without and with the profile, each with a program that ends at once.
struct Setup {
    plain: Bundle,
    filtered: Bundle,
}

/// Measures and prints.
pub fn run(options: &BenchOptions) -> Result<ExitCode> {
    let ground = isolation::ground()?;
    let recorder = Recorder::new(ground.join("output"))?;
    let profile: Value = match &options.profile {
        Some(path) => serde_json::from_slice(&std::fs::read(path).with_context(|| path.display().to_string())?)?,
        None => serde_json::from_str(include_str!("docker-profile.json"))?,
    };
    let host = Host::look()?;
    let parent = format!("/{}", ground.file_name().context("ground without a name")?.to_string_lossy());
    let (mut contenders, mut setups) = (Vec::new(), Vec::new());
    for (n, path) in options.runtimes.iter().enumerate() {
        let (contender, setup) = prepare(path, n, &ground, &parent, &host, &recorder, &profile)?;
        println!("# {}: {} ({})", contender.name, contender.path.display(), contender.version);
        contenders.push(contender);
        setups.push(setup);
    }
    let mut samples: Samples = vec![BTreeMap::new(); contenders.len()];
    for round in 0..options.rounds + 1 {
        eprintln!("# round {round} of {}{}", options.rounds, if round == 0 { " (warms up)" } else { "" });
        for (n, contender) in contenders.iter().enumerate() {
            let fresh = one_round(contender, &setups[n]).with_context(|| contender.name.clone())?;
            if round > 0 {
                for (operation, sample) in fresh {
                    samples[n].entry(operation).or_default().push(sample);
                }
            }
        }
    }
    let (mut weights, mut waiting): (Samples, _) = (Vec::new(), Vec::new());
    for (contender, setup) in contenders.iter().zip(&setups) {
        eprintln!("# memory of {}", contender.name);
        waiting.push((waiting_init(contender, &setup.plain)?, smallest_limit(contender, &setup.filtered)?));
        contender.weigh();
        let mut weight = BTreeMap::<_, Vec<_>>::new();
        for _ in 0..3 {
            for (operation, sample) in one_round(contender, setup)? {
                weight.entry(operation).or_default().push(sample);
            }
        }
        weights.push(weight);
    }
    table::print(&contenders, &samples, &weights, &waiting);
    for dir in host.cgroup_dirs(&parent) {
        crate::process::eventually("the cgroups can be removed", || Ok(host::remove_cgroup(&dir).ok()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn prepare(
    path: &Path,
    n: usize,
    ground: &Path,
    parent: &str,
    host: &Host,
    recorder: &Recorder,
    profile: &Value,
) -> Result<(Contender, Setup)> {
    // `PATH@LEVEL` is casemate at that level.
    let words = path.to_string_lossy().into_owned();
    let (path, level) = match words.split_once('@') {
        Some((path, level)) => (Path::new(path), Some(level.to_owned())),
        None => (path, None),
    };
    let runtime = Runtime::find(path, recorder)?;
    let dir = ground.join(format!("bench{n}"));
    let mut plain = Bundle::new(dir.join("plain"), &format!("{parent}/{n}"))?;
    // Not in every runtime's v1 code: the mount of the cgroups and the ones that need it are not what is measured.
    plain.unmount("/sys/fs/cgroup");
    let mut filtered = Bundle::new(dir.join("filtered"), &format!("{parent}/{n}"))?;
    filtered.unmount("/sys/fs/cgroup").set("/linux/seccomp", profile.clone());
    plain.write()?;
    filtered.write()?;
    let root: PathBuf = dir.join("root");
    let hybrid = host.unified.as_deref().filter(|_| !host.controllers.is_empty());
    let contender = Contender::new(runtime.path.clone(), root.clone(), runtime.version.clone(), level.clone(), None)?;
    let bundle = plain.dir.to_string_lossy().into_owned();
    let contender = match (contender.call(&["run", "--bundle", &bundle, "first"]), hybrid) {
        (Ok(_), _) => contender,
        (Err(error), None) => return Err(error).with_context(|| format!("a first container of {}", contender.name)),
        (Err(_), Some(unified)) => {
            println!("# {}: does not run beside the unified hierarchy; measured without it", contender.name);
            let contender = Contender::new(runtime.path, root, runtime.version, level, Some(unified))?;
            contender
                .call(&["run", "--bundle", &bundle, "first"])
                .with_context(|| format!("{} without it", contender.name))?;
            contender
        }
    };
    Ok((contender, Setup { plain, filtered }))
}

fn one_round(contender: &Contender, setup: &Setup) -> Result<Vec<(&'static str, Sample)>> {
    let mut samples = Vec::new();
    for (bundle, run, whole, exec) in [
        (&setup.plain, "run", "create+start+delete", "exec"),
        (&setup.filtered, "run, seccomp", "create+start+delete, seccomp", "exec, seccomp"),
    ] {
        let dir = bundle.dir.to_string_lossy().into_owned();
        std::thread::sleep(IDLE);
        samples.push((run, contender.call(&["run", "--bundle", &dir, "run"])?));
        std::thread::sleep(IDLE);
        let pid_file = bundle.dir.join("pid").to_string_lossy().into_owned();
        let create = contender.call(&["create", "--bundle", &dir, "--pid-file", &pid_file, "whole"])?;
        let start = contender.call(&["start", "whole"])?;
        wait_for_end(&pid_file)?;
        let delete = contender.call(&["delete", "whole"])?;
        if run == "run" {
            samples.extend([("create", create), ("start", start), ("delete", delete)]);
        }
        let peak = create.peak.max(start.peak).max(delete.peak);
        let sum = |part: fn(&Sample) -> Duration| part(&create) + part(&start) + part(&delete);
        samples.push((whole, Sample { wall: sum(|s| s.wall), cpu: sum(|s| s.cpu), peak }));
        samples.push((exec, with_running(contender, bundle, |id| contender.call(&["exec", id, "/bin/true"]))?));
    }
    let [state, kill] = with_running(contender, &setup.plain, |id| {
        Ok([contender.call(&["state", id])?, contender.call(&["kill", id, "WINCH"])?])
    })?;
    samples.extend([("state", state), ("kill", kill)]);
    Ok(samples)
}

fn wait_for_end(pid_file: &str) -> Result<()> {
    let pid: i32 = host::read(pid_file.as_ref())?.parse()?;
    crate::process::eventually("the program has ended", || Ok((!host::is_alive(pid)).then_some(())))
}

/// Calls `body` with the id of a container that sleeps.
fn with_running<T>(contender: &Contender, bundle: &Bundle, body: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let mut sleeping = bundle.clone();
    sleeping.args(&["/bin/sleep", "1000"]).write()?;
    let dir = bundle.dir.to_string_lossy().into_owned();
    let created =
        contender.call(&["create", "--bundle", &dir, "sleeping"]).and_then(|_| contender.call(&["start", "sleeping"]));
    let result = created.and_then(|_| body("sleeping"));
    bundle.write()?;
    contender.call(&["delete", "--force", "sleeping"])?;
    result
}

/// Resident KiB and threads of an init that waits for start.
fn waiting_init(contender: &Contender, bundle: &Bundle) -> Result<(u64, u64)> {
    let (dir, pid_file) = (bundle.dir.to_string_lossy().into_owned(), bundle.dir.join("pid"));
    contender.call(&["create", "--bundle", &dir, "--pid-file", &pid_file.to_string_lossy(), "waiting"])?;
    let pid: i32 = host::read(&pid_file)?.parse()?;
    let resident = host::status(pid, "VmRSS")?;
    let threads = host::status(pid, "Threads")?.parse()?;
    contender.call(&["delete", "--force", "waiting"])?;
    Ok((resident.split(' ').next().unwrap_or_default().parse()?, threads))
}

/// The smallest memory limit in KiB under which at least two of three containers run.
fn smallest_limit(contender: &Contender, bundle: &Bundle) -> Result<Option<u64>> {
    let mut found = None;
    for kib in [128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384] {
        let mut limited = bundle.clone();
        limited.set("/linux/resources/memory", json!({"limit": kib * 1024, "swap": kib * 1024})).write()?;
        let dir = bundle.dir.to_string_lossy().into_owned();
        let mut worked = 0;
        for _ in 0..3 {
            worked += u32::from(contender.call(&["run", "--bundle", &dir, "limited"]).is_ok());
            contender.call(&["delete", "--force", "limited"])?;
        }
        if worked >= 2 {
            found = Some(kib);
            break;
        }
    }
    bundle.write()?;
    Ok(found)
}
