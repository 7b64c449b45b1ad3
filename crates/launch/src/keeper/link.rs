//! The engine's end of the link: blocking, usable from one sending and one receiving thread at once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hull_types::{Fault, Kind};

use super::frame::{FrameError, Incoming, Outgoing};
use super::{KEEPER_FD, Reply, Request};

/// Between attempts when the kernel lacks memory.
const PAUSE: Duration = Duration::from_millis(5);
/// How often a request is tried then.
const ATTEMPTS: u32 = 40;

/// The link to the keeper.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    sending: Mutex<()>,
    incoming: Mutex<Incoming>,
}

/// Why the link does not work.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LinkError(#[from] FrameError);

impl LinkError {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self.0 {
            FrameError::Closed | FrameError::Busy => Kind::Unavailable,
            FrameError::Socket(_) | FrameError::Malformed => Kind::Internal,
        }
    }

    /// Whether the keeper is gone.
    pub fn is_closed(&self) -> bool {
        matches!(&self.0, FrameError::Closed)
            || matches!(&self.0, FrameError::Socket(e) if e.errno == rustix::io::Errno::PIPE)
    }
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl Link {
    /// The link that the keeper gave this process (`HULL_KEEPER_FD`). `None`: it gave none.
    pub fn from_env() -> Result<Option<Self>, LinkError> {
        let socket = hull_sys::fds::adopt_from_env(KEEPER_FD).map_err(FrameError::Socket)?;
        Ok(socket.map(Self::new))
    }

    /// A link over a connected stream socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, sending: Mutex::new(()), incoming: Mutex::new(Incoming::with_reserve()) }
    }

    /// Sends a request with descriptors.
    pub fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        let mut frame = Outgoing::new(request, fds.to_vec());
        let _one_at_a_time = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut attempts = 0;
        while !frame.send(self.socket.as_fd()).map_err(FrameError::Socket)? {
            attempts += 1;
            // ORDER: half a frame would break the stream: once begun, it is brought to its end.
            if frame.is_unsent() && attempts > ATTEMPTS {
                return Err(FrameError::Busy.into());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The next reply and its descriptors, if the socket has one now. Waits only for the rest of a
    /// reply that has begun to arrive.
    pub fn try_recv(&self) -> Result<Option<(Reply, Vec<OwnedFd>)>, LinkError> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((reply, fds)) = incoming.take()? {
                return Ok(Some((reply, fds.into_vec())));
            }
            if incoming.is_empty() && !readable(self.socket.as_fd()) {
                return Ok(None);
            }
            if !incoming.fill(self.socket.as_fd())? {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// A duplicate of the socket, to wait on.
    pub fn watch(&self) -> std::io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// Waits for the next reply and its descriptors.
    pub fn recv(&self) -> Result<(Reply, Vec<OwnedFd>), LinkError> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((reply, fds)) = incoming.take()? {
                return Ok((reply, fds.into_vec()));
            }
            if !incoming.fill(self.socket.as_fd())? {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn readable(socket: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let nothing = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&nothing)), Ok(1..))
}
