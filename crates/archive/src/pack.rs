//! [`pack`]: a directory tree becomes a tar stream.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use crate::Error;
use crate::tar::{Entry, EntryKind, Mtime, Writer};

/// Writes everything beneath `root`, in the order of names, without crossing links. Names have no
/// leading `./`; the root itself is written as `./`.
pub fn pack<W: Write>(root: BorrowedFd<'_>, to: W) -> Result<W, Error> {
    let mut packer = Packer { writer: Writer::new(to), seen: HashMap::new() };
    let stat = rustix::fs::fstat(root).map_err(|errno| Error::file("stat", b".", errno))?;
    let fd = open(root, b".", OFlags::DIRECTORY | OFlags::RDONLY)?;
    let entry = Entry { xattrs: xattrs(fd.as_fd()), ..entry(b"./", EntryKind::Directory, &stat) };
    packer.writer.append(&entry, std::io::empty())?;
    packer.directory(&fd, b"")?;
    packer.writer.finish()
}

struct Packer<W: Write> {
    writer: Writer<W>,
    /// Names of files with several links, by device and inode.
    seen: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<W> {
    fn directory(&mut self, dir: &OwnedFd, path: &[u8]) -> Result<(), Error> {
        let fail = |errno| Error::file("readdir", path, errno);
        let mut names = Vec::new();
        for child in Dir::read_from(dir).map_err(fail)? {
            let name = child.map_err(fail)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
            self.child(dir, &name, path)?;
        }
        Ok(())
    }

    fn child(&mut self, dir: &OwnedFd, name: &[u8], mut path: Vec<u8>) -> Result<(), Error> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| Error::file("stat", &path, errno))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::CharacterDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::Fifo => EntryKind::Fifo,
            // A socket means nothing without its process; tar has no type for it.
            _ => return Ok(()),
        };
        if kind != EntryKind::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.seen.get(&(stat.st_dev, stat.st_ino)) {
                let link = Entry { link: first.clone(), ..entry(&path, EntryKind::HardLink, &stat) };
                return self.writer.append(&link, std::io::empty());
            }
            self.seen.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        match kind {
            EntryKind::Directory => {
                let child = open(dir.as_fd(), name, OFlags::DIRECTORY | OFlags::RDONLY)?;
                path.push(b'/');
                let entry = Entry { xattrs: xattrs(child.as_fd()), ..entry(&path, kind, &stat) };
                self.writer.append(&entry, std::io::empty())?;
                path.pop();
                self.directory(&child, &path)
            }
            EntryKind::File => {
                let file = open(dir.as_fd(), name, OFlags::RDONLY | OFlags::NONBLOCK)?;
                let entry = Entry { xattrs: xattrs(file.as_fd()), ..entry(&path, kind, &stat) };
                self.writer.append(&entry, File::from(file))
            }
            EntryKind::Symlink => {
                let link = rustix::fs::readlinkat(dir, name, Vec::new())
                    .map_err(|errno| Error::file("readlink", &path, errno))?;
                let entry = Entry { link: link.into_bytes(), ..entry(&path, kind, &stat) };
                self.writer.append(&entry, std::io::empty())
            }
            _ => self.writer.append(&entry(&path, kind, &stat), std::io::empty()),
        }
    }
}

fn entry(path: &[u8], kind: EntryKind, stat: &Stat) -> Entry {
    let device = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
    Entry {
        path: path.to_vec(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Mtime { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
        size: if kind == EntryKind::File { stat.st_size.cast_unsigned() } else { 0 },
        device: if device { (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) } else { (0, 0) },
        ..Entry::default()
    }
}

/// Attributes that a layer carries: `user.*` and file capabilities.
fn xattrs(fd: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0; 1 << 16];
    let Ok(bytes) = rustix::fs::flistxattr(fd, &mut list[..]) else {
        return Vec::new();
    };
    let names = list[..bytes].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let wanted = names.filter(|name| name.starts_with(b"user.") || *name == b"security.capability");
    let mut value = vec![0; 1 << 16];
    wanted
        .filter_map(|name| {
            let bytes = rustix::fs::fgetxattr(fd, name, &mut value[..]).ok()?;
            Some((name.to_vec(), value[..bytes].to_vec()))
        })
        .collect()
}

fn open(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Error> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|errno| Error::file("open", name, errno))
}
