//! [`unpack`]: decompress, hash and extract in one pass over a stream.
//!
//! ```text
//! helper thread:  source ──decompress──▶ pieces ──▶ bounded queue
//! caller:         bounded queue ──hash──▶ tar reader ──▶ files
//! ```

use std::io::{self, BufRead, Read};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use hull_types::Digest;
use sha2::{Digest as _, Sha256};

use crate::tar::Reader;
use crate::{Compression, Decompressor, Error, Extracted, Extractor, Limits, Lowers};

const PIECE: usize = 1 << 18;
const QUEUE: usize = 4;

/// What a pass over a layer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest of the uncompressed archive: the layer's diffID.
    pub diff_id: Digest,
    /// Bytes of the uncompressed archive.
    pub bytes: u64,
    /// How it was compressed.
    pub compression: Compression,
    /// What was made of it.
    pub extracted: Extracted,
}

/// Unpacks the archive that `from` holds into the empty directory `root`. `from` is read to its end.
pub fn unpack(
    from: impl Read + Send,
    root: BorrowedFd<'_>,
    lowers: Lowers<'_>,
    limits: Limits,
) -> Result<Unpacked, Error> {
    let (full_to, full_from) = sync_channel(QUEUE);
    let (empty_to, empty_from) = channel();
    thread::scope(|scope| {
        let below = lowers.clone();
        let pump = scope.spawn(move || {
            // ORDER: a large window waits its turn, and who has it must not wait for layers below that wait for theirs.
            let from = Decompressor::with_large_windows(from, || below.wait())?;
            pump(from, &full_to, &empty_from, limits.bytes)
        });
        let hasher = Sha256::new();
        let pieces = Pieces { full: full_from, empty: empty_to, piece: Vec::new(), at: 0, hasher };
        let mut reader = Reader::new(pieces, limits);
        let extracted = Extractor::new(root, lowers, limits)
            .all(&mut reader)
            .and_then(|extracted| reader.drain().map(|()| extracted));
        // Ends the pump, whose next piece finds no taker.
        let hasher = reader.into_inner().hasher;
        let pumped = pump.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (bytes, compression) = match (pumped, &extracted) {
            // The source's own error is the cause of whatever the reader saw.
            (Err(error), _) => return Err(error),
            (Ok(Some(found)), _) => found,
            (Ok(None), Err(_)) => return extracted.map(|_| unreachable!("it is an error")),
            (Ok(None), Ok(_)) => return Err(Error::Read(io::ErrorKind::BrokenPipe.into())),
        };
        let diff_id = Digest::from_raw(&hasher.finalize().into());
        Ok(Unpacked { diff_id, bytes, compression, extracted: extracted? })
    })
}

/// The digest and length of the uncompressed archive, without unpacking it.
pub fn digest_of(from: impl Read, max: u64) -> Result<(Digest, u64, Compression), Error> {
    let mut from = Decompressor::with_large_windows(from, || Ok(()))?;
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).map_err(Error::Read)?;
        if read == 0 {
            return Ok((Digest::from_raw(&hasher.finalize().into()), bytes, from.compression()));
        }
        bytes += read as u64;
        if bytes > max {
            return Err(Error::Limit { limit: max, what: "bytes" });
        }
        hasher.update(&piece[..read]);
    }
}

/// `None` if the other end gave up.
fn pump(
    mut from: Decompressor<impl Read>,
    full: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
    max: u64,
) -> Result<Option<(u64, Compression)>, Error> {
    let mut bytes = 0;
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let read = read_full(&mut from, &mut piece).map_err(Error::Read)?;
        if read == 0 {
            return Ok(Some((bytes, from.compression())));
        }
        piece.truncate(read);
        bytes += read as u64;
        if bytes > max {
            return Err(Error::Limit { limit: max, what: "bytes" });
        }
        if full.send(piece).is_err() {
            return Ok(None);
        }
    }
}

/// Reads until the buffer is full or the stream ends.
fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match from.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(read) => at += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

/// The queue's end as a stream; spent pieces go back to be filled again.
struct Pieces {
    full: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    hasher: Sha256,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            // A closed queue is the end: the pump's own result says whether it was a good one.
            let next = self.full.recv().unwrap_or_default();
            let spent = std::mem::replace(&mut self.piece, next);
            self.at = 0;
            self.hasher.update(&self.piece);
            // The pump may be gone already.
            _ = self.empty.send(spent);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let bytes = piece.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&piece[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}
