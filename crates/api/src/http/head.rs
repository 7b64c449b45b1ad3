//! The head of a request: parsed strictly, since two readers of one stream must never disagree on where a body ends.

/// Heads larger than this are refused.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// The methods that the Engine API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the headers only.
    Head,
    /// Do.
    Post,
    /// Put a file.
    Put,
    /// Remove.
    Delete,
    /// Anything else.
    Other,
}

impl Method {
    /// As it is written; `?` for those that no endpoint has.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Other => "?",
        }
    }
}

/// How the body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// The head of a request, as far as the Engine API cares.
#[derive(Clone, Debug)]
pub struct Head {
    /// What to do.
    pub method: Method,
    /// Path and query as they were sent.
    pub target: String,
    /// `Content-Type`, or empty.
    pub content_type: String,
    /// `Upgrade`, or empty: `tcp` asks for status 101.
    pub upgrade: String,
    /// `Sec-WebSocket-Key` of a client that speaks version 13, or empty.
    pub websocket_key: String,
    /// `Accept`, or empty.
    pub accept: String,
    /// `X-Registry-Auth`, or empty.
    pub registry_auth: String,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) http_11: bool,
    pub(crate) expects_continue: bool,
    /// The client is docker's command line or hull's: it finds what came together with an answer's head, and its process
    /// is one command.
    pub command_line: bool,
}

/// Why a request cannot be answered by its handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not HTTP.
    #[error("the request is not HTTP/1.1: {0}")]
    Syntax(String),
    /// Too large or too many headers.
    #[error("the request's headers are too large: at most {MAX_HEADERS} of together 64 KiB are read")]
    TooLarge,
    /// The body's length is stated twice or not understood.
    #[error("the length of the request's body is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// HTTP/1.1 wants exactly one.
    #[error("the request must have exactly one Host header")]
    Host,
    /// The target is not a path.
    #[error("the request's target must be a path")]
    Target,
    /// The body is larger than any document of the API.
    #[error("the request's body is too large: at most {0} bytes are read")]
    Body(usize),
    /// The body stopped in the middle or its chunks are malformed.
    #[error("the request's body is incomplete or malformed")]
    BrokenBody,
    /// Too many connections.
    #[error("the engine has too many connections")]
    Crowded,
    /// No descriptor is left for another connection.
    #[error("the engine has too many open files")]
    OutOfFiles,
    /// The handler panicked.
    #[error("the engine failed while it handled the request; this is a bug of hull")]
    Panicked,
}

/// Parses the head at the front of `bytes`; `None` until it is complete. Also gives its length.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let used = match request.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(error) => return Err(HeadError::Syntax(error.to_string())),
    };
    let http_11 = request.version == Some(1);
    let fields = Fields::collect(request.headers)?;
    if http_11 && fields.hosts != 1 {
        return Err(HeadError::Host);
    }
    let head = Head {
        method: method(request.method.unwrap_or_default()),
        target: target(request.path.unwrap_or_default())?,
        framing: fields.framing(http_11)?,
        keep_alive: if http_11 { !fields.close } else { fields.keep_alive },
        http_11,
        expects_continue: http_11 && fields.expects_continue,
        content_type: fields.content_type,
        accept: fields.accept,
        registry_auth: fields.registry_auth,
        upgrade: fields.upgrade,
        websocket_key: if fields.websocket_13 { fields.websocket_key } else { String::new() },
        command_line: fields.command_line,
    };
    Ok(Some((head, used)))
}

fn method(text: &str) -> Method {
    match text {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        _ => Method::Other,
    }
}

/// A path, or the path of an absolute `http://` target.
fn target(text: &str) -> Result<String, HeadError> {
    let path = match text.strip_prefix("http://") {
        Some(rest) => &rest[rest.find('/').ok_or(HeadError::Target)?..],
        None => text,
    };
    if path.starts_with('/') { Ok(path.to_owned()) } else { Err(HeadError::Target) }
}

/// The headers that matter, while they are collected.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    hosts: usize,
    content_type: String,
    upgrade: String,
    websocket_key: String,
    websocket_13: bool,
    accept: String,
    registry_auth: String,
    command_line: bool,
}

