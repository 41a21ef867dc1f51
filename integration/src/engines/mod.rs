//! Smoke tests of the engines on top of a runtime: Docker, containerd (`ctr`) and Podman, as Debian packages them.
//!
//! Each engine gets a private root, state directory and socket below the ground, in private mount, pid and network
//! namespaces: `/run` and the other fixed places they write to are covered by a tmpfs first, so nothing they leave
//! behind is on the host. What they do not need to be told is in the notes of each file.

mod containerd;
mod daemon;
mod docker;
mod podman;

use crate::bundle::make_rootfs;
use crate::host::{self, Host};
use crate::isolation;
use crate::options::Options;
use crate::process::{DEADLINE, Output, Recorder};
use crate::report::{Outcome, Report, expected_skips};
use crate::runtime::{Runtime, resolve};
use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount, mount_remount};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// An engine: its name, the programs it needs, how it is set up, and what is checked.
pub struct Engine {
    name: &'static str,
    /// The programs looked for in `$PATH`, with the package they come from.
    needs: &'static [(&'static str, &'static str)],
    start: fn(&Place) -> Result<Client>,
    checks: &'static [Check],
}

/// The name of a check, which states a behaviour, and the check.
type Check = (&'static str, fn(&Client) -> Result<()>);

/// Where an engine may write, and what it is to run.
pub struct Place {
    pub dir: PathBuf,
    /// A root filesystem of busybox.
    pub rootfs: PathBuf,
    pub runtime: PathBuf,
    /// The parent of the cgroups, with a leading slash.
    pub cgroup: String,
    pub recorder: Recorder,
}

/// The engine's command line, ready to be given a command.
pub struct Client {
    pub place: Place,
    /// The program and the flags that come before every command.
    pub words: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub daemon: Option<daemon::Daemon>,
}

impl Client {
    /// The command, not yet run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(args).envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command of the engine.
    pub fn call(&self, args: &[&str]) -> Result<Output> {
        self.place.recorder.run(self.command(args))
    }

    /// Runs a command of the engine in a terminal of its own, made by script(1); its exit code is the command's.
    pub fn in_terminal(&self, args: &[&str], typed: &str) -> Result<Output> {
        let quote = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
        let words: Vec<&str> = self.words.iter().map(String::as_str).chain(args.iter().copied()).collect();
        let line = words.into_iter().map(quote).collect::<Vec<_>>().join(" ");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).envs(self.environment.iter().cloned());
        self.place.recorder.start(command, Some(typed))?.wait(DEADLINE)
    }
}

/// Runs the checks of one engine or of all.
pub fn run(options: &Options) -> Result<ExitCode> {
    let ground = isolation::ground()?;
    let recorder = Recorder::new(ground.join("output"))?;
    let runtime = Runtime::find(&options.runtime, &recorder)?;
    cover_fixed_places()?;
    let engines: Vec<Engine> = [docker::engine(), containerd::engine(), podman::engine()]
        .into_iter()
        .filter(|engine| options.only.as_ref().is_none_or(|only| only == engine.name))
        .collect();
    let total = engines.iter().map(|engine| engine.checks.len()).sum();
    println!("# {total} checks of engines on {} ({})", runtime.path.display(), runtime.version);
    let mut report = Report::new(options.format, total, expected_skips()?);
    let parent = format!("/{}", ground.file_name().context("ground without a name")?.to_string_lossy());
    for engine in engines {
        let dir = ground.join(engine.name);
        let place = Place {
            rootfs: dir.join("rootfs"),
            runtime: runtime.path.clone(),
            cgroup: format!("{parent}-{}", engine.name),
            recorder: Recorder::new(dir.join("output"))?,
            dir,
        };
        run_engine(&engine, place, &mut report)?;
    }
    Ok(report.close())
}

fn run_engine(engine: &Engine, place: Place, report: &mut Report) -> Result<()> {
    let missing = engine.needs.iter().find(|(program, _)| resolve(Path::new(program)).is_err());
    if let Some((program, package)) = missing {
        for (name, _) in engine.checks {
            let reason = format!("needs {program} (package {package})");
            let outcome = Outcome::Skipped { fact: engine.name, reason };
            report.add(&format!("{}::{name}", engine.name), outcome, std::time::Duration::ZERO);
        }
        return Ok(());
    }
    println!("# starting {}", engine.name);
    make_rootfs(&place.rootfs)?;
    let cgroup = place.cgroup.clone();
    let client = (engine.start)(&place_of(&place)?).map(|client| Client { place, ..client });
    for (name, check) in engine.checks {
        let begin = Instant::now();
        let result = match &client {
            Ok(client) => check(client),
            Err(error) => Err(anyhow::anyhow!("the engine did not start: {error:#}")),
        };
        let outcome = match result {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        report.add(&format!("{}::{name}", engine.name), outcome, begin.elapsed());
    }
    if let Ok(Client { daemon: Some(daemon), .. }) = client {
        daemon.stop()?;
    }
    clear(&cgroup)
}

/// The same place for the time of the start, which makes the client that then owns the place.
fn place_of(place: &Place) -> Result<Place> {
    Ok(Place {
        dir: place.dir.clone(),
        rootfs: place.rootfs.clone(),
        runtime: place.runtime.clone(),
        cgroup: place.cgroup.clone(),
        recorder: Recorder::new(place.dir.join("start-output"))?,
    })
}

/// Ends what an engine left running in its cgroups and removes them.
fn clear(cgroup: &str) -> Result<()> {
    let host = Host::look()?;
    for pid in host.cgroup_processes(cgroup) {
        host::kill(pid)?;
    }
    for dir in host.cgroup_dirs(cgroup) {
        crate::process::eventually("the engine's cgroups can be removed", || Ok(host::remove_cgroup(&dir).ok()))?;
    }
    Ok(())
}

/// Covers the places that engines write to whatever they are told, in this mount namespace only.
fn cover_fixed_places() -> Result<()> {
    for path in ["/run", "/var/lib/cni", "/var/lib/containers", "/etc/docker", "/var/lib/containerd", "/opt/containerd"]
    {
        if Path::new(path).is_dir() {
            mount("private", path, "tmpfs", MountFlags::empty(), c"mode=0755")
                .with_context(|| format!("mount tmpfs on \"{path}\""))?;
        }
    }
    // The tmpfs that holds the v1 hierarchies is writable here, and engines litter it with directories named like
    // controllers that do not exist. systemd hosts have it read-only too.
    if Path::new("/sys/fs/cgroup/memory").is_dir() {
        mount_remount("/sys/fs/cgroup", MountFlags::BIND | MountFlags::RDONLY, c"")
            .context("remount /sys/fs/cgroup")?;
    }
    let mut up = Command::new("ip");
    up.args(["link", "set", "lo", "up"]);
    anyhow::ensure!(up.status().context("ip (package iproute2)")?.success(), "loopback does not come up");
    Ok(())
}
