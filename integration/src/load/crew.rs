//! One runtime under load: the containers, and as many threads as commands run at a time.

use super::left::{Things, alive, left};
use crate::bench::contender::leave_out;
use crate::bundle::{Bundle, capabilities};
use crate::host::Host;
use crate::options::LoadOptions;
use crate::process::{DEADLINE, Output, Recorder};
use crate::runtime::Runtime;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The phases that every container goes through, in their order.
pub const PHASES: [&str; 5] = ["create", "start", "state", "exec", "delete"];

/// What one runtime took, lost and left.
#[derive(Debug, Default)]
pub struct Figures {
    /// Seconds of each phase.
    pub took: BTreeMap<&'static str, f64>,
    /// Seconds of one `list` of all containers.
    pub list: f64,
    /// The containers that did not get through, and why.
    pub lost: BTreeMap<String, String>,
    /// What was there afterwards and not before.
    pub left: Vec<String>,
}

impl Figures {
    /// Containers per second in a phase.
    pub fn per_second(&self, phase: &str, containers: usize) -> f64 {
        let count = u32::try_from(containers).unwrap_or(u32::MAX);
        self.took.get(phase).map_or(f64::NAN, |seconds| f64::from(count) / seconds)
    }
}

/// A runtime, the bundles of its containers, which share one root filesystem, and where its state is.
#[derive(Debug)]
pub struct Crew<'a> {
    runtime: Runtime,
    level: Option<&'a str>,
    host: &'a Host,
    recorder: Recorder,
    root: PathBuf,
    cgroup: String,
    /// What all ids begin with.
    mark: String,
    bundles: Vec<Bundle>,
    parallel: usize,
}

impl<'a> Crew<'a> {
    /// Writes the bundles below `dir`; `cgroup` is the parent of the containers' cgroups.
    pub fn new(
        runtime: Runtime,
        level: Option<&'a str>,
        host: &'a Host,
        dir: PathBuf,
        cgroup: &str,
        options: &LoadOptions,
    ) -> Result<Self> {
        let mut model = Bundle::new(dir.join("model"), cgroup)?;
        // Not in every runtime's v1 code: the mount of the cgroups is not what is looked at.
        let rootfs = json!(model.rootfs());
        model.unmount("/sys/fs/cgroup").set("/root/path", rootfs);
        if level == Some("restricted") {
            model.set("/process/user", json!({"uid": 1000, "gid": 1000}));
            model.set("/process/capabilities", capabilities(&["CAP_NET_BIND_SERVICE"]));
        }
        let mark = format!("load{}x{}", std::process::id(), dir.file_name().unwrap_or_default().to_string_lossy());
        let mut bundles = Vec::new();
        for n in 0..=options.containers {
            let id = format!("{mark}-{n}");
            let mut bundle = Bundle { dir: dir.join(&id), spec: model.spec.clone() };
            bundle.set("/hostname", json!(id)).set("/linux/cgroupsPath", json!(format!("{cgroup}/{id}")));
            bundle.args(&["/bin/sleep", "100000"]);
            std::fs::create_dir(&bundle.dir)?;
            bundle.write()?;
            bundles.push(bundle);
        }
        let (recorder, root) = (Recorder::new(dir.join("output"))?, dir.join("root"));
        let parallel = options.parallel;
        Ok(Self { runtime, level, host, recorder, root, cgroup: cgroup.to_owned(), mark, bundles, parallel })
    }

    /// Does all of it in the calling thread and those it starts.
    pub fn work(&self) -> Result<Figures> {
        let hierarchies = self.settle()?;
        let look = || Things::look(&hierarchies, &self.root, &self.cgroup, &self.mark);
        let before = look()?;
        let mut figures = Figures::default();
        let all = self.bundles.get(1..).context("no bundles")?;
        for phase in PHASES {
            eprintln!("# {phase}");
            let begin = Instant::now();
            self.each(all, &mut figures.lost, |bundle| self.step(phase, bundle))?;
            figures.took.insert(phase, begin.elapsed().as_secs_f64());
            if phase == "start" {
                figures.list = self.listed(all, &mut figures.lost)?;
            }
        }
        // What a failed delete left is told above; nothing may be in the way of what follows.
        figures.left = left(&before, look)?;
        Ok(figures)
    }

