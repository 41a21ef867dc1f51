//! The foreground wait, with real children. In a process of its own, because it blocks signals and reaps every child;
//! and one test at a time, because signals and children belong to the process.
#![allow(unsafe_code, clippy::unwrap_used)]

use casemate::foreground::{Signals, become_subreaper};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

static ONE: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a shell with the caller's mask emptied, as init does, and waits for the first line of its output.
fn shell(script: &str) -> (Child, Pid, OwnedFd, String) {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdout(Stdio::piped());
    // SAFETY: one async-signal-safe call.
    unsafe {
        command.pre_exec(|| nix::sys::signal::SigSet::empty().thread_set_mask().map_err(std::io::Error::from));
    }
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, pid, pidfd, line.trim().to_owned())
}

/// Sends a signal to this thread, which is the one that has it blocked.
fn signal_self(signal: i32) {
    signal_thread(own_thread(), signal);
}

fn own_thread() -> i32 {
    // SAFETY: a call without arguments.
    unsafe { libc::gettid() }
}

fn signal_thread(thread: i32, signal: i32) {
    // SAFETY: a signal to a thread that has all of them blocked.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, signal) };
    assert_eq!(sent, 0);
}

fn wait(signals: Signals, pidfd: &OwnedFd, pid: Pid) -> ExitCode {
    signals.wait(pidfd.as_fd(), pid, None, None).unwrap()
}

#[test]
fn exit_code_is_that_of_the_process() {
    let _one = one_at_a_time();
    let signals = Signals::block().unwrap();
    let (_child, pid, pidfd, _) = shell("echo; exit 9");
    assert_eq!(wait(signals, &pidfd, pid), ExitCode::from(9));
}

#[test]
fn process_killed_by_a_signal_gives_128_and_the_signal() {
    let _one = one_at_a_time();
    let signals = Signals::block().unwrap();
    let (_child, pid, pidfd, _) = shell("echo; kill -KILL $$");
    assert_eq!(wait(signals, &pidfd, pid), ExitCode::from(137));
}

#[test]
fn process_that_ended_long_ago_does_not_hang_the_wait() {
    let _one = one_at_a_time();
    let signals = Signals::block().unwrap();
    for _ in 0..50 {
        let (_child, pid, pidfd, _) = shell("exit 3");
        let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
        assert_eq!(wait(Signals::block().unwrap(), &pidfd, pid), ExitCode::from(3));
    }
    drop(signals);
}

#[test]
fn signals_are_forwarded_also_real_time_ones() {
    let _one = one_at_a_time();
    for (signal, name) in [
        (libc::SIGTERM, "TERM"),
        (libc::SIGINT, "INT"),
        (libc::SIGUSR1, "USR1"),
        (libc::SIGWINCH, "WINCH"),
        (libc::SIGHUP, "HUP"),
        (libc::SIGRTMIN() + 3, "37"),
    ] {
        let signals = Signals::block().unwrap();
        let (_child, pid, pidfd, line) =
            shell(&format!("trap 'exit 42' {name}; echo ready; while :; do sleep 0.1; done"));
        assert_eq!(line, "ready");
        signal_self(signal);
        assert_eq!(wait(signals, &pidfd, pid), ExitCode::from(42), "{name}");
    }
}

#[test]
fn sigchld_and_sigurg_are_not_forwarded() {
    let _one = one_at_a_time();
    let signals = Signals::block().unwrap();
    let script = "trap 'exit 1' URG; trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let (_child, pid, pidfd, _) = shell(script);
    signal_self(libc::SIGURG);
    signal_self(libc::SIGTERM);
    assert_eq!(wait(signals, &pidfd, pid), ExitCode::from(0));
}

#[test]
fn orphans_are_adopted_and_reaped_and_do_not_end_the_wait() {
    let _one = one_at_a_time();
    let signals = Signals::block().unwrap();
    become_subreaper().unwrap();
    // The orphan ends first; the process waits until its pid is free, which only the reaper can bring about.
    let script = "orphan=$( (exec sh -c 'echo $$; exec >&-; exit 7' &) ); echo $orphan; \
                  while [ -e /proc/$orphan ]; do sleep 0.1; done; exit 5";
    let (_child, pid, pidfd, orphan) = shell(script);
    assert!(orphan.parse::<i32>().is_ok(), "{orphan}");
    // SIGCHLD goes to the process. The other threads of the test harness would take it, and drop it.
    let pass_on = std::thread::spawn({
        let thread = own_thread();
        let orphan = orphan.clone();
        move || {
            while std::path::Path::new(&format!("/proc/{orphan}")).exists() {
                signal_thread(thread, libc::SIGCHLD);
                std::thread::yield_now();
            }
        }
    });
    assert_eq!(wait(signals, &pidfd, pid), ExitCode::from(5));
    pass_on.join().unwrap();
    rustix::process::set_child_subreaper(None).unwrap();
}

#[test]
fn terminal_output_is_complete_when_the_wait_returns() {
    let _one = one_at_a_time();
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let signals = Signals::block().unwrap();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let script = format!(
        "exec >{name} 2>&1 <{name}; stty raw; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 4"
    );
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(std::fs::File::from(read)).unwrap());
    let input = std::fs::File::open("/dev/null").unwrap();
    let terminal = casemate::terminal::Proxy::new(master, input.into(), write).unwrap();
    let (_child, pid, pidfd, _) = shell(&format!("echo; {script}"));
    let code = signals.wait(pidfd.as_fd(), pid, Some(terminal), None).unwrap();
    assert_eq!(code, ExitCode::from(4));
    let text = reader.join().unwrap();
    assert_eq!(text.lines().count(), 3000);
    assert!(text.ends_with("line 2999\n"));
}

#[test]
fn readiness_is_forwarded_while_the_process_runs() {
    let _one = one_at_a_time();
    // Several runs may be in pid namespaces of their own, and have the same pid.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let path = std::env::temp_dir().join(format!("casemate-foreground-{}-{now}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let directory = std::fs::File::open(&path).unwrap();
    let manager = std::os::unix::net::UnixDatagram::bind(path.join("manager")).unwrap();
    let signals = Signals::block().unwrap();
    let socket = casemate::notify::setup(directory.as_fd()).unwrap();
    let (_child, pid, pidfd, _) = shell("trap 'exit 6' TERM; echo; while :; do sleep 0.1; done");
    let forward = socket.forward(path.join("manager").to_str().unwrap(), pid).unwrap();
    let waiting = own_thread();
    let service = std::thread::spawn({
        let path = path.clone();
        move || {
            let container = std::os::unix::net::UnixDatagram::unbound().unwrap();
            container.send_to(b"READY=1", path.join("notify/notify.sock")).unwrap();
            let mut message = [0; 64];
            let count = manager.recv(&mut message).unwrap();
            signal_thread(waiting, libc::SIGTERM);
            message[..count].to_vec()
        }
    });
    let code = signals.wait(pidfd.as_fd(), pid, None, Some(forward)).unwrap();
    assert_eq!(code, ExitCode::from(6));
    assert_eq!(service.join().unwrap(), b"READY=1");
    std::fs::remove_dir_all(&path).unwrap();
}