impl Fields {
    fn collect(headers: &[httparse::Header<'_>]) -> Result<Self, HeadError> {
        let mut fields = Self::default();
        for header in headers {
            fields.add(header)?;
        }
        Ok(fields)
    }

    fn add(&mut self, header: &httparse::Header<'_>) -> Result<(), HeadError> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let text = || String::from_utf8_lossy(header.value).trim().to_owned();
        if is("content-length") {
            if self.length.is_some() {
                return Err(HeadError::Ambiguous("Content-Length is given twice"));
            }
            self.length = Some(digits(header.value).ok_or(HeadError::Ambiguous("Content-Length is not a number"))?);
        } else if is("transfer-encoding") {
            if self.chunked || !text().eq_ignore_ascii_case("chunked") {
                return Err(HeadError::Ambiguous("Transfer-Encoding is not exactly `chunked`"));
            }
            self.chunked = true;
        } else if is("connection") {
            for token in text().split(',') {
                self.close |= token.trim().eq_ignore_ascii_case("close");
                self.keep_alive |= token.trim().eq_ignore_ascii_case("keep-alive");
            }
        } else if is("host") {
            self.hosts += 1;
        } else if is("expect") {
            self.expects_continue = text().eq_ignore_ascii_case("100-continue");
        } else if is("content-type") {
            self.content_type = text();
        } else if is("upgrade") {
            self.upgrade = text();
        } else if is("sec-websocket-key") {
            self.websocket_key = text();
        } else if is("sec-websocket-version") {
            self.websocket_13 = text() == "13";
        } else if is("accept") {
            self.accept = text();
        } else if is("user-agent") {
            self.command_line = ["hull", "Docker-Client/"].iter().any(|known| text().starts_with(known));
        } else if is("x-registry-auth") {
            self.registry_auth = text();
        }
        Ok(())
    }

    fn framing(&self, http_11: bool) -> Result<Framing, HeadError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(HeadError::Ambiguous("both Content-Length and Transfer-Encoding are given")),
            (None, true) if !http_11 => Err(HeadError::Ambiguous("HTTP/1.0 has no Transfer-Encoding")),
            (None, true) => Ok(Framing::Chunked),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Digits and nothing else: no sign, no space, no list.
fn digits(value: &[u8]) -> Option<u64> {
    let all = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    all.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Option<(Head, usize)>, HeadError> {
        parse(text.as_bytes())
    }

    #[test]
    fn heads_are_complete_or_awaited() {
        let text = "POST /v1.51/x?y=z HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nUpgrade: tcp\r\n\r\n";
        for cut in 0..text.len() {
            assert!(parsed(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let (head, used) = parsed(text).unwrap().unwrap();
        assert_eq!((head.method, head.target.as_str(), used), (Method::Post, "/v1.51/x?y=z", text.len()));
        assert_eq!((head.framing, head.upgrade.as_str(), head.keep_alive), (Framing::Length(3), "tcp", true));
    }

    #[test]
    fn ambiguous_and_malformed_heads_are_refused() {
        let rows = [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://host HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03 TLS\r\n\r\n",
        ];
        for row in rows {
            assert!(parsed(row).is_err(), "{row:?}");
        }
        let many: String = (0..200).map(|i| format!("X-{i}: 1\r\n")).collect();
        assert_eq!(parsed(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).unwrap_err(), HeadError::TooLarge);
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(1 << 20));
        assert_eq!(parsed(&long).unwrap_err(), HeadError::TooLarge);
    }

    proptest! {
        /// Nothing panics, and what is taken is never more than there is.
        #[test]
        fn any_bytes_are_a_head_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, used))) = parse(&bytes) {
                prop_assert!(used <= bytes.len());
            }
        }

        /// A length is never understood in two ways.
        #[test]
        fn a_head_with_lengths_has_exactly_one(lengths in proptest::collection::vec("(Content-Length: [0-9+ ,-]{0,4}|Transfer-Encoding: (chunked|gzip|chunked, gzip))", 0..4)) {
            let fields: String = lengths.iter().map(|line| format!("{line}\r\n")).collect();
            if let Ok(Some((head, _))) = parsed(&format!("POST / HTTP/1.1\r\nHost: d\r\n{fields}\r\n")) {
                prop_assert!(lengths.len() <= 1);
                prop_assert_eq!(head.framing == Framing::Chunked, lengths.iter().any(|line| line.starts_with('T')));
            }
        }
    }
}
