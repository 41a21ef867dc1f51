//! A daemon that was started for a test: it is waited for, stopped by pid, and its log is shown when something failed.

use crate::process::eventually;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A running daemon.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` and waits until `ready` says so.
    pub fn start(mut command: Command, log: &Path, ready: impl Fn() -> Result<bool>) -> Result<Self> {
        let file = File::create(log)?;
        command.stdout(file.try_clone()?).stderr(file).stdin(std::process::Stdio::null());
        let line = crate::process::typed(&command);
        let mut daemon =
            Self { child: command.spawn().with_context(|| format!("start `{line}`"))?, log: log.to_owned() };
        let waited = eventually("the daemon answers", || {
            ensure!(daemon.child.try_wait()?.is_none(), "`{line}` ended");
            Ok(ready()?.then_some(()))
        });
        match waited {
            Ok(()) => Ok(daemon),
            Err(error) => {
                let tail = daemon.tail();
                daemon.stop()?;
                Err(error).context(tail)
            }
        }
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n    ")
    }

    /// Stops the daemon: SIGTERM, and SIGKILL when it has not ended after ten seconds.
    pub fn stop(mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).context("stop the daemon")?;
        }
        if eventually("the daemon has ended", || Ok(self.child.try_wait()?)).is_err() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }
}
