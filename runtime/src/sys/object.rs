//! A shared memory object: written before the clone, mapped by init, where init's report appears.

use crate::program::format::{Header, Report};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first page of a program's object.
pub struct Shared {
    at: NonNull<Header>,
}

/// Length of the mapping: the header.
const LENGTH: usize = crate::program::format::RECORDS;

impl Shared {
    /// Maps the start of the object.
    ///
    /// # Errors
    /// What mmap(2) says. The caller has checked that the object is long enough and cannot shrink (F_SEAL_SHRINK).
    pub fn map(object: &OwnedFd) -> Result<Shared, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice; it is unmapped in Drop only.
        let at = unsafe {
            mmap(std::ptr::null_mut(), LENGTH, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, object.as_fd(), 0)?
        };
        NonNull::new(at.cast()).map(|at| Shared { at }).ok_or(Errno::FAULT)
    }

    /// What init says. Its state is read first, so the rest is at least as new.
    pub fn report(&self) -> Report {
        let state = self.word(offset_of!(Header, report.state)).load(Ordering::Acquire);
        // SAFETY: the mapping is as long as a Header and page-aligned; Report is plain integers, any bytes are a value,
        // and a volatile read of what another process may be writing gets some of them.
        let mut report = unsafe { (&raw const (*self.at.as_ptr()).report).read_volatile() };
        report.state = state;
        report
    }

    /// The state only.
    pub fn state(&self) -> u32 {
        self.word(offset_of!(Header, report.state)).load(Ordering::Acquire)
    }

    /// How many operations the program has.
    pub fn operations(&self) -> u32 {
        self.word(offset_of!(Header, ops)).load(Ordering::Relaxed)
    }

    /// Tells init that its listener is in safe hands.
    pub fn acknowledge(&self) {
        self.word(offset_of!(Header, report.ack)).store(1, Ordering::Release);
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: callers pass the offset of a u32 field of Header, so it lies inside the mapping, which lives as long
        // as self, and is aligned as repr(C) aligns it; other processes access it atomically too.
        unsafe { AtomicU32::from_ptr(self.at.as_ptr().cast::<u8>().add(offset).cast()) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; no reference into it outlives self.
        // Failing is right: the arguments are those of a mapping of ours, and the process ends soon.
        let _gone = unsafe { munmap(self.at.as_ptr().cast(), LENGTH) };
    }
}
