//! The engines on top of a runtime: Docker, containerd (`ctr`) and Podman, as Debian packages them.
//!
//! Three kinds of checks. That a runtime is a drop-in, in the files of the engines: casemate is called by the name that
//! chooses `privileged`, where it does what the configuration says and nothing else. That real programs serve and shut
//! down at the other levels: [`programs`]. That what these levels refuse is refused in the engine's own message:
//! [`refusals`].
//!
//! Each engine gets a private root, state directory and socket below the ground, in private mount, pid and network
//! namespaces: `/run` and the other fixed places they write to are covered by a tmpfs first, so nothing they leave
//! behind is on the host. What they do not need to be told is in the notes of each file.

/// The checks of functions, each by its name.
macro_rules! checks {
    ($($name:ident),+ $(,)?) => { vec![$($crate::engines::Check::plain(stringify!($name), $name)),+] };
}

mod containerd;
mod daemon;
mod docker;
mod podman;
mod programs;
mod refusals;

use crate::bundle::make_rootfs;
use crate::host::{self, Host};
use crate::isolation;
use crate::options::Options;
use crate::process::{DEADLINE, Output, Recorder};
use crate::report::{Outcome, Report, expected_skips};
use crate::runtime::{Kind, Runtime, resolve};
use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount, mount_remount};
use std::ffi::CString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// An engine: its name, the programs it needs, how it is set up, and what is checked.
pub struct Engine {
    name: &'static str,
    /// The programs looked for in `$PATH`, with the package they come from.
    needs: &'static [(&'static str, &'static str)],
    start: fn(&Place) -> Result<Client>,
    checks: Vec<Check>,
}

type Body = Box<dyn Fn(&Client) -> Result<()>>;

/// One check.
pub struct Check {
    /// It states a behaviour.
    name: String,
    /// It is about what casemate refuses or adds.
    casemate_only: bool,
    /// It runs programs of the image.
    programs: bool,
    body: Body,
}

impl Check {
    /// A check of the runtime as a drop-in.
    fn plain(name: &str, body: fn(&Client) -> Result<()>) -> Self {
        Self { name: name.to_owned(), casemate_only: false, programs: false, body: Box::new(body) }
    }
}

/// A level of casemate's, chosen by the name it is called by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    /// As in the name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Where an engine may write, and what it is to run.
#[derive(Clone)]
pub struct Place {
    pub dir: PathBuf,
    /// A root filesystem of busybox.
    pub rootfs: PathBuf,
    /// The root filesystem that `integration/image` makes, covered by an overlay: it can be written to.
    pub programs: Option<PathBuf>,
    pub kind: Kind,
    /// The binary, and the directory with the names it is called by.
    binary: PathBuf,
    names: PathBuf,
    /// The parent of the cgroups, with a leading slash.
    pub cgroup: String,
}

impl Place {
    /// Where the commands of the client are recorded.
    fn recorder(&self) -> Result<Recorder> {
        Recorder::new(self.dir.join("output"))
    }

    /// The image's root filesystem as text; a check that needs it is not run without.
    pub fn image(&self) -> String {
        self.programs.as_deref().unwrap_or(&self.rootfs).to_string_lossy().into_owned()
    }

    /// The path to call for a level. Another runtime has one path and no levels.
    pub fn runtime(&self, level: Level) -> PathBuf {
        match self.kind {
            Kind::Casemate => self.names.join(format!("casemate-{}", level.word())),
            Kind::Other => self.binary.clone(),
        }
    }

    /// A path below the directory, as text.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

/// The engine's command line, ready to be given a command.
pub struct Client {
    pub place: Place,
    pub recorder: Recorder,
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
        self.recorder.run(self.command(args))
    }

    /// Runs a command of the engine in a terminal of its own, made by script(1); its exit code is the command's.
    pub fn in_terminal(&self, args: &[&str], typed: &str) -> Result<Output> {
        let quote = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
        let words: Vec<&str> = self.words.iter().map(String::as_str).chain(args.iter().copied()).collect();
        let line = words.into_iter().map(quote).collect::<Vec<_>>().join(" ");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).envs(self.environment.iter().cloned());
        self.recorder.start(command, Some(typed))?.wait(DEADLINE)
    }
}

