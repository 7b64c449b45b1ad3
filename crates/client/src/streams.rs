//! Answers that go on: JSON documents one after another, logs, and hijacked connections.

use std::io::{self, BufReader, Read};
use std::marker::PhantomData;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use hull_wire::StdStream;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::body::Body;
use crate::conn::{Conn, Head};
use crate::error::Error;
use crate::frames::FrameReader;
use crate::request::Answer;

const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// JSON documents as they arrive: events, stats, progress.
pub struct JsonStream<'c, T> {
    documents: serde_json::StreamDeserializer<'static, serde_json::de::IoRead<BufReader<Body<'c>>>, Box<RawValue>>,
    request: String,
    of: PhantomData<T>,
}

impl<'c, T: DeserializeOwned> JsonStream<'c, T> {
    pub(crate) fn new(answer: Answer<'c>) -> Self {
        let request = answer.request().to_owned();
        let documents = serde_json::Deserializer::from_reader(BufReader::new(answer.body)).into_iter();
        Self { documents, request, of: PhantomData }
    }

    fn error(&self, error: serde_json::Error) -> Error {
        let request = self.request.clone();
        if error.is_io() {
            return Error::Lost { request, source: error.into() };
        }
        Error::Protocol { request, why: error.to_string() }
    }
}

impl<T: DeserializeOwned> Iterator for JsonStream<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.documents.next()?;
        Some(document.and_then(|text| serde_json::from_slice(text.get().as_bytes())).map_err(|error| self.error(error)))
    }
}

impl<T> std::fmt::Debug for JsonStream<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonStream").field("request", &self.request).finish_non_exhaustive()
    }
}

/// The output of `logs`.
#[derive(Debug)]
pub struct Logs<'c> {
    frames: FrameReader<Body<'c>>,
}

impl<'c> Logs<'c> {
    pub(crate) fn new(answer: Answer<'c>) -> Self {
        let multiplexed = is_multiplexed(&answer.head);
        Self { frames: FrameReader::new(answer.body, Vec::new(), multiplexed) }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// What reading says.
    pub fn next_piece(&mut self) -> io::Result<Option<(StdStream, &[u8])>> {
        self.frames.next_piece()
    }
}

fn is_multiplexed(head: &Head) -> bool {
    head.content_type == MULTIPLEXED
}

/// A connection that has become the standard streams of a process.
#[derive(Debug)]
pub struct Hijacked {
    /// Writes are standard input; reads are output.
    pub stream: UnixStream,
    /// Output that came together with the answer's head: it precedes what the stream will give.
    pub buffered: Vec<u8>,
    /// Output is in frames ([`crate::Demux`]): the process has no terminal.
    pub multiplexed: bool,
}

impl Hijacked {
    pub(crate) fn new(conn: Conn, head: &Head) -> Self {
        let multiplexed = is_multiplexed(head);
        let (stream, buffered) = conn.into_parts();
        Self { stream, buffered, multiplexed }
    }

    /// Ends standard input; output goes on.
    ///
    /// # Errors
    /// What shutdown(2) says.
    pub fn close_stdin(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// The output as a reader of pieces, and the stream for input.
    ///
    /// # Errors
    /// What dup(2) says.
    pub fn split(self) -> io::Result<(FrameReader<UnixStream>, UnixStream)> {
        let input = self.stream.try_clone()?;
        Ok((FrameReader::new(self.stream, self.buffered, self.multiplexed), input))
    }
}

impl Read for Hijacked {
    /// Raw bytes, frames included.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffered.is_empty() {
            return self.stream.read(out);
        }
        let count = out.len().min(self.buffered.len());
        out[..count].copy_from_slice(&self.buffered[..count]);
        self.buffered.drain(..count);
        Ok(count)
    }
}
