//! What a container's process may do: capabilities, the seccomp filter, devices, hidden paths,
//! resource limits, sysctls, security labels, and who it is.
//!
//! Pure: bytes and values in, values out. The caller reads files and makes system calls. Nothing here
//! knows of containers, images or the engine; docker's spellings are parsed here, once.
//!
//! Whatever cannot be understood is an error. No input, however malformed, widens what is allowed.
#![forbid(unsafe_code)]

pub mod caps;
pub mod devices;
mod error;
pub mod identity;
pub mod lsm;
pub mod paths;
pub mod rlimits;
pub mod seccomp;
pub mod sysctl;

pub use error::Error;
