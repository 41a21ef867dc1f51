//! The runtime under test: a path, and what kind it is.

use crate::process::{Output, Recorder};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What decides whether a case that only casemate must pass is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Casemate,
    Other,
}

/// A runtime's binary.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub path: PathBuf,
    pub kind: Kind,
    /// The first line of `--version`.
    pub version: String,
}

impl Runtime {
    /// Finds the binary and asks it who it is.
    pub fn find(path: &Path, recorder: &Recorder) -> Result<Self> {
        let path = resolve(path)?;
        let mut command = Command::new(&path);
        command.arg("--version");
        let output: Output = recorder.run(command)?.success()?;
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("casemate"));
        let kind = if named || output.stdout.contains("casemate") { Kind::Casemate } else { Kind::Other };
        Ok(Self { path, kind, version: output.stdout.lines().next().unwrap_or_default().to_owned() })
    }

    /// The command with its state below `root`, the first global flag every engine gives. Another runtime has no levels.
    pub fn command(&self, root: &Path, level: Option<&str>) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("--root").arg(root);
        if let Some(level) = level.filter(|_| self.kind == Kind::Casemate) {
            command.args(["--level", level]);
        }
        command
    }
}

/// A path as it is, or a bare name searched in `$PATH`.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    if path.components().count() > 1 {
        return path.canonicalize().with_context(|| format!("runtime \"{}\"", path.display()));
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&places).chain(["/usr/sbin".into()]).map(|dir| dir.join(path)).find(|p| p.is_file());
    match found {
        Some(found) => Ok(found),
        None => bail!("runtime \"{}\" is not in $PATH", path.display()),
    }
}
