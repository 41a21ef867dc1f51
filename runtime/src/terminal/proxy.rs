//! A foreground terminal: the caller's stdin and stdout connected to the master of the container's pseudo-terminal.
//!
//! The proxy never waits. Whoever waits polls what [`Proxy::add_to`] names and then calls [`Proxy::step`]. Each
//! direction holds at most one buffer, and reads again only when that is written out, so that a slow side slows the
//! other down instead of filling the memory.

use crate::error::{Call, Error, Result};
use crate::socket::proc_path;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use std::os::fd::{AsFd as _, OwnedFd};

/// Bytes moved at a time: a pipe that polls as writable takes this much without blocking (pipe(7), `PIPE_BUF`).
const CHUNK: usize = 4096;

/// The caller's terminal, in raw mode; back in its own mode when dropped.
struct Raw {
    tty: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Nothing when `tty` is no terminal.
    fn enter(tty: &OwnedFd) -> Result<Option<Raw>> {
        if !isatty(tty) {
            return Ok(None);
        }
        let tty = tty.try_clone().call("fcntl", "terminal")?;
        let before = tcgetattr(&tty).call("tcgetattr", "terminal")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&tty, OptionalActions::Now, &raw).call("tcsetattr", "terminal")?;
        Ok(Some(Raw { tty, before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Fails when the terminal was hung up, and then nobody is there to see its mode.
        tcsetattr(&self.tty, OptionalActions::Now, &self.before).ok();
    }
}

/// The bytes on their way in one direction.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// Reads once; `Ok(0)` is the end of the file.
    fn fill(&mut self, from: &OwnedFd) -> Result<usize, Errno> {
        let mut chunk = [0; CHUNK];
        let count = rustix::io::read(from, &mut chunk)?;
        self.bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// Writes once.
    fn flush(&mut self, to: &OwnedFd) -> Result<(), Errno> {
        let count = rustix::io::write(to, &self.bytes)?;
        self.bytes.drain(..count);
        Ok(())
    }
}

/// See the module. The caller's terminal mode comes back when the proxy is dropped.
pub struct Proxy {
    master: OwnedFd,
    /// The other end, held only from the time when nobody else had it open: a master without a slave always polls as
    /// hung up. Not held earlier, because the kernel throws output away when it hangs up an open slave.
    slave: Option<OwnedFd>,
    /// The master is of no more use: nobody has the other end, and it cannot be opened.
    closed: bool,
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    /// The caller's terminal that the window size comes from.
    window: Option<OwnedFd>,
    to_container: Buffer,
    to_caller: Buffer,
    _raw: Option<Raw>,
}

impl Proxy {
    /// Connects the master to this process's stdin and stdout.
    ///
    /// # Errors
    /// See [`Proxy::new`].
    pub fn stdio(master: OwnedFd) -> Result<Proxy> {
        let input = std::io::stdin().as_fd().try_clone_to_owned().call("fcntl", "stdin")?;
        let output = std::io::stdout().as_fd().try_clone_to_owned().call("fcntl", "stdout")?;
        Proxy::new(master, input, output)
    }

    /// Connects the master to `input` and `output`. If `input` is a terminal it goes into raw mode; if either is one,
    /// the container's terminal gets its window size.
    ///
    /// # Errors
    /// What fcntl(2) and the terminal calls report.
    pub fn new(master: OwnedFd, input: OwnedFd, output: OwnedFd) -> Result<Proxy> {
        rustix::fs::fcntl_setfl(&master, OFlags::NONBLOCK).call("fcntl", "pty master")?;
        let window = [&input, &output].into_iter().find(|fd| isatty(fd));
        let window = window.map(OwnedFd::try_clone).transpose().call("fcntl", "terminal")?;
        let raw = Raw::enter(&input)?;
        let output = unblocked(output);
        let proxy = Proxy {
            master,
            slave: None,
            closed: false,
            input: Some(input),
            output: Some(output),
            window,
            to_container: Buffer::default(),
            to_caller: Buffer::default(),
            _raw: raw,
        };
        proxy.resize()?;
        Ok(proxy)
    }

    /// Gives the container's terminal the caller's window size; to be called on SIGWINCH.
    ///
    /// # Errors
    /// What the two ioctls report (ioctl_tty(2)), except that the caller's terminal has gone.
    pub fn resize(&self) -> Result<()> {
        let Some(window) = &self.window else { return Ok(()) };
        match tcgetwinsize(window) {
            Ok(size) => tcsetwinsize(&self.master, size).call("tcsetwinsize", "pty master"),
            Err(Errno::IO) => Ok(()),
            Err(errno) => Err(Error::call("tcgetwinsize", "terminal", errno)),
        }
    }

    /// Whether SIGWINCH has a meaning here.
    pub fn has_window(&self) -> bool {
        self.window.is_some()
    }

    /// Adds what to poll before the next [`Proxy::step`].
    pub fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let mut master = PollFlags::empty();
        if self.to_caller.bytes.is_empty() {
            master |= PollFlags::IN;
        }
        if !self.to_container.bytes.is_empty() {
            master |= PollFlags::OUT;
        }
        // Left out when there is nothing to do with it: a hang-up is reported even to those who did not ask.
        if !master.is_empty() && !self.closed {
            fds.push(PollFd::new(&self.master, master));
        }
        if let (Some(input), true) = (&self.input, self.to_container.bytes.is_empty()) {
            fds.push(PollFd::new(input, PollFlags::IN));
        }
        if let (Some(output), false) = (&self.output, self.to_caller.bytes.is_empty()) {
            fds.push(PollFd::new(output, PollFlags::OUT));
        }
    }

    /// Moves what can be moved without waiting.
    ///
    /// # Errors
    /// What poll(2), read(2) and write(2) report on the master; a caller that has gone is none: its input ends, and its
    /// output is thrown away so that the container does not block.
    pub fn step(&mut self) -> Result<()> {
        if self.to_caller.bytes.is_empty() && !self.closed {
            self.read_master()?;
        }
        if !self.to_caller.bytes.is_empty() {
            self.write_output();
        }
        if self.to_container.bytes.is_empty() {
            self.read_input();
        }
        if !self.to_container.bytes.is_empty() {
            match self.to_container.flush(&self.master) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                // Nobody is there to read it.
                Err(Errno::IO) => self.to_container.bytes.clear(),
                Err(errno) => return Err(Error::call("write", "pty master", errno)),
            }
        }
        Ok(())
    }

