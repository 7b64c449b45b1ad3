//! [`Dir`]: a cgroup directory, and the only place that reads and writes its files.
//!
//! Names given here are built from constants, checked parents and ids; never from raw user input.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::Error;

/// An open cgroup directory and where it is, for messages.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

impl Dir {
    /// Opens a directory by its absolute path (a mount point).
    pub fn open(path: &Path) -> Result<Self, Error> {
        let open = rustix::fs::open(path, DIRECTORY, Mode::empty());
        match open {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(errno) => Err(Error::Open { path: path.to_owned(), errno }),
        }
    }

    /// Opens a directory below.
    pub fn child(&self, name: impl AsRef<Path>) -> Result<Self, Error> {
        let path = self.at(&name);
        match rustix::fs::openat(&self.fd, name.as_ref(), DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            Err(Errno::NOENT) => Err(Error::Missing { path }),
            Err(errno) => Err(Error::Open { path, errno }),
        }
    }

    /// Makes a directory; `false` if it was there.
    pub fn make(&self, name: &str) -> Result<bool, Error> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(Error::Make { path: self.at(name), errno }),
        }
    }

    /// Removes a directory; the bare errno, since the caller retries.
    pub fn remove(&self, name: impl AsRef<Path>) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR)
    }

    /// Renames a directory inside this one (version 1 only).
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to)
    }

    /// Whether the name exists.
    pub fn has(&self, name: impl AsRef<Path>) -> bool {
        rustix::fs::accessat(&self.fd, name.as_ref(), rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Opens a file below for reading and writing events or joining.
    pub fn file(&self, name: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd, Error> {
        rustix::fs::openat(&self.fd, name.as_ref(), flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| Error::Open { path: self.at(name), errno })
    }

    /// Writes each value with one call, as the kernel wants it.
    pub fn write<V: AsRef<str>>(&self, name: impl AsRef<Path>, values: &[V]) -> Result<(), Error> {
        let fd = self.file(&name, OFlags::WRONLY)?;
        for value in values {
            let value = value.as_ref();
            retry(|| rustix::io::write(&fd, value.as_bytes())).map_err(|errno| Error::Write {
                path: self.at(&name),
                value: value.to_owned(),
                errno,
            })?;
        }
        Ok(())
    }

    /// The whole file.
    pub fn read(&self, name: impl AsRef<Path>) -> Result<String, Error> {
        let fd = self.file(&name, OFlags::RDONLY)?;
        let failed = |errno| Error::Read { path: self.at(&name), errno };
        let mut bytes = vec![0; 4096];
        let mut filled = 0;
        loop {
            if filled == bytes.len() {
                bytes.resize(filled * 2, 0);
            }
            match retry(|| rustix::io::read(&fd, &mut bytes[filled..])).map_err(failed)? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file that the kernel prints in one piece.
    pub fn read_value(&self, name: impl AsRef<Path>) -> Result<String, Error> {
        let fd = self.file(&name, OFlags::RDONLY)?;
        let mut bytes = [0; 4096];
        let n =
            retry(|| rustix::io::read(&fd, &mut bytes)).map_err(|errno| Error::Read { path: self.at(&name), errno })?;
        Ok(String::from_utf8_lossy(&bytes[..n]).into_owned())
    }

    /// The whole file, or `None` where the kernel does not have it.
    pub fn read_if_any(&self, name: impl AsRef<Path>) -> Result<Option<String>, Error> {
        match self.read(name) {
            Ok(text) => Ok(Some(text)),
            Err(Error::Open { errno: Errno::NOENT, .. }) => Ok(None),
            // KERNEL: io.stat and hugetlb files may exist and answer EOPNOTSUPP.
            Err(Error::Read { errno: Errno::OPNOTSUPP, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Names of the directories inside `name` (`.` for this one).
    pub fn directories(&self, name: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
        let dir = self.child(&name)?;
        let failed = |errno| Error::Read { path: dir.path.clone(), errno };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&dir.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if entry.file_type() == rustix::fs::FileType::Directory && name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        Ok(names)
    }

    /// The absolute path of a name below, for messages.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Where this directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the descriptor away.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// The first number in a file's text; `max` and anything else is `None`.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Lines of `key value`.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

/// The value of one key in lines of `key value`.
pub(crate) fn value_of(text: &str, key: &str) -> Option<u64> {
    pairs(text).find(|(k, _)| *k == key).map(|(_, v)| v)
}
