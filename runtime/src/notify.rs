//! Readiness of the container's service, handed on to the service manager of the host (sd_notify(3)).
//!
//! The caller has `NOTIFY_SOCKET`. The container gets another socket, in the state directory's `notify/`, which is
//! mounted at `/run/notify`. Of what arrives there only `READY=1` goes on, in words of this room: a container must not
//! tell the manager which pid to take for the service's, or hand it descriptors.

use crate::error::{Call, Error, Kind, Result};
use crate::socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use rustix::process::Pid;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// The directory in the container's state directory; to be mounted at [`MOUNT_POINT`].
pub const DIRECTORY: &str = "notify";
/// Where the container finds the directory.
pub const MOUNT_POINT: &str = "/run/notify";
/// The variable in the container's environment.
pub const ENV: &str = "NOTIFY_SOCKET=/run/notify/notify.sock";

const NAME: &str = "notify.sock";
/// How long the manager may take to have read what was sent before the barrier.
const BARRIER: Duration = Duration::from_secs(30);
/// How long the manager may take to accept one message.
const SEND: Duration = Duration::from_secs(10);
/// Messages that are read before something else gets its turn.
const AT_ONCE: usize = 64;
/// Bytes of one message; systemd reads no more than a page, either.
const MESSAGE: usize = 4096;

/// The caller's socket: the value of `NOTIFY_SOCKET`, unless it is empty.
pub fn host_socket() -> Option<String> {
    std::env::var("NOTIFY_SOCKET").ok().filter(|value| !value.is_empty())
}

/// Makes the directory in the state directory `dir`, for `create` to mount; answers it.
///
/// # Errors
/// What mkdirat(2) and openat(2) report.
pub fn make_directory(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    match rustix::fs::mkdirat(dir, DIRECTORY, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::call("mkdirat", DIRECTORY, errno)),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, DIRECTORY, flags, Mode::empty()).call("openat", DIRECTORY)
}

/// Binds the socket in the state directory `dir`, in place of one left by an earlier run.
///
/// # Errors
/// What the calls on the directory and the socket report.
pub fn setup(dir: BorrowedFd<'_>) -> Result<NotifySocket> {
    let directory = make_directory(dir)?;
    match rustix::fs::unlinkat(&directory, NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(Error::call("unlinkat", NAME, errno)),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).call("socket", NAME)?;
    let address = format!("{}/{NAME}", socket::proc_path(directory.as_fd()));
    rustix::net::bind(&fd, &SocketAddrUnix::new(address).call("bind", NAME)?).call("bind", NAME)?;
    // Any user of the container may be the one who notifies. Through a descriptor, so that no link is followed.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, NAME, flags, Mode::empty()).call("openat", NAME)?;
    rustix::fs::chmod(socket::proc_path(file.as_fd()), Mode::from_raw_mode(0o777)).call("chmod", NAME)?;
    Ok(NotifySocket { fd })
}

/// The socket that the container notifies.
pub struct NotifySocket {
    fd: OwnedFd,
}

/// How [`NotifySocket::forward_until_ready`] ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The service is ready, and the manager knows.
    Ready,
    /// The process ended before it was ready.
    Ended,
}

impl NotifySocket {
    /// Prepares to forward to `host_socket`, the value of the caller's `NOTIFY_SOCKET`; `pid` is the container's init.
    ///
    /// # Errors
    /// The value is neither an absolute path nor an abstract name, or there is no socket.
    pub fn forward(&self, host_socket: &str, pid: Pid) -> Result<Forward<'_>> {
        Ok(Forward { from: &self.fd, to: connect(host_socket)?, pid, stage: Stage::Waiting })
    }

    /// Waits until the service is ready and the manager has taken note, or the process of `pidfd` has ended.
    ///
    /// # Errors
    /// As [`NotifySocket::forward`], and when the manager does not take note within 30 seconds.
    pub fn forward_until_ready(&self, host_socket: &str, pid: Pid, pidfd: BorrowedFd<'_>) -> Result<Readiness> {
        let mut forward = self.forward(host_socket, pid)?;
        loop {
            let timeout = match &forward.stage {
                Stage::Waiting => None,
                Stage::Barrier { deadline, .. } => Some(deadline.saturating_duration_since(Instant::now())),
                Stage::Done => return Ok(Readiness::Ready),
            };
            if timeout.is_some_and(|left| left.is_zero()) {
                let what = format!("\"{host_socket}\": no answer to BARRIER=1 within {} s", BARRIER.as_secs());
                return Err(Error::new(Kind::System, what));
            }
            let mut fds = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            forward.add_to(&mut fds);
            let timeout = timeout.map(Timespec::try_from).transpose().unwrap_or_default();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::call("poll", "notify socket", errno)),
            }
            let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
            // The end does not hide a message that came before it.
            forward.step()?;
            if ended && matches!(forward.stage, Stage::Waiting) {
                return Ok(Readiness::Ended);
            }
        }
    }
}

