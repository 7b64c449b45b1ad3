//! The engine's dealings with the keeper: requests that are answered, and exits that come unasked.
//!
//! One task reads the link and hands each reply to whom it concerns; nothing else waits on it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_launch::keeper::{ExitRecord, Failure, Link, LinkError, Reply, Request, Seq, Times};
use hull_launch::plan::{IdMaps, LaunchPlan, Slot};
use tokio::io::Interest;
use tokio::sync::oneshot;

use crate::error::Error;

/// The link, shared.
pub(crate) struct Keeper {
    link: Link,
    next: AtomicU64,
    pending: Mutex<HashMap<Seq, Pending>>,
    gone: AtomicBool,
    /// Requests without an answer that could not be sent.
    untold: Mutex<Vec<Request>>,
}

struct Pending {
    answer: oneshot::Sender<Outcome>,
    warnings: Vec<Failure>,
}

/// What the keeper answered.
pub(crate) enum Outcome {
    Done { reply: Reply, fds: Vec<OwnedFd>, warnings: Vec<Failure> },
    Failed { failure: Failure, times: Times },
    Gone,
}

/// A process that the keeper launched.
pub(crate) struct Launched {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub master: Option<OwnedFd>,
    pub warnings: Vec<Failure>,
    /// What was asked for.
    pub plan: Box<LaunchPlan>,
    /// When the child came how far.
    pub times: Times,
}

/// Why nothing was launched.
pub(crate) enum LaunchError {
    /// A step failed; when the child came how far until then.
    Step(Failure, Times),
    /// The keeper is gone, or does not speak as it should.
    Keeper(Error),
}

/// What the keeper has: launched processes and held descriptors.
#[derive(Default)]
pub(crate) struct Listing {
    /// Key, pid, pidfd.
    pub children: Vec<(String, i32, OwnedFd)>,
    /// Key → name → descriptor.
    pub held: HashMap<String, HashMap<String, OwnedFd>>,
}

/// What the reading task tells.
pub(crate) enum News {
    /// A launched process ended.
    Exited(ExitRecord),
    /// The keeper is gone.
    Gone,
}

impl Keeper {
    pub fn new(link: Link) -> Arc<Self> {
        Arc::new(Self {
            link,
            next: AtomicU64::new(1),
            pending: Mutex::default(),
            gone: AtomicBool::new(false),
            untold: Mutex::default(),
        })
    }

