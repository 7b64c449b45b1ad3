//! [`Source`]: a stream before its compression is undone. What it shows is never a splinter.
//!
//! libzstd 1.5.7, when a frame's header reaches it in two pieces, looks for a whole frame at the beginning of the second
//! piece (`ZSTD_decompressStream`, the single-pass mode): what a stream holds then depended on how it came. So all
//! that is left, or at least a whole header, is shown at once.

use std::io::{self, BufRead, Read};

/// The longest header of a zstd frame (RFC 8878, 3.1.1.1).
const HEADER: usize = 18;
const ROOM: usize = 1 << 17;

/// A buffered stream that shows at least [`HEADER`] bytes unless it ends before.
pub(crate) struct Source<R> {
    from: R,
    buffer: Vec<u8>,
    /// Where what was not taken yet begins and ends.
    begin: usize,
    end: usize,
}

impl<R: Read> Source<R> {
    /// A stream at its start.
    pub fn new(from: R) -> Self {
        Self { from, buffer: vec![0; ROOM], begin: 0, end: 0 }
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.end - self.begin < HEADER {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
            while self.end < HEADER {
                match self.from.read(&mut self.buffer[self.end..]) {
                    Ok(0) => break,
                    Ok(read) => self.end += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(&self.buffer[self.begin..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.begin = self.end.min(self.begin + bytes);
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.begin == self.end && buffer.len() >= ROOM {
            // Nothing is kept here: no second copy.
            return self.from.read(buffer);
        }
        let shown = self.fill_buf()?;
        let bytes = shown.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&shown[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drop<'a>(&'a [u8]);

    impl Read for Drop<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn a_header_is_shown_whole_however_it_comes() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut source = Source::new(Drop(&bytes));
        let mut seen = Vec::new();
        for step in [1, 17, 2, 5].into_iter().cycle() {
            let shown = source.fill_buf().unwrap();
            assert!(shown.len() >= HEADER || bytes.ends_with(shown), "{} bytes", shown.len());
            if shown.is_empty() {
                break;
            }
            let taken = step.min(shown.len());
            seen.extend_from_slice(&shown[..taken]);
            source.consume(taken);
        }
        assert_eq!(seen, bytes);
    }
}
