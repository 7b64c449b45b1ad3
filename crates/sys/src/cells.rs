//! Memory that a process shares with the children it clones: a child says with one store how far it has come and when,
//! and the parent reads it even when the child was killed.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::error::{Named, Result, check};

/// Times that a child can note: a page of them.
pub const STAMPS: usize = 512;

/// A counter and [`STAMPS`] times for each of a number of children. Pages that nobody writes cost no memory.
#[derive(Debug)]
pub struct Cells {
    /// All counters, then all times.
    memory: NonNull<u8>,
    count: usize,
}

/// Bytes until the times begin, so that each child has a page of them to itself.
const fn counters(count: usize) -> usize {
    (count * size_of::<AtomicU32>()).next_multiple_of(STAMPS * size_of::<AtomicI64>())
}

const fn size(count: usize) -> usize {
    counters(count) + count * STAMPS * size_of::<AtomicI64>()
}

impl Cells {
    /// Maps zeroed memory for `count` children (`MAP_SHARED | MAP_ANONYMOUS`).
    pub fn new(count: usize) -> Result<Self> {
        // SAFETY: a new mapping at a place the kernel chooses aliases nothing.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size(count),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let failed = if memory == libc::MAP_FAILED { -1 } else { 0 };
        check(failed).named(|| "mmap(MAP_SHARED | MAP_ANONYMOUS)".to_owned())?;
        let memory = NonNull::new(memory.cast()).expect("mmap never returns null");
        Ok(Self { memory, count })
    }

    fn cell(&self, index: usize) -> &AtomicU32 {
        assert!(index < self.count);
        // SAFETY: in bounds of the mapping, which lives as long as self, aligned, and atomic.
        unsafe { self.memory.cast::<AtomicU32>().add(index).as_ref() }
    }

    fn stamps(&self, index: usize) -> &[AtomicI64] {
        assert!(index < self.count);
        // SAFETY: the page is in bounds of the mapping, which lives as long as self, aligned, zeroed, and atomic.
        unsafe {
            let page = self.memory.add(counters(self.count)).cast::<AtomicI64>().add(index * STAMPS);
            std::slice::from_raw_parts(page.as_ptr(), STAMPS)
        }
    }

    /// Unmaps the memory in this process only, for one that goes on without it. It must not be
    /// used again here: a later use ends the process.
    pub fn leave(&self) {
        // SAFETY: the mapping is replaced by one without access at the same place, so that a later
        // use faults and can never reach other memory.
        unsafe {
            libc::mmap(
                self.memory.as_ptr().cast(),
                size(self.count),
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

    /// Notes a time as the child's `at`-th. Beyond [`STAMPS`] there is no room: nothing is noted.
    pub fn stamp(&self, index: usize, at: usize, time: i64) {
        if let Some(stamp) = self.stamps(index).get(at) {
            stamp.store(time, Ordering::Relaxed);
        }
    }

    /// The child's first `count` times, as many of them as there is room for. Read after [`Cells::get`] has said that the
    /// child has come so far.
    pub fn stamped(&self, index: usize, count: usize) -> Vec<i64> {
        self.stamps(index).iter().take(count).map(|stamp| stamp.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, with this size, and nothing borrows it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), size(self.count)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_child_has_a_counter_and_times_of_its_own() {
        let cells = Cells::new(3).unwrap();
        for child in 0..3 {
            cells.set(child, 7 + child as u32);
            (0..STAMPS + 5).for_each(|at| cells.stamp(child, at, (child * 10_000 + at) as i64));
        }
        for child in 0..3 {
            assert_eq!(cells.get(child), 7 + child as u32);
            let stamped = cells.stamped(child, STAMPS + 5);
            assert_eq!(stamped.len(), STAMPS);
            assert!(stamped.iter().enumerate().all(|(at, time)| *time == (child * 10_000 + at) as i64));
        }
        assert_eq!(cells.stamped(1, 2), [10_000, 10_001]);
    }
}
