//! What can go wrong with layers and root file systems.

use hull_types::{Digest, Fault, Kind};
use rustix::io::Errno;

/// Why a layer or a root file system could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A slot's name could lead elsewhere.
    #[error("`{0}` is no name for a container's place on disk")]
    Slot(String),
    /// A layer is not there.
    #[error("layer {0} is missing")]
    MissingLayer(Digest),
    /// `hull/host` keeps its changes in memory.
    #[error("a container of `hull/host` keeps its changes in memory, where they cannot be listed or saved")]
    InMemory,
    /// A layer's description cannot be read or written.
    #[error("layer {0} is damaged: {1}")]
    DamagedLayer(Digest, String),
    /// A mount could not be made.
    #[error("mount the root file system: {0}")]
    Mount(#[from] hull_mount::Error),
    /// A mount with a user namespace's ids could not be made.
    #[error("mount the root file system with the ids of a user namespace: {0}")]
    Idmapped(#[source] hull_mount::Error),
    /// A tree could not be removed or unpacked.
    #[error(transparent)]
    Archive(#[from] hull_archive::Error),
    /// A file operation failed.
    #[error("{attempt} `{name}`: {errno}")]
    File {
        /// What was tried.
        attempt: &'static str,
        /// On what, below the engine's root.
        name: String,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Slot(_) => Kind::Invalid,
            Self::MissingLayer(_) => Kind::NotFound,
            Self::DamagedLayer(..) | Self::File { .. } => Kind::Internal,
            Self::Mount(error) => error.kind(),
            Self::Idmapped(_) | Self::InMemory => Kind::Unsupported,
            Self::Archive(error) => error.kind(),
        }
    }

    /// With a user namespace, old kernels and some file systems refuse for a reason worth telling.
    pub(crate) fn mount(error: hull_mount::Error, idmapped: bool) -> Self {
        if idmapped { Self::Idmapped(error) } else { Self::Mount(error) }
    }

    pub(crate) fn file(attempt: &'static str, name: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let name = name.into();
        move |errno| Self::File { attempt, name, errno }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Self::new(error.kind(), error.to_string());
        match error {
            Error::Archive(error) => error.into(),
            Error::Idmapped(_) => {
                fault.hint("this needs Linux 5.19 or newer and a file system that supports idmapped mounts")
            }
            Error::MissingLayer(_) | Error::DamagedLayer(..) => fault.hint("load or import the image again"),
            Error::File { errno: Errno::NOSPC | Errno::DQUOT, .. } => fault.hint("free some disk space"),
            _ => fault,
        }
    }
}
