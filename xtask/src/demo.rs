//! `cargo xtask demo`: from a fresh checkout to a shell in a container.

use std::io::IsTerminal;

use anyhow::Result;

use crate::engine::Engine;
use crate::{apt, release, sh, tour};

const NEEDS: &[apt::Need] = &[("busybox", "busybox-static"), ("cc", "gcc"), ("/usr/include/stdio.h", "libc6-dev")];

/// Builds, starts, imports; then a shell where there is a terminal, the tour where there is none.
pub fn run(args: &[String]) -> Result<()> {
    sh::need_root("cargo xtask demo")?;
    apt::ensure(NEEDS)?;
    let binary = release::binary()?;
    let engine = Engine::start(&binary)?;
    if args.iter().any(|a| a == "--tour") || !std::io::stdin().is_terminal() {
        return tour::walk(&engine);
    }
    println!("You are about to stand inside a container. `exit` leaves it; nothing stays behind.");
    println!("From another terminal: HULL_HOST={} {} ps", engine.host(), binary.display());
    let status = engine.hull(&["run", "--rm", "-it", "busybox", "sh"]).status()?;
    println!("the shell ended: {status}");
    Ok(())
}
