//! [`Ingest`]: bytes of unknown digest on their way in.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use hull_types::Digest;
use sha2::{Digest as _, Sha256};

use crate::store::Inner;
use crate::{Error, Result};

/// A blob being written. Dropped without [`Ingest::finish`], it leaves nothing behind.
pub struct Ingest {
    pub(crate) file: File,
    pub(crate) hasher: Sha256,
    pub(crate) size: u64,
    pub(crate) temporary: Temporary,
}

/// A whole blob that is not visible yet. Clones share it; when the last one is dropped without the blob having
/// been published, it leaves nothing behind.
#[derive(Clone)]
pub struct Blob {
    digest: Digest,
    size: u64,
    file: Arc<File>,
    pub(crate) temporary: Arc<Temporary>,
}

/// A file in the ingest directory; removed when dropped.
pub(crate) struct Temporary {
    pub store: Arc<Inner>,
    pub name: String,
    /// Stays for a later attempt.
    pub kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing is lost: the next start sweeps the directory. A published blob has another link.
            _ = rustix::fs::unlinkat(&self.store.ingest, &self.name, rustix::fs::AtFlags::empty());
        }
    }
}

impl Ingest {
    /// Ends the blob. With `expected`, any other digest is refused.
    pub fn finish(self, expected: Option<&Digest>) -> Result<Blob> {
        let digest = Digest::from_raw(&self.hasher.finalize().into());
        match expected {
            Some(expected) if *expected != digest => Err(Error::mismatch(expected, digest)),
            _ => Ok(Blob { digest, size: self.size, file: Arc::new(self.file), temporary: Arc::new(self.temporary) }),
        }
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrote = self.file.write(bytes)?;
        self.hasher.update(&bytes[..wrote]);
        self.size += wrote as u64;
        Ok(wrote)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Blob {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its file, for reading at any position.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(Error::file("duplicate", &self.temporary.name))
    }

    /// Its content, from the start.
    pub fn reader(&self) -> Result<impl Read + Send + use<>> {
        Ok(Reader { file: Arc::clone(&self.file), at: 0 })
    }
}

/// Reads a shared file from a position of its own.
struct Reader {
    file: Arc<File>,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A stream whose bytes also go into a blob.
pub struct Tee<R> {
    from: R,
    to: Ingest,
}

impl<R: Read> Tee<R> {
    /// Everything read from the result is written to `to`.
    pub fn new(from: R, to: Ingest) -> Self {
        Self { from, to }
    }

    /// The blob with what was read so far.
    pub fn into_ingest(self) -> Ingest {
        self.to
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.to.write_all(&buffer[..read])?;
        Ok(read)
    }
}
