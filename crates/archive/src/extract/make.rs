//! Making one file, directory, link or device in an open parent. A last name is never followed.

use std::fs::File;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Place, attrs, times, vacate};
use crate::Error;
use crate::tar::{Entry, EntryKind, Reader};

/// Makes a file and writes its content. Bytes written, attributes skipped, whether it replaced something.
pub(super) fn file(
    place: &Place<'_>,
    entry: &Entry,
    from: &mut Reader<impl BufRead>,
) -> Result<(u64, u64, bool), Error> {
    let (file, replaced) = create(place)?;
    let mut bytes = 0;
    let mut write = |offset: u64, length: u64| -> Result<(), Error> {
        let mut at = offset;
        while at < offset + length {
            let piece = from.chunk()?;
            let take = usize::try_from(offset + length - at).unwrap_or(usize::MAX).min(piece.len());
            let wrote = file.write_at(&piece[..take], at).map_err(|error| write_error(place.path, &error))?;
            from.consume(wrote);
            at += wrote as u64;
        }
        bytes += length;
        Ok(())
    };
    match &entry.sparse {
        None => write(0, entry.size)?,
        Some(extents) => {
            extents.iter().try_for_each(|extent| write(extent.offset, extent.length))?;
            file.set_len(entry.size).map_err(|error| write_error(place.path, &error))?;
        }
    }
    let skipped = dress(place, entry, &file)?;
    Ok((bytes, skipped, replaced))
}

/// Makes a file with the content of another one.
pub(super) fn copy(place: &Place<'_>, entry: &Entry, from: &File) -> Result<bool, Error> {
    let (mut file, replaced) = create(place)?;
    std::io::copy(&mut &*from, &mut file).map_err(|error| write_error(place.path, &error))?;
    dress(place, entry, &file)?;
    Ok(replaced)
}

fn create(place: &Place<'_>) -> Result<(File, bool), Error> {
    let (fd, replaced) = replacing(place, "create", || {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&place.parent.fd, place.name, flags, Mode::from_raw_mode(0o600))
    })?;
    Ok((File::from(fd), replaced))
}

/// Owner, mode, attributes, and last the time, which all others leave alone.
fn dress(place: &Place<'_>, entry: &Entry, file: &File) -> Result<u64, Error> {
    // A new file is root's already, unless its directory gives it a group.
    let chown = entry.uid != 0 || entry.gid != 0 || place.parent.setgid;
    let skipped = attrs::apply(file.as_fd(), entry, chown)?;
    times::set(file.as_fd(), entry.mtime, place.path)?;
    Ok(skipped)
}

/// Makes or opens a directory. What was there and is no directory goes, and with it everything that
/// the layers below have there.
pub(super) fn directory(place: &Place<'_>) -> Result<(OwnedFd, bool), Error> {
    let parent = place.parent.fd.as_fd();
    let fail = |call| move |errno| Error::file(call, place.path, errno);
    match rustix::fs::mkdirat(parent, place.name, Mode::from_raw_mode(0o700)) {
        Ok(()) => return Ok((open_directory(parent, place.name).map_err(fail("open"))?, false)),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(fail("mkdir")(errno)),
    }
    match open_directory(parent, place.name) {
        Ok(existing) => return Ok((existing, false)),
        Err(Errno::NOTDIR | Errno::LOOP) => {}
        Err(errno) => return Err(fail("open")(errno)),
    }
    vacate(place)?;
    rustix::fs::mkdirat(parent, place.name, Mode::from_raw_mode(0o700)).map_err(fail("mkdir"))?;
    let made = open_directory(parent, place.name).map_err(fail("open"))?;
    attrs::set_opaque(made.as_fd(), place.path)?;
    Ok((made, true))
}

/// Opens a directory by its last name; a link is no directory.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Makes a symbolic link, a device or a FIFO; says whether it replaced something.
pub(super) fn node(place: &Place<'_>, entry: &Entry) -> Result<bool, Error> {
    let parent = place.parent.fd.as_fd();
    let kind = match entry.kind {
        EntryKind::CharDevice => FileType::CharacterDevice,
        EntryKind::BlockDevice => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let replaced = if entry.kind == EntryKind::Symlink {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(Error::entry(&entry.path, "a link that names nothing"));
        }
        replacing(place, "symlink", || rustix::fs::symlinkat(&entry.link[..], parent, place.name))?.1
    } else {
        let (major, minor) = if kind == FileType::Fifo { (0, 0) } else { entry.device };
        let device = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(entry.mode);
        replacing(place, "mknod", || rustix::fs::mknodat(parent, place.name, kind, mode, device))?.1
    };
    let (uid, gid) = attrs::owner(entry)?;
    rustix::fs::chownat(parent, place.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| Error::file("chown", place.path, errno))?;
    if entry.kind != EntryKind::Symlink {
        // Just made here as no link, in a tree that nobody else writes to.
        rustix::fs::chmodat(parent, place.name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .map_err(|errno| Error::file("chmod", place.path, errno))?;
    }
    rustix::fs::utimensat(parent, place.name, &times::stamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| Error::file("utimensat", place.path, errno))?;
    Ok(replaced)
}

/// Makes a hard link; `None` if this layer does not have the target. A link is not followed.
pub(super) fn link(place: &Place<'_>, target: BorrowedFd<'_>, name: &[u8]) -> Result<Option<bool>, Error> {
    let stat = match rustix::fs::statat(target, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(Error::file("stat", place.path, errno)),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => return Err(Error::entry(place.path, "a hard link to a directory")),
        // A whiteout: the layer says itself that the target is gone.
        FileType::CharacterDevice if stat.st_rdev == 0 => {
            return Err(Error::entry(place.path, "it is a hard link to something that does not exist"));
        }
        _ => {}
    }
    let existing = rustix::fs::statat(&place.parent.fd, place.name, AtFlags::SYMLINK_NOFOLLOW);
    if existing.is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino)) {
        return Ok(Some(false));
    }
    let (_, replaced) =
        replacing(place, "link", || rustix::fs::linkat(target, name, &place.parent.fd, place.name, AtFlags::empty()))?;
    Ok(Some(replaced))
}

/// Runs `make`, once more after removing what stands in the way.
fn replacing<T>(
    place: &Place<'_>,
    call: &'static str,
    make: impl Fn() -> rustix::io::Result<T>,
) -> Result<(T, bool), Error> {
    let fail = |errno| Error::file(call, place.path, errno);
    match make() {
        Ok(made) => Ok((made, false)),
        Err(Errno::EXIST) => {
            vacate(place)?;
            Ok((make().map_err(fail)?, true))
        }
        Err(errno) => Err(fail(errno)),
    }
}

fn write_error(path: &[u8], error: &std::io::Error) -> Error {
    Error::file("write", path, Errno::from_io_error(error).unwrap_or(Errno::IO))
}
