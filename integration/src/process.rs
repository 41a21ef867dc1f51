//! Running one command with a deadline: its exit code and what it printed.
//!
//! Output goes to files, not pipes: the init of a container inherits the runtime's standard output, and a pipe would
//! stay open until the container ends.

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest any single command may take before it is killed and its case has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code, or 128 + the signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The command as typed, for messages.
    pub line: String,
}

impl Output {
    /// Fails unless the command exited 0.
    pub fn success(self) -> Result<Self> {
        self.exits(0)
    }

    /// Fails unless the command exited with exactly `code`.
    pub fn exits(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit code {} instead of {code}: {self}", self.code);
        Ok(self)
    }

    /// Fails unless the command failed, and said `text` on either stream.
    pub fn refused(self, text: &str) -> Result<Self> {
        ensure!(self.code != 0, "accepted: {self}");
        ensure!(self.code < 128 || self.code == 255, "killed or crashed: {self}");
        ensure!(self.says(text), "refused, but without the words \"{text}\": {self}");
        Ok(self)
    }

    /// Whether `text` occurs in what was printed.
    pub fn says(&self, text: &str) -> bool {
        // logfmt and JSON escape the quotes of a message
        let plain = self.stderr.replace("\\\"", "\"");
        self.stdout.contains(text) || plain.contains(text)
    }

    /// The standard output as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |text: &str| text.trim_end().chars().take(1500).collect::<String>();
        write!(f, "`{}` exited {}", self.line, self.code)?;
        write!(f, "\n    stdout: {}\n    stderr: {}", show(&self.stdout), show(&self.stderr))
    }
}

/// Where the outputs of one case's commands go.
#[derive(Debug)]
pub struct Recorder {
    dir: PathBuf,
    next: AtomicU64,
}

/// A command that was started and has not been waited for.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    line: String,
    out: PathBuf,
    err: PathBuf,
}

impl Recorder {
    /// Makes the directory the outputs go to.
    pub fn new(dir: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir, next: AtomicU64::new(0) })
    }

    /// Starts `command`; its standard input is /dev/null unless `stdin` is given.
    pub fn start(&self, mut command: Command, stdin: Option<&str>) -> Result<Running> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.dir.join(format!("{n}.out")), self.dir.join(format!("{n}.err")));
        command.stdout(append_to(&out)?).stderr(append_to(&err)?);
        match stdin {
            None => command.stdin(Stdio::null()),
            Some(text) => {
                let path = self.dir.join(format!("{n}.in"));
                std::fs::write(&path, text)?;
                command.stdin(File::open(path)?)
            }
        };
        let line = typed(&command);
        let child = command.spawn().with_context(|| format!("start `{line}`"))?;
        Ok(Running { child, line, out, err })
    }

    /// Runs `command` to its end.
    pub fn run(&self, command: Command) -> Result<Output> {
        self.start(command, None)?.wait(DEADLINE)
    }
}

impl Running {
    /// Waits until the command has ended; kills it, and fails, at the deadline.
    pub fn wait(self, deadline: Duration) -> Result<Output> {
        let (output, ended) = self.wait_or_kill(deadline)?;
        ensure!(ended, "not ended after {} s, killed: {output}", deadline.as_secs());
        Ok(output)
    }

    /// Waits until the command has ended and says whether it did so by itself; kills it at the deadline.
    pub fn wait_or_kill(mut self, deadline: Duration) -> Result<(Output, bool)> {
        let ended = wait_for_exit(&self.child, deadline)?;
        if !ended {
            self.child.kill().context("kill at the deadline")?;
        }
        let status = self.child.wait().context("wait")?;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok((Output { code, stdout: read(&self.out)?, stderr: read(&self.err)?, line: self.line }, ended))
    }

    /// What was printed so far on standard output.
    pub fn stdout(&self) -> Result<String> {
        read(&self.out)
    }

    /// What was printed so far on standard error.
    pub fn stderr(&self) -> Result<String> {
        read(&self.err)
    }

    /// Sends the command itself a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("kill the command")
    }
}

fn wait_for_exit(child: &Child, deadline: Duration) -> Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).context("pidfd_open")?;
    readable_within(&pidfd, deadline)
}

/// Waits until `fd` is readable, at most `deadline` long.
pub fn readable_within(fd: &impl std::os::fd::AsFd, deadline: Duration) -> Result<bool> {
    let end = Instant::now() + deadline;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec::try_from(left)?)) {
            Ok(n) => return Ok(n > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
    }
}

/// Asks again and again until the answer is `Some`, at most ten seconds.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("not within ten seconds: {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The command as a person would type it.
pub fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn append_to(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("open \"{}\"", path.display()))
}

fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("read \"{}\"", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
