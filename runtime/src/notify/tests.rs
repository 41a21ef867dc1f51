use super::*;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage};
use rustix::process::{PidfdFlags, pidfd_open};
use std::io::IoSliceMut;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A state directory, a manager's socket, and a container's process that lives until its stdin is closed.
struct Host {
    path: PathBuf,
    dir: OwnedFd,
    manager: UnixDatagram,
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
}

impl Host {
    fn new(name: &str) -> Host {
        let path = std::env::temp_dir().join(format!("casemate-notify-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let dir = std::fs::File::open(&path).unwrap().into();
        let manager = UnixDatagram::bind(path.join("manager")).unwrap();
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        Host { path, dir, manager, child, pid, pidfd }
    }

    fn manager_name(&self) -> String {
        self.path.join("manager").to_str().unwrap().to_owned()
    }

    fn container(&self) -> UnixDatagram {
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(self.path.join("notify/notify.sock")).unwrap();
        socket
    }

    /// One message to the manager; the descriptors that came with it are closed.
    fn message(&self) -> String {
        let mut data = [0; 256];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = {
            let mut slices = [IoSliceMut::new(&mut data)];
            rustix::net::recvmsg(&self.manager, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap()
        };
        let fds: usize = control
            .drain()
            .map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => fds.count(),
                _ => 0,
            })
            .sum();
        let text = String::from_utf8_lossy(&data[..got.bytes]).into_owned();
        if fds > 0 { format!("{text}+{fds}") } else { text }
    }

    fn is_silent(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.manager, PollFlags::IN)], Some(&now)).unwrap() == 0
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        std::fs::remove_dir_all(&self.path).unwrap();
    }
}

#[test]
fn ready_goes_to_the_manager_with_the_pid_and_a_barrier() {
    let host = Host::new("ready");
    let socket = setup(host.dir.as_fd()).unwrap();
    host.container().send(b"STATUS=up\nREADY=1\nMAINPID=1\nFDSTORE=1").unwrap();
    std::thread::scope(|scope| {
        let messages = scope.spawn(|| [host.message(), host.message(), host.message()]);
        let readiness = socket.forward_until_ready(&host.manager_name(), host.pid, host.pidfd.as_fd()).unwrap();
        assert_eq!(readiness, Readiness::Ready);
        let expected = ["READY=1".to_owned(), format!("MAINPID={}", host.pid), "BARRIER=1+1".to_owned()];
        assert_eq!(messages.join().unwrap(), expected);
    });
    assert!(host.is_silent());
}

#[test]
fn other_messages_and_descriptors_stay_in_the_container() {
    let host = Host::new("other");
    let socket = setup(host.dir.as_fd()).unwrap();
    let mut forward = socket.forward(&host.manager_name(), host.pid).unwrap();
    for message in ["MAINPID=1", "XREADY=1", "READY=10", "READY=", "ERRNO=2\nWATCHDOG=1"] {
        host.container().send(message.as_bytes()).unwrap();
        forward.step().unwrap();
    }
    assert!(host.is_silent());
}

#[test]
fn messages_after_ready_do_not_fill_the_socket() {
    let host = Host::new("after");
    let socket = setup(host.dir.as_fd()).unwrap();
    let mut forward = socket.forward(&host.manager_name(), host.pid).unwrap();
    let container = host.container();
    container.set_nonblocking(true).unwrap();
    for _ in 0..200 {
        container.send(b"READY=1").unwrap();
        forward.step().unwrap();
    }
    assert_eq!([host.message(), host.message(), host.message()].len(), 3);
    assert!(host.is_silent());
    forward.step().unwrap();
    assert!(matches!(forward.stage, Stage::Done));
}

#[test]
fn process_that_ends_before_it_is_ready_is_no_error() {
    let mut host = Host::new("ended");
    let socket = setup(host.dir.as_fd()).unwrap();
    drop(host.child.stdin.take());
    let readiness = socket.forward_until_ready(&host.manager_name(), host.pid, host.pidfd.as_fd()).unwrap();
    assert_eq!(readiness, Readiness::Ended);
    assert!(host.is_silent());
}

#[test]
fn any_user_may_notify_and_a_stale_socket_is_replaced() {
    let host = Host::new("mode");
    drop(setup(host.dir.as_fd()).unwrap());
    let _socket = setup(host.dir.as_fd()).unwrap();
    let mode = |name: &str| std::fs::metadata(host.path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("notify"), mode("notify/notify.sock")), (0o755, 0o777));
    host.container().send(b"x").unwrap();
}

#[test]
fn abstract_manager_is_reached() {
    use std::os::linux::net::SocketAddrExt as _;
    let host = Host::new("abstract");
    let name = format!("casemate-notify-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    let socket = setup(host.dir.as_fd()).unwrap();
    let mut forward = socket.forward(&format!("@{name}"), host.pid).unwrap();
    host.container().send(b"READY=1").unwrap();
    forward.step().unwrap();
    let mut data = [0; 16];
    let count = manager.recv(&mut data).unwrap();
    assert_eq!(&data[..count], b"READY=1");
}

#[test]
fn relative_and_missing_managers_are_errors() {
    let host = Host::new("wrong");
    let socket = setup(host.dir.as_fd()).unwrap();
    let error = |name: &str| socket.forward(name, host.pid).err().unwrap().to_string();
    assert!(error("run/x").contains("neither an absolute path"));
    assert!(error("/nonexistent/x").ends_with("open \"/nonexistent/x\": no such file or directory"));
}
