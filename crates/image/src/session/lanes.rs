//! All layers of an image at once: a bounded number of lanes, each of which reads, verifies and unpacks
//! one layer in one pass.
//!
//! ```text
//! source(at) ──hash, keep as a blob──▶ decompress ──hash──▶ files of layer `at`
//! ```
//!
//! Lanes take layers from the bottom up, so that the lowest unfinished one is always being worked on: a
//! layer may wait for those below it without anybody waiting for ever. The first failure stops all.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use hull_archive::{Compression, Limits, Unpacked, digest_of};
use hull_content::{Blob, Store, Tee};
use hull_snapshot::{Ground, LayerStage, StagedOrVisible};
use hull_types::Digest;

use super::expect;
use crate::{Error, Result};

/// Layers that are worked on at the same time. Each may hold a few mebibytes, and a zstd window.
const LANES: usize = 4;

/// Where the bytes of layers come from.
pub(crate) trait LayerSource: Sync {
    /// The archive of layer `at`, as compressed as its blob. Called at most once per layer and from the
    /// bottom up, but for several layers before the first is read to its end.
    fn open(&self, at: usize) -> Result<Box<dyn Read + Send + '_>>;

    /// Whether the source keeps and verifies the blobs itself; otherwise they are kept as they are read.
    fn keeps(&self) -> bool {
        false
    }

    /// The blob of layer `at`, which has been read to its end, from a source that keeps it.
    fn blob(&self, _at: usize) -> Result<Blob> {
        Err(Error::Read(io::ErrorKind::Unsupported.into()))
    }

    /// `bytes` of layer `at` have been read.
    fn progress(&self, at: usize, bytes: u64);
}

/// One layer's work.
pub(super) struct Job<'a> {
    /// Which layer of the image.
    pub at: usize,
    pub diff_id: Digest,
    /// Digest and size that the blob must have, if it is to be kept as it comes.
    pub keep: Option<(Digest, u64)>,
    /// A blob that is there already; otherwise the source is asked.
    pub local: Option<Local<'a>>,
    /// What to fill; `None` if the layer is there and only its blob is wanted.
    pub stage: Option<&'a LayerStage>,
    pub below: Vec<StagedOrVisible<'a>>,
}

/// Opens a blob of the session or the store.
pub(super) type Local<'a> = Box<dyn Fn() -> Result<Box<dyn Read + Send>> + Send + Sync + 'a>;

/// What came of a job.
pub(super) struct Done {
    pub at: usize,
    pub unpacked: Option<Unpacked>,
    pub compression: Compression,
    /// The blob, if it was kept as it came.
    pub blob: Option<Blob>,
}

/// Does all jobs, which are sorted by layer.
pub(super) fn run(jobs: &[Job<'_>], source: &dyn LayerSource, content: &Store, limits: Limits) -> Result<Vec<Done>> {
    let lanes = Lanes {
        jobs,
        source,
        content,
        limits,
        state: Mutex::default(),
        moved: Condvar::new(),
        failed: AtomicBool::new(false),
    };
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..LANES.min(jobs.len()) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !lanes.has_failed()) {
                    lanes.end(lanes.work(job));
                }
            });
        }
    });
    let state = lanes.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.error {
        Some(error) => Err(error),
        None => {
            let mut done = state.done;
            done.sort_by_key(|done| done.at);
            Ok(done)
        }
    }
}

struct Lanes<'a> {
    jobs: &'a [Job<'a>],
    source: &'a dyn LayerSource,
    content: &'a Store,
    limits: Limits,
    state: Mutex<State>,
    moved: Condvar,
    failed: AtomicBool,
}

#[derive(Default)]
struct State {
    done: Vec<Done>,
    error: Option<Error>,
}

