//! One attempt at something: `ok`, or the words of the error.

use crate::raw::raw;
use rustix::fs::{Mode, OFlags};
use std::process::ExitCode;

/// Attempts that change something, and would harm a host: only as pid 1 of a container.
const CHANGING: &[&str] = &["sethostname", "mount"];

/// The pid namespace of a machine itself: PROC_PID_INIT_INO of the kernel, the same on every host.
const OF_THE_MACHINE: &str = "pid:[4026531836]";

/// Whether this is a container of the suite: the file that only its root filesystems have, and not the pid namespace that
/// the machine began with. An exec'd probe, which is never pid 1, has no more than this to go by.
pub fn beside_the_sentinel() -> bool {
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    std::path::Path::new("/.probe").exists() && namespace.is_ok_and(|name| name.as_os_str() != OF_THE_MACHINE)
}

/// Whether this may do what would harm a host: pid 1 beside the sentinel.
pub fn may_change() -> bool {
    std::process::id() == 1 && beside_the_sentinel()
}

/// Attempts it and prints how it went.
pub fn attempt(what: &[&str]) -> ExitCode {
    let changing = what.first().is_some_and(|name| CHANGING.contains(name));
    if !beside_the_sentinel() || changing && !may_change() {
        eprintln!("probe: acts only in a container of the suite, and changes only as its pid 1");
        return ExitCode::from(2);
    }
    let result: Result<(), rustix::io::Errno> = match what {
        ["open", path] => rustix::fs::open(*path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map(drop),
        ["write", path] => rustix::fs::open(*path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).map(drop),
        ["read", path] => read_byte(path),
        ["mkdir", path] => rustix::fs::mkdir(*path, Mode::RWXU),
        ["sysinfo"] => raw(libc::SYS_sysinfo, [0; 3])
            .or_else(|errno| if errno == rustix::io::Errno::FAULT { Ok(()) } else { Err(errno) }),
        ["personality", value] => raw(libc::SYS_personality, [value.parse().unwrap_or(0), 0, 0]),
        ["unknown-syscall"] => raw(600, [0; 3]),
        ["io_uring"] => raw(libc::SYS_io_uring_setup, [0; 3]),
        ["unshare-user"] => raw(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0]),
        ["sethostname"] => rustix::system::sethostname(b"changed"),
        ["mount", path] => {
            rustix::mount::mount("none", *path, "tmpfs", rustix::mount::MountFlags::empty(), None::<&std::ffi::CStr>)
        }
        // Null pointers: a filter refuses the call, the kernel the pointers.
        ["mount-nothing"] => raw(libc::SYS_mount, [0; 3]),
        ["push"] => crate::calls::push(),
        ["connect", name] => crate::calls::connect(name),
        ["setuid", uid] => raw(libc::SYS_setuid, [uid.parse().unwrap_or(0), 0, 0]),
        _ => {
            eprintln!("probe: cannot try {what:?}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => println!("ok"),
        Err(errno) => println!("{}", std::io::Error::from(errno)),
    }
    ExitCode::SUCCESS
}

fn read_byte(path: &str) -> Result<(), rustix::io::Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    rustix::io::read(&file, &mut [0u8; 1]).map(drop)
}