/// Runs the checks of one engine or of all.
pub fn run(options: &Options) -> Result<ExitCode> {
    let ground = isolation::ground()?;
    let recorder = Recorder::new(ground.join("output"))?;
    let runtime = Runtime::find(&options.runtime, &recorder)?;
    let programs = options.programs.as_ref().map(|dir| dir.canonicalize().context("--programs")).transpose()?;
    cover_fixed_places()?;
    let names = ground.join("names");
    std::fs::create_dir(&names)?;
    for level in [Level::Privileged, Level::Baseline, Level::Restricted] {
        symlink(&runtime.path, names.join(format!("casemate-{}", level.word())))?;
    }
    let mut engines = [docker::engine(), containerd::engine(), podman::engine()];
    for engine in &mut engines {
        let wanted = |check: &Check| {
            options.filter.as_ref().is_none_or(|filter| filter.is_match(&format!("{}::{}", engine.name, check.name)))
        };
        engine.checks.retain(wanted);
    }
    let chosen = |engine: &Engine| options.only.as_ref().is_none_or(|only| only == engine.name);
    let engines: Vec<Engine> =
        engines.into_iter().filter(|engine| chosen(engine) && !engine.checks.is_empty()).collect();
    let total = engines.iter().map(|engine| engine.checks.len()).sum();
    println!("# {total} checks of engines on {} ({})", runtime.path.display(), runtime.version);
    let mut report = Report::new(options.format, total, expected_skips()?);
    let parent = format!("/{}", ground.file_name().context("ground without a name")?.to_string_lossy());
    for engine in engines {
        let dir = ground.join(engine.name);
        let place = Place {
            rootfs: dir.join("rootfs"),
            programs: programs.as_ref().map(|lower| overlay(lower, &dir)).transpose()?,
            kind: runtime.kind,
            binary: runtime.path.clone(),
            names: names.clone(),
            cgroup: format!("{parent}-{}", engine.name),
            dir,
        };
        run_engine(&engine, &place, &mut report)?;
    }
    Ok(report.close())
}

/// Why a check is not run here.
fn skip(engine: &Engine, check: &Check, place: &Place) -> Option<(&'static str, String)> {
    let missing = engine.needs.iter().find(|(program, _)| resolve(Path::new(program)).is_err());
    if let Some((program, package)) = missing {
        return Some((engine.name, format!("needs {program} (package {package})")));
    }
    if check.casemate_only && place.kind == Kind::Other {
        return Some(("other-runtime", "casemate only: levels".to_owned()));
    }
    let lacks = check.programs && place.programs.is_none();
    lacks.then(|| ("programs", "needs --programs DIR, made by `integration/image DIR`".to_owned()))
}

fn run_engine(engine: &Engine, place: &Place, report: &mut Report) -> Result<()> {
    let mut client = None;
    for check in &engine.checks {
        let title = format!("{}::{}", engine.name, check.name);
        if let Some((fact, reason)) = skip(engine, check, place) {
            report.add(&title, Outcome::Skipped { fact, reason }, std::time::Duration::ZERO);
            continue;
        }
        let client = client.get_or_insert_with(|| {
            println!("# starting {}", engine.name);
            make_rootfs(&place.rootfs).and_then(|()| (engine.start)(place))
        });
        let begin = Instant::now();
        let result = match client {
            Ok(client) => (check.body)(client),
            Err(error) => Err(anyhow::anyhow!("the engine did not start: {error:#}")),
        };
        let outcome = match result {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        report.add(&title, outcome, begin.elapsed());
    }
    if let Some(Ok(Client { daemon: Some(daemon), .. })) = client {
        daemon.stop()?;
    }
    clear(&place.cgroup)
}

/// Mounts what can be written to over `lower`, which stays as it is.
fn overlay(lower: &Path, dir: &Path) -> Result<PathBuf> {
    let [upper, work, merged] = ["upper", "work", "programs"].map(|name| dir.join(name));
    for path in [&upper, &work, &merged] {
        std::fs::create_dir_all(path)?;
    }
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mount("overlay", &merged, "overlay", MountFlags::empty(), Some(CString::new(options)?.as_c_str()))
        .with_context(|| format!("mount an overlay on \"{}\"", merged.display()))?;
    Ok(merged)
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
