//! Owners, modes and extended attributes.

use std::os::fd::BorrowedFd;

use rustix::fs::{Gid, Mode, Uid, XattrFlags};
use rustix::io::Errno;

use crate::Error;
use crate::tar::{Entry, Mtime};

const OPAQUE: &str = "trusted.overlay.opaque";

/// Sets owner, mode and extended attributes by descriptor; says how many attributes were skipped.
/// ORDER: a change of owner clears setuid and capabilities, so it comes first.
pub(super) fn apply(fd: BorrowedFd<'_>, entry: &Entry, chown: bool) -> Result<u64, Error> {
    if chown {
        let (uid, gid) = owner(entry)?;
        rustix::fs::fchown(fd, Some(uid), Some(gid)).map_err(|errno| Error::file("chown", &entry.path, errno))?;
    }
    chmod(fd, entry.mode, &entry.path)?;
    let mut skipped = 0;
    for (name, value) in &entry.xattrs {
        if !allowed(name) {
            skipped += 1;
            continue;
        }
        match rustix::fs::fsetxattr(fd, &name[..], value, XattrFlags::empty()) {
            Ok(()) => {}
            // The file system has none, or a container's layer may be unpacked without them.
            Err(Errno::OPNOTSUPP) => skipped += 1,
            Err(errno) => return Err(Error::file("setxattr", &entry.path, errno)),
        }
    }
    Ok(skipped)
}

pub(super) fn chmod(fd: BorrowedFd<'_>, mode: u32, path: &[u8]) -> Result<(), Error> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)).map_err(|errno| Error::file("chmod", path, errno))
}

/// The owner; -1 means "leave it" to the kernel and is no id.
pub(super) fn owner(entry: &Entry) -> Result<(Uid, Gid), Error> {
    if entry.uid == u32::MAX || entry.gid == u32::MAX {
        return Err(Error::entry(&entry.path, "its owner is no valid id"));
    }
    Ok((Uid::from_raw(entry.uid), Gid::from_raw(entry.gid)))
}

/// Attributes that a layer may set. Everything else belongs to the host: overlay's own marks, labels.
pub(crate) fn allowed(name: &[u8]) -> bool {
    let user = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    user || matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}

/// Nothing of the layers below shows through this directory.
pub(super) fn set_opaque(fd: BorrowedFd<'_>, path: &[u8]) -> Result<(), Error> {
    rustix::fs::fsetxattr(fd, OPAQUE, b"y", XattrFlags::empty()).map_err(|errno| Error::file("setxattr", path, errno))
}

/// Whether [`set_opaque`] was done.
pub(crate) fn is_opaque(fd: BorrowedFd<'_>) -> bool {
    let mut value = [0; 1];
    matches!(rustix::fs::fgetxattr(fd, OPAQUE, &mut value), Ok(1)) && value == *b"y"
}

/// Owner, mode and time of a directory of a lower layer.
pub(super) fn copy_directory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    path: &[u8],
    defer: impl FnOnce(Mtime) -> Result<(), Error>,
) -> Result<(), Error> {
    let stat = rustix::fs::fstat(from).map_err(|errno| Error::file("stat", path, errno))?;
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
        .map_err(|errno| Error::file("chown", path, errno))?;
    chmod(to, stat.st_mode & 0o7777, path)?;
    defer(Mtime { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 })
}
