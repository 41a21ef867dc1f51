//! The casemate binary: reads the command line, does what it asks for, says how it ended.

use casemate::cli::{self, Globals, Request};
use casemate::commands::{self, Root};
use casemate::error::Result;
use casemate::log::Log;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
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
    let root = Root::of(globals);
    let out = &mut std::io::stdout();
    match request {
        Request::Create(create) => commands::create::run(&root?, globals.systemd_cgroup, &create, log)?,
        Request::Run(run) => return commands::run::run(&root?, globals.systemd_cgroup, &run, log),
        Request::Start(id) => commands::start::run(&root?, &id, log)?,
        Request::Exec(exec) => return commands::exec::run(&root?, &exec, log),
        Request::Kill(kill) => commands::kill::run(&root?, &kill)?,
        Request::Delete(delete) => commands::delete::run(&root?, &delete, log)?,
        Request::State(id) => commands::state::run(&root?, &id, out)?,
        Request::List(list) => commands::list::run(&root?, &list, out)?,
        Request::Ps(ps) => commands::ps::run(&root?, &ps, out)?,
        Request::Pause(id) => commands::pause::pause(&root?, &id)?,
        Request::Resume(id) => commands::pause::resume(&root?, &id)?,
        Request::Update(update) => commands::update::run(&root?, &update, log)?,
        Request::Events(events) => commands::events::run(&root?, &events, log, out)?,
        Request::Explain(explain) => commands::explain::run(&explain, out)?,
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}
