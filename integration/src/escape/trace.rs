//! What the processes of a command do, seen by strace(1): one line for each call, with descriptors as paths.

use crate::escape::scene::Scene;
use crate::process::{DEADLINE, Output};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// One call of one process.
#[derive(Debug, Clone)]
pub struct Call {
    pub pid: i32,
    pub name: String,
    /// Everything between the brackets.
    pub arguments: String,
    /// What it returned, with the path of a descriptor.
    pub result: String,
}

impl Call {
    /// The texts in quotes among the arguments.
    pub fn texts(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }

    /// The path of the descriptor that was returned.
    pub fn opened(&self) -> Option<&str> {
        let path = self.result.split_once('<')?.1;
        path.split('>').next()
    }

    pub fn failed(&self) -> bool {
        self.result.starts_with('-')
    }
}

/// Where the trace of one command goes.
#[derive(Debug)]
pub struct Trace {
    file: PathBuf,
}

impl Trace {
    /// Makes `command` run under strace, following what it starts.
    pub fn of(s: &Scene, command: &Command, calls: &str) -> Result<(Self, Command)> {
        let n = (0..).find(|n| !s.ground.dir.join(format!("trace{n}")).exists()).context("no free name")?;
        let file = s.ground.dir.join(format!("trace{n}"));
        std::fs::write(&file, "")?;
        let mut traced = Command::new("/usr/bin/strace");
        traced.args(["-f", "-y", "-s", "4096", "-qq", "-e", &format!("trace={calls}"), "-e", "signal=none", "-o"]);
        traced.arg(&file).arg("--").arg(command.get_program()).args(command.get_args()).current_dir(&s.ground.dir);
        Ok((Self { file }, traced))
    }

    /// Runs it to its end.
    pub fn run(s: &Scene, command: &Command, calls: &str) -> Result<(Vec<Call>, Output)> {
        let (trace, traced) = Self::of(s, command, calls)?;
        let output = s.ground.recorder.start(traced, None)?.wait(DEADLINE)?;
        Ok((trace.calls()?, output))
    }

    /// The calls so far.
    pub fn calls(&self) -> Result<Vec<Call>> {
        Ok(parse(&std::fs::read_to_string(&self.file)?))
    }
}

/// Takes a trace apart; a call that was interrupted by another process's is put together again.
fn parse(text: &str) -> Vec<Call> {
    let (mut calls, mut begun) = (Vec::new(), BTreeMap::new());
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let (Ok(pid), rest) = (pid.parse::<i32>(), rest.trim_start()) else { continue };
        let whole = if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(pid, start.to_owned());
            continue;
        } else if rest.starts_with("<... ") {
            let end = rest.split_once(" resumed>").map(|(_, end)| end).unwrap_or_default();
            begun.remove(&pid).unwrap_or_default() + end
        } else {
            rest.to_owned()
        };
        // The result is behind the last " = "; the arguments may have one as well.
        let Some((call, result)) = whole.rsplit_once(" = ") else { continue };
        let Some((name, arguments)) = call.split_once('(') else { continue };
        let arguments = arguments.trim_end().trim_end_matches(')').to_owned();
        calls.push(Call { pid, name: name.to_owned(), arguments, result: result.to_owned() });
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_and_put_together() {
        let calls = parse(
            "7     openat2(39</x/rootfs>, \"/dev\", {flags=O_PATH}, 24) = 3</x/rootfs/dev>\n\
             8  execve(\"/bin/true\", [\"true\"], 0x1 /* 3 vars */ <unfinished ...>\n\
             7  open(\"/nosuch\", O_RDONLY) = -1 ENOENT (No such file or directory)\n\
             8  <... execve resumed>)             = 0\n\
             8  +++ exited with 0 +++\n",
        );
        assert_eq!(
            calls.iter().map(|call| (call.pid, call.name.as_str())).collect::<Vec<_>>(),
            [(7, "openat2"), (7, "open"), (8, "execve")]
        );
        assert_eq!(calls[0].opened(), Some("/x/rootfs/dev"));
        assert!(calls[1].failed() && calls[1].opened().is_none());
        assert_eq!((calls[2].texts()[0], calls[2].result.as_str()), ("/bin/true", "0"));
    }
}
