//! `--console-socket` and `--pidfd-socket`: one descriptor, sent to an engine that listens on an AF_UNIX socket.
//!
//! Engines read one message with 1 to 4095 bytes of data, a name, and exactly one descriptor in one `SCM_RIGHTS`.

use crate::error::{Call, Error, Kind, Result};
use crate::socket;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

/// How long the engine may take to accept, and to take the message.
const LIMIT: Duration = Duration::from_secs(10);

/// What is sent: also the limit of conmon's buffer for the name, in bytes.
const NAME_LIMIT: usize = 4096;

/// Sends `fd` to the socket at `path`. `name` is what the descriptor is: for a terminal its path, such as `/dev/ptmx`.
///
/// Blocks for at most 20 seconds. The connection is closed when this returns.
///
/// # Errors
/// The name is empty or longer than 4095 bytes; the path is no stream socket, or nobody listens on it; the message is
/// not taken in time.
pub fn send(path: &Path, fd: BorrowedFd<'_>, name: &str) -> Result<()> {
    if name.is_empty() || name.len() >= NAME_LIMIT {
        let what = format!("a descriptor's name has 1 to {} bytes, not {}", NAME_LIMIT - 1, name.len());
        return Err(Error::new(Kind::System, what));
    }
    send_bytes(path, fd, name.as_bytes())
}

/// Sends `fd` with any text, such as the state that a seccomp agent reads.
///
/// # Errors
/// As [`send`], but for the limit of the name.
pub fn send_bytes(path: &Path, fd: BorrowedFd<'_>, text: &[u8]) -> Result<()> {
    let socket = socket::connect(path, SocketType::STREAM, LIMIT)?;
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Error::new(Kind::System, "no room for one descriptor in a control message"));
    }
    // MSG_NOSIGNAL: a listener that has gone is an error and not a SIGPIPE.
    let sent = rustix::net::sendmsg(&socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)
        .call("sendmsg", path.display())
        .map_err(|error| error.hint("the listener on this socket went away"))?;
    if sent != text.len() {
        let what = format!("sendmsg \"{}\": sent {sent} of {} bytes", path.display(), text.len());
        return Err(Error::new(Kind::System, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    use std::io::IoSliceMut;
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let path = std::env::temp_dir().join(format!("casemate-console-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// Binds below a directory of any length.
    fn listen(path: &Path) -> UnixListener {
        let parent = std::fs::File::open(path.parent().unwrap()).unwrap();
        let short = format!("{}/{}", socket::proc_path(parent.as_fd()), path.file_name().unwrap().to_str().unwrap());
        UnixListener::bind(short).unwrap()
    }

    /// Reads one message: its data, its descriptors, and then the end of the stream.
    fn receive(listener: &UnixListener) -> (String, Vec<OwnedFd>) {
        let (stream, _) = listener.accept().unwrap();
        let mut data = [0; NAME_LIMIT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = {
            let mut slices = [IoSliceMut::new(&mut data)];
            rustix::net::recvmsg(&stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap()
        };
        let fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fds = fds.flatten().collect();
        assert_eq!(rustix::io::read(&stream, &mut [0; 1]).unwrap(), 0, "more than one message");
        (String::from_utf8(data[..got.bytes].to_vec()).unwrap(), fds)
    }

    fn null() -> std::fs::File {
        std::fs::File::open("/dev/null").unwrap()
    }

    #[test]
    fn one_message_with_the_name_and_one_descriptor_arrives() {
        let dir = Dir::new("one");
        let path = dir.0.join("s");
        let listener = listen(&path);
        let file = null();
        send(&path, file.as_fd(), "/dev/ptmx").unwrap();
        let (name, fds) = receive(&listener);
        assert_eq!(name, "/dev/ptmx");
        let [fd] = fds.as_slice() else { panic!("{fds:?}") };
        let (sent, got) = (rustix::fs::fstat(&file).unwrap(), rustix::fs::fstat(fd).unwrap());
        assert_eq!((sent.st_dev, sent.st_ino), (got.st_dev, got.st_ino));
    }

    #[test]
    fn path_longer_than_an_address_works() {
        let dir = Dir::new("long");
        let parent = dir.0.join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&parent).unwrap();
        let path = parent.join("s".repeat(60));
        let listener = listen(&path);
        send(&path, null().as_fd(), "n").unwrap();
        assert_eq!(receive(&listener).0, "n");
    }

    #[test]
    fn symbolic_link_to_a_socket_is_followed() {
        let dir = Dir::new("link");
        let listener = listen(&dir.0.join("s"));
        std::os::unix::fs::symlink("s", dir.0.join("l")).unwrap();
        send(&dir.0.join("l"), null().as_fd(), "n").unwrap();
        assert_eq!(receive(&listener).0, "n");
    }

    #[test]
    fn regular_file_is_refused_by_name() {
        let dir = Dir::new("file");
        let path = dir.0.join("f");
        std::fs::write(&path, "").unwrap();
        let error = send(&path, null().as_fd(), "n").unwrap_err();
        assert_eq!(error.to_string(), format!("\"{}\" is not a socket", path.display()));
    }

    #[test]
    fn socket_that_nobody_listens_on_is_refused() {
        let dir = Dir::new("closed");
        let path = dir.0.join("s");
        drop(listen(&path));
        let error = send(&path, null().as_fd(), "n").unwrap_err().to_string();
        assert!(error.contains("connection refused (hint: nobody listens"), "{error}");
    }

    #[test]
    fn missing_socket_and_datagram_socket_are_errors() {
        let dir = Dir::new("missing");
        let error = send(&dir.0.join("s"), null().as_fd(), "n").unwrap_err().to_string();
        assert!(error.ends_with("s\": no such file or directory"), "{error}");
        let path = dir.0.join("dgram");
        let _socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let error = send(&path, null().as_fd(), "n").unwrap_err().to_string();
        assert!(error.contains("the socket is of another type"), "{error}");
    }

    #[test]
    fn listener_that_never_accepts_still_gets_the_message() {
        let dir = Dir::new("backlog");
        let path = dir.0.join("s");
        let listener = listen(&path);
        send(&path, null().as_fd(), "n").unwrap();
        assert_eq!(receive(&listener).1.len(), 1);
    }

    #[test]
    fn empty_and_oversized_names_are_refused() {
        for name in [String::new(), "n".repeat(4096)] {
            assert!(send(Path::new("/nonexistent"), null().as_fd(), &name).unwrap_err().to_string().contains("bytes"));
        }
    }
}
