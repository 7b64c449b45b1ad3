//! [`Lines`]: what `docker logs` shows of a spool: a span of time, the last lines, times in front.

use hull_types::Timestamp;

use crate::Stream;
use crate::reader::{Chunk, Place, Reader};
use crate::spool::Published;

/// A line without an end is shown in parts of this size.
const PART: usize = 16 * 1024;

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct LineOptions {
    /// fd 1.
    pub stdout: bool,
    /// fd 2.
    pub stderr: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Each line begins with this, after its time.
    pub details: Option<String>,
    /// Nanoseconds since 1970 from which on.
    pub since: Option<i64>,
    /// Nanoseconds since 1970 up to which.
    pub until: Option<i64>,
    /// The last so many lines.
    pub tail: Option<u64>,
    /// Go on until the run ends.
    pub follow: bool,
}

impl LineOptions {
    /// Bytes are shown as they came.
    fn is_plain(&self) -> bool {
        !self.timestamps && self.details.is_none()
    }

    fn wants(&self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

/// A log being shown.
#[derive(Debug)]
pub struct Lines {
    reader: Reader,
    options: LineOptions,
    /// Unfinished lines: a line is shown as a whole, as docker does. Clients take a frame for a line.
    parts: [Part; 2],
    over: bool,
    flushed: usize,
}

#[derive(Debug, Default)]
struct Part {
    time: i64,
    bytes: Vec<u8>,
}

impl Lines {
    /// Finds the place where the options begin.
    pub fn new(mut reader: Reader, options: LineOptions) -> Self {
        if !options.follow {
            reader.stop_here();
        }
        let published = reader.published();
        let from = options.since.map_or(published.first, |since| first_since(&reader, &published, since));
        reader.go(Place { entry: from, done: 0 });
        if let Some(tail) = options.tail {
            let place = last_lines(&reader, &published, &options, from, tail);
            reader.go(place);
        }
        Self { reader, options, parts: Default::default(), over: false, flushed: 0 }
    }

    /// The next bytes to show.
    pub async fn next(&mut self) -> Option<(Stream, Vec<u8>)> {
        while !self.over {
            let chunk = if self.options.follow { self.reader.next().await } else { self.reader.next_now() };
            match chunk {
                None => self.over = true,
                Some(chunk) if self.options.until.is_some_and(|until| chunk.time > until) => self.over = true,
                Some(chunk) if !self.options.wants(chunk.stream) => {}
                Some(chunk) if self.options.is_plain() => {
                    let stream = chunk.stream;
                    let out = self.whole(chunk);
                    if !out.is_empty() {
                        return Some((stream, out));
                    }
                }
                Some(chunk) => {
                    let out = self.stamp(&chunk);
                    if !out.is_empty() {
                        return Some((chunk.stream, out));
                    }
                }
            }
        }
        self.flush()
    }

    /// Whole lines of the stream as they came; the rest waits.
    fn whole(&mut self, chunk: Chunk) -> Vec<u8> {
        let waiting = &mut self.parts[chunk.stream.index()].bytes;
        let end = chunk.bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if waiting.is_empty() && end == chunk.bytes.len() {
            return chunk.bytes;
        }
        let mut out = if end > 0 { std::mem::take(waiting) } else { Vec::new() };
        out.extend_from_slice(&chunk.bytes[..end]);
        waiting.extend_from_slice(&chunk.bytes[end..]);
        if waiting.len() >= PART {
            out.append(waiting);
        }
        out
    }

    /// Whole lines of the stream, each with its time in front; the rest waits.
    fn stamp(&mut self, chunk: &Chunk) -> Vec<u8> {
        let options = &self.options;
        let part = &mut self.parts[chunk.stream.index()];
        let mut out = Vec::new();
        for piece in chunk.bytes.split_inclusive(|b| *b == b'\n') {
            part.time = chunk.time;
            part.bytes.extend_from_slice(piece);
            if piece.ends_with(b"\n") || part.bytes.len() >= PART {
                part.print(options, &mut out);
            }
        }
        out
    }

    /// What was written without a newline at the end.
    fn flush(&mut self) -> Option<(Stream, Vec<u8>)> {
        while let Some(stream) = Stream::ALL.get(self.flushed) {
            self.flushed += 1;
            let part = &mut self.parts[stream.index()];
            if !part.bytes.is_empty() {
                let mut out = Vec::new();
                part.print(&self.options, &mut out);
                return Some((*stream, out));
            }
        }
        None
    }
}

impl Part {
    fn print(&mut self, options: &LineOptions, out: &mut Vec<u8>) {
        if options.timestamps {
            out.extend_from_slice(Timestamp::from_nanos(self.time).fixed().as_bytes());
            out.push(b' ');
        }
        if let Some(details) = &options.details {
            out.extend_from_slice(details.as_bytes());
            out.push(b' ');
        }
        out.append(&mut self.bytes);
    }
}

/// Number of the first entry at or after `since`. Clocks that ran backwards make it approximate.
fn first_since(reader: &Reader, published: &Published, since: i64) -> u64 {
    let (mut low, mut high) = (published.first, published.count);
    while low < high {
        let middle = low + (high - low) / 2;
        match reader.entry(published, middle) {
            Some(entry) if entry.time >= since => high = middle,
            _ => low = middle + 1,
        }
    }
    low
}

/// Where the last `tail` lines begin, looking back no further than entry `from`.
fn last_lines(reader: &Reader, published: &Published, options: &LineOptions, from: u64, tail: u64) -> Place {
    let mut lines = 0;
    let mut ends = [true; 2];
    let mut beginning = Place { entry: published.count, done: 0 };
    for number in (from..published.count).rev() {
        let Some(entry) = reader.entry(published, number) else { continue };
        let late = options.until.is_some_and(|until| entry.time > until);
        if late || !options.wants(entry.stream) {
            continue;
        }
        let Some(bytes) = reader.bytes(&entry, 0, entry.len) else { continue };
        let unfinished = std::mem::take(&mut ends[entry.stream.index()]) && !bytes.ends_with(b"\n");
        if unfinished {
            if lines == tail {
                return beginning;
            }
            lines += 1;
        }
        for at in (0..bytes.len()).rev().filter(|at| bytes[*at] == b'\n') {
            if lines == tail {
                return Place { entry: number, done: at as u32 + 1 };
            }
            lines += 1;
        }
        beginning = Place { entry: number, done: 0 };
    }
    if tail == 0 { Place { entry: published.count, done: 0 } } else { Place { entry: from, done: 0 } }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
