//! One connection: bytes out, the head of a response in, and what was read beyond it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// A response's head larger than this is refused.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
const CHUNK: usize = 16 * 1024;

/// A stream and the bytes that were read from it but not yet consumed.
#[derive(Debug)]
pub(crate) struct Conn {
    stream: UnixStream,
    buffer: Vec<u8>,
    start: usize,
}

/// The head of a response, as far as this client cares.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub status: u16,
    pub length: Option<u64>,
    pub chunked: bool,
    pub close: bool,
    pub content_type: String,
    pub api_version: String,
    pub server: String,
    /// docker's description of a path, encoded.
    pub path_stat: String,
}

impl Conn {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: Vec::new(), start: 0 }
    }

    /// Whether the engine has neither closed it nor sent something unasked.
    pub fn is_usable(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let mut byte = [0_u8; 1];
        let peeked = recv(&self.stream, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        self.start == self.buffer.len() && matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The stream and the bytes that came behind the head.
    pub fn into_parts(mut self) -> (UnixStream, Vec<u8>) {
        let rest = self.buffer.split_off(self.start);
        (self.stream, rest)
    }

    /// Bytes read and not consumed.
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start >= self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Reads once more behind the pending bytes; 0 is the end of the stream.
    pub fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let used = self.buffer.len();
        self.buffer.resize(used + CHUNK, 0);
        let result = loop {
            match self.stream.read(&mut self.buffer[used..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(used + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Reads straight into the caller's buffer when nothing is pending.
    pub fn read_some(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.pending().is_empty() {
            return self.stream.read(out);
        }
        let count = out.len().min(self.pending().len());
        out[..count].copy_from_slice(&self.pending()[..count]);
        self.consume(count);
        Ok(count)
    }

    /// Reads one line of a chunked body, without its line end.
    pub fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.pending().iter().position(|b| *b == b'\n') {
                let line = String::from_utf8_lossy(&self.pending()[..end]).trim_end().to_owned();
                self.consume(end + 1);
                return Ok(line);
            }
            if self.pending().len() > MAX_HEAD {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of the answer is too long"));
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads the head of the next final response; skips `100 Continue`.
    pub fn read_head(&mut self) -> io::Result<Head> {
        loop {
            match parse_head(self.pending())? {
                Some((head, used)) => {
                    self.consume(used);
                    if head.status >= 200 || head.status == 101 {
                        return Ok(head);
                    }
                }
                None if self.pending().len() > MAX_HEAD => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer's head is too long"));
                }
                None => {
                    if self.fill()? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(bytes).map_err(|e| invalid(e.to_string()))? {
        httparse::Status::Complete(used) => used,
        httparse::Status::Partial => return Ok(None),
    };
    let mut head = Head { status: response.code.unwrap_or(0), ..Head::default() };
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                head.length = Some(value.parse().map_err(|_| invalid(format!("content-length: {value}")))?);
            }
            "transfer-encoding" => head.chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => head.close = value.eq_ignore_ascii_case("close"),
            "content-type" => head.content_type = value.into_owned(),
            "api-version" => head.api_version = value.into_owned(),
            "x-docker-container-path-stat" => head.path_stat = value.into_owned(),
            "server" => head.server = value.into_owned(),
            _ => {}
        }
    }
    Ok(Some((head, used)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_parse_and_partial_ones_wait() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nApi-Version: 1.51\r\n\r\nhello";
        for cut in 0..text.len() - 5 {
            assert!(parse_head(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let (head, used) = parse_head(text).unwrap().unwrap();
        assert_eq!((head.status, head.length, head.api_version.as_str()), (200, Some(5), "1.51"));
        assert_eq!(&text[used..], b"hello");
        assert!(parse_head(b"garbage\r\n\r\n").is_err());
    }
}
