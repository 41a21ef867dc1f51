//! `ps`: the processes of a container, as the host sees them.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Root, json, print};
use crate::cli::{ListFormat, Ps};
use crate::error::{Call as _, Error, Kind, Result};
use crate::state::{Container, of_cgroup};

mod full;

/// Where ps(1) is. `PATH` is not asked: engines call with any environment.
const PROGRAMS: [&str; 2] = ["/usr/bin/ps", "/bin/ps"];

/// Prints the container's processes: their pids as a JSON array, a table in the form of `ps -ef`, or what the host's
/// ps(1) prints about them with other options.
///
/// # Errors
/// `container does not exist`; a failed call; a ps(1) that is missing, fails or prints no pids.
pub fn run(root: &Root, ps: &Ps, out: &mut dyn Write) -> Result<()> {
    let container = Container::load(&root.existing()?, ps.id.as_str())?;
    let pids = container.cgroup().pids().map_err(of_cgroup)?;
    let text = match ps.format {
        // What Go makes of a list that was never filled.
        ListFormat::Json if pids.is_empty() => "null\n".to_owned(),
        ListFormat::Json => json(&pids)? + "\n",
        ListFormat::Table if matches!(ps.args.as_slice(), [] | [_] if is_full(&ps.args)) => full::table(&pids)?,
        ListFormat::Table => filtered(&host_ps(&ps.args)?, &pids)?,
    };
    print(out, &text).map(drop)
}

/// Whether the table asked for is the one made here, from /proc.
fn is_full(args: &[String]) -> bool {
    args.iter().all(|arg| arg == "-ef")
}

/// What the host's ps(1) prints.
fn host_ps(args: &[String]) -> Result<String> {
    let program = PROGRAMS.into_iter().find(|program| std::path::Path::new(program).exists());
    let Some(program) = program else {
        let error = Error::new(Kind::NotFound, format!("no ps at {}", PROGRAMS.join(" or ")));
        return Err(error.hint("install procps, or give no options: the default table needs no program"));
    };
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().call("execve", program)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = super::printable(said.lines().next().unwrap_or_default());
        return Err(Error::new(Kind::System, format!("{program} {}: {}: {said}", args.join(" "), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The header of a table and the lines of `pids`. A line with `-` for the pid is of a thread of the process before it.
fn filtered(table: &str, pids: &[i32]) -> Result<String> {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_ascii_whitespace().position(|title| title == "PID").ok_or_else(|| {
        Error::new(Kind::Usage, "couldn't find PID field in ps output").hint("choose columns with PID among them")
    })?;
    let mut text = format!("{header}\n");
    let mut is_ours = false;
    for line in lines {
        let Some(pid) = line.split_ascii_whitespace().nth(column) else { continue };
        if pid != "-" {
            is_ours = pid.parse().is_ok_and(|pid: i32| pids.contains(&pid));
        }
        if is_ours {
            text += line;
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
