//! Runs system calls under a filter in a child, so that none of them really happens, and tells what the kernel did.
//!
//! All filters of a process are asked and the strictest answer wins; of equals, that of the filter loaded last
//! (`seccomp_run_filters`). So an outer filter is loaded first that answers every call with a marker less strict than
//! what is to be seen and stricter than ALLOW: an ERRNO, below which an ERRNO of the inner filter, TRAP and KILL show; or
//! a TRACE with a tracer that skips the call, below which the data of an inner TRACE show as well.
//!
//! The child needs no system call to tell its results or to end: it writes to shared memory, and dies of an invalid
//! instruction.

#![allow(unsafe_code, reason = "system calls with arbitrary numbers and arguments have no safe wrapper")]
#![cfg(target_arch = "x86_64")]

use crate::bpf::{JEQ_K, LD_ABS, NR_OFFSET, RET_K, arg_offset};
use crate::{Action, Arch, Insn, SeccompData};
use std::arch::asm;
use std::io::Error;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// How the outer filter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// ERRNO with [`MARKER`].
    Errno,
    /// TRACE with [`MARKER`], and a tracer that skips the call.
    Trace,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this.
    Returned(i64),
    /// It stopped for the tracer with this message.
    Traced(u16),
    /// SIGSYS came with this `si_errno`.
    Trapped(u16),
    /// The process died.
    Killed,
}

/// The outer filter's data: no errno that a profile in the tests uses.
pub const MARKER: u16 = 4000;

/// Added to the tracer's message in what the call returns; no call returns that.
const TRACED: i64 = 1 << 20;

impl Outcome {
    /// What an action of the inner filter looks like below the outer one. No listener is there, so that NOTIFY gives
    /// ENOSYS (38) where it is the strictest answer.
    pub fn expected(action: Action, outer: Outer) -> Outcome {
        match (action, outer) {
            (Action::KillProcess | Action::KillThread, _) => Outcome::Killed,
            (Action::Trap(data), _) => Outcome::Trapped(data),
            (Action::Errno(errno), _) => Outcome::Returned(-i64::from(errno)),
            (Action::Notify | Action::Trace(_) | Action::Log | Action::Allow, Outer::Errno) => {
                Outcome::Returned(-i64::from(MARKER))
            }
            (Action::Notify, Outer::Trace) => Outcome::Returned(-38),
            (Action::Trace(data), Outer::Trace) => Outcome::Traced(data),
            (Action::Log | Action::Allow, Outer::Trace) => Outcome::Traced(MARKER),
        }
    }
}

const CAPACITY: usize = 1 << 16;

/// Written by the child, read by the parent.
#[repr(C)]
struct Board {
    /// The call that is being made, or the number of calls when all are done.
    at: AtomicUsize,
    /// One more than `si_errno` when SIGSYS came.
    trapped: AtomicUsize,
    /// An errno when the filters could not be loaded.
    refused: AtomicUsize,
    results: [i64; CAPACITY],
}

static BOARD: AtomicPtr<Board> = AtomicPtr::new(ptr::null_mut());

