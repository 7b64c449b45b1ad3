//! Work behind the answer: one thread that removes what is no longer seen and refills the pools.
//!
//! Nothing here is needed for an answer; what a killed engine leaves undone, recovery finds again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::prepare::Parts;

/// One piece of work.
pub(crate) enum Job {
    /// A cgroup whose processes have ended.
    Cgroup {
        parent: String,
        id: String,
        /// Told when it is gone, so that the next run can make it again.
        done: oneshot::Sender<()>,
    },
    /// A root file system's changes.
    Slot(String),
    /// A directory with everything below it.
    Directory(PathBuf),
    /// A file that was read and is no longer needed.
    File(PathBuf),
    /// Something was taken from the pools.
    Refill,
    /// Something was put out of sight.
    Sweep,
    /// The engine ends: what is kept ready in the cgroup tree goes, and the thread with it.
    End {
        /// Told when that is done.
        done: oneshot::Sender<()>,
    },
}

/// The thread's mailbox.
pub(crate) struct Janitor {
    jobs: Sender<Job>,
}

impl Janitor {
    /// Starts the thread; `pool`: how many of each part are kept ready.
    pub fn start(parts: Arc<Parts>, pool: Option<usize>) -> Result<Self, Error> {
        let (jobs, inbox) = channel();
        std::thread::Builder::new()
            .name("janitor".into())
            .stack_size(256 * 1024)
            .spawn(move || run(&inbox, &parts, pool))
            .map_err(|source| Error::File { attempt: "start the thread", path: "janitor".into(), source })?;
        Ok(Self { jobs })
    }

    pub fn ask(&self, job: Job) {
        // It only fails when the thread has panicked; recovery then does the work.
        let _ = self.jobs.send(job);
    }
}

fn run(inbox: &Receiver<Job>, parts: &Parts, pool: Option<usize>) {
    let (cgroups, snapshots) = (&*parts.cgroups, &*parts.snapshots);
    let (mut sweep, mut refill) = (false, false);
    let mut again: Vec<PathBuf> = Vec::new();
    loop {
        // Pools and deep removals wait until nothing shorter is left.
        let job = if sweep || refill {
            match inbox.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    if std::mem::take(&mut refill)
                        && let Some(count) = pool
                    {
                        fill_pools(parts, count);
                    }
                    if std::mem::take(&mut sweep)
                        && let Err(error) = snapshots.sweep()
                    {
                        tracing::warn!(%error, "removed root file systems not swept");
                    }
                    continue;
                }
            }
        } else {
            match inbox.recv() {
                Ok(job) => job,
                Err(_) => return,
            }
        };
        match job {
            Job::Cgroup { parent, id, done } => {
                remove_cgroup(cgroups, &parent, &id);
                let _ = done.send(());
            }
            Job::Slot(slot) => match snapshots.remove(&slot) {
                Ok(()) => sweep = true,
                Err(error) => tracing::warn!(%slot, %error, "root file system not removed"),
            },
            Job::Directory(path) => {
                // What could not be removed is tried again with the next one: descriptors or memory were lacking.
                again.push(path);
                again.retain(|path| !removed(std::fs::remove_dir_all(path), path));
            }
            Job::File(path) => _ = removed(std::fs::remove_file(&path), &path),
            Job::Refill => refill = true,
            Job::End { done } => {
                if let Err(error) = cgroups.remove_parent(&parts.instance) {
                    tracing::warn!(%error, "the cgroup of this engine not removed");
                }
                let _ = done.send(());
                return;
            }
            Job::Sweep => sweep = true,
        }
    }
}

fn fill_pools(parts: &Parts, count: usize) {
    let tell = |pool: &str, error: &dyn std::fmt::Display| tracing::warn!(%error, "pool of {pool} not refilled");
    if let Err(error) = parts.netns.refill(count) {
        tell("network namespaces", &error);
    }
    if let Err(error) = parts.snapshots.refill() {
        tell("root file systems", &error);
    }
    if let Err(error) = parts.cgroups.refill(&parts.instance, count) {
        tell("cgroups", &error);
    }
}

fn remove_cgroup(cgroups: &hull_cgroup::Host, parent: &str, id: &str) {
    match cgroups.open(parent, id).and_then(|cgroup| cgroup.remove()) {
        // Missing: the start failed before it was made.
        Ok(_) | Err(hull_cgroup::Error::Missing { .. }) => {}
        Err(error) => tracing::warn!(%id, %error, "cgroup not removed"),
    }
}

/// Whether it is gone.
fn removed(result: std::io::Result<()>, path: &std::path::Path) -> bool {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "not removed");
            false
        }
        _ => true,
    }
}
