//! Blobs by digest, in the layout of the OCI image-spec.
//!
//! Owns `<root>/content`. Knows nothing of images. Invariants: a blob is visible under its digest only
//! when it is whole, has that digest and is on the disk (the caller syncs the file system once between
//! [`Ingest::finish`] and [`Store::publish`]); what was not published is gone after the next start, but for the
//! young beginnings of blobs ([`Partial`]), from which a transfer can be resumed.
#![forbid(unsafe_code)]

mod error;
mod ingest;
mod partial;
mod store;

pub use error::Error;
pub use ingest::{Blob, Ingest, Tee};
pub use partial::{Follower, Partial};
pub use store::Store;

/// What this crate's operations return.
pub type Result<T> = std::result::Result<T, Error>;
