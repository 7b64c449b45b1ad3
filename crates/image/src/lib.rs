//! Images: names → configuration → layers.
//!
//! Owns the rows of images and names in state.db, and says which layers and blobs must stay. Knows
//! containers only as [`Use`]. Invariants: an image is visible only when every byte of it was verified
//! and is on the disk; a failed operation leaves no name, layer or blob; `hull/host` is always there.
#![forbid(unsafe_code)]

mod bounds;
mod changes;
mod check;
mod commit;
mod config;
mod error;
mod host;
mod image;
mod images;
mod import;
mod index;
mod load;
mod outgoing;
mod receive;
mod records;
mod remove;
mod save;
mod session;
mod usage;

pub use bounds::Bounds;
pub use check::{Broken, Checked};
pub use commit::{Commit, CommitOptions};
pub use config::{Empty, Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use error::Error;
pub use image::{HOST_IMAGE, HistoryLine, Image, Loaded, Removed, Source};
pub use images::{Hold, Images};
pub use import::ImportOptions;
pub use load::{Progress, Report};
pub use outgoing::{Outgoing, OutgoingLayer};
pub use receive::{Arrivals, Incoming, IncomingLayer, Receiving};
pub use remove::{Pruned, RemoveOptions, Use};
pub use save::Saving;
pub use usage::{ImageUsage, Usage};

/// What this crate's operations return.
pub type Result<T> = std::result::Result<T, Error>;