/// Makes `calls` (at most 65536) under `inner`, one process after the other where they die of it.
///
/// # Errors
/// What the system says: no memory, no process; a filter that the kernel does not take; an end that no filter explains.
pub fn run(inner: &[Insn], calls: &[SeccompData], outer: Outer) -> Result<Vec<Outcome>, Error> {
    if calls.len() > CAPACITY {
        return Err(Error::other(format!("{} calls, at most {CAPACITY} are made at once", calls.len())));
    }
    // SAFETY: a new mapping, whose size is that of the type; zeroes are valid for it.
    let board = unsafe {
        libc::mmap(
            ptr::null_mut(),
            mem::size_of::<Board>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if board == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    let board: *mut Board = board.cast();
    let outcomes = run_on(board, inner, calls, outer);
    // SAFETY: mapped above with this size, no reference is left.
    if unsafe { libc::munmap(board.cast(), mem::size_of::<Board>()) } != 0 {
        return Err(Error::last_os_error());
    }
    outcomes
}

fn run_on(board: *mut Board, inner: &[Insn], calls: &[SeccompData], outer: Outer) -> Result<Vec<Outcome>, Error> {
    let inner = Loadable::new(inner.to_vec());
    let outer_filter = Loadable::new(outer_filter(&inner.program, outer));
    let mut outcomes = Vec::with_capacity(calls.len());
    while outcomes.len() < calls.len() {
        let rest = calls.get(outcomes.len()..).unwrap_or_default();
        // SAFETY: nobody else uses the board between two children.
        unsafe {
            (*board).at.store(0, Ordering::SeqCst);
            (*board).trapped.store(0, Ordering::SeqCst);
        }
        // SAFETY: the child calls nothing that another thread's lock could block: no allocation, system calls only.
        let child = unsafe { libc::fork() };
        if child == -1 {
            return Err(Error::last_os_error());
        }
        if child == 0 {
            // SAFETY: the board stays mapped, the filters stay where they are.
            unsafe { make_calls(board, &outer_filter, &inner, rest, outer) }
        }
        let signal = wait(child, outer)?;
        // SAFETY: the child is dead.
        let board = unsafe { &*board };
        let refused = board.refused.load(Ordering::SeqCst);
        if refused != 0 {
            let why = Error::from_raw_os_error(refused as i32);
            return Err(Error::other(format!("the kernel does not take the filter: {why}")));
        }
        let made = board.at.load(Ordering::SeqCst);
        outcomes.extend(board.results.iter().take(made).map(|result| match u16::try_from(result - TRACED) {
            Ok(message) => Outcome::Traced(message),
            Err(_) => Outcome::Returned(*result),
        }));
        match (signal, board.trapped.load(Ordering::SeqCst)) {
            (libc::SIGILL, 0) if made == rest.len() => {}
            (libc::SIGILL, trapped @ 1..) => outcomes.push(Outcome::Trapped(trapped as u16 - 1)),
            (libc::SIGSYS, _) => outcomes.push(Outcome::Killed),
            (signal, _) => {
                return Err(Error::other(format!("call {made} ended by signal {signal}: {:x?}", rest.get(made))));
            }
        }
    }
    Ok(outcomes)
}

/// A program together with the structure that seccomp(2) takes.
struct Loadable {
    _insns: Vec<Insn>,
    program: Box<libc::sock_fprog>,
}

impl Loadable {
    fn new(insns: Vec<Insn>) -> Loadable {
        // Insn has the layout of struct sock_filter; the kernel only reads it.
        let filter = insns.as_ptr().cast_mut().cast();
        let program = Box::new(libc::sock_fprog { len: insns.len() as u16, filter });
        Loadable { _insns: insns, program }
    }
}

/// Answers everything with the marker but the call that loads `inner`.
fn outer_filter(inner: &libc::sock_fprog, outer: Outer) -> Vec<Insn> {
    let marker = match outer {
        Outer::Errno => Action::Errno(MARKER),
        Outer::Trace => Action::Trace(MARKER),
    };
    let address = ptr::from_ref(inner) as u64;
    let insn = |code, jf, k| Insn { code, jt: 0, jf, k };
    vec![
        insn(LD_ABS, 0, NR_OFFSET),
        insn(JEQ_K, 7, libc::SYS_seccomp as u32),
        insn(LD_ABS, 0, arg_offset(0)),
        insn(JEQ_K, 5, libc::SECCOMP_SET_MODE_FILTER),
        insn(LD_ABS, 0, arg_offset(2)),
        insn(JEQ_K, 3, address as u32),
        insn(LD_ABS, 0, arg_offset(2) + 4),
        insn(JEQ_K, 1, (address >> 32) as u32),
        insn(RET_K, 0, Action::Allow.to_ret()),
        insn(RET_K, 0, marker.to_ret()),
    ]
}

extern "C" fn on_sigsys(_: libc::c_int, info: *const libc::siginfo_t, _: *const libc::c_void) {
    // SAFETY: the board was set before the handler; the kernel hands a valid siginfo.
    unsafe {
        let board = BOARD.load(Ordering::SeqCst);
        (*board).trapped.store(1 + (*info).si_errno as usize, Ordering::SeqCst);
    }
    die()
}

fn die() -> ! {
    // SAFETY: ends the process with SIGILL: the one way out that needs no system call.
    unsafe { asm!("ud2", options(noreturn)) }
}

unsafe fn make_calls(
    board: *mut Board,
    outer_filter: &Loadable,
    inner: &Loadable,
    calls: &[SeccompData],
    outer: Outer,
) -> ! {
    BOARD.store(board, Ordering::SeqCst);
    // SAFETY: plain system calls with valid structures.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        libc::signal(libc::SIGILL, libc::SIG_DFL);
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = on_sigsys as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigaction(libc::SIGSYS, &action, ptr::null_mut());
        if outer == Outer::Trace {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        for filter in [outer_filter, inner] {
            let program: *const libc::sock_fprog = &raw const *filter.program;
            if libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, program) != 0 {
                (*board).refused.store(*libc::__errno_location() as usize, Ordering::SeqCst);
                die()
            }
        }
        for (at, call) in calls.iter().enumerate() {
            (*board).at.store(at, Ordering::SeqCst);
            let result = if call.arch == Arch::X86.audit() { int80(call) } else { syscall(call) };
            // At most CAPACITY calls, checked before the fork: no panic may happen here.
            if let Some(slot) = (*board).results.get_mut(at) {
                *slot = result;
            }
        }
        (*board).at.store(calls.len(), Ordering::SeqCst);
    }
    die()
}

/// # Safety
/// Filters must keep the call from being made.
unsafe fn syscall(call: &SeccompData) -> i64 {
    let [a, b, c, d, e, f] = call.args;
    let result;
    // SAFETY: the caller's.
    unsafe {
        asm!("syscall", inlateout("rax") u64::from(call.nr) => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _);
    }
    result
}

/// # Safety
/// Filters must keep the call from being made.
unsafe fn int80(call: &SeccompData) -> i64 {
    let result: i64;
    // SAFETY: the caller's. rbx and rbp belong to the compiler and are saved around the call.
    unsafe {
        asm!("push rbx", "push rbp", "mov rbx, [r12]", "mov rcx, [r12 + 8]", "mov rdx, [r12 + 16]",
            "mov rsi, [r12 + 24]", "mov rdi, [r12 + 32]", "mov rbp, [r12 + 40]", "int 0x80", "pop rbp", "pop rbx",
            inlateout("rax") u64::from(call.nr) => result, in("r12") call.args.as_ptr(), lateout("rcx") _, lateout("rdx") _,
            lateout("rsi") _, lateout("rdi") _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
    }
    i64::from(result as i32)
}

/// Waits for the end of the child, and as its tracer skips the calls that stop; the signal that ended it.
fn wait(child: libc::pid_t, outer: Outer) -> Result<i32, Error> {
    let mut status = 0;
    loop {
        // SAFETY: status is ours.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        if waited != child {
            return Err(Error::last_os_error());
        }
        if libc::WIFSIGNALED(status) {
            return Ok(libc::WTERMSIG(status));
        }
        if !libc::WIFSTOPPED(status) || outer != Outer::Trace {
            return Err(Error::other(format!("the child ended or stopped with status {status:#x}")));
        }
        let mut signal = libc::WSTOPSIG(status);
        if status >> 8 == libc::SIGTRAP | libc::PTRACE_EVENT_SECCOMP << 8 {
            skip_call(child)?;
            signal = 0;
        } else if signal == libc::SIGSTOP {
            let options = libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
            // SAFETY: the child is stopped and ours to trace.
            if unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, 0, options) } != 0 {
                return Err(Error::last_os_error());
            }
            signal = 0;
        }
        // SAFETY: as above.
        if unsafe { libc::ptrace(libc::PTRACE_CONT, child, 0, signal) } != 0 {
            return Err(Error::last_os_error());
        }
    }
}

/// Makes the call number -1, which the kernel skips, and the result the message of the stop.
fn skip_call(child: libc::pid_t) -> Result<(), Error> {
    let done = |result: libc::c_long| if result == 0 { Ok(()) } else { Err(Error::last_os_error()) };
    // SAFETY: the child is stopped and ours to trace; the structures are valid.
    unsafe {
        let mut message: libc::c_ulong = 0;
        done(libc::ptrace(libc::PTRACE_GETEVENTMSG, child, 0, &mut message))?;
        let mut registers: libc::user_regs_struct = mem::zeroed();
        done(libc::ptrace(libc::PTRACE_GETREGS, child, 0, &mut registers))?;
        registers.orig_rax = u64::MAX;
        registers.rax = TRACED as u64 + message;
        done(libc::ptrace(libc::PTRACE_SETREGS, child, 0, &mut registers))
    }
}
