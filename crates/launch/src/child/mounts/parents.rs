//! Descriptors that the child keeps for a while: directories to make the next thing in, and what `execve` shall close.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Directories beneath the root, open. Each is what its path leads to at the moment.
#[derive(Debug, Default)]
pub(in crate::child) struct Parents(Vec<Known>);

/// One of them.
#[derive(Debug)]
pub(super) struct Known {
    pub path: PathBuf,
    pub fd: OwnedFd,
    /// No part of the path is a link.
    pub plain: bool,
    /// It is the root of a mount.
    pub mounted: bool,
}

/// More are not worth a descriptor.
const KNOWN: usize = 8;

impl Parents {
    /// Remembers a directory.
    pub(super) fn add(&mut self, new: Known) {
        self.0.retain(|known| known.path != new.path);
        if self.0.len() == KNOWN {
            self.0.remove(0);
        }
        self.0.push(new);
    }

    /// The directory at exactly this path.
    pub(super) fn find(&self, path: &Path) -> Option<&Known> {
        self.0.iter().find(|known| known.path == path)
    }

    /// Something is mounted there: what lies beneath it is not known any more, nor what a link leads to.
    pub(super) fn cover(&mut self, path: &Path) {
        self.0.retain(|known| known.plain && !known.path.starts_with(path));
    }
}

/// Descriptors of no more use. A few are kept until `execve`, which closes them in no call of their own.
#[derive(Debug, Default)]
pub(in crate::child) struct Spent(Vec<OwnedFd>);

/// The limit on descriptors may be low.
const KEPT: usize = 64;

impl Spent {
    /// Leaves the closing to later.
    pub fn keep(&mut self, fd: OwnedFd) {
        if self.0.len() < KEPT {
            self.0.push(fd);
        }
    }
}
