//! Why a log could not be kept or read.

use std::path::PathBuf;

use hull_types::{Fault, Kind};

/// A failed operation on a log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the spool failed.
    #[error("{attempt} {path}: {source}", path = path.display())]
    File {
        /// The verb: `open`, `read`, `write`, `remove`.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The readiness loop failed.
    #[error("{call}: {source}")]
    Loop {
        /// The system call.
        call: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl Error {
    /// The class of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File { .. } | Self::Loop { .. } => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Self::new(error.kind(), "the container's log could not be used").cause(&error);
        match error {
            Error::File { .. } => fault.hint("check free space and permissions under the root directory"),
            Error::Loop { .. } => fault,
        }
    }
}
