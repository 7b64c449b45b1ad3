//! From the flags of `run`, `create` and `update` to the API's request.
//!
//! Owns docker's syntax of each value and refuses what is malformed, naming the flag. Whether the
//! engine supports a value is the engine's business. Reads only the files that flags name.

pub(crate) mod devices;
pub(crate) mod env;
pub(crate) mod flags;
pub(crate) mod mounts;
mod networks;
pub(crate) mod pairs;
pub(crate) mod ports;
pub(crate) mod request;
pub(crate) mod resources;
pub(crate) mod security;

use hull_types::Fault;

use crate::cli::parse::shortened;

/// A value that does not fit its flag.
pub(crate) fn malformed(flag: &str, value: &str, why: impl std::fmt::Display) -> Fault {
    Fault::invalid(format!("invalid value `{}` for `--{flag}`: {why}", shortened(value)))
}

/// The bytes that a flag names.
pub(crate) fn bytes(flag: &str, value: &str) -> Result<i64, Fault> {
    let size: hull_types::ByteSize = value.parse().map_err(|e: hull_types::Error| {
        let fault = Fault::from(e.clone());
        Fault { hint: fault.hint, ..malformed(flag, value, "not a size") }
    })?;
    Ok(size.bytes())
}
