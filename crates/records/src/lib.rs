//! `state.db`: typed rows with versions, transactions over several of them, and what to do with a row
//! that cannot be read.
//!
//! Owns the file, its schema and its durability. Knows nothing of what a row means: each owner
//! implements [`Record`] for its own type. Invariants: an acknowledged [`Db::write`] survives a power
//! cut, a [`Db::write_relaxed`] survives a killed process; a row that does not parse never hides the
//! others and is never deleted, it is moved to the table `set_aside` and named.
#![forbid(unsafe_code)]

mod db;
mod error;
mod table;

pub use db::{Db, Options, Sync};
pub use error::Error;
pub use table::{Gap, Record, Scan, SetAside, Tx};

/// What this crate's operations return.
pub type Result<T> = std::result::Result<T, Error>;
