//! What strangers send, thrown at what reads it: one function for each kind of input.
//!
//! A function may return or panic; a panic is a bug. Each also asserts what must hold of whatever was
//! accepted. They are driven in two ways:
//! - by libFuzzer, which learns from coverage: `cargo xtask fuzz`, a minute for each in CI. They are targets of cargo-fuzz,
//!   too: `cargo +nightly fuzz run --features libfuzzer TARGET` adds the address sanitizer;
//! - by `tests/bounded.rs` among all tests: seeds changed at random from a fixed seed, for a short time. That keeps old
//!   findings found and catches coarse mistakes. It is no search.
//!
//! Seeds and former findings are in `corpus/<function>/`.
#![forbid(unsafe_code)]

mod documents;
mod streams;
mod texts;

pub use documents::{config, index, manifest};
pub use streams::{gzip, tar, zstd};
pub use texts::{challenge, reference};

/// A function with its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 8] = [
    ("tar", tar),
    ("gzip", gzip),
    ("zstd", zstd),
    ("manifest", manifest),
    ("index", index),
    ("config", config),
    ("reference", reference),
    ("challenge", challenge),
];
