//! One client's connection: what has arrived, and whether the client is still there.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::body::Decoder;
use super::head::{self, Head, HeadError};

/// How long a request may take to arrive once it has begun.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a document's body may pause.
pub(crate) const DOCUMENT: Pace = Pace { pause: Duration::from_secs(60), room: 64 * 1024 };
/// How long an archive may pause: it may come from a pipeline that thinks.
pub(crate) const UPLOAD: Pace = Pace { pause: Duration::from_secs(3600), room: 256 * 1024 };
/// How often a client that has shut down its writing side is asked whether it still reads.
const GONE_CHECK: Duration = Duration::from_millis(500);
const READ: usize = 8 * 1024;
/// How much may arrive ahead while an answer is being written.
const AHEAD: usize = 64 * 1024;

/// How a body is read.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// How long it may pause.
    pub pause: Duration,
    /// How much is taken at once.
    pub room: usize,
}

/// A stream and what has arrived on it.
pub(crate) struct Conn {
    pub stream: UnixStream,
    pub input: BytesMut,
    /// The process at the other end, if it can be seen from here.
    pub peer: Option<i32>,
}

/// Why there is no next request.
pub(crate) enum Stop {
    /// The client is done, or too slow, or gone.
    Closed,
    /// The client gets this answer, and then the connection ends.
    Refused(HeadError),
}

impl Conn {
    pub fn new(stream: UnixStream) -> Self {
        let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
        Self { stream, input: BytesMut::new(), peer }
    }

    /// Reads once more; 0 is the end.
    async fn fill(&mut self) -> io::Result<usize> {
        self.input.reserve(READ);
        read(&self.stream, &mut self.input).await
    }

    /// The next request's head.
    pub async fn next_head(&mut self) -> Result<Head, Stop> {
        if self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = BytesMut::new();
            if self.stream.readable().await.is_err() || !matches!(self.fill().await, Ok(1..)) {
                return Err(Stop::Closed);
            }
        }
        match timeout(HEAD_TIME, self.complete_head()).await {
            Ok(result) => result,
            Err(_) => Err(Stop::Closed),
        }
    }

    async fn complete_head(&mut self) -> Result<Head, Stop> {
        loop {
            if let Some((head, used)) = head::parse(&self.input).map_err(Stop::Refused)? {
                let _ = self.input.split_to(used);
                return Ok(head);
            }
            if !matches!(self.fill().await, Ok(1..)) {
                return Err(Stop::Closed);
            }
        }
    }

    /// Writes all of it.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        write_all(&self.stream, bytes).await
    }

    /// Says that nothing more comes, and takes what the client still sent, so that it reads an end and not an error.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
        let mut sink = [0; 4096];
        while matches!(self.stream.try_read(&mut sink), Ok(1..)) {}
    }
}

/// Returns when the client has closed its end; what it sends meanwhile is kept for the next request.
pub(crate) async fn gone(stream: &UnixStream, input: &mut BytesMut) {
    while input.len() < AHEAD {
        // A client that only listens costs no buffer.
        if stream.readable().await.is_err() {
            return;
        }
        input.reserve(READ);
        match read(stream, input).await {
            Ok(1..) => {}
            Ok(0) => return hung_up(stream).await,
            Err(_) => return,
        }
    }
    std::future::pending().await
}

/// Returns when the peer, which has shut down its writing side, has closed the other one too.
pub(crate) async fn hung_up(stream: &UnixStream) {
    loop {
        let mut fds = [PollFd::new(stream, PollFlags::empty())];
        let polled = poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }));
        if polled.is_err() || fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        tokio::time::sleep(GONE_CHECK).await;
    }
}

/// Reads what is there, or waits for it; 0 is the end. Two tasks of one connection may read and write at once.
pub(crate) async fn read(stream: &UnixStream, into: &mut BytesMut) -> io::Result<usize> {
    loop {
        match stream.try_read_buf(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            other => return other,
        }
    }
}

/// Writes all of it.
pub(crate) async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next_piece(
    stream: &UnixStream,
    input: &mut BytesMut,
    decoder: &mut Decoder,
    pace: Pace,
) -> Result<Option<Bytes>, HeadError> {
    loop {
        if let Some(piece) = decoder.next(input)? {
            return Ok(Some(piece));
        }
        if decoder.is_done() {
            return Ok(None);
        }
        input.reserve(pace.room);
        match timeout(pace.pause, read(stream, input)).await {
            Ok(Ok(1..)) => {}
            _ => return Err(HeadError::BrokenBody),
        }
    }
}
