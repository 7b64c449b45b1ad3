//! Request bodies: whole for documents, as a blocking reader for archives.

use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;

use super::head::{Framing, HeadError};

/// The body of a request.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// It is still arriving.
    Upload(Upload),
}

impl Body {
    /// The whole body; empty if it is still arriving.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Upload(_) => &[],
        }
    }

    /// The body as a reader.
    pub fn into_reader(self) -> Upload {
        match self {
            Self::Whole(current) => Upload { current, pieces: None },
            Self::Upload(upload) => upload,
        }
    }
}

/// A body that is read on a thread which may block.
pub struct Upload {
    current: Bytes,
    pieces: Option<mpsc::Receiver<Piece>>,
}

/// What the connection tells the reader.
pub(crate) enum Piece {
    Data(Bytes),
    End,
}

impl Upload {
    pub(crate) fn channel() -> (mpsc::Sender<Piece>, Self) {
        let (sender, pieces) = mpsc::channel(16);
        (sender, Self { current: Bytes::new(), pieces: Some(pieces) })
    }
}

impl Read for Upload {
    /// Blocks until there is something, and takes what else has come by then; must not be called on a thread of the runtime.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < out.len() {
            if self.current.is_empty() {
                let Some(pieces) = &mut self.pieces else { break };
                let next = match count {
                    0 => pieces.blocking_recv(),
                    _ => match pieces.try_recv() {
                        Ok(piece) => Some(piece),
                        Err(_) => break,
                    },
                };
                match next {
                    Some(Piece::Data(bytes)) => self.current = bytes,
                    Some(Piece::End) => self.pieces = None,
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
                continue;
            }
            let take = self.current.len().min(out.len() - count);
            self.current.split_to(take).copy_to_slice(&mut out[count..count + take]);
            count += take;
        }
        Ok(count)
    }
}

/// The longest line that announces a chunk.
const MAX_LINE: usize = 1024;
/// The most lines behind the last chunk.
const MAX_TRAILERS: usize = 64;

/// Where in a body the decoder is.
#[derive(Debug, PartialEq, Eq)]
enum At {
    Data(u64),
    ChunkSize,
    ChunkEnd,
    Trailer(usize),
    Done,
}

/// Takes a body off the front of what has arrived.
#[derive(Debug)]
pub(crate) struct Decoder {
    at: At,
    chunked: bool,
}

impl Decoder {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self { at: At::Done, chunked: false },
            Framing::Length(length) => Self { at: At::Data(length), chunked: false },
            Framing::Chunked => Self { at: At::ChunkSize, chunked: true },
        }
    }

    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// The next piece of data, or `None` when more has to arrive or the body is done.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, HeadError> {
        loop {
            match self.at {
                At::Done => return Ok(None),
                At::Data(left) => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    self.at = self.behind(left - count as u64);
                    return Ok(Some(input.split_to(count).freeze()));
                }
                At::ChunkSize | At::ChunkEnd | At::Trailer(_) => match take_line(input)? {
                    Some(line) => self.at = self.behind_line(&line)?,
                    None => return Ok(None),
                },
            }
        }
    }

    fn behind(&self, left: u64) -> At {
        match (left, self.chunked) {
            (0, true) => At::ChunkEnd,
            (0, false) => At::Done,
            _ => At::Data(left),
        }
    }

    fn behind_line(&self, line: &[u8]) -> Result<At, HeadError> {
        match self.at {
            At::ChunkEnd if line.is_empty() => Ok(At::ChunkSize),
            At::ChunkSize => match chunk_size(line).ok_or(HeadError::BrokenBody)? {
                0 => Ok(At::Trailer(0)),
                size => Ok(At::Data(size)),
            },
            At::Trailer(_) if line.is_empty() => Ok(At::Done),
            At::Trailer(count) if count < MAX_TRAILERS => Ok(At::Trailer(count + 1)),
            _ => Err(HeadError::BrokenBody),
        }
    }
}

/// Hexadecimal digits, then nothing or an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii_end();
    let plain = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
    plain.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()).flatten()
}

/// A line that ends in CR LF, without them; a bare LF is malformed.
fn take_line(input: &mut BytesMut) -> Result<Option<Bytes>, HeadError> {
    let Some(end) = input.iter().position(|b| *b == b'\n') else {
        return if input.len() > MAX_LINE { Err(HeadError::BrokenBody) } else { Ok(None) };
    };
    let mut line = input.split_to(end + 1).freeze();
    if end > MAX_LINE || end == 0 || line[end - 1] != b'\r' {
        return Err(HeadError::BrokenBody);
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(framing: Framing, text: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), HeadError> {
        let (mut decoder, mut input, mut out) = (Decoder::new(framing), BytesMut::new(), Vec::new());
        for piece in text.chunks(step) {
            input.extend_from_slice(piece);
            while let Some(data) = decoder.next(&mut input)? {
                out.extend_from_slice(&data);
            }
        }
        if decoder.is_done() { Ok((out, input.to_vec())) } else { Err(HeadError::BrokenBody) }
    }

    #[test]
    fn bodies_end_where_they_say_however_they_arrive() {
        let chunked = b"5\r\nhello\r\n1;x=y\r\n \r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\nNEXT";
        for step in 1..=chunked.len() {
            let (body, rest) = decode(Framing::Chunked, chunked, step).unwrap();
            assert_eq!((body.as_slice(), rest.as_slice()), (&b"hello 0123456789"[..], &b"NEXT"[..]), "{step}");
            assert_eq!(decode(Framing::Length(3), b"abcNEXT", step).unwrap().0, b"abc");
        }
        assert!(decode(Framing::Length(0), b"N", 1).unwrap().0.is_empty());
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let long = format!("{}\r\n", "0".repeat(5000));
        for bad in [
            "x\r\n",
            "5\nhello",
            "-1\r\n",
            "+5\r\nhello\r\n",
            "\r\n",
            "5\r\nhelloX\r\n",
            "fffffffffffffffff\r\n",
            " 5\r\n",
            &long,
            "5\r\nhel",
        ] {
            assert!(decode(Framing::Chunked, bad.as_bytes(), 7).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// Bytes that arrive in any pieces decode alike, or are refused alike, and nothing panics.
        #[test]
        fn pieces_do_not_matter(text in "([0-9a-fA-F;\r\n x-]|\r\n|3\r\nabc\r\n|0\r\n\r\n){0,40}", step in 1_usize..20) {
            prop_assert_eq!(decode(Framing::Chunked, text.as_bytes(), step), decode(Framing::Chunked, text.as_bytes(), 1));
        }
    }
}
