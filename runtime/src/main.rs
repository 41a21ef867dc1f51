//! The casemate binary: reads the command line, does what it asks for, says how it ended.

use casemate::cli::{self, Globals, Request};
use casemate::commands::doctor::Colour;
use casemate::commands::gate::Gate;
use casemate::commands::{self, Root};
use casemate::error::{Call, Result};
use casemate::log::Log;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A caller that ignores SIGCHLD hands that down, and then nobody can be waited for.
    if let Err(error) = casemate::sys::signal::default_sigchld() {
        Log::default().error(&format!("sigaction SIGCHLD: {error}"));
        return ExitCode::FAILURE;
    }
    let (globals, request) = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(usage) => {
            let log = Log::new(usage.globals.log, usage.globals.log_format, usage.globals.debug);
            // Who closed stdout does not want the help.
            let _told = std::io::stdout().write_all(usage.help.as_bytes());
            if let Some(error) = usage.error {
                log.error(&error);
            }
            return ExitCode::from(usage.code);
        }
    };
    let log = Log::new(globals.log.clone(), globals.log_format, globals.debug);
    let failure = request.failure_code();
    match perform(&globals, request, &log) {
        Ok(code) => code,
        Err(error) => {
            log.error(&error.to_string());
            ExitCode::from(failure)
        }
    }
}

fn perform(globals: &Globals, request: Request, log: &Log) -> Result<ExitCode> {
    // What selftest runs in its containers is a program like any other there.
    if !matches!(request, Request::SelftestProbe(_)) {
        conceal()?;
    }
    let root = Root::of(globals);
    let gate = &Gate::of(globals);
    let out = &mut std::io::stdout();
    match request {
        Request::Create(create) => commands::create::run(&root?, globals.systemd_cgroup, gate, &create, log)?,
        Request::Run(run) => return commands::run::run(&root?, globals.systemd_cgroup, gate, &run, log),
        Request::Start(id) => commands::start::run(&root?, &id, log)?,
        Request::Exec(exec) => return commands::exec::run(&root?, gate, &exec, log),
        Request::Kill(kill) => commands::kill::run(&root?, &kill)?,
        Request::Delete(delete) => commands::delete::run(&root?, &delete, log)?,
        Request::State(id) => commands::state::run(&root?, &id, out)?,
        Request::List(list) => commands::list::run(&root?, &list, out)?,
        Request::Ps(ps) => commands::ps::run(&root?, &ps, out)?,
        Request::Pause(id) => commands::pause::pause(&root?, &id)?,
        Request::Resume(id) => commands::pause::resume(&root?, &id)?,
        Request::Update(update) => commands::update::run(&root?, gate, &update, log)?,
        Request::Events(events) => commands::events::run(&root?, &events, log, out)?,
        Request::Explain(explain) => commands::explain::run(gate, &explain, colour(), log, out)?,
        Request::Version => print(&casemate::version::text())?,
        Request::Spec(spec) => {
            commands::spec::run(spec.bundle.as_deref().unwrap_or(Path::new(".")), spec.rootless)?;
        }
        Request::Features => commands::features::run(out)?,
        Request::Seccomp(seccomp) => {
            return commands::seccomp::run(root, globals.systemd_cgroup, gate, &seccomp, log, out);
        }
        Request::Check(check) => return Ok(answer(commands::check::run(&check, globals, colour(), log, out)?)),
        Request::Doctor(doctor) => return Ok(answer(commands::doctor::run(doctor.format, colour(), out)?)),
        Request::Inspect(inspect) => return Ok(answer(commands::inspect::run(&root?, &inspect, colour(), out)?)),
        Request::Selftest(selftest) => {
            let level = selftest.level.or(globals.level);
            return Ok(answer(commands::selftest::run(level, selftest.format, colour(), out)?));
        }
        Request::SelftestProbe(probe) => commands::selftest::probe::run(&probe, out)?,
        #[cfg(feature = "man")]
        Request::Completion(shell) => cli::write_completion(shell, out)?,
        #[cfg(feature = "man")]
        Request::Man(dir) => cli::write_man(dir.as_deref(), out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A command holds its caller's privileges, so nobody may look into it, and it leaves no core dump. Without root's it has
/// nothing to give, and could not read its own /proc any more.
fn conceal() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let behavior = rustix::process::DumpableBehavior::NotDumpable;
    rustix::process::set_dumpable_behavior(behavior).call("prctl", "PR_SET_DUMPABLE")
}

/// The exit code of a command that judges.
fn answer(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Colour for people only.
fn colour() -> Colour {
    if std::io::stdout().is_terminal() { Colour::On } else { Colour::Off }
}

fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that closes its end has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(casemate::error::Error::new(casemate::error::Kind::System, format!("write stdout: {error}")))
        }
        _ => Ok(()),
    }
}
