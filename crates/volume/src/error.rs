//! What can go wrong with a volume.

use std::io;

use hull_types::{Fault, Kind};

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is outside docker's grammar.
    #[error(
        "\"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. \
         If you intended to pass a host directory, use absolute path"
    )]
    Name(String),
    /// No such volume.
    #[error("get {0}: no such volume")]
    Missing(String),
    /// An option that the driver does not have.
    #[error("invalid option: \"{0}\"")]
    UnknownOption(String),
    /// An option that goes with the others is not there.
    #[error("missing required option: \"{0}\"")]
    MissingOption(&'static str),
    /// An option has a value that it cannot have.
    #[error("the option `{option}` cannot have `{value}`")]
    BadOption {
        /// Which one.
        option: &'static str,
        /// What was given.
        value: String,
    },
    /// A directory of the host is not named by its whole path.
    #[error("the option `device` must be an absolute path, not `{0}`")]
    Relative(String),
    /// A bound for what a volume takes.
    #[error("a volume's size cannot be bounded: the option `size` is not supported")]
    Bounded,
    /// The kernel has no such file system.
    #[error("the kernel has no file system `{0}`")]
    NoFileSystem(String),
    /// Its file system cannot be mounted.
    #[error("error while mounting volume '{name}': failed to mount local volume: mount {device}: {source}")]
    Mount {
        /// Which volume.
        name: String,
        /// What was to be mounted.
        device: String,
        /// The kernel's answer.
        source: hull_sys::Error,
    },
    /// Its content cannot be lent out.
    #[error("cannot mount volume `{name}`")]
    Bind {
        /// Which volume.
        name: String,
        /// The kernel's answer.
        source: hull_mount::Error,
    },
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
    /// What was promised, or taken back, could not be written or read.
    #[error("cannot write down what is known of volume `{name}`")]
    Promise {
        /// Which volume; empty if all.
        name: String,
        /// The database's answer.
        source: Box<hull_records::Error>,
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
            Self::Name(_)
            | Self::Depth { .. }
            | Self::Device { .. }
            | Self::UnknownOption(_)
            | Self::MissingOption(_)
            | Self::BadOption { .. }
            | Self::Relative(_)
            | Self::NoFileSystem(_)
            | Self::Mount { .. } => Kind::Invalid,
            Self::Bounded => Kind::Unsupported,
            Self::Missing(_) => Kind::NotFound,
            Self::Promise { source, .. } => source.kind(),
            Self::Bind { .. } | Self::Io { .. } | Self::Store { .. } => Kind::Internal,
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
