//! What strangers send, thrown at what reads it: one function for each kind of input.
//!
//! A function may return or panic; a panic is a bug. Each also asserts what must hold of whatever was
//! accepted. They are driven in two ways:
//! - by libFuzzer, which learns from coverage, where there are cargo-fuzz and a nightly toolchain:
//!   `cargo +nightly fuzz run --features libfuzzer TARGET`;
//! - by `tests/bounded.rs` everywhere: seeds changed at random from a fixed seed, for a short time. That keeps old
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
