//! Commands that make, move or end a container.

use std::path::PathBuf;

use clap::{Arg, Command};

use super::Request;
use super::argument::{Given, command, id, id_command, operand, option, switch};
use super::id::ContainerId;
use super::signal::Signal;

/// `create`: make a container and leave its program waiting for `start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The container's id.
    pub id: ContainerId,
    /// The bundle; absent for the working directory.
    pub bundle: Option<PathBuf>,
    /// The AF_UNIX socket that gets the terminal's master descriptor.
    pub console_socket: Option<PathBuf>,
    /// The AF_UNIX socket that gets a pidfd of the container's init.
    pub pidfd_socket: Option<PathBuf>,
    /// The file that gets the init's pid.
    pub pid_file: Option<PathBuf>,
    /// Change the root by mount move and chroot(2), for a root on a ramdisk.
    pub no_pivot: bool,
    /// Leave the caller's session keyring to the container.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 on the container gets.
    pub preserve_fds: u32,
    /// `seccomp record`: the container's processes have a filter in any case, by which their calls are told from those
    /// of a process on its way into the container.
    pub recorded: bool,
}

/// `run`: `create` and `start`, then wait and `delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What `create` has, too.
    pub create: Create,
    /// Return when the program is started.
    pub detach: bool,
    /// Leave the stopped container to be inspected.
    pub keep: bool,
    /// Do not become a subreaper for the container's orphans.
    pub no_subreaper: bool,
}

/// `kill`: send a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// The container's id.
    pub id: ContainerId,
    /// The signal.
    pub signal: Signal,
    /// Accept a container that has stopped already.
    pub all: bool,
}

/// `delete`: remove what is left of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The container's id.
    pub id: ContainerId,
    /// End it first; accept that there is none.
    pub force: bool,
}

fn with_create_arguments(command: Command) -> Command {
    command
        .arg(option("bundle", "DIR", "The bundle [default: the working directory]").short('b'))
        .arg(option("console-socket", "SOCKET", "AF_UNIX socket that gets the terminal's master descriptor"))
        .arg(option("pidfd-socket", "SOCKET", "AF_UNIX socket that gets a pidfd of the container's init"))
        .arg(option("pid-file", "FILE", "File that gets the pid of the container's init"))
        .arg(switch("no-pivot", "Change the root without pivot_root(2); weaker, for a root on a ramdisk"))
        .arg(switch("no-new-keyring", "Leave the caller's session keyring to the container"))
        .arg(option("preserve-fds", "N", "Pass N more descriptors, from 3 on, to the container"))
        .arg(id())
}

pub(super) fn create() -> Command {
    with_create_arguments(command(
        "create",
        "Make a container",
        "Sets up all that config.json of the bundle asks for, and leaves the program waiting for \
         `casemate start`. Later changes of config.json have no effect.",
    ))
}

pub(super) fn run() -> Command {
    with_create_arguments(command(
        "run",
        "Make a container, run its program and remove the container",
        "Is `create`, `start`, and `delete` when the program has ended. Signals are forwarded to the program, \
         and its exit status is that of this command: 128 and the signal's number if a signal ended it.",
    ))
    .arg(switch("detach", "Return when the program is started").short('d'))
    .arg(switch("keep", "Do not remove the container when its program has ended"))
    .arg(switch("no-subreaper", "Do not become the parent of the container's orphans"))
}

pub(super) fn start() -> Command {
    id_command("start", "Start the program of a created container", "The container has to be in the state created.")
}

pub(super) fn kill() -> Command {
    command(
        "kill",
        "Send a signal to a container",
        "The signal goes to the container's init; SIGKILL goes to all processes if the container shares its pid \
         namespace. Signals are numbers, or names with or without SIG.",
    )
    .arg(switch("all", "Do not fail if the container has stopped already").short('a'))
    .arg(id())
    .arg(operand("signal", "The signal [default: SIGTERM]").required(false))
}

pub(super) fn delete() -> Command {
    command(
        "delete",
        "Remove a container",
        "Removes the cgroup and the state of a container that is stopped, or that was created and never started, \
         and runs its poststop hooks.",
    )
    .arg(switch("force", "Kill it first if it runs, and do not fail if there is none").short('f'))
    .arg(id())
}

pub(super) fn pause() -> Command {
    id_command("pause", "Freeze all processes of a container", "`casemate resume` thaws them.")
}

pub(super) fn resume() -> Command {
    id_command("resume", "Thaw a paused container", "The container has to be paused.")
}

/// Where `--console-socket` and the like are defined once for `exec`, too.
pub(super) fn console_arguments() -> [Arg; 4] {
    [
        option("console-socket", "SOCKET", "AF_UNIX socket that gets the terminal's master descriptor"),
        option("pidfd-socket", "SOCKET", "AF_UNIX socket that gets a pidfd of the process"),
        option("pid-file", "FILE", "File that gets the pid of the process"),
        option("preserve-fds", "N", "Pass N more descriptors, from 3 on, to the process"),
    ]
}

fn read_create_arguments(given: &Given) -> Result<Create, String> {
    Ok(Create {
        id: given.id()?,
        bundle: given.path("bundle"),
        console_socket: given.path("console-socket"),
        pidfd_socket: given.path("pidfd-socket"),
        pid_file: given.path("pid-file"),
        no_pivot: given.switch("no-pivot"),
        no_new_keyring: given.switch("no-new-keyring"),
        preserve_fds: given.number("preserve-fds")?.unwrap_or(0),
        recorded: false,
    })
}

pub(super) fn read_create(given: &Given) -> Result<Request, String> {
    Ok(Request::Create(read_create_arguments(given)?))
}

pub(super) fn read_run(given: &Given) -> Result<Request, String> {
    Ok(Request::Run(Run {
        create: read_create_arguments(given)?,
        detach: given.switch("detach"),
        keep: given.switch("keep"),
        no_subreaper: given.switch("no-subreaper"),
    }))
}

pub(super) fn read_start(given: &Given) -> Result<Request, String> {
    Ok(Request::Start(given.id()?))
}

pub(super) fn read_kill(given: &Given) -> Result<Request, String> {
    let id = given.id()?;
    let signal = match given.text("signal")? {
        Some(text) => text.parse()?,
        None => Signal::TERM,
    };
    Ok(Request::Kill(Kill { id, signal, all: given.switch("all") }))
}

pub(super) fn read_delete(given: &Given) -> Result<Request, String> {
    Ok(Request::Delete(Delete { id: given.id()?, force: given.switch("force") }))
}

pub(super) fn read_pause(given: &Given) -> Result<Request, String> {
    Ok(Request::Pause(given.id()?))
}

pub(super) fn read_resume(given: &Given) -> Result<Request, String> {
    Ok(Request::Resume(given.id()?))
}
