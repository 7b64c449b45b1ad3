//! Output frames: docker's multiplexed stream taken apart, as it arrives and without waiting for whole frames.

use std::io::{self, Read};
use std::ops::Range;

use hull_wire::{FRAME_HEADER, StdStream, parse_frame_header};

/// Takes a multiplexed stream apart; feed it whatever arrives.
#[derive(Debug, Default)]
pub struct Demux {
    header: [u8; FRAME_HEADER],
    have: usize,
    current: Option<(StdStream, u32)>,
}

impl Demux {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes off the front of `input`: a piece of payload with its stream, or `None` when all of `input` is
    /// consumed and more is needed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is not a multiplexed stream.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> io::Result<Option<(StdStream, &'i [u8])>> {
        while !input.is_empty() {
            if let Some((stream, left)) = self.current {
                let count = input.len().min(left as usize);
                let (piece, rest) = input.split_at(count);
                *input = rest;
                let left = left - count as u32;
                self.current = (left > 0).then_some((stream, left));
                return Ok(Some((stream, piece)));
            }
            self.take_header(input)?;
        }
        Ok(None)
    }

    fn take_header(&mut self, input: &mut &[u8]) -> io::Result<()> {
        let count = input.len().min(FRAME_HEADER - self.have);
        let (piece, rest) = input.split_at(count);
        self.header[self.have..self.have + count].copy_from_slice(piece);
        self.have += count;
        *input = rest;
        if self.have < FRAME_HEADER {
            return Ok(());
        }
        self.have = 0;
        let Some((stream, length)) = parse_frame_header(self.header) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the output stream is garbled"));
        };
        self.current = (length > 0).then_some((stream, length));
        Ok(())
    }
}

/// Reads pieces of output from a stream, multiplexed or raw.
#[derive(Debug)]
pub struct FrameReader<R> {
    from: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Absent for a raw stream: everything is standard output.
    demux: Option<Demux>,
    /// A piece that is in the buffer and was not asked for yet.
    held: Option<(StdStream, Range<usize>)>,
}

impl<R: Read> FrameReader<R> {
    /// `pending` are bytes that were already read from `from`.
    pub fn new(from: R, pending: Vec<u8>, multiplexed: bool) -> Self {
        let end = pending.len();
        let mut buffer = pending;
        buffer.resize(end.max(32 * 1024), 0);
        Self { from, buffer, start: 0, end, demux: multiplexed.then(Demux::new), held: None }
    }

    /// The next piece; `None` at the end. What has arrived of one stream is one piece, in however many frames: an engine sends a frame
    /// for each line of a log.
    ///
    /// # Errors
    /// What reading says; [`io::ErrorKind::InvalidData`] if the stream is garbled.
    pub fn next_piece(&mut self) -> io::Result<Option<(StdStream, &[u8])>> {
        let (stream, mut piece) = loop {
            if let Some(held) = self.held.take() {
                break held;
            }
            if self.start == self.end {
                self.end = self.from.read(&mut self.buffer)?;
                self.start = 0;
                if self.end == 0 {
                    return Ok(None);
                }
            }
            self.held = self.arrived()?;
        };
        while let Some((next, more)) = self.arrived()? {
            if next != stream {
                self.held = Some((next, more));
                break;
            }
            // Over the header between them, which nobody needs any more.
            let end = piece.end + more.len();
            self.buffer.copy_within(more, piece.end);
            piece.end = end;
        }
        Ok(Some((stream, &self.buffer[piece])))
    }

    /// Where in the buffer the next piece is, if any of it has arrived.
    fn arrived(&mut self) -> io::Result<Option<(StdStream, Range<usize>)>> {
        let mut input = &self.buffer[self.start..self.end];
        let found = match &mut self.demux {
            Some(demux) => demux.next(&mut input)?.map(|(stream, piece)| (stream, piece.len())),
            None => Some((StdStream::Stdout, std::mem::take(&mut input).len())).filter(|(_, length)| *length > 0),
        };
        self.start = self.end - input.len();
        Ok(found.map(|(stream, length)| (stream, self.start - length..self.start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames cut at every possible place give the same bytes.
    #[test]
    fn a_stream_cut_anywhere_decodes_alike() {
        let mut wire = Vec::new();
        for (stream, text) in [
            (StdStream::Stdout, "hello "),
            (StdStream::Stderr, "oops"),
            (StdStream::Stdout, ""),
            (StdStream::Stdout, "world"),
        ] {
            wire.extend_from_slice(&hull_wire::frame_header(stream, text.len() as u32));
            wire.extend_from_slice(text.as_bytes());
        }
        for step in 1..=wire.len() {
            let (mut demux, mut out, mut err) = (Demux::new(), Vec::new(), Vec::new());
            for mut piece in wire.chunks(step) {
                while let Some((stream, bytes)) = demux.next(&mut piece).unwrap() {
                    if stream == StdStream::Stderr {
                        err.extend_from_slice(bytes)
                    } else {
                        out.extend_from_slice(bytes)
                    }
                }
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"hello world"[..], &b"oops"[..]), "{step}");
        }
    }

    #[test]
    fn readers_take_pending_bytes_first_and_garbage_is_an_error() {
        let frame = [1, 0, 0, 0, 0, 0, 0, 2, b'h', b'i'];
        let mut reader = FrameReader::new(&frame[4..], frame[..4].to_vec(), true);
        assert_eq!(reader.next_piece().unwrap(), Some((StdStream::Stdout, &b"hi"[..])));
        assert_eq!(reader.next_piece().unwrap(), None);
        let mut raw = FrameReader::new(&b"cd"[..], b"ab".to_vec(), false);
        assert_eq!(raw.next_piece().unwrap(), Some((StdStream::Stdout, &b"ab"[..])));
        assert_eq!(raw.next_piece().unwrap(), Some((StdStream::Stdout, &b"cd"[..])));
        assert!(FrameReader::new(&[9_u8; 64][..], Vec::new(), true).next_piece().is_err());
    }

    #[test]
    fn frames_that_came_together_are_one_piece_for_each_turn_of_the_streams() {
        let frame =
            |stream, text: &str| [&hull_wire::frame_header(stream, text.len() as u32)[..], text.as_bytes()].concat();
        let (out, err) = (StdStream::Stdout, StdStream::Stderr);
        let wire =
            [frame(out, "a\n"), frame(out, "b\n"), frame(err, "c\n"), frame(out, "d\n"), frame(out, "e\n")].concat();
        let mut reader = FrameReader::new(&wire[..], Vec::new(), true);
        for expected in [(out, &b"a\nb\n"[..]), (err, b"c\n"), (out, b"d\ne\n")] {
            assert_eq!(reader.next_piece().unwrap(), Some(expected));
        }
        assert_eq!(reader.next_piece().unwrap(), None);
    }
}
