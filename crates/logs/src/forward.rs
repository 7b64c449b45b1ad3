//! Handing a container's lines on to a log service of the host, as they come.
//!
//! The forwarder is one more reader of the spool: a service that is slow or gone costs lines there, and holds up neither
//! the container nor anyone who reads the spool.

mod journal;
mod sender;
mod syslog;
mod tls;

use std::path::PathBuf;

use hull_types::Timestamp;

use crate::Stream;
use crate::reader::Reader;
use sender::Sender;

pub use syslog::{Format, Syslog, facility};
pub use tls::{Tls, Unusable};

/// Where journald takes entries.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// A longer line is handed on in parts.
const PART: usize = 16 * 1024;

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A syslog server.
    Syslog(Syslog),
    /// systemd's journal, by its native protocol.
    Journal,
}

/// How it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// A unix socket: of datagrams, else a stream.
    Unix(PathBuf),
    /// Host and port.
    Udp(String),
    /// Host and port.
    Tcp(String),
    /// The same within TLS.
    Tls(Tls),
}

/// Whose lines they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// What the lines are marked with.
    pub tag: String,
    /// The machine's name.
    pub hostname: String,
    /// Fields of each entry of the journal.
    pub fields: Vec<(String, String)>,
}

/// One line, or a part of one.
struct Line<'a> {
    stream: Stream,
    time: Timestamp,
    text: &'a [u8],
    /// More of the line follows.
    partial: bool,
}

/// Hands on what `reader` gives until the run is over.
pub async fn forward(mut reader: Reader, target: Target, origin: Origin) {
    let server = match &target {
        Target::Syslog(syslog) => syslog.server.clone(),
        Target::Journal => Server::Unix(PathBuf::from(JOURNAL)),
    };
    let mut sender = Sender::new(server);
    let mut unfinished: [Vec<u8>; 2] = Default::default();
    let mut last = Timestamp::NEVER;
    let encode = |line: &Line<'_>| match &target {
        Target::Syslog(syslog) => syslog.encode(&origin, line),
        Target::Journal => journal::encode(&origin, line),
    };
    while let Some(chunk) = reader.next().await {
        last = Timestamp::from_nanos(chunk.time);
        let pending = &mut unfinished[chunk.stream.index()];
        for piece in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            pending.extend_from_slice(piece);
            while let Some((text, partial)) = take(pending) {
                sender.send(&encode(&Line { stream: chunk.stream, time: last, text: &text, partial })).await;
            }
        }
    }
    for stream in Stream::ALL {
        let text = std::mem::take(&mut unfinished[stream.index()]);
        if !text.is_empty() {
            sender.send(&encode(&Line { stream, time: last, text: &text, partial: false })).await;
        }
    }
}

/// A whole line without its end, or as much as one message takes.
fn take(pending: &mut Vec<u8>) -> Option<(Vec<u8>, bool)> {
    if pending.last() == Some(&b'\n') && pending.len() <= PART + 1 {
        pending.pop();
        return Some((std::mem::take(pending), false));
    }
    (pending.len() > PART).then(|| {
        let rest = pending.split_off(PART);
        (std::mem::replace(pending, rest), true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_come_in_parts() {
        let mut pending = vec![b'x'; PART + 3];
        pending.push(b'\n');
        assert_eq!(take(&mut pending), Some((vec![b'x'; PART], true)));
        assert_eq!(take(&mut pending), Some((b"xxx".to_vec(), false)));
        assert_eq!(take(&mut pending), None);
        let mut whole = vec![b'x'; PART];
        whole.push(b'\n');
        assert_eq!(take(&mut whole), Some((vec![b'x'; PART], false)));
        assert_eq!(take(&mut b"unfinished".to_vec()), None);
    }
}
