//! Where the kernel cannot count: each call of the container is stopped at its entry (ptrace(2)), and the filter asked.
//!
//! The filters are asked after that stop, about the same registers: what the interpreter says will happen. Nothing is
//! changed, and when this process ends, in whatever way, the kernel lets all threads go on.

use super::denied::{Call, Denied, Outcome};
use super::verdict::Verdict;
use super::watch::arch_of;
use crate::error::{Call as _, Error, Result};
use crate::state::{Container, of_cgroup};
use crate::sys::syscall_stop::{self as stops, Resume, Stop};
use rustix::io::Errno;
use seccomp_profiles::{Action, SeccompData};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// How often it is looked for processes that joined the container.
const STEP: Duration = Duration::from_millis(200);

/// Threads that are traced.
#[derive(Default)]
pub struct Tracer {
    threads: BTreeSet<i32>,
    looked: Option<Instant>,
}

impl Tracer {
    /// Traces the threads of the container that have a filter and are not traced yet, if it is time to look for them.
    ///
    /// # Errors
    /// A thread that may not be traced, when there is no other.
    pub fn seize(&mut self, container: &Container) -> Result<()> {
        if self.looked.is_some_and(|looked| looked.elapsed() < STEP) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let mut refused = None;
        for pid in container.cgroup().pids().map_err(of_cgroup)? {
            for thread in threads(pid) {
                if self.threads.contains(&thread) || !has_filter(thread) {
                    continue;
                }
                match stops::seize(thread) {
                    Ok(()) => {
                        self.threads.insert(thread);
                    }
                    Err(Errno::SRCH) => {}
                    Err(errno) => refused = Some(Error::call("ptrace", format!("process {pid}"), errno)),
                }
            }
        }
        match refused {
            Some(error) if self.threads.is_empty() => Err(error.hint("it takes CAP_SYS_PTRACE, and no other tracer")),
            _ => Ok(()),
        }
    }

    /// Handles all stops that are there; what was denied.
    ///
    /// # Errors
    /// What ptrace(2) and waitpid(2) say, but for threads that end.
    pub fn step(&mut self, verdict: &Verdict) -> Result<Vec<Denied>> {
        let mut denied = Vec::new();
        loop {
            let (thread, stop) = match stops::next() {
                Ok(Some(stopped)) => stopped,
                Ok(None) | Err(Errno::CHILD) => return Ok(denied),
                Err(errno) => return Err(Error::call("waitpid", "traced threads", errno)),
            };
            // A new thread is traced from its beginning.
            self.threads.insert(thread);
            let how = match stop {
                Stop::Ended => {
                    self.threads.remove(&thread);
                    continue;
                }
                Stop::Group => Resume::Listen,
                Stop::Signal(signal) => Resume::WithSignal(signal),
                Stop::Event => Resume::WithSignal(0),
                Stop::Syscall => {
                    denied.extend(judge(thread, verdict)?);
                    Resume::WithSignal(0)
                }
            };
            match stops::resume(thread, how) {
                // Killed meanwhile; its end is told next.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(Error::call("ptrace", format!("thread {thread}"), errno)),
            }
        }
    }
}

fn judge(thread: i32, verdict: &Verdict) -> Result<Option<Denied>> {
    let entry = match stops::entry(thread) {
        Ok(Some(entry)) => entry,
        Ok(None) | Err(Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(errno).call("ptrace", format!("thread {thread}")),
    };
    let Some(arch) = arch_of(entry.arch, entry.number) else { return Ok(None) };
    let outcome = match verdict.answer(&SeccompData::new(arch, entry.number, entry.arguments)) {
        Action::Errno(errno) => Outcome::Errno(errno),
        Action::KillProcess | Action::KillThread | Action::Trap(_) => Outcome::Signal,
        Action::Notify | Action::Trace(_) | Action::Log | Action::Allow => return Ok(None),
    };
    let field = |name: &str| {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let pid = field("Tgid:").parse().unwrap_or(thread.cast_unsigned());
    let call = Call { arch, number: entry.number, arguments: entry.arguments };
    Ok(Some(Denied { call, pid, comm: field("Name:"), outcome, count: 1 }))
}

/// The threads of a process; none when it is gone.
fn threads(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a thread has a filter: one on its way into the container does not yet.
fn has_filter(thread: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    status.lines().any(|line| line == "Seccomp:\t2")
}
