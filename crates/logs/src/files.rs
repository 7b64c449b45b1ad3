//! The files of a spool: made on the first byte, opened again after a restart, repaired.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{FallocateFlags, fallocate};

use crate::entry::{ENTRY, Entry, HEADER, Header, position};
use crate::packed::{Packed, Place, Unpacked};
use crate::{Error, Result, Stream};

/// The open files of one spool; each appears when it is first needed.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    index: OnceLock<File>,
    raw: [OnceLock<File>; 2],
    packed: [Packed; 2],
}

/// What [`Files::load`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub header: Header,
    /// One past the last entry's number.
    pub count: u64,
    pub last: Option<Entry>,
    /// One past the last byte of each stream.
    pub end: [u64; 2],
}

impl Files {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, index: OnceLock::new(), raw: Default::default(), packed: Default::default() }
    }

    pub fn index(&self) -> Option<&File> {
        self.index.get()
    }

    pub fn raw(&self, stream: Stream) -> Option<&File> {
        self.raw[stream.index()].get()
    }

    /// Bytes of a stream, and what is compressed of them in its place.
    pub fn read(&self, stream: Stream, from: u64, len: u32, unpacked: &mut Unpacked) -> Option<Vec<u8>> {
        let (packed, place) = self.packed(stream)?;
        let mut bytes = vec![0; len as usize];
        place.raw.read_exact_at(&mut bytes, from).ok()?;
        // ORDER: after they were read, since they may have become a hole meanwhile.
        unpacked.fill(packed, place, from, &mut bytes)?;
        Some(bytes)
    }

    /// Compresses what lies in `from..until` of a stream.
    pub fn pack(&self, stream: Stream, from: u64, until: u64) -> std::io::Result<()> {
        self.packed(stream).map_or(Ok(()), |(packed, place)| packed.pack(place, from, until))
    }

    fn packed(&self, stream: Stream) -> Option<(&Packed, Place<'_>)> {
        let place = Place { dir: &self.dir, stream, raw: self.raw(stream)? };
        Some((&self.packed[stream.index()], place))
    }

    /// The index, made with its header if there is none.
    pub fn make_index(&self) -> Result<&File> {
        if let Some(file) = self.index.get() {
            return Ok(file);
        }
        let path = self.dir.join("index");
        let file = make(&path)?;
        file.write_all_at(&Header::default().encode(), 0).map_err(|e| io("write", &path, e))?;
        Ok(self.index.get_or_init(|| file))
    }

    /// The stream's file, made if there is none.
    pub fn make_raw(&self, stream: Stream) -> Result<&File> {
        if let Some(file) = self.raw(stream) {
            return Ok(file);
        }
        let file = make(&self.dir.join(stream.file_name()))?;
        Ok(self.raw[stream.index()].get_or_init(|| file))
    }

    pub fn write_entry(&self, number: u64, entry: &Entry) -> Result<()> {
        self.make_index()?
            .write_all_at(&entry.encode(), position(number))
            .map_err(|e| io("write", &self.dir.join("index"), e))
    }

    pub fn write_header(&self, header: &Header) -> Result<()> {
        self.make_index()?.write_all_at(&header.encode(), 0).map_err(|e| io("write", &self.dir.join("index"), e))
    }

    pub fn read_entry(&self, number: u64) -> Option<Entry> {
        let mut bytes = [0; ENTRY as usize];
        self.index()?.read_exact_at(&mut bytes, position(number)).ok()?;
        Entry::decode(&bytes)
    }

    /// Gives the blocks below the header's bases back to the file system. A file system that cannot
    /// keeps them: the log is then bounded for its readers only.
    pub fn punch(&self, header: &Header) {
        let hole = |file: Option<&File>, from: u64, len: u64| {
            if let Some(file) = file.filter(|_| len > 0) {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let _ = fallocate(file, flags, from, len);
            }
        };
        for stream in Stream::ALL {
            let base = header.base[stream.index()];
            hole(self.raw(stream), 0, base);
            if let Some((packed, place)) = self.packed(stream) {
                packed.forget(place, base);
            }
        }
        // The block that holds the header stays.
        let below = position(header.first) / 4096 * 4096;
        hole(self.index(), 4096, below.saturating_sub(4096));
    }

    /// Opens what is there and makes the index agree with the bytes: they are written first.
    pub fn load(&self) -> Result<Found> {
        let mut found = Found::default();
        let Some(index) = open(&self.dir.join("index"))? else {
            return self.adopt_bytes(found);
        };
        let size = index.metadata().map_err(|e| io("read", &self.dir.join("index"), e))?.len();
        let mut bytes = [0; HEADER as usize];
        let header = index.read_exact_at(&mut bytes, 0).ok().and_then(|()| Header::decode(&bytes));
        let Some(header) = header else {
            let path = self.dir.join("index");
            tracing::warn!(path = %path.display(), "unreadable log index set aside");
            let aside = self.dir.join("index.damaged");
            std::fs::rename(&path, aside).map_err(|e| io("rename", &path, e))?;
            return self.adopt_bytes(found);
        };
        self.index.get_or_init(|| index);
        found.header = header;
        found.count = (size.saturating_sub(HEADER) / ENTRY).max(header.first);
        found.end = header.base;
        // A torn or zeroed tail (power cut) is no entry; its bytes are adopted below.
        while found.count > header.first && self.read_entry(found.count - 1).is_none() {
            found.count -= 1;
        }
        let mut missing = [true; 2];
        for number in (header.first..found.count).rev() {
            let Some(entry) = self.read_entry(number) else { continue };
            found.last.get_or_insert(entry);
            let stream = entry.stream.index();
            if std::mem::take(&mut missing[stream]) {
                found.end[stream] = entry.end();
            }
            if missing == [false; 2] {
                break;
            }
        }
        self.adopt_bytes(found)
    }

    /// Adds entries for bytes that no entry names: their engine was killed in between.
    fn adopt_bytes(&self, mut found: Found) -> Result<Found> {
        for stream in Stream::ALL {
            let path = self.dir.join(stream.file_name());
            let Some(file) = open(&path)? else { continue };
            let meta = file.metadata().map_err(|e| io("read", &path, e))?;
            self.raw[stream.index()].get_or_init(|| file);
            if let Some((packed, place)) = self.packed(stream) {
                packed.load(place).map_err(|e| io("read", &self.dir, e))?;
                packed.forget(place, found.header.base[stream.index()]);
            }
            while found.end[stream.index()] < meta.len() {
                let offset = found.end[stream.index()];
                let len = u32::try_from(meta.len() - offset).unwrap_or(1 << 30);
                let time = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
                let entry = Entry { time, offset, len, stream };
                self.write_entry(found.count, &entry)?;
                found.count += 1;
                found.last = Some(entry);
                found.end[stream.index()] = entry.end();
            }
        }
        Ok(found)
    }
}

fn make(path: &Path) -> Result<File> {
    let options = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        options.open(path)
    };
    match options() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(path);
            std::fs::create_dir_all(dir).map_err(|e| io("create", dir, e))?;
            options().map_err(|e| io("open", path, e))
        }
        other => other.map_err(|e| io("open", path, e)),
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io("open", path, e)),
    }
}

fn io(attempt: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { attempt, path: path.to_owned(), source }
}
