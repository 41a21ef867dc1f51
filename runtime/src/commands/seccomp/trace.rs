//! `seccomp trace`: which calls of a running container its filter denies, as it happens.

use super::super::{Root, json, not_running, print};
use super::denied::Tally;
use super::verdict::Verdict;
use super::watch::{Watch, What};
use crate::cli::{ReportFormat, SeccompTrace};
use crate::error::{Call as _, Error, Kind, Result};
use crate::state::Container;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::Write;
use std::os::fd::AsFd as _;
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
    let asked: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    asked.thread_block().call("sigprocmask", "SIGINT")?;
    let signals = SignalFd::with_flags(&asked, SfdFlags::SFD_CLOEXEC).call("signalfd", "SIGINT")?;
    let watch = Watch::begin(&container.record.cgroups, Some(&verdict), What::Denied)?;
    let text = request.format == ReportFormat::Text;
    let began = Instant::now();
    let deadline = request.duration.map(|duration| began + duration);
    let mut reader = !text || print(out, "watching; the kernel counts (bpf)\n")?;
    // What was read and taken out of the kernel; all that was read.
    let (mut settled, mut told) = (Tally::default(), Tally::default());
    loop {
        let left = deadline.map_or(STEP, |deadline| deadline.saturating_duration_since(Instant::now()).min(STEP));
        let over = left.is_zero() || !reader || wait(&signals, process.as_fd(), left)?;
        let (denied, forgotten) = watch.denied(&verdict)?;
        let mut tally = settled.clone();
        tally.add(&denied);
        if text {
            reader &= print(out, &tally.lines_beyond(&told))?;
        }
        if forgotten {
            settled = tally.clone();
        }
        told = tally;
        if over {
            break;
        }
    }
    let [_, lost] = watch.lost()?;
    let report = match request.format {
        ReportFormat::Text => report(&told, began.elapsed(), lost),
        ReportFormat::Json => {
            json(&serde_json::json!({"id": request.id.as_str(), "method": "bpf",
                "seconds": began.elapsed().as_secs_f64(), "lost": lost,
                "denied": told.json()}))?
                + "\n"
        }
    };
    print(out, &report).map(drop)
}

fn report(denied: &Tally, time: Duration, lost: u64) -> String {
    let lost = if lost > 0 { format!("{lost} more found no place and are not told\n") } else { String::new() };
    if denied.is_empty() {
        return format!("nothing was denied in {:.0} s\n{lost}", time.as_secs_f64());
    }
    format!("\n{}{lost}", denied.table())
}

/// Whether a signal came or the process ended within the time.
fn wait(signals: &SignalFd, process: std::os::fd::BorrowedFd<'_>, time: Duration) -> Result<bool> {
    let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::from_borrowed_fd(process, PollFlags::IN)];
    let time = Timespec::try_from(time).map_err(|_| Errno::INVAL).call("poll", "time")?;
    match poll(&mut fds, Some(&time)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(Error::call("poll", "signals", errno)),
    }
}
