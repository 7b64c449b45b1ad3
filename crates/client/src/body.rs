//! The body of a response as a reader. At its end the connection goes back to the client.

use std::io::{self, Read};

use crate::Client;
use crate::conn::{Conn, Head};

/// What is left of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// So many bytes.
    Length(u64),
    /// So many bytes of this chunk, then further chunks.
    Chunk(u64),
    /// Everything until the stream ends.
    ToEnd,
    Done,
}

/// A response body. Dropping it early closes its connection.
#[derive(Debug)]
pub(crate) struct Body<'c> {
    client: &'c Client,
    conn: Option<Conn>,
    rest: Rest,
    first_chunk: bool,
    keep: bool,
}

impl<'c> Body<'c> {
    pub fn new(client: &'c Client, conn: Conn, head: &Head) -> Self {
        let rest = match (head.status, head.chunked, head.length) {
            (204 | 304, _, _) => Rest::Done,
            (_, true, _) => Rest::Chunk(0),
            (_, false, Some(0)) => Rest::Done,
            (_, false, Some(length)) => Rest::Length(length),
            (_, false, None) => Rest::ToEnd,
        };
        let mut body = Self { client, conn: Some(conn), rest, first_chunk: true, keep: !head.close };
        body.release_if_done();
        body
    }

    pub fn read_all(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn release_if_done(&mut self) {
        if self.rest != Rest::Done {
            return;
        }
        if let Some(conn) = self.conn.take().filter(|_| self.keep) {
            self.client.give_back(conn);
        }
    }

    /// Moves to the next chunk; its size goes into `rest`.
    fn next_chunk(&mut self) -> io::Result<()> {
        let Some(conn) = self.conn.as_mut() else { return Ok(()) };
        if !self.first_chunk {
            conn.read_line()?;
        }
        self.first_chunk = false;
        let line = conn.read_line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("chunk size: {digits}")))?;
        if size > 0 {
            self.rest = Rest::Chunk(size);
            return Ok(());
        }
        while !conn.read_line()?.is_empty() {}
        self.rest = Rest::Done;
        Ok(())
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.rest == Rest::Chunk(0) {
            self.next_chunk()?;
        }
        let limit = match self.rest {
            Rest::Length(left) | Rest::Chunk(left) => usize::try_from(left).unwrap_or(usize::MAX).min(out.len()),
            Rest::ToEnd => out.len(),
            Rest::Done => 0,
        };
        let count = match self.conn.as_mut() {
            Some(conn) if limit > 0 => conn.read_some(&mut out[..limit])?,
            _ => 0,
        };
        let read = count as u64;
        self.rest = match self.rest {
            Rest::Length(_) | Rest::Chunk(_) if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Rest::Length(left) if left == read => Rest::Done,
            Rest::Length(left) => Rest::Length(left - read),
            Rest::Chunk(left) => Rest::Chunk(left - read),
            Rest::ToEnd if count == 0 => Rest::Done,
            other => other,
        };
        self.keep &= self.rest != Rest::ToEnd;
        self.release_if_done();
        Ok(count)
    }
}
