//! [`Collector`]: one thread that waits on every container's pipes and moves what they hold.
//!
//! One move per container and turn, so a container that floods does not starve the others.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::epoll;
use rustix::io::Errno;

use crate::spool::{Moved, Spool};
use crate::{Error, Result, Stream};

/// The engine's ends of one run's output.
#[derive(Debug)]
pub enum Sources {
    /// Read ends of two pipes.
    Streams {
        /// Of fd 1.
        stdout: OwnedFd,
        /// Of fd 2.
        stderr: OwnedFd,
    },
    /// A terminal, and the pipe that its bytes pass through.
    Terminal {
        /// The master.
        master: OwnedFd,
        /// The pipe's read end.
        pipe_read: OwnedFd,
        /// The pipe's write end.
        pipe_write: OwnedFd,
    },
}

/// The thread and what it watches.
pub struct Collector {
    epoll: OwnedFd,
    watched: Mutex<HashMap<u64, Watched>>,
    next: AtomicU64,
}

struct Watched {
    spool: Weak<Spool>,
    stream: Stream,
    /// A duplicate: the spool may close its own at any time, this one leaves the epoll first.
    fd: OwnedFd,
}

impl Collector {
    /// Starts the thread.
    pub fn start() -> Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| fault("epoll_create1", e))?;
        let this = Arc::new(Self { epoll, watched: Mutex::default(), next: AtomicU64::new(0) });
        let thread = Arc::clone(&this);
        std::thread::Builder::new()
            .name("logs".into())
            .stack_size(128 * 1024)
            .spawn(move || thread.run())
            .map_err(|source| Error::Loop { call: "clone", source })?;
        Ok(this)
    }

    /// Begins a run: bytes of `sources` go to the spool until [`Collector::finish`].
    pub fn begin(&self, spool: &Arc<Spool>, sources: Sources) -> Result<Run> {
        if let Sources::Terminal { master, .. } = &sources {
            rustix::io::ioctl_fionbio(master, true).map_err(|e| fault("ioctl FIONBIO", e))?;
        }
        spool.begin(sources);
        let mut tokens = Vec::with_capacity(2);
        for (stream, fd) in spool.watched() {
            let token = self.next.fetch_add(1, Ordering::Relaxed);
            epoll::add(&self.epoll, &fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
                .map_err(|e| fault("epoll_ctl", e))?;
            self.lock().insert(token, Watched { spool: Arc::downgrade(spool), stream, fd });
            tokens.push(token);
        }
        Ok(Run { tokens })
    }

    /// Ends a run: what is left is moved, the sources are closed, the readers are told.
    /// `false`: the writer is waiting for the disk, call [`Spool::finish`] where waiting is allowed.
    pub fn finish(&self, spool: &Spool, run: Run) -> bool {
        for token in run.tokens {
            self.forget(token);
        }
        spool.try_finish()
    }

    fn forget(&self, token: u64) {
        let watched = self.lock().remove(&token);
        if let Some(watched) = watched {
            let _ = epoll::delete(&self.epoll, &watched.fd);
        }
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    tracing::error!(%errno, "the log thread cannot wait");
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            }
            for event in events.drain(..) {
                self.turn(event.data.u64());
            }
        }
    }

    fn turn(&self, token: u64) {
        let found = self.lock().get(&token).map(|w| (w.spool.upgrade(), w.stream));
        let Some((spool, stream)) = found else { return };
        let over = spool.is_none_or(|spool| spool.pump(stream) == Moved::End);
        if over {
            self.forget(token);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run in progress, as the collector watches it.
#[derive(Debug)]
pub struct Run {
    tokens: Vec<u64>,
}

fn fault(call: &'static str, errno: Errno) -> Error {
    Error::Loop { call, source: errno.into() }
}
