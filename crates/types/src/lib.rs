//! The words that every layer shares: ids, names, digests, image references, sizes, durations,
//! platforms, signals, and [`Fault`], the one error that a user reads.
//!
//! Owns parsing and printing of these values. Knows nothing of files, the kernel or the network.
#![forbid(unsafe_code)]

mod fault;

pub use fault::{Fault, Kind};
