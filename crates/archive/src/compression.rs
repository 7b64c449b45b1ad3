//! Recognising and undoing compression.

use std::io::{self, BufRead, Read, Write};

use flate2::bufread::MultiGzDecoder;

use crate::Error;
use crate::frames::Frames;
use crate::source::Source;
use crate::window::{self, LARGEST, Large, USUAL};

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// From an archive's first bytes; six are enough. Known but unsupported formats are an error.
    pub fn detect(start: &[u8]) -> Result<Self, Error> {
        match start {
            [0x1f, 0x8b, 8, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            // A skippable frame may precede the first real one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => Err(Error::Compression("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(Error::Compression("xz")),
            [b'P', b'K', 3, 4, ..] => Err(Error::Compression("zip")),
            _ => Ok(Self::Plain),
        }
    }
}

/// A stream with its compression undone.
pub struct Decompressor<R: Read> {
    inner: Inner<Source<R>>,
    compression: Compression,
    _large: Option<Large>,
}

enum Inner<B: BufRead> {
    Plain(B),
    Gzip(Box<MultiGzDecoder<B>>),
    Zstd(Box<Frames<B>>),
}

impl<R: Read> Decompressor<R> {
    /// Reads the first bytes of `from` and chooses. zstd streams may have windows of up to 8 MiB.
    pub fn new(from: R) -> Result<Self, Error> {
        Self::choose(from, |window| window::check(window, USUAL).map(|()| None))
    }

    /// The same with windows of up to 32 MiB. Of those above 8 MiB this process holds one at a time: `before` is called
    /// before it waits for its turn, and must bring about whatever the reader of this stream may wait for.
    pub fn with_large_windows(from: R, before: impl FnOnce() -> Result<(), Error>) -> Result<Self, Error> {
        Self::choose(from, |window| {
            window::check(window, LARGEST)?;
            if window.is_some_and(|bytes| bytes <= 1 << USUAL) {
                return Ok(None);
            }
            before()?;
            Ok(Some(Large::wait()))
        })
    }

    fn choose(from: R, room: impl FnOnce(Option<u64>) -> Result<Option<Large>, Error>) -> Result<Self, Error> {
        let mut source = Source::new(from);
        let start = source.fill_buf().map_err(Error::Read)?;
        let compression = Compression::detect(start)?;
        let large = match compression {
            Compression::Zstd => room(window::of_header(start))?,
            _ => None,
        };
        let inner = match compression {
            Compression::Plain => Inner::Plain(source),
            Compression::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(source))),
            Compression::Zstd => {
                // Later frames are bound by it, too.
                let log = if large.is_some() { LARGEST } else { USUAL };
                Inner::Zstd(Box::new(Frames::new(source, log).map_err(Error::Read)?))
            }
        };
        Ok(Self { inner, compression, _large: large })
    }

    /// What was found.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(from) => from.read(buffer),
            Inner::Gzip(from) => from.read(buffer),
            Inner::Zstd(from) => from.read(buffer),
        }
    }
}

/// A stream that compresses what is written to it, quickly rather than well.
pub struct Gzip<W: Write>(flate2::write::GzEncoder<W>);

impl<W: Write> Gzip<W> {
    /// A stream at its start. The same bytes always give the same result.
    pub fn new(to: W) -> Self {
        Self(flate2::write::GzEncoder::new(to, flate2::Compression::fast()))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// What `to` answers.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
        let mut from = Decompressor::new(bytes).map_err(io::Error::other)?;
        let mut out = Vec::new();
        from.read_to_end(&mut out)?;
        Ok((from.compression(), out))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).and_then(|()| to.finish()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_compression_is_recognised_and_undone() {
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap_or_else(|error| panic!("{error}"));
        let two = |one: Vec<u8>, other: Vec<u8>| [one, other].concat();
        let rows = [
            (b"".to_vec(), Compression::Plain, &b""[..]),
            (b"abc".to_vec(), Compression::Plain, b"abc"),
            (gzip(b"abc"), Compression::Gzip, b"abc"),
            (two(gzip(b"abc"), gzip(b"def")), Compression::Gzip, b"abcdef"),
            (zstd(b"abc"), Compression::Zstd, b"abc"),
            (two(zstd(b"abc"), zstd(b"def")), Compression::Zstd, b"abcdef"),
        ];
        for (bytes, compression, plain) in rows {
            assert_eq!(undone(&bytes).ok(), Some((compression, plain.to_vec())));
        }
    }

    #[test]
    fn damage_is_an_error() {
        let whole = gzip(&[7; 100_000]);
        assert!(undone(&whole[..whole.len() - 4]).is_err(), "cut short");
        let mut flipped = whole.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        assert!(undone(&flipped).is_err(), "wrong checksum");
        for (start, name) in [(&b"BZh91AY"[..], "bzip2"), (b"\xfd7zXZ\0\0", "xz")] {
            let error = Decompressor::new(start).err().map(|error| error.to_string());
            assert_eq!(error, Some(format!("{name} compression is not supported")));
        }
    }
}