    /// Starts reading. `tell` must not block.
    pub fn listen(self: &Arc<Self>, tell: impl Fn(News) + Send + 'static) -> Result<(), Error> {
        let socket = self.link.watch().map_err(|source| Error::File {
            attempt: "duplicate the descriptor",
            path: "the keeper's link".into(),
            source,
        })?;
        let socket = crate::ready::watch(socket, Interest::READABLE)?;
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let error = loop {
                match socket.readable().await {
                    // Readiness is cleared before the reads: what comes meanwhile sets it again.
                    Ok(mut ready) => ready.clear_ready(),
                    Err(error) => break error.to_string(),
                }
                if let Err(error) = this.read(&tell) {
                    break error.to_string();
                }
            };
            tracing::error!(%error, "the keeper is gone");
            this.gone.store(true, Ordering::Release);
            this.lock().clear();
            tell(News::Gone);
        });
        Ok(())
    }

    /// Whether the link is broken.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub async fn launch(
        &self,
        plan: LaunchPlan,
        fds: &[OwnedFd],
        hold: Vec<(String, Slot)>,
    ) -> Result<Launched, (LaunchError, Box<LaunchPlan>)> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let seq = self.sequence();
        let request = Request::Launch { seq, plan: Box::new(plan), hold };
        let answer = self.ask(seq, &request, &fds);
        let plan = |request| match request {
            Request::Launch { plan, .. } => plan,
            _ => unreachable!("made above"),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Err((LaunchError::Keeper(error), plan(request))),
        };
        match answer.await.unwrap_or(Outcome::Gone) {
            Outcome::Done { reply: Reply::Launched { pid, terminal, times, .. }, fds, warnings } => {
                let mut fds = fds.into_iter();
                match (fds.next(), fds.next()) {
                    (Some(pidfd), master) if master.is_some() == terminal => {
                        Ok(Launched { pid, pidfd, master, warnings, plan: plan(request), times })
                    }
                    _ => Err((LaunchError::Keeper(confused("a launch without descriptors")), plan(request))),
                }
            }
            Outcome::Done { .. } => Err((LaunchError::Keeper(confused("another answer than asked")), plan(request))),
            Outcome::Failed { failure, times } => Err((LaunchError::Step(failure, times), plan(request))),
            Outcome::Gone => Err((LaunchError::Keeper(closed()), plan(request))),
        }
    }

    /// A user namespace with these maps. Blocks.
    pub fn userns(&self, maps: &IdMaps) -> Result<OwnedFd, LaunchError> {
        let seq = self.sequence();
        let answer = self.ask(seq, &Request::Userns { seq, maps: maps.clone() }, &[]).map_err(LaunchError::Keeper)?;
        match answer.blocking_recv().unwrap_or(Outcome::Gone) {
            Outcome::Done { mut fds, .. } => {
                fds.pop().ok_or_else(|| LaunchError::Keeper(confused("a user namespace without a descriptor")))
            }
            Outcome::Failed { failure, times } => Err(LaunchError::Step(failure, times)),
            Outcome::Gone => Err(LaunchError::Keeper(closed())),
        }
    }

    /// Has the keeper hold a duplicate of a descriptor.
    pub fn hold(&self, key: &str, name: &str, fd: &OwnedFd) {
        let request = Request::Hold { key: key.to_owned(), name: name.to_owned() };
        if let Err(error) = self.link.send(&request, &[fd.as_fd()]) {
            tracing::warn!(%error, key, name, "a descriptor is not held by the keeper");
        }
    }

    /// Has the keeper close what it holds for `key`: one name, or all.
    pub fn drop_held(&self, key: &str, name: Option<&str>) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.push(Request::Drop { key: key.to_owned(), name: name.map(str::to_owned) });
        self.tell(&mut untold);
    }

    /// Tells what could not be told. What still cannot, of a process that is launched anew, is forgotten: it
    /// would take what the new one holds, which replaces the old one's.
    fn catch_up(&self, request: &Request) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell(&mut untold);
        if let Request::Launch { plan, .. } = request {
            untold.retain(|late| !matches!(late, Request::Drop { key, .. } if *key == plan.key));
        }
    }

    /// What the link did not take for lack of memory goes with the next request: nobody else knows of it.
    fn tell(&self, untold: &mut Vec<Request>) {
        untold.retain(|request| match self.link.send(request, &[]) {
            Ok(()) => false,
            Err(error) => {
                tracing::debug!(%error, "keeper not told yet to drop descriptors");
                !self.is_gone()
            }
        });
    }

    /// Everything that the keeper has.
    pub async fn list(&self) -> Result<Listing, Error> {
        let seq = self.sequence();
        let answer = self.ask(seq, &Request::List { seq }, &[])?;
        match answer.await.unwrap_or(Outcome::Gone) {
            Outcome::Done { reply: Reply::Listing { children, held, .. }, fds, .. } => {
                let mut fds = fds.into_iter();
                let mut listing = Listing::default();
                for child in children {
                    let fd = fds.next().ok_or_else(|| confused("a listing without descriptors"))?;
                    listing.children.push((child.key, child.pid, fd));
                }
                for name in held {
                    let fd = fds.next().ok_or_else(|| confused("a listing without descriptors"))?;
                    listing.held.entry(name.key).or_default().insert(name.name, fd);
                }
                Ok(listing)
            }
            Outcome::Gone => Err(closed()),
            _ => Err(confused("another answer than asked")),
        }
    }

    /// The keeper shall end as soon as the engine has.
    pub fn shutdown(&self) -> Result<(), Error> {
        self.link.send(&Request::Shutdown, &[]).map_err(|e| Error::KeeperGone { cause: e.to_string() })
    }

    fn sequence(&self) -> Seq {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn ask(&self, seq: Seq, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<oneshot::Receiver<Outcome>, Error> {
        self.catch_up(request);
        let (answer, receiver) = oneshot::channel();
        self.lock().insert(seq, Pending { answer, warnings: Vec::new() });
        if let Err(error) = self.link.send(request, fds) {
            self.lock().remove(&seq);
            return Err(Error::KeeperGone { cause: error.to_string() });
        }
        Ok(receiver)
    }

    /// Everything that is there now.
    fn read(&self, tell: &dyn Fn(News)) -> Result<(), LinkError> {
        while let Some((reply, fds)) = self.link.try_recv()? {
            match reply {
                Reply::Exited(record) => tell(News::Exited(record)),
                reply => self.answer(reply, fds),
            }
        }
        Ok(())
    }

    fn answer(&self, reply: Reply, fds: Vec<OwnedFd>) {
        let seq = match &reply {
            Reply::Launched { seq, .. }
            | Reply::Failed { seq, .. }
            | Reply::Warned { seq, .. }
            | Reply::Userns { seq }
            | Reply::Listing { seq, .. }
            | Reply::Upgraded { seq } => *seq,
            Reply::Exited(_) => return,
        };
        if let Reply::Warned { failure, .. } = reply {
            if let Some(pending) = self.lock().get_mut(&seq) {
                pending.warnings.push(failure);
            }
            return;
        }
        // Nobody: whoever asked was cancelled. Its descriptors close here.
        let Some(Pending { answer, warnings }) = self.lock().remove(&seq) else { return };
        let _ = answer.send(match reply {
            Reply::Failed { failure, times, .. } => Outcome::Failed { failure, times },
            reply => Outcome::Done { reply, fds, warnings },
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Seq, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> Error {
    Error::KeeperGone { cause: "it closed the link".into() }
}

fn confused(what: &str) -> Error {
    Error::KeeperGone { cause: format!("it sent {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[tokio::test]
    async fn a_keeper_that_ends_fails_what_is_asked() {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let keeper = Keeper::new(Link::new(ours));
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        keeper
            .listen(move |news| {
                let _ = tx.send(matches!(news, News::Gone));
            })
            .unwrap();
        let list = keeper.list();
        let ending = async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            drop(theirs);
        };
        let (listed, ()) = tokio::join!(list, ending);
        assert!(matches!(listed, Err(Error::KeeperGone { .. })));
        assert_eq!(rx.recv().await, Some(true));
        assert!(keeper.is_gone());
        assert!(keeper.list().await.is_err());
    }
}
