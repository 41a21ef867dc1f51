//! argv to [`Request`]: what the user typed, checked as far as the words alone allow.
//!
//! Each command is defined once, as a [`clap::Command`], and parsing, help, shell completion and
//! manual pages come from that. The grammar is Go's, see [`grammar`]. Only the definitions of the
//! global options and of the command at hand are built: all of them together cost more than the
//! rest of a start of this program. Called first, by `main`; touches the system only for the
//! working directory, when `--root` is relative.

mod argument;
mod check;
mod confinement;
#[cfg(feature = "man")]
mod document;
mod duration;
mod exec;
mod globals;
mod grammar;
mod id;
mod inspect;
mod lifecycle;
mod seccomp;
mod signal;
mod size;
mod update;
mod user;

use std::ffi::OsString;

use argument::Given;
use grammar::{Fault, Order};

pub use check::{Check, CheckConfig, CheckFormat};
pub use confinement::Inspect;
#[cfg(feature = "man")]
pub use document::{Shell, write_completion, write_man};
pub use exec::Exec;
pub use globals::{Globals, Rootless, default_root};
pub use id::ContainerId;
pub use inspect::{Doctor, Events, Explain, List, ListFormat, Probe, ProbeMode, Ps, ReportFormat, Selftest, Spec};
pub use lifecycle::{Create, Delete, Kill, Run};
pub use seccomp::{Seccomp, SeccompRecord, SeccompTrace, TraceMethod};
pub use signal::Signal;
pub use update::{Change, Update};
pub use user::{User, parse_id};

pub use crate::log::Format as LogFormat;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Print the version.
    Version,
    /// Make a container.
    Create(Create),
    /// Make, start, wait for and remove a container.
    Run(Run),
    /// Start a created container.
    Start(ContainerId),
    /// Run one more process in a container.
    Exec(Box<Exec>),
    /// Send a signal.
    Kill(Kill),
    /// Remove a container.
    Delete(Delete),
    /// Print the state of a container.
    State(ContainerId),
    /// List containers.
    List(List),
    /// List the processes of a container.
    Ps(Ps),
    /// Freeze a container.
    Pause(ContainerId),
    /// Thaw a container.
    Resume(ContainerId),
    /// Change limits.
    Update(Update),
    /// Print statistics and events.
    Events(Events),
    /// Write a template of config.json.
    Spec(Spec),
    /// Print what the runtime supports.
    Features,
    /// Print what a bundle would be run with.
    Explain(Explain),
    /// Check a configuration.
    Check(Check),
    /// Print how containers are confined.
    Inspect(Inspect),
    /// Print what the host can do.
    Doctor(Doctor),
    /// Check that confinement works on this host.
    Selftest(Selftest),
    /// Be the process in a container of `selftest`.
    SelftestProbe(Probe),
    /// Look at seccomp profiles, make one, or watch a filter at work.
    Seccomp(Seccomp),
    /// Print a completion script.
    #[cfg(feature = "man")]
    Completion(Shell),
    /// Print a manual page, or write all of them to a directory.
    #[cfg(feature = "man")]
    Man(Option<std::path::PathBuf>),
}

impl Request {
    /// The exit status when the request fails: 255 for `exec` and `seccomp record`, whose 1 to 254 may be the
    /// process's own, 2 for `check` and the rest of `seccomp`, whose 1 is an answer, and 1 for all others.
    pub fn failure_code(&self) -> u8 {
        match self {
            Request::Exec(_) | Request::Seccomp(Seccomp::Record(_)) => 255,
            Request::Check(_) | Request::Seccomp(_) => 2,
            _ => 1,
        }
    }
}

/// Why there is nothing to do: help was asked for, or the command line is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage {
    /// The global options, as far as they could be read; the error is logged by them.
    pub globals: Globals,
    /// What to print on stdout: help, or nothing.
    pub help: String,
    /// What is wrong.
    pub error: Option<String>,
    /// The exit status: 0 for help, 3 for an unknown command, otherwise 1.
    pub code: u8,
}

/// One command: its definition and how a request comes of it.
struct Entry {
    name: &'static str,
    order: Order,
    define: fn() -> clap::Command,
    read: fn(&Given) -> Result<Request, String>,
}

impl Entry {
    /// The exit status of a command line that is wrong; a 1 of `check` is an answer.
    fn usage_code(&self) -> u8 {
        if self.name == "check" { 2 } else { 1 }
    }
}

const fn entry(
    name: &'static str,
    order: Order,
    define: fn() -> clap::Command,
    read: fn(&Given) -> Result<Request, String>,
) -> Entry {
    Entry { name, order, define, read }
}

const COMMANDS: &[Entry] = &[
    entry("create", Order::Any, lifecycle::create, lifecycle::read_create),
    entry("run", Order::Any, lifecycle::run, lifecycle::read_run),
    entry("start", Order::Any, lifecycle::start, lifecycle::read_start),
    entry("exec", Order::First, exec::exec, exec::read),
    entry("kill", Order::Any, lifecycle::kill, lifecycle::read_kill),
    entry("delete", Order::Any, lifecycle::delete, lifecycle::read_delete),
    entry("state", Order::Any, inspect::state, inspect::read_state),
    entry("list", Order::Any, inspect::list, inspect::read_list),
    entry("ps", Order::First, inspect::ps, inspect::read_ps),
    entry("pause", Order::Any, lifecycle::pause, lifecycle::read_pause),
    entry("resume", Order::Any, lifecycle::resume, lifecycle::read_resume),
    entry("update", Order::Any, update::update, update::read),
    entry("events", Order::Any, inspect::events, inspect::read_events),
    entry("spec", Order::Any, inspect::spec, inspect::read_spec),
    entry("features", Order::Any, inspect::features, inspect::read_features),
    entry("explain", Order::Any, inspect::explain, inspect::read_explain),
    entry("check", Order::Any, check::check, check::read),
    entry("inspect", Order::Any, confinement::inspect, confinement::read_inspect),
    entry("seccomp", Order::First, seccomp::seccomp, seccomp::read),
    entry("doctor", Order::Any, inspect::doctor, inspect::read_doctor),
    entry("selftest", Order::Any, inspect::selftest, inspect::read_selftest),
    entry("selftest-probe", Order::Any, inspect::selftest_probe, inspect::read_selftest_probe),
    #[cfg(feature = "man")]
    entry("completion", Order::Any, document::completion, document::read_completion),
    #[cfg(feature = "man")]
    entry("man", Order::Any, document::man, document::read_man),
];

