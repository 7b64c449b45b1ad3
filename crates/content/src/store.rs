//! [`Store`]: the directory of blobs.
//!
//! ```text
//! content/oci-layout, index.json   so that other tools take it for an OCI layout (without references)
//! content/blobs/sha256/<hex>       whole, verified, synced
//! content/ingest/<number>          on the way in; swept at start
//! content/broken/<hex>             damaged, set aside by a check; nobody reads it
//! content/ingest/partial-<hex>     the beginning of a blob; resumed, or swept at start when it is old
//! content/ingest/gone-<number>     on the way out; swept behind the answer
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hull_types::Digest;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::ingest::Temporary;
use crate::{Blob, Error, Ingest, Result, partial};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

const GONE: &str = "gone-";

/// The blobs of one engine. Clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    content: OwnedFd,
    pub blobs: OwnedFd,
    pub ingest: OwnedFd,
    next: AtomicU64,
}

impl Store {
    /// Opens or makes `<root>/content` and sweeps what an earlier engine left half-written.
    pub fn open(root: &Path) -> Result<Self> {
        let root = File::open(root).map_err(Error::file("open", root.display().to_string()))?;
        let content = directory(root.as_fd(), "content")?;
        let blobs = directory(directory(content.as_fd(), "blobs")?.as_fd(), "sha256")?;
        let ingest = directory(content.as_fd(), "ingest")?;
        write_new(&content, "oci-layout", LAYOUT)?;
        write_new(&content, "index.json", INDEX)?;
        remove_all(&ingest, |name| !partial::is_young(&ingest, name))?;
        Ok(Self { inner: Arc::new(Inner { content, blobs, ingest, next: AtomicU64::new(0) }) })
    }

    /// Starts a blob.
    pub fn ingest(&self) -> Result<Ingest> {
        let name = self.inner.next.fetch_add(1, Ordering::Relaxed).to_string();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.inner.ingest, &name, flags, Mode::from_raw_mode(0o600))
            .map_err(Error::file("create", &name))?;
        let temporary = Temporary { store: self.inner.clone(), name, kept: false };
        Ok(Ingest { file: File::from(fd), hasher: Sha256::new(), size: 0, temporary })
    }

    /// A blob from bytes in memory, not visible yet.
    pub fn stage(&self, bytes: &[u8]) -> Result<Blob> {
        let mut ingest = self.ingest()?;
        io::Write::write_all(&mut ingest, bytes).map_err(Error::file("write", "a blob"))?;
        ingest.finish(None)
    }

    /// Makes blobs visible. ORDER: the caller has synced the file system since they were finished.
    pub fn publish(&self, blobs: impl IntoIterator<Item = Blob>) -> Result<()> {
        for blob in blobs {
            let (from, name) = (&blob.temporary.name, blob.digest().hex().to_owned());
            // A link, since another operation may be about to publish the same blob.
            match rustix::fs::linkat(&self.inner.ingest, from, &self.inner.blobs, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::file("publish", &name)(errno)),
            }
        }
        rustix::fs::fsync(&self.inner.blobs).map_err(Error::file("sync", "blobs"))
    }

    /// Writes everything of the store's file system to the disk.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(&self.inner.blobs).map_err(Error::file("sync", "the file system"))
    }

    /// Whether a blob is there.
    pub fn has(&self, digest: &Digest) -> bool {
        rustix::fs::statat(&self.inner.blobs, digest.hex(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// A blob's content.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.inner.blobs, digest.hex(), flags, Mode::empty()) {
            Ok(fd) => Ok(File::from(fd)),
            Err(Errno::NOENT) => Err(Error::Missing(*digest)),
            Err(errno) => Err(Error::file("open", digest.hex())(errno)),
        }
    }

    /// A blob's size in bytes.
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        match rustix::fs::statat(&self.inner.blobs, digest.hex(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(stat.st_size.cast_unsigned()),
            Err(Errno::NOENT) => Err(Error::Missing(*digest)),
            Err(errno) => Err(Error::file("stat", digest.hex())(errno)),
        }
    }

    /// A whole small blob, verified.
    pub fn read(&self, digest: &Digest, max: u64) -> Result<Vec<u8>> {
        let size = self.size(digest)?;
        if size > max {
            return Err(Error::TooLarge { digest: *digest, size, max });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let file = self.open_blob(digest)?;
        file.take(max).read_to_end(&mut bytes).map_err(Error::file("read", digest.hex()))?;
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(Error::mismatch(digest, found)),
        }
    }

    /// Reads a whole blob and compares it with its digest.
    pub fn verify(&self, digest: &Digest) -> Result<()> {
        let mut file = self.open_blob(digest)?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 18];
        loop {
            match file.read(&mut piece).map_err(Error::file("read", digest.hex()))? {
                0 => break,
                read => hasher.update(&piece[..read]),
            }
        }
        match Digest::from_raw(&hasher.finalize().into()) {
            found if found == *digest => Ok(()),
            found => Err(Error::mismatch(digest, found)),
        }
    }

    /// Moves a blob out of sight; says whether it was there. [`Store::sweep`] deletes it.
    pub fn remove(&self, digest: &Digest) -> Result<bool> {
        let gone = format!("{GONE}{}", self.inner.next.fetch_add(1, Ordering::Relaxed));
        match rustix::fs::renameat(&self.inner.blobs, digest.hex(), &self.inner.ingest, &gone) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::file("remove", digest.hex())(errno)),
        }
    }

    /// Moves a blob into the directory `to`, which is on the same file system.
    pub fn set_aside(&self, digest: &Digest, to: impl AsFd) -> Result<()> {
        rustix::fs::renameat(&self.inner.blobs, digest.hex(), to, digest.hex())
            .map_err(Error::file("set aside", digest.hex()))
    }

    /// Moves a damaged blob to `content/broken`, for people to look at; says whether it was there.
    pub fn quarantine(&self, digest: &Digest) -> Result<bool> {
        let broken = directory(self.inner.content.as_fd(), "broken")?;
        match rustix::fs::renameat(&self.inner.blobs, digest.hex(), &broken, digest.hex()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::file("quarantine", digest.hex())(errno)),
        }
    }

    /// Deletes what was moved out of sight; how many blobs. Large files take their time.
    pub fn sweep(&self) -> Result<usize> {
        remove_all(&self.inner.ingest, |name| name.starts_with(GONE))
    }

    /// All blobs with their sizes. Files that are not named by a digest are left out.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>> {
        let digests = names(&self.inner.blobs, "blobs")?.into_iter().filter_map(|name| Digest::from_hex(&name).ok());
        digests.map(|digest| Ok((digest, self.size(&digest)?))).collect()
    }
}

