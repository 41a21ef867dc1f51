//! Commands that say how well containers are confined.

use clap::Command;

use super::Request;
use super::argument::{Given, command, operand, switch};
use super::id::ContainerId;
use super::inspect::{ReportFormat, read_report_format, report_format};

/// `inspect`: what the kernel says about a container's confinement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspect {
    /// The container; absent for all below the root directory.
    pub id: Option<ContainerId>,
    /// Leave init alone: its seccomp filters are not read.
    pub no_stop: bool,
    /// How to print.
    pub format: ReportFormat,
}

pub(super) fn inspect() -> Command {
    command(
        "inspect",
        "Print how a container is confined",
        "Reads from the kernel what holds for the container's init, compares it with what was planned, and grades it \
         by the Pod Security Standards, CIS Docker Benchmark section 5 and NIST SP 800-190. Reading the seccomp \
         filters stops init for a moment. The exit code is 1 if anything is weaker than planned.",
    )
    .arg(switch("all", "All containers, one line for each").short('a'))
    .arg(switch("no-stop", "Do not stop init; its seccomp filters are not read"))
    .arg(report_format())
    .arg(operand("container-id", "The container's id").required(false))
}

pub(super) fn read_inspect(given: &Given) -> Result<Request, String> {
    let named = given.text("container-id").ok().flatten();
    let id = match (given.switch("all"), named) {
        (true, Some(_)) => return Err("inspect takes a container's id or --all, not both".to_owned()),
        (true, None) => None,
        (false, _) => Some(given.id()?),
    };
    Ok(Request::Inspect(Inspect { id, no_stop: given.switch("no-stop"), format: read_report_format(given)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn read(line: &str) -> Result<Request, Option<String>> {
        let args = line.split_whitespace().map(OsString::from);
        super::super::parse(args).map(|(_, request)| request).map_err(|usage| usage.error)
    }

    #[test]
    fn inspect_takes_an_id_or_all_containers() {
        let wanted = Inspect { id: Some("c".parse().unwrap()), no_stop: false, format: ReportFormat::Text };
        assert_eq!(read("casemate inspect c"), Ok(Request::Inspect(wanted.clone())));
        let all = Inspect { id: None, no_stop: true, format: ReportFormat::Json };
        assert_eq!(read("casemate inspect --all --no-stop -f json"), Ok(Request::Inspect(all)));
        assert!(read("casemate inspect").is_err());
        assert!(read("casemate inspect --all c").unwrap_err().is_some_and(|error| error.contains("not both")));
        assert!(read("casemate inspect c --format table").is_err());
    }
}