    /// Whether all output of a process that has ended has reached the caller.
    pub fn is_drained(&self) -> bool {
        self.to_caller.bytes.is_empty() && (self.closed || !ready(&self.master, PollFlags::IN))
    }

    fn read_master(&mut self) -> Result<()> {
        match self.to_caller.fill(&self.master) {
            Ok(0) => self.closed = true,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody has the slave open, or it was hung up. All that was written has been read by now. It may be opened
            // again, so the master stays; with a slave held here it does not poll as hung up meanwhile.
            Err(Errno::IO) => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                self.slave = rustix::pty::ioctl_tiocgptpeer(&self.master, flags).ok();
                self.closed = self.slave.is_none();
            }
            Err(errno) => return Err(Error::call("read", "pty master", errno)),
        }
        Ok(())
    }

    fn write_output(&mut self) {
        let Some(output) = &self.output else {
            self.to_caller.bytes.clear();
            return;
        };
        // The caller shares the open description of what is no terminal, so it cannot be made non-blocking.
        if !ready(output, PollFlags::OUT) {
            return;
        }
        match self.to_caller.flush(output) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                self.output = None;
                self.to_caller.bytes.clear();
            }
        }
    }

    fn read_input(&mut self) {
        let Some(input) = &self.input else { return };
        if !ready(input, PollFlags::IN) {
            return;
        }
        match self.to_container.fill(input) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The end of a file or a pipe; EIO is a terminal that was hung up, or whose foreground is somebody else's.
            Ok(0) | Err(_) => self.input = None,
            Ok(_) => {}
        }
    }
}

/// A terminal opened anew, so that a write to it does not block: one that polls as writable may have room for a part of
/// the bytes only. Who waits there for a caller that does not read cannot reap, and a pid namespace ends only when all of
/// it is reaped. Where it cannot be opened, as that of another user, it is used as it is.
fn unblocked(output: OwnedFd) -> OwnedFd {
    if !isatty(&output) {
        return output;
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(proc_path(output.as_fd()), flags, Mode::empty()).unwrap_or(output)
}

/// Whether the call would not block; a hang-up or an error does not, either.
fn ready(fd: &OwnedFd, flags: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(fd, flags)], Some(&now)).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests;
