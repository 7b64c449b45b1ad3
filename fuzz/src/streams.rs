//! Archives and their compression.

use std::io::{self, Read};

use hull_archive::tar::{Entry, Reader, Writer};
use hull_archive::{Compression, Decompressor, Gzip, Limits, digest_of};
use hull_types::Digest;

/// So much of a stream is read.
const MAX: u64 = 1 << 20;
const BLOCK: usize = 512;
/// Where a header's checksum and its magic stand.
const CHECKSUM: std::ops::Range<usize> = 148..156;
const MAGIC: std::ops::Range<usize> = 257..262;

/// Entries are within the limits, and read the same after they were written.
///
/// The archive is read as it is, and again with all checksums put right, since no change at random would.
pub fn tar(data: &[u8]) {
    entries(data);
    entries(&with_checksums(data));
}

fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    for block in data.chunks_exact_mut(BLOCK).filter(|block| &block[MAGIC] == b"ustar") {
        block[CHECKSUM].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    data
}

fn entries(data: &[u8]) {
    let limits = Limits { entries: 1000, name: 1000, depth: 100, bytes: MAX, metadata: 1 << 16, extents: 100 };
    let mut reader = Reader::new(data, limits);
    while let Ok(Some(entry)) = reader.next_entry() {
        check(&entry);
        let Some(content) = content(&mut reader) else { return };
        again(&entry, &content);
    }
}

fn check(entry: &Entry) {
    assert!(!entry.path.contains(&0) && !entry.link.contains(&0), "a NUL in a name: {entry:?}");
    assert!(entry.mtime.nanos < 1_000_000_000, "{entry:?}");
    let mut end = 0;
    for extent in entry.sparse.iter().flatten() {
        assert!(extent.offset >= end, "pieces overlap: {entry:?}");
        end = extent.offset.checked_add(extent.length).expect("a piece ends");
    }
    assert!(end <= entry.size, "a piece beyond the end: {entry:?}");
}

/// `None` if it is cut short.
fn content(reader: &mut Reader<&[u8]>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let piece = reader.chunk().ok()?;
        if piece.is_empty() {
            return Some(all);
        }
        let taken = piece.len();
        all.extend_from_slice(piece);
        reader.consume(taken);
    }
}

fn again(entry: &Entry, content: &[u8]) {
    if entry.sparse.is_some() {
        return;
    }
    let mut writer = Writer::new(Vec::new());
    if writer.append(entry, content).is_err() {
        return;
    }
    let written = writer.finish().expect("memory takes it");
    let mut reader = Reader::new(&written[..], Limits::default());
    assert_eq!(reader.next_entry().expect("it was written").as_ref(), Some(entry));
    assert_eq!(self::content(&mut reader).as_deref(), Some(content));
}

/// Gives seven bytes at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(7);
        self.0.read(&mut buffer[..most])
    }
}

/// gzip: see [`stream`]; and what is compressed is the same again afterwards.
pub fn gzip(data: &[u8]) {
    stream(data);
    let mut packed = Gzip::new(Vec::new());
    io::copy(&mut &data[..], &mut packed).expect("memory takes it");
    let packed = packed.finish().expect("memory takes it");
    let (found, bytes, compression) = digest_of(&packed[..], u64::MAX).expect("it was just packed");
    assert_eq!((found, bytes, compression), (Digest::of(data), data.len() as u64, Compression::Gzip));
}

/// zstd: see [`stream`].
pub fn zstd(data: &[u8]) {
    stream(data);
}

/// Three ways to read a stream agree on what it is, and on whether it is damaged: in small pieces into memory, in large
/// ones into a digest, and as it comes over a poor line.
fn stream(data: &[u8]) {
    let Ok(mut from) = Decompressor::with_large_windows(data, || Ok(())) else { return };
    let mut plain = Vec::new();
    let read = from.by_ref().take(MAX + 1).read_to_end(&mut plain);
    let seen = from.compression();
    // A large window may be had once at a time.
    drop(from);
    let poor = digest_of(Slow(data), MAX);
    assert_eq!(poor.ok(), digest_of(data, MAX).ok(), "it matters how it comes");
    match (read, digest_of(data, MAX)) {
        (Ok(bytes), Ok((digest, length, compression))) => {
            assert_eq!((bytes as u64, Digest::of(&plain), seen), (length, digest, compression));
        }
        (Ok(bytes), Err(_)) => assert!(bytes as u64 > MAX, "refused, but it can be read"),
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("accepted, but it cannot be read: {error}"),
    }
}
