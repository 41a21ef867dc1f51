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
    /// How the calls are seen; absent for the best that the kernel has.
    pub method: Option<TraceMethod>,
    /// How to print.
    pub format: inspect::ReportFormat,
}

/// How `seccomp trace` sees calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceMethod {
    /// The kernel counts.
    Bpf,
    /// Each call is stopped.
    Ptrace,
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
         with counts when it ends: by ^C, with the container, or after --duration. The container is not changed, \
         and goes on when this program ends in whatever way. Where the kernel can, it counts; else each call is stopped.",
    )
    .bin_name("casemate seccomp trace")
    .arg(id())
    .arg(option("duration", "DURATION", "How long, as 30s or 5m [default: until ^C]"))
    .arg(option("method", "METHOD", "bpf (the kernel counts) or ptrace (each call is stopped, slower) [default: what works]"))
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
            method: given.parsed("method", |text| match text {
                "bpf" => Ok(TraceMethod::Bpf),
                "ptrace" => Ok(TraceMethod::Ptrace),
                other => Err(format!("unknown method \"{other}\": want bpf or ptrace")),
            })?,
            format: inspect::read_report_format(&given)?,
        }),
        _ => Seccomp::Guard(given.id()?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Seccomp, String> {
        let words = ["casemate", "seccomp"].into_iter().chain(line.split_whitespace());
        match super::super::parse(words.map(OsString::from)) {
            Ok((_, Request::Seccomp(seccomp))) => Ok(seccomp),
            Ok(other) => Err(format!("{other:?}")),
            Err(usage) => Err(usage.error.unwrap_or(usage.help)),
        }
    }

    #[test]
    fn the_tools_words_are_its_own() {
        for line in ["list", "explain --caps all default socket 38", "test --live default -", "nonsense"] {
            let words = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(parsed(line), Ok(Seccomp::Tool(words)));
        }
        assert!(parsed("").unwrap_err().contains("seccomp"));
        assert!(parsed("--help").unwrap_err().contains("record"));
    }

    #[test]
    fn record_and_trace_are_read() {
        let record = SeccompRecord {
            bundle: "/b".into(),
            id: Some("x".parse().unwrap()),
            output: Some("p".into()),
            merge: vec!["q".into(), "r".into()],
            arguments: true,
        };
        let line = "record --arguments -o p --merge q --id x --merge=r -- /b";
        assert_eq!(parsed(line), Ok(Seccomp::Record(record)));
        let trace = SeccompTrace {
            id: "x".parse().unwrap(),
            duration: Some(Duration::from_secs(5)),
            method: Some(TraceMethod::Ptrace),
            format: inspect::ReportFormat::Json,
        };
        assert_eq!(parsed("trace x --duration 5s --method ptrace --format json"), Ok(Seccomp::Trace(trace)));
        assert!(matches!(parsed("trace --help"), Ok(Seccomp::Help(text)) if text.contains("--duration")));
        for (line, wrong) in [
            ("record", "exactly 1"),
            ("record a b", "exactly 1"),
            ("record --nope a", "not defined: -nope"),
            ("trace x --method strace", "want bpf or ptrace"),
            ("trace x --duration soon", "invalid duration"),
            ("trace ../x", "invalid container ID"),
        ] {
            let said = parsed(line).unwrap_err();
            assert!(said.contains(wrong), "{line}: {said}");
        }
    }
}