enum Stage {
    Waiting,
    /// The manager closes the other end of the pipe when it has read everything.
    Barrier {
        pipe: OwnedFd,
        deadline: Instant,
    },
    Done,
}

/// The forwarding, for a loop that polls other things too.
pub struct Forward<'a> {
    from: &'a OwnedFd,
    to: OwnedFd,
    pid: Pid,
    stage: Stage,
}

impl Forward<'_> {
    /// Adds what to poll before the next [`Forward::step`].
    pub fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.push(PollFd::new(self.from, PollFlags::IN));
        if let Stage::Barrier { pipe, .. } = &self.stage {
            fds.push(PollFd::new(pipe, PollFlags::empty()));
        }
    }

    /// Reads what the container has sent, without waiting for more, and no more at a time than [`AT_ONCE`] messages: a
    /// container that never stops sending must not keep its runtime from other things. Once the service is ready the rest is thrown away,
    /// because a full socket would block the container.
    ///
    /// # Errors
    /// The manager cannot be reached.
    pub fn step(&mut self) -> Result<()> {
        let mut message = [0; MESSAGE];
        for _ in 0..AT_ONCE {
            // No room for control messages: descriptors that a container sends are closed by the kernel.
            match rustix::net::recv(self.from, &mut message, RecvFlags::DONTWAIT) {
                Ok((count, _)) => {
                    let message = message.get(..count).unwrap_or_default();
                    if matches!(self.stage, Stage::Waiting) && message.split(|&b| b == b'\n').any(|l| l == b"READY=1") {
                        self.announce()?;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::call("recv", NAME, errno)),
            }
        }
        if let Stage::Barrier { pipe, .. } = &self.stage {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if poll(&mut [PollFd::new(pipe, PollFlags::empty())], Some(&now)).call("poll", "barrier")? > 0 {
                self.stage = Stage::Done;
            }
        }
        Ok(())
    }

    fn announce(&mut self) -> Result<()> {
        self.send(b"READY=1", &[])?;
        self.send(format!("MAINPID={}", self.pid).as_bytes(), &[])?;
        let (pipe, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).call("pipe2", "barrier")?;
        self.send(b"BARRIER=1", &[end.as_fd()])?;
        self.stage = Stage::Barrier { pipe, deadline: Instant::now() + BARRIER };
        Ok(())
    }

    fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Error::new(Kind::System, "no room for one descriptor in a control message"));
        }
        rustix::net::sendmsg(&self.to, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)
            .call("sendmsg", "NOTIFY_SOCKET")?;
        Ok(())
    }
}

/// Connects to the manager: `/path`, or `@name` for an abstract socket.
fn connect(host_socket: &str) -> Result<OwnedFd> {
    let during = "NOTIFY_SOCKET";
    match host_socket.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())
            .and_then(|address| socket::connect_to(&address, SocketType::DGRAM, SEND))
            .call("connect", host_socket)
            .map_err(|error| error.context(during)),
        None if host_socket.starts_with('/') => {
            socket::connect(Path::new(host_socket), SocketType::DGRAM, SEND).map_err(|error| error.context(during))
        }
        None => {
            let what = format!("{during}: \"{host_socket}\" is neither an absolute path nor an abstract name");
            Err(Error::new(Kind::Usage, what))
        }
    }
}

#[cfg(test)]
mod tests;
