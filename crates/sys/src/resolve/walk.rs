//! The walk that stands in for `openat2`: one component at a time, `O_NOFOLLOW`, links followed by
//! hand. It keeps the descriptors of the directories above, so that `..` is a step back on that
//! stack and can never pass the root, whatever is renamed meanwhile.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Link expansions before ELOOP, as the kernel.
const MAX_LINKS: u32 = 40;

pub(super) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let mut stack: Vec<OwnedFd> = Vec::new();
    let mut todo: VecDeque<OsString> = components(path);
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            stack.pop();
            continue;
        }
        let here = stack.last().map_or(root, |fd| fd.as_fd());
        let last = todo.is_empty();
        let stat = match rustix::fs::statat(here, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if last && flags.contains(OFlags::CREATE) => {
                return rustix::fs::openat(here, &name, flags | OFlags::NOFOLLOW | OFlags::EXCL, mode);
            }
            Err(errno) => return Err(errno),
        };
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if is_link && !(last && flags.contains(OFlags::NOFOLLOW)) {
            links += 1;
            refuse_magic(here, links)?;
            let target = rustix::fs::readlinkat(here, &name, Vec::new())?;
            let target = Path::new(OsStr::from_bytes(target.as_bytes())).to_owned();
            if target.is_absolute() {
                stack.clear();
            }
            for part in components(&target).into_iter().rev() {
                todo.push_front(part);
            }
            continue;
        }
        if last {
            return rustix::fs::openat(here, &name, flags | OFlags::NOFOLLOW, mode);
        }
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        stack.push(rustix::fs::openat(here, &name, directory, Mode::empty())?);
    }
    let here = stack.last().map_or(root, |fd| fd.as_fd());
    rustix::fs::openat(here, ".", flags, mode)
}

/// Links of procfs may be magic ones, which jump anywhere: none is followed there.
fn refuse_magic(directory: BorrowedFd<'_>, links: u32) -> rustix::io::Result<()> {
    let magic = rustix::fs::fstatfs(directory)?.f_type;
    if links > MAX_LINKS || magic == crate::proc::PROC_SUPER_MAGIC {
        return Err(Errno::LOOP);
    }
    Ok(())
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
pub(super) use open as open_for_test;
