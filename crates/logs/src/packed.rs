//! [`Packed`]: the older part of a stream's file, compressed.
//!
//! The file is cut into pieces. One that is old enough is kept as `<stream>.<number>.zst`, and is a hole in the file from then on:
//! offsets stay what they are. Whoever was reading it looks here after it has read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

use crate::Stream;

/// Bytes of a piece.
const PIECE: u64 = 256 * 1024;
/// zstd's own default.
const LEVEL: i32 = 3;

/// Which pieces of one stream are compressed: from the first up to, and without, the end.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    first: AtomicU64,
    end: AtomicU64,
}

/// One stream's file, and where its pieces lie.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub dir: &'a Path,
    pub stream: Stream,
    pub raw: &'a File,
}

/// The piece that a reader looked at last.
#[derive(Debug, Default)]
pub(crate) struct Unpacked(Option<(Stream, u64, Vec<u8>)>);

impl Packed {
    /// Finds the pieces that are there, and ends what was cut short.
    pub fn load(&self, place: Place<'_>) -> io::Result<()> {
        let prefix = place.stream.file_name().trim_end_matches("raw");
        let mut numbers = Vec::new();
        for entry in fs::read_dir(place.dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.strip_prefix(prefix).and_then(|rest| rest.split_once('.')) {
                Some((number, "zst")) => numbers.extend(number.parse::<u64>().ok()),
                Some((_, "part")) => fs::remove_file(path)?,
                _ => {}
            }
        }
        let (Some(first), Some(last)) = (numbers.iter().min(), numbers.iter().max()) else { return Ok(()) };
        self.first.store(*first, Ordering::Relaxed);
        self.end.store(last + 1, Ordering::Release);
        place.punch(*first, last + 1 - first);
        Ok(())
    }

    /// Compresses the pieces that lie in `from..until` as a whole.
    pub fn pack(&self, place: Place<'_>, from: u64, until: u64) -> io::Result<()> {
        let end = self.end.load(Ordering::Relaxed);
        for number in end.max(from / PIECE)..until / PIECE {
            let mut bytes = vec![0; PIECE as usize];
            place.raw.read_exact_at(&mut bytes, number * PIECE)?;
            place.write(number, &bytes)?;
            if self.first.load(Ordering::Relaxed) == self.end.load(Ordering::Relaxed) {
                self.first.store(number, Ordering::Relaxed);
            }
            // ORDER: readers are told before the bytes go, and look again after they have read.
            self.end.store(number + 1, Ordering::Release);
            place.punch(number, 1);
        }
        Ok(())
    }

    /// Gives up what lies before an offset.
    pub fn forget(&self, place: Place<'_>, before: u64) {
        let (first, end) = (self.first.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        let kept = (before / PIECE).min(end).max(first);
        for number in first..kept {
            // One that stays is given up with the container.
            let _ = fs::remove_file(place.path(number, "zst"));
        }
        self.first.store(kept, Ordering::Relaxed);
    }

    fn is_packed(&self, number: u64) -> bool {
        number < self.end.load(Ordering::Acquire)
    }
}

impl Place<'_> {
    fn path(&self, number: u64, kind: &str) -> PathBuf {
        self.dir.join(format!("{}{number:08}.{kind}", self.stream.file_name().trim_end_matches("raw")))
    }

    /// Whole or not at all.
    fn write(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        let packed = compressor.compress(bytes)?;
        let part = self.path(number, "part");
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
        let written = file.and_then(|file| file.write_all_at(&packed, 0));
        written.and_then(|()| fs::rename(&part, self.path(number, "zst"))).inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })
    }

    fn read(&self, number: u64) -> Option<Vec<u8>> {
        let packed = fs::read(self.path(number, "zst")).ok()?;
        zstd::bulk::decompress(&packed, PIECE as usize).ok().filter(|bytes| bytes.len() as u64 == PIECE)
    }

    /// A file system that cannot keeps them.
    fn punch(&self, number: u64, count: u64) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = fallocate(self.raw, flags, number * PIECE, count * PIECE);
    }
}

impl Unpacked {
    /// Puts what is compressed of `from..` in the place of the hole that was read; `None`: it is damaged, or given up.
    pub fn fill(&mut self, packed: &Packed, place: Place<'_>, from: u64, bytes: &mut [u8]) -> Option<()> {
        let mut done = 0;
        while done < bytes.len() {
            let at = from + done as u64;
            let number = at / PIECE;
            if !packed.is_packed(number) {
                break;
            }
            let start = (at % PIECE) as usize;
            let piece = &self.piece(place, number)?[start..];
            let take = piece.len().min(bytes.len() - done);
            bytes[done..done + take].copy_from_slice(&piece[..take]);
            done += take;
        }
        Some(())
    }

    fn piece(&mut self, place: Place<'_>, number: u64) -> Option<&[u8]> {
        if !matches!(&self.0, Some((stream, known, _)) if *stream == place.stream && *known == number) {
            self.0 = Some((place.stream, number, place.read(number)?));
        }
        self.0.as_ref().map(|(.., bytes)| &bytes[..])
    }
}
