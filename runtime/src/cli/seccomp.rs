//! `seccomp`: a command with commands of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command, value_parser};

use super::Request;
use super::argument::{Given, command, id, list, operand, option, switch};
use super::grammar::{Fault, Order};
use super::id::ContainerId;
use super::{duration, inspect};

/// What `seccomp` is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// One of the profile tool's commands; it reads its words itself.
    Tool(Vec<String>),
    /// Run a bundle and make a profile of what it calls.
    Record(SeccompRecord),
    /// Watch what a running container is denied.
    Trace(SeccompTrace),
    /// Print this help.
    Help(String),
    /// For `record`: remove the container when standard input ends without a word.
    Guard(ContainerId),
}

/// `seccomp record`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeccompRecord {
    /// The bundle.
    pub bundle: PathBuf,
    /// The id of the container; absent for one made of the pid.
    pub id: Option<ContainerId>,
    /// Where the profile goes; absent for stdout.
    pub output: Option<PathBuf>,
    /// Profiles whose calls are allowed too.
    pub merge: Vec<PathBuf>,
    /// Allow only those first arguments that were seen, where they matter.
    pub arguments: bool,
}

/// `seccomp trace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeccompTrace {
    /// The container's id.
    pub id: ContainerId,
    /// How long; absent until the container ends or a signal comes.
    pub duration: Option<Duration>,
    /// How to print.
    pub format: inspect::ReportFormat,
}

/// What follows `seccomp`, for help and completion.
const COMMANDS: [(&str, &str); 9] = [
    ("list", "List the built-in profiles, and the tokens of the overlay"),
    ("explain", "Tell what a profile does with a call, and which rule it is"),
    ("diff", "Compare what two profiles let through"),
    ("lint", "Look for holes and slips in a profile"),
    ("test", "Run test cases against a profile"),
    ("compile", "Compile a profile to a filter"),
    ("disasm", "Print a profile's filter as text"),
    ("record", "Run a bundle, and make the least profile from what it calls"),
    ("trace", "Watch which calls a running container is denied"),
];

pub(super) fn seccomp() -> Command {
    let definition = command(
        "seccomp",
        "Work with seccomp profiles",
        "`casemate seccomp COMMAND --help` tells more. All but record and trace need no privileges.",
    );
    let words = Arg::new("words").value_name("COMMAND").hide(true);
    let words = words.num_args(1..).required(true).trailing_var_arg(true).value_parser(value_parser!(OsString));
    COMMANDS
        .into_iter()
        .fold(definition.arg(words), |definition, (name, about)| definition.subcommand(Command::new(name).about(about)))
        .disable_help_subcommand(true)
        .override_usage("casemate seccomp COMMAND [ARGUMENT...]")
}

fn record() -> Command {
    command(
        "record",
        "Run a bundle, and make the least profile from what it calls",
        "Runs the bundle as `run` does, with its own profile in force, and counts the calls of its processes from \
         outside. The profile allows these, and denies the rest with EPERM. Calls that were denied are listed on stderr \
         and are not in it. The exit status is that of the container's program, or 255.",
    )
    .bin_name("casemate seccomp record")
    .arg(operand("bundle", "The bundle"))
    .arg(option("output", "FILE", "Where the profile goes [default: stdout]").short('o'))
    .arg(list("merge", "FILE", "A profile, as of an earlier run, whose calls are allowed too; may be repeated"))
    .arg(switch("arguments", "Allow only the socket families, namespaces, personalities and prctl operations seen"))
    .arg(option("id", "ID", "The container's id [default: record- and a number]"))
}

fn trace() -> Command {
    command(
        "trace",
        "Watch which calls a running container is denied",
        "Prints a line for each new call that the container's seccomp filter denies to one of its processes, and a table \
         with counts when it ends: by ^C, with the container, or after --duration. The container is not stopped, changed \
         or slowed down by more than the counting; without this program it goes on as before.",
    )
    .bin_name("casemate seccomp trace")
    .arg(id())
    .arg(option("duration", "DURATION", "How long, as 30s or 5m [default: until ^C]"))
    .arg(inspect::report_format())
}

pub(super) fn read(given: &Given) -> Result<Request, String> {
    let words = given.texts("words")?;
    let (name, rest) = words.split_first().ok_or("\"seccomp\" requires a command")?;
    let definition = match name.as_str() {
        "record" => record,
        "trace" => trace,
        "guard" => || command("guard", "For record", "").arg(id()),
        _ => return Ok(Request::Seccomp(Seccomp::Tool(words))),
    };
    let rest: Vec<OsString> = rest.iter().map(OsString::from).collect();
    let (given, operands) = match super::matches(definition(), &rest, Order::Any) {
        Ok(read) => read,
        Err(Fault::Help) => return Ok(Request::Seccomp(Seccomp::Help(super::help(definition())))),
        Err(fault) => return Err(fault.to_string()),
    };
    if let Some(wrong) = super::operand_count(&definition()).mismatch(&format!("seccomp {name}"), operands.len()) {
        return Err(wrong);
    }
    Ok(Request::Seccomp(match name.as_str() {
        "record" => Seccomp::Record(SeccompRecord {
            bundle: given.path("bundle").ok_or("the bundle is empty")?,
            id: given.parsed("id", |text| text.parse())?,
            output: given.path("output"),
            merge: given.texts("merge")?.into_iter().map(PathBuf::from).collect(),
            arguments: given.switch("arguments"),
        }),
        "trace" => Seccomp::Trace(SeccompTrace {
            id: given.id()?,
            duration: given.parsed("duration", duration::parse)?,
            format: inspect::read_report_format(&given)?,
        }),
        _ => Seccomp::Guard(given.id()?),
    }))
}
