//! ptrace(2), as much of it as reading the seccomp filters of a process takes.
//!
//! A tracer that ends, however it ends, lets go of all that it traced, and they go on; PTRACE_O_EXITKILL, which would
//! kill them, is never set. So [`filters`] traces in a child: a process that does not come to a stop cannot be detached
//! from, and some of the calls may wait; but the child can always be killed.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

const PTRACE_DETACH: libc::c_long = 17;
const PTRACE_SEIZE: libc::c_long = 0x4206;
const PTRACE_INTERRUPT: libc::c_long = 0x4207;
const PTRACE_SECCOMP_GET_FILTER: libc::c_long = 0x420c;
/// What the upper half of a status says for a stop that no signal made (PTRACE_EVENT_STOP).
const EVENT_STOP: i32 = 128;

/// The longest program that the kernel takes (BPF_MAXINSNS).
const MAX_INSNS: usize = 4096;
/// All filters of a process together (MAX_INSNS_PER_PATH).
const MAX_ALL: usize = 32_768;
/// More filters than this are not read.
const MAX_FILTERS: usize = 512;

/// How far the reading came when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// PTRACE_SEIZE: `EPERM` for a process that is traced already or that the caller may not trace.
    Seize = 1,
    /// PTRACE_INTERRUPT.
    Interrupt,
    /// waitpid(2); `ETIMEDOUT` for a process that did not stop in time.
    Wait,
    /// PTRACE_SECCOMP_GET_FILTER: `EACCES` without CAP_SYS_ADMIN in the initial user namespace, or when the caller is
    /// under a filter itself; `EIO` on a kernel without CONFIG_CHECKPOINT_RESTORE; `E2BIG` for more than 512 filters.
    Read,
    /// PTRACE_DETACH.
    Detach,
    /// fork(2), or the memory for it.
    Fork,
    /// The child ended without an answer, or did not end.
    Child,
}

/// What the child leaves in memory that it shares: plain numbers, zero at first.
#[repr(C)]
struct Answer {
    done: u32,
    stage: u32,
    errno: i32,
    count: u32,
    lengths: [u32; MAX_FILTERS],
    /// One behind the other; there is room for one more of the longest behind all that can be.
    words: [u64; MAX_ALL + MAX_INSNS],
}

/// Reads the filters of the main thread of a process, the oldest first, each instruction (`struct sock_filter`) as the
/// bytes of one number. The process stands still meanwhile, at most `deadline`. `pidfd` is of the same process.
///
/// # Errors
/// How far it came and what the kernel said; `ESRCH` at any stage when the process ended.
pub fn filters(pid: i32, pidfd: BorrowedFd<'_>, deadline: Duration) -> Result<Vec<Vec<u64>>, (Stage, Errno)> {
    let length = size_of::<Answer>();
    // SAFETY: a new mapping at an address of the kernel's choice, unmapped below and nowhere else.
    let at =
        unsafe { mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED) };
    let at = at.map_err(|errno| (Stage::Fork, errno))?.cast::<Answer>();
    // SAFETY: the child makes system calls and writes to the mapping only: it allocates nothing and takes no lock, so
    // that it does not matter what other threads of a test were doing.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: the mapping is as long as an Answer and page-aligned, any bytes are one, and the parent does not look
        // before this process has ended. _exit runs nothing of the parent's.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            let answer = &mut *at;
            if let Err((stage, errno)) = trace(pid, pidfd, deadline, answer) {
                answer.stage = stage as u32;
                answer.errno = errno.raw_os_error();
            }
            answer.done = 1;
            libc::_exit(0);
        }
    }
    let read = if child < 0 {
        Err((Stage::Fork, last_error()))
    } else {
        reap(child, deadline + Duration::from_secs(1));
        // SAFETY: as above; the child has ended, so nobody writes any more.
        collect(unsafe { &*at })
    };
    // SAFETY: mapped above with this length; no reference into it is left.
    // Failing is right: the arguments are those of a mapping of ours.
    let _gone = unsafe { munmap(at.cast(), length) };
    read
}

