//! Many system calls, each made once, in a child of its own: what the kernel or a filter says to them.
//!
//! The arguments cannot do anything anywhere: null and bad pointers, descriptor -1, flags and numbers that do not exist.
//! `EPERM`, `ENOSYS` or `SIGSYS` is what a filter says; `EFAULT`, `EBADF`, `EINVAL` and the like say that the kernel got to
//! the arguments. Calls that would change something of the host if their arguments were other ones are made only by pid 1
//! of a container of the suite.

use crate::attempt::{beside_the_sentinel, may_change};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// A pointer that is not null, to nothing.
pub const BAD: i64 = 1;

/// How a call is made.
#[derive(Clone, Copy)]
pub enum Entry {
    /// `syscall` of the native ABI.
    Native,
    /// `int 0x80`: the call of the 32-bit ABI.
    #[cfg(target_arch = "x86_64")]
    Interrupt,
    /// The same after PR_SET_NO_NEW_PRIVS.
    Bound,
}

/// One call.
pub struct Call {
    pub group: &'static str,
    pub name: &'static str,
    pub entry: Entry,
    pub number: i64,
    pub arguments: [i64; 5],
    /// Whether other arguments would change something of the host.
    pub changing: bool,
}

/// A table of calls of one group: `name number(arguments...)`.
#[macro_export]
macro_rules! calls {
    ($group:literal, $changing:expr, $entry:expr; $($name:literal $number:expr, [$($argument:expr),*];)+) => {
        [$($crate::calls::Call {
            group: $group, name: $name, entry: $entry, number: $number as i64,
            arguments: $crate::calls::filled(&[$($argument as i64),*]), changing: $changing,
        }),+]
    };
}

/// Arguments, with zeroes behind them.
pub const fn filled(given: &[i64]) -> [i64; 5] {
    let mut all = [0; 5];
    let mut n = 0;
    while n < given.len() {
        all[n] = given[n];
        n += 1;
    }
    all
}

/// Makes the calls of these groups (of all, when none is named) and prints what was said to each, as one object
/// with names `GROUP/CALL`; with
/// `stay` as the first word this stays until it is killed.
pub fn calls(words: &[&str]) -> ExitCode {
    let (stays, groups) = match words {
        ["stay", groups @ ..] => (true, groups),
        groups => (false, groups),
    };
    if !beside_the_sentinel() {
        eprintln!("probe: acts only in a container of the suite");
        return ExitCode::from(2);
    }
    let mut answers = Map::new();
    for call in crate::call_table::all() {
        let wanted = groups.is_empty() || groups.contains(&call.group);
        if wanted && (!call.changing || may_change()) {
            answers.insert(format!("{}/{}", call.group, call.name), json!(answer(&call)));
        }
    }
    println!("{}", Value::Object(answers));
    if stays {
        loop {
            std::thread::park();
        }
    }
    ExitCode::SUCCESS
}

/// Pushes a letter into the terminals that descriptors 0 to 2 are, each in two ways.
pub fn push() -> Result<(), rustix::io::Errno> {
    const TIOCSTI: i64 = 0x5412;
    let letter = c"P".as_ptr() as i64;
    let mut last = Err(rustix::io::Errno::BADF);
    for fd in 0..=2 {
        for command in [TIOCSTI, TIOCSTI | 1 << 32] {
            // The pointer is to a live byte, which the kernel only reads.
            last = match (crate::raw::raw(libc::SYS_ioctl, [fd, command, letter]), last) {
                (Ok(()), _) | (_, Ok(())) => Ok(()),
                (Err(errno), Err(_)) => Err(errno),
            };
        }
    }
    last
}

/// Connects to an abstract socket.
pub fn connect(name: &str) -> Result<(), rustix::io::Errno> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    connect(socket(AddressFamily::UNIX, SocketType::STREAM, None)?, &address)
}

/// `ok`, the name of the errno, or the signal that ended the child.
fn answer(call: &Call) -> String {
    let mut status = 0;
    // SAFETY: this program has one thread, so the child may do anything; it makes the call and ends. The status is live.
    #[allow(unsafe_code)]
    unsafe {
        let child = libc::fork();
        if child < 0 {
            return "no child".to_owned();
        }
        if child == 0 {
            // Nothing that a call does to a session, a terminal or a timer is anyone else's.
            libc::setsid();
            libc::alarm(5);
            libc::_exit(make(call));
        }
        if libc::waitpid(child, &raw mut status, 0) != child {
            return "no status".to_owned();
        }
    }
    match () {
        () if libc::WIFEXITED(status) => name_of(libc::WEXITSTATUS(status)),
        () if libc::WTERMSIG(status) == libc::SIGSYS => "SIGSYS".to_owned(),
        () => format!("SIG{}", libc::WTERMSIG(status)),
    }
}

/// Makes the call; 0 or the errno, each of which is below 134.
fn make(call: &Call) -> i32 {
    let [a, b, c, d, e] = call.arguments;
    let errno = || std::io::Error::last_os_error().raw_os_error().unwrap_or(255);
    if matches!(call.entry, Entry::Bound) {
        // SAFETY: integers only.
        #[allow(unsafe_code)]
        let bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        if bound != 0 {
            return errno();
        }
    }
    #[cfg(target_arch = "x86_64")]
    if matches!(call.entry, Entry::Interrupt) {
        return interrupt(call.number, [a, b, c]);
    }
    // SAFETY: by the tables, the pointers are null or to nothing, or to what the call only reads and which is there; the
    // kernel refuses what it cannot read.
    #[allow(unsafe_code)]
    match unsafe { libc::syscall(call.number, a, b, c, d, e, 0) } {
        -1 => errno(),
        _ => 0,
    }
}

/// A call of the 32-bit ABI; 0 or the errno.
#[cfg(target_arch = "x86_64")]
fn interrupt(number: i64, [a, b, c]: [i64; 3]) -> i32 {
    let mut result = number;
    // SAFETY: rbx, which the compiler keeps for itself, is restored; the kernel clears r8 to r11 at the most; the
    // pointers are null. No red zone is lost: without `nostack` the compiler keeps none here.
    #[allow(unsafe_code)]
    unsafe {
        std::arch::asm!(
            "push rbx", "mov rbx, {first}", "int 0x80", "pop rbx",
            first = in(reg) a, inlateout("rax") result, in("rcx") b, in("rdx") c, in("rsi") 0_i64, in("rdi") 0_i64,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    // The result has 32 bits; errnos are the last 4095 values.
    let bytes = result.to_ne_bytes();
    let low = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if (-4095..0).contains(&low) { -low } else { 0 }
}

fn name_of(code: i32) -> String {
    let name = match code {
        0 => "ok",
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EBADF => "EBADF",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EINVAL => "EINVAL",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTTY => "ENOTTY",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::ESOCKTNOSUPPORT => "ESOCKTNOSUPPORT",
        other => return format!("errno {other}"),
    };
    name.to_owned()
}
