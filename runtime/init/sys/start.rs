//! The first instructions, and the functions that the compiler expects of a C library.

use super::*;
use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {entry}", "ud2", entry = sym entry);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl {entry}", "udf #0", entry = sym entry);

extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: the initial stack holds argc, then argv[0..argc], each a NUL-terminated string (elf auxiliary layout).
    let argument = unsafe { if *stack >= 2 { Some(Text(*stack.add(2) as *const u8)) } else { None } };
    crate::run(argument)
}

#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with valid ranges.
unsafe extern "C" fn memcpy(d: *mut u8, s: *const u8, n: usize) -> *mut u8 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n, and the caller owns n bytes at both ends. Volatile keeps the loop from becoming a call to itself.
        unsafe { d.add(i).write_volatile(*s.add(i)) };
        i += 1;
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: as memcpy; the direction avoids overwriting what is still to be read.
unsafe extern "C" fn memmove(d: *mut u8, s: *const u8, n: usize) -> *mut u8 {
    if (d as usize) <= (s as usize) {
        // SAFETY: forward copying is right when the destination starts first.
        return unsafe { memcpy(d, s, n) };
    }
    let mut i = n;
    while i > 0 {
        i -= 1;
        // SAFETY: i < n.
        unsafe { d.add(i).write_volatile(*s.add(i)) };
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with a valid range.
unsafe extern "C" fn memset(d: *mut u8, c: i32, n: usize) -> *mut u8 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n.
        unsafe { d.add(i).write_volatile(c as u8) };
        i += 1;
    }
    d
}
#[unsafe(no_mangle)]
// SAFETY: called by compiler-generated code with valid ranges.
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n.
        let x = unsafe { *a.add(i) as i32 - *b.add(i) as i32 };
        if x != 0 {
            return x;
        }
        i += 1;
    }
    0
}
#[unsafe(no_mangle)]
// SAFETY: as memcmp.
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: same contract.
    unsafe { memcmp(a, b, n) }
}
#[unsafe(no_mangle)]
// SAFETY: called with NUL-terminated strings only.
pub(super) unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: the string ends before this leaves it. Volatile keeps the loop from becoming a call to itself.
    while unsafe { s.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}
/// libcore is built to unwind and names this symbol; nothing ever calls it here (panic = abort).
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
