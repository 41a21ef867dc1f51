//! What the kernel keeps of a process beside /proc/self/status, and attempts to become somebody else.

use crate::raw::raw;
use serde_json::{Value, json};

/// Numbers that prctl(2) and its like answer with; negative is an errno.
pub fn attributes() -> Value {
    let prctl = |option: i32| answer(libc::SYS_prctl, [i64::from(option), 0, 0]);
    let mut death = 0_i32;
    // SAFETY: PR_GET_PDEATHSIG writes one int to the live one it is given.
    #[allow(unsafe_code)]
    let asked = unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut death) };
    json!({
        "securebits": prctl(libc::PR_GET_SECUREBITS),
        "keepcaps": prctl(libc::PR_GET_KEEPCAPS),
        "dumpable": prctl(libc::PR_GET_DUMPABLE),
        "parent_death_signal": if asked == 0 { death } else { asked },
        "scheduler": answer(libc::SYS_sched_getscheduler, [0, 0, 0]),
        // IOPRIO_WHO_PROCESS
        "io_priority": answer(libc::SYS_ioprio_get, [1, 0, 0]),
    })
}

fn answer(number: libc::c_long, [a, b, c]: [i64; 3]) -> i64 {
    // SAFETY: these calls take integers only and change nothing.
    #[allow(unsafe_code)]
    let result = unsafe { libc::syscall(number, a, b, c, 0, 0) };
    if result < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { result }
}

/// Attempts of a user to become root and to add groups, and the twin, to stay who he is: `ok` or the error of each.
pub fn become_another() -> Value {
    let say = |result: Result<(), rustix::io::Errno>| match result {
        Ok(()) => "ok".to_owned(),
        Err(errno) => std::io::Error::from(errno).to_string(),
    };
    let own = |id: u32| i64::from(id);
    let stay = raw(libc::SYS_setresuid, [own(rustix::process::getuid().as_raw()); 3]);
    json!({
        "stay": say(stay),
        "setgroups": say(raw(libc::SYS_setgroups, [0; 3])),
        "setgid": say(raw(libc::SYS_setresgid, [0; 3])),
        "setuid": say(raw(libc::SYS_setresuid, [0; 3])),
    })
}
