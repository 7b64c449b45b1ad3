//! Copying the content of one directory into another, on descriptors: directories, files, links,
//! FIFOs and devices, with owner and mode. No link is followed, and no mount is crossed.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use hull_sys::{Error, Named, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Directories deeper than this are refused: each level holds two descriptors.
const MAX_DEPTH: usize = 256;

/// Copies what is in `from` to `to`.
pub(super) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let from = open_directory(from, c".")?;
    let stat = rustix::fs::fstat(&from).named(|| "stat(copy-up)".to_owned())?;
    own(to, c".", &stat)?;
    level(from.as_fd(), to, stat.st_dev, 0)
}

fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).named(|| format!("open({name:?})"))
}

fn level(from: BorrowedFd<'_>, to: BorrowedFd<'_>, device: u64, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new("copy-up: directories nested too deep", Errno::NAMETOOLONG));
    }
    let entries = rustix::fs::Dir::read_from(from).named(|| "readdir(copy-up)".to_owned())?;
    for entry in entries {
        let entry = entry.named(|| "readdir(copy-up)".to_owned())?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).named(|| format!("stat({name:?})"))?;
        if stat.st_dev == device {
            node(from, to, name, &stat, depth)?;
        }
    }
    Ok(())
}

fn node(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat, depth: usize) -> Result<()> {
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let kind = FileType::from_raw_mode(stat.st_mode);
    let describe = || format!("copy-up of {name:?}");
    match kind {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode).named(describe)?;
            let (from, below) = (open_directory(from, name)?, open_directory(to, name)?);
            level(from.as_fd(), below.as_fd(), stat.st_dev, depth + 1)?;
        }
        FileType::RegularFile => file(from, to, name, mode).named(describe)?,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new()).named(describe)?;
            rustix::fs::symlinkat(&target, to, name).named(describe)?;
        }
        FileType::Socket => return Ok(()),
        _ => rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev).named(describe)?,
    }
    own(to, name, stat)
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, mode: Mode) -> std::io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut source = std::fs::File::from(rustix::fs::openat(from, name, read, Mode::empty())?);
    let mut target = std::fs::File::from(rustix::fs::openat(to, name, write, mode)?);
    std::io::copy(&mut source, &mut target).map(drop)
}

/// Owner, then mode (a change of owner clears set-id bits).
fn own(directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<()> {
    let describe = || format!("chown({name:?})");
    let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).named(describe)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::chmodat(directory.as_fd(), name, mode, AtFlags::empty()).named(|| format!("chmod({name:?})"))?;
    }
    Ok(())
}
