//! Work behind the answer: one thread that removes what is no longer seen and refills the pools, and one that deletes trees,
//! which may take long: the next run of a container waits for what the former does, never for the latter.
//!
//! Nothing here is needed for an answer; what a killed engine leaves undone, recovery finds again.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use hull_network::Switch;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::prepare::Parts;

/// How long the first of several jobs waits: it is asked for just before an answer, which would share a
/// processor and the kernel's locks with it on its way to the client.
const AFTER_THE_ANSWER: Duration = Duration::from_micros(500);

/// How long after a start the pools are refilled, unless the run ends before: as long as a short run lasts.
const AFTER_THE_START: Duration = Duration::from_millis(3);

/// One piece of work.
pub(crate) enum Job {
    /// A cgroup whose processes have ended.
    Cgroup {
        parent: String,
        id: String,
        /// Told when it is gone, so that the next run can make it again.
        done: oneshot::Sender<()>,
    },
    /// The last hold on a container's mounts, which end with it.
    Mounts(OwnedFd),
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

/// The first thread's mailbox.
pub(crate) struct Janitor {
    jobs: Sender<Job>,
}

impl Janitor {
    /// Starts the threads; `pool`: how many of each part are kept ready.
    pub fn start(parts: Arc<Parts>, switch: Arc<Switch>, pool: Option<usize>) -> Result<Self, Error> {
        let (jobs, inbox) = channel();
        // One is enough: whoever takes it sweeps all that is there then.
        let (sweep, asked) = sync_channel(1);
        let sweeping = Arc::clone(&parts);
        thread("sweeper", move || sweep_when_asked(&asked, &sweeping))?;
        thread("janitor", move || run(&inbox, (&parts, &switch), pool, &sweep))?;
        Ok(Self { jobs })
    }

    pub fn ask(&self, job: Job) {
        // It only fails when the thread has panicked; recovery then does the work.
        let _ = self.jobs.send(job);
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = std::thread::Builder::new().name(name.into()).stack_size(256 * 1024).spawn(work);
    let fail = |source| Error::File { attempt: "start the thread", path: name.into(), source };
    started.map(drop).map_err(fail)
}

fn sweep_when_asked(asked: &Receiver<()>, parts: &Parts) {
    while asked.recv().is_ok() {
        if let Err(error) = parts.snapshots.sweep() {
            tracing::warn!(%error, "removed root file systems not swept");
        }
    }
}

fn run(inbox: &Receiver<Job>, (parts, switch): (&Parts, &Switch), pool: Option<usize>, sweeper: &SyncSender<()>) {
    let mut later = Later::default();
    // Pools and deep removals wait until nothing shorter is left.
    while let Some(job) = next(inbox, &later).transpose() {
        match job {
            Ok(Job::End { done }) => {
                if let Err(error) = parts.cgroups.remove_parent(&parts.instance) {
                    tracing::warn!(%error, "the cgroup of this engine not removed");
                }
                let _ = done.send(());
                return;
            }
            Ok(job) => shortly(job, (parts, switch), &mut later),
            Err(Idle) => {
                let again = std::mem::take(&mut later.again);
                let Later { refill, sweep, .. } = std::mem::replace(&mut later, Later { again, ..Later::default() });
                if let (true, Some(count)) = (refill, pool) {
                    fill_pools(parts, switch, count);
                }
                if sweep {
                    // Full: it is asked already.
                    let _ = sweeper.try_send(());
                }
            }
        }
    }
}

/// What waits for an idle moment.
#[derive(Default)]
struct Later {
    refill: bool,
    sweep: bool,
    /// A run has ended since: the moment is now.
    now: bool,
    /// Directories that could not be removed.
    again: Vec<PathBuf>,
}

/// Nothing was asked for in time.
struct Idle;

/// The next job, or what was put off is due. `None`: the engine is gone.
fn next(inbox: &Receiver<Job>, later: &Later) -> Result<Option<Job>, Idle> {
    match inbox.try_recv() {
        Ok(job) => return Ok(Some(job)),
        Err(TryRecvError::Disconnected) => return Ok(None),
        Err(TryRecvError::Empty) if later.now => return Err(Idle),
        Err(TryRecvError::Empty) => {}
    }
    let job = if later.refill || later.sweep {
        match inbox.recv_timeout(AFTER_THE_START) {
            Ok(job) => job,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => return Err(Idle),
        }
    } else {
        match inbox.recv() {
            Ok(job) => job,
            Err(_) => return Ok(None),
        }
    };
    if !matches!(job, Job::Refill) {
        std::thread::sleep(AFTER_THE_ANSWER);
    }
    Ok(Some(job))
}

fn shortly(job: Job, (parts, switch): (&Parts, &Switch), later: &mut Later) {
    later.now |= !matches!(job, Job::Refill);
    match job {
        Job::Cgroup { parent, id, done } => {
            remove_cgroup(parts, &parent, &id);
            let _ = done.send(());
            if let Err(error) = switch.let_go() {
                tracing::warn!(%error, "wires that are gone not taken from the rules");
            }
        }
        Job::Slot(slot) => match parts.snapshots.remove(&slot) {
            Ok(()) => later.sweep = true,
            Err(error) => tracing::warn!(%slot, %error, "root file system not removed"),
        },
        Job::Mounts(mounts) => drop(mounts),
        Job::Directory(path) => {
            // What could not be removed is tried again with the next one: descriptors or memory were lacking.
            later.again.push(path);
            later.again.retain(|path| !removed(std::fs::remove_dir_all(path), path));
        }
        Job::File(path) => _ = removed(std::fs::remove_file(&path), &path),
        Job::Refill => later.refill = true,
        Job::Sweep => later.sweep = true,
        Job::End { .. } => {}
    }
}

fn fill_pools(parts: &Parts, switch: &Switch, count: usize) {
    let tell = |pool: &str, error: &dyn std::fmt::Display| tracing::warn!(%error, "pool of {pool} not refilled");
    if let Err(error) = parts.netns.refill(count) {
        tell("network namespaces", &error);
    }
    if let Err(error) = switch.refill(count) {
        tell("wires", &error);
    }
    if let Err(error) = parts.snapshots.refill() {
        tell("root file systems", &error);
    }
    if let Err(error) = parts.cgroups.refill(&parts.instance, count) {
        tell("cgroups", &error);
    }
}

fn remove_cgroup(parts: &Parts, parent: &str, id: &str) {
    let cgroups = &parts.cgroups;
    match cgroups.open(parent, id).and_then(|cgroup| cgroup.remove()) {
        // Missing: the start failed before it was made.
        Ok(_) | Err(hull_cgroup::Error::Missing { .. }) => {}
        Err(error) => tracing::warn!(%id, %error, "cgroup not removed"),
    }
    if parent != parts.instance
        && let Err(error) = cgroups.leave_parent(parent)
    {
        tracing::warn!(%parent, %error, "the parent cgroup not removed");
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
