//! The native protocol of systemd's journal: fields of one entry in one datagram.

use super::{Line, Origin};
use crate::Stream;

/// Priorities of syslog(3).
const ERR: &str = "3";
const INFO: &str = "6";

/// An entry.
pub(super) fn encode(origin: &Origin, line: &Line<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.text.len() + 512);
    field(&mut out, "MESSAGE", line.text);
    field(&mut out, "PRIORITY", if line.stream == Stream::Stderr { ERR } else { INFO }.as_bytes());
    field(&mut out, "SYSLOG_IDENTIFIER", origin.tag.as_bytes());
    field(&mut out, "SYSLOG_TIMESTAMP", line.time.to_string().as_bytes());
    for (name, value) in &origin.fields {
        field(&mut out, name, value.as_bytes());
    }
    if line.partial {
        field(&mut out, "CONTAINER_PARTIAL_MESSAGE", b"true");
    }
    out
}

/// `NAME=value`, or with its length in front where it has a newline.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_fields() {
        let fields = vec![("CONTAINER_NAME".to_owned(), "web".to_owned()), ("A".to_owned(), "x\ny".to_owned())];
        let origin = Origin { tag: "web".into(), hostname: String::new(), fields };
        let time = hull_types::Timestamp::from_nanos(0);
        let line = Line { stream: Stream::Stderr, time, text: b"boom", partial: true };
        let text = String::from_utf8(encode(&origin, &line)).unwrap();
        assert!(text.starts_with("MESSAGE=boom\nPRIORITY=3\nSYSLOG_IDENTIFIER=web\nSYSLOG_TIMESTAMP=1970-"), "{text}");
        assert!(text.contains("CONTAINER_NAME=web\nA\n\x03\0\0\0\0\0\0\0x\ny\n"), "{text:?}");
        assert!(text.ends_with("CONTAINER_PARTIAL_MESSAGE=true\n"));
    }
}
