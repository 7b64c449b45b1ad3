//! [`Snapshots`]: the directories, and what start-up and the sweeper do to them.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hull_types::Digest;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::pool::Pool;
use crate::{Error, Places, Result, dir};

/// The layers and slots of one engine. Clones share them.
#[derive(Clone)]
pub struct Snapshots {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// The engine's root, to be hidden from `hull/host`.
    pub root: PathBuf,
    pub layers: OwnedFd,
    pub slots: OwnedFd,
    pub trash: OwnedFd,
    pub pool: Mutex<Pool>,
    pub places: OnceLock<Places>,
    sweeping: Mutex<()>,
    next: AtomicU64,
}

/// What start-up found and moved to the trash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Slots that belong to nobody, prepared ones included.
    pub slots: usize,
    /// Layers that never became visible.
    pub layers: usize,
}

impl Snapshots {
    /// Opens or makes the directories beneath `root`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(root: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let shown = root.display().to_string();
        let fd = rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(Error::file("open", shown))?;
        let slots = dir::ensure(&fd, "snapshots", 0o700)?;
        dir::make(&slots, ".empty", 0o755)?;
        Ok(Self {
            inner: Arc::new(Inner {
                root: std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()),
                layers: dir::ensure(&fd, "layers", 0o700)?,
                slots,
                trash: dir::ensure(&fd, "trash", 0o700)?,
                pool: Mutex::new(Pool::default()),
                places: OnceLock::new(),
                sweeping: Mutex::new(()),
                next: AtomicU64::new(0),
            }),
        })
    }

    /// Has these mount points made in every root file system from now on. Once; a second call changes nothing.
    #[must_use]
    pub fn with_places(self, places: Places) -> Self {
        let _ = self.inner.places.set(places);
        self
    }

    /// At start-up: everything that no live slot names goes to the trash. Call [`Snapshots::sweep`] later.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn recover(&self, live: &BTreeSet<String>) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for name in dir::names(&self.inner.slots, "snapshots")? {
            if name != ".empty" && !live.contains(&name) {
                self.inner.discard(&self.inner.slots, &name)?;
                recovered.slots += 1;
            }
        }
        for name in dir::names(&self.inner.layers, "layers")? {
            if name.starts_with('.') {
                self.inner.discard(&self.inner.layers, &name)?;
                recovered.layers += 1;
            }
        }
        Ok(recovered)
    }

    /// At start-up, before [`Snapshots::recover`]: moves every slot that no live one names into the directory
    /// `to`, which is on the same file system.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn set_slots_aside(&self, live: &BTreeSet<String>, to: impl AsFd) -> Result<usize> {
        let names = dir::names(&self.inner.slots, "snapshots")?;
        let unowned = names.iter().filter(|name| !name.starts_with('.') && !live.contains(*name));
        unowned.map(|name| move_to(&self.inner.slots, name, to.as_fd())).sum()
    }

    /// Moves a layer into the directory `to`, which is on the same file system.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn set_layer_aside(&self, chain_id: &Digest, to: impl AsFd) -> Result<()> {
        move_to(&self.inner.layers, chain_id.hex(), to.as_fd()).map(|_| ())
    }

    /// Deletes what lies in the trash; how many trees went. What cannot be deleted now is left for
    /// the next time and logged. Blocks: run it behind the answer.
    ///
    /// # Errors
    /// [`Error::File`] if the trash cannot be listed.
    pub fn sweep(&self) -> Result<usize> {
        let _one_at_a_time = self.inner.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut swept = 0;
        let trash = dir::open(&self.inner.trash, ".")?;
        for name in dir::names(&trash, "trash")? {
            match hull_archive::remove_tree(trash.as_fd(), name.as_bytes()) {
                Ok(()) => swept += 1,
                Err(error) => tracing::warn!(%error, name, "the trash could not be emptied"),
            }
        }
        Ok(swept)
    }
}

fn move_to(from: &OwnedFd, name: &str, to: BorrowedFd<'_>) -> Result<usize> {
    rustix::fs::renameat(from, name, to, name).map(|()| 1).map_err(Error::file("set aside", name))
}

impl Inner {
    /// A number that no other name of this run has.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Renames a directory out of sight. A missing one is no error.
    pub fn discard(&self, parent: &OwnedFd, name: &str) -> Result<()> {
        loop {
            let to = self.number().to_string();
            match rustix::fs::renameat_with(parent, name, &self.trash, &to, RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // Left by an earlier run.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::file("move to the trash", name)(errno)),
            }
        }
    }
}
