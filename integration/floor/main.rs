//! The floor of the benchmark: the least that makes the container of its bundle.
//!
//! A runtime reads a configuration, and has to be safe with any image. This program does neither: the configuration is in
//! the code, and every system call that is not needed for the container is left out. What it takes is what the kernel
//! takes. It is no runtime: it checks nothing of what it works with.
//!
//! `floor STATE ROOTFS FILTER MEMORY KIND:DIRECTORY... -- PROGRAM [ARGUMENT...]`
//!
//! * STATE is the directory that is made for the container's state, and removed;
//! * FILTER is a file of BPF instructions for seccomp(2), MEMORY a limit in bytes; `-` is none;
//! * each DIRECTORY is a cgroup that is made and removed; KIND is `devices`, `cpuset`, `memory`, `unified` (the version 2
//!   hierarchy) or any other word for a hierarchy where nothing is set.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod cgroup;
mod child;
mod nr;
mod sys;

use cgroup::Cgroup;
use core::ffi::CStr;
use sys::{Arguments, Done, Fail, Path};

/// What the command line says.
pub struct Plan {
    state: &'static CStr,
    rootfs: &'static CStr,
    filter: Option<&'static CStr>,
    memory: Option<&'static CStr>,
    cgroups: [Option<Cgroup>; 16],
    program: Arguments,
}

impl Plan {
    fn read(mut arguments: Arguments) -> Done<Self> {
        let mut word = || arguments.next().ok_or(Fail::USAGE);
        word()?;
        let (state, rootfs) = (word()?, word()?);
        let (filter, memory) = (optional(word()?), optional(word()?));
        let mut cgroups = [const { None }; 16];
        for slot in &mut cgroups {
            let text = word()?;
            if text == c"--" {
                return Ok(Self { state, rootfs, filter, memory, cgroups, program: arguments });
            }
            *slot = Some(Cgroup::read(text)?);
        }
        Err(Fail::USAGE)
    }

    /// The cgroups in the order they were given.
    pub fn cgroups(&self) -> impl Iterator<Item = &Cgroup> {
        self.cgroups.iter().flatten()
    }
}

fn optional(text: &'static CStr) -> Option<&'static CStr> {
    (text != c"-").then_some(text)
}

/// From the first instruction on.
pub fn run(arguments: Arguments) -> ! {
    match Plan::read(arguments).and_then(|plan| make(&plan)) {
        Ok(code) => sys::exit(code),
        Err(fail) => {
            fail.tell();
            sys::exit(125)
        }
    }
}

/// The parent: cgroups, the child, its state; then it waits and removes them. Gives the child's exit code.
fn make(plan: &Plan) -> Done<i32> {
    sys::mkdir(plan.state, 0o700)?;
    for cgroup in plan.cgroups() {
        cgroup.make(plan.memory)?;
    }
    let unified = plan.cgroups().find(|cgroup| cgroup.is_unified()).map(Cgroup::open).transpose()?;
    let (go, say) = sys::pipe()?;
    let pid = sys::clone(unified)?;
    if pid == 0 {
        if let Err(fail) = child::run(plan, go) {
            fail.tell();
        }
        sys::exit(126)
    }
    write_state(plan.state, pid)?;
    // The program runs when its state is on disk, not before.
    sys::write(say, b"s")?;
    let code = sys::wait(pid)?;
    for cgroup in plan.cgroups() {
        cgroup.remove()?;
    }
    sys::unlink(Path::join(plan.state, c"/state.json")?.text())?;
    sys::rmdir(plan.state)?;
    Ok(code)
}

/// Writes what a runtime must know to find the container again, whole or not at all.
fn write_state(state: &CStr, pid: usize) -> Done {
    let (fresh, file) = (Path::join(state, c"/.new")?, Path::join(state, c"/state.json")?);
    let mut digits = [b'0'; 10];
    let mut left = pid;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    // A JSON number does not begin with a zero, a string may.
    let mut text = *b"{\"ociVersion\":\"1.0.2\",\"status\":\"running\",\"pid\":\"0000000000\"}";
    let end = text.len() - 2;
    text[end - digits.len()..end].copy_from_slice(&digits);
    let fd = sys::open(fresh.text(), sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL)?;
    sys::write(fd, &text)?;
    sys::close(fd)?;
    sys::rename(fresh.text(), file.text())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(124)
}
