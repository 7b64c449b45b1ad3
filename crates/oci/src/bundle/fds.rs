//! The descriptors of a plan, by slot.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_launch::plan::Slot;

/// In the order of their slots.
#[derive(Debug, Default)]
pub struct Fds(Vec<OwnedFd>);

impl Fds {
    /// Adds one.
    pub fn push(&mut self, fd: OwnedFd) -> Slot {
        self.0.push(fd);
        // The kernel's own limit on descriptors is below.
        Slot((self.0.len() - 1) as u16)
    }

    /// One of them.
    pub fn get(&self, slot: Slot) -> BorrowedFd<'_> {
        self.0[usize::from(slot.0)].as_fd()
    }

    /// Closes them.
    pub fn close(self) {
        hull_sys::fds::close_together(self.0);
    }

    /// All, as a launch takes them.
    pub fn all(&self) -> &[OwnedFd] {
        &self.0
    }
}
