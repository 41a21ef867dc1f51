//! Real processes under real filters.
#![allow(unsafe_code)]

use super::*;
use crate::commands::fixture::Boxed;
use crate::state::InitProcess;
use crate::sys::ptrace::{Stop, Tracee};
use seccomp_profiles::{Arch, CapabilitySet, Filter, compile, families};
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Filters of a family, as the kernel takes them.
fn family(name: &str) -> Vec<u64> {
    let profile = families::load(name, &CapabilitySet::default(), Arch::NATIVE).unwrap();
    let Filter { insns, .. } = compile(&profile, Arch::NATIVE).unwrap();
    insns
        .iter()
        .map(|i| {
            let (code, k) = (i.code.to_ne_bytes(), i.k.to_ne_bytes());
            u64::from_ne_bytes([code[0], code[1], i.jt, i.jf, k[0], k[1], k[2], k[3]])
        })
        .collect()
}

/// `cat` under these filters, loaded in this order; it answers what it is sent.
struct Cat(Child);

impl Cat {
    fn under(filters: Vec<Vec<u64>>) -> Cat {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let load = move || {
            for filter in &filters {
                let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut().cast() };
                // SAFETY: prctl(2) and seccomp by it are async-signal-safe; the program lives in the closure.
                let done = unsafe {
                    libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                        | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
                };
                if done != 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        };
        // SAFETY: the closure makes system calls only and allocates nothing.
        let mut cat = Cat(unsafe { command.pre_exec(load) }.spawn().unwrap());
        cat.answers();
        cat
    }

    fn answers(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        let mut answer = [0];
        self.0.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"?");
    }

    fn process(&self) -> Process {
        Process::open(&InitProcess::of(self.0.id() as i32).unwrap()).unwrap().unwrap()
    }

    fn state(&self) -> char {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix("State:\t")).unwrap().chars().next().unwrap()
    }

    fn signal(&self, signal: i32) {
        assert!(self.process().signal(signal).unwrap());
    }

    fn waits_until_in(&self, state: char) {
        while self.state() != state {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Cat {
    fn drop(&mut self) {
        // Perhaps it ended already.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// Whether this host shows filters to this process.
fn can_read() -> bool {
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| own.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned);
    let root = u64::from_str_radix(&field("CapEff:").unwrap(), 16).unwrap() & 1 << 21 != 0;
    let free = field("Seccomp:").as_deref() == Some("0");
    if !root || !free {
        eprintln!("skipped: needs CAP_SYS_ADMIN ({root}) and no filter around the tests ({free})");
    }
    root && free
}

#[test]
fn filters_are_read_as_they_were_loaded_the_oldest_first() {
    if !can_read() {
        return;
    }
    let filters = vec![family("default"), family("restricted")];
    let mut cat = Cat::under(filters.clone());
    assert_eq!(read(&cat.process()).unwrap(), filters);
    // And again: the first reading left nothing behind.
    assert_eq!(read(&cat.process()).unwrap(), filters);
    cat.answers();
}

#[test]
fn a_process_without_filters_has_none() {
    if !can_read() {
        return;
    }
    let mut cat = Cat::under(Vec::new());
    assert_eq!(read(&cat.process()).unwrap(), Vec::<Vec<u64>>::new());
    cat.answers();
}

#[test]
fn a_stopped_process_stays_stopped_and_goes_on_when_it_is_told() {
    if !can_read() {
        return;
    }
    let filters = vec![family("default")];
    let mut cat = Cat::under(filters.clone());
    cat.signal(libc::SIGSTOP);
    cat.waits_until_in('T');
    assert_eq!(read(&cat.process()).unwrap(), filters);
    cat.waits_until_in('T');
    cat.signal(libc::SIGCONT);
    cat.answers();
}

#[test]
fn a_process_that_ended_is_told_and_not_waited_for() {
    if !can_read() {
        return;
    }
    let cat = Cat::under(vec![family("default")]);
    let process = cat.process();
    cat.signal(libc::SIGKILL);
    cat.waits_until_in('Z');
    assert!(read(&process).is_err());
}

#[test]
fn a_process_that_somebody_traces_is_left_to_him() {
    if !can_read() {
        return;
    }
    let mut cat = Cat::under(vec![family("default")]);
    let process = cat.process();
    let tracee = Tracee::seize(process.pid()).unwrap();
    assert!(read(&process).unwrap_err().contains("another process traces it"));
    tracee.interrupt().unwrap();
    while tracee.stop().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    tracee.detach(0).unwrap();
    cat.answers();
}

#[test]
fn a_tracer_that_ends_in_the_middle_lets_the_process_go_on() {
    if !can_read() {
        return;
    }
    let mut cat = Cat::under(vec![family("default")]);
    let pid = cat.process().pid();
    let tracer = std::thread::spawn(move || {
        let tracee = Tracee::seize(pid).unwrap();
        tracee.interrupt().unwrap();
        while tracee.stop().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    tracer.join().unwrap();
    cat.answers();
}

#[test]
fn a_frozen_process_is_given_up_or_read_and_goes_on_when_thawed() {
    let Some(boxed) = Boxed::new() else { return };
    let cgroup = boxed.cgroup();
    cgroup.freeze(Duration::from_secs(10)).unwrap();
    let process = Process::open(&InitProcess::of(boxed.pids()[0]).unwrap()).unwrap().unwrap();
    // cgroup v2 lets a frozen process be traced, v1 does not; neither hangs.
    if let Err(error) = read(&process) {
        assert!(error.contains("did not stop") || error.contains("ptrace"), "{error}");
    }
    cgroup.thaw().unwrap();
    assert!(!process.is_gone().unwrap());
    assert_eq!(read(&process).is_ok(), can_read());
}

#[test]
fn a_signal_that_a_stop_held_back_is_handed_on() {
    use std::os::unix::process::ExitStatusExt as _;
    if !can_read() {
        return;
    }
    let filters = vec![family("default")];
    let mut cat = Cat::under(filters.clone());
    let process = cat.process();
    let tracee = Tracee::seize(process.pid()).unwrap();
    cat.signal(libc::SIGUSR1);
    let stop = loop {
        if let Some(stop) = tracee.stop().unwrap() {
            break stop;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(stop, Stop::Stopped(libc::SIGUSR1));
    let mut words = vec![0; 4096];
    let length = tracee.filter(0, &mut words).unwrap().unwrap();
    assert_eq!(words[..length], filters[0]);
    tracee.detach(libc::SIGUSR1).unwrap();
    assert_eq!(cat.0.wait().unwrap().signal(), Some(libc::SIGUSR1));
}
