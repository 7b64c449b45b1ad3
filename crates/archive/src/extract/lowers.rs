//! The layers below the one being unpacked: what a merged view of them would show at a path.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Place, attrs, make};
use crate::Error;
use crate::tar::{Entry, EntryKind, Mtime};

/// Directories of the layers below, the topmost first. Empty for the bottom layer.
///
/// They may still be filled while this layer is unpacked: then they are looked at only after `ready`
/// has returned, which few archives need.
#[derive(Clone, Default)]
pub struct Lowers<'a> {
    dirs: Vec<BorrowedFd<'a>>,
    ready: Option<Ready<'a>>,
}

/// Waits until the layers below are whole; `false` if they never will be.
pub type Ready<'a> = &'a (dyn Fn() -> bool + Sync);

/// What one layer says about a path.
enum Found {
    Here(OwnedFd),
    /// A whiteout, an opaque directory or a file on the way: lower layers do not show.
    Hidden,
    Absent,
}

impl<'a> Lowers<'a> {
    /// Layers that are whole.
    pub fn new(dirs: Vec<BorrowedFd<'a>>) -> Self {
        Self { dirs, ready: None }
    }

    /// Layers that are whole once `ready` has returned.
    pub fn when(dirs: Vec<BorrowedFd<'a>>, ready: Ready<'a>) -> Self {
        Self { dirs, ready: Some(ready) }
    }

    /// The topmost one, whole.
    ///
    /// # Errors
    /// [`Error::Below`].
    pub fn top(&self) -> Result<Option<BorrowedFd<'a>>, Error> {
        Ok(self.whole()?.first().copied())
    }

    /// Waits until they are whole.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        self.whole().map(|_| ())
    }

    fn whole(&self) -> Result<&[BorrowedFd<'a>], Error> {
        match self.ready {
            Some(ready) if !self.dirs.is_empty() && !ready() => Err(Error::Below),
            _ => Ok(&self.dirs),
        }
    }

    /// The directory at `path`, opened for reading.
    pub(super) fn directory(&self, path: &[u8]) -> Result<Option<OwnedFd>, Error> {
        self.find(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn find(&self, path: &[u8], last: OFlags) -> Result<Option<OwnedFd>, Error> {
        for layer in self.whole()? {
            match look(*layer, path, last).map_err(|errno| Error::file("open", path, errno))? {
                Found::Here(fd) => return Ok(Some(fd)),
                Found::Hidden => return Ok(None),
                Found::Absent => {}
            }
        }
        Ok(None)
    }

    /// Makes a copy of the lower file that a hard link names. Says whether something was replaced.
    pub(super) fn copy_up(&self, target: &[u8], place: &Place<'_>) -> Result<bool, Error> {
        const MISSING: &str = "it is a hard link to something that does not exist";
        let Some(found) = self.find(target, OFlags::PATH)? else {
            return Err(Error::entry(place.path, MISSING));
        };
        let stat = rustix::fs::fstat(&found).map_err(|errno| Error::file("stat", target, errno))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Fifo,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::CharacterDevice if stat.st_rdev != 0 => EntryKind::CharDevice,
            _ => return Err(Error::entry(place.path, MISSING)),
        };
        let entry = Entry {
            path: place.path.to_vec(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Mtime { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
            device: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
            link: match kind {
                EntryKind::Symlink => read_link(found.as_fd(), target)?,
                _ => Vec::new(),
            },
            xattrs: Vec::new(),
            ..Entry::default()
        };
        if kind != EntryKind::File {
            return make::node(place, &entry);
        }
        // Found above as a regular file in a tree that nobody writes to.
        let Some(source) = self.find(target, OFlags::RDONLY)? else {
            return Err(Error::entry(place.path, MISSING));
        };
        let entry = Entry { xattrs: capability(source.as_fd()), ..entry };
        make::copy(place, &entry, &File::from(source))
    }
}

/// Walks one layer without following links.
fn look(layer: BorrowedFd<'_>, path: &[u8], last: OFlags) -> Result<Found, Errno> {
    let mut components = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut current = rustix::fs::openat(layer, ".", OFlags::RDONLY | OFlags::DIRECTORY | flags, Mode::empty())?;
    while let Some(name) = components.next() {
        let wanted = if components.peek().is_some() { OFlags::RDONLY | OFlags::DIRECTORY } else { last };
        let stat = match rustix::fs::statat(&current, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if attrs::is_opaque(current.as_fd()) => return Ok(Found::Hidden),
            Err(Errno::NOENT) => return Ok(Found::Absent),
            Err(errno) => return Err(errno),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let whiteout = kind == FileType::CharacterDevice && stat.st_rdev == 0;
        if whiteout || (wanted.contains(OFlags::DIRECTORY) && kind != FileType::Directory) {
            return Ok(Found::Hidden);
        }
        current = rustix::fs::openat(&current, name, wanted | flags, Mode::empty())?;
    }
    Ok(Found::Here(current))
}

fn read_link(fd: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, Error> {
    let target = rustix::fs::readlinkat(fd, "", Vec::new()).map_err(|errno| Error::file("readlink", path, errno))?;
    Ok(target.into_bytes())
}

fn capability(fd: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    const NAME: &str = "security.capability";
    let mut value = [0; 64];
    match rustix::fs::fgetxattr(fd, NAME, &mut value) {
        Ok(bytes) => vec![(NAME.as_bytes().to_vec(), value[..bytes].to_vec())],
        Err(_) => Vec::new(),
    }
}
