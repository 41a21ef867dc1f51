//! A command under strace(1), which stops it, and what it starts, on the return from certain calls.

use crate::case::Ground;
use crate::host;
use crate::process::{DEADLINE, Output, Running, eventually};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// A command that is traced.
pub struct Traced {
    running: Option<Running>,
    log: PathBuf,
    /// How many stops were taken.
    taken: usize,
}

impl Traced {
    /// Starts `command`, of group `group`, to be stopped by each of `injections` (`CALL` or `CALL:when=N`).
    pub fn start(g: &Ground, name: &str, command: &Command, group: u32, injections: &[&str]) -> Result<Traced> {
        let log = g.dir.join(format!("{name}.strace"));
        let mut strace = Command::new("/usr/bin/strace");
        strace.args(["-f", "-qq", "-o"]).arg(&log);
        for injection in injections {
            let (call, when) = injection.split_once(':').unwrap_or((injection, "when=1+"));
            strace.arg(format!("--inject={call}:signal=STOP:{when}"));
        }
        strace.arg("--").arg(command.get_program()).args(command.get_args()).current_dir(&g.dir).gid(group);
        Ok(Traced { running: Some(g.recorder.start(strace, None)?), log, taken: 0 })
    }

    fn lines(&self) -> Vec<String> {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        // The last line may be half written.
        String::from_utf8_lossy(&bytes).split_inclusive('\n').filter(|l| l.ends_with('\n')).map(str::to_owned).collect()
    }

    /// Waits for the next stop, which has to be at `call`; answers whose it is.
    pub fn stopped_at(&mut self, call: &str) -> Result<i32> {
        let taken = self.taken;
        let pid = eventually(&format!("a stop at {call}"), || {
            let lines = self.lines();
            let Some(at) = lines.iter().enumerate().filter(|(_, l)| l.contains("--- stopped by SIGSTOP")).nth(taken)
            else {
                return Ok(None);
            };
            let pid = at.1.split(' ').next().unwrap_or_default().to_owned();
            let before = lines[..at.0].iter().rev().find(|l| l.starts_with(&format!("{pid} ")) && !l.contains("---"));
            let before = before.map_or("", |line| line.trim_end());
            ensure!(
                before.contains(&format!(" {call}(")) || before.contains(&format!("<... {call} resumed>")),
                "stopped elsewhere: {before}"
            );
            Ok(Some(pid.parse::<i32>().context("a pid")?))
        });
        let pid = pid.with_context(|| format!("the log ends: {:?}", self.lines().last()))?;
        self.taken += 1;
        Ok(pid)
    }

    /// The command itself, not what it started.
    pub fn pid(&self) -> Result<i32> {
        let first = self.lines().first().and_then(|line| line.split(' ').next()?.parse().ok());
        first.context("nothing was traced")
    }

    /// Waits until the command itself has ended well; what it started may go on.
    pub fn command_ended(&self) -> Result<()> {
        let pid = self.pid()?;
        eventually("the command has ended", || Ok((!host::is_alive(pid)).then_some(())))
    }

    /// Waits until everything that was traced has ended.
    pub fn ended(mut self) -> Result<Output> {
        self.running.take().context("it has ended")?.wait(DEADLINE)
    }
}

/// After a failure: what is still stopped goes on, or nothing could be deleted.
impl Drop for Traced {
    fn drop(&mut self) {
        let lines = self.lines();
        let Some(running) = &mut self.running else { return };
        let stopped = lines.iter().filter(|line| line.contains("stopped by SIGSTOP"));
        let stopped = stopped.filter_map(|line| Pid::from_raw(line.split(' ').next()?.parse().ok()?));
        for pid in stopped {
            // Failing is right for those that have gone on and ended.
            let _gone = kill_process(pid, Signal::KILL);
        }
        // And for a strace that has ended.
        let _ended = running.child.kill().and_then(|()| running.child.wait());
    }
}

/// Lets a stopped process go on.
pub fn go_on(pid: i32) -> Result<()> {
    let pid = Pid::from_raw(pid).context("no pid")?;
    kill_process(pid, Signal::CONT).context("kill CONT")
}
