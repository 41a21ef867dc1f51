//! System calls by number, and the few functions the compiler expects of a C library. The only unsafe room of init.
//!
//! Every call answers `Result<_, Fail>`, and a [`Fail`] knows which call it was: the report needs nothing else.
#![allow(unsafe_code)]

use crate::nr;
use core::arch::asm;

/// A system call that failed (`call` = its number), or a refusal of init's own (`call` = `refusal::CALL`).
#[derive(Clone, Copy)]
pub struct Fail {
    pub call: u32,
    pub errno: i32,
    pub detail: u32,
}

impl Fail {
    pub const fn refusal(reason: i32) -> Fail {
        Fail { call: crate::format::refusal::CALL, errno: reason, detail: 0 }
    }
    pub const fn at(self, detail: u32) -> Fail {
        Fail { detail, ..self }
    }
}

pub type Done<T = ()> = Result<T, Fail>;

/// A NUL-terminated string that lives at least as long as the call it is given to.
#[derive(Clone, Copy)]
pub struct Text(*const u8);

impl Text {
    /// The string at the start of `bytes`; `None` when it has no end.
    pub fn from_bytes(bytes: &[u8]) -> Option<Text> {
        if bytes.contains(&0) { Some(Text(bytes.as_ptr())) } else { None }
    }
    pub const fn from_literal(text: &'static core::ffi::CStr) -> Text {
        Text(text.as_ptr() as *const u8)
    }
    /// The string from byte `at` on; `None` past its end.
    pub fn from(&self, at: usize) -> Option<Text> {
        // SAFETY: `at` is at most the distance to the NUL, so the pointer stays inside the string.
        if at <= self.bytes().len() { Some(Text(unsafe { self.0.add(at) })) } else { None }
    }
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: both constructors checked that a NUL ends the string; the memory is a literal, the program's mapping,
        // or a buffer of the caller's that outlives this value by convention of this room.
        unsafe { core::slice::from_raw_parts(self.0, strlen(self.0)) }
    }
}

pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const ESRCH: i32 = 3;
pub const EINTR: i32 = 4;
pub const ENOEXEC: i32 = 8;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const EEXIST: i32 = 17;
pub const EXDEV: i32 = 18;
pub const ENOTDIR: i32 = 20;
pub const EINVAL: i32 = 22;
pub const ENOSYS: i32 = 38;
pub const ELOOP: i32 = 40;

#[inline(always)]
#[cfg(target_arch = "x86_64")]
unsafe fn raw(n: usize, a: [usize; 6]) -> isize {
    let r: isize;
    // SAFETY: the x86_64 syscall convention; rcx and r11 are clobbered by the instruction. What the kernel does with
    // the arguments is the caller's to justify.
    unsafe {
        asm!("syscall", inlateout("rax") n as isize => r, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    r
}

#[inline(always)]
#[cfg(target_arch = "aarch64")]
unsafe fn raw(n: usize, a: [usize; 6]) -> isize {
    let r: isize;
    // SAFETY: the aarch64 syscall convention.
    unsafe {
        asm!("svc 0", in("x8") n, inlateout("x0") a[0] as isize => r, in("x1") a[1], in("x2") a[2], in("x3") a[3],
             in("x4") a[4], in("x5") a[5], options(nostack));
    }
    r
}

#[inline(never)]
fn call(n: usize, a: [usize; 6]) -> Done<usize> {
    loop {
        // SAFETY: every pointer that the wrappers below pass comes from a reference or a Text that lives across the call,
        // with the length that belongs to it; the kernel checks the rest.
        let r = unsafe { raw(n, a) };
        if r >= 0 {
            return Ok(r as usize);
        }
        if -r as i32 != EINTR {
            return Err(Fail { call: n as u32, errno: -r as i32, detail: 0 });
        }
    }
}

macro_rules! sys {
    ($n:ident $(, $a:expr)*) => {{
        let given = [$($a as usize),*];
        let mut all = [0usize; 6];
        all[..given.len()].copy_from_slice(&given);
        call(nr::$n, all)
    }};
}

// After the macro, which they use.
mod file;
mod memory;
mod mount;
mod process;
mod socket;
mod start;

pub use file::*;
pub use memory::*;
pub use mount::*;
pub use process::*;
pub use socket::*;
use start::strlen;
