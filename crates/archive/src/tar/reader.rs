//! [`Reader`]: entries of a tar stream, one after the other.
//!
//! Invariants: content that the caller leaves unread is skipped; memory is bounded by
//! [`Limits::metadata`] and [`Limits::extents`], whatever the archive says.

use std::io::{self, BufRead, Read};

use super::entry::{Entry, EntryKind, Mtime};
use super::header::Header;
use super::pax::Pax;
use super::sparse::{self, MapLines};
use super::{BLOCK, padding};
use crate::{Error, Limits};

/// Reads entries from a stream of blocks.
pub struct Reader<R> {
    from: R,
    limits: Limits,
    /// Bytes taken from the stream.
    at: u64,
    /// Entries returned.
    entries: u64,
    /// Bytes of the current entry's content that are still to come, and the padding after them.
    left: u64,
    padding: u64,
    ended: bool,
}

/// Extensions that precede an entry.
#[derive(Default)]
struct Pending {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    bytes: u64,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.name.is_none() && self.link.is_none()
    }
}

impl<R: BufRead> Reader<R> {
    /// A reader that stands before the first entry.
    pub fn new(from: R, limits: Limits) -> Self {
        Self { from, limits, at: 0, entries: 0, left: 0, padding: 0, ended: false }
    }

    /// Skips what is left of the current entry and returns the next one; `None` at the archive's end.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        self.skip_content()?;
        if self.ended {
            return Ok(None);
        }
        let mut pending = Pending::default();
        loop {
            let mut block = [0; BLOCK];
            if !self.header_block(&mut block)? {
                self.ended = true;
                return if pending.is_empty() { Ok(None) } else { Err(Error::CutShort { at: self.at }) };
            }
            let header = Header(&block);
            let size = header.size().ok_or_else(|| self.malformed("the size is not a number"))?;
            match header.flag() {
                b'x' => self.read_pax(&mut pending, size)?,
                b'g' => self.check_global(&mut pending, size)?,
                b'L' | b'K' => self.read_long(&mut pending, header.flag(), size)?,
                b'V' => {
                    self.left = size;
                    self.padding = padding(size);
                    self.skip_content()?;
                }
                _ => return self.entry(&block, size, pending).map(Some),
            }
        }
    }

    /// The next piece of the current entry's content, empty at its end. Take it with [`Reader::consume`].
    pub fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let at = self.at;
        let piece = self.from.fill_buf().map_err(Error::Read)?;
        if piece.is_empty() {
            return Err(Error::CutShort { at });
        }
        let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
        Ok(&piece[..take])
    }

    /// Takes bytes that [`Reader::chunk`] returned.
    pub fn consume(&mut self, bytes: usize) {
        self.from.consume(bytes);
        self.at += bytes as u64;
        self.left -= bytes as u64;
    }

    /// Reads to the end of the stream, past the archive's end, so that who hashes it sees all of it.
    pub fn drain(&mut self) -> Result<(), Error> {
        self.left = 0;
        self.padding = 0;
        self.ended = true;
        loop {
            let piece = self.from.fill_buf().map_err(Error::Read)?;
            let bytes = piece.len();
            if bytes == 0 {
                return Ok(());
            }
            self.from.consume(bytes);
            self.advance(bytes as u64)?;
        }
    }

    /// The stream, wherever it stands.
    pub fn into_inner(self) -> R {
        self.from
    }

    /// Bytes of the uncompressed stream read so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        while self.left > 0 {
            let bytes = self.chunk()?.len();
            self.consume(bytes);
        }
        let padding = std::mem::take(&mut self.padding);
        let mut block = [0; BLOCK];
        let padding = usize::try_from(padding).unwrap_or_default();
        self.fill(&mut block[..padding])
    }

    /// Reads one header block; `false` at the archive's end.
    fn header_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, Error> {
        if self.from.fill_buf().map_err(Error::Read)?.is_empty() {
            return Ok(false);
        }
        self.fill(block)?;
        if Header(block).is_zero() {
            if self.from.fill_buf().map_err(Error::Read)?.is_empty() {
                return Ok(false);
            }
            self.fill(block)?;
            return if Header(block).is_zero() { Ok(false) } else { Err(self.malformed("a lone zero block")) };
        }
        if Header(block).checksum_holds() { Ok(true) } else { Err(self.malformed("a header's checksum is wrong")) }
    }

    fn entry(&mut self, block: &[u8; BLOCK], size: u64, pending: Pending) -> Result<Entry, Error> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::Limit { limit: self.limits.entries, what: "entries" });
        }
        let header = Header(block);
        let Pending { pax, name, link, .. } = pending;
        let pax = pax.unwrap_or_default();
        let mut entry = Entry {
            path: self.one_name(pax.sparse.name.clone().or(pax.path.clone()), name, || {
                let (prefix, name) = (header.prefix(), header.name());
                if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
            })?,
            link: self.one_name(pax.link.clone(), link, || header.link().to_vec())?,
            ..Entry::default()
        };
        let flag = header.flag();
        entry.kind = kind(flag, &entry.path).ok_or_else(|| self.malformed("an unknown type of entry"))?;
        self.read_numbers(&mut entry, &header, &pax)?;
        if entry.kind == EntryKind::File {
            entry.size = pax.size.unwrap_or(size);
            self.left = entry.size;
            self.padding = padding(entry.size);
            self.read_sparse(&mut entry, block, &pax)?;
            if entry.path.ends_with(b"/") {
                self.slash_is_directory(&mut entry)?;
            }
            self.check_bytes(self.at.saturating_add(self.left))?;
        }
        entry.xattrs = pax.xattrs;
        Ok(entry)
    }

    /// Old archives mark a directory by its name alone.
    fn slash_is_directory(&self, entry: &mut Entry) -> Result<(), Error> {
        if self.left > 0 || entry.sparse.is_some() {
            return Err(self.malformed("a file's name ends with a slash"));
        }
        entry.kind = EntryKind::Directory;
        entry.size = 0;
        entry.sparse = None;
        Ok(())
    }

    /// PAX's name, GNU's long name or the header's; the first two must not contradict each other.
    fn one_name(
        &self,
        pax: Option<Vec<u8>>,
        gnu: Option<Vec<u8>>,
        header: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let name = match (pax, gnu) {
            (Some(pax), Some(gnu)) if pax != gnu => return Err(self.malformed("an entry has two names")),
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => header(),
        };
        if name.len() > self.limits.name {
            return Err(Error::Limit { limit: self.limits.name as u64, what: "bytes in a name" });
        }
        Ok(name)
    }

    fn read_numbers(&self, entry: &mut Entry, header: &Header<'_>, pax: &Pax) -> Result<(), Error> {
        let id = |pax: Option<u32>, header: Option<i64>| pax.or_else(|| u32::try_from(header?).ok());
        let bad = |what| move || Error::Malformed { at: self.at, what };
        entry.uid = id(pax.uid, header.uid()).ok_or_else(bad("the owner is not an id"))?;
        entry.gid = id(pax.gid, header.gid()).ok_or_else(bad("the group is not an id"))?;
        let mode = header.mode().ok_or_else(bad("the mode is not a number"))?;
        entry.mode = (mode & 0o7777) as u32;
        // Of what is no device, the fields hold anything.
        if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            entry.device = header.device().ok_or_else(bad("a device number is malformed"))?;
        }
        let seconds = header.mtime().map(|secs| Mtime { secs, nanos: 0 });
        entry.mtime = pax.mtime.or(seconds).ok_or_else(bad("the time is not a number"))?;
        Ok(())
    }

    /// Replaces `entry.size` by the logical size and reads the map, which may precede the content.
    fn read_sparse(&mut self, entry: &mut Entry, block: &[u8; BLOCK], pax: &Pax) -> Result<(), Error> {
        let map = match (Header(block).flag(), &pax.sparse) {
            (b'S', _) => {
                entry.size =
                    sparse::old_size(block).ok_or_else(|| self.malformed("the sparse size is not a number"))?;
                self.old_map(block)?
            }
            (_, known) if known.version == (Some(1), Some(0)) => {
                entry.size = known.size.ok_or_else(|| self.malformed("a sparse file lacks its size"))?;
                self.map_lines()?
            }
            (_, known) => match &known.map {
                Some(map) => {
                    entry.size = known.size.ok_or_else(|| self.malformed("a sparse file lacks its size"))?;
                    map.clone()
                }
                None if known.version.0.is_some_and(|major| major > 0) => {
                    return Err(self.malformed("an unknown version of sparse file"));
                }
                None => return Ok(()),
            },
        };
        sparse::check(&map, entry.size, self.left).map_err(|what| self.malformed(what))?;
        entry.sparse = Some(map);
        Ok(())
    }

    fn old_map(&mut self, block: &[u8; BLOCK]) -> Result<Vec<super::Extent>, Error> {
        const BAD: &str = "the sparse map is malformed";
        let mut map = Vec::new();
        let mut more = sparse::old_header(block, &mut map).ok_or_else(|| self.malformed(BAD))?;
        while more {
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            more = sparse::old_more(&block, &mut map).ok_or_else(|| self.malformed(BAD))?;
            if map.len() > self.limits.extents {
                return Err(self.malformed("a sparse file has too many pieces"));
            }
        }
        Ok(map)
    }

    /// The map of PAX 1.0 stands in the content's first blocks and counts as content.
    fn map_lines(&mut self) -> Result<Vec<super::Extent>, Error> {
        let mut lines = MapLines::default();
        loop {
            let mut block = [0; BLOCK];
            self.left = self
                .left
                .checked_sub(BLOCK as u64)
                .ok_or_else(|| self.malformed("the sparse map is longer than its file"))?;
            self.fill(&mut block)?;
            if let Some(map) = lines.block(&block, self.limits.extents).map_err(|what| self.malformed(what))? {
                return Ok(map);
            }
        }
    }

    fn read_pax(&mut self, pending: &mut Pending, size: u64) -> Result<(), Error> {
        if pending.pax.is_some() {
            return Err(self.malformed("an entry has two extended headers"));
        }
        let data = self.metadata(pending, size)?;
        let pax = Pax::parse(&data, self.limits.extents).map_err(|what| self.malformed(what))?;
        pending.pax = Some(pax);
        Ok(())
    }

    /// Global records are ignored as docker does; those that would change what entries are called or
    /// where they end are refused, since other programs heed them.
    fn check_global(&mut self, pending: &mut Pending, size: u64) -> Result<(), Error> {
        let data = self.metadata(pending, size)?;
        let pax = Pax::parse(&data, 1).map_err(|what| self.malformed(what))?;
        let harmless = Pax { uid: None, gid: None, mtime: None, xattrs: Vec::new(), ..pax } == Pax::default();
        if harmless { Ok(()) } else { Err(self.malformed("a global header renames or resizes entries")) }
    }

    fn read_long(&mut self, pending: &mut Pending, flag: u8, size: u64) -> Result<(), Error> {
        let mut name = self.metadata(pending, size)?;
        // GNU tar writes a NUL behind the name; nothing may hide after the first one.
        if let Some(end) = name.iter().position(|byte| *byte == 0) {
            if name[end..].iter().any(|byte| *byte != 0) {
                return Err(self.malformed("a long name holds a NUL byte"));
            }
            name.truncate(end);
        }
        let slot = if flag == b'L' { &mut pending.name } else { &mut pending.link };
        if slot.replace(name).is_some() {
            return Err(self.malformed("an entry has two long names"));
        }
        Ok(())
    }

    /// Content of an extension.
    fn metadata(&mut self, pending: &mut Pending, size: u64) -> Result<Vec<u8>, Error> {
        pending.bytes = pending.bytes.saturating_add(size).saturating_add(BLOCK as u64);
        if pending.bytes > self.limits.metadata {
            return Err(Error::Limit { limit: self.limits.metadata, what: "bytes of extended headers for one entry" });
        }
        let mut data = vec![0; usize::try_from(size + padding(size)).unwrap_or_default()];
        self.fill(&mut data)?;
        data.truncate(usize::try_from(size).unwrap_or_default());
        Ok(data)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let at = self.at;
        self.from.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::CutShort { at },
            _ => Error::Read(error),
        })?;
        self.advance(buffer.len() as u64)
    }

    fn advance(&mut self, bytes: u64) -> Result<(), Error> {
        self.at += bytes;
        self.check_bytes(self.at)
    }

    fn check_bytes(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.limits.bytes;
        if bytes > limit { Err(Error::Limit { limit, what: "bytes" }) } else { Ok(()) }
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { at: self.at, what }
    }
}

/// What a type flag means; `None` if nothing that hull knows.
fn kind(flag: u8, path: &[u8]) -> Option<EntryKind> {
    Some(match flag {
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharDevice,
        b'4' => EntryKind::BlockDevice,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        _ => return None,
    })
    .filter(|_| !path.is_empty())
}

/// The current entry's content, holes left out.
impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.chunk().map_err(io::Error::other)?;
        let bytes = piece.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&piece[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
