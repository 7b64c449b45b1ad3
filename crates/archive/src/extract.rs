//! [`Extractor`]: entries become files beneath one directory, as an overlay layer.
//!
//! Each entry's parent is resolved beneath the root's fd, and the entry is made by its last name in
//! that parent's fd, never through a link. Nobody else may write to the tree meanwhile.
//!
//! Whiteouts (OCI image-spec `layer.md`) become overlay's: a character device 0:0 for `.wh.name`, the
//! attribute `trusted.overlay.opaque` for `.wh..wh..opq`. Within one layer a whiteout hides what lies
//! below, never what the same layer brings.

mod attrs;
mod lowers;
mod make;
mod parents;
mod path;
mod times;

use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

pub(crate) use attrs::{allowed, is_opaque};
pub use lowers::{Lowers, Ready};

use crate::tar::{Entry, EntryKind, Reader};
use crate::{Error, Limits, remove_tree};
use parents::{Parent, Parents};
use times::Times;

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Entries, whiteouts included.
    pub entries: u64,
    /// Bytes of the files' contents, holes not counted, hard links counted once.
    pub bytes: u64,
    /// Extended attributes of namespaces that a layer may not set.
    pub skipped_xattrs: u64,
    /// The archive says what the root directory itself looks like.
    pub root: bool,
}

/// Unpacks entries into a directory.
pub struct Extractor<'a> {
    parents: Parents<'a>,
    limits: Limits,
    times: Times,
    done: Extracted,
    plain: Option<Plain>,
}

/// An archive that is no layer: names beginning with `.wh.` are names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// A directory is not replaced by something else, nor something else by a directory.
    pub keep_kinds: bool,
}

/// Where an entry goes: an open parent and a name in it.
struct Place<'a> {
    path: &'a [u8],
    parent: &'a Parent,
    name: &'a [u8],
}

impl<'a> Extractor<'a> {
    /// Unpacks beneath `root`, an empty directory. `lowers` are the layers below it: directories that
    /// the archive does not name and targets of its hard links are looked up there.
    pub fn new(root: BorrowedFd<'a>, lowers: Lowers<'a>, limits: Limits) -> Self {
        Self {
            parents: Parents::new(root, lowers),
            limits,
            times: Times::default(),
            done: Extracted::default(),
            plain: None,
        }
    }

    /// Takes the archive for what it says, not for a layer.
    pub fn plain(mut self, plain: Plain) -> Self {
        self.plain = Some(plain);
        self
    }

    /// Unpacks all entries that are left in `from`.
    pub fn all(mut self, from: &mut Reader<impl BufRead>) -> Result<Extracted, Error> {
        while let Some(entry) = from.next_entry()? {
            self.entry(&entry, from)?;
        }
        self.finish()
    }

    /// Unpacks one entry; its content is read from `from`.
    pub fn entry(&mut self, entry: &Entry, from: &mut Reader<impl BufRead>) -> Result<(), Error> {
        self.done.entries += 1;
        let path = path::clean(&entry.path, &self.limits)?;
        let Some((dir, name)) = path::split(&path) else {
            return self.root(entry);
        };
        self.parents.open(dir, &mut self.times)?;
        match (self.plain, name.strip_prefix(b".wh.")) {
            (None, Some(hidden)) => return self.whiteout(&path, dir, hidden),
            (Some(Plain { keep_kinds: true }), _) => self.check_kind(entry, &path, dir, name)?,
            _ => {}
        }
        match entry.kind {
            EntryKind::Directory => self.directory(entry, &path, dir, name),
            EntryKind::HardLink => self.hard_link(entry, &path, dir, name),
            EntryKind::File => {
                let place = Place { path: &path, parent: self.parents.get(dir), name };
                let (bytes, skipped, replaced) = make::file(&place, entry, from)?;
                self.done.bytes += bytes;
                self.done.skipped_xattrs += skipped;
                self.forget_if(replaced);
                Ok(())
            }
            EntryKind::Symlink | EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Fifo => {
                let place = Place { path: &path, parent: self.parents.get(dir), name };
                let replaced = make::node(&place, entry)?;
                self.done.skipped_xattrs += entry.xattrs.len() as u64;
                self.forget_if(replaced);
                Ok(())
            }
        }
    }

