//! Archives from strangers: tar streams, their compression, and unpacking them beneath a directory.
//!
//! Owns the formats and the extraction; [`unpack()`] does decompressing, hashing and extracting in one
//! pass over a stream. Knows nothing of images. Invariants: nothing is ever written, linked to or
//! followed outside the root directory's fd; memory is bounded whatever the archive says; an archive
//! that programs are known to read in two ways is refused.
#![forbid(unsafe_code)]

mod compression;
mod error;
mod extract;
mod limits;
mod pack;
mod remove;
pub mod tar;
mod unpack;

pub use compression::{Compression, Decompressor};
pub use error::Error;
pub use extract::{Extracted, Extractor, Lowers, Ready};
pub use limits::Limits;
pub use pack::pack;
pub use remove::remove_tree;
pub use unpack::{Unpacked, digest_of, unpack};
