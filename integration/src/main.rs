//! Black-box checks of an OCI low-level runtime, from outside.
//!
//! Nothing here links against a runtime: a case writes a bundle, calls the runtime by path as an engine would, and
//! looks at the result from the host's `/proc` or through the `probe` placed in the container. The commands:
//!
//! * `integration --runtime PATH...`: what must not be possible, see [`escape`];
//! * `integration conformance --runtime PATH`: what a runtime does, the cases of [`cases`];
//! * `integration engines --runtime PATH`: Docker, containerd and Podman on top of that runtime, see [`engines`];
//! * `integration faults --runtime PATH`: casemate killed and failed at every system call, see [`faults`];
//! * `integration load PATH...`: many containers at a time, see [`load`];
//! * `integration quickstart --runtime PATH`: one container, and what was applied, see [`quickstart`];
//! * `integration bench PATH...`: several runtimes measured side by side, see [`bench`].
//!
//! Every command first moves itself into private namespaces ([`isolation`]), so that nothing a runtime does wrong
//! reaches the host's mounts or processes.

mod bench;
mod bundle;
mod case;
mod cases;
mod engines;
mod escape;
mod faults;
mod host;
mod isolation;
mod load;
mod options;
mod process;
mod quickstart;
mod report;
mod runtime;

use options::{Command, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match options::parse(&arguments) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("integration: {error:#}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match dispatch(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("integration: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Help => {
            println!("{}", options::USAGE);
            Ok(ExitCode::SUCCESS)
        }
        Command::List(Options { filter, .. }) => {
            for case in case::select(cases::all(), filter.as_ref()) {
                println!("{}", case.title());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Reap(arguments) => isolation::reap(&arguments),
        Command::Escape(options) if options.list => escape::list(&options),
        Command::Escape(options) => isolation::enter(isolation::Network::Private, || escape::run(&options)),
        Command::Conformance(options) => isolation::enter(isolation::Network::Shared, || cases::run(&options)),
        Command::Faults(options) => isolation::enter(isolation::Network::Private, || faults::run(&options)),
        Command::Load(options) => isolation::enter(isolation::Network::Private, || load::run(&options)),
        Command::Engines(options) => isolation::enter(isolation::Network::Private, || engines::run(&options)),
        Command::Quickstart(options) => isolation::enter(isolation::Network::Shared, || quickstart::run(&options)),
        Command::Bench(options) => isolation::enter(isolation::Network::Shared, || bench::run(&options)),
    }
}
