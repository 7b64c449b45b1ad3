//! `hull explain` of a running container that has a network and a published port: alone, and among many that run.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::aims::Figures;
use super::client::Api;
use super::peers::quiet;
use super::stats::median;
use crate::engine::Engine;

/// Containers that run in the second table, unless another number is asked for.
const CONTAINERS: usize = 500;
/// Of the API, and of the command line with its own start.
const CALLS: usize = 300;
const COMMANDS: usize = 50;

/// Both tables. `many`: how many containers run in the second.
pub fn run(binary: &Path, many: Option<&str>, figures: &mut Figures) -> Result<()> {
    let many = many.map_or(Ok(CONTAINERS), str::parse).context("how many containers: `bench explain 20`")?;
    let engine = Engine::start(binary)?;
    engine.read(&["run", "-d", "--name", "subject", "-p", "127.0.0.1:0:80", "busybox", "sleep", "100000"])?;
    let pid = engine.read(&["inspect", "--format", "{{.State.Pid}}", "subject"])?;
    let before = switches(&pid)?;
    let alone = ask(&engine, 1)?;
    for _ in 1..many {
        quiet(engine.hull(&["run", "-d", "--network", "none", "busybox", "sleep", "100000"]))?;
    }
    let among = ask(&engine, many)?;
    println!("\nhow often the explained process ran meanwhile: {} times", switches(&pid)? - before);
    figures.note("explain", alone);
    // With fewer it would be another figure.
    if many == CONTAINERS {
        figures.note("explain of 500", among);
    }
    Ok(())
}

/// A table; the median of the command line.
fn ask(engine: &Engine, running: usize) -> Result<f64> {
    println!("\n### `hull explain`, {running} running, ms\n\n| | median | 99 % |\n|---|---|---|");
    let mut api = Api::connect(&engine.host())?;
    row("API, one connection", CALLS, || api.call("GET", "/hull/containers/subject/explain", "").map(drop))?;
    row("API, the script of `--by-hand`", CALLS, || api.call("GET", "/hull/containers/subject/by-hand", "").map(drop))?;
    row("`hull explain`", COMMANDS, || quiet(engine.hull(&["explain", "subject"])))
}

fn row(what: &str, rounds: usize, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        call()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("| {what} | {:.2} | {:.2} |", median(&times), times[rounds * 99 / 100]);
    Ok(median(&times))
}

/// How often a process was given a processor: each time it has left it again, of its own will or not.
fn switches(pid: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let lines = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
    lines.map(|(_, count)| Ok(count.trim().parse::<u64>()?)).sum()
}
