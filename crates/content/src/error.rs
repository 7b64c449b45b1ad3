//! What can go wrong with blobs.

use std::io;

use hull_types::{Digest, Fault, Kind};

/// Why a blob could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No blob has this digest.
    #[error("no such blob: {0}")]
    Missing(Digest),
    /// The bytes are not what their name says.
    #[error("content has digest {found}, not {expected}")]
    Mismatch {
        /// What was promised.
        expected: Box<Digest>,
        /// What came.
        found: Box<Digest>,
    },
    /// A blob is larger than its use allows.
    #[error("blob {digest} of {size} bytes is larger than the {max} bytes that are allowed")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size.
        size: u64,
        /// What is allowed.
        max: u64,
    },
    /// A file operation failed.
    #[error("{attempt} `{name}` in the content store: {source}")]
    File {
        /// What was tried.
        attempt: &'static str,
        /// On what, below the store's root.
        name: String,
        /// The answer.
        source: io::Error,
    },
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::NotFound,
            Self::Mismatch { .. } | Self::TooLarge { .. } => Kind::Invalid,
            Self::File { .. } => Kind::Internal,
        }
    }

    pub(crate) fn mismatch(expected: &Digest, found: Digest) -> Self {
        Self::Mismatch { expected: Box::new(*expected), found: Box::new(found) }
    }

    pub(crate) fn file<E: Into<io::Error>>(attempt: &'static str, name: impl Into<String>) -> impl FnOnce(E) -> Self {
        let name = name.into();
        move |source| Self::File { attempt, name, source: source.into() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Self::new(error.kind(), error.to_string());
        match &error {
            Error::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                fault.hint("free some disk space")
            }
            _ => fault,
        }
    }
}
