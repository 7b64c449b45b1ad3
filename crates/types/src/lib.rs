//! The words that every layer shares: ids, names, digests, image references, sizes, durations,
//! platforms, signals, times, and [`Fault`], the one error that a user reads.
//!
//! Owns parsing and printing of these values. Knows nothing of files, the kernel or the network.
#![forbid(unsafe_code)]

mod digest;
mod duration;
mod error;
mod fault;
mod id;
mod name;
mod platform;
mod reference;
mod signal;
mod size;
mod text;
mod time;

pub use digest::Digest;
pub use duration::GoDuration;
pub use error::Error;
pub use fault::{Fault, Kind};
pub use id::ContainerId;
pub use name::Name;
pub use platform::Platform;
pub use reference::{ImageRef, set_default_registry};
pub use signal::Signal;
pub use size::ByteSize;
pub use time::Timestamp;
