//! [`Frames`]: zstd undone, frame after frame, always in the same way.
//!
//! libzstd 1.5.7 has two ways to undo a frame that states its length, and they do not refuse the same damage. It takes
//! the short one when a whole frame is at hand as its header is read and its content has room where it is to go
//! (`ZSTD_decompressStream`, the single-pass mode): whether a stream is accepted then depended on how it was read. So
//! no room is offered while a header is read, and the long way is taken each time.

use std::io::{self, BufRead, Read};

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// What the frames of `from` hold.
pub(crate) struct Frames<B> {
    from: B,
    decoder: Decoder<'static>,
    /// A frame has begun and not ended.
    inside: bool,
}

impl<B: BufRead> Frames<B> {
    /// A stream at its start. `from` has to show a frame's whole header at once. Frames whose window needs more than
    /// `log`, a power of two in bytes, are refused.
    pub fn new(from: B, log: u32) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(log))?;
        Ok(Self { from, decoder, inside: false })
    }
}

impl<B: BufRead> Read for Frames<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            let shown = self.from.fill_buf()?;
            let ended = shown.is_empty();
            if ended && !self.inside {
                break;
            }
            let mut from = InBuffer::around(shown);
            let mut to = OutBuffer::around(if self.inside { &mut *buffer } else { &mut [] });
            // Zero once a frame has ended and all of it was written.
            self.inside = self.decoder.run(&mut from, &mut to)? != 0;
            let (taken, written) = (from.pos(), to.pos());
            self.from.consume(taken);
            if written > 0 {
                return Ok(written);
            }
            if ended && self.inside {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete frame"));
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    /// A frame that announces `said` bytes and holds `content` in a raw block, with an empty one behind it.
    fn frame(said: u8, content: &[u8]) -> Vec<u8> {
        let header = [0x28, 0xb5, 0x2f, 0xfd, 0x20, said];
        let block = |bytes: &[u8], last: bool| {
            let length = u32::try_from(bytes.len()).unwrap() << 3 | u32::from(last);
            [&length.to_le_bytes()[..3], bytes].concat()
        };
        [&header[..], &block(content, false), &block(b"", true)].concat()
    }

    /// By pieces of `step` bytes.
    fn read(bytes: &[u8], step: usize) -> Result<Vec<u8>, String> {
        let mut from = Frames::new(Source::new(bytes), 23).unwrap();
        let (mut all, mut piece) = (Vec::new(), vec![0; step]);
        loop {
            match from.read(&mut piece).map_err(|error| error.to_string())? {
                0 => return Ok(all),
                read => all.extend_from_slice(&piece[..read]),
            }
        }
    }

    #[test]
    fn it_does_not_matter_how_much_is_asked_for() {
        let long = zstd::encode_all(&b"again and again and ".repeat(40_000)[..], 3).unwrap();
        let streams = [
            frame(3, b"abc"),
            // Announced as more than there is: in the short way an error, in the long one not.
            frame(40, b"abc"),
            frame(40, b""),
            frame(0, b""),
            [frame(3, b"abc"), frame(2, b"de")].concat(),
            [frame(3, b"abc"), vec![0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]].concat(),
            long.clone(),
            long[..long.len() - 1].to_vec(),
            frame(3, b"abc")[..9].to_vec(),
            [frame(3, b"abc"), b"neither".to_vec()].concat(),
        ];
        for bytes in &streams {
            let first = read(bytes, 1);
            for step in [2, 3, 4, 32, 1000, 1 << 18] {
                assert!(read(bytes, step) == first, "{step}: {first:?}");
            }
        }
        assert_eq!(
            streams.iter().map(|bytes| read(bytes, 9).is_ok()).collect::<Vec<_>>(),
            [true, true, true, true, true, true, true, false, false, false]
        );
        assert_eq!(read(&streams[4], 4).unwrap(), b"abcde");
    }
}
