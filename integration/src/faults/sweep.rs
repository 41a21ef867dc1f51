//! A sweep: one command, failed or killed at one system call after the other.

use crate::faults::errors::{name, plausible, words};
use crate::faults::place::{Likeness, Place, difference, is_credential};
use crate::faults::tracer::{Fault, Injection, Traced};
use crate::process::{Output, eventually};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::process::Command;

/// The commands that are swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Create,
    Start,
    Exec,
    Delete,
}

impl Subject {
    pub const ALL: [Subject; 4] = [Subject::Create, Subject::Start, Subject::Exec, Subject::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Subject::Create => "create",
            Subject::Start => "start",
            Subject::Exec => "exec",
            Subject::Delete => "delete",
        }
    }
}

/// What the injections of one kind into one process came to.
#[derive(Debug)]
pub struct Row {
    pub process: String,
    pub kind: &'static str,
    pub points: usize,
    /// Points that the command did not come to, because it went another way this time.
    pub missed: usize,
    pub failures: Vec<String>,
}

/// How often the same id lives a whole life, and the whole host is compared.
const EVERY: usize = 25;

/// The words of an error that hides the errno, because whoever saw it could not say it.
const TOLD_ELSEWHERE: [&str; 9] = [
    // Init ended before start looked.
    "cannot start a container that has stopped",
    // read(2) in init of the byte that says start: it ends without a word, for that is how it sees that nobody is there.
    "init ended before it was ready",
    "send \"init\": broken pipe",
    "fcntl before init failed",
    // fstat(2) of a link of procfs.
    "not the file it stands for",
    "embedded init could not be executed",
    "capset before init was refused",
    "init exited with status",
    // accept(2) in init: who connects has not got the object with init's report yet.
    "init closed its socket",
];

/// Where the standard library aborts because it has no way to answer an error: the alternative stack of its signal handler,
/// the allocator, the keys of a hash map, the pipe to a new process.
const ABORTS: [&str; 4] = [
    "failed to allocate an alternative stack",
    "memory allocation of",
    "failed to generate random data",
    "the CLOEXEC pipe failed",
];

/// Whether the standard library aborted with its own words; before main, where it polls the three streams, it has none.
fn aborted(output: &Output, call: Option<i64>) -> bool {
    let silent = output.stderr.is_empty() && call.is_some_and(|call| name(call).ends_with("poll"));
    // A debug build unwinds.
    [101, 134].contains(&output.code) && (silent || ABORTS.iter().any(|words| output.says(words)))
}

/// A command, and what it is compared with.
pub struct Sweep<'p, 'a> {
    place: &'p Place<'a>,
    subject: Subject,
    likeness: Likeness,
}

impl<'p, 'a> Sweep<'p, 'a> {
    /// Counts the calls of the command and makes every `every`th of them a point; `selected` picks processes and kinds.
    pub fn run(
        place: &'p Place<'a>,
        subject: Subject,
        every: usize,
        selected: &dyn Fn(&str, &str) -> bool,
        report: &mut dyn FnMut(Row),
    ) -> Result<()> {
        let console = place.console()?;
        place.running()?;
        let likeness = place.likeness()?;
        place.delete(&[])?;
        drop(console);
        let sweep = Self { place, subject, likeness };
        let calls = sweep.count()?;
        for (process, calls) in &calls {
            for kind in ["killed", "failed"] {
                if selected(process, kind) {
                    report(sweep.row(process, calls, kind, every).with_context(|| format!("{process} {kind}"))?);
                }
            }
        }
        Ok(())
    }

    fn count(&self) -> Result<BTreeMap<String, Vec<i64>>> {
        let _console = self.place.console()?;
        let (traced, output) = self.once(None)?;
        ensure!(!traced.hung && traced.code == 0, "without a fault: {output}");
        self.after(&traced, &output, None).context("without a fault")?;
        self.place.delete(&traced.pids)?;
        Ok(traced.calls)
    }

    fn row(&self, process: &str, calls: &[i64], kind: &'static str, every: usize) -> Result<Row> {
        let mut row = Row { process: process.to_owned(), kind, points: 0, missed: 0, failures: Vec::new() };
        for (at, call) in (1..).zip(calls).step_by(every) {
            let fault = match kind {
                "killed" => Fault::Kill,
                _ => match plausible(*call) {
                    Some(errno) => Fault::Error(errno),
                    None => continue,
                },
            };
            row.points += 1;
            let mut met = None;
            match self.point(Injection { process: process.to_owned(), at, fault }, &mut met) {
                Ok(()) => row.missed += usize::from(met.is_none()),
                Err(error) => {
                    let call = name(met.unwrap_or(*call));
                    row.failures.push(format!("call {at}, {call}, {}: {error:#}", fault.words()));
                }
            }
            if row.points.is_multiple_of(EVERY) {
                self.pause().with_context(|| format!("after call {at}"))?;
            }
            if row.failures.len() > 40 {
                row.failures.push("and more: the rest is left out".to_owned());
                break;
            }
        }
        self.pause()?;
        Ok(row)
    }

    fn pause(&self) -> Result<()> {
        self.place.delete(&[])?;
        self.place.whole_life().context("the same id once more")?;
        self.place.host_is_unchanged()
    }

