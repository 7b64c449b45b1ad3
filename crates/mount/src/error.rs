//! What can go wrong here.

use hull_types::{Fault, Kind};

/// A mount that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a call.
    #[error(transparent)]
    Call(#[from] hull_sys::Error),
    /// An overlay of nothing.
    #[error("an overlay needs at least one lower directory")]
    NoLowers,
    /// More layers than overlayfs stacks.
    #[error("an overlay of {given} lower directories, where the kernel allows {allowed}")]
    TooManyLowers {
        /// Asked for.
        given: usize,
        /// The kernel's limit.
        allowed: usize,
    },
    /// An upper directory without a work directory.
    #[error("an overlay with an upper directory needs a work directory")]
    NoWork,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Call(error) => error.kind(),
            Self::TooManyLowers { .. } => Kind::Unsupported,
            Self::NoLowers | Self::NoWork => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
