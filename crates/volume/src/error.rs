//! What can go wrong with a volume.

use std::io;

use hull_types::{Fault, Kind};

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is outside docker's grammar.
    #[error(
        "\"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
    )]
    Name(String),
    /// No such volume.
    #[error("get {0}: no such volume")]
    Missing(String),
    /// What it shows is not there.
    #[error("failed to mount local volume `{name}`: {}", device.display())]
    Device {
        /// Which volume.
        name: String,
        /// What it was to show.
        device: std::path::PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A call on the volume's files failed.
    #[error("cannot {attempt} of volume `{name}`")]
    Io {
        /// What was tried, as a verb with its object.
        attempt: &'static str,
        /// Which volume.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The directory of all volumes cannot be used.
    #[error("cannot use the directory of volumes `{path}`")]
    Store {
        /// Where it is.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The image's directory nests too deeply to be copied.
    #[error("cannot fill volume `{name}`: the image's directory nests more than {limit} levels")]
    Depth {
        /// Which volume.
        name: String,
        /// How many are taken.
        limit: usize,
    },
}

impl Error {
    /// Its class.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Name(_) | Self::Depth { .. } | Self::Device { .. } => Kind::Invalid,
            Self::Missing(_) => Kind::NotFound,
            Self::Io { .. } | Self::Store { .. } => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Self::new(error.kind(), error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => fault.cause(source),
            None => fault,
        }
    }
}
