//! The connection: systemd's own socket, where root speaks to it without a bus between.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::message::{self, ERROR, Message, REPLY, SIGNAL, Writer};
use crate::error::{Error, Result};

pub const SOCKET: &str = "/run/systemd/private";

/// How long systemd may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// After what silence it is asked for something small.
const NUDGE: Duration = Duration::from_millis(200);

/// A connection.
pub struct Bus {
    socket: UnixStream,
    serial: u32,
    /// What was received and not yet read.
    received: Vec<u8>,
    /// Signals that came while a reply was waited for.
    signals: Vec<Message>,
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::Systemd(format!("{what} {SOCKET:?}: {error}"))
}

impl Bus {
    /// Connects and says who this is.
    pub fn connect() -> Result<Self> {
        let mut socket = UnixStream::connect(SOCKET).map_err(failed("connect to"))?;
        socket.set_read_timeout(Some(NUDGE)).map_err(failed("read from"))?;
        let uid = rustix::process::geteuid().as_raw().to_string();
        let uid: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        socket.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes()).map_err(failed("write to"))?;
        let said = line(&mut socket)?;
        if !said.starts_with("OK ") {
            return Err(Error::Systemd(format!("{SOCKET:?} says {said:?}")));
        }
        socket.write_all(b"BEGIN\r\n").map_err(failed("write to"))?;
        Ok(Self { socket, serial: 0, received: Vec::new(), signals: Vec::new() })
    }

    /// Calls a method of the manager. Returns the first string of the reply, if there is one.
    pub fn call(&mut self, member: &str, signature: &str, body: impl FnOnce(&mut Writer)) -> Result<String> {
        let mut writer = Writer::default();
        body(&mut writer);
        let serial = self.send(member, signature, writer)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let came = self.next(deadline)?;
            match came.kind {
                SIGNAL => self.signals.push(came),
                REPLY if came.answers == serial => return Ok(came.words.into_iter().next().unwrap_or_default()),
                ERROR if came.answers == serial => {
                    return Err(Error::Systemd(format!("{member}: {} ({})", came.words.join(" "), came.name)));
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, member: &str, signature: &str, body: Writer) -> Result<u32> {
        self.serial += 1;
        let bytes = message::call(self.serial, member, signature, body);
        self.socket.write_all(&bytes).map_err(failed("write to"))?;
        Ok(self.serial)
    }

    /// Waits for the end of a job: `done`, `failed` and so on.
    pub fn job_removed(&mut self, job: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut came = std::mem::take(&mut self.signals);
        loop {
            for signal in came {
                // The job's path, its unit, and its result.
                if let ("JobRemoved", [path, _, result]) = (signal.name.as_str(), &signal.words[..])
                    && path == job
                {
                    return Ok(result.clone());
                }
            }
            came = vec![self.next(deadline)?];
        }
    }

    /// The next message. COMPAT(systemd 252): what it reads together with the end of the greeting it looks at only when
    /// more comes: while it is silent it is asked for something small.
    fn next(&mut self, deadline: Instant) -> Result<Message> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(Error::Systemd(format!("{SOCKET:?} was closed"))),
                Ok(n) => self.received.extend(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() > deadline {
                        return Err(Error::Systemd("no answer within a minute".to_owned()));
                    }
                    self.send("GetDefaultTarget", "", Writer::default())?;
                }
                Err(error) => return Err(failed("read from")(error)),
            }
        }
    }

    /// A whole message of what was received, if there is one.
    fn take(&mut self) -> Result<Option<Message>> {
        let bad = || Error::Systemd(format!("{SOCKET:?} says what is no message"));
        let Some(head) = self.received.first_chunk::<16>() else { return Ok(None) };
        let length = message::length(head).ok_or_else(bad)?;
        if self.received.len() < length {
            return Ok(None);
        }
        let rest = self.received.split_off(length);
        let bytes = std::mem::replace(&mut self.received, rest);
        message::read(&bytes).map(Some).ok_or_else(bad)
    }
}

/// A line of the greeting.
fn line(socket: &mut UnixStream) -> Result<String> {
    let mut said = Vec::new();
    let mut byte = [0];
    let deadline = Instant::now() + PATIENCE;
    while !said.ends_with(b"\r\n") && said.len() < 1024 {
        match socket.read_exact(&mut byte) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {}
            read => {
                read.map_err(failed("read from"))?;
                said.extend(byte);
            }
        }
    }
    Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
}
