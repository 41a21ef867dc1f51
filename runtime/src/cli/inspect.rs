//! Commands that look and change nothing, or write a template.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command, value_parser};

use super::Request;
use super::argument::{Given, command, id, id_command, operand, option, switch};
use super::duration;
use super::id::ContainerId;
use crate::policy::Level;

/// How `list` and `ps` print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListFormat {
    /// Columns.
    #[default]
    Table,
    /// One JSON array, or `null` for nothing.
    Json,
}

/// How reports are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReportFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// `list`: the containers below the root directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// How to print.
    pub format: ListFormat,
    /// Print ids only.
    pub quiet: bool,
}

/// `ps`: the processes of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ps {
    /// The container's id.
    pub id: ContainerId,
    /// How to print.
    pub format: ListFormat,
    /// Options for ps(1), for the table; empty for `-ef`.
    pub args: Vec<String>,
}

/// `events`: statistics and out-of-memory events of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// The container's id.
    pub id: ContainerId,
    /// Print the statistics once and end.
    pub stats: bool,
    /// Time between statistics; above 0.
    pub interval: Duration,
}

/// `spec`: write a template of config.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The bundle; absent for the working directory.
    pub bundle: Option<PathBuf>,
    /// Write one that a user without privileges can run.
    pub rootless: bool,
}

/// `explain`: what a bundle would be run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explain {
    /// The bundle; absent for the working directory.
    pub bundle: Option<PathBuf>,
    /// How to print.
    pub format: ReportFormat,
}

/// `doctor`: what this host can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doctor {
    /// How to print.
    pub format: ReportFormat,
}

/// `selftest`: whether the promised controls are effective on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selftest {
    /// The level to test; absent for `baseline` and `restricted`.
    pub level: Option<Level>,
    /// How to print.
    pub format: ReportFormat,
}

/// What `selftest-probe` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeMode {
    /// Tries what must not work.
    Attempts,
    /// Listens on an abstract socket.
    Listen,
    /// Prints its own `/proc/self/status`.
    Status,
}

/// `selftest-probe`: the process in the containers of `selftest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What to do.
    pub mode: ProbeMode,
    /// What the file `/selftest` must hold.
    pub token: String,
}

fn list_format() -> Arg {
    option("format", "FORMAT", "table or json").short('f').default_value("table")
}

pub(super) fn report_format() -> Arg {
    option("format", "FORMAT", "text or json").short('f').default_value("text")
}

fn bundle() -> Arg {
    option("bundle", "DIR", "The bundle [default: the working directory]").short('b')
}

pub(super) fn state() -> Command {
    id_command("state", "Print the state of a container", "The state is one JSON object.")
}

pub(super) fn list() -> Command {
    command("list", "List containers", "Lists all containers below the root directory.")
        .arg(list_format())
        .arg(switch("quiet", "Print ids only").short('q'))
}

pub(super) fn ps() -> Command {
    command(
        "ps",
        "List the processes of a container",
        "The table has the columns of `ps -ef`, read from /proc. With other options it is that of the host's ps(1), \
         which needs a PID column. The JSON is an array of pids.",
    )
    .arg(list_format())
    .arg(id())
    .arg(
        Arg::new("options")
            .help("Options for ps [default: -ef]")
            .num_args(0..)
            .trailing_var_arg(true)
            .value_parser(value_parser!(OsString)),
    )
}

pub(super) fn events() -> Command {
    command(
        "events",
        "Print statistics and out-of-memory events of a container",
        "Each event is one line of JSON. The command ends with the container.",
    )
    .arg(option("interval", "DURATION", "Time between statistics, as 5s or 1m30s").default_value("5s"))
    .arg(switch("stats", "Print the statistics once and end"))
    .arg(id())
}

pub(super) fn spec() -> Command {
    command(
        "spec",
        "Write a template of config.json",
        "The file is written to the bundle and must not be there yet. It runs sh on a terminal in new namespaces.",
    )
    .arg(bundle())
    .arg(switch("rootless", "Write one that a user without privileges can run"))
}

pub(super) fn features() -> Command {
    command("features", "Print what this runtime supports", "The output is one JSON object, as features.md says.")
}

