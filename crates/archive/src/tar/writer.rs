//! [`Writer`]: entries into a tar stream, in PAX form where ustar's fields are too small.

use std::io::{self, Read, Write};

use super::entry::{Entry, EntryKind, Mtime};
use super::{BLOCK, padding};
use crate::Error;

/// Writes entries to a stream. Sparse files are written with their holes filled by the caller.
pub struct Writer<W: Write> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// A writer that stands before the first entry.
    pub fn new(to: W) -> Self {
        Self { to }
    }

    /// Writes an entry and, if it is a file, exactly `entry.size` bytes of `content`.
    pub fn append(&mut self, entry: &Entry, content: impl Read) -> Result<(), Error> {
        let records = records(entry);
        if !records.is_empty() {
            let header = Entry { path: b"PaxHeaders/entry".to_vec(), mode: 0o644, ..Entry::default() };
            self.put(&block(&header, b'x', records.len() as u64))?;
            self.put(&records)?;
            self.pad(records.len() as u64)?;
        }
        let size = if entry.kind == EntryKind::File { entry.size } else { 0 };
        self.put(&block(entry, flag(entry.kind), size))?;
        let copied = io::copy(&mut content.take(size), &mut self.to).map_err(Error::Write)?;
        if copied != size {
            return Err(Error::entry(&entry.path, "it became shorter while it was read"));
        }
        self.pad(size)
    }

    /// Ends the archive and returns the stream.
    pub fn finish(mut self) -> Result<W, Error> {
        self.put(&[0; 2 * BLOCK])?;
        self.to.flush().map_err(Error::Write)?;
        Ok(self.to)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let bytes = usize::try_from(padding(size)).unwrap_or_default();
        self.put(&[0; BLOCK][..bytes])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.to.write_all(bytes).map_err(Error::Write)
    }
}

fn flag(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::File => b'0',
        EntryKind::HardLink => b'1',
        EntryKind::Symlink => b'2',
        EntryKind::CharDevice => b'3',
        EntryKind::BlockDevice => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

/// A ustar block. What does not fit is cut here and stands in [`records`].
fn block(entry: &Entry, flag: u8, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut text = |at: usize, room: usize, bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(room)];
        block[at..at + bytes.len()].copy_from_slice(bytes);
    };
    let octal = |digits: usize, value: u64| {
        let top = 8_u64.pow(digits as u32) - 1;
        format!("{:0digits$o}", value.min(top)).into_bytes()
    };
    text(0, 100, &entry.path);
    text(100, 7, &octal(7, entry.mode.into()));
    text(108, 7, &octal(7, entry.uid.into()));
    text(116, 7, &octal(7, entry.gid.into()));
    text(124, 11, &octal(11, size));
    text(136, 11, &octal(11, u64::try_from(entry.mtime.secs).unwrap_or(0)));
    text(148, 8, b"        ");
    text(156, 1, &[flag]);
    text(157, 100, &entry.link);
    text(257, 8, b"ustar\x0000");
    text(329, 7, &octal(7, entry.device.0.into()));
    text(337, 7, &octal(7, entry.device.1.into()));
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// PAX records for everything that a ustar block cannot hold.
fn records(entry: &Entry) -> Vec<u8> {
    const ID: u32 = 0o7_777_777;
    let mut out = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| out.extend(record(key, value));
    if entry.path.len() > 100 {
        add(b"path", &entry.path);
    }
    if entry.link.len() > 100 {
        add(b"linkpath", &entry.link);
    }
    if entry.uid > ID {
        add(b"uid", entry.uid.to_string().as_bytes());
    }
    if entry.gid > ID {
        add(b"gid", entry.gid.to_string().as_bytes());
    }
    if entry.kind == EntryKind::File && entry.size >= 1 << 33 {
        add(b"size", entry.size.to_string().as_bytes());
    }
    if entry.mtime.nanos != 0 || !(0..1 << 33).contains(&entry.mtime.secs) {
        add(b"mtime", decimal(entry.mtime).as_bytes());
    }
    for (name, value) in &entry.xattrs {
        add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    out
}

/// The length counts its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn decimal(time: Mtime) -> String {
    if time.secs >= 0 || time.nanos == 0 {
        return format!("{}.{:09}", time.secs, time.nanos);
    }
    format!("-{}.{:09}", (time.secs + 1).unsigned_abs(), 1_000_000_000 - time.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, tar::Reader};

    #[test]
    fn what_is_written_is_read_again() {
        let long = vec![b'n'; 300];
        let entries = [
            Entry { path: b"a".to_vec(), mode: 0o4755, size: 5, ..Entry::default() },
            Entry { path: b"d/".to_vec(), kind: EntryKind::Directory, mode: 0o1777, uid: 5, ..Entry::default() },
            Entry {
                path: long.clone(),
                kind: EntryKind::Symlink,
                link: long.clone(),
                uid: 4_000_000_000,
                gid: 3_000_000,
                mtime: Mtime { secs: -2, nanos: 750_000_000 },
                ..Entry::default()
            },
            Entry { path: b"c".to_vec(), kind: EntryKind::CharDevice, device: (1, 3), ..Entry::default() },
            Entry {
                path: b"x".to_vec(),
                xattrs: vec![(b"user.k".to_vec(), b"v\n\0=".to_vec()), (b"user.e".to_vec(), vec![])],
                mtime: Mtime { secs: 1 << 34, nanos: 1 },
                ..Entry::default()
            },
        ];
        let mut writer = Writer::new(Vec::new());
        for entry in &entries {
            writer.append(entry, &b"hello"[..]).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(&bytes[..], Limits::default());
        for entry in &entries {
            assert_eq!(reader.next_entry().unwrap().as_ref(), Some(entry));
        }
        assert_eq!(reader.next_entry().unwrap(), None);
    }

    #[test]
    fn a_records_length_counts_itself() {
        for size in [0, 1, 90, 91, 92, 93, 94, 986, 987, 988, 989, 990, 991, 992] {
            let record = record(b"k", &vec![b'v'; size]);
            let text = String::from_utf8_lossy(&record).into_owned();
            let length = text.split(' ').next().map(str::to_owned);
            assert_eq!(length, Some(record.len().to_string()));
        }
    }
}
