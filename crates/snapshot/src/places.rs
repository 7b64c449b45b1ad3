//! [`Places`]: what every container has in its root file system besides its image's files, made ahead.
//!
//! A start would make the mount points itself, one by one, while its client waits. Here they are part of
//! putting the root file system together, which for a pooled one happens behind an earlier answer.
//! As docker's init layer, they are there with and without a pool, and no change of the container's.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::dir;

/// Something that is made in a directory.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// A directory (0755).
    Directory(&'static str),
    /// An empty file (0755, as docker's).
    File(&'static str),
    /// A link, and what it says.
    Link(&'static str, &'static str),
}

/// What is made, by names without links: directories of the root (`""` is the root itself), and what is in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places(pub &'static [(&'static str, &'static [Place])]);

/// User and group of what is made, if it is not the engine's.
pub(crate) type Owner = Option<(Uid, Gid)>;

const MODE: Mode = Mode::from_raw_mode(0o755);

impl Places {
    /// Makes what is missing. What stands there already is left as it is, whatever it is; and what cannot
    /// be made, the start that needs it will name.
    pub(crate) fn make(&self, root: BorrowedFd<'_>, owner: Owner) {
        for (directory, places) in self.0 {
            if directory.is_empty() {
                places.iter().for_each(|place| place.make(root, owner));
                continue;
            }
            Place::Directory(directory).make(root, owner);
            if let Ok(parent) = dir::open_path(root, directory) {
                places.iter().for_each(|place| place.make(parent.as_fd(), owner));
            }
        }
    }

    /// Whether a link of this text is made at this path, which has no leading slash.
    pub(crate) fn has_link(&self, path: &[u8], text: &[u8]) -> bool {
        let in_directory = |(directory, places): &(&str, &[Place])| {
            let below = match directory.is_empty() {
                true => Some(path),
                false => path.strip_prefix(directory.as_bytes()).and_then(|rest| rest.strip_prefix(b"/")),
            };
            let is_it = |place: &Place| matches!(place, Place::Link(name, to) if Some(name.as_bytes()) == below && to.as_bytes() == text);
            places.iter().any(is_it)
        };
        self.0.iter().any(in_directory)
    }
}

impl Place {
    fn make(self, parent: BorrowedFd<'_>, owner: Owner) {
        let (name, made) = match self {
            Self::Directory(name) => (name, make_directory(parent, name)),
            Self::File(name) => (name, make_file(parent, name)),
            Self::Link(name, text) => (name, rustix::fs::symlinkat(text, parent, name)),
        };
        if let (Ok(()), Some((uid, gid))) = (made, owner) {
            let _ = rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        }
    }
}

fn make_directory(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    rustix::fs::mkdirat(parent, name, MODE)?;
    // Whatever the engine's umask is.
    rustix::fs::chmodat(parent, name, MODE, AtFlags::empty())
}

fn make_file(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, MODE)?;
    rustix::fs::fchmod(file, MODE)
}