    /// A first container in the foreground; without the unified hierarchy for a runtime that needs that. Gives the
    /// hierarchies that there are for it.
    fn settle(&self) -> Result<Host> {
        let mut first = self.bundles.first().context("no bundles")?.clone();
        first.args(&["/bin/true"]).write()?;
        let run = || self.call(&["run", "--bundle", &first.dir.to_string_lossy(), &id(&first)]);
        let Host { controllers, unified } = self.host;
        let mut host = Host { controllers: controllers.clone(), unified: unified.clone() };
        if run()?.code == 0 {
            return Ok(host);
        }
        let without = host.unified.take_if(|_| !controllers.is_empty());
        if let Some(unified) = &without {
            leave_out(unified)?;
        }
        run()?.success().context("a first container")?;
        if without.is_some() {
            println!("# does not run beside the unified hierarchy; measured without it");
        }
        Ok(host)
    }

    fn call(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.runtime.command(&self.root, self.level);
        command.args(args);
        self.recorder.start(command, None)?.wait(DEADLINE)
    }

    /// One phase of one container.
    fn step(&self, phase: &str, bundle: &Bundle) -> Result<()> {
        let id = id(bundle);
        match phase {
            "create" => self.call(&["create", "--bundle", &bundle.dir.to_string_lossy(), &id])?.success()?,
            "exec" => {
                let output = self.call(&["exec", &id, "/bin/hostname"])?.success()?;
                ensure!(output.stdout.trim() == id, "another one has answered: {output}");
                output
            }
            "state" => {
                let output = self.call(&["state", &id])?.success()?;
                let state = output.json()?;
                ensure!(state["id"] == *id && state["status"] == "running", "the state is {state}");
                ensure!(state["pid"].as_i64().is_some_and(alive), "its process is not there: {state}");
                output
            }
            "delete" => self.call(&["delete", "--force", &id])?.success()?,
            other => self.call(&[other, &id])?.success()?,
        };
        Ok(())
    }

    /// Runs `step` for each container, `parallel` at a time. One that is lost keeps its first reason, and is only
    /// deleted from then on.
    fn each(
        &self,
        bundles: &[Bundle],
        lost: &mut BTreeMap<String, String>,
        step: impl Fn(&Bundle) -> Result<()> + Sync,
    ) -> Result<()> {
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.min(bundles.len()) {
                scope.spawn(|| {
                    while let Some(bundle) = bundles.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let (Err(error), Ok(mut failures)) = (step(bundle), failures.lock()) {
                            failures.push((id(bundle), format!("{error:#}")));
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        for (id, why) in failures {
            lost.entry(id).or_insert(why);
        }
        Ok(())
    }

    /// One `list` of all: each container once, running, with a process of its own, and nothing else.
    fn listed(&self, bundles: &[Bundle], lost: &mut BTreeMap<String, String>) -> Result<f64> {
        let begin = Instant::now();
        let output = self.call(&["list", "--format", "json"])?.success()?;
        let took = begin.elapsed().as_secs_f64();
        let rows: Vec<Value> = serde_json::from_str(&output.stdout).context("the list is no JSON array")?;
        let mut seen = BTreeMap::new();
        let mut pids = BTreeSet::new();
        for row in &rows {
            let id = row["id"].as_str().unwrap_or_default().to_owned();
            let own = row["pid"].as_i64().is_some_and(|pid| pids.insert(pid) && alive(pid));
            if seen.insert(id.clone(), own && row["status"] == "running").is_some() {
                lost.entry(id).or_insert_with(|| "listed twice".to_owned());
            }
        }
        for bundle in bundles {
            match seen.remove(&id(bundle)) {
                Some(true) => {}
                Some(false) => drop(lost.entry(id(bundle)).or_insert_with(|| "not listed as running".to_owned())),
                None => drop(lost.entry(id(bundle)).or_insert_with(|| "not listed".to_owned())),
            }
        }
        for (id, _) in seen {
            lost.entry(id).or_insert_with(|| "listed, but nobody made it".to_owned());
        }
        Ok(took)
    }
}

/// The id of the container of a bundle is the name of its directory.
fn id(bundle: &Bundle) -> String {
    bundle.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
