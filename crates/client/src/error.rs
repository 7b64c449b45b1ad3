//! What can go wrong between a command and the engine.

use std::io;
use std::path::PathBuf;

use hull_types::{Fault, Kind};

/// Why a request has no answer, or the engine's refusal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a unix socket.
    #[error("cannot use host `{0}`: only unix sockets are supported, as in unix:///run/hull/engine.sock")]
    Host(String),
    /// Nobody listens, or it is not allowed.
    #[error("cannot connect to the engine at {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What connect(2) said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("lost the connection to the engine while it answered {request}: {source}")]
    Lost {
        /// Method and path.
        request: String,
        /// What read(2) or write(2) said.
        source: io::Error,
    },
    /// The body of the request could not be read.
    #[error("cannot read the input of {request}: {source}")]
    Input {
        /// Method and path.
        request: String,
        /// What read(2) said.
        source: io::Error,
    },
    /// The answer is not HTTP as the Engine API speaks it.
    #[error("the engine's answer to {request} is not understood: {why}")]
    Protocol {
        /// Method and path.
        request: String,
        /// Which part.
        why: String,
    },
    /// The engine refused.
    #[error("{0}")]
    Refused(Fault),
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Host(_) | Self::Input { .. } => Kind::Invalid,
            Self::Connect { .. } | Self::Lost { .. } => Kind::Unavailable,
            Self::Protocol { .. } => Kind::Internal,
            Self::Refused(fault) => fault.kind,
        }
    }

    /// Whether no engine listens at the socket: the one case in which starting one helps.
    pub fn is_absent(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Connect { source, .. } if matches!(source.kind(), NotFound | ConnectionRefused))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        match error {
            Error::Refused(fault) => fault,
            Error::Connect { path, source } => {
                let fault =
                    Self::new(kind, format!("cannot connect to the engine at {}", path.display())).cause(&source);
                if source.kind() == io::ErrorKind::PermissionDenied {
                    return fault.hint("run it as root, or as a member of the socket's group");
                }
                fault.hint("start it with `hull engine start`")
            }
            Error::Lost { request, source } => {
                Self::new(kind, format!("lost the connection to the engine while it answered {request}")).cause(source)
            }
            Error::Input { request, source } => {
                Self::new(kind, format!("cannot read the input of {request}")).cause(source)
            }
            other => Self::new(kind, other.to_string()),
        }
    }
}
