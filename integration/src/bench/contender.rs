//! One runtime that is measured: a thread in a mount namespace that suits it, which runs commands and counts them.

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What one command cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Wall time.
    pub wall: Duration,
    /// User and system time of the command and of what it waited for.
    pub cpu: Duration,
    /// The largest resident set of the command or of what it waited for, in KiB; 0 when time was measured.
    pub peak: u64,
}

type Job = (Command, Sender<Result<Sample>>);

/// A runtime and the thread that runs its commands.
pub struct Contender {
    pub name: String,
    pub path: PathBuf,
    /// Its `--root`.
    pub root: PathBuf,
    pub version: String,
    /// `--level` of casemate.
    level: Option<String>,
    /// Which program measures memory, and where it writes the result, see [`Contender::weigh`].
    probe: PathBuf,
    scales: PathBuf,
    weighing: Cell<bool>,
    jobs: Sender<Job>,
}

impl Contender {
    /// Starts the thread. `unified` is the mount of the unified hierarchy beside v1 controllers, which some runtimes
    /// refuse to work with: a runtime that fails a first container beside it gets a mount namespace without it.
    pub fn new(
        path: PathBuf,
        root: PathBuf,
        version: String,
        level: Option<String>,
        detach: Option<&Path>,
    ) -> Result<Self> {
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
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = level.as_ref().map_or_else(|| file.to_string(), |level| format!("{file} {level}"));
        let (probe, scales) = (std::env::current_exe()?.with_file_name("probe"), root.with_extension("peak"));
        Ok(Self { name, path, root, version, level, probe, scales, weighing: Cell::new(false), jobs })
    }

    /// The runtime's command with its root.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = if self.weighing.get() {
            let mut scales = Command::new(&self.probe);
            scales.arg("weigh").arg(&self.scales).arg(&self.path);
            scales
        } else {
            Command::new(&self.path)
        };
        command.arg("--root").arg(&self.root);
        if let Some(level) = &self.level {
            command.args(["--level", level]);
        }
        command.args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Measures memory instead of time from here on. A process begins with the resident set of the one it was forked
    /// from, and the kernel counts that into its peak: this program is larger than some runtimes, the probe is not.
    pub fn weigh(&self) {
        self.weighing.set(true);
    }

    /// Runs `COMMAND ARGS` of the runtime to its end and says what it cost; one that fails is an error.
    pub fn call(&self, args: &[&str]) -> Result<Sample> {
        let (reply, answer) = channel();
        self.jobs.send((self.command(args), reply)).map_err(|_| anyhow::anyhow!("the contender's thread ended"))?;
        let mut sample = answer.recv().context("the contender's thread ended")??;
        if self.weighing.get() {
            sample.peak = crate::host::read(&self.scales)?.parse().context("the peak that was written")?;
        }
        Ok(sample)
    }
}

fn work(jobs: &Receiver<Job>) {
    while let Ok((command, reply)) = jobs.recv() {
        if reply.send(measure(command)).is_err() {
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

fn measure(mut command: Command) -> Result<Sample> {
    let line = crate::process::typed(&command);
    let begin = Instant::now();
    let child = command.spawn().with_context(|| format!("start `{line}`"))?;
    let pid = child.id().cast_signed();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are to live, writable values of the right types; `pid` is our child and has not been waited
    // for. The all-zero rusage is valid.
    #[allow(unsafe_code)]
    let (waited, usage) = unsafe {
        let waited = libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr());
        (waited, usage.assume_init())
    };
    let wall = begin.elapsed();
    ensure!(waited == pid, "wait4: {}", std::io::Error::last_os_error());
    if status != 0 {
        bail!("`{line}` ended with wait status {status:#x}");
    }
    let time = |t: libc::timeval| {
        let micros = i128::from(t.tv_sec) * 1_000_000 + i128::from(t.tv_usec);
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    Ok(Sample { wall, cpu: time(usage.ru_utime) + time(usage.ru_stime), peak: 0 })
}