/// The child's work.
fn trace(pid: i32, pidfd: BorrowedFd<'_>, deadline: Duration, answer: &mut Answer) -> Result<(), (Stage, Errno)> {
    let at = |stage| move |errno| (stage, errno);
    let tracee = Tracee::seize(pid).map_err(at(Stage::Seize))?;
    // Alive still, so the pid that was seized was its own.
    if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(0) {
        return Err((Stage::Seize, Errno::SRCH));
    }
    tracee.interrupt().map_err(at(Stage::Interrupt))?;
    let until = Instant::now() + deadline;
    let mut pause = Duration::from_micros(20);
    let signal = loop {
        match tracee.stop().map_err(at(Stage::Wait))? {
            Some(Stop::Stopped(signal)) => break signal,
            Some(Stop::Ended) => return Err((Stage::Wait, Errno::SRCH)),
            None if Instant::now() >= until => return Err((Stage::Wait, Errno::TIMEDOUT)),
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    let read = copy(&tracee, answer);
    // If it cannot be let go of it has ended; the end of this process does the rest.
    let detached = tracee.detach(signal);
    read.map_err(at(Stage::Read))?;
    detached.map_err(at(Stage::Detach))
}

fn copy(tracee: &Tracee, answer: &mut Answer) -> Result<(), Errno> {
    let mut used = 0;
    loop {
        let index = answer.count as usize;
        let free = answer.words.get_mut(used..).unwrap_or_default();
        let Some(count) = tracee.filter(index, free)? else { return Ok(()) };
        *answer.lengths.get_mut(index).ok_or(Errno::TOOBIG)? = u32::try_from(count).unwrap_or(0);
        used += count;
        answer.count += 1;
    }
}

/// Waits for the child; one that hangs in a call is killed, which lets go of its tracee too.
fn reap(child: i32, patience: Duration) {
    let until = Instant::now() + patience;
    let mut flags = libc::WNOHANG;
    loop {
        let mut status = 0;
        // SAFETY: `status` is an int that outlives the call; the child is ours and nobody else waits for it.
        let done = unsafe { libc::waitpid(child, &raw mut status, flags) };
        if done == child || (done < 0 && last_error() != Errno::INTR) {
            return;
        }
        if done == 0 && Instant::now() >= until {
            // SAFETY: a child that was not waited for keeps its pid.
            unsafe { libc::kill(child, libc::SIGKILL) };
            flags = 0;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn collect(answer: &Answer) -> Result<Vec<Vec<u64>>, (Stage, Errno)> {
    const STAGES: [Stage; 5] = [Stage::Seize, Stage::Interrupt, Stage::Wait, Stage::Read, Stage::Detach];
    if answer.done == 0 {
        return Err((Stage::Child, Errno::CANCELED));
    }
    if let Some(stage) = STAGES.into_iter().find(|stage| *stage as u32 == answer.stage) {
        return Err((stage, Errno::from_raw_os_error(answer.errno)));
    }
    let mut rest = answer.words.as_slice();
    let mut filters = Vec::new();
    for length in answer.lengths.iter().take(answer.count as usize) {
        let (filter, behind) = rest.split_at_checked(*length as usize).ok_or((Stage::Child, Errno::IO))?;
        filters.push(filter.to_vec());
        rest = behind;
    }
    Ok(filters)
}

/// A process that this thread traces.
#[derive(Debug)]
pub struct Tracee {
    pid: i32,
}

/// What a traced process came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It stands still; this signal was on its way to it and has to be handed on, 0 for none.
    Stopped(i32),
    /// It ended.
    Ended,
}

impl Tracee {
    /// Becomes the tracer of a process, which runs on (PTRACE_SEIZE without options).
    ///
    /// # Errors
    /// See [`Stage::Seize`].
    pub fn seize(pid: i32) -> Result<Tracee, Errno> {
        ptrace(PTRACE_SEIZE, pid, 0, 0)?;
        Ok(Tracee { pid })
    }

    /// Asks it to stop; see [`Tracee::stop`].
    ///
    /// # Errors
    /// `ESRCH` when it ended.
    pub fn interrupt(&self) -> Result<(), Errno> {
        ptrace(PTRACE_INTERRUPT, self.pid, 0, 0).map(drop)
    }

    /// Whether it has stopped; does not wait.
    ///
    /// # Errors
    /// What waitpid(2) reports.
    pub fn stop(&self) -> Result<Option<Stop>, Errno> {
        let mut status = 0;
        // SAFETY: `status` is an int that outlives the call. __WALL: it is not a child of this process.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG | libc::__WALL) };
        match pid {
            0 => Ok(None),
            pid if pid < 0 => Err(last_error()),
            _ if !libc::WIFSTOPPED(status) => Ok(Some(Stop::Ended)),
            _ if status >> 16 == EVENT_STOP => Ok(Some(Stop::Stopped(0))),
            _ => Ok(Some(Stop::Stopped(libc::WSTOPSIG(status)))),
        }
    }

    /// Reads a filter, 0 for the oldest; how many instructions it has, `None` behind the newest. The process has to
    /// stand still.
    ///
    /// # Errors
    /// See [`Stage::Read`]; `E2BIG` for a buffer that the longest filter would not fit in.
    pub fn filter(&self, index: usize, into: &mut [u64]) -> Result<Option<usize>, Errno> {
        if into.len() < MAX_INSNS {
            return Err(Errno::TOOBIG);
        }
        // The kernel writes the filter's instructions, 8 bytes each and never more than BPF_MAXINSNS of them.
        match ptrace(PTRACE_SECCOMP_GET_FILTER, self.pid, index, into.as_mut_ptr().expose_provenance()) {
            Ok(count) => Ok(Some(count)),
            // Of a process that is under none the kernel says EINVAL.
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::INVAL) if index == 0 => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Lets it go on, with the signal that its stop held back. It has to stand still.
    ///
    /// # Errors
    /// `ESRCH` when it ended.
    pub fn detach(self, signal: i32) -> Result<(), Errno> {
        ptrace(PTRACE_DETACH, self.pid, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
    }
}

/// The requests of this file only: they write no memory of ours but the buffer of [`Tracee::filter`], which is as large
/// as the largest filter.
fn ptrace(request: libc::c_long, pid: i32, address: usize, data: usize) -> Result<usize, Errno> {
    // SAFETY: see above; `pid`, `address` and `data` are numbers, and `data` is a live buffer where the kernel writes.
    let done = unsafe { libc::syscall(libc::SYS_ptrace, request, libc::c_long::from(pid), address, data) };
    usize::try_from(done).map_err(|_| last_error())
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
