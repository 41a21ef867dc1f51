//! A tracer (ptrace(2)) that counts the system calls of a command and of what it starts, and ends or fails one of them.
//!
//! A process is named by its way from the command: `casemate` is the command, `casemate/1` the first it made, and so on.
//! One that executes another program than the runtime or its init is let go: hooks and the container's program are not
//! casemate's. Each trace has a thread of its own: when it ends, the kernel lets go of all that is still traced.

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// What is done to a process at its call number `at`, counted from 1.
#[derive(Clone, Debug)]
pub struct Injection {
    pub process: String,
    pub at: usize,
    pub fault: Fault,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL instead of the call.
    Kill,
    /// The call is not made and answers this; close(2) is made, as the kernel would.
    Error(Errno),
}

impl Fault {
    /// As a person says it.
    pub fn words(self) -> String {
        match self {
            Fault::Kill => "killed".to_owned(),
            Fault::Error(errno) => crate::faults::errors::words(errno),
        }
    }
}

/// A trace to make.
#[derive(Debug)]
pub struct Trace {
    /// The runtime's command.
    pub command: Command,
    /// A container's init that is traced from the beginning, as `init`.
    pub init: Option<i32>,
    pub injection: Option<Injection>,
    /// Files for the two output streams.
    pub output: [PathBuf; 2],
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Traced {
    /// The exit code of the command, or 128 + the signal.
    pub code: i32,
    /// The calls of each process up to the end of the command.
    pub calls: BTreeMap<String, Vec<i64>>,
    /// The call that was ended or failed.
    pub met: Option<i64>,
    /// Every process that was seen, dead or alive.
    pub pids: Vec<i32>,
    /// The command had not ended at the deadline and was killed.
    pub hung: bool,
}

const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC;

/// Runs the command under the tracer; everything it traced is killed when `deadline` has passed.
pub fn run(trace: Trace, deadline: Duration) -> Result<Traced> {
    let pids = Arc::new(Mutex::new(BTreeSet::new()));
    let known = Arc::clone(&pids);
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = Tracer::start(trace, known).and_then(Tracer::follow);
        // The receiver waits for this for as long as there is something to send.
        sender.send(()).ok();
        result
    });
    let hung = receiver.recv_timeout(deadline).is_err();
    if hung {
        for pid in pids.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            crate::host::kill(*pid)?;
        }
    }
    let traced = thread.join().map_err(|_| anyhow::anyhow!("the tracer panicked"))??;
    Ok(Traced { hung, ..traced })
}

/// One traced process.
#[derive(Debug)]
struct Process {
    name: String,
    children: usize,
    /// At the exit of its call, this is what it gets.
    answer: Option<Errno>,
}

struct Tracer {
    main: i32,
    /// The command is still the shell that waits to be seized.
    outside: bool,
    processes: BTreeMap<i32, Process>,
    /// Stopped before their parents told of them.
    unnamed: BTreeSet<i32>,
    injection: Option<Injection>,
    runtime: PathBuf,
    known: Arc<Mutex<BTreeSet<i32>>>,
    seen: Traced,
}

impl Tracer {
    fn start(trace: Trace, known: Arc<Mutex<BTreeSet<i32>>>) -> Result<Self> {
        let runtime = PathBuf::from(trace.command.get_program());
        let [out, err] = trace.output;
        let mut command = Command::new("/bin/busybox");
        command.args(["sh", "-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(&runtime).args(trace.command.get_args());
        if let Some(dir) = trace.command.get_current_dir() {
            command.current_dir(dir);
        }
        command.stdin(Stdio::null()).stdout(std::fs::File::create(out)?).stderr(std::fs::File::create(err)?);
        let child = command.spawn().context("start the traced command")?;
        let main = child.id().cast_signed();
        let status = wait_for(main, libc::WUNTRACED)?;
        ensure!(libc::WIFSTOPPED(status), "the shell did not stop: {status:x}");
        request(libc::PTRACE_SEIZE, main, 0, OPTIONS as usize).context("seize the command")?;
        let mut tracer = Self {
            main,
            outside: true,
            processes: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            injection: trace.injection,
            runtime,
            known,
            seen: Traced::default(),
        };
        tracer.adopt(main, "casemate".to_owned());
        if let Some(init) = trace.init {
            request(libc::PTRACE_SEIZE, init, 0, OPTIONS as usize).context("seize init")?;
            request(libc::PTRACE_INTERRUPT, init, 0, 0).context("interrupt init")?;
            tracer.adopt(init, "init".to_owned());
            // From here on it goes from call to call.
            wait_for(init, 0)?;
            tracer.resume(init, 0)?;
        }
        let pid = rustix::process::Pid::from_raw(main).context("pid")?;
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).context("continue the shell")?;
        Ok(tracer)
    }

    fn adopt(&mut self, pid: i32, name: String) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        self.seen.pids.push(pid);
        self.seen.calls.entry(name.clone()).or_default();
        self.processes.insert(pid, Process { name, children: 0, answer: None });
    }

