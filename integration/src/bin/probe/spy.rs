//! A user of the host who looks into every process that he may, and a program that makes processes without end.

use crate::raw::raw;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Becomes a user without any privilege and tries to look into every other process until the file `stop` is there. Tells
/// of each program whose `exe` he could read, and of each process of which he could not read it but could list its
/// descriptors, open its memory, or read its environment: those are undumpable by mistake only in part.
pub fn spy(user: i64, stop: &Path) -> Value {
    let dropped = raw(libc::SYS_setgroups, [0; 3])
        .and_then(|()| raw(libc::SYS_setresgid, [user; 3]))
        .and_then(|()| raw(libc::SYS_setresuid, [user; 3]));
    if let Err(errno) = dropped {
        return json!({"error": errno.to_string()});
    }
    let (mut seen, mut partly) = (BTreeSet::new(), BTreeSet::new());
    let own = std::process::id().to_string();
    let mut rounds = 0_u64;
    while !stop.exists() {
        rounds += 1;
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == own || name.parse::<u32>().is_err() {
                continue;
            }
            let path = entry.path();
            let exe = || std::fs::read_link(path.join("exe")).ok().map(|exe| exe.to_string_lossy().into_owned());
            if let Some(exe) = exe() {
                seen.insert(exe);
                continue;
            }
            let opened = [
                ("fd", std::fs::read_dir(path.join("fd")).is_ok_and(|mut list| list.any(|entry| entry.is_ok()))),
                ("mem", std::fs::File::open(path.join("mem")).is_ok()),
                ("environ", std::fs::read(path.join("environ")).is_ok_and(|bytes| !bytes.is_empty())),
                ("maps", std::fs::read(path.join("maps")).is_ok_and(|bytes| !bytes.is_empty())),
            ];
            for (what, _) in opened.into_iter().filter(|(_, open)| *open) {
                // The execve of the container's program may have come in between: it may be looked into.
                match exe() {
                    Some(exe) => seen.insert(exe),
                    None => partly.insert(what),
                };
            }
        }
    }
    json!({"exe": seen, "partly": partly, "rounds": rounds})
}

/// Makes children that make children, each in a session of its own, until no more can be made, and then goes on trying.
pub fn bomb() -> ! {
    loop {
        // SAFETY: fork in a program of one thread; the child does nothing but go on with this loop.
        #[allow(unsafe_code)]
        let child = unsafe { libc::fork() };
        if child == 0 {
            // It leads a group already or has a new session: both are what is wanted.
            let _session = rustix::process::setsid();
        }
        if child < 0 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}
