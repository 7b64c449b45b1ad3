//! [`Hasher`]: a digest of bytes as they come.

use hull_types::Digest;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a stream.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn digest(self) -> Digest {
        Digest::from_raw(&self.0.finalize().into())
    }
}
