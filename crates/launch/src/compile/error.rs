//! Why a plan could not be compiled.

use std::path::PathBuf;

use hull_types::{Fault, Kind};

/// Why a plan could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command is empty.
    #[error("no command specified")]
    NoCommand,
    /// The kernel ends strings at NUL.
    #[error("the {what} {value:?} contains a NUL byte")]
    Nul {
        /// `argument` or `environment variable`.
        what: &'static str,
        /// It.
        value: String,
    },
    /// The facts were gathered for another spec.
    #[error("{asked} mounts are asked for, but {given} were prepared")]
    Mounts {
        /// In the spec.
        asked: usize,
        /// In the facts.
        given: usize,
    },
    /// A bind or a volume without its mount.
    #[error("nothing was prepared to be mounted at {target:?}")]
    MountFact {
        /// Where it should have been.
        target: PathBuf,
    },
}

impl Error {
    /// Its class.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoCommand | Self::Nul { .. } => Kind::Invalid,
            Self::Mounts { .. } | Self::MountFact { .. } => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
