//! [`Places`]: mount points that every container has, made ahead.
//!
//! A start would make them itself, one by one, while its client waits. Here they are part of
//! putting the root file system together, which for a pooled one happens behind an earlier answer.
//! As docker's init layer, they are there with and without a pool.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::dir;

/// Which mount points are made, by names without links.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    /// Directories in the root (0755).
    pub directories: &'static [&'static str],
    /// Empty files (0644): a directory in the root (0755), and the names in it.
    pub files: &'static [(&'static str, &'static [&'static str])],
}

impl Places {
    /// Makes what is missing. What stands there already is left as it is, whatever it is; and what cannot
    /// be made, the start that needs it will name.
    pub(crate) fn make(&self, root: BorrowedFd<'_>) {
        for directory in self.directories {
            make_directory(root, directory);
        }
        for (directory, files) in self.files {
            make_directory(root, directory);
            let Ok(parent) = dir::open_path(root, directory) else { continue };
            for file in *files {
                make_file(parent.as_fd(), file);
            }
        }
    }
}

fn make_directory(root: BorrowedFd<'_>, name: &str) {
    let mode = Mode::from_raw_mode(0o755);
    if rustix::fs::mkdirat(root, name, mode) == Ok(()) {
        // Whatever the engine's umask is.
        let _ = rustix::fs::chmodat(root, name, mode, AtFlags::empty());
    }
}

fn make_file(parent: BorrowedFd<'_>, name: &str) {
    let mode = Mode::from_raw_mode(0o644);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::openat(parent, name, flags, mode) {
        let _ = rustix::fs::fchmod(file, mode);
    }
}
