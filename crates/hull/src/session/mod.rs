//! A client's end of an attached process: terminal, signals, the two-way stream, its end.
//!
//! Single-threaded: one `poll` loop moves bytes, forwards signals and notices the end. Knows
//! descriptors and the API's client; decides no exit codes.

pub(crate) mod escape;
pub(crate) mod follow;
pub(crate) mod outlet;
pub(crate) mod relay;
pub(crate) mod signals;
pub(crate) mod terminal;
