//! Raw bytes to the engine's socket: requests that no client would send.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::Host;

/// What came back, up to the end of the connection.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status; 0 if the connection ended without one.
    pub status: u16,
    /// The headers as text.
    pub head: String,
    /// What followed them, chunks and all.
    pub body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The body as one JSON document; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The sentence of a refusal; empty if there is none.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// What makes this an unfit answer to a hostile request; `None` if it is a refusal with a sentence.
    pub fn complaint(&self) -> Option<String> {
        let message = self.message();
        let readable = !message.is_empty() && message.len() < 4096 && !message.contains(|c: char| c.is_control());
        let refused = (400..500).contains(&self.status) || self.status == 501;
        let shown: String = self.body.chars().take(300).collect();
        (!refused || !readable).then(|| format!("status {}: {shown:?}", self.status))
    }
}

/// A well-formed request that is the last one of its connection.
pub fn request(method: &str, target: &str, body: Option<&str>) -> Vec<u8> {
    let length = body
        .map_or(String::new(), |body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    let body = body.unwrap_or_default();
    format!("{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{length}\r\n{body}").into_bytes()
}

impl Host {
    /// A connection to the engine; a read that waits for 20 seconds fails.
    pub fn dial(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("the engine's socket");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    /// Sends these bytes and reads to the end of the connection.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.dial();
        let mut writer = stream.try_clone().expect("dup");
        let bytes = bytes.to_vec();
        // A refusal may come while the request is still being sent; then the rest of it has no reader.
        let sending = std::thread::spawn(move || {
            let _ = writer.write_all(&bytes);
        });
        let (mut received, mut piece) = (Vec::new(), [0; 16 * 1024]);
        let ended = loop {
            match stream.read(&mut piece) {
                Ok(0) => break None,
                Ok(count) => received.extend_from_slice(&piece[..count]),
                // A read with a timeout ends when its process was stopped and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        drop(stream);
        sending.join().expect("the sender");
        let mut answer = Answer::parse(&received);
        if let (0, Some(error)) = (answer.status, ended) {
            answer.body = format!("no answer: {error}");
        }
        answer
    }

    /// Sends a well-formed request.
    pub fn api(&self, method: &str, target: &str, body: Option<&str>) -> Answer {
        self.raw(&request(method, target, body))
    }
}
