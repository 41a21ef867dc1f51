//! `completion` and `man`: what the definitions say, for shells and for man(1).
//!
//! Only in builds with the feature `man`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;

use super::Request;
use super::argument::{Given, command, operand, option};
use crate::error::{Call as _, Result};

/// A shell to complete for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// bash(1).
    Bash,
    /// zsh(1).
    Zsh,
    /// fish(1).
    Fish,
}

pub(super) fn completion() -> Command {
    command(
        "completion",
        "Print a completion script for a shell",
        "Source the output of `casemate completion bash`, or put it where the shell looks for such files.",
    )
    .arg(operand("shell", "bash, zsh or fish"))
}

pub(super) fn man() -> Command {
    command(
        "man",
        "Print the manual page, or write all of them",
        "Without --dir, casemate(8) goes to stdout. With it, that page and one for each command are written to \
         the directory, which has to exist.",
    )
    .arg(option("dir", "DIR", "Write all pages to DIR"))
}

pub(super) fn read_completion(given: &Given) -> std::result::Result<Request, String> {
    match given.text("shell")?.unwrap_or_default().as_str() {
        "bash" => Ok(Request::Completion(Shell::Bash)),
        "zsh" => Ok(Request::Completion(Shell::Zsh)),
        "fish" => Ok(Request::Completion(Shell::Fish)),
        other => Err(format!("unknown shell \"{other}\": want bash, zsh or fish")),
    }
}

pub(super) fn read_man(given: &Given) -> std::result::Result<Request, String> {
    Ok(Request::Man(given.path("dir")))
}

/// Writes the completion script for `shell`.
///
/// # Errors
/// What `out` reports.
pub fn write_completion(shell: Shell, out: &mut dyn Write) -> Result<()> {
    let mut application = super::application();
    // The generators panic when their writer fails, so they get one that cannot.
    let mut script = Vec::new();
    match shell {
        Shell::Bash => clap_complete::generate(clap_complete::Shell::Bash, &mut application, "casemate", &mut script),
        Shell::Zsh => clap_complete::generate(clap_complete::Shell::Zsh, &mut application, "casemate", &mut script),
        Shell::Fish => clap_complete::generate(clap_complete::Shell::Fish, &mut application, "casemate", &mut script),
    }
    out.write_all(&script).call("write", "stdout")
}

/// Writes `casemate.8` to `out`, or with a directory all pages to it.
///
/// # Errors
/// What `out` or the files report; the message names the file.
pub fn write_man(dir: Option<&Path>, out: &mut dyn Write) -> Result<()> {
    let mut application = super::application();
    let Some(dir) = dir else {
        return page(application, out).call("write", "stdout");
    };
    // Gives each command the name of its page (casemate-create) and of its usage (casemate create).
    application.build();
    for sub in application.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write_page(&dir.join(format!("casemate-{}.8", sub.get_name())), sub.clone())?;
    }
    write_page(&dir.join("casemate.8"), application)
}

fn write_page(path: &Path, command: Command) -> Result<()> {
    let mut text = Vec::new();
    page(command, &mut text).call("write", path.display())?;
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).open(path).call("open", path.display())?;
    file.write_all(&text).call("write", path.display())
}

fn page(command: Command, out: &mut dyn Write) -> io::Result<()> {
    let source = concat!("casemate ", env!("CARGO_PKG_VERSION"));
    let is_exec = command.get_name().ends_with("exec");
    let is_one_of_many = command.get_name() != "casemate";
    clap_mangen::Man::new(command).section("8").manual("System Manager's Manual").source(source).render(out)?;
    let failure = if is_exec { "255 on any failure of casemate's own; else the process's" } else { "1 on failure" };
    writeln!(
        out,
        ".SH \"EXIT STATUS\"\n0 on success; {failure}; 128 and the number of the signal that ended the process."
    )?;
    writeln!(out, ".SH \"SEE ALSO\"")?;
    if is_one_of_many {
        writeln!(out, ".BR casemate (8),")?;
    }
    writeln!(out, ".BR runc (8),\n.BR namespaces (7),\n.BR cgroups (7),\n.BR capabilities (7)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_is_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            write_completion(shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            for sub in super::super::application().get_subcommands() {
                assert!(script.contains(sub.get_name()), "{shell:?}: {}", sub.get_name());
                for flag in sub.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(clap::Arg::get_long) {
                    assert!(script.contains(flag), "{shell:?}: {} {flag}", sub.get_name());
                }
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let dir = std::env::temp_dir().join(format!("casemate-man-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        write_man(Some(&dir), &mut Vec::new()).unwrap();
        for sub in super::super::application().get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let page = std::fs::read_to_string(dir.join(format!("casemate-{}.8", sub.get_name()))).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{page}");
        }
        assert!(std::fs::read_to_string(dir.join("casemate.8")).unwrap().contains("systemd\\-cgroup"));
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(write_man(Some(&dir), &mut Vec::new()).unwrap_err().to_string().contains("casemate-"));
    }
}
