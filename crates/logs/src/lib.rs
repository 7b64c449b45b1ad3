//! What containers write: kept exactly once, read from any place, bounded on the disk.
//!
//! Owns `<container>/log/`: `stdout.raw`, `stderr.raw`, their compressed pieces, and `index`. Knows nothing of containers, of
//! the API or of the keeper: it takes read ends of pipes (or a terminal's master) and a directory.
//!
//! Invariants:
//! - Bytes move from a pipe to the file by one `splice`: consuming and appending are one system call,
//!   so a killed engine neither loses nor doubles any. A terminal goes through a pipe of its own that
//!   the keeper holds, for the same reason.
//! - The index is written after the bytes. What it misses is found when the spool is opened again.
//! - Offsets never change: the front of a bounded log is a hole.
//! - Nothing is made on the disk before the first byte.
#![forbid(unsafe_code)]

mod collector;
mod entry;
mod error;
mod files;
pub mod forward;
mod lines;
mod packed;
mod reader;
mod spool;

pub use collector::{Collector, Run, Sources};
pub use error::Error;
pub use lines::{LineOptions, Lines};
pub use reader::{Chunk, Reader};
pub use spool::{Keep, Published, Spool};

/// What this crate's operations return.
pub type Result<T> = std::result::Result<T, Error>;

/// Which output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stream {
    /// fd 1, and everything a terminal shows.
    Stdout = 0,
    /// fd 2.
    Stderr = 1,
}

impl Stream {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    fn file_name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout.raw",
            Self::Stderr => "stderr.raw",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}