/// All definitions in one, for help, completion and manual pages.
fn application() -> clap::Command {
    COMMANDS.iter().fold(globals::definition().disable_help_subcommand(true), |application, entry| {
        application.subcommand((entry.define)())
    })
}

fn help(mut definition: clap::Command) -> String {
    definition.render_long_help().to_string()
}

fn command_help(entry: &Entry) -> String {
    help((entry.define)().bin_name(format!("casemate {}", entry.name)))
}

/// Reads a command line; `args` starts with the program's name.
///
/// # Errors
/// [`Usage`], when help is asked for or the command line is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Globals, Request), Usage> {
    let mut args = args.into_iter();
    let called_as = args.next().and_then(|name| globals::level_of_name(&name));
    let args: Vec<OsString> = args.collect();
    let wrong = |globals: &Globals, help: String, error: String| Usage {
        globals: globals.clone(),
        help,
        error: Some(error),
        code: 1,
    };
    let asked = |globals: &Globals, help: String| Usage { globals: globals.clone(), help, error: None, code: 0 };

    let none = Globals::default();
    let (given, operands) = match matches(globals::definition(), &args, Order::First) {
        Ok(read) => read,
        Err(Fault::Help) => return Err(asked(&none, help(application()))),
        Err(fault) => return Err(wrong(&none, help(application()), fault.to_string())),
    };
    let read = globals::read(&given, std::env::current_dir).map_err(|error| wrong(&none, String::new(), error))?;
    let globals = Globals { called_as, ..read };
    if given.switch("version") {
        return Ok((globals, Request::Version));
    }

    let Some((name, rest)) = operands.split_first() else {
        return Err(asked(&globals, help(application())));
    };
    let unknown = |name: &OsString| Usage {
        globals: globals.clone(),
        help: String::new(),
        error: Some(format!("No help topic for '{}'", name.to_string_lossy())),
        code: 3,
    };
    if name == "help" || name == "h" {
        return Err(match rest.first() {
            None => asked(&globals, help(application())),
            Some(topic) => match COMMANDS.iter().find(|entry| topic == entry.name) {
                Some(entry) => asked(&globals, command_help(entry)),
                None => unknown(topic),
            },
        });
    }
    let entry = COMMANDS.iter().find(|entry| name == entry.name).ok_or_else(|| unknown(name))?;

    let definition = (entry.define)();
    let count = operand_count(&definition);
    let (given, operands) = match matches(definition, rest, entry.order) {
        Ok(read) => read,
        Err(Fault::Help) => return Err(asked(&globals, command_help(entry))),
        Err(fault) => {
            return Err(Usage { code: entry.usage_code(), ..wrong(&globals, command_help(entry), fault.to_string()) });
        }
    };
    if let Some(error) = count.mismatch(entry.name, operands.len()) {
        return Err(Usage { code: entry.usage_code(), ..wrong(&globals, command_help(entry), error) });
    }
    // `exec` answers for a process whose exit codes are 1 to 254.
    let code = if entry.name == "exec" { 255 } else { entry.usage_code() };
    let request = (entry.read)(&given).map_err(|error| Usage { code, ..wrong(&globals, String::new(), error) })?;
    Ok((globals, request))
}

/// Sorts `args` by the definition and has clap read them.
///
/// The operands are given to clap only if there are as many as it can take, so that what is wrong
/// with a command line is said in one wording, ours.
fn matches(definition: clap::Command, args: &[OsString], order: Order) -> Result<(Given, Vec<OsString>), Fault> {
    let sorted = grammar::sort(&definition, args, order)?;
    let count = operand_count(&definition);
    let mut argv = sorted.flags;
    if count.mismatch("", sorted.operands.len()).is_none() {
        argv.push(OsString::from("--"));
        argv.extend(sorted.operands.iter().cloned());
    }
    let given = definition
        .no_binary_name(true)
        .mut_args(|arg| arg.required(false))
        .try_get_matches_from(argv)
        .map_err(|error| Fault::Unknown(error.to_string()))?;
    Ok((Given(given), sorted.operands))
}

/// How many operands a command takes.
#[derive(Debug, Clone, Copy)]
struct Count {
    least: usize,
    most: usize,
}

fn operand_count(definition: &clap::Command) -> Count {
    let least = definition.get_positionals().filter(|arg| arg.is_required_set()).count();
    let most = definition
        .get_positionals()
        .map(|arg| arg.get_num_args().map_or(1, |range| range.max_values()))
        .fold(0_usize, usize::saturating_add);
    Count { least, most }
}

impl Count {
    fn mismatch(self, name: &str, given: usize) -> Option<String> {
        let Count { least, most } = self;
        if (least..=most).contains(&given) {
            return None;
        }
        let wanted = if least == most {
            format!("exactly {least}")
        } else if given < least {
            format!("at least {least}")
        } else {
            format!("at most {most}")
        };
        Some(format!("\"{name}\" requires {wanted} argument(s), not {given}"))
    }
}

#[cfg(test)]
mod tests;
