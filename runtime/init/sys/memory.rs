//! The shared mapping and views of it.

use super::*;

/// Maps `len` bytes of a shared memory object.
pub fn map_shared(fd: i32, len: usize) -> Done<&'static mut [u8]> {
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    let at = sys!(MMAP, 0, len, READ_WRITE, SHARED, fd, 0)?;
    // SAFETY: a fresh mapping of exactly `len` bytes that is never unmapped. The parent writes it before the clone and
    // then only `ack`, which is read through an atomic.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut u8, len) })
}

/// A list of pointers to strings, ended by a null pointer: argv and envp.
#[derive(Clone, Copy)]
pub struct List(pub(super) *const *const u8);

impl List {
    /// Turns an array of offsets into an array of pointers, in place.
    pub fn relocate(offsets: &mut [u64], base: *const u8) -> List {
        for slot in offsets.iter_mut() {
            if *slot != 0 {
                *slot += base as u64;
            }
        }
        List(offsets.as_ptr() as *const *const u8)
    }
    /// An empty list.
    pub fn empty() -> List {
        static NONE: [u64; 1] = [0];
        List(NONE.as_ptr() as *const *const u8)
    }
    /// The strings. The program's encoder wrote them inside the mapping; see [`crate::program`].
    pub fn get(&self, index: usize) -> Option<Text> {
        // SAFETY: the list ends with a null pointer and callers count up from 0 and stop at the first None.
        let p = unsafe { *self.0.add(index) };
        if p.is_null() { None } else { Some(Text(p)) }
    }
}

/// Views aligned words of the mapping. `None` when out of bounds or misaligned.
pub fn words(bytes: &mut [u8], offset: usize, count: usize) -> Option<&mut [u64]> {
    let part = bytes.get_mut(offset..offset.checked_add(count.checked_mul(8)?)?)?;
    // SAFETY: the range was checked by get_mut; align_to_mut only yields the aligned middle.
    let (head, middle, _) = unsafe { part.align_to_mut::<u64>() };
    if head.is_empty() && middle.len() == count { Some(middle) } else { None }
}

/// The first `count` 32-bit halves of some words.
pub fn halves(words: &[u64], count: usize) -> &[u32] {
    // SAFETY: u32 has no invalid values and a smaller alignment; the length is cut to what is there.
    let (_, halves, _) = unsafe { words.align_to::<u32>() };
    halves.get(..count).unwrap_or(halves)
}

/// Views a structure of integers inside the mapping.
pub fn view<T>(bytes: &mut [u8], offset: usize) -> Option<&mut T> {
    let part = bytes.get_mut(offset..offset.checked_add(size_of::<T>())?)?;
    let at = part.as_mut_ptr() as *mut T;
    // SAFETY: bounds checked above, alignment below; Header and Record are integers only, any bytes are a value.
    if at.is_aligned() { Some(unsafe { &mut *at }) } else { None }
}

/// Spins until another process stores a non-zero value into the word: no system call is allowed at that point, not even
/// to look at a clock. Answers whether it did; gives up after some ten seconds to some minutes, as pauses cost on this
/// processor.
pub fn spin_until_set(word: &u32) -> bool {
    // SAFETY: a u32 inside the shared mapping, aligned as part of a repr(C) structure.
    let word = unsafe { core::sync::atomic::AtomicU32::from_ptr(word as *const u32 as *mut u32) };
    for _ in 0..1u64 << 31 {
        if word.load(core::sync::atomic::Ordering::Acquire) != 0 {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}
/// Makes all earlier plain stores visible before this one.
pub fn publish(word: &mut u32, value: u32) {
    // SAFETY: as in spin_until_set.
    let word = unsafe { core::sync::atomic::AtomicU32::from_ptr(word) };
    word.store(value, core::sync::atomic::Ordering::Release);
}
