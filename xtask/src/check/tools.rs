//! Checks made by other people's tools, installed when missing.

use std::process::Command;

use anyhow::{Context, Result};

use crate::sh;

/// `cargo deny`: licences, sources, bans. Advisories need a database from the network: `cargo deny check advisories` by hand.
pub fn licences() -> Result<()> {
    ensure("cargo-deny", &mut sh::cmd("cargo", &["install", "--locked", "--quiet", "cargo-deny"]))?;
    // A build fetches what its platform needs; the licences of all are asked for.
    sh::run(&mut sh::cmd("cargo", &["fetch", "--locked", "--quiet"]))?;
    sh::run(&mut sh::cmd(
        "cargo",
        &["deny", "--offline", "check", "--hide-inclusion-graph", "licenses", "sources", "bans"],
    ))
}

/// `cargo machete`: dependencies that no source file names.
pub fn unused() -> Result<()> {
    ensure("cargo-machete", &mut sh::cmd("cargo", &["install", "--locked", "--quiet", "cargo-machete"]))?;
    sh::run(&mut sh::cmd("cargo", &["machete"]))
}

/// `typos` over all tracked text.
pub fn spelling() -> Result<()> {
    let install = if sh::found("pip") {
        sh::cmd("pip", &["install", "--quiet", "typos"])
    } else {
        sh::cmd("cargo", &["install", "--locked", "--quiet", "typos-cli"])
    };
    ensure("typos", &mut { install })?;
    sh::run(&mut sh::cmd("typos", &["--format", "brief"]))
}

fn ensure(tool: &str, install: &mut Command) -> Result<()> {
    if !sh::found(tool) {
        sh::run(install).with_context(|| format!("`{tool}` is missing and could not be installed"))?;
    }
    Ok(())
}
