//! Replies on their way to the engine. The keeper never blocks on it: what the socket does not take
//! waits here.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::Result;

use super::Reply;
use super::frame::Outgoing;

/// The queue of one connection.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Outgoing<OwnedFd>>,
}

impl Outbox {
    pub(super) fn push(&mut self, reply: &Reply, fds: Vec<OwnedFd>) {
        self.frames.push_back(Outgoing::new(reply, fds));
    }

    /// Sends what goes. `Ok(true)`: all is sent.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        while let Some(frame) = self.frames.front_mut() {
            if !frame.send(socket.as_fd())? {
                return Ok(false);
            }
            self.frames.pop_front();
        }
        Ok(true)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
