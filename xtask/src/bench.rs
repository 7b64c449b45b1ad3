//! `cargo xtask bench`: hull beside the floor and its peers, interleaved in one run.
//!
//! Only ratios within one table mean anything: machines differ and drift. A peer that is not
//! installed is left out and said so.

mod aims;
mod api;
mod client;
mod explain;
mod image;
mod memory;
mod net;
mod oci;
mod peers;
mod podman;
mod start;
mod stats;

use anyhow::{Result, bail};

use crate::{apt, release, sh};

const NEEDS: &[apt::Need] = &[("busybox", "busybox-static"), ("cc", "gcc"), ("unshare", "util-linux")];

/// Runs one benchmark or all of them.
pub fn run(args: &[String]) -> Result<()> {
    sh::need_root("cargo xtask bench")?;
    apt::ensure(NEEDS)?;
    if !peers::in_own_namespaces() {
        return peers::again_in_own_namespaces(args);
    }
    let binary = release::binary()?;
    let mut figures = aims::Figures::default();
    match args.first().map(String::as_str) {
        Some("start") => start::run(&binary, &mut figures)?,
        Some("memory") => memory::run(&binary, &mut figures)?,
        Some("oci") => oci::run(&binary)?,
        Some("net") => net::run(&binary, &mut figures)?,
        Some("image") => image::run(&binary, &mut figures)?,
        Some("api") => api::run(&binary, &mut figures)?,
        Some("explain") => explain::run(&binary, args.get(1).map(String::as_str), &mut figures)?,
        Some("size") => memory::size(&binary, &mut figures)?,
        None => {
            start::run(&binary, &mut figures)?;
            oci::run(&binary)?;
            memory::run(&binary, &mut figures)?;
            memory::size(&binary, &mut figures)?;
        }
        Some(other) => bail!("unknown benchmark `{other}`: start, oci, net, image, api, explain, memory or size"),
    }
    figures.print();
    Ok(())
}
