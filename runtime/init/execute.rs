//! The last steps: working directory, executable, filter, execve.

use crate::Init;
use crate::format::{Record, flag, refusal, report_state};
use crate::sys::{self, Done, Fail, Text};

/// Enters the working directory by handle, so that a magic link cannot lead out of the container (CVE-2024-21626).
/// First with the privileges of set-up; where those are not enough (a filesystem that squashes root), once more as the
/// process's own user.
pub fn working_directory(init: &mut Init, r: Record) -> Done {
    if init.in_cwd {
        return Ok(());
    }
    let path = init.program.text(r.s)?;
    let how = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
    let entered = sys::openat2(init.root, path, sys::O_PATH | sys::O_DIRECTORY, 0, how).and_then(|fd| {
        let entered = sys::fchdir(fd);
        sys::close(fd);
        entered
    });
    match entered {
        Ok(()) => {}
        Err(f) if r.flags & flag::SECOND == 0 && (f.errno == sys::EACCES || f.errno == sys::EPERM) => return Ok(()),
        Err(f) => return Err(f),
    }
    // The kernel prefixes "(unreachable)" to a directory outside the root.
    let mut cwd = [0u8; 4096];
    sys::getcwd(&mut cwd)?;
    if cwd.first() != Some(&b'/') {
        return Err(Fail::refusal(refusal::CWD_OUTSIDE));
    }
    init.in_cwd = true;
    Ok(())
}

/// Finds the executable among its candidates, with the process's own credentials: what is missing is told at create,
/// not at start.
pub fn find(init: &mut Init, r: Record) -> Done {
    let count = init.program.list_len(r.s)?;
    let candidates = init.program.list(r.s, count)?;
    let searching = r.n != 0;
    for index in 0..count {
        let Some(path) = candidates.get(index) else { break };
        match executable(path) {
            Ok(()) => {
                init.executable = Some(path);
                return Ok(());
            }
            Err(f) if !searching => return Err(f),
            // As execvp(3): a directory of PATH without it, or with something that cannot run, is passed over.
            Err(_) => {}
        }
    }
    Err(Fail::refusal(refusal::NOT_IN_PATH))
}

fn executable(path: Text) -> Done {
    let st = sys::statx(sys::AT_FDCWD, path, 0)?;
    if st.mode & sys::S_IFMT == sys::S_IFDIR {
        return Err(Fail { call: crate::nr::EXECVE as u32, errno: sys::EACCES, detail: 0 });
    }
    sys::faccess_executable(path)
}

/// Cuts the process off from what lies outside; takes no_new_privs or CAP_SYS_ADMIN.
pub fn landlock(r: Record) -> Done {
    let ruleset = sys::landlock_ruleset(r.a)?;
    sys::landlock_restrict_self(ruleset)?;
    sys::close(ruleset);
    Ok(())
}

/// Loads the filter. From here on execve(2) is the only call: a profile needs to allow nothing for casemate's sake.
pub fn seccomp(init: &mut Init, r: Record) -> Done {
    let filter = init.program.words(r.s, r.n as usize)?;
    let listener = sys::seccomp(filter, r.a)?;
    if r.flags & flag::LISTENER != 0 {
        let report = &mut init.program.header()?.report;
        report.listener = listener as i32;
        sys::publish(&mut report.state, report_state::LISTENER);
        if !sys::spin_until_set(&report.ack) {
            return Err(Fail::refusal(refusal::ABANDONED));
        }
    }
    Ok(())
}

/// Becomes the container's program.
pub fn execute(init: &mut Init, r: Record) -> Done {
    let path = init.executable.ok_or(Fail::refusal(refusal::BAD_PROGRAM))?;
    let (argv, envp) = (init.program.list(r.t, r.n as usize)?, init.program.list(r.u, r.a as usize)?);
    sys::publish(&mut init.program.header()?.report.state, report_state::EXECUTING);
    Err(sys::execve(path, argv, envp))
}
