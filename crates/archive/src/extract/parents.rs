//! Open parents of the entries being made, and the making of those that the archive does not name.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::attrs;
use super::lowers::Lowers;
use super::make::open_directory;
use super::times::Times;
use crate::Error;

/// How many parents stay open.
const OPEN: usize = 8;

/// A directory in which entries are made.
pub(super) struct Parent {
    path: Vec<u8>,
    pub fd: OwnedFd,
    /// New files take its group, whoever makes them.
    pub setgid: bool,
}

/// The most recently used parents. Whoever replaces something in the tree must call
/// [`Parents::forget`]: a path may lead elsewhere then.
pub(super) struct Parents<'a> {
    root: BorrowedFd<'a>,
    lowers: Lowers<'a>,
    /// Oldest first.
    open: Vec<Parent>,
}

impl<'a> Parents<'a> {
    pub fn new(root: BorrowedFd<'a>, lowers: Lowers<'a>) -> Self {
        Self { root, lowers, open: Vec::with_capacity(OPEN) }
    }

    pub fn root(&self) -> BorrowedFd<'a> {
        self.root
    }

    pub fn lowers(&self) -> &Lowers<'a> {
        &self.lowers
    }

    /// Makes sure that the directory at `dir` (cleaned) is open, making what is missing of it.
    pub fn open(&mut self, dir: &[u8], times: &mut Times) -> Result<(), Error> {
        match self.open.last() {
            Some(last) if last.path == dir => return Ok(()),
            _ => {}
        }
        if let Some(at) = self.open.iter().position(|parent| parent.path == dir) {
            let found = self.open.remove(at);
            self.open.push(found);
            return Ok(());
        }
        let fd = match resolve(self.root, dir) {
            Err(Errno::NOENT) => self.make(dir, times)?,
            other => other.map_err(|errno| refuse(dir, errno))?,
        };
        self.push(dir, fd)
    }

    /// Opens the directory of a hard link's target, if this layer has it, and keeps `dir` open.
    pub fn open_target(&mut self, target: &[u8], dir: &[u8], times: &mut Times) -> Result<(), Error> {
        if !self.open.iter().any(|parent| parent.path == target) {
            match resolve(self.root, target) {
                Ok(fd) => self.push(target, fd)?,
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(refuse(target, errno)),
            }
        }
        self.open(dir, times)
    }

    /// The parent that [`Parents::open`] just opened.
    pub fn get(&self, dir: &[u8]) -> &Parent {
        let last = self.open.last().filter(|parent| parent.path == dir);
        last.unwrap_or_else(|| unreachable!("a parent is used without having been opened"))
    }

    /// The parent that [`Parents::open_target`] may have opened.
    pub fn target(&self, dir: &[u8]) -> Option<&Parent> {
        self.open.iter().find(|parent| parent.path == dir)
    }

    pub fn forget(&mut self) {
        self.open.clear();
    }

    fn push(&mut self, dir: &[u8], fd: OwnedFd) -> Result<(), Error> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| Error::file("stat", dir, errno))?;
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        self.open.push(Parent { path: dir.to_vec(), fd, setgid: stat.st_mode & 0o2000 != 0 });
        Ok(())
    }

    /// Makes `dir` and what is missing above it, level by level.
    fn make(&mut self, dir: &[u8], times: &mut Times) -> Result<OwnedFd, Error> {
        let mut current = resolve(self.root, b"").map_err(|errno| refuse(dir, errno))?;
        let mut end = 0;
        while end < dir.len() {
            let start = if end == 0 { 0 } else { end + 1 };
            end = dir[start..].iter().position(|byte| *byte == b'/').map_or(dir.len(), |at| start + at);
            let (path, name) = (&dir[..end], &dir[start..end]);
            current = match open_directory(current.as_fd(), name) {
                Ok(existing) => existing,
                Err(Errno::NOENT) => self.make_one(&current, path, name, times)?,
                // A link: what it means is for the kernel to say.
                Err(Errno::LOOP | Errno::NOTDIR) => resolve(self.root, path).map_err(|errno| refuse(path, errno))?,
                Err(errno) => return Err(refuse(path, errno)),
            };
        }
        Ok(current)
    }

    /// Makes one level. It looks as it does in the layers below; if they do not have it, it is root's
    /// with mode 0755.
    fn make_one(&self, above: &OwnedFd, path: &[u8], name: &[u8], times: &mut Times) -> Result<OwnedFd, Error> {
        rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755))
            .map_err(|errno| Error::file("mkdir", path, errno))?;
        let made = open_directory(above.as_fd(), name).map_err(|errno| refuse(path, errno))?;
        match self.lowers.directory(path)? {
            Some(lower) => {
                attrs::copy_directory(lower.as_fd(), made.as_fd(), path, |mtime| times.defer(self.root, path, mtime))?
            }
            None => attrs::chmod(made.as_fd(), 0o755, path)?,
        }
        Ok(made)
    }
}

/// Opens a directory beneath the root; links inside the tree are followed there.
pub(super) fn resolve(root: BorrowedFd<'_>, dir: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if dir.is_empty() {
        return rustix::fs::openat(root, ".", flags, Mode::empty());
    }
    hull_sys::resolve::open_in_root(root, OsStr::from_bytes(dir), flags).map_err(|error| error.errno)
}

fn refuse(dir: &[u8], errno: Errno) -> Error {
    match errno {
        Errno::NOTDIR => Error::entry(dir, "something on its way is not a directory"),
        Errno::NOENT => Error::entry(dir, "its directory is a link that leads nowhere"),
        Errno::LOOP => Error::entry(dir, "too many links on its way"),
        _ => Error::file("open", dir, errno),
    }
}
