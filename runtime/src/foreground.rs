//! `run` and `exec` in the foreground: the runtime stands for the process, to its caller, until the process has ended.
//!
//! Signals are blocked before the container is cloned, so that none can be lost between the clone and the wait; init
//! sets its own mask. Then one loop polls a signalfd, the pidfd, the terminal and the notify socket. The end of the
//! process is seen through its pidfd, which stays readable, and not through SIGCHLD, which can come too early.

use crate::error::{Call, Error, Kind, Result};
use crate::notify::Forward;
use crate::sys::pidfd::send_signal;
use crate::terminal::Proxy;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;

/// Makes orphans of the container's processes children of this process, so that `run` reaps them.
///
/// # Errors
/// What prctl(2) reports for `PR_SET_CHILD_SUBREAPER`.
pub fn become_subreaper() -> Result<()> {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).call("prctl", "PR_SET_CHILD_SUBREAPER")
}

/// All signals, blocked in the calling thread, and the descriptor that reads them.
///
/// They stay blocked when this is dropped: what follows is the clean-up after the container, which a signal that was
/// meant for the container must not interrupt.
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks all signals. To be called before the container is cloned, in a process with one thread.
    ///
    /// # Errors
    /// What sigprocmask(2) and signalfd(2) report.
    pub fn block() -> Result<Signals> {
        let all = SigSet::all();
        all.thread_block().call("sigprocmask", "all signals")?;
        let fd = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        Ok(Signals { fd: fd.call("signalfd", "all signals")? })
    }

    /// Waits for the child `pid`, whose descriptor is `pidfd`, and reaps it; meanwhile forwards signals to it, connects
    /// the terminal, and forwards the readiness of its service. Answers its exit code, or 128 and its signal.
    ///
    /// # Errors
    /// What the system calls of the loop report. The child then still runs.
    pub fn wait(
        self,
        pidfd: BorrowedFd<'_>,
        pid: Pid,
        mut terminal: Option<Proxy>,
        mut notify: Option<Forward<'_>>,
    ) -> Result<ExitCode> {
        let reaps_orphans = rustix::process::child_subreaper().call("prctl", "PR_GET_CHILD_SUBREAPER")?.is_some();
        let mut exit: Option<u8> = None;
        loop {
            if exit.is_none() {
                exit = reap(pidfd, pid)?;
            }
            match (exit, &terminal) {
                (Some(code), None) => return Ok(ExitCode::from(code)),
                (Some(code), Some(terminal)) if terminal.is_drained() => return Ok(ExitCode::from(code)),
                (Some(_), Some(_)) | (None, _) => {}
            }
            self.poll(pidfd, exit.is_some(), terminal.as_ref(), notify.as_ref())?;
            while let Some(info) = self.fd.read_signal().call("read", "signalfd")? {
                match Duty::of(&info, terminal.as_ref()) {
                    Duty::Reap if reaps_orphans => exit = exit.or(reap_orphans(pid)?),
                    Duty::Reap | Duty::Ignore => {}
                    Duty::Resize => terminal.as_ref().map_or(Ok(()), Proxy::resize)?,
                    // The caller asks to stop showing the output of a process that has ended.
                    Duty::Forward if exit.is_some() => terminal = None,
                    Duty::Forward => forward(pidfd, info.ssi_signo)?,
                }
            }
            if let Some(terminal) = &mut terminal {
                terminal.step()?;
            }
            if let Some(forward) = &mut notify {
                forward.step()?;
            }
        }
    }

    fn poll(
        &self,
        pidfd: BorrowedFd<'_>,
        ended: bool,
        terminal: Option<&Proxy>,
        notify: Option<&Forward<'_>>,
    ) -> Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN)];
        if !ended {
            fds.push(PollFd::from_borrowed_fd(pidfd, PollFlags::IN));
        }
        if let Some(terminal) = terminal {
            terminal.add_to(&mut fds);
        }
        if let Some(notify) = notify {
            notify.add_to(&mut fds);
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Error::call("poll", "foreground process", errno)),
        }
    }
}

/// What a signal to the runtime asks of it.
enum Duty {
    Reap,
    Resize,
    Forward,
    Ignore,
}

impl Duty {
    fn of(info: &siginfo, terminal: Option<&Proxy>) -> Duty {
        let is = |signal: Signal| info.ssi_signo == signal as u32;
        if is(Signal::SIGCHLD) {
            return Duty::Reap;
        }
        if is(Signal::SIGWINCH) && terminal.is_some_and(Proxy::has_window) {
            return Duty::Resize;
        }
        // Of the kernel's own making and with this process as sender is the SIGPIPE of its own write.
        let own = info.ssi_code == libc::SI_USER && info.ssi_pid == std::process::id();
        if is(Signal::SIGURG) || own { Duty::Ignore } else { Duty::Forward }
    }
}

fn forward(pidfd: BorrowedFd<'_>, signal: u32) -> Result<()> {
    match i32::try_from(signal).map_err(|_| Errno::INVAL).and_then(|signal| send_signal(pidfd, signal)) {
        // It has ended; the next turn of the loop sees that.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::call("pidfd_send_signal", format_args!("signal {signal}"), errno)),
    }
}

/// The exit code of the process, if it has ended; reaps it then.
fn reap(pidfd: BorrowedFd<'_>, pid: Pid) -> Result<Option<u8>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = rustix::process::waitid(WaitId::PidFd(pidfd), options).call("waitid", pid)? else {
        return Ok(None);
    };
    exit_code(status.exit_status(), status.terminating_signal()).map(Some)
}

/// Reaps whoever else has ended, and the process itself if it is among them.
fn reap_orphans(main: Pid) -> Result<Option<u8>> {
    let mut exit = None;
    loop {
        match rustix::process::waitpid(None, WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == main => {
                exit = Some(exit_code(status.exit_status(), status.terminating_signal())?);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(exit),
            Err(errno) => return Err(Error::call("waitpid", "any child", errno)),
        }
    }
}

/// The shell's convention: the code itself, or 128 and the signal.
fn exit_code(code: Option<i32>, signal: Option<i32>) -> Result<u8> {
    let code = code.or(signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .ok_or_else(|| Error::new(Kind::System, "waitid: the process ended with neither a code nor a signal"))
}
