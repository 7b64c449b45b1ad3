//! Resolving paths that an image, a volume or a client controls: beneath a root descriptor, without
//! magic links, and used as a descriptor from then on.
//!
//! KERNEL(5.6): `openat2`. Where a filter answers ENOSYS the path is walked step by step with
//! `O_NOFOLLOW`, links are read and followed by us, and `..` never leaves the root.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Named, Result};

/// Opens `path` beneath `root`: absolute links and `..` stay inside, magic links are refused.
/// `O_CLOEXEC` is added.
pub fn open_in_root(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd> {
    open_in_root_mode(root, path, flags, Mode::empty())
}

/// As [`open_in_root`], with the mode of a file that `O_CREAT` makes.
pub fn open_in_root_mode(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref();
    let flags = flags | OFlags::CLOEXEC;
    raw_open(root.as_fd(), path, flags, mode).named(|| format!("openat2({path:?}, {flags:?})"))
}

/// Opens `path` beneath `root` if no part of it is a link. `None`: one is, nothing is there, or the kernel cannot tell.
pub fn open_direct(root: impl AsFd, path: &Path, flags: OFlags) -> Option<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).ok()
}

fn raw_open(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let name = if path.as_os_str().is_empty() { Path::new("/") } else { path };
    // A rename somewhere during the walk makes the kernel answer EAGAIN: the walk was not proven.
    for _ in 0..128 {
        match rustix::fs::openat2(root, name, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS) => return walk::open(root, name, flags, mode),
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens the directory at `path` beneath `root`, making what is missing of it with `mode`. What an
/// existing link points at is made too, beneath the root.
pub fn mkdir_in_root(root: impl AsFd, path: impl AsRef<Path>, mode: u32) -> Result<OwnedFd> {
    let (root, path) = (root.as_fd(), path.as_ref());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let describe = || format!("mkdir({path:?}, {mode:#o})");
    match raw_open(root, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return result.named(describe),
    }
    if let Some(made) = mkdir_last(root, path, mode) {
        return Ok(made);
    }
    let mut made = PathBuf::from("/");
    let mut current = raw_open(root, &made, flags, Mode::empty()).named(describe)?;
    for component in path.components() {
        match component {
            Component::Normal(name) => made.push(name),
            Component::ParentDir => _ = made.pop(),
            _ => continue,
        }
        current = match raw_open(root, &made, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&current, component.as_os_str(), Mode::from_raw_mode(mode)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno).named(describe),
                }
                match raw_open(root, &made, flags, Mode::empty()) {
                    // A link that points at nothing: make what it points at.
                    Err(Errno::NOENT) => make_link_target(root, &made, mode)?,
                    result => result.named(describe)?,
                }
            }
            result => result.named(describe)?,
        };
    }
    Ok(current)
}

/// The common case in few calls: only the last component is missing. `None`: not that case.
fn mkdir_last(root: BorrowedFd<'_>, path: &Path, mode: u32) -> Option<OwnedFd> {
    let (parent, name) = split(root, path).ok()?;
    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode)).ok()?;
    raw_open(root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// `path` is a dangling link: makes its target, beneath the root, and opens it.
fn make_link_target(root: BorrowedFd<'_>, path: &Path, mode: u32) -> Result<OwnedFd> {
    let describe = || format!("mkdir({path:?}, {mode:#o})");
    let mut at = path.to_owned();
    for _ in 0..40 {
        let (parent, name) = match split(root, &at) {
            Err(Errno::NOENT) => return mkdir_in_root(root, &at, mode),
            result => result.named(describe)?,
        };
        let target = match rustix::fs::readlinkat(&parent, name, Vec::new()) {
            Ok(target) => PathBuf::from(OsStr::from_bytes(target.as_bytes())),
            Err(Errno::NOENT | Errno::INVAL) => return mkdir_in_root(root, &at, mode),
            Err(errno) => return Err(errno).named(describe),
        };
        at = lexical(&at.parent().unwrap_or(Path::new("/")).join(target));
    }
    Err(Errno::LOOP).named(describe)
}

/// Opens the regular file (or whatever is there) at `path` beneath `root` with `O_PATH`, making an
/// empty one with `mode`, and its parents (0755), if nothing is there.
pub fn mkfile_in_root(root: impl AsFd, path: impl AsRef<Path>, mode: u32) -> Result<OwnedFd> {
    let (root, path) = (root.as_fd(), path.as_ref());
    let describe = || format!("create({path:?}, {mode:#o})");
    match raw_open(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return result.named(describe),
    }
    if let Some(parent) = path.parent() {
        mkdir_in_root(root, parent, 0o755)?;
    }
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    raw_open(root, path, flags, Mode::from_raw_mode(mode)).named(describe)?;
    raw_open(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).named(describe)
}

/// The directory that holds `path`'s last component, opened beneath `root` (made with 0755 where
/// missing), and that component. Links in the last component are not followed.
pub fn parent_in_root(root: impl AsFd, path: &Path) -> Result<(OwnedFd, &OsStr)> {
    let Some(name) = path.file_name() else {
        return Err(Errno::INVAL).named(|| format!("open the parent of {path:?}"));
    };
    let parent = mkdir_in_root(root, path.parent().unwrap_or(Path::new("/")), 0o755)?;
    Ok((parent, name))
}

fn split<'a>(root: BorrowedFd<'_>, path: &'a Path) -> rustix::io::Result<(OwnedFd, &'a OsStr)> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((raw_open(root, parent, flags, Mode::empty())?, name))
}

/// `..` and `.` taken out, by text, never above `/`.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => _ = out.pop(),
            _ => {}
        }
    }
    out
}

mod walk;

#[cfg(test)]
mod tests;
