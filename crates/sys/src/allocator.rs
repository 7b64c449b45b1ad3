//! The allocator of binaries that carry musl (docs/adr/0009-musl.md).

use std::alloc::{GlobalAlloc, Layout};

use dlmalloc::GlobalDlmalloc;

/// dlmalloc behind four calls: inlined into every place that allocates it would be a quarter of a megabyte.
pub struct Allocator;

// SAFETY: hands each call on, as it came, to an allocator that keeps the contract.
unsafe impl GlobalAlloc for Allocator {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { GlobalDlmalloc.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { GlobalDlmalloc.dealloc(at, layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { GlobalDlmalloc.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { GlobalDlmalloc.realloc(at, layout, size) }
    }
}
