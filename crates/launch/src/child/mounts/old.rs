//! KERNEL(5.12): attributes without `mount_setattr`.

use std::os::fd::{AsFd, BorrowedFd};

use hull_sys::Result;
use hull_sys::mount::{SetAttr, old};

use super::Child;

impl Child<'_> {
    /// Changes the attributes of a mount that is attached. Nothing runs inside yet.
    pub(super) fn change_attached(&mut self, mount: BorrowedFd<'_>, attrs: &SetAttr<'_>) -> Result<()> {
        let proc = self.given.proc;
        old::change(proc.as_fd(), self.root()?, mount, attrs)
    }
}