    /// Until the command has ended.
    fn follow(mut self) -> Result<Traced> {
        loop {
            let mut status = 0;
            let pid = waitpid(-1, &mut status, 0)?;
            if !libc::WIFSTOPPED(status) {
                self.processes.remove(&pid);
                self.unnamed.remove(&pid);
                if pid != self.main {
                    continue;
                }
                let signalled = libc::WIFSIGNALED(status);
                self.seen.code = if signalled { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
                return Ok(self.seen);
            }
            match self.stopped(pid, status) {
                // It was killed while it stood: its end will be told.
                Err(error) if error.downcast_ref::<Errno>() == Some(&Errno::SRCH) => {}
                other => other?,
            }
        }
    }

    fn stopped(&mut self, pid: i32, status: i32) -> Result<()> {
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        if !self.processes.contains_key(&pid) {
            self.unnamed.insert(pid);
            return Ok(());
        }
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                let child = self.born(pid)?;
                if self.unnamed.remove(&child) {
                    self.resume(child, 0)?;
                }
                self.resume(pid, 0)
            }
            libc::PTRACE_EVENT_EXEC => {
                let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
                if exe == self.runtime {
                    self.outside = false;
                } else if !exe.to_string_lossy().starts_with("/memfd:init") {
                    self.processes.remove(&pid);
                    return Ok(request(libc::PTRACE_DETACH, pid, 0, 0)?);
                }
                self.resume(pid, 0)
            }
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => {
                // A stop of the whole process; the shell's own ends with the SIGCONT that comes.
                Ok(request(libc::PTRACE_LISTEN, pid, 0, 0)?)
            }
            0 if signal == libc::SIGTRAP | 0x80 => self.call(pid),
            0 => self.resume(pid, signal),
            _ => self.resume(pid, 0),
        }
    }

    fn born(&mut self, parent: i32) -> Result<i32> {
        let mut child: libc::c_ulong = 0;
        request(libc::PTRACE_GETEVENTMSG, parent, 0, (&raw mut child).expose_provenance())?;
        let child = i32::try_from(child).context("pid of a child")?;
        let process = self.processes.get_mut(&parent).context("a parent")?;
        process.children += 1;
        let name = format!("{}/{}", process.name, process.children);
        self.adopt(child, name);
        Ok(child)
    }

    fn call(&mut self, pid: i32) -> Result<()> {
        // `struct ptrace_syscall_info`: op, padding, arch; ip; sp; number; arguments.
        let mut info = [0_u64; 11];
        let size = size_of_val(&info);
        request(libc::PTRACE_GET_SYSCALL_INFO, pid, size, info.as_mut_ptr().expose_provenance())?;
        let process = self.processes.get_mut(&pid).context("a process")?;
        if info[0] & 0xff != u64::from(libc::PTRACE_SYSCALL_INFO_ENTRY) {
            if let Some(errno) = process.answer.take() {
                registers::answer(pid, errno)?;
            }
            return self.resume(pid, 0);
        }
        if pid == self.main && self.outside {
            return self.resume(pid, 0);
        }
        let number = info[3].cast_signed();
        let calls = self.seen.calls.entry(process.name.clone()).or_default();
        calls.push(number);
        let Some(injection) = self.injection.as_ref().filter(|i| i.process == process.name && i.at == calls.len())
        else {
            return self.resume(pid, 0);
        };
        if let Fault::Error(errno) = injection.fault
            && crate::faults::errors::plausible(number) != Some(errno)
        {
            // Another call than when they were counted: it may not have this error.
            return self.resume(pid, 0);
        }
        self.seen.met = Some(number);
        match injection.fault {
            Fault::Kill => {
                self.injection = None;
                crate::host::kill(pid)
            }
            Fault::Error(errno) => {
                process.answer = Some(errno);
                if number != libc::SYS_close {
                    registers::skip(pid)?;
                }
                self.injection = None;
                // To the exit of this call.
                Ok(request(libc::PTRACE_SYSCALL, pid, 0, 0)?)
            }
        }
    }

    /// Lets a process go on: to its next call, as long as there is something left to count or to inject.
    fn resume(&self, pid: i32, signal: i32) -> Result<()> {
        let over = self.seen.met.is_some() && self.injection.is_none();
        let how = if over { libc::PTRACE_CONT } else { libc::PTRACE_SYSCALL };
        Ok(request(how, pid, 0, usize::try_from(signal)?)?)
    }
}

