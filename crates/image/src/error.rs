//! What can go wrong with images.

use hull_types::{Digest, Fault, Kind, Platform};

/// Why an operation on an image was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is called so.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// An id prefix fits several images.
    #[error("image id prefix `{0}` fits several images")]
    Ambiguous(String),
    /// A name, digest or platform is malformed.
    #[error(transparent)]
    Text(#[from] hull_types::Error),
    /// The built-in image cannot be changed.
    #[error("`{0}` is built in: it can be neither replaced nor removed")]
    BuiltIn(&'static str),
    /// What may be brought in is not known, as the file that says it cannot be used.
    #[error("{0}")]
    Bounds(Box<Fault>),
    /// The disk has less room than the image needs.
    #[error(transparent)]
    NoRoom(Box<Error>),
    /// A name is needed and a digest or nothing was given.
    #[error("`{0}` names no repository and tag")]
    NoTag(String),
    /// docker's refusal to untag what a container uses.
    #[error(
        "conflict: unable to remove repository reference \"{name}\" (must force) - container {container} is using its referenced image {image}"
    )]
    ReferenceInUse {
        /// As the user wrote it.
        name: String,
        /// The container's short id.
        container: String,
        /// The image's short id.
        image: String,
    },
    /// docker's refusal to delete.
    #[error("conflict: unable to delete {image} ({}) - {why}", if *.forcible { "must be forced" } else { "cannot be forced" })]
    Conflict {
        /// The image's short id.
        image: String,
        /// Whether force would help.
        forcible: bool,
        /// What stands in the way.
        why: String,
    },
    /// An archive holds no image that hull can read.
    #[error("the archive holds no image: {0}")]
    NoImage(&'static str),
    /// A file of an archive is missing.
    #[error("the archive's {what} names `{name}`, which the archive does not hold")]
    MissingFile {
        /// Which document.
        what: &'static str,
        /// The missing file.
        name: String,
    },
    /// A document is not what it should be.
    #[error("{what} is malformed: {why}")]
    Document {
        /// Which document.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Bytes are not what their name says.
    #[error("{what} has digest {found}, not {expected}")]
    Mismatch {
        /// Which bytes.
        what: &'static str,
        /// What was promised.
        expected: Box<Digest>,
        /// What came.
        found: Box<Digest>,
    },
    /// A blob's size is not what its descriptor says.
    #[error("blob {digest} has {found} bytes, not {expected}")]
    SizeMismatch {
        /// The blob.
        digest: Digest,
        /// What was promised.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// No variant of the image fits.
    #[error("the image is not for {wanted}: it is for {found}")]
    Platform {
        /// What is needed.
        wanted: Platform,
        /// What there is.
        found: String,
    },
    /// Something that hull does not do.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A `--change` is malformed.
    #[error("change `{instruction}`: {why}")]
    Change {
        /// The instruction as given.
        instruction: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A stream could not be read.
    #[error("read the archive: {0}")]
    Read(#[source] std::io::Error),
    /// What was to come from elsewhere did not.
    #[error("{0}")]
    Transfer(Box<Fault>),
    /// A step further down failed.
    #[error(transparent)]
    Archive(#[from] hull_archive::Error),
    /// A step further down failed.
    #[error(transparent)]
    Content(#[from] hull_content::Error),
    /// A step further down failed.
    #[error(transparent)]
    Snapshot(#[from] hull_snapshot::Error),
    /// A step further down failed.
    #[error(transparent)]
    Records(#[from] hull_records::Error),
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchImage(_) => Kind::NotFound,
            Self::Ambiguous(_) | Self::ReferenceInUse { .. } | Self::Conflict { .. } | Self::BuiltIn(_) => {
                Kind::Conflict
            }
            Self::NoTag(_)
            | Self::NoImage(_)
            | Self::MissingFile { .. }
            | Self::Document { .. }
            | Self::Mismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::Platform { .. }
            | Self::Change { .. } => Kind::Invalid,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::Read(_) => Kind::Internal,
            Self::Transfer(fault) | Self::Bounds(fault) => fault.kind,
            Self::NoRoom(_) => Kind::Internal,
            Self::Text(error) => error.kind(),
            Self::Archive(error) => error.kind(),
            Self::Content(error) => error.kind(),
            Self::Snapshot(error) => error.kind(),
            Self::Records(error) => error.kind(),
        }
    }

    /// Whether an archive was larger than it may be.
    pub(crate) fn is_too_large(&self) -> bool {
        let error = match self {
            Self::Archive(error) | Self::Snapshot(hull_snapshot::Error::Archive(error)) => error,
            _ => return false,
        };
        matches!(error, hull_archive::Error::Limit { what: "bytes", .. })
    }

    pub(crate) fn document(what: &'static str, why: impl ToString) -> Self {
        Self::Document { what, why: why.to_string() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if let Error::NoRoom(error) = error {
            let fault = Self::internal("no space left on the disk for this image").cause(error);
            return fault.hint("free some disk space under the root directory");
        }
        let hint = match &error {
            Error::NoSuchImage(_) => Some("`hull images` lists what is here; `hull load` and `hull import` add more"),
            Error::Ambiguous(_) => Some("write more digits of the id"),
            Error::NoImage(_) => {
                Some("`hull load` reads what `docker save` and OCI tools write; `hull import` reads a root file system")
            }
            _ => None,
        };
        let fault = match error {
            Error::Transfer(fault) | Error::Bounds(fault) => *fault,
            Error::Text(error) => error.into(),
            Error::Archive(error) => error.into(),
            Error::Content(error) => error.into(),
            Error::Snapshot(error) => error.into(),
            Error::Records(error) => error.into(),
            other => Self::new(other.kind(), other.to_string()),
        };
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
