//! Memory objects that init is made of: its image and its program.
//!
//! The image is a copy of the init that is embedded in this binary. A container that gets hold of it through
//! /proc/PID/exe holds a sealed copy of a few tens of KB, not the runtime's file (CVE-2019-5736), and shares no page
//! cache with any file of the host (the Dirty Pipe class).

use crate::error::{Call, Error, Kind, Result};
use crate::program::Op;
use crate::program::encode::{self, Descriptors};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// Init's image: sealed, executable, readable by nobody.
///
/// # Errors
/// What memfd_create(2) says; EACCES where `vm.memfd_noexec` is 2.
pub fn image() -> Result<OwnedFd> {
    let object = memfd("init", MemfdFlags::EXEC)
        .hint_denied("vm.memfd_noexec=2 forbids executable memory objects; set it to 1 or 0 for this pid namespace")?;
    write_all(&object, INIT)?;
    // Not readable: whoever executes it without the power to read it is not dumpable (execve(2)).
    rustix::fs::fchmod(&object, Mode::from_raw_mode(0o111)).call("fchmod", "init")?;
    // Since Linux 6.3 the mode can be sealed as well; MFD_EXEC says that it is meant to be executable.
    rustix::fs::fcntl_add_seals(&object, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)
        .call("fcntl", "init")?;
    // A file that is open for writing cannot be executed (ETXTBSY), so it is opened again, for reading.
    let path = format!("/proc/self/fd/{}", object.as_raw_fd());
    let again = rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call("open", &path)?;
    let (a, b) = (rustix::fs::fstat(&object), rustix::fs::fstat(&again));
    match (a, b) {
        (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino) => Ok(again),
        _ => Err(Error::new(Kind::System, format!("open \"{path}\": not the file it stands for; is /proc mounted?"))),
    }
}

/// The program's object: init's report appears in it, so it is shared and writable, but its size is fixed.
///
/// # Errors
/// A program that is too large: arguments and environment beyond what execve(2) takes.
pub fn program(ops: &[Op], descriptors: &Descriptors) -> Result<OwnedFd> {
    let bytes = encode::encode(ops, descriptors).map_err(|encode::TooLarge| {
        Error::new(Kind::InvalidConfig, "argument list too long: arguments, environment and mounts exceed 4 MiB")
    })?;
    let object = memfd("program", MemfdFlags::NOEXEC_SEAL)?;
    write_all(&object, &bytes)?;
    rustix::fs::fcntl_add_seals(&object, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)
        .call("fcntl", "program")?;
    Ok(object)
}

/// memfd_create(2); the flags about execution are unknown before Linux 6.3.
fn memfd(name: &str, execution: MemfdFlags) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | execution) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        other => other,
    }
    .call("memfd_create", name)
}

fn write_all(object: &OwnedFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let n = rustix::io::write(object, bytes).call("write", "memfd")?;
        bytes = &bytes[n..];
    }
    Ok(())
}

trait HintDenied {
    fn hint_denied(self, hint: &str) -> Self;
}

impl HintDenied for Result<OwnedFd> {
    fn hint_denied(self, hint: &str) -> Self {
        self.map_err(|e| if e.to_string().contains("permission denied") { e.hint(hint) } else { e })
    }
}
