//! The output of an exec on its way to its client. What the client does not read stays in the pipe.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use hull_types::Fault;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::error::Error;
use crate::exec::Exec;
use crate::options::{Frame, StdStream};

/// The engine's ends.
pub(crate) enum Sources {
    Pipes { stdout: OwnedFd, stderr: OwnedFd },
    Terminal(OwnedFd),
}

/// Reads both streams until they end, or until the exec has ended and they are empty.
pub(crate) struct ExecOutput {
    open: Vec<(StdStream, AsyncFd<OwnedFd>)>,
    exec: Arc<Exec>,
    exit: watch::Receiver<Option<i32>>,
    detached: watch::Receiver<bool>,
    wanted: [bool; 2],
}

enum Read {
    Bytes(Vec<u8>),
    Empty,
    End,
}

impl ExecOutput {
    pub fn new(sources: Sources, exec: Arc<Exec>, detached: watch::Receiver<bool>) -> Result<Self, Fault> {
        let fds = match sources {
            Sources::Pipes { stdout, stderr } => vec![(StdStream::Stdout, stdout), (StdStream::Stderr, stderr)],
            Sources::Terminal(master) => vec![(StdStream::Stdout, master)],
        };
        let mut open = Vec::with_capacity(2);
        for (stream, fd) in fds {
            open.push((stream, watched(fd)?));
        }
        let wanted = [exec.config.attach_stdout, exec.config.attach_stderr];
        Ok(Self { open, exit: exec.exit(), exec, detached, wanted })
    }

    /// The frames. They end when the exit code is known.
    pub fn stream(self) -> impl Stream<Item = Frame> {
        stream::unfold(self, |mut this| async move {
            let frame = this.next().await?;
            Some((frame, this))
        })
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if *self.detached.borrow() {
                return None;
            }
            let over = self.exit.borrow().is_some();
            if let Some((stream, bytes)) = self.read_now() {
                if self.wants(stream) {
                    return Some(Frame { stream, bytes });
                }
                continue;
            }
            if over {
                return None; // It had ended before the streams were found empty.
            }
            self.wait().await;
        }
    }

    fn wants(&self, stream: StdStream) -> bool {
        self.wanted[usize::from(stream == StdStream::Stderr)]
    }

    /// What one of the streams has; streams that have ended are let go.
    fn read_now(&mut self) -> Option<(StdStream, Bytes)> {
        let mut at = 0;
        while at < self.open.len() {
            match read(self.open[at].1.get_ref()) {
                Read::Bytes(bytes) => return Some((self.open[at].0, bytes.into())),
                Read::Empty => at += 1,
                Read::End => drop(self.open.remove(at)),
            }
        }
        None
    }

    async fn wait(&mut self) {
        let first = self.open.first();
        let second = self.open.get(1);
        tokio::select! {
            () = readable(first) => {}
            () = readable(second) => {}
            _ = self.exit.changed() => {}
            () = crate::attach::gone(&mut self.detached) => {}
        }
    }
}

impl Drop for ExecOutput {
    fn drop(&mut self) {
        tracing::trace!(exec = %self.exec.id, "client gone");
    }
}

/// Reads and drops what a detached exec prints on its terminal.
pub(crate) async fn discard(master: OwnedFd, exec: Arc<Exec>) {
    let Ok(master) = watched(master) else { return };
    let source = (StdStream::Stdout, master);
    let mut exit = exec.exit();
    while exit.borrow().is_none() {
        match read(source.1.get_ref()) {
            Read::Bytes(_) => {}
            Read::End => return,
            Read::Empty => tokio::select! {
                () = readable(Some(&source)) => {}
                _ = exit.changed() => {}
            },
        }
    }
}

fn watched(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>, Error> {
    rustix::io::ioctl_fionbio(&fd, true)
        .map_err(|source| Error::System { call: "ioctl FIONBIO of an exec's stream".into(), source })?;
    crate::ready::watch(fd, Interest::READABLE)
}

async fn readable(source: Option<&(StdStream, AsyncFd<OwnedFd>)>) {
    match source {
        None => std::future::pending().await,
        Some((_, fd)) => {
            if let Ok(mut ready) = fd.readable().await {
                // The read that follows finds out whether it is still so.
                ready.clear_ready();
            }
        }
    }
}

fn read(fd: &OwnedFd) -> Read {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        return match rustix::io::read(fd, &mut bytes) {
            Ok(0) | Err(rustix::io::Errno::IO) => Read::End,
            Ok(n) => {
                bytes.truncate(n);
                Read::Bytes(bytes)
            }
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) => Read::Empty,
            Err(_) => Read::End,
        };
    }
}
