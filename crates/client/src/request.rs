//! Requests: how they are written, sent and answered, and how a refusal becomes a fault.

use std::fmt::Write as _;
use std::io::{self, Read};

use hull_types::Kind;
use hull_wire::ErrorResponse;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Client;
use crate::body::Body;
use crate::conn::{Conn, Head};
use crate::error::Error;

/// The API version that this client speaks; engines of the same product need no negotiation.
const PREFIX: &str = "/v1.51";
const UPLOAD_CHUNK: usize = 64 * 1024;
/// Accept: a refusal as a document, where docker's clients get it as output.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\nAccept: application/json\r\n";

/// A request being put together: method, path and query.
#[derive(Debug)]
pub(crate) struct Request {
    method: &'static str,
    target: String,
    has_query: bool,
    /// More headers, each with its line end.
    headers: String,
}

/// The head of an answer and its body.
#[derive(Debug)]
pub(crate) struct Answer<'c> {
    pub head: Head,
    pub body: Body<'c>,
    request: String,
}

impl Request {
    /// `segments` are joined by slashes; each is percent-encoded, so that names can hold no slash.
    pub fn new(method: &'static str, segments: &[&str]) -> Self {
        let mut target = PREFIX.to_owned();
        for segment in segments {
            target.push('/');
            encode(segment, &mut target);
        }
        Self { method, target, has_query: false, headers: String::new() }
    }

    pub fn query(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.target.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.target.push_str(key);
        self.target.push('=');
        encode(value.as_ref(), &mut self.target);
        self
    }

    pub fn query_some(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(key, value.to_string()),
            None => self,
        }
    }

    /// Adds `key=1` if `on`; leaves the parameter out otherwise.
    pub fn flag(self, key: &str, on: bool) -> Self {
        if on { self.query(key, "1") } else { self }
    }

    /// Adds docker's `X-Registry-Auth`, which is base64 and cannot break the line; nothing if it is empty.
    pub fn registry_auth(mut self, auth: &str) -> Self {
        if !auth.is_empty() && auth.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.headers = format!("X-Registry-Auth: {auth}\r\n");
        }
        self
    }

    /// How errors name it: without query, for it may be long.
    fn name(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{} {}", self.method, path.strip_prefix(PREFIX).unwrap_or(path))
    }

    fn head(&self, further: &str) -> String {
        let (method, target, headers) = (self.method, &self.target, &self.headers);
        format!("{method} {target} HTTP/1.1\r\nHost: hull\r\nUser-Agent: hull\r\n{headers}{further}\r\n")
    }

    fn with_json(&self, body: &[u8], further: &str) -> Vec<u8> {
        let mut head = String::new();
        let _ = write!(head, "{further}Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let mut bytes = self.head(&head).into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    fn to_hijack(&self) -> Vec<u8> {
        self.head(&format!("{UPGRADE}Content-Length: 0\r\n")).into_bytes()
    }

    fn without_body(&self) -> Vec<u8> {
        let further = if self.method == "POST" { "Content-Length: 0\r\n" } else { "" };
        self.head(further).into_bytes()
    }
}

/// Everything but unreserved characters becomes `%XX`.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

impl Answer<'_> {
    fn lost(&self) -> impl Fn(io::Error) -> Error + use<> {
        lost(self.request.clone())
    }

    /// Reads the body to its end and decodes it.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let (request, lost) = (self.request.clone(), self.lost());
        let bytes = self.body.read_all().map_err(lost)?;
        hull_wire::decode(&bytes).map_err(|error| Error::Protocol { request, why: error.to_string() })
    }

    /// Reads the body to its end and forgets it.
    pub fn done(self) -> Result<(), Error> {
        let lost = self.lost();
        self.body.read_all().map_err(lost).map(drop)
    }

    /// The name of the request, for later errors.
    pub fn request(&self) -> &str {
        &self.request
    }
}

fn lost(request: String) -> impl Fn(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::InvalidData => Error::Protocol { request: request.clone(), why: source.to_string() },
        _ => Error::Lost { request: request.clone(), source },
    }
}

