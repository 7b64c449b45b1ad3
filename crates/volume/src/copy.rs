//! Copying a directory of an image for an empty volume, by directory fds: no path is resolved twice
//! and no link is followed. Owners, modes, times, links, attributes, nodes and FIFOs are kept.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

/// How deep a tree may nest: two descriptors are open per level.
pub(crate) const DEEPEST: usize = 200;

/// Why a copy ended.
pub(crate) enum Failure {
    Depth,
    Io(io::Error),
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Depth => Errno::NAMETOOLONG.into(),
            Failure::Io(error) => error,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

type Outcome<T = ()> = Result<T, Failure>;

/// Whether nothing is in it.
pub(crate) fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}

/// Copies the content of `from` and its own owner and mode to `to`.
pub(crate) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome {
    Copy { links: HashMap::new() }.directory(from, to, 0)
}

/// Makes the directory `to` look as `from`: attributes, owner, mode, times.
pub(crate) fn dress(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome {
    let stat = rustix::fs::fstat(from)?;
    attributes(from, to)?;
    own(to, &stat)
}

struct Copy {
    /// Inodes with several names that were copied: (device, inode) → an open copy.
    links: HashMap<(u64, u64), OwnedFd>,
}

/// How many multiply linked files are remembered; further ones are copied on their own.
const MOST_LINKS: usize = 256;

impl Copy {
    fn directory(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Outcome {
        if depth > DEEPEST {
            return Err(Failure::Depth);
        }
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.entry(from, to, entry.file_name(), depth)?;
            }
        }
        dress(from, to)
    }

    fn entry(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> Outcome {
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
                let target = rustix::fs::openat(to, name, flags, Mode::empty())?;
                self.directory(source.as_fd(), target.as_fd(), depth + 1)
            }
            FileType::RegularFile => self.file(from, to, name, &stat),
            FileType::Symlink => {
                let text: CString = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(text, to, name)?;
                own_name(to, name, &stat)
            }
            kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                rustix::fs::mknodat(to, name, kind, Mode::empty(), stat.st_rdev)?;
                own_name(to, name, &stat)
            }
            // A socket without its process is nothing.
            _ => Ok(()),
        }
    }

    fn file(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Outcome {
        let key = (stat.st_dev, stat.st_ino);
        if let Some(known) = self.links.get(&key) {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(known));
            rustix::fs::linkat(rustix::fs::CWD, path, to, name, AtFlags::SYMLINK_FOLLOW)?;
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = rustix::fs::openat(to, name, flags, Mode::RUSR)?;
        let (mut reader, mut writer) = (fs::File::from(source), fs::File::from(target));
        io::copy(&mut reader, &mut writer).map_err(Failure::Io)?;
        own(writer.as_fd(), stat)?;
        // ORDER: after the owner, since changing it drops file capabilities.
        attributes(reader.as_fd(), writer.as_fd())?;
        if stat.st_nlink > 1 && self.links.len() < MOST_LINKS {
            self.links.insert(key, writer.into());
        }
        Ok(())
    }
}

/// Owner, then mode (which a change of owner would strip of its set-id bits), then times.
fn own(target: BorrowedFd<'_>, stat: &Stat) -> Outcome {
    let (uid, gid) = owner(stat);
    rustix::fs::fchown(target, Some(uid), Some(gid))?;
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    rustix::fs::futimens(target, &times(stat))?;
    Ok(())
}

fn own_name(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Outcome {
    let (uid, gid) = owner(stat);
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(to, name, Some(uid), Some(gid), nofollow)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        rustix::fs::chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    rustix::fs::utimensat(to, name, &times(stat), nofollow)?;
    Ok(())
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

/// Extended attributes that mean the same elsewhere: the user's and file capabilities.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome {
    let mut names = vec![0u8; 64 * 1024];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..length].split(|byte| *byte == 0) {
        if !(name.starts_with(b"user.") || name == b"security.capability") {
            continue;
        }
        let mut value = vec![0u8; 64 * 1024];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}
