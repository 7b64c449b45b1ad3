//! Promises: a volume that outlives a power cut is written to state.db first, which costs one sync of a log; its own files would cost
//! three. They are made before the answer and synced behind it.
//!
//! ```text
//! (none) ──put──▶ promised ──build──▶ promised and there ──settle──▶ there
//! ```
//! When the engine starts, what is promised and not there, or half there, is made again. A removal takes the promise back before it
//! is acknowledged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hull_records::{Db, Record, SetAside};
use hull_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BOUND, DEVICE, Volume, Volumes, build, failed, write_files};
use crate::{Error, Result};

/// A promise's record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Row(Volume);

impl Record for Row {
    const TABLE: &'static str = "volume_promises";
}

/// What is promised: names, and which volume of that name.
type Open = BTreeMap<String, Timestamp>;

/// The promises of one engine.
pub(super) struct Promises {
    db: Db,
    /// Held while a volume is promised, removed or settled.
    open: Mutex<Open>,
}

impl Promises {
    pub(super) fn new(db: Db) -> Self {
        Self { db, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Promises {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Promises").field(&self.lock()).finish()
    }
}

impl Volumes {
    /// Makes a volume that is on the disk, as a promise, when this returns.
    pub(super) fn create_promised(&self, volume: &Volume) -> Result<bool> {
        let mut open = self.promises.lock();
        if self.directory.join(&volume.name).is_dir() {
            return Ok(false);
        }
        let row = Row(volume.clone());
        let promised = self.promises.db.write(|tx| tx.put(&volume.name, &row)).map_err(promise(&volume.name));
        let made = promised.and_then(|()| self.build_and_publish(volume));
        if matches!(made, Ok(true)) {
            open.insert(volume.name.clone(), volume.created);
        } else {
            // Best effort: what is promised without need is made at the next start.
            _ = self.promises.db.write_relaxed(|tx| tx.delete::<Row>(&volume.name));
        }
        made
    }

    /// Runs `remove`, then takes the promise back; `undo` if that failed.
    pub(super) fn withdraw(&self, name: &str, remove: impl FnOnce() -> Result<()>, undo: impl FnOnce()) -> Result<()> {
        let mut open = self.promises.lock();
        remove()?;
        if open.contains_key(name) {
            let deleted = self.promises.db.write(|tx| tx.delete::<Row>(name)).map_err(promise(name));
            deleted.inspect_err(|_| undo())?;
            open.remove(name);
        }
        Ok(())
    }

    /// Whether volumes wait for [`Volumes::settle`].
    pub fn has_promises(&self) -> bool {
        !self.promises.lock().is_empty()
    }

    /// Syncs the files of volumes that were promised: from then on these say it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Promise`]: the promises stay.
    pub fn settle(&self) -> Result<()> {
        let open = self.promises.lock().clone();
        if open.is_empty() {
            return Ok(());
        }
        for name in open.keys() {
            match self.sync(name) {
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.promises.lock().contains_key(name) => {}
                other => other.map_err(|source| failed("sync the files", name, source))?,
            }
        }
        let all = File::open(&self.directory).and_then(|directory| directory.sync_all());
        all.map_err(|source| failed("sync the directory", "", source))?;
        let mut now = self.promises.lock();
        let kept: Vec<&String> =
            open.iter().filter(|(name, at)| now.get(*name) == Some(at)).map(|pair| pair.0).collect();
        let deleted =
            self.promises.db.write_relaxed(|tx| kept.iter().try_for_each(|name| tx.delete::<Row>(name).map(drop)));
        deleted.map_err(promise(""))?;
        for name in kept {
            now.remove(name);
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let directory = self.directory.join(name);
        for file in ["volume.json", DEVICE, BOUND] {
            match File::open(directory.join(file)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && file != "volume.json" => {}
                opened => opened?.sync_all()?,
            }
        }
        File::open(directory)?.sync_all()
    }

    /// Makes what was promised and is not there; what could not be made or read is named, and promised still.
    pub(super) fn keep_promises(&self) -> Result<(Vec<Error>, Vec<SetAside>)> {
        let scan = self.promises.db.write_relaxed(|tx| tx.scan::<Row>()).map_err(promise(""))?;
        let mut failures = Vec::new();
        for (name, Row(volume)) in scan.rows {
            failures.extend(self.make_again(&volume).err());
            self.promises.lock().insert(name, volume.created);
        }
        Ok((failures, scan.set_aside))
    }

    fn make_again(&self, volume: &Volume) -> Result<()> {
        match self.inspect(&volume.name) {
            Ok(_) => Ok(()),
            // Its description was lost, and what it holds may be somebody's already.
            Err(_) if self.directory.join(&volume.name).is_dir() => {
                let directory = self.directory.join(&volume.name);
                let made = match fs::create_dir(directory.join("_data")) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => write_files(&directory, volume),
                };
                made.map_err(|source| failed("write the description", &volume.name, source))
            }
            Err(_) => self.build_and_publish(volume).map(drop),
        }
    }

    pub(super) fn build_and_publish(&self, volume: &Volume) -> Result<bool> {
        self.fresh(|fresh| build(fresh, volume).and_then(|()| self.publish(fresh, &volume.name)))
            .map_err(|source| failed("make the directory", &volume.name, source))
    }
}

fn promise(name: &str) -> impl Fn(hull_records::Error) -> Error + '_ {
    move |source| Error::Promise { name: name.to_owned(), source: Box::new(source) }
}
