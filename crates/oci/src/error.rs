//! What can go wrong, in one sentence each; runc's words where its callers match on them.

use std::path::PathBuf;

use hull_types::{Fault, Kind};

/// Why a command was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// A bundle without its description.
    #[error("JSON specification file config.json not found in bundle {bundle:?}")]
    NoConfig {
        /// The bundle.
        bundle: PathBuf,
    },
    /// A file that is not what it should be.
    #[error("cannot read {path:?}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A field that makes no sense.
    #[error("{field}: {reason}")]
    Invalid {
        /// Its path in config.json.
        field: String,
        /// Why.
        reason: String,
    },
    /// A field that is understood and not supported.
    #[error("{field} is not supported: {reason}")]
    Unsupported {
        /// Its path in config.json.
        field: String,
        /// Why.
        reason: String,
    },
    /// The id is no id.
    #[error("invalid container ID format: {0:?}")]
    BadId(String),
    /// The id is taken.
    #[error("container with given ID already exists: {0}")]
    Taken(String),
    /// There is none. COMPAT(containerd): it matches on `does not exist`.
    #[error("container {0:?} does not exist")]
    NoContainer(String),
    /// The container's process has gone. COMPAT(containerd, podman): they match on `not running`.
    #[error("container not running")]
    NotRunning,
    /// The container is in a state that forbids this.
    #[error("cannot {verb} container {id}: {reason}")]
    State {
        /// What was asked.
        verb: &'static str,
        /// Of which container.
        id: String,
        /// What forbids it.
        reason: String,
    },
    /// The child could not do a step.
    #[error("unable to start container process: {0}")]
    Launch(Fault),
    /// A hook failed.
    #[error(transparent)]
    Hook {
        /// Why.
        source: hull_sys::Error,
    },
    /// The kernel refused.
    #[error(transparent)]
    Call(#[from] hull_sys::Error),
    /// The cgroup could not be made, read or changed.
    #[error(transparent)]
    Cgroup(#[from] hull_cgroup::Error),
    /// A value of confinement.
    #[error(transparent)]
    Confine(#[from] hull_confine::Error),
    /// The plan could not be made.
    #[error(transparent)]
    Compile(#[from] hull_launch::compile::Error),
    /// A file operation.
    #[error("{what}: {source}")]
    File {
        /// The operation with its operands.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// What this command was to do under systemd.
    #[error("systemd: {0}")]
    Systemd(String),
}

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A field that makes no sense.
    pub(crate) fn invalid(field: impl Into<String>, reason: impl ToString) -> Self {
        Self::Invalid { field: field.into(), reason: reason.to_string() }
    }

    /// A field that is not supported.
    pub(crate) fn unsupported(field: impl Into<String>, reason: impl ToString) -> Self {
        Self::Unsupported { field: field.into(), reason: reason.to_string() }
    }

    /// Its class.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Usage(_)
            | Self::NoConfig { .. }
            | Self::Unreadable { .. }
            | Self::Invalid { .. }
            | Self::BadId(_)
            | Self::Confine(_)
            | Self::Compile(_) => Kind::Invalid,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Taken(_) | Self::NotRunning | Self::State { .. } => Kind::Conflict,
            Self::NoContainer(_) => Kind::NotFound,
            Self::Launch(fault) => fault.kind,
            Self::Call(error) => error.kind(),
            Self::Hook { .. } | Self::Cgroup(_) | Self::File { .. } | Self::Systemd(_) => Kind::Internal,
        }
    }
}

/// Names a file operation.
pub(crate) trait Doing<T> {
    /// What was being done.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::File { what: what(), source })
    }
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::File { what: what(), source: errno.into() })
    }
}
