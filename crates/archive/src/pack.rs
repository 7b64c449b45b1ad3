//! [`pack`]: a directory tree becomes a tar stream.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::Error;
use crate::extract::is_opaque;
use crate::tar::{Entry, EntryKind, Mtime, Writer};
use crate::walk::{Step, Visit, walk};

/// From an owner (user, group) as it is on the disk to what the archive says.
pub type OwnerMap<'a> = &'a dyn Fn(u32, u32) -> (u32, u32);

/// Whether a path is left out.
pub type Skip<'a> = &'a dyn Fn(&[u8]) -> bool;

/// How a tree is packed.
#[derive(Clone, Copy, Default)]
pub struct Packing<'a> {
    /// It is the upper directory of an overlay: what it hides is written as a layer's whiteouts.
    pub whiteouts: bool,
    /// Leaves the root directory itself out.
    pub without_root: bool,
    /// From an owner (user, group) as it is on the disk to what the archive says.
    pub owner: Option<OwnerMap<'a>>,
    /// Paths that are left out, with all beneath.
    pub skip: Option<Skip<'a>>,
    /// What the root directory is called: everything beneath it is named so. An empty one is `/`.
    pub prefix: Option<&'a [u8]>,
}

/// Writes everything beneath `root`, in the order of names, without crossing links. Names have no
/// leading `./`; the root itself is written as `./`.
pub fn pack<W: Write>(root: BorrowedFd<'_>, to: W) -> Result<W, Error> {
    Ok(pack_as(root, to, &Packing::default())?.0)
}

/// As [`pack`]; also says how many entries were written.
///
/// A file that shrinks meanwhile ends in zeros, as GNU tar's does.
pub fn pack_as<W: Write>(root: BorrowedFd<'_>, to: W, how: &Packing<'_>) -> Result<(W, u64), Error> {
    let mut packer = Packer { writer: Writer::new(to), seen: HashMap::new(), how, entries: 0 };
    if !how.without_root {
        let stat = rustix::fs::fstat(root).map_err(|errno| Error::file("stat", b".", errno))?;
        let name = how.prefix.map_or_else(|| b"./".to_vec(), |prefix| [prefix, b"/"].concat());
        let entry = packer.entry(&name, EntryKind::Directory, &stat);
        packer.put(&Entry { xattrs: xattrs(root), ..entry })?;
    }
    walk(root, |found| packer.visit(found))?;
    Ok((packer.writer.finish()?, packer.entries))
}

/// Writes the one thing called `name` in `parent`, which is no directory, as `as_name`. A link is not followed.
pub fn pack_one<W: Write>(
    parent: BorrowedFd<'_>,
    name: &[u8],
    as_name: &[u8],
    to: W,
    how: &Packing<'_>,
) -> Result<W, Error> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| Error::file("stat", as_name, errno))?;
    let how = Packing { prefix: None, ..*how };
    let mut packer = Packer { writer: Writer::new(to), seen: HashMap::new(), how: &how, entries: 0 };
    packer.visit(&Visit { parent, name, path: as_name, stat })?;
    packer.writer.finish()
}

struct Packer<'a, W: Write> {
    writer: Writer<W>,
    /// Names of files with several links, by device and inode.
    seen: HashMap<(u64, u64), Vec<u8>>,
    how: &'a Packing<'a>,
    entries: u64,
}

