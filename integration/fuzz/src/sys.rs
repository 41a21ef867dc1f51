//! What init's reader of programs (`runtime/init/program.rs`) uses of init's `sys`, most of which is for a program without
//! a C library: its memory room as it is, and in place of its memory object a mapping made of the input.

use casemate::program::format::refusal;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::cell::Cell;

thread_local! {
    /// Address and length of the object.
    static OBJECT: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

const PAGE: usize = 4096;

/// A mapping of whole pages with `data` at its start, as init has its program, and nothing to read behind it.
pub fn with_object(data: &[u8], read: impl FnOnce()) {
    let length = data.len().next_multiple_of(PAGE).max(PAGE);
    // SAFETY: a new mapping at an address of the kernel's choice. The data fits into it, and its last page is no part of
    // what is written. Nothing that `read` makes outlives it: the reader is a value inside of it.
    unsafe {
        let at =
            mmap_anonymous(std::ptr::null_mut(), length + PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
                .unwrap();
        mprotect(at.byte_add(length), PAGE, MprotectFlags::empty()).unwrap();
        std::ptr::copy_nonoverlapping(data.as_ptr(), at.cast(), data.len());
        OBJECT.set((at as usize, data.len()));
        read();
        munmap(at, length + PAGE).unwrap();
    }
}

macro_rules! sys {
    (MMAP, $($any:tt)*) => {
        Ok::<usize, Fail>(OBJECT.get().0)
    };
}

/// As in init.
#[derive(Clone, Copy, Debug)]
pub struct Fail {
    pub call: u32,
    pub errno: i32,
    pub detail: u32,
}

impl Fail {
    pub const fn refusal(reason: i32) -> Fail {
        Fail { call: refusal::CALL, errno: reason, detail: 0 }
    }
}

pub type Done<T = ()> = Result<T, Fail>;

/// As in init.
#[derive(Clone, Copy)]
pub struct Text(*const u8);

impl Text {
    pub fn from_bytes(bytes: &[u8]) -> Option<Text> {
        bytes.contains(&0).then_some(Text(bytes.as_ptr()))
    }

    pub fn from(&self, at: usize) -> Option<Text> {
        // SAFETY: not beyond the NUL.
        (at <= self.bytes().len()).then(|| Text(unsafe { self.0.add(at) }))
    }

    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: what init's reader promises is what is tried here: a NUL inside of the mapping. One that is not there
        // is looked for up to the page that cannot be read.
        unsafe { std::ffi::CStr::from_ptr(self.0.cast()) }.to_bytes()
    }
}

/// What init reads of fstat(2).
pub struct Stat {
    pub size: u64,
}

pub fn fstat(_: i32) -> Done<Stat> {
    Ok(Stat { size: OBJECT.get().1 as u64 })
}

#[allow(dead_code, unused_variables, reason = "init uses all of it")]
#[path = "../../../runtime/init/sys/memory.rs"]
mod memory;

pub use memory::*;
