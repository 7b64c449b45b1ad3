//! Why the state could not be read or written, and as which [`Kind`] a front end shows it.

use std::path::PathBuf;

use hull_types::{Fault, Kind};

/// A failed operation on the state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database file could not be opened or prepared.
    #[error("open {path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Another process has the file open.
    #[error("{path} is in use by another engine", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer hull.
    #[error("{path} has schema {found}, this hull knows up to {known}", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema number.
        found: i64,
        /// The newest schema that this build understands.
        known: i64,
    },
    /// A damaged file could not be moved out of the way.
    #[error("set aside {path}: {source}", path = path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A statement failed.
    #[error("{attempt} {table} `{key}`: {source}")]
    Statement {
        /// The verb: `get`, `put`, `delete`, `scan`.
        attempt: &'static str,
        /// The table.
        table: &'static str,
        /// The row's key, or empty.
        key: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A transaction could not begin or end.
    #[error("{attempt} transaction: {source}")]
    Transaction {
        /// `begin` or `commit`.
        attempt: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A value could not be written as JSON.
    #[error("encode {table} `{key}`: {source}")]
    Encode {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What serde said.
        source: serde_json::Error,
    },
    /// A row exists but cannot be understood.
    #[error("{table} `{key}` cannot be read: {why}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// The class of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::InUse { .. } | Self::Newer { .. } => Kind::Unavailable,
            Self::Open { .. }
            | Self::SetAside { .. }
            | Self::Statement { .. }
            | Self::Transaction { .. }
            | Self::Encode { .. }
            | Self::Unreadable { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => Some("stop that engine (`hull engine stop`) or choose another --root"),
            Self::Newer { .. } => Some("use the hull that wrote it, or choose another --root"),
            Self::Transaction { .. } | Self::Statement { .. } => {
                Some("check free space and the health of the disk under the root directory")
            }
            _ => None,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Fault::new(error.kind(), "the engine's state could not be used").cause(&error);
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
