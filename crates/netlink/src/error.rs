//! The error of this crate: a request with its operands, and what the kernel answered.

use hull_types::{Fault, Kind};
use rustix::io::Errno;

/// A netlink request that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The socket itself failed.
    #[error(transparent)]
    Socket(#[from] hull_sys::Error),
    /// The kernel refused a request.
    #[error("{request}: {}{}", hull_sys::errno_text(*.errno), Said(.message))]
    Refused {
        /// The request with its operands.
        request: String,
        /// The kernel's number.
        errno: Errno,
        /// The kernel's own words, where it has any.
        message: Option<String>,
    },
    /// An answer that cannot be read.
    #[error("{request}: an answer of {length} bytes cannot be read")]
    Answer {
        /// The request with its operands.
        request: String,
        /// The length of what came.
        length: usize,
    },
}

/// The result of a netlink request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The kernel's number, if it refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Socket(error) => Some(error.errno),
            Self::Refused { errno, .. } => Some(*errno),
            Self::Answer { .. } => None,
        }
    }

    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self.errno() {
            Some(Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => Kind::Unsupported,
            Some(Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::NOBUFS) => Kind::Unavailable,
            _ => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Tells "not there" and "there already" from failures.
pub trait Tolerate<T> {
    /// `None` where the kernel answered one of these.
    fn tolerate(self, errnos: &[Errno]) -> Result<Option<T>>;
}

impl<T> Tolerate<T> for Result<T> {
    fn tolerate(self, errnos: &[Errno]) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.errno().is_some_and(|errno| errnos.contains(&errno)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

struct Said<'a>(&'a Option<String>);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}
