//! `exec`: one more process in a container.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, Command, value_parser};

use super::Request;
use super::argument::{Given, command, id, list, option, switch};
use super::id::ContainerId;
use super::lifecycle::console_arguments;
use super::user::{User, parse_id};

/// `exec`: run a process in a container that is there.
///
/// With `process` the file says all about the process; without it the container's own `process`
/// does, changed by the other fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The container's id.
    pub id: ContainerId,
    /// A file with the JSON of `process`.
    pub process: Option<PathBuf>,
    /// The program and its arguments; not empty unless `process` is given.
    pub args: Vec<String>,
    /// The working directory, as seen in the container.
    pub cwd: Option<String>,
    /// Additions to the environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Give the process a terminal.
    pub tty: bool,
    /// The user to be.
    pub user: Option<User>,
    /// Additional groups to be in.
    pub additional_gids: Vec<u32>,
    /// Return when the process is started.
    pub detach: bool,
    /// The file that gets the process's pid.
    pub pid_file: Option<PathBuf>,
    /// The SELinux label to run under.
    pub process_label: Option<String>,
    /// The AppArmor profile to run under.
    pub apparmor: Option<String>,
    /// Set `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Capabilities to have in addition, by name.
    pub caps: Vec<String>,
    /// How many descriptors from 3 on the process gets.
    pub preserve_fds: u32,
    /// Cgroups below the container's to join, as `PATH` or `CONTROLLER[,CONTROLLER...]:PATH`.
    pub cgroups: Vec<String>,
    /// Go into a paused container, too; the process starts when it is resumed.
    pub ignore_paused: bool,
    /// The AF_UNIX socket that gets the terminal's master descriptor.
    pub console_socket: Option<PathBuf>,
    /// The AF_UNIX socket that gets a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
}

pub(super) fn exec() -> Command {
    command(
        "exec",
        "Run a process in a container",
        "The container has to be created or running. All that follows the container's id is the command line of \
         the process. The exit status is that of the process, 128 and the signal's number if a signal ended it, \
         and 255 if it could not be run.",
    )
    .args(console_arguments())
    .arg(option("cwd", "DIR", "The working directory in the container"))
    .arg(list("env", "NAME=VALUE", "Add to the environment; may be repeated").short('e'))
    .arg(switch("tty", "Give the process a terminal").short('t'))
    .arg(option("user", "UID[:GID]", "The user, and group, to be").short('u'))
    .arg(list("additional-gids", "GID", "One more group to be in; may be repeated").short('g'))
    .arg(option("process", "FILE", "Take all about the process from this JSON file").short('p'))
    .arg(switch("detach", "Return when the process is started").short('d'))
    .arg(option("process-label", "LABEL", "The SELinux label to run under"))
    .arg(option("apparmor", "PROFILE", "The AppArmor profile to run under"))
    .arg(switch("no-new-privs", "Set no_new_privs on the process"))
    .arg(list("cap", "CAP", "One more capability to have; may be repeated").short('c'))
    .arg(list("cgroup", "PATH", "Join this cgroup below the container's; cgroup v1: [CONTROLLER,...:]PATH"))
    .arg(switch("ignore-paused", "Go into a paused container, too"))
    .arg(id())
    .arg(
        Arg::new("command")
            .help("The program and its arguments")
            .num_args(0..)
            .trailing_var_arg(true)
            .value_parser(value_parser!(OsString)),
    )
}

pub(super) fn read(given: &Given) -> Result<Request, String> {
    let exec = Exec {
        id: given.id()?,
        process: given.path("process"),
        args: given.texts("command")?,
        cwd: given.text("cwd")?.filter(|cwd| !cwd.is_empty()),
        env: given.texts("env")?,
        tty: given.switch("tty"),
        user: given.parsed("user", str::parse)?,
        additional_gids: given
            .texts("additional-gids")?
            .iter()
            .map(|text| parse_id(text).ok_or_else(|| format!("option --additional-gids: invalid group \"{text}\"")))
            .collect::<Result<_, _>>()?,
        detach: given.switch("detach"),
        pid_file: given.path("pid-file"),
        process_label: given.text("process-label")?.filter(|label| !label.is_empty()),
        apparmor: given.text("apparmor")?.filter(|profile| !profile.is_empty()),
        no_new_privs: given.switch("no-new-privs"),
        caps: given.texts("cap")?,
        preserve_fds: given.number("preserve-fds")?.unwrap_or(0),
        cgroups: given.texts("cgroup")?,
        ignore_paused: given.switch("ignore-paused"),
        console_socket: given.path("console-socket"),
        pidfd_socket: given.path("pidfd-socket"),
    };
    if exec.process.is_none() && exec.args.is_empty() {
        return Err("process args cannot be empty: give a command, or --process".to_owned());
    }
    Ok(Request::Exec(Box::new(exec)))
}
