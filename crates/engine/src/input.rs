//! [`Input`]: what an attached client types, on its way to a pipe or a terminal.
//!
//! A write waits while the process does not read (back-pressure), and ends when the process does.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use hull_types::Fault;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::container::Container;
use crate::container::run::HELD_STDIN;
use crate::core::Core;
use crate::detach::Keys;
use crate::error::Error;
use crate::exec::Exec;
use crate::ready;

/// The input side of an attached client. Dropping it is the end of input.
pub struct Input {
    to: To,
    keys: Option<Keys>,
    detach: watch::Sender<bool>,
    open: Option<AsyncFd<OwnedFd>>,
}

/// Where input goes.
pub(crate) enum To {
    Container {
        core: Arc<Core>,
        container: Arc<Container>,
        /// The end of this client's input is the end of the container's.
        closes: bool,
    },
    Exec(Arc<Exec>),
}

impl To {
    pub fn container(core: Arc<Core>, container: Arc<Container>, closes: bool) -> Self {
        Self::Container { core, container, closes }
    }

    /// A descriptor of its own to write to; waits until the process runs. `None`: it reads no more.
    async fn open(&self) -> Option<OwnedFd> {
        match self {
            Self::Container { container, .. } => {
                let mut life = container.life.subscribe();
                loop {
                    life.borrow_and_update();
                    if let Some(live) = container.live() {
                        return match &live.master {
                            Some(master) => master.try_clone().ok(),
                            None => {
                                let stdin = live.stdin.lock().unwrap_or_else(PoisonError::into_inner);
                                stdin.as_ref()?.try_clone().ok()
                            }
                        };
                    }
                    life.changed().await.ok()?;
                    if life.borrow().removed {
                        return None;
                    }
                }
            }
            Self::Exec(exec) => exec.input(),
        }
    }

    /// Resolves when the process has ended.
    async fn over(&self) {
        match self {
            Self::Container { container, .. } => {
                let mut life = container.life.subscribe();
                let _ = life.wait_for(|life| !life.running).await;
            }
            Self::Exec(exec) => exec.over().await,
        }
    }

    fn close(&self) {
        match self {
            Self::Container { closes: false, .. } => {}
            Self::Container { core, container, .. } => {
                if let Some(live) = container.live() {
                    live.stdin.lock().unwrap_or_else(PoisonError::into_inner).take();
                }
                core.keeper.drop_held(container.id.as_str(), Some(HELD_STDIN));
            }
            Self::Exec(exec) => exec.close_input(),
        }
    }
}

impl Input {
    pub(crate) fn new(to: To, keys: Option<Keys>, detach: watch::Sender<bool>) -> Self {
        Self { to, keys, detach, open: None }
    }

    /// Sends input; waits while the process does not take it. `Ok(false)`: the client is detached by
    /// its keys, or the process reads no more; nothing else is worth sending.
    ///
    /// # Errors
    /// The kernel refused for a reason other than the process's end.
    pub async fn write(&mut self, bytes: Bytes) -> Result<bool, Fault> {
        let (bytes, detached) = match &mut self.keys {
            None => (bytes, false),
            Some(keys) => {
                let typed = keys.take(&bytes);
                (typed.bytes.into(), typed.detached)
            }
        };
        let taken = self.send(&bytes).await?;
        if detached {
            self.detached();
        }
        Ok(taken && !detached)
    }

    fn detached(&self) {
        if let To::Container { core, container, .. } = &self.to {
            core.announce(&container.view().definition, "detach", &[]);
        }
        self.detach.send_replace(true);
    }

    async fn send(&mut self, mut bytes: &[u8]) -> Result<bool, Fault> {
        if bytes.is_empty() {
            return Ok(true);
        }
        if self.open.is_none() {
            let Some(fd) = self.to.open().await else { return Ok(false) };
            self.open = Some(ready::watch(fd, Interest::WRITABLE)?);
        }
        let Some(fd) = &self.open else { return Ok(false) };
        while !bytes.is_empty() {
            let mut writable = tokio::select! {
                writable = fd.writable() => writable.map_err(|source| Error::File {
                    attempt: "wait for",
                    path: "stdin".into(),
                    source,
                })?,
                () = self.to.over() => return Ok(false),
            };
            match writable.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(Ok(n)) => bytes = &bytes[n..],
                Ok(Err(e)) if e.kind() == std::io::ErrorKind::Interrupted => {}
                // It closed its stdin, or has ended.
                Ok(Err(_)) => return Ok(false),
                Err(_would_block) => {}
            }
        }
        Ok(true)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.open = None;
        // A client that detached leaves the input open for the next.
        if !*self.detach.borrow() {
            self.to.close();
        }
    }
}
