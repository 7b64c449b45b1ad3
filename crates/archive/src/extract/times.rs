//! Directories' times, remembered until nothing changes them any more. Bounded memory: beyond a
//! mebibyte they wait in an unnamed file beside the tree.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::parents::resolve;
use crate::Error;
use crate::tar::Mtime;

const IN_MEMORY: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Times {
    /// Records: seconds (8), nanoseconds (4), length of the name (4), the name.
    recent: Vec<u8>,
    spilled: Option<File>,
}

impl Times {
    /// Remembers the time of the directory at `path` beneath `root`.
    pub fn defer(&mut self, root: BorrowedFd<'_>, path: &[u8], mtime: Mtime) -> Result<(), Error> {
        self.recent.extend_from_slice(&mtime.secs.to_le_bytes());
        self.recent.extend_from_slice(&mtime.nanos.to_le_bytes());
        self.recent.extend_from_slice(&(path.len() as u32).to_le_bytes());
        self.recent.extend_from_slice(path);
        if self.recent.len() > IN_MEMORY { self.spill(root) } else { Ok(()) }
    }

    fn spill(&mut self, root: BorrowedFd<'_>) -> Result<(), Error> {
        let mut file = match self.spilled.take() {
            Some(file) => file,
            None => {
                let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(root, ".", flags, Mode::from_raw_mode(0o600));
                File::from(fd.map_err(|errno| Error::file("open a temporary file in", b".", errno))?)
            }
        };
        file.write_all(&self.recent).map_err(Error::Write)?;
        self.recent.clear();
        self.spilled = Some(file);
        Ok(())
    }

    /// Sets all of them, in the order in which they came.
    pub fn apply(mut self, root: BorrowedFd<'_>) -> Result<(), Error> {
        if let Some(mut file) = self.spilled.take() {
            file.rewind().map_err(Error::Write)?;
            replay(std::io::BufReader::new(file), root)?;
        }
        replay(&self.recent[..], root)
    }
}

fn replay(mut from: impl Read, root: BorrowedFd<'_>) -> Result<(), Error> {
    let mut head = [0; 16];
    let mut path = Vec::new();
    while fill(&mut from, &mut head)? {
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, l0, l1, l2, l3] = head;
        let secs = i64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let nanos = u32::from_le_bytes([n0, n1, n2, n3]);
        path.resize(u32::from_le_bytes([l0, l1, l2, l3]) as usize, 0);
        from.read_exact(&mut path).map_err(Error::Read)?;
        match resolve(root, &path) {
            Ok(fd) => set(fd.as_fd(), Mtime { secs, nanos }, &path)?,
            // A later entry took its place.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(Error::file("open", &path, errno)),
        }
    }
    Ok(())
}

/// `false` at the end.
fn fill(from: &mut impl Read, head: &mut [u8; 16]) -> Result<bool, Error> {
    match from.read_exact(head) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::Read(error)),
    }
}

/// Sets a time by descriptor.
pub(super) fn set(fd: BorrowedFd<'_>, mtime: Mtime, path: &[u8]) -> Result<(), Error> {
    rustix::fs::futimens(fd, &stamps(mtime)).map_err(|errno| Error::file("utimensat", path, errno))
}

/// The time of last access stays.
pub(super) fn stamps(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() },
    }
}