impl Client {
    /// Sends a request without body.
    pub(crate) fn call(&self, request: Request) -> Result<Answer<'_>, Error> {
        self.exchange(&request, &request.without_body())
    }

    /// Sends a request with a JSON body.
    pub(crate) fn call_json(&self, request: Request, body: &impl Serialize) -> Result<Answer<'_>, Error> {
        let json = to_json(&request, body)?;
        self.exchange(&request, &request.with_json(&json, ""))
    }

    fn exchange(&self, request: &Request, bytes: &[u8]) -> Result<Answer<'_>, Error> {
        let conn = self.send(request, bytes)?;
        self.answer(request, conn)
    }

    fn send(&self, request: &Request, bytes: &[u8]) -> Result<Conn, Error> {
        let mut conn = self.take()?;
        conn.send(bytes).map_err(lost(request.name()))?;
        Ok(conn)
    }

    /// Sends a request that [`Client::hijack`] could send and one without body, on two connections; then reads
    /// both answers. The first's refusal is told if both are refused.
    pub(crate) fn hijack_and_call(&self, first: Request, second: Request) -> Result<((Conn, Head), Answer<'_>), Error> {
        let hijacked = self.send(&first, &first.to_hijack())?;
        let called = self.send(&second, &second.without_body())?;
        Ok((self.hijacked(&first, hijacked)?, self.answer(&second, called)?))
    }

    /// Sends a request whose body is read from `input`, in chunks.
    pub(crate) fn upload(&self, request: Request, input: &mut dyn Read) -> Result<Answer<'_>, Error> {
        let mut conn = self.take()?;
        let lost = lost(request.name());
        let head = "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n";
        conn.send(request.head(head).as_bytes()).map_err(&lost)?;
        let mut chunk = vec![0; UPLOAD_CHUNK];
        loop {
            let count = match input.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::Input { request: request.name(), source }),
            };
            let mut framed = format!("{count:x}\r\n").into_bytes();
            framed.extend_from_slice(&chunk[..count]);
            framed.extend_from_slice(b"\r\n");
            match conn.send(&framed) {
                // The engine may refuse before it has read everything: its answer says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                other => other.map_err(&lost)?,
            }
            if count == 0 {
                break;
            }
        }
        self.answer(&request, conn)
    }

    /// Sends a request that turns the connection into a byte stream.
    pub(crate) fn hijack(&self, request: Request, body: Option<&impl Serialize>) -> Result<(Conn, Head), Error> {
        let bytes = match body {
            Some(body) => request.with_json(&to_json(&request, body)?, UPGRADE),
            None => request.to_hijack(),
        };
        let conn = self.send(&request, &bytes)?;
        self.hijacked(&request, conn)
    }

    fn hijacked(&self, request: &Request, mut conn: Conn) -> Result<(Conn, Head), Error> {
        let head = conn.read_head().map_err(lost(request.name()))?;
        match head.status {
            101 | 200 => Ok((conn, head)),
            _ => Err(self.refusal(Answer { body: Body::new(self, conn, &head), head, request: request.name() })),
        }
    }

    fn answer(&self, request: &Request, mut conn: Conn) -> Result<Answer<'_>, Error> {
        let mut head = conn.read_head().map_err(lost(request.name()))?;
        if request.method == "HEAD" {
            // It says what a body would have, and has none.
            (head.length, head.chunked) = (Some(0), false);
        }
        let answer = Answer { body: Body::new(self, conn, &head), head, request: request.name() };
        if (200..300).contains(&answer.head.status) { Ok(answer) } else { Err(self.refusal(answer)) }
    }

    fn refusal(&self, answer: Answer<'_>) -> Error {
        let (status, request, lost) = (answer.head.status, answer.request.clone(), answer.lost());
        let bytes = match answer.body.read_all() {
            Ok(bytes) => bytes,
            Err(error) => return lost(error),
        };
        let kind = kind_of(status);
        if kind == Kind::NotModified {
            return Error::Refused(hull_types::Fault::new(kind, format!("{request}: it is so already")));
        }
        match hull_wire::decode::<ErrorResponse>(&bytes) {
            Ok(response) if !response.message.is_empty() => Error::Refused(response.into_fault(kind)),
            _ if request.starts_with("HEAD ") => {
                Error::Refused(hull_types::Fault::new(kind, format!("{request}: {status}")))
            }
            _ => Error::Protocol { request, why: format!("status {status} without a message") },
        }
    }
}

fn to_json(request: &Request, body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|e| Error::Protocol { request: request.name(), why: e.to_string() })
}

/// The class of refusal that a status stands for.
fn kind_of(status: u16) -> Kind {
    match status {
        304 => Kind::NotModified,
        401 | 403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        501 => Kind::Unsupported,
        503 => Kind::Unavailable,
        400..=499 => Kind::Invalid,
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_encoded() {
        let request = Request::new("GET", &["containers", "a/../b c", "json"])
            .query("filters", r#"{"a":"ü&="}"#)
            .flag("all", true)
            .flag("size", false)
            .query_some("limit", Some(3))
            .query_some("tail", None::<u32>);
        let head = String::from_utf8(request.without_body()).unwrap();
        let line = head.lines().next().unwrap();
        assert_eq!(
            line,
            "GET /v1.51/containers/a%2F..%2Fb%20c/json?filters=%7B%22a%22%3A%22%C3%BC%26%3D%22%7D&all=1&limit=3 HTTP/1.1"
        );
        assert_eq!(request.name(), "GET /containers/a%2F..%2Fb%20c/json");
    }
}
