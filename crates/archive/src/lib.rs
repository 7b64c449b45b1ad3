//! Archives from strangers: tar streams, their compression, and unpacking them beneath a directory.
//!
//! Owns the formats and the extraction; [`unpack()`] does decompressing, hashing and extracting in one
//! pass over a stream. Knows nothing of images. Invariants: nothing is ever written, linked to or
//! followed outside the root directory's fd; memory is bounded whatever the archive says; an archive
//! that programs are known to read in two ways is refused.
#![forbid(unsafe_code)]

mod compare;
mod compression;
mod error;
mod extract;
mod frames;
mod hash;
mod limits;
mod pack;
mod remove;
mod source;
pub mod tar;
mod unpack;
mod walk;
mod window;

pub use compare::differs;
pub use compression::{Compression, Decompressor, Gzip};
pub use error::Error;
pub use extract::{Extracted, Extractor, Lowers, Plain, Ready};
pub use hash::Hasher;
pub use limits::Limits;
pub use pack::{OwnerMap, Packing, Skip, pack, pack_as, pack_one};
pub use remove::remove_tree;
pub use unpack::{Unpacked, digest_of, unpack};
pub use walk::{Step, Visit, walk};
