//! Processes whose parents have ended: the inits of containers that `create` made, and their programs.
//!
//! What they cost belongs to the runtime, and is told only to the process that waits for them. So the benchmark becomes
//! the one that orphans are given to, as the shim of an engine does (prctl(2), PR_SET_CHILD_SUBREAPER). The kernel gives
//! them to the first thread: that thread waits for them as soon as they end, and does nothing else.

use anyhow::{Context, Result, anyhow, ensure};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What processes cost: user and system time, and page faults that needed no disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    pub faults: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.faults += other.faults;
    }
}

/// What orphans that have ended cost, by pid.
#[derive(Debug, Default)]
pub struct Orphans {
    ended: Mutex<BTreeMap<i32, Usage>>,
    changed: Condvar,
}

impl Orphans {
    /// Forgets all that ended up to now.
    pub fn forget(&self) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until this orphan has ended; gives the sum of all that are not forgotten. At most ten seconds.
    pub fn until_ended(&self, pid: i32) -> Result<Usage> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |ended: &mut BTreeMap<i32, Usage>| !ended.contains_key(&pid);
        let waited = self.changed.wait_timeout_while(ended, Duration::from_secs(10), missing);
        let (ended, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(!timeout.timed_out(), "process {pid} has not ended within ten seconds");
        let mut sum = Usage::default();
        ended.values().for_each(|usage| sum += *usage);
        Ok(sum)
    }

    fn add(&self, pid: i32, usage: Usage) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, usage);
        self.changed.notify_all();
    }
}

/// Ends a process when it is dropped, also by a panic.
struct Stop(i32);

impl Drop for Stop {
    fn drop(&mut self) {
        if let Err(error) = crate::host::kill(self.0) {
            eprintln!("integration: {error:#}");
        }
    }
}

/// Calls `body` in another thread, and waits for orphans in this one, which must be the first of the process.
pub fn wait_for_them<T: Send>(body: impl FnOnce(&Orphans) -> Result<T> + Send) -> Result<T> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("become the subreaper")?;
    // With a child that does not end there is always something to wait for; its end is the sign to stop.
    let mut sleeper = Command::new("/bin/busybox");
    let sleeper = sleeper.args(["sleep", "1000000"]).stdin(Stdio::null()).spawn().context("start busybox")?;
    let sleeper = sleeper.id().cast_signed();
    let orphans = Orphans::default();
    std::thread::scope(|scope| {
        let body = scope.spawn(|| {
            let _stop = Stop(sleeper);
            body(&orphans)
        });
        loop {
            let (pid, _, usage) = wait4(-1, libc::__WNOTHREAD | libc::__WALL)?;
            if pid == sleeper {
                return body.join().map_err(|_| anyhow!("the benchmark panicked"))?;
            }
            orphans.add(pid, usage);
        }
    })
}

/// wait4(2): the pid, the status and what the process, and those it has waited for, cost.
pub fn wait4(pid: i32, flags: i32) -> Result<(i32, i32, Usage)> {
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are to live, writable values of the right types, and a rusage of zeroes is valid if the call
    // fails.
    #[allow(unsafe_code)]
    let (waited, usage) = unsafe {
        let waited = libc::wait4(pid, &raw mut status, flags, usage.as_mut_ptr());
        (waited, usage.assume_init())
    };
    ensure!(waited > 0, "wait4: {}", std::io::Error::last_os_error());
    let time = |t: libc::timeval| {
        let micros = i128::from(t.tv_sec) * 1_000_000 + i128::from(t.tv_usec);
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    let faults = u64::try_from(usage.ru_minflt).unwrap_or_default();
    Ok((waited, status, Usage { cpu: time(usage.ru_utime) + time(usage.ru_stime), faults }))
}
