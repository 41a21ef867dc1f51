//! One runtime that is measured: a thread in a mount namespace that suits it, which runs commands and counts them.

use super::floor::Floor;
use super::orphans::{Usage, wait4};
use crate::bundle::Bundle;
use crate::process::{DEADLINE, readable_within};
use crate::runtime::{Kind, Runtime};
use anyhow::{Context, Result, anyhow, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What one command cost, or several.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub wall: Duration,
    /// Of the command, and of what it waited for.
    pub usage: Usage,
    /// The largest resident set of the command or of what it waited for, in KiB; only when it was weighed.
    pub peak: u64,
    /// Where strace(1) writes how many system calls there were; only when they were counted.
    pub counts: Vec<PathBuf>,
}

impl Sample {
    /// The cost of several, one after the other.
    pub fn sum(parts: &[&Sample]) -> Self {
        let mut sum = Self::default();
        for part in parts {
            sum.wall += part.wall;
            sum.usage += part.usage;
            sum.peak = sum.peak.max(part.peak);
            sum.counts.extend(part.counts.iter().cloned());
        }
        sum
    }
}

/// What is looked at while a command runs. Time is measured with nothing else going on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Timed,
    /// A process begins with the resident set of the one it was forked from, and the kernel counts that into its peak:
    /// this program is larger than some runtimes, the probe is not.
    Weighed,
    /// By strace(1), which goes on until all processes have ended.
    Counted,
}

type Job = (Vec<Command>, Sender<Result<Sample>>);

/// A runtime and the thread that runs its commands.
pub struct Contender {
    pub name: String,
    pub path: PathBuf,
    /// Its `--root`.
    pub root: PathBuf,
    pub version: String,
    pub kind: Kind,
    /// `--level` of casemate.
    pub level: Option<String>,
    /// It is no runtime: it can `run`, and nothing else.
    pub floor: Option<Floor>,
    mode: Cell<Mode>,
    commands: Cell<usize>,
    jobs: Sender<Job>,
}

impl Contender {
    /// Starts the thread. `detach` is the mount of the unified hierarchy beside v1 controllers, for a runtime that does
    /// not work beside it: it gets a mount namespace without.
    pub fn new(runtime: Runtime, root: PathBuf, level: Option<String>, detach: Option<&Path>) -> Result<Self> {
        let file = runtime.path.file_name().unwrap_or_default().to_string_lossy();
        let name = level.as_ref().map_or_else(|| file.to_string(), |level| format!("{file} {level}"));
        let Runtime { path, kind, version } = runtime;
        let jobs = thread(detach)?;
        let (mode, commands) = (Cell::new(Mode::Timed), Cell::new(0));
        Ok(Self { name, path, root, version, kind, level, floor: None, mode, commands, jobs })
    }

    /// The program that makes the same container with the least the kernel allows.
    pub fn floor(floor: Floor, root: PathBuf) -> Result<Self> {
        let (mode, commands) = (Cell::new(Mode::Timed), Cell::new(0));
        let (name, version) = ("floor".to_owned(), "the necessary system calls only".to_owned());
        let (path, jobs, kind) = (floor.program.clone(), thread(None)?, Kind::Other);
        Ok(Self { name, path, root, version, kind, level: None, floor: Some(floor), mode, commands, jobs })
    }

    /// casemate as it does what others do: what ratios are to.
    pub fn is_plain_casemate(&self) -> bool {
        self.kind == Kind::Casemate && self.level.as_deref() == Some("privileged")
    }

    /// Says what is looked at from here on.
    pub fn look_at(&self, mode: Mode) {
        self.mode.set(mode);
    }

    /// Runs a container to its end in the foreground.
    pub fn run(&self, bundle: &Bundle, id: &str) -> Result<Sample> {
        self.wait_for(vec![self.run_words(bundle, id)?])
    }

    /// The same of several at a time.
    pub fn run_together(&self, bundles: &[Bundle]) -> Result<Sample> {
        let words = bundles.iter().map(|bundle| self.run_words(bundle, &id(bundle))).collect::<Result<_>>()?;
        self.wait_for(words)
    }

    /// `COMMAND ARGS` of the runtime.
    pub fn call(&self, args: &[&str]) -> Result<Sample> {
        self.wait_for(vec![self.words(args)])
    }

    /// The same of several at a time.
    pub fn call_together(&self, calls: &[Vec<String>]) -> Result<Sample> {
        let words = |call: &Vec<String>| self.words(&call.iter().map(String::as_str).collect::<Vec<_>>());
        self.wait_for(calls.iter().map(words).collect())
    }

    fn words(&self, args: &[&str]) -> Vec<String> {
        let mut words = vec![self.path.to_string_lossy().into_owned(), "--root".to_owned()];
        words.push(self.root.to_string_lossy().into_owned());
        if let Some(level) = &self.level {
            words.extend(["--level".to_owned(), level.clone()]);
        }
        words.extend(args.iter().map(|arg| (*arg).to_owned()));
        words
    }

