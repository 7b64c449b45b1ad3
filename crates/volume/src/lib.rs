//! Volumes: directories of the host that outlive containers.
//!
//! ```text
//! <root>/volumes/<name>/volume.json     written once, before the volume is visible
//! <root>/volumes/<name>/_data/          what containers see
//! <root>/volumes/<name>/device          that it shows something else instead: what, its options say
//! <root>/volumes/<name>/staged/, whole  an image's content on its way in
//! <root>/volumes/.new-…, .gone-…        on the way in and out; swept when the engine starts
//! ```
//!
//! The directory is the record; until its files are on the disk, a promise in state.db (`store/promise.rs`). Who uses a volume is derived from the containers' records by the
//! engine and stored nowhere. Knows no images: a source of content is a directory fd.
#![forbid(unsafe_code)]

mod copy;
mod error;
mod mounted;
mod name;
mod options;
mod store;

pub use error::Error;
pub use name::check_name;
pub use options::{Content, FileSystem, Shown, content};
pub use store::{Filling, NewVolume, Volume, Volumes};

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
