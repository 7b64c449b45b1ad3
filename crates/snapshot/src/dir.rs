//! Directories by descriptor: opening, making, listing.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use crate::{Error, Result};

/// Opens `name` in `parent` for reading; the last component is not followed.
pub(crate) fn open(parent: impl AsFd, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(Error::file("open", name))
}

/// Opens `name` in `parent` as a place only; the last component is not followed.
pub(crate) fn open_path(parent: impl AsFd, name: &str) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Makes `name` unless it is there; says whether it was made.
pub(crate) fn make(parent: impl AsFd, name: &str, mode: u32) -> Result<bool> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(Error::file("make", name)(errno)),
    }
}

/// Makes and opens.
pub(crate) fn ensure(parent: impl AsFd, name: &str, mode: u32) -> Result<OwnedFd> {
    make(&parent, name, mode)?;
    open(parent, name)
}

/// Gives the directory `name` the owner and mode of `like`.
pub(crate) fn dress(parent: impl AsFd, name: &str, like: &Stat) -> Result<()> {
    if like.st_uid != 0 || like.st_gid != 0 {
        let (uid, gid) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::file("chown", name))?;
    }
    rustix::fs::chmodat(parent, name, Mode::from_raw_mode(like.st_mode & 0o7777), AtFlags::empty())
        .map_err(Error::file("chmod", name))
}

/// Names in a directory, without `.` and `..`; names that are not UTF-8 are none of ours.
pub(crate) fn names(dir: &OwnedFd, what: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).map_err(Error::file("list", what))? {
        let entry = entry.map_err(Error::file("list", what))?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}
