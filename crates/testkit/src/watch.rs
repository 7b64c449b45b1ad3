//! [`Watch`]: a socket before the engine's that compares every answer which passes with docker's description.
//!
//! It understands HTTP/1.1 as docker's clients speak it: one request after the other, bodies with a length or in chunks; no client of the
//! tests waits to be told to go on. A stream of documents is looked at document by document. What becomes a stream of bytes (after a
//! answer that switches, or one without a length) is passed on without a look.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Host, complaints, complaints_of_refusal, operation_of};

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    found: Vec<String>,
    operations: std::collections::BTreeSet<String>,
}

/// The socket; it listens as long as the process lives.
pub struct Watch {
    path: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

impl Host {
    /// A socket for clients whose answers are to be looked at.
    pub fn watch(&self) -> Watch {
        let path = self.path().join("watched.sock");
        let listener = UnixListener::bind(&path).expect("bind");
        let (seen, engine) = (Arc::new(Mutex::new(Seen::default())), self.socket());
        let notes = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (engine, notes) = (engine.clone(), Arc::clone(&notes));
                // Either end may go at any moment; what was seen until then counts.
                thread::spawn(move || drop(serve(client, &engine, &notes)));
            }
        });
        Watch { path, seen }
    }
}

impl Watch {
    /// Where it listens, as DOCKER_HOST has it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// What was not as described, and the operations whose answers were looked at.
    pub fn seen(&self) -> (Vec<String>, Vec<String>) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.found.clone(), seen.operations.iter().cloned().collect())
    }

    /// Every answer was as described, and those of at least this many operations were looked at.
    #[track_caller]
    pub fn is_content(&self, least: usize) {
        let (found, operations) = self.seen();
        assert_eq!(found, Vec::<String>::new());
        assert!(operations.len() >= least, "{} operations: {operations:?}", operations.len());
    }
}

type Io<T> = std::io::Result<T>;

fn serve(client: UnixStream, engine: &Path, notes: &Mutex<Seen>) -> Io<()> {
    let server = UnixStream::connect(engine)?;
    let ends = (client.try_clone()?, server.try_clone()?);
    let (near, far) = (client.try_clone()?, server.try_clone()?);
    // A client that leaves while nothing comes is to be missed by the engine.
    let waiting = thread::spawn(move || {
        let mut near = [rustix::event::PollFd::new(&near, rustix::event::PollFlags::empty())];
        while rustix::event::poll(&mut near, None).is_err() {}
        let _ = far.shutdown(std::net::Shutdown::Both);
    });
    let relayed = relay(client, server, notes);
    for end in [ends.0, ends.1] {
        let _ = end.shutdown(std::net::Shutdown::Both);
    }
    let _ = waiting.join();
    relayed
}

fn relay(client: UnixStream, server: UnixStream, notes: &Mutex<Seen>) -> Io<()> {
    let (mut from_client, mut from_server) = (BufReader::new(client.try_clone()?), BufReader::new(server.try_clone()?));
    let (mut to_client, mut to_server) = (client, server);
    loop {
        let request = Head::read(&mut from_client)?;
        to_server.write_all(&request.bytes)?;
        request.body(&mut from_client, &mut to_server, &mut Vec::new())?;
        let answer = Head::read(&mut from_server)?;
        to_client.write_all(&answer.bytes)?;
        if answer.word(1) == "101" {
            was_read(&to_client);
            return splice(from_client, from_server, to_client, to_server);
        }
        let without = request.word(0) == "HEAD" || matches!(answer.word(1), "204" | "304");
        if !without && answer.is_endless() {
            was_read(&to_client);
            return splice(from_client, from_server, to_client, to_server);
        }
        let mut body = Vec::new();
        let passed = if without { Ok(()) } else { answer.body(&mut from_server, &mut to_client, &mut body) };
        // Streams have no end of their own.
        look(&request, &answer, &body, notes);
        passed?;
    }
}

/// COMPAT(docker-py 7): it loses what comes together with a head, and a bounded wait is all that it gets from the engine, too.
fn was_read(client: &UnixStream) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) && matches!(hull_sys::net::is_read_by_peer(client), Ok(false)) {
        thread::sleep(Duration::from_millis(1));
    }
}

fn splice(
    mut one: impl Read + Send + 'static,
    mut two: impl Read,
    mut out: UnixStream,
    mut away: UnixStream,
) -> Io<()> {
    let pump = thread::spawn(move || {
        let _ = std::io::copy(&mut one, &mut away);
        let _ = away.shutdown(std::net::Shutdown::Write);
    });
    let copied = std::io::copy(&mut two, &mut out);
    let _ = out.shutdown(std::net::Shutdown::Both);
    let _ = pump.join();
    copied.map(drop)
}

fn look(request: &Head, answer: &Head, body: &[u8], notes: &Mutex<Seen>) {
    let target = request.word(1);
    let path = match target.strip_prefix("/v").and_then(|rest| rest.find('/').map(|at| &rest[at..])) {
        Some(path) => path,
        None => target,
    };
    let status = answer.word(1).parse::<u16>().unwrap_or(0);
    let json = answer.value("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !json {
        return;
    }
    let mut seen = notes.lock().unwrap_or_else(PoisonError::into_inner);
    // A client may leave a stream in the middle of a document; each of a sequence begins with RS (RFC 7464).
    let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != 0x1e).collect();
    for document in serde_json::Deserializer::from_slice(&body).into_iter::<Value>().map_while(Result::ok) {
        if status >= 400 {
            seen.found.extend(complaints_of_refusal(&document).iter().map(|found| format!("{target}: {found}")));
        } else if let Some(operation) = operation_of(request.word(0), path) {
            seen.operations.insert(operation.to_owned());
            seen.found.extend(complaints(operation, &document));
        }
    }
}

/// The lines before a body, as they came.
struct Head {
    bytes: Vec<u8>,
}

impl Head {
    fn read(from: &mut impl BufRead) -> Io<Self> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            if from.read_until(b'\n', &mut bytes)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Self { bytes })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// A word of the first line.
    fn word(&self, at: usize) -> &str {
        self.text().lines().next().and_then(|line| line.split(' ').nth(at)).unwrap_or_default()
    }

    /// Whether the body of an answer lasts as long as the connection.
    fn is_endless(&self) -> bool {
        self.value("content-length").is_none() && self.value("transfer-encoding").is_none()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let pairs = self.text().lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(key, value)| (key, value.trim())).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|pair| pair.1)
    }

    /// Passes the body on piece by piece, and keeps what is in it.
    fn body(&self, from: &mut impl BufRead, to: &mut UnixStream, document: &mut Vec<u8>) -> Io<()> {
        if self.value("transfer-encoding").is_none() {
            let length = self.value("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            return pass(from, to, length, document);
        }
        loop {
            let mut line = Vec::new();
            from.read_until(b'\n', &mut line)?;
            to.write_all(&line)?;
            let text = String::from_utf8_lossy(&line);
            let length = u64::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16);
            let length = length.map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
            pass(from, to, length, document)?;
            pass(from, to, 2, &mut Vec::new())?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}

/// No document is larger: what is, is an archive.
const LARGEST: usize = 4 << 20;

fn pass(from: &mut impl Read, to: &mut UnixStream, length: u64, document: &mut Vec<u8>) -> Io<()> {
    let mut piece = [0; 16 * 1024];
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let count = from.read(&mut piece[..most])?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&piece[..count])?;
        if document.len() < LARGEST {
            document.extend_from_slice(&piece[..count]);
        }
        left -= count as u64;
    }
    Ok(())
}
