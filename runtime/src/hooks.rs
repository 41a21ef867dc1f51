//! The parent's half of the hooks: programs that run in the runtime's namespaces, with the container's state on stdin.
//!
//! A hook sees what `config.json` says and nothing of the runtime: its environment is `hook.env` (CVE-2025-23266 came
//! from a hook that got the container's), its directory is the bundle, its descriptors are 0 to 2, its signals are at
//! their defaults. It is started by path and not from a descriptor, because engines give `/proc/PID/exe` and scripts.

use crate::error::{Call, Context, Error, Kind, Result};
use crate::spec::Hook;
use crate::sys::spawn::{Program, spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use std::ffi::CString;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Bytes of stdout, and of stderr, that are kept: the last ones.
pub const CAPTURED: usize = 64 * 1024;

/// Bytes of each that an error message shows: engines read a message of at most 8191 bytes.
const SHOWN: usize = 3 * 1024;

/// How long a killed hook may take to die; it takes longer only inside the kernel.
const DEATH: Duration = Duration::from_secs(10);

/// Checks what the runtime-spec demands of a hook. `kind` is the spec's name of the list (`createRuntime`), `index` the
/// place in it.
///
/// # Errors
/// [`Kind::InvalidConfig`] for a path that is not absolute, or a timeout that is not above 0.
pub fn validate(hook: &Hook, kind: &str, index: usize) -> Result<()> {
    let wrong = |what: String| Err(Error::new(Kind::InvalidConfig, format!("{kind} hook #{index}: {what}")));
    if !hook.path.starts_with('/') {
        return wrong(format!("path \"{}\" is not absolute", hook.path));
    }
    match hook.timeout {
        Some(seconds) if seconds <= 0 => wrong(format!("timeout {seconds} is not above 0 seconds")),
        _ => Ok(()),
    }
}

/// Runs the hooks in their order, up to the first that fails.
///
/// # Errors
/// See [`run`].
pub fn run_all(hooks: &[Hook], kind: &str, state_json: &[u8], cwd: BorrowedFd<'_>) -> Result<()> {
    hooks.iter().enumerate().try_for_each(|(index, hook)| run(hook, kind, index, state_json, cwd))
}

/// Runs all the hooks whatever fails, as the spec asks for `poststop`; answers the failures, to be logged as warnings.
pub fn warn_all(hooks: &[Hook], kind: &str, state_json: &[u8], cwd: BorrowedFd<'_>) -> Vec<Error> {
    let run = |(index, hook)| run(hook, kind, index, state_json, cwd).err();
    hooks.iter().enumerate().filter_map(run).collect()
}

/// Runs one hook to its end. `cwd` is the bundle's directory.
///
/// The end is that of the hook's own process; what it left in the background keeps running and is not waited for.
///
/// # Errors
/// The hook is not valid, cannot be started, ends with another status than 0, or is still there after its timeout; then
/// its process group is killed.
pub fn run(hook: &Hook, kind: &str, index: usize, state_json: &[u8], cwd: BorrowedFd<'_>) -> Result<()> {
    validate(hook, kind, index)?;
    let during = format!("error running {kind} hook #{index}");
    let mut running = Running::start(hook, state_json, cwd).context(&during)?;
    let deadline = hook
        .timeout
        .and_then(|seconds| u64::try_from(seconds).ok())
        .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let outcome = match running.wait(deadline).context(&during)? {
        Some(status) => describe(&status),
        None => {
            running.kill().context(&during)?;
            Some(format!("still running after its timeout of {} s, killed", hook.timeout.unwrap_or_default()))
        }
    };
    match outcome {
        None => Ok(()),
        Some(outcome) => {
            let (stdout, stderr) = (running.stdout.text(), running.stderr.text());
            Err(Error::new(Kind::System, format!("{during}: {outcome}, stdout: {stdout}, stderr: {stderr}")))
        }
    }
}

/// What to say about an end; nothing about a good one.
fn describe(status: &WaitIdStatus) -> Option<String> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit status {code}")),
        (None, Some(number)) => Some(match nix::sys::signal::Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        }),
        (None, None) => Some("ended in an unknown way".to_owned()),
    }
}

/// A hook that was started.
struct Running {
    pid: Pid,
    pidfd: OwnedFd,
    stdout: Capture,
    stderr: Capture,
}

