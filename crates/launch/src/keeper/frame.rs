//! Frames on a stream socket: `length`, `number of descriptors` (both u32, little endian), payload.
//!
//! Descriptors travel with the first bytes of their frame, at most [`fdpass::MAX_FDS`] per message,
//! so a frame with more is sent in several pieces. Whoever reads gathers descriptors in order; a
//! frame is whole when its bytes are, and then takes as many of them as it says. Lack of descriptors
//! or of memory never breaks the stream: a frame whose descriptors are lost arrives without them, and
//! what cannot be sent or received now is tried again.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::fdpass;
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest payload: a plan with `ARG_MAX` of arguments and environment fits easily.
const MAX_PAYLOAD: usize = 32 << 20;
/// The most descriptors in a frame: a listing of many thousand containers.
const MAX_FDS: usize = 1 << 20;
const HEADER: usize = 8;

/// A frame that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] hull_sys::Error),
    /// The kernel has no memory or no descriptors for a message.
    #[error("the keeper's link takes nothing now: the machine lacks memory or descriptors")]
    Busy,
    /// The peer is gone.
    #[error("the other end of the keeper's link is gone")]
    Closed,
    /// Not a frame of this protocol.
    #[error("a malformed frame on the keeper's link")]
    Malformed,
}

/// Whether the kernel lacks something that it may have again in a moment.
fn passes(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS | Errno::TOOMANYREFS | Errno::MFILE | Errno::NFILE)
}

/// Encodes a message into a frame that carries `fds` descriptors.
pub(crate) fn encode(message: &impl Serialize, fds: usize) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame = postcard::to_extend(message, frame).expect("plain data encodes into memory");
    let length = (frame.len() - HEADER) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..HEADER].copy_from_slice(&(fds as u32).to_le_bytes());
    frame
}

/// The descriptors of a frame.
#[derive(Debug)]
pub(crate) enum Descriptors {
    /// As many as it says.
    All(Vec<OwnedFd>),
    /// This process could open no more.
    Lost,
}

impl Descriptors {
    /// Those that are there.
    pub(crate) fn into_vec(self) -> Vec<OwnedFd> {
        match self {
            Self::All(fds) => fds,
            Self::Lost => Vec::new(),
        }
    }
}

/// A frame on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing<F> {
    bytes: Vec<u8>,
    sent: usize,
    fds: VecDeque<F>,
}

impl<F: AsFd> Outgoing<F> {
    pub(crate) fn new(message: &impl Serialize, fds: Vec<F>) -> Self {
        Self { bytes: encode(message, fds.len()), sent: 0, fds: fds.into() }
    }

    /// Whether nothing of it is on its way yet.
    pub(crate) fn is_unsent(&self) -> bool {
        self.sent == 0
    }

    /// Sends what the socket takes. `Ok(false)`: it is full, or the kernel lacks memory.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>) -> Result<bool, hull_sys::Error> {
        while self.sent < self.bytes.len() {
            let batch = self.fds.len().min(fdpass::MAX_FDS);
            let fds: Vec<_> = self.fds.iter().take(batch).map(AsFd::as_fd).collect();
            // One byte of the header bears each full batch, so that the payload comes after them all.
            let end = if self.fds.len() > batch { self.sent + 1 } else { self.bytes.len() };
            match fdpass::send(socket, &self.bytes[self.sent..end], &fds) {
                Err(error) if passes(error.errno) => return Ok(false),
                sent => self.sent += sent?,
            }
            self.fds.drain(..batch);
        }
        Ok(true)
    }
}

/// Gathers frames from a stream.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// `None`: here some were lost.
    fds: VecDeque<Option<OwnedFd>>,
    reserve: Option<Vec<OwnedFd>>,
}

/// What one reply of a launch brings: a pidfd and a terminal's master, and some room.
const RESERVE: usize = 4;

impl Incoming {
    /// One that keeps descriptor numbers in reserve. A process that has used up all it may have would
    /// otherwise lose the descriptors of the message it reads, and with them the link.
    pub(crate) fn with_reserve() -> Self {
        Self { reserve: Some(Vec::with_capacity(RESERVE)), ..Self::default() }
    }

    fn refill_reserve(&mut self, socket: BorrowedFd<'_>) {
        let Some(reserve) = &mut self.reserve else { return };
        while reserve.len() < RESERVE {
            let Ok(spare) = rustix::io::fcntl_dupfd_cloexec(socket, 3) else { return };
            reserve.push(spare);
        }
    }

