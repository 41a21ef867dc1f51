//! `seccomp trace`: which calls of a running container its filter denies, as it happens.

use super::super::{Root, json, not_running, print};
use super::denied::{Denied, Tally};
use super::tracer::Tracer;
use super::verdict::Verdict;
use super::watch::{Watch, What};
use crate::cli::{ReportFormat, SeccompTrace, TraceMethod};
use crate::error::{Call as _, Error, Kind, Result};
use crate::state::Container;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::Write;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

/// How often the counts are read.
const STEP: Duration = Duration::from_millis(200);

/// `casemate seccomp trace`.
///
/// # Errors
/// A container that does not run or has no filter; see [`Watch::begin`].
pub fn run(root: &Root, request: &SeccompTrace, out: &mut dyn Write) -> Result<()> {
    let container = Container::load(&root.existing()?, request.id.as_str())?;
    let process = container.process()?.ok_or_else(not_running)?;
    let verdict = Verdict::of(&container)?.ok_or_else(|| {
        let what = format!("container \"{}\" has no seccomp filter: nothing is denied by one", request.id.as_str());
        Error::new(Kind::WrongState, what)
    })?;
    let asked: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    asked.thread_block().call("sigprocmask", "SIGINT")?;
    let signals =
        SignalFd::with_flags(&asked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).call("signalfd", "SIGINT")?;
    let (mut source, how) = Source::begin(&container, &verdict, request.method)?;
    let text = request.format == ReportFormat::Text;
    let began = Instant::now();
    let deadline = request.duration.map(|duration| began + duration);
    let mut reader = !text || print(out, &format!("watching; {how}\n"))?;
    // What was read and taken out of the kernel; all that was read.
    let (mut settled, mut told) = (Tally::default(), Tally::default());
    loop {
        let left = deadline.map_or(STEP, |deadline| deadline.saturating_duration_since(Instant::now()).min(STEP));
        let over = left.is_zero() || !reader || wait(&signals, process.as_fd(), left)?;
        let (denied, forgotten) = source.denied(&container, &verdict)?;
        if !denied.is_empty() {
            let mut tally = settled.clone();
            tally.add(&denied);
            if text {
                reader &= print(out, &tally.lines_beyond(&told))?;
            }
            if forgotten {
                settled = tally.clone();
            }
            told = tally;
        }
        if over {
            break;
        }
    }
    let lost = source.lost()?;
    let report = match request.format {
        ReportFormat::Text => report(&told, began.elapsed(), lost),
        ReportFormat::Json => {
            json(&serde_json::json!({"id": request.id.as_str(), "method": source.name(),
                "seconds": began.elapsed().as_secs_f64(), "lost": lost,
                "denied": told.json()}))?
                + "\n"
        }
    };
    print(out, &report).map(drop)
}

/// Where denied calls are seen.
enum Source {
    Kernel(Watch),
    Tracer(Tracer),
}

impl Source {
    /// By the method asked for, or by the first that works; what to tell about it.
    fn begin(container: &Container, verdict: &Verdict, method: Option<TraceMethod>) -> Result<(Source, String)> {
        let mut why = String::new();
        if method != Some(TraceMethod::Ptrace) {
            match Watch::begin(&container.record.cgroups, Some(verdict), What::Denied) {
                Ok(watch) => return Ok((Source::Kernel(watch), "the kernel counts (bpf)".into())),
                Err(error) if method.is_some() => return Err(error),
                Err(error) => why = format!(", because the kernel cannot count: {error}"),
            }
        }
        let mut tracer = Tracer::default();
        tracer.seize(container)?;
        Ok((Source::Tracer(tracer), format!("each call is stopped (ptrace){why}")))
    }

    /// What was denied, and whether it will not be told again.
    fn denied(&mut self, container: &Container, verdict: &Verdict) -> Result<(Vec<Denied>, bool)> {
        match self {
            Source::Kernel(watch) => watch.denied(verdict),
            Source::Tracer(tracer) => {
                let denied = tracer.step(verdict)?;
                tracer.seize(container)?;
                Ok((denied, true))
            }
        }
    }

    fn lost(&self) -> Result<u64> {
        match self {
            Source::Kernel(watch) => watch.lost().map(|[_, lost]| lost),
            Source::Tracer(_) => Ok(0),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Source::Kernel(_) => "bpf",
            Source::Tracer(_) => "ptrace",
        }
    }
}

fn report(denied: &Tally, time: Duration, lost: u64) -> String {
    let lost = if lost > 0 { format!("{lost} more found no place and are not told\n") } else { String::new() };
    if denied.is_empty() {
        return format!("nothing was denied in {:.0} s\n{lost}", time.as_secs_f64());
    }
    format!("\n{}{lost}", denied.table())
}

/// Whether a signal asked for the end or the process ended within the time. A traced thread that stops ends the wait.
fn wait(signals: &SignalFd, process: BorrowedFd<'_>, time: Duration) -> Result<bool> {
    let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::from_borrowed_fd(process, PollFlags::IN)];
    let time = Timespec::try_from(time).map_err(|_| Errno::INVAL).call("poll", "time")?;
    match poll(&mut fds, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(Error::call("poll", "signals", errno)),
    }
    let [_, ended] = &fds;
    let mut over = !ended.revents().is_empty();
    while let Some(info) = signals.read_signal().call("read", "signalfd")? {
        over |= info.ssi_signo != Signal::SIGCHLD as u32;
    }
    Ok(over)
}
