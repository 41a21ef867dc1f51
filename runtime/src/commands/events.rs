//! `events`: what a container uses, and when it runs out of memory.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;

use super::{Root, json, print};
use crate::cgroup::{Cgroup, Oom, OomWatch, Stats};
use crate::cli::Events;
use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::state::{Container, Process, of_cgroup};

/// One line.
#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stats>,
}

/// What woke the loop.
enum Woken {
    Interval,
    Oom,
    Ended,
}

/// Prints one JSON object for each event, until the container ends or nobody reads; with `--stats` the figures once.
///
/// # Errors
/// `container with id ID is not running`; a failed call.
pub fn run(root: &Root, events: &Events, log: &Log, out: &mut dyn Write) -> Result<()> {
    let container = Container::load(&root.existing()?, events.id.as_str())?;
    let id = events.id.as_str();
    let Some(process) = container.process()? else {
        return Err(Error::new(Kind::WrongState, format!("container with id {id} is not running")));
    };
    let cgroup = container.cgroup();
    if events.stats {
        return print_stats(id, &cgroup, out).map(drop);
    }
    let mut oom = match cgroup.watch_oom() {
        Ok(oom) => Some(oom),
        // The figures are worth something without it: a host may have no memory controller.
        Err(error) => {
            log.warn(&format!("events: no notice of out-of-memory: {error}"));
            None
        }
    };
    let mut next = Instant::now() + events.interval;
    loop {
        let read = match wait(&process, oom.as_ref(), next)? {
            Woken::Ended => return Ok(()),
            Woken::Interval => {
                next += events.interval;
                print_stats(id, &cgroup, out)?
            }
            Woken::Oom => match oom.as_mut().map(OomWatch::take).transpose().map_err(of_cgroup)? {
                Some(Oom::Happened) => print(out, &line(&Event { r#type: "oom", id, data: None })?)?,
                Some(Oom::Gone) => {
                    oom = None;
                    true
                }
                Some(Oom::Quiet) | None => true,
            },
        };
        if !read {
            return Ok(());
        }
    }
}

fn print_stats(id: &str, cgroup: &Cgroup, out: &mut dyn Write) -> Result<bool> {
    let data = Some(cgroup.stats().map_err(of_cgroup)?);
    print(out, &line(&Event { r#type: "stats", id, data })?)
}

fn line(event: &Event<'_>) -> Result<String> {
    Ok(json(event)? + "\n")
}

/// Waits for the next event; the end of the container comes before all others, for its cgroup goes with it.
fn wait(process: &Process, oom: Option<&OomWatch>, next: Instant) -> Result<Woken> {
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let mut fds = vec![PollFd::new(process, PollFlags::IN)];
        fds.extend(oom.map(|oom| PollFd::new(oom, oom.poll_flags())));
        let count = match poll(&mut fds, Some(&timespec(left))) {
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Error::call("poll", format!("process {}", process.pid()), errno)),
        };
        let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        match (ended, count) {
            (true, _) => return Ok(Woken::Ended),
            (false, 0) => return Ok(Woken::Interval),
            (false, _) => return Ok(Woken::Oom),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    let tv_sec = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: i64::from(duration.subsec_nanos()) }
}

#[cfg(test)]
mod tests;
