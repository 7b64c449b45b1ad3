//! [`Spool`]: the files of an image archive, by name, until its index says what they are.

use std::collections::HashMap;
use std::io::{BufRead, Read, Write};

use hull_archive::tar::{EntryKind, Reader};
use hull_content::{Blob, Ingest, Store};
use hull_types::Digest;

use crate::index::MAX_DOCUMENT;
use crate::session::Session;
use crate::{Error, Result};

/// Files up to this size stay in memory, as long as all of them together stay below [`MEMORY`].
const SMALL: u64 = 1 << 17;
const MEMORY: u64 = 32 << 20;
const FILES: usize = 100_000;
const LINKS: usize = 8;

/// The files of an archive. Those that no image takes leave nothing behind.
pub(crate) struct Spool {
    files: HashMap<String, File>,
}

enum File {
    Memory(Vec<u8>),
    Large(Blob),
    /// Taken by the session.
    Taken(Digest, u64),
    /// The same as another file.
    Link(String),
}

impl Spool {
    /// Reads all entries of an archive.
    pub fn read(reader: &mut Reader<impl BufRead>, content: &Store) -> Result<Self> {
        let mut files = HashMap::new();
        let mut memory = 0;
        while let Some(entry) = reader.next_entry()? {
            if files.len() >= FILES {
                return Err(
                    hull_archive::Error::Limit { limit: FILES as u64, what: "files in an image archive" }.into()
                );
            }
            let Some(name) = clean(&String::from_utf8_lossy(&entry.path)) else {
                return Err(Error::document("the archive", "a file's name leads out of it"));
            };
            let file = match entry.kind {
                EntryKind::File if entry.sparse.is_some() => {
                    return Err(Error::document("the archive", "a file in it is sparse"));
                }
                EntryKind::File if entry.size <= SMALL && memory + entry.size <= MEMORY => {
                    memory += entry.size;
                    let mut bytes = Vec::with_capacity(usize::try_from(entry.size).unwrap_or_default());
                    reader.read_to_end(&mut bytes).map_err(Error::Read)?;
                    File::Memory(bytes)
                }
                EntryKind::File => {
                    let mut ingest = content.ingest()?;
                    copy(reader, &mut ingest)?;
                    File::Large(ingest.finish(None)?)
                }
                EntryKind::Symlink => match link(&name, &String::from_utf8_lossy(&entry.link)) {
                    Some(target) => File::Link(target),
                    None => continue,
                },
                EntryKind::HardLink => match clean(&String::from_utf8_lossy(&entry.link)) {
                    Some(target) => File::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            // Two files of one name: nobody can say which one is meant.
            if files.insert(name, file).is_some() {
                return Err(Error::document("the archive", "two files in it have the same name"));
            }
        }
        Ok(Self { files })
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// A whole small file.
    pub fn document(&self, session: &Session<'_>, what: &'static str, name: &str) -> Result<Vec<u8>> {
        let missing = || Error::MissingFile { what, name: name.escape_debug().to_string() };
        let name = self.follow(name).ok_or_else(missing)?;
        let (size, mut from): (u64, Box<dyn Read + '_>) = match self.files.get(&name) {
            Some(File::Memory(bytes)) => (bytes.len() as u64, Box::new(&bytes[..])),
            Some(File::Large(blob)) => (blob.size(), Box::new(blob.reader()?)),
            Some(File::Taken(digest, size)) => (*size, session.blob(digest)?),
            Some(File::Link(_)) | None => return Err(missing()),
        };
        if size > MAX_DOCUMENT {
            return Err(Error::document(what, format!("it has {size} bytes, more than {MAX_DOCUMENT}")));
        }
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(Error::Read)?;
        Ok(bytes)
    }

    /// Gives a file to the session as a blob; its digest and size. Several names may mean one file.
    pub fn take(&mut self, session: &mut Session<'_>, content: &Store, name: &str) -> Result<Option<(Digest, u64)>> {
        let Some(name) = self.follow(name) else { return Ok(None) };
        let Some(file) = self.files.remove(&name) else { return Ok(None) };
        let blob = match file {
            File::Memory(bytes) => content.stage(&bytes)?,
            File::Large(blob) => blob,
            File::Taken(digest, size) => {
                self.files.insert(name, File::Taken(digest, size));
                return Ok(Some((digest, size)));
            }
            File::Link(_) => return Ok(None),
        };
        let taken = (blob.digest(), blob.size());
        session.keep(blob);
        self.files.insert(name, File::Taken(taken.0, taken.1));
        Ok(Some(taken))
    }

    /// The name of the file behind links.
    fn follow(&self, name: &str) -> Option<String> {
        let mut name = clean(name)?;
        for _ in 0..LINKS {
            match self.files.get(&name)? {
                File::Link(target) => name.clone_from(target),
                _ => return Some(name),
            }
        }
        None
    }
}

/// Moves the current entry's content in pieces as large as they come.
fn copy(from: &mut Reader<impl BufRead>, to: &mut Ingest) -> Result<()> {
    loop {
        let piece = from.chunk()?;
        let bytes = piece.len();
        if bytes == 0 {
            return Ok(());
        }
        to.write_all(piece).map_err(|source| hull_content::Error::File {
            attempt: "write",
            name: "a blob".to_owned(),
            source,
        })?;
        from.consume(bytes);
    }
}

/// A name without `.` and empty components; `None` if it leads out of the archive.
fn clean(name: &str) -> Option<String> {
    let mut out: Vec<&str> = Vec::new();
    for component in name.split('/') {
        match component {
            "" | "." => {}
            ".." => _ = out.pop()?,
            other => out.push(other),
        }
    }
    Some(out.join("/"))
}

/// What a symbolic link at `name` means.
fn link(name: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    clean(&format!("{directory}/{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert_eq!(clean("./a//b/../c").as_deref(), Some("a/c"));
        assert_eq!(clean("../a"), None);
        assert_eq!(link("a/layer.tar", "../b.tar").as_deref(), Some("b.tar"));
        assert_eq!(link("a/layer.tar", "../../b.tar"), None);
        assert_eq!(link("a", "/etc/passwd"), None);
    }
}
