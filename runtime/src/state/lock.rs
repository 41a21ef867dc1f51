//! Who may change a container: the holder of an exclusive flock(2) on its directory.
//!
//! The kernel drops the lock with the last descriptor of its holder, so that a runtime that was killed leaves none.

use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Stat, flock, fstat};
use rustix::io::Errno;

use super::procfs::Procfs;
use crate::error::{Call as _, Error, Kind, Result};

/// How long a command waits for another one on the same container.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Takes the lock, or says who has it.
///
/// flock(2) knows no timeout; to interrupt it would need a signal handler, so it is asked again and again.
pub(super) fn take(dir: &OwnedFd, name: &str, deadline: Duration) -> Result<()> {
    let until = Instant::now() + deadline;
    let mut pause = Duration::from_micros(200);
    loop {
        match flock(dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::WOULDBLOCK) => {}
            Err(errno) => return Err(Error::call("flock", name, errno)),
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(kept(dir, name, deadline));
        }
        sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Whether some command holds the lock; `dir` must not be the descriptor that may hold it.
///
/// Asked by taking a shared lock for a moment: who wants the exclusive one meanwhile asks again.
pub(super) fn is_held(dir: &OwnedFd, name: &str) -> Result<bool> {
    loop {
        match flock(dir, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                flock(dir, FlockOperation::Unlock).call("flock", name)?;
                return Ok(false);
            }
            Err(Errno::WOULDBLOCK) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::call("flock", name, errno)),
        }
    }
}

fn kept(dir: &OwnedFd, name: &str, deadline: Duration) -> Error {
    let by = holder(dir).map_or_else(|| "another command".to_owned(), |by| format!("process {by}"));
    let what = format!("flock \"{name}\": {by} has held the container's lock for {} s", deadline.as_secs());
    Error::new(Kind::System, what).hint("wait for it, or end it if it hangs in a hook")
}

/// Pid and command of the holder, if /proc/locks tells: it lists locks by device and inode.
fn holder(dir: &OwnedFd) -> Option<String> {
    let stat = fstat(dir).ok()?;
    let procfs = Procfs::open().ok()?;
    let locks = procfs.read("locks").ok()?;
    let pid = find(&locks, &stat)?;
    let command = procfs.read(&format!("{pid}/comm")).ok()?;
    Some(format!("{pid} ({})", command.trim_end()))
}

/// The pid in a line such as `1: FLOCK  ADVISORY  WRITE 4711 00:1b:815 0 EOF`.
fn find(locks: &str, stat: &Stat) -> Option<i32> {
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let file = format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, "WRITE", pid, at, ..] if *at == file => pid.parse().ok().filter(|&pid| pid > 0),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> (crate::state::store::tests::Scratch, OwnedFd, OwnedFd) {
        let scratch = crate::state::store::tests::Scratch::new();
        let open = || OwnedFd::from(std::fs::File::open(scratch.path()).unwrap());
        let (a, b) = (open(), open());
        (scratch, a, b)
    }

    #[test]
    fn lock_that_is_kept_is_reported_with_its_holder() {
        let (_scratch, a, b) = dir();
        take(&a, "a", Duration::ZERO).unwrap();
        assert!(is_held(&b, "b").unwrap());
        let error = take(&b, "b", Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} (", std::process::id())), "{error}");
    }

    #[test]
    fn lock_ends_with_its_descriptor() {
        let (_scratch, a, b) = dir();
        take(&a, "a", Duration::ZERO).unwrap();
        drop(a);
        // Other tests fork, and have the descriptor until they exec.
        take(&b, "b", DEADLINE).unwrap();
    }

    #[test]
    fn asking_for_the_lock_does_not_keep_it() {
        let (_scratch, a, b) = dir();
        assert!(!is_held(&a, "a").unwrap());
        take(&b, "b", Duration::ZERO).unwrap();
    }
}
