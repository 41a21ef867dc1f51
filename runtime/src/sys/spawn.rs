//! Starting a program with exactly the environment, descriptors and signal state that were asked for.

use std::ffi::{CString, c_char};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::{io, ptr};

/// A program and everything it gets.
pub struct Program {
    /// Its path; no search in `PATH`.
    pub path: CString,
    /// Its whole argv.
    pub argv: Vec<CString>,
    /// Its whole environment, verbatim: repeated names and entries without `=` too.
    pub env: Vec<CString>,
    /// Its working directory.
    pub cwd: OwnedFd,
    /// Its descriptors 0, 1 and 2; it gets no others.
    pub stdio: [OwnedFd; 3],
}

/// A NULL-terminated array of pointers into strings that live as long as the array.
struct Pointers {
    array: Vec<*const c_char>,
    _strings: Vec<CString>,
}

// SAFETY: the pointers lead into the strings next to them, which nobody changes.
unsafe impl Send for Pointers {}
// SAFETY: as above; all use is reading.
unsafe impl Sync for Pointers {}

impl Pointers {
    fn new(strings: Vec<CString>) -> Pointers {
        let array = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Pointers { array, _strings: strings }
    }
}

/// Starts the program as the leader of its own process group, with default signal dispositions, no signal blocked, and
/// no descriptor beyond 0 to 2.
///
/// # Errors
/// What fork(2), fchdir(2) and execve(2) report.
pub fn spawn(program: Program) -> io::Result<Child> {
    let Program { path, argv, env, cwd, stdio: [stdin, stdout, stderr] } = program;
    let argv = Pointers::new(argv);
    let env = Pointers::new(env);
    // std gets the program's name for nothing: the closure below makes the execve itself, because std keeps the
    // environment as a map, and hands a file without `#!` to a shell.
    let mut command = Command::new("/");
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr)).process_group(0);
    let child_side = move || {
        let (argv, env) = (&argv, &env);
        rustix::process::fchdir(&cwd)?;
        reset_signals()?;
        close_from_3()?;
        // SAFETY: path, argv and env are NUL-terminated strings and NULL-terminated arrays that the closure owns.
        unsafe { libc::execve(path.as_ptr(), argv.array.as_ptr(), env.array.as_ptr()) };
        Err(io::Error::last_os_error())
    };
    // SAFETY: the closure runs between fork and execve of a process that may have had threads. It makes raw system
    // calls on memory prepared above; it takes no lock and allocates nothing.
    unsafe { command.pre_exec(child_side) };
    command.spawn()
}

/// Every signal to its default, none blocked. Ignored signals and the mask survive an execve, and the runtime's own
/// are none of the program's business.
fn reset_signals() -> io::Result<()> {
    /// The size of the kernel's signal set in bytes.
    const SET: usize = 8;
    // The kernel's `struct sigaction`, at most 4 words: all zero is SIG_DFL, no flags, an empty mask.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // The call itself, because libc keeps signals 32 and 33 from its callers. It fails for SIGKILL and SIGSTOP,
        // which is right: nobody can have ignored those.
        // SAFETY: the structure is initialised, no shorter than the kernel's, and installs no handler.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u64>(), SET) };
    }
    // SAFETY: the set is initialised, and the old one is not asked for.
    let done =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &0u64, ptr::null_mut::<u64>(), SET) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Close-on-exec and not closed, because std still needs its own descriptor to report a failed execve.
fn close_from_3() -> io::Result<()> {
    // SAFETY: sets a flag on descriptors; numbers that are not open are skipped. Linux 5.11.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
