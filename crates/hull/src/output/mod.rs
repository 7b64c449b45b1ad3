//! What commands print: docker's tables, `--format`, sizes and ages for people.
//!
//! Knows values and text, nothing of the API.

pub(crate) mod format;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod layers;
pub(crate) mod progress;
pub(crate) mod table;
