//! A second process in a race: exchanges two paths again and again while a runtime works.

use anyhow::{Context, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A thread on the last CPU that exchanges two paths until it is stopped. What the runtime does meanwhile runs on the
/// others, if there are any: the calling thread is moved off that CPU, and what it starts inherits that.
#[derive(Debug)]
pub struct Racer {
    shared: Arc<(AtomicU64, AtomicBool)>,
    thread: Option<JoinHandle<rustix::io::Result<()>>>,
    /// Where the calling thread was allowed to run before.
    before: CpuSet,
}

impl Racer {
    /// Begins to exchange `one` and `other`, which must exist in the same file system.
    pub fn start(one: &Path, other: &Path) -> Result<Self> {
        let exchange = |one: &PathBuf, other: &PathBuf| renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
        let (one, other) = (one.to_owned(), other.to_owned());
        exchange(&one, &other).context("renameat2 RENAME_EXCHANGE")?;
        exchange(&one, &other).context("renameat2 RENAME_EXCHANGE")?;
        let before = sched_getaffinity(None).context("sched_getaffinity")?;
        let mut others = before;
        let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| before.is_set(*cpu)).context("no CPU")?;
        let mut own = CpuSet::new();
        own.set(last);
        if before.count() > 1 {
            others.unset(last);
            sched_setaffinity(None, &others).context("sched_setaffinity")?;
        }
        let shared = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            // Without a CPU of its own it still takes part, only less often; the swaps are counted.
            let _on_any = sched_setaffinity(None, &own);
            while !theirs.1.load(Ordering::Relaxed) {
                if exchange(&one, &other).is_ok() {
                    theirs.0.fetch_add(1, Ordering::Relaxed);
                }
            }
            if theirs.0.load(Ordering::Relaxed).is_multiple_of(2) { Ok(()) } else { exchange(&one, &other) }
        });
        Ok(Self { shared, thread: Some(thread), before })
    }

    /// How many exchanges there have been.
    pub fn swaps(&self) -> u64 {
        self.shared.0.load(Ordering::Relaxed)
    }

    /// Ends the thread, when the paths are as they were again, and gives the number of exchanges.
    pub fn stop(mut self) -> Result<u64> {
        self.shared.1.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let back = thread.join().map_err(|_| anyhow::anyhow!("the racer panicked"))?;
            back.context("renameat2 RENAME_EXCHANGE, back")?;
        }
        Ok(self.swaps())
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.shared.1.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the racer is told by stop(); here a check has already failed.
            let _panicked = thread.join();
        }
        // At worst it stays on fewer CPUs, which only slows it.
        let _narrower = sched_setaffinity(None, &self.before);
    }
}