fn wait_for(pid: i32, flags: i32) -> Result<i32> {
    let mut status = 0;
    waitpid(pid, &mut status, flags)?;
    Ok(status)
}

/// waitpid(2) for children and tracees of this thread only: other threads trace too.
fn waitpid(pid: i32, status: &mut i32, flags: i32) -> Result<i32> {
    loop {
        // SAFETY: the status is written to a variable that is borrowed for the call.
        #[allow(unsafe_code)]
        let done = unsafe { libc::waitpid(pid, ptr::from_mut(status), flags | libc::__WALL | libc::__WNOTHREAD) };
        match last_error() {
            _ if done >= 0 => return Ok(done),
            Errno::INTR => {}
            errno => bail!("waitpid: {errno}"),
        }
    }
}

fn request(request: libc::c_uint, pid: i32, address: usize, data: usize) -> Result<(), Errno> {
    // SAFETY: the requests of this file write to memory of ours only where `data` is the address of a live variable, as
    // large as the kernel writes.
    #[allow(unsafe_code)]
    let done = unsafe {
        libc::ptrace(request, pid, ptr::without_provenance::<u8>(address), ptr::with_exposed_provenance::<u8>(data))
    };
    if done == -1 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// The two registers that matter: the number of a call at its entry and its answer at the exit.
#[cfg(target_arch = "x86_64")]
mod registers {
    use super::{Errno, request};

    /// Offsets in `struct user_regs_struct`.
    const ORIG_RAX: usize = 15 * 8;
    const RAX: usize = 10 * 8;

    pub fn skip(pid: i32) -> Result<(), Errno> {
        request(libc::PTRACE_POKEUSER, pid, ORIG_RAX, usize::MAX)
    }

    pub fn answer(pid: i32, errno: Errno) -> Result<(), Errno> {
        request(libc::PTRACE_POKEUSER, pid, RAX, (-i64::from(errno.raw_os_error())).cast_unsigned() as usize)
    }
}

#[cfg(target_arch = "aarch64")]
mod registers {
    use super::{Errno, request};

    const NT_PRSTATUS: usize = 1;
    const NT_ARM_SYSTEM_CALL: usize = 0x404;

    pub fn skip(pid: i32) -> Result<(), Errno> {
        let mut number: i32 = -1;
        let vector = [(&raw mut number).expose_provenance(), size_of::<i32>()];
        request(libc::PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, vector.as_ptr().expose_provenance())
    }

    pub fn answer(pid: i32, errno: Errno) -> Result<(), Errno> {
        // x0 to x30, sp, pc, pstate.
        let mut registers = [0_u64; 34];
        let vector = [registers.as_mut_ptr().expose_provenance(), size_of_val(&registers)];
        request(libc::PTRACE_GETREGSET, pid, NT_PRSTATUS, vector.as_ptr().expose_provenance())?;
        registers[0] = (-i64::from(errno.raw_os_error())).cast_unsigned();
        request(libc::PTRACE_SETREGSET, pid, NT_PRSTATUS, vector.as_ptr().expose_provenance())
    }
}
