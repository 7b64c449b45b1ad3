//! [`Partial`]: a blob of known digest on its way in, which survives an interruption.
//!
//! What is there of it is always a beginning of the blob as far as its writer knew; that it is one is
//! proved at the end by the digest. One writer at a time: the caller sees to that.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hull_types::Digest;
use rustix::fs::{AtFlags, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::ingest::Temporary;
use crate::{Blob, Error, Ingest, Result, Store};

const PREFIX: &str = "partial-";
/// Older ones are swept at start.
const AGE: Duration = Duration::from_secs(24 * 3600);

/// The beginning of a blob. Dropped without [`Partial::finish`] or [`Partial::discard`], it stays for the next
/// attempt.
pub struct Partial {
    digest: Digest,
    ingest: Ingest,
}

/// Reads a blob while it is being written.
pub struct Follower {
    file: Arc<File>,
}

impl Store {
    /// Opens what is there of a blob of `size` bytes, and hashes it. Blocks for as long as that takes.
    pub fn partial(&self, digest: &Digest, size: u64) -> Result<Partial> {
        let name = format!("{PREFIX}{}", digest.hex());
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.inner.ingest, &name, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(fd.map_err(Error::file("open", &name))?);
        let fail = |attempt| Error::file(attempt, name.clone());
        if file.metadata().map_err(fail("stat"))?.len() > size {
            file.set_len(0).map_err(fail("truncate"))?;
        }
        let (mut hasher, mut held) = (Sha256::new(), 0);
        let mut piece = vec![0; 1 << 18];
        loop {
            match file.read(&mut piece).map_err(fail("read"))? {
                0 => break,
                read => {
                    hasher.update(&piece[..read]);
                    held += read as u64;
                }
            }
        }
        let temporary = Temporary { store: self.inner.clone(), name, kept: true };
        Ok(Partial { digest: *digest, ingest: Ingest { file, hasher, size: held, temporary } })
    }
}

impl Partial {
    /// Bytes that are there.
    pub fn offset(&self) -> u64 {
        self.ingest.size()
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ingest.write_all(bytes)
    }

    /// Forgets what is there.
    pub fn restart(&mut self) -> Result<()> {
        let fail = Error::file("truncate", self.digest.hex());
        self.ingest.file.set_len(0).and_then(|()| io::Seek::rewind(&mut self.ingest.file)).map_err(fail)?;
        self.ingest.hasher = Sha256::new();
        self.ingest.size = 0;
        Ok(())
    }

    /// A reader's view of what is written.
    pub fn follower(&self) -> Result<Follower> {
        let file = self.ingest.file.try_clone().map_err(Error::file("duplicate", self.digest.hex()))?;
        Ok(Follower { file: Arc::new(file) })
    }

    /// Ends the blob. What has another digest is of no use and removed.
    pub fn finish(mut self) -> Result<Blob> {
        self.ingest.temporary.kept = false;
        self.ingest.finish(Some(&self.digest))
    }

    /// Removes it.
    pub fn discard(mut self) {
        self.ingest.temporary.kept = false;
    }
}

impl Clone for Follower {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file) }
    }
}

impl Follower {
    /// Reads at a position; the caller knows how far the writer is.
    ///
    /// # Errors
    /// What pread(2) says.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }
}

/// Whether this is a beginning that a next attempt may resume.
pub(crate) fn is_young(ingest: &OwnedFd, name: &str) -> bool {
    let Some(_) = name.strip_prefix(PREFIX).and_then(|hex| Digest::from_hex(hex).ok()) else { return false };
    let Ok(stat) = rustix::fs::statat(ingest, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let written = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
    // A clock that was set back makes nothing old.
    now.saturating_sub(written) < AGE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingest(dir: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(dir.path().join("content/ingest")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_beginning_survives_a_restart_and_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"hello world");
        let store = Store::open(dir.path()).unwrap();
        let mut partial = store.partial(&digest, 11).unwrap();
        partial.write(b"hello ").unwrap();
        drop((partial, store));
        let store = Store::open(dir.path()).unwrap();
        let mut partial = store.partial(&digest, 11).unwrap();
        assert_eq!(partial.offset(), 6);
        let follower = partial.follower().unwrap();
        partial.write(b"world").unwrap();
        let mut read = [0; 5];
        assert_eq!((follower.read_at(&mut read, 6).unwrap(), &read), (5, b"world"));
        let blob = partial.finish().unwrap();
        store.publish([blob.clone(), blob.clone()]).unwrap();
        drop(blob);
        assert_eq!(store.read(&digest, 11).unwrap(), b"hello world");
        assert!(ingest(&dir).is_empty(), "{:?}", ingest(&dir));
    }

    #[test]
    fn what_cannot_become_the_blob_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = Digest::of(b"right");
        let mut partial = store.partial(&digest, 5).unwrap();
        partial.write(b"wrong").unwrap();
        assert!(matches!(partial.finish(), Err(Error::Mismatch { .. })));
        assert!(ingest(&dir).is_empty());
        let mut partial = store.partial(&digest, 5).unwrap();
        partial.write(b"wrong and longer").unwrap();
        drop(partial);
        let mut partial = store.partial(&digest, 5).unwrap();
        assert_eq!(partial.offset(), 0, "longer than the blob");
        partial.write(b"wro").unwrap();
        partial.restart().unwrap();
        partial.write(b"right").unwrap();
        partial.finish().unwrap();
        assert!(ingest(&dir).is_empty());
    }

    #[test]
    fn old_beginnings_and_other_files_are_swept_at_start() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        let place = dir.path().join("content/ingest");
        let name = |text: &[u8]| format!("{PREFIX}{}", Digest::of(text).hex());
        for file in [name(b"old"), name(b"young"), "7".to_owned(), "partial-x".to_owned()] {
            std::fs::write(place.join(file), b"x").unwrap();
        }
        let old = File::options().write(true).open(place.join(name(b"old"))).unwrap();
        old.set_modified(SystemTime::now() - AGE * 2).unwrap();
        drop(Store::open(dir.path()).unwrap());
        assert_eq!(ingest(&dir), [name(b"young")]);
    }
}
