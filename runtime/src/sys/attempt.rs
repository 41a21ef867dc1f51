//! Calls that a confined process must not get through with, as `selftest` tries them.
//!
//! Each is made in a child process of its own, which then leaves: whatever it would change is gone with it, and a filter
//! that kills is an answer like any other. The arguments ask for little: an answer other than a refusal shows that the
//! call has reached the kernel, and that is all there is to find out.

use std::{io, ptr};

/// A descriptor that is not open.
const NONE: u64 = u64::MAX;
/// `TIOCSTI` of ioctl_tty(2).
const TIOCSTI: u64 = 0x5412;
/// `UFFD_USER_MODE_ONLY` of userfaultfd(2).
const USER_MODE_ONLY: u64 = 1;
/// `ADDR_NO_RANDOMIZE` of personality(2).
const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;
/// `KEYCTL_GET_KEYRING_ID` of keyctl(2), and the session keyring.
const KEYRING_ID: [u64; 3] = [0, -3_i64 as u64, 0];
/// A command of bpf(2) that does not exist.
const NO_BPF_COMMAND: u64 = 9999;

/// The calls by name.
pub const CALLS: [&str; 16] = [
    "tiocsti",
    "tiocsti-wide",
    "af-alg",
    "af-vsock",
    "af-packet",
    "raw-socket",
    "io-uring",
    "keyctl",
    "bpf",
    "userfaultfd",
    "new-user-namespace",
    "open-tree",
    "personality",
    "kcmp",
    "pidfd-getfd",
    "ptrace",
];

/// How a call ended: 0 when it succeeded, otherwise the errno, or the negative number of the signal that killed the
/// child. Nothing for a name that is not in [`CALLS`].
///
/// # Errors
/// What fork(2) and waitpid(2) report.
pub fn call(name: &str) -> io::Result<Option<i32>> {
    let own = u64::from(std::process::id());
    let (number, arguments): (libc::c_long, [u64; 5]) = match name {
        // On no descriptor: EBADF from the kernel.
        "tiocsti" => (libc::SYS_ioctl, [NONE, TIOCSTI, c"x".as_ptr() as u64, 0, 0]),
        // The kernel takes the low half of the command, a filter that compares 64 bits sees another value.
        "tiocsti-wide" => (libc::SYS_ioctl, [NONE, TIOCSTI | 1 << 32, c"x".as_ptr() as u64, 0, 0]),
        "af-alg" => socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        "af-vsock" => socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        "af-packet" => socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0),
        "raw-socket" => socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        // No parameters: EFAULT from the kernel.
        "io-uring" => (libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        "keyctl" => (libc::SYS_keyctl, [KEYRING_ID[0], KEYRING_ID[1], KEYRING_ID[2], 0, 0]),
        "bpf" => (libc::SYS_bpf, [NO_BPF_COMMAND, 0, 0, 0, 0]),
        "userfaultfd" => (libc::SYS_userfaultfd, [USER_MODE_ONLY, 0, 0, 0, 0]),
        "new-user-namespace" => (libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0]),
        // Without OPEN_TREE_CLONE no privilege is needed.
        "open-tree" => (libc::SYS_open_tree, [libc::AT_FDCWD as u64, c"/".as_ptr() as u64, 0, 0, 0]),
        "personality" => (libc::SYS_personality, [ADDR_NO_RANDOMIZE, 0, 0, 0, 0]),
        // KCMP_VM of a process with itself.
        "kcmp" => (libc::SYS_kcmp, [own, own, 1, 0, 0]),
        "pidfd-getfd" => (libc::SYS_pidfd_getfd, [NONE, NONE, 0, 0, 0]),
        // PTRACE_TRACEME, by a child that leaves at once.
        "ptrace" => (libc::SYS_ptrace, [0, 0, 0, 0, 0]),
        _ => return Ok(None),
    };
    let [a, b, c, d, e] = arguments;
    in_child(|| {
        // SAFETY: every pointer in the lists above is null or leads to a static string; where the kernel would write
        // to memory, it is given null. What a call changes is changed in this child, which leaves at once.
        let done = unsafe { libc::syscall(number, a, b, c, d, e) };
        if done >= 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) }
    })
    .map(Some)
}

fn socket(family: i32, kind: i32, protocol: i32) -> (libc::c_long, [u64; 5]) {
    (libc::SYS_socket, [family as u64, kind as u64, protocol as u64, 0, 0])
}

/// Runs `body` in a forked child and answers what it says, 0 to 255, or the negative number of the signal that ended it.
/// To be called in a process with one thread.
fn in_child(body: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: the caller has one thread, so that no lock is held by another; the child ends in _exit.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        let code = body();
        // SAFETY: ends the child without running what the parent has registered for its own end.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the status is an int of ours; rusage is not asked for.
    while unsafe { libc::wait4(pid, &mut status, 0, ptr::null_mut()) } != pid {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    if libc::WIFSIGNALED(status) { Ok(-libc::WTERMSIG(status)) } else { Ok(libc::WEXITSTATUS(status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_answers_what_it_says_or_what_killed_it() {
        assert_eq!(in_child(|| 38).unwrap(), 38);
        let killed = in_child(|| {
            // SAFETY: sends a signal to this child.
            unsafe { libc::raise(libc::SIGKILL) };
            0
        });
        assert_eq!(killed.unwrap(), -libc::SIGKILL);
    }

    #[test]
    fn every_name_is_a_call_and_no_other_is() {
        for name in CALLS {
            assert!(call(name).unwrap().is_some(), "{name}");
        }
        assert_eq!(call("reboot").unwrap(), None);
    }
}
