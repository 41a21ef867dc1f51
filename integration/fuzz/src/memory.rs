//! How much memory one input may take: an input of a few bytes that makes the product ask for gigabytes is a finding
//! long before the machine has none left.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most that one input may have in use at a time, in bytes. The largest input has 64 KiB.
pub const MOST: usize = 64 << 20;

/// Bytes in use, and the most there were since [`bounded`] began.
static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn add(size: usize) {
    let used = USED.fetch_add(size, Relaxed).wrapping_add(size);
    PEAK.fetch_max(used, Relaxed);
}

// SAFETY: every call goes on to the system's allocator as it came; what is counted beside it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Runs one input.
pub fn bounded(input: impl FnOnce()) {
    let before = USED.load(Relaxed);
    PEAK.store(before, Relaxed);
    input();
    let most = PEAK.load(Relaxed).saturating_sub(before);
    assert!(most <= MOST, "this input took {most} bytes of memory, more than {MOST}");
}
