//! stdout or stderr as the end of a queue that never blocks the loop.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

/// At most this many bytes are written to a pipe or terminal that said it can take some.
const STEP: usize = 4096;

/// What became of the reader behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}

/// One descriptor with the bytes that wait for it.
#[derive(Debug)]
pub(crate) struct Outlet<'a> {
    fd: BorrowedFd<'a>,
    /// Regular files and `/dev/null` never block.
    direct: bool,
    queue: Vec<u8>,
    done: usize,
    /// Writing failed for another reason than a reader that went away: bytes are dropped.
    closed: bool,
}

impl<'a> Outlet<'a> {
    pub(crate) fn new(fd: BorrowedFd<'a>) -> Self {
        let kind = fstat(fd).map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode));
        Self { fd, direct: kind == FileType::RegularFile, queue: Vec::new(), done: 0, closed: false }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'a> {
        self.fd
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.queue.extend_from_slice(bytes);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.done == self.queue.len()
    }

    /// Writes some of the queue; call it when the descriptor is writable.
    pub(crate) fn write_some(&mut self) -> Reader {
        while !self.is_empty() {
            let rest = &self.queue[self.done..];
            let step = if self.direct { rest } else { &rest[..rest.len().min(STEP)] };
            match rustix::io::write(self.fd, step) {
                Ok(count) => self.done += count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(Errno::PIPE) => return Reader::Gone,
                Err(_) => {
                    self.closed = true;
                    self.done = self.queue.len();
                }
            }
            if !self.direct {
                break;
            }
        }
        if self.is_empty() {
            self.queue.clear();
            self.done = 0;
        }
        Reader::There
    }
}
