//! [`walk`]: everything beneath a directory, in the order of names, each directory before what it holds.
//!
//! For trees that strangers filled and may be changing: any depth that a name can express, a bounded
//! number of descriptors and no recursion, no link followed. What vanishes meanwhile is left out.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::Error;

/// Directories on the way down that stay open.
const OPEN: usize = 32;

/// The longest path that is descended into; the kernel takes none that is longer.
const PATH: usize = 4095;

/// What was found.
pub struct Visit<'a> {
    /// The directory that holds it.
    pub parent: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a [u8],
    /// Its path beneath the root, without a leading slash.
    pub path: &'a [u8],
    /// What it is.
    pub stat: Stat,
}

impl Visit<'_> {
    /// The kind of file.
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether it is overlay's mark for something that is no longer there.
    pub fn is_whiteout(&self) -> bool {
        self.kind() == FileType::CharacterDevice && self.stat.st_rdev == 0
    }

    /// Opens it; a link is not followed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(self.parent, self.name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }
}

/// What to do with a directory after it was visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Visit what it holds. Means nothing for what is no directory.
    In,
    /// Leave it out.
    Over,
}

/// A directory whose names are being visited.
struct Level {
    /// How much of the path is this directory's.
    length: usize,
    fd: Option<OwnedFd>,
    /// In reverse order.
    names: Vec<Vec<u8>>,
}

/// Visits everything beneath `root`, but not `root` itself.
///
/// # Errors
/// The visitor's; [`Error::File`] if a directory cannot be read; [`Error::Limit`] if a path is longer
/// than the kernel takes.
pub fn walk<E: From<Error>>(
    root: BorrowedFd<'_>,
    mut visit: impl FnMut(&Visit<'_>) -> Result<Step, E>,
) -> Result<(), E> {
    let mut path = Vec::new();
    let mut levels = vec![level(reopen(root, b"").map_err(|errno| Error::file("open", b".", errno))?, &path)?];
    while let Some(at) = levels.len().checked_sub(1) {
        let here = &mut levels[at];
        path.truncate(here.length);
        let Some(name) = here.names.pop() else {
            levels.pop();
            continue;
        };
        if here.fd.is_none() {
            match reopen(root, &path) {
                Ok(fd) => here.fd = Some(fd),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    levels.pop();
                    continue;
                }
                Err(errno) => return Err(Error::file("open", &path, errno).into()),
            }
        }
        let Some(parent) = here.fd.as_ref() else { continue };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        let stat = match rustix::fs::statat(parent, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(Error::file("stat", &path, errno).into()),
        };
        let found = Visit { parent: parent.as_fd(), name: &name, path: &path, stat };
        if visit(&found)? == Step::Over || found.kind() != FileType::Directory {
            continue;
        }
        if path.len() > PATH {
            return Err(Error::Limit { limit: PATH as u64, what: "bytes in a path" }.into());
        }
        match found.open(OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => levels.push(level(fd, &path)?),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(Error::file("open", &path, errno).into()),
        }
        if let Some(far) = levels.len().checked_sub(OPEN) {
            levels[far].fd = None;
        }
    }
    Ok(())
}

fn level(fd: OwnedFd, path: &[u8]) -> Result<Level, Error> {
    let mut names = names(&fd).map_err(|errno| Error::file("readdir", path, errno))?;
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(Level { length: path.len(), fd: Some(fd), names })
}

/// The names in a directory, without `.` and `..`.
pub(crate) fn names(dir: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for child in Dir::read_from(dir)? {
        let name = child?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// A directory by its path, for who comes back from far below.
pub(crate) fn reopen(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if path.is_empty() {
        return rustix::fs::openat(root, ".", flags, Mode::empty());
    }
    hull_sys::resolve::open_in_root(root, OsStr::from_bytes(path), flags).map_err(|error| error.errno)
}
