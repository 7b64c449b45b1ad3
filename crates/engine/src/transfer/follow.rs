//! [`Following`]: a download as a stream, for threads that unpack while it comes.

use std::io::{self, Read};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::download::{Download, State};

/// Reads a download. Its end is told only once all of it has been verified.
pub(super) struct Following {
    state: watch::Receiver<State>,
    /// Ends when the pull does.
    pull: watch::Receiver<()>,
    runtime: Handle,
    at: u64,
    // Last, so that the download lives at least as long.
    _download: Arc<Download>,
}

impl Following {
    pub fn new(download: Arc<Download>, pull: watch::Receiver<()>, runtime: Handle) -> Self {
        Self { state: download.state.clone(), pull, runtime, at: 0, _download: download }
    }
}

impl Read for Following {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let (here, follower) = {
                let state = self.state.borrow_and_update();
                match &state.end {
                    Some(Err(fault)) => return Err(io::Error::other(fault.to_string())),
                    Some(Ok(_)) if state.at <= self.at => return Ok(0),
                    _ => {}
                }
                (state.at.saturating_sub(self.at), state.follower.clone())
            };
            if let Some(follower) = follower.filter(|_| here > 0) {
                let room = buffer.len().min(usize::try_from(here).unwrap_or(usize::MAX));
                let read = follower.read_at(&mut buffer[..room], self.at)?;
                if read > 0 {
                    self.at += read as u64;
                    return Ok(read);
                }
            }
            if !self.runtime.block_on(moved(&mut self.state, &mut self.pull)) {
                return Err(io::Error::other("the pull was given up"));
            }
        }
    }
}

/// Waits until there is news; `false` if there will be none.
async fn moved(state: &mut watch::Receiver<State>, pull: &mut watch::Receiver<()>) -> bool {
    tokio::select! {
        news = state.changed() => news.is_ok(),
        // Its sender sends nothing: it goes.
        _ = pull.changed() => false,
    }
}