pub(super) fn explain() -> Command {
    command(
        "explain",
        "Print what a bundle would be run with",
        "Shows what policy changes or refuses in this config.json, and each step that `create` would take. \
         Nothing is changed, and no privileges are needed.",
    )
    .arg(operand("directory", "The bundle [default: the working directory]").required(false))
    .arg(bundle())
    .arg(report_format())
}

pub(super) fn doctor() -> Command {
    command(
        "doctor",
        "Print what this host can do",
        "Checks what the kernel and the system offer for containers, and says what is missing. Nothing is changed.",
    )
    .arg(report_format())
}

pub(super) fn selftest() -> Command {
    command(
        "selftest",
        "Check that confinement works on this host",
        "Makes small containers of this program itself, which try what they must not be able to do. What is promised at \
         the levels baseline and restricted is seen to hold, beside a container at level privileged in which the same \
         attempt succeeds. Needs root. Nothing stays behind. The exit status is 1 when anything failed.",
    )
    .arg(option("level", "LEVEL", "Only this level: privileged, baseline or restricted"))
    .arg(report_format())
}

pub(super) fn selftest_probe() -> Command {
    command("selftest-probe", "The process in the containers of selftest", "Runs nowhere else.")
        .hide(true)
        .arg(operand("mode", "attempts, listen or status"))
        .arg(operand("token", "What /selftest must hold"))
}

fn read_list_format(given: &Given) -> Result<ListFormat, String> {
    match given.text("format")?.as_deref() {
        None | Some("" | "table") => Ok(ListFormat::Table),
        Some("json") => Ok(ListFormat::Json),
        Some(other) => Err(format!("invalid format option \"{other}\": want table or json")),
    }
}

pub(super) fn read_report_format(given: &Given) -> Result<ReportFormat, String> {
    match given.text("format")?.as_deref() {
        None | Some("" | "text") => Ok(ReportFormat::Text),
        Some("json") => Ok(ReportFormat::Json),
        Some(other) => Err(format!("invalid format option \"{other}\": want text or json")),
    }
}

pub(super) fn read_state(given: &Given) -> Result<Request, String> {
    Ok(Request::State(given.id()?))
}

pub(super) fn read_list(given: &Given) -> Result<Request, String> {
    Ok(Request::List(List { format: read_list_format(given)?, quiet: given.switch("quiet") }))
}

pub(super) fn read_ps(given: &Given) -> Result<Request, String> {
    Ok(Request::Ps(Ps { id: given.id()?, format: read_list_format(given)?, args: given.texts("options")? }))
}

pub(super) fn read_events(given: &Given) -> Result<Request, String> {
    let interval = given.parsed("interval", duration::parse)?.unwrap_or(Duration::from_secs(5));
    if interval.is_zero() {
        return Err("duration interval must be greater than 0".to_owned());
    }
    Ok(Request::Events(Events { id: given.id()?, stats: given.switch("stats"), interval }))
}

pub(super) fn read_spec(given: &Given) -> Result<Request, String> {
    Ok(Request::Spec(Spec { bundle: given.path("bundle"), rootless: given.switch("rootless") }))
}

pub(super) fn read_features(_: &Given) -> Result<Request, String> {
    Ok(Request::Features)
}

pub(super) fn read_explain(given: &Given) -> Result<Request, String> {
    let bundle = given.path("directory").or_else(|| given.path("bundle"));
    Ok(Request::Explain(Explain { bundle, format: read_report_format(given)? }))
}

pub(super) fn read_doctor(given: &Given) -> Result<Request, String> {
    Ok(Request::Doctor(Doctor { format: read_report_format(given)? }))
}

pub(super) fn read_selftest(given: &Given) -> Result<Request, String> {
    let level = given.parsed("level", str::parse::<Level>)?;
    Ok(Request::Selftest(Selftest { level, format: read_report_format(given)? }))
}

pub(super) fn read_selftest_probe(given: &Given) -> Result<Request, String> {
    let mode = match given.text("mode")?.as_deref() {
        Some("attempts") => ProbeMode::Attempts,
        Some("listen") => ProbeMode::Listen,
        Some("status") => ProbeMode::Status,
        other => return Err(format!("invalid mode \"{}\"", other.unwrap_or_default())),
    };
    Ok(Request::SelftestProbe(Probe { mode, token: given.text("token")?.unwrap_or_default() }))
}