    fn check_kind(&self, entry: &Entry, path: &[u8], dir: &[u8], name: &[u8]) -> Result<(), Error> {
        let there = rustix::fs::statat(&self.parents.get(dir).fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let Ok(there) = there else { return Ok(()) };
        let was_directory = FileType::from_raw_mode(there.st_mode) == FileType::Directory;
        match (was_directory, entry.kind == EntryKind::Directory) {
            (true, false) => Err(Error::entry(path, "it cannot overwrite a directory with a non-directory")),
            (false, true) => Err(Error::entry(path, "it cannot overwrite a non-directory with a directory")),
            _ => Ok(()),
        }
    }

    /// Sets the directories' times, which their entries' making changed.
    pub fn finish(self) -> Result<Extracted, Error> {
        self.times.apply(self.parents.root())?;
        Ok(self.done)
    }

    fn forget_if(&mut self, replaced: bool) {
        if replaced {
            self.parents.forget();
        }
    }

    /// The entry `./`.
    fn root(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.kind != EntryKind::Directory {
            return Err(Error::entry(&entry.path, "the root of a layer must be a directory"));
        }
        self.done.root = true;
        let root = self.parents.root();
        self.done.skipped_xattrs += attrs::apply(root, entry, true)?;
        self.times.defer(root, b"", entry.mtime)
    }

    fn directory(&mut self, entry: &Entry, path: &[u8], dir: &[u8], name: &[u8]) -> Result<(), Error> {
        let place = Place { path, parent: self.parents.get(dir), name };
        let (fd, replaced) = make::directory(&place)?;
        self.done.skipped_xattrs += attrs::apply(fd.as_fd(), entry, true)?;
        self.times.defer(self.parents.root(), path, entry.mtime)?;
        self.forget_if(replaced);
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, path: &[u8], dir: &[u8], name: &[u8]) -> Result<(), Error> {
        let target = path::clean(&entry.link, &self.limits)?;
        if target == path {
            return Ok(());
        }
        let Some((target_dir, target_name)) = path::split(&target) else {
            return Err(Error::entry(&entry.path, "a hard link to a directory"));
        };
        self.parents.open_target(target_dir, dir, &mut self.times)?;
        let place = Place { path, parent: self.parents.get(dir), name };
        let replaced = match self.parents.target(target_dir) {
            Some(parent) => make::link(&place, parent.fd.as_fd(), target_name)?,
            None => None,
        };
        let replaced = match replaced {
            Some(replaced) => replaced,
            None => self.parents.lowers().copy_up(&target, &place)?,
        };
        self.forget_if(replaced);
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8], dir: &[u8], hidden: &[u8]) -> Result<(), Error> {
        let parent = self.parents.get(dir);
        match hidden {
            b".wh..opq" => return attrs::set_opaque(parent.fd.as_fd(), dir),
            // aufs kept its own bookkeeping under such names.
            _ if hidden.starts_with(b".wh.") => return Ok(()),
            b"" | b"." | b".." => return Err(Error::entry(path, "a whiteout without a name")),
            _ => {}
        }
        let parent = parent.fd.as_fd();
        match rustix::fs::mknodat(parent, hidden, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The same layer brought it earlier: hide only what lies below.
            Err(Errno::EXIST) => match make::open_directory(parent, hidden) {
                Ok(existing) => attrs::set_opaque(existing.as_fd(), path),
                Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(errno) => Err(Error::file("open", path, errno)),
            },
            Err(errno) => Err(Error::file("mknod", path, errno)),
        }
    }
}

/// Removes what stands at a place, so that something else can. Says whether anything stood there.
fn vacate(place: &Place<'_>) -> Result<bool, Error> {
    match rustix::fs::unlinkat(&place.parent.fd, place.name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(Errno::ISDIR) => {
            remove_tree(place.parent.fd.as_fd(), place.name)?;
            Ok(true)
        }
        Err(errno) => Err(Error::file("unlink", place.path, errno)),
    }
}

#[cfg(test)]
mod tests;