    /// Reads once. `Ok(false)`: nothing there now, or the kernel lacks memory.
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<bool, FrameError> {
        let start = self.bytes.len();
        let room = self.missing().clamp(4096, 1 << 20);
        self.make_room(start + room);
        self.bytes.resize(start + room, 0);
        if let Some(reserve) = &mut self.reserve {
            reserve.clear();
        }
        let received = fdpass::recv(socket, &mut self.bytes[start..]);
        self.refill_reserve(socket);
        let bytes = received.as_ref().map_or(0, |r| r.bytes);
        self.bytes.truncate(start + bytes);
        match received {
            Ok(received) if received.bytes == 0 => Err(FrameError::Closed),
            Ok(received) if received.lost => {
                self.fds.push_back(None);
                Ok(true)
            }
            Ok(received) => {
                self.fds.extend(received.fds.into_iter().map(Some));
                Ok(true)
            }
            Err(error) if passes(error.errno) => Ok(false),
            Err(error) if error.errno == Errno::CONNRESET => Err(FrameError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the first whole frame, with all its descriptors or, if some were lost, with none.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Descriptors)>, FrameError> {
        let Some((length, fds)) = self.header() else {
            return Ok(None);
        };
        if length > MAX_PAYLOAD || fds > MAX_FDS {
            return Err(FrameError::Malformed);
        }
        if self.bytes.len() < HEADER + length {
            return Ok(None);
        }
        let descriptors = self.take_descriptors(fds)?;
        let message = postcard::from_bytes(&self.bytes[HEADER..HEADER + length]).map_err(|_| FrameError::Malformed)?;
        self.forget(HEADER + length);
        Ok(Some((message, descriptors)))
    }

    fn take_descriptors(&mut self, count: usize) -> Result<Descriptors, FrameError> {
        let mut taken = Vec::with_capacity(count.min(fdpass::MAX_FDS));
        while taken.len() < count {
            match self.fds.pop_front() {
                Some(Some(fd)) => taken.push(fd),
                // ORDER: what belongs to one message is lost together, and a larger frame than one message
                // carries cannot be told from the next one.
                Some(None) if count <= fdpass::MAX_FDS => return Ok(Descriptors::Lost),
                Some(None) | None => return Err(FrameError::Malformed),
            }
        }
        Ok(Descriptors::All(taken))
    }

    /// Grows without leaving a copy behind in freed memory: see [`Self::forget`].
    fn make_room(&mut self, size: usize) {
        if self.bytes.capacity() < size {
            let mut bigger = Vec::with_capacity(size);
            bigger.extend_from_slice(&self.bytes);
            self.bytes.fill(0);
            self.bytes = bigger;
        }
    }

    /// Drops the first bytes. A plan bears secrets (its environment): they are overwritten, since every
    /// child of the keeper gets a copy of its memory, freed or not.
    fn forget(&mut self, length: usize) {
        let rest = self.bytes.len() - length;
        self.bytes.copy_within(length.., 0);
        self.bytes[rest..].fill(0);
        self.bytes.truncate(rest);
        if self.bytes.is_empty() && self.bytes.capacity() > 64 << 10 {
            self.bytes = Vec::new();
        }
    }

    /// Whether nothing is half read.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.fds.is_empty()
    }

    fn header(&self) -> Option<(usize, usize)> {
        let word = |at: usize| {
            let bytes = self.bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
        };
        Some((word(0)?, word(4)?))
    }

    fn missing(&self) -> usize {
        self.header().map_or(HEADER, |(length, _)| (HEADER + length).saturating_sub(self.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn frames_arrive_whole_and_with_their_descriptors() {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let cases = [("short", 0), ("with one", 1), ("with many", 600), ("none again", 0)];
        let writer = std::thread::spawn(move || {
            for (text, fds) in cases {
                let text = text.repeat(5000);
                let fds = (0..fds).map(|_| a.try_clone().unwrap()).collect();
                assert!(Outgoing::new(&text, fds).send(a.as_fd()).unwrap());
            }
        });
        let mut incoming = Incoming::default();
        for (text, fds) in cases {
            let (got, got_fds) = loop {
                match incoming.take::<String>().unwrap() {
                    Some(frame) => break frame,
                    None => assert!(incoming.fill(b.as_fd()).unwrap()),
                }
            };
            assert_eq!((got, got_fds.into_vec().len()), (text.repeat(5000), fds));
        }
        writer.join().unwrap();
        assert!(matches!(incoming.fill(b.as_fd()), Err(FrameError::Closed)));
        assert!(incoming.is_empty());
    }

    #[test]
    fn a_malformed_frame_is_refused() {
        for frame in [&[0xff; 64][..], &[1, 0, 0, 0, 1, 0, 0, 0, 7], &[1, 0, 0, 0, 0, 0, 0, 0, 9]] {
            let mut incoming = Incoming { bytes: frame.to_vec(), ..Incoming::default() };
            assert!(matches!(incoming.take::<String>(), Err(FrameError::Malformed)), "{frame:?}");
        }
    }
}
