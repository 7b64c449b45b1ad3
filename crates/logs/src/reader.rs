//! [`Reader`]: a place in a spool, and the bytes from there on.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::Stream;
use crate::entry::Entry;
use crate::files::Files;
use crate::packed::Unpacked;
use crate::spool::{Published, Spool};

/// The most bytes of one [`Chunk`].
const CHUNK: u32 = 32 * 1024;

/// Bytes of one stream that arrived together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which stream.
    pub stream: Stream,
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Where a reader stands: an entry, and how many of its bytes are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub entry: u64,
    pub done: u32,
}

/// Reads a spool from one place on; each reader has its own.
#[derive(Debug)]
pub struct Reader {
    files: Arc<Files>,
    changes: watch::Receiver<Published>,
    place: Place,
    /// Where it ends, if not with what is written.
    limit: Option<Place>,
    runs_seen: u64,
    unpacked: Mutex<Unpacked>,
}

impl Reader {
    pub(crate) fn at_end(spool: &Spool) -> Self {
        let mut reader = Self::at_start(spool);
        reader.place = end_of(&reader.changes.borrow());
        reader
    }

    pub(crate) fn at_start(spool: &Spool) -> Self {
        let changes = spool.subscribe();
        let (first, runs_seen) = {
            let published = changes.borrow();
            (published.first, published.ended_runs)
        };
        Self {
            files: Arc::clone(&spool.files),
            changes,
            place: Place { entry: first, done: 0 },
            limit: None,
            runs_seen,
            unpacked: Mutex::default(),
        }
    }

    pub(crate) fn published(&self) -> Published {
        *self.changes.borrow()
    }

    pub(crate) fn go(&mut self, place: Place) {
        self.place = place;
    }

    /// Reads what is there, and nothing that is written from now on: who writes faster than it is read has an end, too.
    pub fn stop_here(&mut self) {
        self.limit = Some(end_of(&self.published()));
    }

    /// Entry `number`, if it is kept.
    pub(crate) fn entry(&self, published: &Published, number: u64) -> Option<Entry> {
        if number < published.first || number >= published.count {
            return None;
        }
        if number + 1 == published.count { published.last } else { self.files.read_entry(number) }
    }

    /// Bytes of an entry, from the page cache in the usual case.
    pub(crate) fn bytes(&self, entry: &Entry, skip: u32, len: u32) -> Option<Vec<u8>> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        self.files.read(entry.stream, entry.offset + u64::from(skip), len, &mut unpacked)
    }

    /// The next bytes, if there are any now.
    pub fn next_now(&mut self) -> Option<Chunk> {
        loop {
            // Not marked as seen: `next` must wake for whatever comes after its own look.
            let published = *self.changes.borrow();
            self.place = self.place.max(Place { entry: published.first, done: 0 });
            if self.limit.is_some_and(|limit| self.place >= limit) {
                return None;
            }
            let Some(entry) = self.entry(&published, self.place.entry) else {
                if self.place.entry >= published.count {
                    return None;
                }
                // Unreadable: given up meanwhile, or damaged. The next one may be better.
                self.place = Place { entry: self.place.entry + 1, done: 0 };
                continue;
            };
            // An entry may have grown since.
            let len = self.limit.filter(|limit| limit.entry == self.place.entry).map_or(entry.len, |limit| limit.done);
            let left = len.min(entry.len).saturating_sub(self.place.done);
            if left == 0 {
                if self.place.entry + 1 >= published.count {
                    return None;
                }
                self.place = Place { entry: self.place.entry + 1, done: 0 };
                continue;
            }
            let len = left.min(CHUNK);
            let bytes = self.bytes(&entry, self.place.done, len);
            if self.changes.borrow().first > self.place.entry {
                continue; // The bytes may have become a hole while they were read.
            }
            self.place.done += len;
            if let Some(bytes) = bytes {
                return Some(Chunk { stream: entry.stream, time: entry.time, bytes });
            }
        }
    }

    /// The next bytes; `None` when the run in which the reader was made (or, if none was in
    /// progress, the next one) has ended and all of it was read, or the spool was closed.
    pub async fn next(&mut self) -> Option<Chunk> {
        loop {
            let published = *self.changes.borrow_and_update();
            if published.ended_runs > self.runs_seen {
                let end = Place { entry: published.run_end.0.saturating_sub(1), done: published.run_end.1 };
                if published.run_end.0 == 0 || self.place >= end || self.skipped_to_end(&published) {
                    return None;
                }
            }
            if let Some(chunk) = self.next_now() {
                return Some(chunk);
            }
            if published.closed {
                return None;
            }
            // A change between the look above and here is still marked as unseen.
            if self.changes.changed().await.is_err() {
                return None;
            }
        }
    }

    fn skipped_to_end(&self, published: &Published) -> bool {
        self.place.entry >= published.run_end.0
    }

    /// The reader stays over the end of runs: it goes on with the next.
    pub fn ignore_run_ends(&mut self) {
        self.runs_seen = u64::MAX;
    }
}

/// Behind everything that was written.
fn end_of(published: &Published) -> Place {
    match published.last {
        Some(last) if published.count > 0 => Place { entry: published.count - 1, done: last.len },
        _ => Place { entry: published.count, done: 0 },
    }
}
