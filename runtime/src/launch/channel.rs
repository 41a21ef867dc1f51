//! The conversation between casemate and init: one SOCK_SEQPACKET pair, messages of one byte.
//!
//! ```text
//!  casemate (create, run, exec)            init
//!     │ clone3, execveat(image) ───────────▶│  works through the program
//!     │◀─── Terminal + descriptor ──────────│  only with a terminal
//!     │◀─── Mounted ────────────────────────│  only with prestart or createRuntime hooks
//!     │  (runs the hooks)                   │
//!     │──── Proceed ───────────────────────▶│
//!     │◀─── Ready ──────────────────────────│  all that is left is to start
//!     │  (device rules, state on disk)      │
//!     │──── Committed ─────────────────────▶│  may now outlive casemate
//!     │──── Start ─────────────────────────▶│  run and exec only
//!     │◀─── Successor + pidfd ──────────────│  exec only: forks into the container's pid namespace and ends
//!     │◀─── (closed) ───────────────────────│  by execve: its descriptor is close-on-exec
//!
//!  casemate start                          init, after create
//!     │──── connect to ROOT/ID/start ──────▶│
//!     │◀─── Program + descriptor ───────────│  for the report
//!     │──── Start ─────────────────────────▶│
//!     │◀─── (closed) ───────────────────────│
//! ```
//!
//! A failure is never a message: init stores it in the program's object, which needs no system call, and exits. Whoever
//! sees the socket close reads it there (`sys::object`). The socket closing on init's side means that casemate died:
//! init exits, unless it was told that the state is on disk.

use crate::error::{Call, Error, Kind, Result};
use crate::program::format::message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, SocketFlags,
    SocketType,
};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// casemate's end.
pub struct Channel {
    socket: OwnedFd,
}

/// What init says.
#[derive(Debug)]
pub enum FromInit {
    /// Its terminal.
    Terminal(OwnedFd),
    /// The mounts are there; it waits for [`Channel::proceed`].
    Mounted,
    /// Everything is; it waits for [`Channel::commit`].
    Ready,
    /// The pidfd of the process that goes on in its place.
    Successor(OwnedFd),
    /// Its program, for `start`.
    Program(OwnedFd),
    /// It closed its end: by execve, or because it failed or died.
    Closed,
}

impl Channel {
    /// A pair: casemate's end, and init's.
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn pair() -> Result<(Channel, OwnedFd)> {
        let (socket, init) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .call("socketpair", "init")?;
        Ok((Channel { socket }, init))
    }

    /// A socket that `start` connected.
    pub fn from_socket(socket: OwnedFd) -> Channel {
        Channel { socket }
    }

    /// Tells init to go on after [`FromInit::Mounted`].
    ///
    /// # Errors
    /// EPIPE when init is gone.
    pub fn proceed(&self) -> Result<()> {
        self.send(message::PROCEED)
    }

    /// Tells init that it may outlive casemate.
    ///
    /// # Errors
    /// See [`Channel::proceed`].
    pub fn commit(&self) -> Result<()> {
        self.send(message::COMMITTED)
    }

    /// Tells init to run the process.
    ///
    /// # Errors
    /// See [`Channel::proceed`].
    pub fn start(&self) -> Result<()> {
        self.send(message::START)
    }

    fn send(&self, byte: u8) -> Result<()> {
        rustix::net::send(&self.socket, &[byte], SendFlags::NOSIGNAL).call("send", "init").map(drop)
    }

    /// The next thing that init says.
    ///
    /// # Errors
    /// A message that this protocol does not have, or none within `limit`.
    pub fn receive(&self, limit: Option<Duration>) -> Result<FromInit> {
        if !wait_readable(self.socket.as_fd(), limit)? {
            let seconds = limit.unwrap_or_default().as_secs();
            return Err(Error::new(Kind::InitFailed, format!("init did not answer within {seconds} s")));
        }
        let mut byte = [0u8; 1];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let got = rustix::net::recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        let got = match got {
            // Init ended with something of ours unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok(FromInit::Closed),
            other => other.call("recvmsg", "init")?,
        };
        let fd = ancillary.drain().find_map(|m| match m {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        if got.bytes == 0 {
            return Ok(FromInit::Closed);
        }
        match (byte[0], fd) {
            (message::TERMINAL, Some(fd)) => Ok(FromInit::Terminal(fd)),
            (message::SUCCESSOR, Some(fd)) => Ok(FromInit::Successor(fd)),
            (message::PROGRAM, Some(fd)) => Ok(FromInit::Program(fd)),
            (message::MOUNTED, None) => Ok(FromInit::Mounted),
            (message::READY, None) => Ok(FromInit::Ready),
            (other, _) if !got.flags.contains(ReturnFlags::CTRUNC) => {
                Err(Error::new(Kind::InitFailed, format!("init said \"{}\" out of turn", char::from(other))))
            }
            _ => Err(Error::new(Kind::InitFailed, "too many open files to take a descriptor from init")),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether the descriptor becomes readable in time.
pub fn wait_readable(fd: BorrowedFd<'_>, limit: Option<Duration>) -> Result<bool> {
    let deadline = limit.map(|l| Instant::now() + l);
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let timeout = left.map(|l| Timespec { tv_sec: l.as_secs() as i64, tv_nsec: l.subsec_nanos().into() });
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::call("poll", "init", errno)),
        }
    }
}
