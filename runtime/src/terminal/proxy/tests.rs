use super::*;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

/// A pseudo-terminal in raw mode: what goes in comes out unchanged.
fn pty() -> (OwnedFd, std::fs::File) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = open_slave(&master);
    let mut raw = tcgetattr(&slave).unwrap();
    raw.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &raw).unwrap();
    (master, slave)
}

fn open_slave(master: &OwnedFd) -> std::fs::File {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    rustix::pty::ioctl_tiocgptpeer(master, flags).unwrap().into()
}

/// A proxy between a pty and two sockets; answers also the caller's ends.
fn proxied(master: &OwnedFd) -> (Proxy, UnixStream, UnixStream) {
    let (input, caller_in) = UnixStream::pair().unwrap();
    let (output, caller_out) = UnixStream::pair().unwrap();
    let proxy = Proxy::new(master.try_clone().unwrap(), input.into(), output.into()).unwrap();
    (proxy, caller_in, caller_out)
}

/// Polls and steps until the condition holds.
fn pump(proxy: &mut Proxy, mut until: impl FnMut() -> bool) {
    while !until() {
        wait(proxy, 1);
        proxy.step().unwrap();
    }
}

/// How many of the proxy's descriptors are ready within the time.
fn wait(proxy: &Proxy, seconds: i64) -> usize {
    let mut fds = Vec::new();
    proxy.add_to(&mut fds);
    poll(&mut fds, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })).unwrap()
}

fn has_input(fd: &impl std::os::fd::AsFd) -> bool {
    ready(&fd.as_fd().try_clone_to_owned().unwrap(), PollFlags::IN)
}

#[test]
fn bytes_cross_in_both_directions() {
    let (master, mut slave) = pty();
    let (mut proxy, mut caller_in, mut caller_out) = proxied(&master);
    caller_in.write_all(b"to the container").unwrap();
    pump(&mut proxy, || has_input(&slave));
    let mut buffer = [0; 64];
    let count = slave.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"to the container");
    slave.write_all(b"to the caller").unwrap();
    pump(&mut proxy, || has_input(&caller_out));
    let count = caller_out.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"to the caller");
}

#[test]
fn output_written_before_the_end_is_drained() {
    let (master, mut slave) = pty();
    let (mut proxy, _caller_in, caller_out) = proxied(&master);
    slave.write_all(&[b'x'; 3000]).unwrap();
    drop(slave);
    while !proxy.is_drained() {
        proxy.step().unwrap();
    }
    drop(proxy);
    let mut all = Vec::new();
    (&caller_out).read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 3000);
}

#[test]
fn terminal_that_everybody_closed_does_not_spin_and_can_be_opened_again() {
    let (master, slave) = pty();
    let (mut proxy, _caller_in, mut caller_out) = proxied(&master);
    drop(slave);
    proxy.step().unwrap();
    assert_eq!(wait(&proxy, 0), 0, "a hung-up master keeps the loop awake");
    open_slave(&master).write_all(b"again").unwrap();
    pump(&mut proxy, || has_input(&caller_out));
    let mut buffer = [0; 64];
    let count = caller_out.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"again");
}

#[test]
fn end_of_input_does_not_spin_and_output_goes_on() {
    let (master, mut slave) = pty();
    let (mut proxy, caller_in, mut caller_out) = proxied(&master);
    drop(caller_in);
    proxy.step().unwrap();
    assert_eq!(wait(&proxy, 0), 0);
    slave.write_all(b"still").unwrap();
    pump(&mut proxy, || has_input(&caller_out));
    let mut buffer = [0; 64];
    assert_eq!(caller_out.read(&mut buffer).unwrap(), 5);
}

#[test]
fn output_of_a_container_whose_caller_has_gone_is_thrown_away() {
    let (master, mut slave) = pty();
    let (mut proxy, _caller_in, caller_out) = proxied(&master);
    drop(caller_out);
    for _ in 0..8 {
        slave.write_all(&[b'x'; 2000]).unwrap();
        while !proxy.is_drained() {
            proxy.step().unwrap();
        }
    }
}

#[test]
fn caller_that_does_not_read_does_not_block_the_proxy() {
    let (master, mut slave) = pty();
    let (mut proxy, _caller_in, caller_out) = proxied(&master);
    rustix::fs::fcntl_setfl(&slave, OFlags::NONBLOCK).unwrap();
    let mut written = 0;
    loop {
        match slave.write(&[b'x'; 1000]) {
            Ok(count) => written += count,
            // The terminal is full; it stays so only when the caller's socket is full too.
            Err(_) if !proxy.to_caller.bytes.is_empty() && !ready(proxy.output.as_ref().unwrap(), PollFlags::OUT) => {
                break;
            }
            Err(_) => {}
        }
        proxy.step().unwrap();
    }
    assert!(!proxy.is_drained());
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    drop(slave);
    while !proxy.is_drained() || has_input(&caller_out) {
        if has_input(&caller_out) {
            read += (&caller_out).read(&mut buffer).unwrap();
        }
        proxy.step().unwrap();
    }
    assert_eq!(read, written);
}

#[test]
fn caller_terminal_that_nobody_reads_does_not_block_the_proxy() {
    let (master, mut slave) = pty();
    let (input, _caller_in) = UnixStream::pair().unwrap();
    let (_host_master, host) = pty();
    let mut proxy = Proxy::new(master.try_clone().unwrap(), input.into(), host.into()).unwrap();
    rustix::fs::fcntl_setfl(&slave, OFlags::NONBLOCK).unwrap();
    // Far more than both terminals hold, in pieces that do not fit into what is left at the end.
    for _ in 0..200 {
        while slave.write(&[b'x'; 4096]).is_ok() {}
        proxy.step().unwrap();
    }
    assert!(!proxy.is_drained());
}

#[test]
fn caller_terminal_is_raw_meanwhile_and_as_before_afterwards() {
    let (host_master, host) = pty();
    let mut cooked = tcgetattr(&host).unwrap();
    cooked.local_modes |= rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON;
    tcsetattr(&host, OptionalActions::Now, &cooked).unwrap();
    let size = |fd: &OwnedFd| tcgetwinsize(fd).map(|size| (size.ws_row, size.ws_col)).unwrap();
    let set = |rows, cols| {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&host_master, size).unwrap();
    };
    set(42, 123);
    let (master, _slave) = pty();
    let host = OwnedFd::from(host);
    let proxy = Proxy::new(master.try_clone().unwrap(), host.try_clone().unwrap(), host.try_clone().unwrap()).unwrap();
    let local = || tcgetattr(&host).unwrap().local_modes;
    assert!(!local().contains(rustix::termios::LocalModes::ECHO));
    assert_eq!(size(&master), (42, 123));
    set(10, 20);
    proxy.resize().unwrap();
    assert_eq!(size(&master), (10, 20));
    drop(proxy);
    assert_eq!(local(), cooked.local_modes);
}
