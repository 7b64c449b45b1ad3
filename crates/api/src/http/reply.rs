//! Answers, and how they look on the wire.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use hull_engine::{Attached, Download, Frame};

use super::head::{Head, Method};

/// Output without frames: a terminal's, or what clients before API 1.42 expect the header to say.
pub const RAW: &str = "application/vnd.docker.raw-stream";
/// Output in frames.
pub const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// An archive.
pub const TAR: &str = "application/x-tar";

/// An answer to a request.
pub enum Reply {
    /// A status and, if the content type is not empty, a body.
    Whole {
        /// The HTTP status.
        status: u16,
        /// The media type of the body.
        content_type: &'static str,
        /// Further headers, each ending in CR LF.
        headers: Cow<'static, str>,
        /// The body.
        body: Bytes,
    },
    /// Status 200 at once, then pieces as they come.
    Stream {
        /// The media type of the body.
        content_type: &'static str,
        /// The pieces.
        pieces: BoxStream<'static, Bytes>,
        /// The client may pause reading for as long as it likes; else it is dropped after a while.
        patient: bool,
    },
    /// Status 200 at once, then an archive. An error ends it without its last chunk, so that nobody takes
    /// it for whole.
    Archive {
        /// Further headers, each ending in CR LF.
        headers: String,
        /// The archive.
        pieces: Download,
    },
    /// The connection becomes the process's standard streams.
    Hijack {
        /// [`RAW`] or [`MULTIPLEXED`]; the frames follow the terminal, not this.
        content_type: &'static str,
        /// The process's end.
        attached: Attached,
    },
    /// The same as messages of a WebSocket.
    WebSocket {
        /// Whether output is binary; else it is text.
        binary: bool,
        /// The process's end.
        attached: Attached,
    },
}

impl Reply {
    /// A status without a body.
    pub fn empty(status: u16) -> Self {
        Self::Whole { status, content_type: "", headers: Cow::Borrowed(""), body: Bytes::new() }
    }

    /// JSON.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Whole { status, content_type: "application/json", headers: Cow::Borrowed(""), body: body.into() }
    }

    /// An archive without further headers.
    pub fn archive(pieces: Download) -> Self {
        Self::Archive { headers: String::new(), pieces }
    }

    /// Whether the request failed.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Whole { status: 400.., .. })
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "UPGRADED",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// A longer body is not copied behind its head.
const JOINED: usize = 16 * 1024;

/// A whole answer in one or two pieces.
pub(crate) fn pieces(reply: &Reply, head: &Head, common: &str, keep: bool) -> (BytesMut, Bytes) {
    match reply {
        Reply::Whole { body, .. } if body.len() > JOINED && head.method != Method::Head => {
            (begin(reply, Some(head), common, keep), body.clone())
        }
        _ => (whole(reply, Some(head), common, keep), Bytes::new()),
    }
}

/// The bytes of a whole answer.
pub(crate) fn whole(reply: &Reply, head: Option<&Head>, common: &str, keep: bool) -> BytesMut {
    let mut bytes = begin(reply, head, common, keep);
    if let Reply::Whole { body, .. } = reply
        && head.is_none_or(|head| head.method != Method::Head)
    {
        bytes.put_slice(body);
    }
    bytes
}

/// Its head.
fn begin(reply: &Reply, head: Option<&Head>, common: &str, keep: bool) -> BytesMut {
    let Reply::Whole { status, content_type, headers, body } = reply else { return BytesMut::new() };
    let mut text = String::with_capacity(256);
    let _ = write!(text, "HTTP/1.1 {status} {}\r\n{common}{headers}", reason(*status));
    if !content_type.is_empty() {
        let _ = write!(text, "Content-Type: {content_type}\r\n");
    }
    if !matches!(status, 204 | 304) {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    connection(&mut text, head, keep);
    BytesMut::from(text.as_bytes())
}

/// The head of an answer in chunks; to HTTP/1.0 the body is everything until the end.
pub(crate) fn stream_head(content_type: &str, head: &Head, common: &str, keep: bool) -> String {
    let mut text = format!("HTTP/1.1 200 OK\r\n{common}Content-Type: {content_type}\r\n");
    if head.http_11 {
        text.push_str("Transfer-Encoding: chunked\r\n");
    }
    connection(&mut text, Some(head), keep && head.http_11);
    text
}

fn connection(text: &mut String, head: Option<&Head>, keep: bool) {
    match (keep, head.is_none_or(|head| head.http_11)) {
        (true, true) => {}
        (true, false) => text.push_str("Connection: keep-alive\r\n"),
        (false, _) => text.push_str("Connection: close\r\n"),
    }
    text.push_str("\r\n");
}

/// The head before a raw stream: 101 if the client asked for an upgrade, else 200, as docker does.
pub(crate) fn hijack_head(content_type: &str, head: &Head, common: &str) -> String {
    if head.upgrade.is_empty() {
        return format!("HTTP/1.1 200 OK\r\n{common}Content-Type: {content_type}\r\nConnection: close\r\n\r\n");
    }
    let upgrade = if head.upgrade.eq_ignore_ascii_case("tcp") { "tcp" } else { "raw" };
    format!(
        "HTTP/1.1 101 {}\r\n{common}Content-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n",
        reason(101)
    )
}

/// Appends a piece of output, with its header unless it is a terminal's.
pub fn encode_frame(frame: &Frame, tty: bool, out: &mut BytesMut) {
    if !tty {
        let length = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        out.put_slice(&hull_wire::frame_header(frame.stream, length));
    }
    out.put_slice(&frame.bytes);
}

/// Each line in a frame of its own. COMPAT(docker 28): clients take a frame for a line.
pub fn encode_lines(frame: &Frame) -> Bytes {
    let whole = frame.bytes.len();
    let ends = memchr::memchr_iter(b'\n', &frame.bytes).map(|at| at + 1);
    let mut out = Vec::with_capacity(hull_wire::FRAME_HEADER * (ends.clone().count() + 1) + whole);
    let mut begin = 0;
    for end in ends.chain([whole]) {
        if end > begin {
            out.extend_from_slice(&hull_wire::frame_header(frame.stream, (end - begin) as u32));
            out.extend_from_slice(&frame.bytes[begin..end]);
        }
        begin = end;
    }
    out.into()
}