impl<W: Write> Packer<'_, W> {
    fn visit(&mut self, found: &Visit<'_>) -> Result<Step, Error> {
        if let Some(prefix) = self.how.prefix {
            let path = [prefix, b"/", found.path].concat();
            return self.visit_as(&Visit { path: &path, ..*found });
        }
        self.visit_as(found)
    }

    fn visit_as(&mut self, found: &Visit<'_>) -> Result<Step, Error> {
        if self.how.skip.is_some_and(|skip| skip(found.path)) {
            return Ok(Step::Over);
        }
        if self.how.whiteouts {
            if found.name.starts_with(b".wh.") {
                return Err(Error::entry(found.path, "in a layer its name would hide another file"));
            }
            if found.is_whiteout() {
                self.mark(found.path, found.name.len(), b".wh.", found.name)?;
                return Ok(Step::Over);
            }
        }
        let kind = match found.kind() {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::CharacterDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::Fifo => EntryKind::Fifo,
            // A socket means nothing without its process; tar has no type for it.
            _ => return Ok(Step::Over),
        };
        if kind != EntryKind::Directory && found.stat.st_nlink > 1 {
            if let Some(first) = self.seen.get(&(found.stat.st_dev, found.stat.st_ino)) {
                let link = first.clone();
                let entry = self.entry(found.path, EntryKind::HardLink, &found.stat);
                self.put(&Entry { link, ..entry })?;
                return Ok(Step::Over);
            }
            self.seen.insert((found.stat.st_dev, found.stat.st_ino), found.path.to_vec());
        }
        match self.content(found, kind) {
            Err(Error::File { errno: Errno::NOENT, .. }) => Ok(Step::Over),
            other => other.map(|()| Step::In),
        }
    }

    fn content(&mut self, found: &Visit<'_>, kind: EntryKind) -> Result<(), Error> {
        let fail = |call| move |errno| Error::file(call, found.path, errno);
        let entry = self.entry(found.path, kind, &found.stat);
        match kind {
            EntryKind::Directory => {
                let fd = found.open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail("open"))?;
                let path = [found.path, b"/"].concat();
                self.put(&Entry { path: path.clone(), xattrs: xattrs(fd.as_fd()), ..entry })?;
                if self.how.whiteouts && is_opaque(fd.as_fd()) {
                    self.mark(&path, 0, b".wh..wh..opq", b"")?;
                }
                Ok(())
            }
            EntryKind::File => {
                let fd = found.open(OFlags::RDONLY | OFlags::NONBLOCK).map_err(fail("open"))?;
                let entry = Entry { xattrs: xattrs(fd.as_fd()), ..entry };
                self.entries += 1;
                self.writer.append(&entry, File::from(fd).chain(std::io::repeat(0)))
            }
            EntryKind::Symlink => {
                let link = rustix::fs::readlinkat(found.parent, found.name, Vec::new()).map_err(fail("readlink"))?;
                self.put(&Entry { link: link.into_bytes(), ..entry })
            }
            _ => self.put(&entry),
        }
    }

    /// An empty file whose name is a message: the last `cut` bytes of `path` give way to it.
    fn mark(&mut self, path: &[u8], cut: usize, prefix: &[u8], name: &[u8]) -> Result<(), Error> {
        let path = [&path[..path.len() - cut], prefix, name].concat();
        self.put(&Entry { path, mode: 0o600, ..Entry::default() })
    }

    fn put(&mut self, entry: &Entry) -> Result<(), Error> {
        self.entries += 1;
        self.writer.append(entry, std::io::empty())
    }

    fn entry(&self, path: &[u8], kind: EntryKind, stat: &Stat) -> Entry {
        let device = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        let (uid, gid) = match self.how.owner {
            Some(owner) => owner(stat.st_uid, stat.st_gid),
            None => (stat.st_uid, stat.st_gid),
        };
        Entry {
            path: path.to_vec(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            mtime: Mtime { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
            size: if kind == EntryKind::File { stat.st_size.cast_unsigned() } else { 0 },
            device: if device { (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) } else { (0, 0) },
            ..Entry::default()
        }
    }
}

/// Attributes that a layer carries: those that unpacking sets again.
pub(crate) fn xattrs(fd: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0; 1 << 16];
    let Ok(bytes) = rustix::fs::flistxattr(fd, &mut list[..]) else {
        return Vec::new();
    };
    let names = list[..bytes].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut wanted: Vec<&[u8]> = names.filter(|name| crate::extract::allowed(name)).collect();
    wanted.sort_unstable();
    let mut value = vec![0; 1 << 16];
    wanted
        .into_iter()
        .filter_map(|name| {
            let bytes = rustix::fs::fgetxattr(fd, name, &mut value[..]).ok()?;
            Some((name.to_vec(), value[..bytes].to_vec()))
        })
        .collect()
}