fn directory(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::file("make", name)(errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(Error::file("open", name))
}

/// Writes a file of the layout itself, unless it is there.
fn write_new(dir: &OwnedFd, name: &str, bytes: &[u8]) -> Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(fd) => io::Write::write_all(&mut File::from(fd), bytes).map_err(Error::file("write", name)),
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Error::file("create", name)(errno)),
    }
}

fn remove_all(dir: &OwnedFd, which: impl Fn(&str) -> bool) -> Result<usize> {
    let mut removed = 0;
    for name in names(dir, "ingest")?.iter().filter(|name| which(name)) {
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) => removed += 1,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::file("remove", name)(errno)),
        }
    }
    Ok(removed)
}

fn names(dir: &OwnedFd, what: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).map_err(Error::file("list", what))? {
        let entry = entry.map_err(Error::file("list", what))?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (dir, store)
    }

    #[test]
    fn a_blob_is_visible_only_when_published() {
        let (dir, store) = store();
        let blob = store.stage(b"hello").unwrap();
        let digest = blob.digest();
        assert_eq!((blob.size(), store.has(&digest)), (5, false));
        store.publish([blob]).unwrap();
        assert_eq!(store.read(&digest, 5).unwrap(), b"hello");
        assert!(matches!(store.read(&digest, 4), Err(Error::TooLarge { size: 5, .. })));
        assert_eq!(store.list().unwrap(), [(digest, 5)]);
        assert!(dir.path().join("content/blobs/sha256").join(digest.hex()).is_file());
        assert!(store.remove(&digest).unwrap() && !store.remove(&digest).unwrap());
        assert!(!store.has(&digest));
        let on_the_way_in = store.ingest().unwrap();
        assert_eq!((store.sweep().unwrap(), store.sweep().unwrap()), (1, 0));
        on_the_way_in.finish(None).unwrap();
    }

    #[test]
    fn what_was_not_published_leaves_nothing() {
        let (dir, store) = store();
        let ingest = dir.path().join("content/ingest");
        drop(store.stage(b"hello").unwrap());
        let mut other = store.ingest().unwrap();
        other.write_all(b"x").unwrap();
        assert!(matches!(other.finish(Some(&Digest::of(b"y"))), Err(Error::Mismatch { .. })));
        assert_eq!(std::fs::read_dir(&ingest).unwrap().count(), 0);
        std::mem::forget(store.ingest().unwrap());
        drop(Store::open(dir.path()).unwrap());
        assert_eq!(std::fs::read_dir(&ingest).unwrap().count(), 0, "swept at the next start");
    }

    #[test]
    fn damage_is_found() {
        let (dir, store) = store();
        let blob = store.stage(b"hello").unwrap();
        let digest = blob.digest();
        store.publish([blob]).unwrap();
        store.verify(&digest).unwrap();
        std::fs::write(dir.path().join("content/blobs/sha256").join(digest.hex()), b"hellO").unwrap();
        assert!(matches!(store.verify(&digest), Err(Error::Mismatch { .. })));
        assert!(matches!(store.read(&digest, 9), Err(Error::Mismatch { .. })));
    }
}
