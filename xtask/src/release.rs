//! The binary as it is shipped: static, with musl where the toolchain can build for it.
//!
//! A static program of glibc asks the processor some 80 `cpuid` before its first line, and a virtual machine's host
//! answers each: 0.7 ms, on a start of 5 (docs/adr/0009-musl.md). Tests are built for the toolchain's own target, so
//! that nothing has to be installed for `cargo test`; the rounds in virtual machines run the binary of this module.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{apt, sh};

/// What compiles the C parts (SQLite, ring's assembly) for musl.
const NEEDS: &[apt::Need] = &[("musl-gcc", "musl-tools")];

/// Builds the release binary and returns its path.
pub fn binary() -> Result<PathBuf> {
    let tuple = match musl() {
        Ok(tuple) => tuple,
        Err(error) => {
            eprintln!(
                "note: {error:#}\nnote: the binary carries glibc instead; it works alike and starts some 0.7 ms later"
            );
            sh::host_tuple()?
        }
    };
    sh::run(&mut sh::cmd("cargo", &["build", "--release", "--package", "hull", "--target", &tuple]))?;
    sh::built(&tuple, "release")
}

/// The musl target of this machine's architecture, after installing what building for it needs.
fn musl() -> Result<String> {
    let host = sh::host_tuple()?;
    let tuple = host.replace("-linux-gnu", "-linux-musl");
    if !has_library(&tuple)? {
        if !sh::found("rustup") {
            bail!("the Rust toolchain has no library for {tuple}, and there is no rustup to add it");
        }
        sh::run(&mut sh::cmd("rustup", &["target", "add", &tuple]))?;
    }
    apt::ensure(NEEDS)?;
    Ok(tuple)
}

/// Whether the toolchain has the standard library for this target.
fn has_library(tuple: &str) -> Result<bool> {
    let place = sh::read(&mut sh::cmd("rustc", &["--print", "target-libdir", "--target", tuple]))?;
    Ok(PathBuf::from(place).is_dir())
}
