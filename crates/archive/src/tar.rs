//! The tar format: ustar, GNU and PAX, read and written as streams.
//!
//! Two readings of one archive must not exist: whatever other programs are known to read differently
//! (contradicting sizes, two names for one entry, malformed extended records) is refused.

mod entry;
mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use entry::{Entry, EntryKind, Extent, Mtime};
pub use reader::Reader;
pub use writer::Writer;

/// The unit of the format.
pub(crate) const BLOCK: usize = 512;

/// Bytes that follow `size` bytes of content up to the next block.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