impl Running {
    fn start(hook: &Hook, state_json: &[u8], cwd: BorrowedFd<'_>) -> Result<Running> {
        let path = c_string(&hook.path)?;
        let argv = match hook.args.is_empty() {
            true => vec![path.clone()],
            false => hook.args.iter().map(|arg| c_string(arg)).collect::<Result<_>>()?,
        };
        let env = hook.env.iter().map(|entry| c_string(entry)).collect::<Result<_>>()?;
        let (stdout, stdout_end) = Capture::pipe()?;
        let (stderr, stderr_end) = Capture::pipe()?;
        let program = Program {
            path,
            argv,
            env,
            cwd: cwd.try_clone_to_owned().call("fcntl", "bundle")?,
            stdio: [state_file(state_json)?, stdout_end, stderr_end],
        };
        // Not Kind::NotFound, which is for containers.
        let child = spawn(program).call("execve", &hook.path).map_err(|error| error.as_kind(Kind::System))?;
        let pid = Pid::from_child(&child);
        // The hook is not reaped yet, so that the pid is still its own.
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).call("pidfd_open", pid)?;
        Ok(Running { pid, pidfd, stdout, stderr })
    }

    /// Collects output until the hook has ended and is reaped; nothing when the deadline came first.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<WaitIdStatus>> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.map(Timespec::try_from).transpose().unwrap_or_default();
            let mut fds = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
            fds.extend(self.stdout.open().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            fds.extend(self.stderr.open().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::call("poll", "hook", errno)),
            }
            let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
            // After the poll: what the hook wrote before its end is in the pipes by now.
            self.stdout.read()?;
            self.stderr.read()?;
            if ended {
                let pidfd = WaitId::PidFd(self.pidfd.as_fd());
                return rustix::process::waitid(pidfd, WaitIdOptions::EXITED).call("waitid", self.pid);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
        }
    }

    /// Kills the process group, which exists as long as its leader is not reaped, and reaps the leader.
    fn kill(&mut self) -> Result<()> {
        rustix::process::kill_process_group(self.pid, Signal::KILL).call("kill", format_args!("-{}", self.pid))?;
        match self.wait(Some(Instant::now() + DEATH))? {
            Some(_) => Ok(()),
            None => Err(Error::new(Kind::System, format!("process {} does not die from SIGKILL", self.pid))),
        }
    }
}

/// One output of a hook: the last [`CAPTURED`] bytes of it.
struct Capture {
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
}

impl Capture {
    /// The capture and the end that the hook gets.
    fn pipe() -> Result<(Capture, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).call("pipe2", "hook output")?;
        // Only this end: the flag belongs to the open description, and each end of a pipe is its own.
        rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK).call("fcntl", "hook output")?;
        Ok((Capture { pipe: Some(read), bytes: Vec::new() }, write))
    }

    fn open(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|pipe| pipe.as_fd())
    }

    /// Reads what is there, at most [`CAPTURED`] bytes, so that an endless writer does not outrun the deadline.
    fn read(&mut self) -> Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let mut buffer = [0; 4096];
        for _ in 0..CAPTURED / buffer.len() {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    break;
                }
                Ok(count) => self.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::call("read", "hook output", errno)),
            }
        }
        let excess = self.bytes.len().saturating_sub(CAPTURED);
        self.bytes.drain(..excess);
        Ok(())
    }

    /// The end of the output as one line: a message is one line, and a terminal that shows it obeys control characters.
    fn text(&self) -> String {
        let end = self.bytes.trim_ascii();
        let start = end.len().saturating_sub(SHOWN);
        let text = String::from_utf8_lossy(end.get(start..).unwrap_or_default());
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if start > 0 { format!("...{line}") } else { line }
    }
}

/// The state as a file to read: no writer is needed, so a hook that never reads cannot block the runtime.
fn state_file(state_json: &[u8]) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match rustix::fs::memfd_create("state.json", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 has no such flag.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("state.json", flags),
        made => made,
    };
    let mut file = std::fs::File::from(fd.call("memfd_create", "state.json")?);
    file.write_all(state_json).call("write", "state.json")?;
    file.rewind().call("lseek", "state.json")?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).call("fcntl", "state.json")?;
    Ok(file.into())
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Error::new(Kind::InvalidConfig, format!("\"{}\" has a NUL byte", text.escape_debug())))
}

#[cfg(test)]
mod tests;