    /// The command line that runs a bundle.
    pub fn run_words(&self, bundle: &Bundle, id: &str) -> Result<Vec<String>> {
        match &self.floor {
            Some(floor) => floor.words(bundle, &self.root.join(id)),
            None => Ok(self.words(&["run", "--bundle", &bundle.dir.to_string_lossy(), id])),
        }
    }

    /// Runs command lines at the same time, all to their ends; one that fails is an error.
    fn wait_for(&self, lines: Vec<Vec<String>>) -> Result<Sample> {
        let file = self.root.with_extension(format!("{}", self.commands.get()));
        self.commands.set(self.commands.get() + 1);
        let mode = self.mode.get();
        // What it says is told only when it fails.
        let errors = self.root.with_extension("errors");
        let stderr = std::fs::File::create(&errors).with_context(|| format!("create \"{}\"", errors.display()))?;
        let mut commands = Vec::new();
        for words in lines {
            let mut words = words.into_iter();
            let program = words.next().context("no program")?;
            let mut command = match mode {
                Mode::Timed => Command::new(program),
                Mode::Weighed => {
                    let mut probe = Command::new(std::env::current_exe()?.with_file_name("probe"));
                    probe.arg("weigh").arg(&file).arg(program);
                    probe
                }
                Mode::Counted => {
                    let mut strace = Command::new("strace");
                    // -D: what is waited for is the runtime, not strace, which also follows what it leaves behind.
                    strace.args(["-f", "-c", "-D", "-U", "calls,name", "-o"]).arg(&file).arg(program);
                    strace
                }
            };
            command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone()?);
            commands.push(command);
        }
        let (reply, answer) = channel();
        self.jobs.send((commands, reply)).map_err(|_| anyhow!("the contender's thread ended"))?;
        let answer = answer.recv().context("the contender's thread ended")?;
        let mut sample = answer.map_err(|error| match std::fs::read_to_string(&errors) {
            Ok(said) if !said.is_empty() => error.context(said.trim().to_owned()),
            _ => error,
        })?;
        match mode {
            Mode::Timed => {}
            Mode::Weighed => sample.peak = crate::host::read(&file)?.parse().context("the peak that was written")?,
            Mode::Counted => sample.counts.push(file),
        }
        Ok(sample)
    }
}

/// The id of the container of one of many bundles is the name of its directory.
pub fn id(bundle: &Bundle) -> String {
    bundle.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn thread(detach: Option<&Path>) -> Result<Sender<Job>> {
    let (jobs, receiver) = channel();
    let (ready, is_ready) = channel();
    let detach = detach.map(Path::to_owned);
    std::thread::spawn(move || {
        let entered = detach.map_or(Ok(()), |mount| leave_out(&mount));
        if ready.send(entered).is_ok() {
            work(&receiver);
        }
    });
    is_ready.recv().context("the contender's thread ended")??;
    Ok(jobs)
}

fn work(jobs: &Receiver<Job>) {
    while let Ok((commands, reply)) = jobs.recv() {
        if reply.send(measure(commands)).is_err() {
            return;
        }
    }
}

/// Gives this thread, and those it starts from here on, a mount namespace of its own without one mount, and with
/// an empty directory in its place.
pub fn leave_out(point: &Path) -> Result<()> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: only the mount namespace, the root and the working directory stop being shared with the other threads; no
    // thread of this program relies on sharing them, and no memory or descriptor is affected.
    #[allow(unsafe_code)]
    unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.context("unshare the mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context("make mounts private")?;
    unmount(point, UnmountFlags::DETACH).with_context(|| format!("unmount \"{}\"", point.display()))?;
    // What a runtime makes there all the same must not stay in the host's directory below the mount.
    mount("integration", point, "tmpfs", MountFlags::empty(), c"mode=0755").context("mount tmpfs in its place")
}

fn measure(commands: Vec<Command>) -> Result<Sample> {
    let mut children = Vec::new();
    let begin = Instant::now();
    for mut command in commands {
        let child = command.spawn().with_context(|| format!("start `{}`", crate::process::typed(&command)))?;
        children.push((child, command));
    }
    let (mut sample, mut failed) = (Sample::default(), None);
    for (child, command) in children {
        // A command that hangs would hang the benchmark.
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).context("pidfd_open")?;
        let in_time = readable_within(&pidfd, DEADLINE)?;
        let pid = child.id().cast_signed();
        if !in_time {
            crate::host::kill(pid)?;
        }
        let (_, status, usage) = wait4(pid, 0)?;
        sample.usage += usage;
        if !in_time || status != 0 {
            let how = if in_time { "ended with wait status" } else { "did not end and was killed," };
            failed = Some(format!("`{}` {how} {status:#x}", crate::process::typed(&command)));
        }
    }
    sample.wall = begin.elapsed();
    if let Some(failed) = failed {
        bail!(failed);
    }
    Ok(sample)
}
