//! The index file's bytes: a header of 32 and entries of 24 bytes, little endian.
//!
//! ```text
//! header  magic[8]  first entry u64  base of stdout u64  base of stderr u64
//! entry   time ns i64  offset u64  length u32  stream u8  0 u8 u16
//! ```

use crate::Stream;

pub(crate) const HEADER: u64 = 32;
pub(crate) const ENTRY: u64 = 24;
const MAGIC: &[u8; 8] = b"hulllog1";

/// Where the kept part of a log begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// Number of the first entry that is kept.
    pub first: u64,
    /// Offset of the first kept byte of each stream.
    pub base: [u64; 2],
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER as usize] {
        let mut out = [0; HEADER as usize];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.first.to_le_bytes());
        out[16..24].copy_from_slice(&self.base[0].to_le_bytes());
        out[24..].copy_from_slice(&self.base[1].to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != HEADER as usize || &bytes[..8] != MAGIC {
            return None;
        }
        Some(Self { first: word(bytes, 8)?, base: [word(bytes, 16)?, word(bytes, 24)?] })
    }
}

/// A run of bytes of one stream that arrived together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// Where in the stream's file.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
    /// Which stream.
    pub stream: Stream,
}

impl Entry {
    pub(crate) fn encode(&self) -> [u8; ENTRY as usize] {
        let mut out = [0; ENTRY as usize];
        out[..8].copy_from_slice(&self.time.to_le_bytes());
        out[8..16].copy_from_slice(&self.offset.to_le_bytes());
        out[16..20].copy_from_slice(&self.len.to_le_bytes());
        out[20] = self.stream as u8;
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let stream = match bytes.get(20)? {
            0 => Stream::Stdout,
            1 => Stream::Stderr,
            _ => return None,
        };
        let len = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
        if len == 0 {
            return None;
        }
        Some(Self { time: word(bytes, 0)? as i64, offset: word(bytes, 8)?, len, stream })
    }

    /// The offset after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }
}

/// Where entry `number` stands in the file.
pub(crate) fn position(number: u64) -> u64 {
    HEADER + number * ENTRY
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let header = Header { first: 7, base: [1, u64::MAX] };
        assert_eq!(Header::decode(&header.encode()), Some(header));
        let entry = Entry { time: -5, offset: 1 << 40, len: 9, stream: Stream::Stderr };
        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
    }

    #[test]
    fn garbage_is_no_entry() {
        assert_eq!(Header::decode(&[0; 32]), None);
        assert_eq!(Header::decode(&[]), None);
        assert_eq!(Entry::decode(&[0; 24]), None, "a hole");
        assert_eq!(Entry::decode(&[255; 24]), None);
        assert_eq!(Entry::decode(&[1; 3]), None);
    }
}
