//! A page of counters that a process shares with the children it clones: a child says with one store
//! how far it has come, and the parent reads it even when the child was killed.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Named, Result, check};

/// How many cells a page has.
pub const CELLS: usize = 1024;

/// The shared page.
#[derive(Debug)]
pub struct Cells {
    page: NonNull<AtomicU32>,
}

impl Cells {
    /// Maps a zeroed page (`MAP_SHARED | MAP_ANONYMOUS`).
    pub fn new() -> Result<Self> {
        // SAFETY: a new mapping at a place the kernel chooses aliases nothing.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                CELLS * size_of::<AtomicU32>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let failed = if page == libc::MAP_FAILED { -1 } else { 0 };
        check(failed).named(|| "mmap(MAP_SHARED | MAP_ANONYMOUS)".to_owned())?;
        let page = NonNull::new(page.cast()).expect("mmap never returns null");
        Ok(Self { page })
    }

    fn cell(&self, index: usize) -> &AtomicU32 {
        assert!(index < CELLS);
        // SAFETY: in bounds of the mapping, which lives as long as self, aligned, and atomic.
        unsafe { self.page.add(index).as_ref() }
    }

    /// Unmaps the page in this process only, for one that goes on without it. The page must not be
    /// used again here: a later use ends the process.
    pub fn leave(&self) {
        // SAFETY: the mapping is replaced by one without access at the same place, so that a later
        // use faults and can never reach other memory.
        unsafe {
            libc::mmap(
                self.page.as_ptr().cast(),
                CELLS * size_of::<AtomicU32>(),
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
    }

    /// Stores a value.
    pub fn set(&self, index: usize, value: u32) {
        self.cell(index).store(value, Ordering::Release);
    }

    /// Reads a value.
    pub fn get(&self, index: usize) -> u32 {
        self.cell(index).load(Ordering::Acquire)
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, with this size, and nothing borrows it any more.
        unsafe { libc::munmap(self.page.as_ptr().cast(), CELLS * size_of::<AtomicU32>()) };
    }
}
