//! What can go wrong with an archive, and whose fault it is.

use hull_types::{Fault, Kind};
use rustix::io::Errno;

/// Why an archive could not be read, unpacked or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source of the bytes failed, or its compression is damaged.
    #[error("read the archive: {0}")]
    Read(#[source] std::io::Error),
    /// The sink of the bytes failed.
    #[error("write the archive: {0}")]
    Write(#[source] std::io::Error),
    /// The archive ends in the middle of something.
    #[error("the archive is cut short after {at} bytes")]
    CutShort {
        /// Offset in the uncompressed archive.
        at: u64,
    },
    /// The bytes are no tar archive, or contradict themselves.
    #[error("malformed tar archive at byte {at}: {what}")]
    Malformed {
        /// Offset in the uncompressed archive.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An entry names a place that no layer may name.
    #[error("the archive's entry `{path}` is refused: {why}")]
    Entry {
        /// The entry's name, escaped.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A bound was exceeded.
    #[error("the archive exceeds the limit of {limit} {what}")]
    Limit {
        /// The bound.
        limit: u64,
        /// What it counts.
        what: &'static str,
    },
    /// A layer below failed, and this one needed to know what it holds.
    #[error("a layer below could not be unpacked")]
    Below,
    /// A compression that hull does not read.
    #[error("{0} compression is not supported")]
    Compression(&'static str),
    /// A zstd stream that needs more memory than may be had.
    #[error("the zstd stream needs {mib} MiB of memory for its window; at most {limit} MiB are given")]
    Window {
        /// What it needs.
        mib: u64,
        /// The bound.
        limit: u64,
    },
    /// A system call on an unpacked file failed.
    #[error("{call} `{path}`: {errno}")]
    File {
        /// The call.
        call: &'static str,
        /// The entry's name, escaped.
        path: String,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::CutShort { .. } | Self::Malformed { .. } | Self::Entry { .. } | Self::Limit { .. } => Kind::Invalid,
            Self::Read(error) if is_damage(error) => Kind::Invalid,
            Self::Compression(_) | Self::Window { .. } => Kind::Unsupported,
            Self::Read(_) | Self::Write(_) | Self::Below | Self::File { .. } => Kind::Internal,
        }
    }

    pub(crate) fn file(call: &'static str, path: &[u8], errno: Errno) -> Self {
        Self::File { call, path: shown(path), errno }
    }

    pub(crate) fn entry(path: &[u8], why: &'static str) -> Self {
        Self::Entry { path: shown(path), why }
    }
}

/// Decompressors report damage as these kinds; a failing disk or socket reports others.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | Other)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        const HINT: &str = "free some disk space";
        let fault = Self::new(error.kind(), error.to_string());
        match error {
            Error::Compression(_) => fault.hint("recompress it with gzip or zstd, or pass it uncompressed"),
            Error::Window { .. } => fault.hint("recompress it with a smaller window: zstd without --long and --ultra"),
            Error::File { errno: Errno::NOSPC | Errno::DQUOT, .. } => fault.hint(HINT),
            // What is read is kept on the way: it was the keeping that failed.
            Error::Read(source) if is_full(&source) => {
                Self::internal("no space is left to keep the archive").cause(source).hint(HINT)
            }
            _ => fault,
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// A name as errors show it: at most 128 bytes, escaped.
pub(crate) fn shown(path: &[u8]) -> String {
    let cut = &path[..path.len().min(128)];
    let more = if path.len() > cut.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_ascii())
}