impl Lanes<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        // A lane that panics ends the whole operation when the scope is left.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn end(&self, result: Result<Done>) {
        let mut state = self.state();
        match result {
            Ok(done) => state.done.push(done),
            Err(error) => {
                self.failed.store(true, Ordering::Relaxed);
                // Others fail because this one did: the first is the cause.
                state.error.get_or_insert(error);
            }
        }
        self.moved.notify_all();
    }

    /// Waits until every job of which `wanted` is true has been done; `false` if one never will be.
    fn wait(&self, wanted: impl Fn(&Job<'_>) -> bool) -> bool {
        let mut state = self.state();
        loop {
            let is_done = |job: &Job<'_>| state.done.iter().any(|done| done.at == job.at);
            if self.has_failed() {
                return false;
            }
            if self.jobs.iter().filter(|job| wanted(job)).all(is_done) {
                return true;
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, job: &Job<'_>) -> Result<Done> {
        if let Some(local) = &job.local {
            return self.unpack_local(job, local()?);
        }
        let Some((digest, size)) = job.keep else { return self.unpack_local(job, self.source.open(job.at)?) };
        let same = |other: &&Job<'_>| other.at < job.at && other.local.is_none() && other.keep == job.keep;
        match self.jobs.iter().find(same) {
            Some(first) => {
                // One blob may be several layers: it comes once.
                if !self.wait(|other| other.at == first.at) {
                    return Err(hull_archive::Error::Below.into());
                }
                let reader = self
                    .state()
                    .done
                    .iter()
                    .find(|done| done.at == first.at)
                    .and_then(|done| done.blob.as_ref().map(Blob::reader));
                match reader {
                    Some(reader) => self.unpack_local(job, Box::new(reader?)),
                    None => Err(hull_archive::Error::Below.into()),
                }
            }
            None => self.unpack_source(job, &digest, size),
        }
    }

    fn unpack_local(&self, job: &Job<'_>, from: Box<dyn Read + Send + '_>) -> Result<Done> {
        let (unpacked, compression) = self.unpack(job, &mut self.watched(job.at, from))?;
        Ok(Done { at: job.at, unpacked, compression, blob: None })
    }

    /// Keeps the bytes as a blob while they are unpacked.
    fn unpack_source(&self, job: &Job<'_>, digest: &Digest, size: u64) -> Result<Done> {
        let mut from = self.watched(job.at, self.source.open(job.at)?);
        if self.source.keeps() {
            return self.unpack_kept(job, &mut from, digest);
        }
        // One more than promised tells a longer stream from a whole one.
        let mut tee = Tee::new(from.take(size.saturating_add(1)), self.content.ingest()?);
        let unpacked = self.unpack(job, &mut tee);
        // A decompressor may leave bytes behind its end, and a failed one most of them. Whether these
        // are the promised bytes matters more than what is wrong with others.
        let rest = if self.has_failed() { Ok(0) } else { io::copy(&mut tee, &mut io::sink()) };
        let ingest = tee.into_ingest();
        let (unpacked, rest) = match (unpacked, rest) {
            (Err(error), rest) if self.has_failed() || rest.is_err() => return Err(error),
            other => other,
        };
        rest.map_err(Error::Read)?;
        if ingest.size() != size {
            return Err(Error::SizeMismatch { digest: *digest, expected: size, found: ingest.size() });
        }
        let blob = ingest.finish(Some(digest))?;
        let (unpacked, compression) = unpacked?;
        Ok(Done { at: job.at, unpacked, compression, blob: Some(blob) })
    }

    /// The source keeps the blob, and has verified it once its end has been read.
    fn unpack_kept(&self, job: &Job<'_>, from: &mut (impl Read + Send), digest: &Digest) -> Result<Done> {
        let unpacked = self.unpack(job, from);
        // As below, whether these are the promised bytes comes before what is wrong with others.
        if !self.has_failed() {
            io::copy(from, &mut io::sink()).map_err(Error::Read)?;
        }
        let (unpacked, compression) = unpacked?;
        let blob = self.source.blob(job.at)?;
        expect("a layer", digest, blob.digest())?;
        Ok(Done { at: job.at, unpacked, compression, blob: Some(blob) })
    }

    fn unpack(&self, job: &Job<'_>, from: &mut (impl Read + Send)) -> Result<(Option<Unpacked>, Compression)> {
        let Some(stage) = job.stage else {
            let (found, _, compression) = digest_of(from, self.limits.bytes)?;
            expect("a layer", &job.diff_id, found)?;
            return Ok((None, compression));
        };
        let ready = || self.wait(|other| other.at < job.at && other.stage.is_some());
        let unpacked = stage.unpack_on(from, &Ground { below: &job.below, ready: Some(&ready) }, self.limits)?;
        expect("a layer", &job.diff_id, unpacked.diff_id)?;
        Ok((Some(unpacked), unpacked.compression))
    }

    fn watched<'s>(&'s self, at: usize, from: Box<dyn Read + Send + 's>) -> Watched<'s> {
        Watched { from, lanes: self, at, seen: 0 }
    }
}

/// A stream that tells how much of it was read, and ends when another lane has failed.
struct Watched<'a> {
    from: Box<dyn Read + Send + 'a>,
    lanes: &'a Lanes<'a>,
    at: usize,
    seen: u64,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.lanes.has_failed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let read = self.from.read(buffer)?;
        self.seen += read as u64;
        self.lanes.source.progress(self.at, self.seen);
        Ok(read)
    }
}
