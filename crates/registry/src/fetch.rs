//! Fetching a blob into a sink: from where the sink stands, over several connections where the registry
//! gives ranges, again after an interruption.
//!
//! ```text
//! small, or no ranges:  one stream ─────────────────────────────▶ sink
//! large:                part 1 ┐
//!                       part 2 ├ in flight, in memory ──in order──▶ sink
//!                       part 3 ┘
//! ```
//! Parts reach the sink in order: what it holds is always a beginning of the blob, so that any interruption
//! can be resumed, and memory is bounded by the parts in flight, of one blob and of all. A part waits for memory before
//! later ones of its blob do, so the one that the sink needs next always comes.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use hull_types::Digest;
use tokio::sync::SemaphorePermit;

use crate::blob::{Part, Stream};
use crate::request::pause;
use crate::{Error, Repository, Result};

/// Blobs with less than this to go are fetched by one stream.
const LARGE: u64 = 16 << 20;
const PART: u64 = 4 << 20;
const IN_FLIGHT: usize = 4;
/// Parts in flight of all blobs together.
pub(crate) const ALL_IN_FLIGHT: usize = 5;

/// Where the bytes of a blob go.
pub trait Sink: Send {
    /// How many bytes it holds, from the beginning of the blob.
    fn offset(&self) -> u64;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// A sentence on why they cannot be kept.
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), String>;

    /// Forgets everything: the next byte is the first.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn restart(&mut self) -> std::result::Result<(), String>;
}

/// A blob that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Its name.
    pub digest: Digest,
    /// Its bytes, as the manifest promises.
    pub size: u64,
}

impl Repository {
    /// Brings a blob into a sink. Its digest is the sink's to verify.
    ///
    /// # Errors
    /// The last failure, when trying again did not help.
    pub async fn fetch(&self, wanted: Wanted, sink: &mut dyn Sink) -> Result<()> {
        let mut failures = 0;
        let mut ranges = true;
        while sink.offset() < wanted.size {
            let before = sink.offset();
            let error = match self.attempt(wanted, sink, &mut ranges).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            // Without ranges the whole blob may still come.
            let unranged = matches!(error, Error::Range { .. } | Error::Status { status: 416, .. });
            if unranged && ranges {
                ranges = false;
            } else if !error.is_transient() {
                return Err(error);
            }
            failures = if sink.offset() > before { 1 } else { failures + 1 };
            if failures >= self.client.config().attempts {
                return Err(error);
            }
            tracing::debug!(blob = %wanted.digest, at = sink.offset(), %error, "resuming");
            tokio::time::sleep(pause(failures - 1)).await;
        }
        Ok(())
    }

    /// One attempt at what is left.
    async fn attempt(&self, wanted: Wanted, sink: &mut dyn Sink, ranges: &mut bool) -> Result<()> {
        let (from, size) = (sink.offset(), wanted.size);
        if !*ranges && from > 0 {
            sink.restart().map_err(Error::Sink)?;
            return self.whole(wanted, sink).await;
        }
        if !*ranges || size - from < LARGE {
            let stream = self.part(&wanted.digest, Part { from, to: size, size }).await?;
            return drain(stream, sink).await;
        }
        // The first part shows whether ranges are given at all.
        let first = self.part(&wanted.digest, Part { from, to: from + PART, size }).await?;
        if first.left() != PART {
            *ranges = false;
            return drain(first, sink).await;
        }
        drain(first, sink).await?;
        let starts = (from + PART..size).step_by(usize::try_from(PART).unwrap_or(usize::MAX));
        let parts = starts.map(|from| self.in_memory(&wanted.digest, Part { from, to: size.min(from + PART), size }));
        let mut parts = stream::iter(parts).buffered(IN_FLIGHT);
        while let Some(part) = parts.next().await {
            let (pieces, _memory) = part?;
            for piece in pieces {
                sink.write(&piece).map_err(Error::Sink)?;
            }
        }
        Ok(())
    }

    async fn whole(&self, wanted: Wanted, sink: &mut dyn Sink) -> Result<()> {
        let stream = self.part(&wanted.digest, Part { from: 0, to: wanted.size, size: wanted.size }).await?;
        drain(stream, sink).await
    }

    async fn in_memory(&self, digest: &Digest, part: Part) -> Result<(Vec<Bytes>, Option<SemaphorePermit<'_>>)> {
        // Never closed, so there always is one.
        let memory = self.client.inner.parts.acquire().await.ok();
        let mut stream = self.part(digest, part).await?;
        if stream.from != part.from || stream.left() != part.to - part.from {
            let (registry, why) = (self.authority().to_owned(), "all of it".to_owned());
            return Err(Error::Range { registry, digest: *digest, why });
        }
        let mut pieces = Vec::new();
        while let Some(piece) = stream.next().await? {
            pieces.push(piece);
        }
        Ok((pieces, memory))
    }
}

/// Moves a stream into the sink, which starts anew if the stream does.
async fn drain(mut stream: Stream, sink: &mut dyn Sink) -> Result<()> {
    if stream.from != sink.offset() {
        sink.restart().map_err(Error::Sink)?;
    }
    while let Some(piece) = stream.next().await? {
        sink.write(&piece).map_err(Error::Sink)?;
    }
    Ok(())
}
