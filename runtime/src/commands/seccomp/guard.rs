//! A small process beside `record` that removes the container if the recorder is killed.

use super::super::{Root, delete};
use crate::cli::{ContainerId, Delete};
use crate::error::{Call as _, Result};
use crate::log::Log;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

/// What the recorder says when nothing is left to be removed.
const DONE: &[u8] = b".";

/// The guard, as the recorder has it. When it is dropped, and be it by SIGKILL, the guard goes to work.
pub struct Guard {
    child: Child,
    said: ChildStdin,
}

impl Guard {
    /// Starts the guard of a container that need not be there yet.
    ///
    /// # Errors
    /// A process that cannot be started.
    pub fn start(root: &Root, id: &ContainerId) -> Result<Guard> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--root").arg(&root.path).args(["seccomp", "guard", "--", id.as_str()]);
        // A ^C is for the container.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().call("execve", "/proc/self/exe")?;
        let said = child.stdin.take().ok_or(rustix::io::Errno::PIPE).call("pipe", "guard")?;
        Ok(Guard { child, said })
    }

    /// Sends the guard home.
    ///
    /// # Errors
    /// A guard that has gone already.
    pub fn dismiss(mut self) -> Result<()> {
        self.said.write_all(DONE).call("write", "guard")?;
        drop(self.said);
        match self.child.wait() {
            // As a subreaper the recorder waits for whoever ends.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
            other => other.map(drop).call("waitpid", "guard"),
        }
    }
}

/// `casemate seccomp guard`.
///
/// # Errors
/// A container that cannot be removed.
pub fn run(root: &Root, id: &ContainerId, log: &Log) -> Result<()> {
    let mut said = Vec::new();
    std::io::stdin().read_to_end(&mut said).call("read", "stdin")?;
    if said == DONE {
        return Ok(());
    }
    log.warn(&format!("the recorder of container \"{}\" was killed: removing the container", id.as_str()));
    delete::run(root, &Delete { id: id.clone(), force: true }, log)
}
