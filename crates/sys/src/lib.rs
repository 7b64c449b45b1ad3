//! The one edge of unsafe code: system calls that the standard library and rustix do not offer, or
//! offer in a shape that would need `unsafe` at the caller.
//!
//! Everything takes borrowed descriptors and returns owned, close-on-exec ones. An [`Error`] prints
//! the call with its operands. Nothing here knows containers.

#[cfg(target_env = "musl")]
mod allocator;
pub mod bpf;
pub mod caps;
pub mod cells;
mod entry;
mod errno;
mod error;
pub mod fdpass;
pub mod fds;
pub mod memfd;
pub mod mount;
pub mod namespace;
pub mod net;
pub mod pidfd;
pub mod proc;
pub mod process;
pub mod pty;
pub mod resolve;
pub mod sched;
pub mod seccomp;
pub mod signals;

#[cfg(target_env = "musl")]
pub use allocator::Allocator;
pub use errno::errno_text;
pub use error::{Error, Named, Result};
