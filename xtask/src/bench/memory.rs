//! What hull costs while nothing happens, and how large it is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::aims::Figures;
use super::peers::quiet;
use crate::engine::Engine;

/// PSS of keeper and engine with no container, then with a hundred idle ones.
pub fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let engine = Engine::start(binary)?;
    quiet(engine.hull(&["run", "--rm", "busybox", "true"]))?;
    let (server, keeper) = engine.pids()?;
    let none = (pss(server)?, pss(keeper)?);
    for _ in 0..100 {
        quiet(engine.hull(&["run", "-d", "busybox", "sleep", "1000"]))?;
    }
    let hundred = (pss(server)?, pss(keeper)?);
    println!("\n### memory, KiB PSS\n\n| | engine | keeper | together |\n|---|---|---|---|");
    println!("| no container | {} | {} | {} |", none.0, none.1, none.0 + none.1);
    println!("| 100 idle containers | {} | {} | {} |", hundred.0, hundred.1, hundred.0 + hundred.1);
    let each = (hundred.0 + hundred.1).saturating_sub(none.0 + none.1) / 100;
    println!("| each further container | | | {each} |");
    figures.note("idle", (none.0 + none.1) as f64 / 1024.0);
    figures.note("container", each as f64);
    Ok(())
}

/// The binary's size.
pub fn size(binary: &Path, figures: &mut Figures) -> Result<()> {
    let size = fs::metadata(binary)?.len() as f64 / f64::from(1 << 20);
    println!("\n### size\n\nhull, one static binary: {size:.1} MiB");
    figures.note("binary", size);
    Ok(())
}

/// What a process has for itself of the memory, in KiB.
pub fn pss(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:")).context("no Pss line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
