//! Removing a tree that strangers filled: any depth, bounded descriptors and stack, no link followed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::Error;

/// Levels that are descended before a deeper directory is moved up.
const LEVELS: usize = 32;

/// Removes `name` in `parent`, whatever it is. A missing name is no error. Directories below the 32nd
/// level are first renamed into `parent`, so no other program may use it for names with `.hull-rm-`.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Error> {
    let mut moved = 0_u64;
    remove(parent, parent, name, 0, &mut moved)?;
    // Each of these may move further ones up.
    let mut next = 0;
    while next < moved {
        remove(parent, parent, &stray(next), 0, &mut moved)?;
        next += 1;
    }
    Ok(())
}

fn stray(number: u64) -> Vec<u8> {
    format!(".hull-rm-{}-{number}", std::process::id()).into_bytes()
}

fn remove(
    top: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    name: &[u8],
    level: usize,
    moved: &mut u64,
) -> Result<(), Error> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(Error::file("unlink", name, errno)),
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(errno) => return Err(Error::file("rmdir", name, errno)),
    }
    if level >= LEVELS {
        let to = stray(*moved);
        rustix::fs::renameat_with(parent, name, top, &to[..], RenameFlags::NOREPLACE)
            .map_err(|errno| Error::file("rename", name, errno))?;
        *moved += 1;
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(parent, name, flags, Mode::empty());
    let dir = open().map_err(|errno| Error::file("open", name, errno))?;
    empty(top, &dir, name, level, moved)?;
    drop(dir);
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::file("rmdir", name, errno)),
    }
}

fn empty(top: BorrowedFd<'_>, dir: &OwnedFd, name: &[u8], level: usize, moved: &mut u64) -> Result<(), Error> {
    let fail = |errno| Error::file("readdir", name, errno);
    for entry in Dir::read_from(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let child = entry.file_name().to_bytes();
        if child == b"." || child == b".." {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match rustix::fs::unlinkat(dir, child, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR) => {}
                Err(errno) => return Err(Error::file("unlink", child, errno)),
            }
        }
        remove(top, dir.as_fd(), child, level + 1, moved)?;
    }
    Ok(())
}
