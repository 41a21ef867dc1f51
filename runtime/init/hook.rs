//! Hooks that run inside the container's namespaces: createContainer and startContainer.

use crate::Init;
use crate::format::{REPORT_TEXT, Record, refusal};
use crate::sys::{self, Done, Fail, PollFd, Text};

/// Runs one hook: the container's state on its standard input, exactly the environment it was given, a working
/// directory that is not the image's, no descriptor but the standard ones, and its whole process group killed when its
/// time is up.
pub fn run(init: &mut Init, r: Record) -> Done {
    let path = init.program.text(r.s)?;
    let (argc, envc) = (init.program.list_len(r.t)?, init.program.list_len(r.u)?);
    let argv = init.program.list(r.t, argc)?;
    let envp = init.program.list(r.u, envc)?;
    let state = state(init, r)?;
    let (read_end, write_end) = sys::pipe()?;
    let (pid, pidfd) = sys::fork()?;
    if pid == 0 {
        let fail = child(r, path, argv, envp, state, write_end);
        // The parent takes this for the hook's own words. If it cannot be written, its exit status alone has to say it.
        let _ = sys::write(2, why(fail.errno));
        sys::exit(127)
    }
    sys::close(state);
    sys::close(write_end);
    let ended = wait(init, pid, pidfd, read_end, r.n);
    sys::close(read_end);
    sys::close(pidfd);
    ended
}

/// The usual reasons not to be executed, in the words of strerror(3).
fn why(errno: i32) -> &'static [u8] {
    match errno {
        sys::ENOENT => b"no such file or directory",
        sys::EACCES => b"permission denied",
        sys::ENOTDIR => b"not a directory",
        sys::ENOEXEC => b"exec format error",
        _ => b"cannot be executed",
    }
}

fn child(r: Record, path: Text, argv: sys::List, envp: sys::List, state: i32, output: i32) -> Fail {
    let prepared = (|| {
        sys::setpgid()?;
        if r.slot >= 0 {
            sys::fchdir(r.slot)?;
        }
        sys::dup_to(state, 0)?;
        sys::dup_to(output, 1)?;
        sys::dup_to(output, 2)?;
        sys::umask(0o22)?;
        sys::close_range(3, u32::MAX)
    })();
    match prepared {
        Ok(()) => sys::execve(path, argv, envp),
        Err(fail) => fail,
    }
}

/// The container's state as JSON: the parent wrote it but for the pid, which is this process's as it sees itself.
fn state(init: &mut Init, r: Record) -> Done<i32> {
    let (before, after) = (init.program.text(r.a as u32)?, init.program.text(r.b as u32)?);
    let fd = sys::memfd(Text::from_literal(c"state"))?;
    let mut digits = [0u8; 10];
    let mut n = sys::getpid();
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    for part in [before.bytes(), &digits[at..], after.bytes()] {
        let mut part = part;
        while !part.is_empty() {
            let n = sys::write(fd, part)?;
            part = &part[n..];
        }
    }
    sys::rewind(fd)?;
    Ok(fd)
}

/// Waits for the hook and keeps the beginning of what it says.
fn wait(init: &mut Init, pid: usize, pidfd: i32, output: i32, timeout_s: u32) -> Done {
    let deadline = if timeout_s == 0 { None } else { Some(sys::now_ms()? + u64::from(timeout_s) * 1000) };
    let mut open = true;
    loop {
        let left = match deadline {
            None => None,
            Some(deadline) => match deadline.checked_sub(sys::now_ms()?) {
                None | Some(0) => {
                    // Its group, and itself in case it left the group.
                    let group = sys::kill_group(pid);
                    sys::kill_behind(pidfd)?;
                    sys::wait(pidfd)?;
                    group.or_else(|f| if f.errno == sys::ESRCH { Ok(()) } else { Err(f) })?;
                    return Err(Fail::refusal(refusal::HOOK_TIMEOUT));
                }
                left => left,
            },
        };
        let mut fds = [
            PollFd { fd: pidfd, events: sys::POLLIN, revents: 0 },
            PollFd { fd: if open { output } else { -1 }, events: sys::POLLIN, revents: 0 },
        ];
        sys::poll(&mut fds, left)?;
        if fds[0].revents != 0 {
            return match sys::wait(pidfd)? {
                0 => Ok(()),
                status => {
                    last_words(init, output)?;
                    Err(Fail::refusal(refusal::HOOK_FAILED).at(status))
                }
            };
        }
        if fds[1].revents != 0 {
            open = listen(init, output)?;
        }
    }
}

/// What the hook said last and nobody has read yet. Whoever it left behind may go on talking, so this stops when the
/// report is full.
fn last_words(init: &mut Init, output: i32) -> Done {
    loop {
        let mut fds = [PollFd { fd: output, events: sys::POLLIN, revents: 0 }];
        sys::poll(&mut fds, Some(0))?;
        let full = init.program.header()?.report.text_len as usize >= REPORT_TEXT;
        if fds[0].revents == 0 || full || !listen(init, output)? {
            return Ok(());
        }
    }
}

fn listen(init: &mut Init, output: i32) -> Done<bool> {
    let mut buffer = [0u8; 512];
    let n = sys::read(output, &mut buffer)?;
    let report = &mut init.program.header()?.report;
    let used = report.text_len as usize;
    let room = REPORT_TEXT.saturating_sub(used).min(n);
    if let (Some(to), Some(from)) = (report.text.get_mut(used..used + room), buffer.get(..room)) {
        to.copy_from_slice(from);
        report.text_len += room as u32;
    }
    Ok(n > 0)
}
