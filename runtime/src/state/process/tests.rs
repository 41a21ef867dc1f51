use std::process::{Child, Command, Stdio};

use super::*;

/// A process that does nothing until it is killed at the end of the test.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    pub(crate) fn new() -> Sleeper {
        // Waits for its stdin, so that it ends with the test whatever happens.
        Sleeper(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn init(&self) -> InitProcess {
        InitProcess::of(self.0.id() as i32).unwrap()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub(crate) fn wait(&mut self) {
        self.0.wait().unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may be dead and reaped already.
        let _dead = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn process_is_found_signalled_and_seen_to_end() {
    let mut sleeper = Sleeper::new();
    let process = Process::open(&sleeper.init()).unwrap().unwrap();
    assert!(process.signal(0).unwrap());
    assert!(!process.wait_gone(Duration::from_millis(1)).unwrap());
    process.kill(Duration::from_secs(10)).unwrap();
    assert!(process.is_gone().unwrap(), "a zombie is gone");
    assert!(!process.signal(9).unwrap());
    sleeper.wait();
    assert!(!process.signal(9).unwrap(), "waited for, it is gone too");
}

#[test]
fn real_time_signals_are_sent() {
    let mut sleeper = Sleeper::new();
    let process = Process::open(&sleeper.init()).unwrap().unwrap();
    assert!(process.signal(37).unwrap());
    assert!(process.wait_gone(Duration::from_secs(10)).unwrap());
    sleeper.wait();
    let other = Sleeper::new();
    let error = Process::open(&other.init()).unwrap().unwrap().signal(65).unwrap_err().to_string();
    assert!(error.ends_with("invalid argument"), "{error}");
}

#[test]
fn zombie_is_gone() {
    let mut sleeper = Sleeper::new();
    let init = sleeper.init();
    Process::open(&init).unwrap().unwrap().kill(Duration::from_secs(10)).unwrap();
    assert!(Process::open(&init).unwrap().is_none());
    sleeper.wait();
    assert!(Process::open(&init).unwrap().is_none());
}

#[test]
fn pid_that_belongs_to_another_process_is_never_opened() {
    let (mut meant, mut other) = (Sleeper::new(), Sleeper::new());
    let init = meant.init();
    if init.pidfd_inode.is_none() {
        return eprintln!("skipped: needs inodes of pidfds, Linux 6.9");
    }
    for wrong in [
        InitProcess { start_time: init.start_time + 1, ..init.clone() },
        InitProcess { start_time: 0, ..init.clone() },
        InitProcess { pid: other.init().pid, start_time: other.init().start_time, ..init.clone() },
        InitProcess { boot_id: "0".repeat(36), ..init.clone() },
        InitProcess { pid: 1, ..init.clone() },
        InitProcess { pid: std::process::id() as i32, start_time: 0, ..init.clone() },
        InitProcess { pid: 0, ..init.clone() },
        InitProcess { pid: -1, ..init.clone() },
        InitProcess { pid: i32::MIN, ..init.clone() },
        InitProcess { pid: i32::MAX, ..init.clone() },
    ] {
        assert!(Process::open(&wrong).unwrap().is_none(), "{wrong:?}");
    }
    assert!(meant.is_alive() && other.is_alive());
}

#[test]
fn process_lives_until_its_last_thread_ends() {
    // The first thread of this one ends at once, so that /proc says Z while the other works on.
    let script = "import os,threading,ctypes,sys\nthreading.Thread(target=lambda: (sys.stdin.read(), os._exit(0))).start()\n\
                  sys.stdout.write('x'); sys.stdout.flush()\nctypes.CDLL(None).syscall(60, 0)\n";
    let spawned =
        Command::new("/usr/bin/python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else { return eprintln!("skipped: needs /usr/bin/python3") };
    if cfg!(not(target_arch = "x86_64")) {
        return eprintln!("skipped: knows the number of exit(2) on x86_64 only");
    }
    let pid = child.id() as i32;
    let mut ready = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let procfs = Procfs::open().unwrap();
    while procfs.stat(pid).unwrap().unwrap().state != 'Z' {
        std::thread::yield_now();
    }
    let process = Process::open(&InitProcess::of(pid).unwrap()).unwrap();
    assert!(process.is_some_and(|process| !process.is_gone().unwrap()));
    drop(child.stdin.take());
    child.wait().unwrap();
}