    /// One injection. `met` is the call that it hit.
    fn point(&self, injection: Injection, met: &mut Option<i64>) -> Result<()> {
        let _console = self.place.console()?;
        let (traced, output) = match self.once(Some(injection.clone())) {
            Ok(done) => done,
            Err(error) => {
                self.place.delete(&[])?;
                return Err(error);
            }
        };
        *met = traced.met;
        let judged = self.judge(&traced, &output, &injection);
        // Whatever was found, the ground is made clean for the next point; exec's container is kept while it is well.
        let deleted = match (self.subject, &judged) {
            (Subject::Exec, Ok(())) => self.place.no_process(&traced.pids),
            _ => self.place.delete(&traced.pids),
        };
        judged?;
        deleted.with_context(|| format!("afterwards; {output}"))
    }

    fn judge(&self, traced: &Traced, output: &Output, injection: &Injection) -> Result<()> {
        ensure!(!traced.hung, "hangs at {}: {output}", traced.met.map_or_else(String::new, name));
        if traced.met.is_none() {
            ensure!(output.code == 0, "without having come to the call: {output}");
        }
        let command_killed = injection.fault == Fault::Kill && injection.process == "casemate" && traced.met.is_some();
        if command_killed {
            ensure!(output.code == 137, "not killed: {output}");
        } else if output.code == 137 && self.subject == Subject::Exec && injection.fault == Fault::Kill {
            // The process of exec was killed, and casemate hands on how it ended.
        } else if output.code != 0 && !aborted(output, traced.met) {
            ensure!(output.code < 128 || output.code == 255, "crashed: {output}");
            ensure!(!output.stderr.trim().is_empty(), "failed without a word: {output}");
            if let Fault::Error(errno) = injection.fault {
                let told = output.says(&words(errno)) || TOLD_ELSEWHERE.iter().any(|words| output.says(words));
                ensure!(told || output.says("hook #0"), "what failed is not told: {output}");
            }
        }
        self.after(traced, output, Some(injection)).with_context(|| format!("{output}"))
    }

    /// Runs the command on a container in the state that it needs.
    fn once(&self, injection: Option<Injection>) -> Result<(Traced, Output)> {
        let (place, id) = (self.place, self.place.id.as_str());
        let (command, init): (Command, Option<i32>) = match self.subject {
            Subject::Create => (place.create(), None),
            Subject::Start => {
                place.created()?;
                (place.command(&["start", id]), Some(place.pid()?))
            }
            Subject::Exec => {
                if !place.ground.root.join(id).exists() {
                    place.running()?;
                }
                (place.command(&["exec", id, "/bin/cat", "/proc/self/status"]), None)
            }
            Subject::Delete => {
                place.running()?;
                (place.command(&["delete", "--force", id]), None)
            }
        };
        place.traced(command, init, injection)
    }

    /// What must hold after the command: if it says that it succeeded, everything asked for is there.
    fn after(&self, traced: &Traced, output: &Output, injection: Option<&Injection>) -> Result<()> {
        let (place, succeeded) = (self.place, output.code == 0);
        // A process that is killed once the command has all it needs ends the container, which is no lie of the command's.
        let init_killed = injection.is_some_and(|i| i.fault == Fault::Kill && i.process != "casemate");
        // Init waits for start with this call; create may have ended by then.
        let waiting = traced.met.is_some_and(|call| name(call).starts_with("accept"));
        match self.subject {
            Subject::Create if succeeded => {
                let started = place.call(&["start", &place.id])?;
                if (init_killed || waiting) && started.code != 0 {
                    return Ok(());
                }
                started.success()?;
                self.is_whole()
            }
            Subject::Create => Ok(()),
            // runtime.md, lifecycle: a poststart hook that fails destroys the container.
            Subject::Start if !succeeded && output.says("poststart hook") => place.gone(&traced.pids),
            Subject::Start => {
                let status = place.status()?;
                match status.as_str() {
                    "running" if succeeded && !init_killed => self.is_whole(),
                    // It takes an exec, or was on its way out when it was looked at.
                    "running" => match place.call(&["exec", &place.id, "/bin/true"])?.success() {
                        Ok(_) => Ok(()),
                        Err(error) => {
                            eventually("the container stops", || Ok((place.status()? == "stopped").then_some(())))
                                .context(error)
                        }
                    },
                    "created" if !succeeded => {
                        place.call(&["start", &place.id])?.success()?;
                        self.is_whole()
                    }
                    "stopped" if !succeeded || init_killed => Ok(()),
                    _ => bail!("the container is {status}"),
                }
            }
            Subject::Exec => {
                if succeeded {
                    let seen: Likeness = output
                        .stdout
                        .lines()
                        .filter_map(|line| line.split_once(':'))
                        .filter(|(field, _)| is_credential(field))
                        .map(|(field, value)| (field.to_owned(), value.trim().to_owned()))
                        .collect();
                    let wanted = self.likeness.iter().filter(|(field, _)| is_credential(field));
                    let wanted = wanted.map(|(field, value)| (field.clone(), value.clone())).collect();
                    let other = difference(&wanted, &seen);
                    ensure!(other.is_empty(), "the process is not as asked for: {}", other.join("; "));
                }
                place.no_process(&traced.pids)?;
                ensure!(place.status()? == "running", "the container does not run any more");
                place.call(&["exec", &place.id, "/bin/true"])?.success()?;
                eventually("nothing but the container's program is there", || {
                    let pids = place.ground.host.cgroup_processes(place.bundle.cgroups_path());
                    Ok((pids == [place.pid()?]).then_some(()))
                })
            }
            Subject::Delete if succeeded => place.gone(&traced.pids),
            Subject::Delete => Ok(()),
        }
    }

    fn is_whole(&self) -> Result<()> {
        let other = difference(&self.likeness, &self.place.likeness()?);
        ensure!(other.is_empty(), "the container is not as asked for: {}", other.join("; "));
        Ok(())
    }
}
