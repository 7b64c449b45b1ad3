//! `hull oci run` of `true` in the bundle that crun and runc get: time, memory and system calls, and whether the aims are met.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::peers::{self, Peers, quiet};
use super::stats::{Case, interleave, median, table};
use crate::{apt, busybox, oracle, sh};

const NEEDS: &[apt::Need] = &[("crun", "crun"), ("runc", "runc"), ("strace", "strace")];

/// A runtime under measurement.
struct Runtime {
    name: &'static str,
    /// The words before `run ID`.
    words: Vec<PathBuf>,
    runs: Cell<u32>,
}

impl Runtime {
    /// `run` of a container with a name of its own.
    fn command(&self, wrapper: &[&Path], peers: &Peers) -> Command {
        let count = self.runs.replace(self.runs.get() + 1);
        let words: Vec<&Path> = wrapper.iter().copied().chain(self.words.iter().map(PathBuf::as_path)).collect();
        let mut command = sh::cmd(words[0], &[]);
        command.args(&words[1..]).args(["run", &format!("bench-{}-{count}", std::process::id())]);
        command.current_dir(peers.bundle());
        command
    }
}

/// One of the aims: a ratio or difference that may be at most this.
struct Aim {
    what: &'static str,
    is: f64,
    at_most: f64,
}

/// All tables of this benchmark.
pub fn run(binary: &Path) -> Result<()> {
    apt::ensure(NEEDS)?;
    let dir = tempfile::tempdir()?;
    let peers = Peers::new(dir.path(), &busybox::tar(dir.path())?)?;
    let runtimes = runtimes(binary);
    let mut aims = Vec::new();
    for (title, rounds, pause, of_crun) in [("back to back", 60, 0, 0.5), ("100 ms apart", 40, 100, 0.25)] {
        let (floor, medians) = times(&peers, &runtimes, title, rounds, Duration::from_millis(pause))?;
        aims.push(Aim { what: "time of crun's", is: medians[0] / medians[1], at_most: of_crun });
        aims.push(Aim { what: "times the floor", is: medians[0] / floor, at_most: 2.0 });
    }
    let rows = runtimes.iter().map(|r| cost(r, &peers, dir.path())).collect::<Result<Vec<_>>>()?;
    println!("\n### `run` of `true`: memory and system calls\n\n| | peak KiB | system calls |\n|---|---|---|");
    for (runtime, (peak, calls)) in runtimes.iter().zip(&rows) {
        println!("| {} run | {peak} | {calls} |", runtime.name);
    }
    aims.push(Aim { what: "MiB of memory above crun's", is: (rows[0].0 - rows[1].0) / 1024.0, at_most: 2.0 });
    aims.push(Aim { what: "system calls of crun's", is: rows[0].1 / rows[1].1, at_most: 0.5 });
    println!("\n### aims of `hull oci run`\n\n| | is | aim: at most | |\n|---|---|---|---|");
    for aim in aims {
        let verdict = if aim.is <= aim.at_most { "met" } else { "**not met**" };
        println!("| {} | {:.2} | {} | {verdict} |", aim.what, aim.is, aim.at_most);
    }
    Ok(())
}

/// hull first, crun second, then whatever else is installed.
fn runtimes(binary: &Path) -> Vec<Runtime> {
    // Everybody's state is where it is by default: beneath /run, a tmpfs of this run's own.
    let own = vec![binary.to_path_buf(), "oci".into()];
    let mut all = vec![Runtime { name: "hull oci", words: own, runs: Cell::new(0) }];
    for name in ["crun", "runc", "youki"] {
        match sh::which(name) {
            Some(path) => all.push(Runtime { name, words: vec![path], runs: Cell::new(0) }),
            None => eprintln!("{name} is not installed: left out"),
        }
    }
    for (peer, name) in [("crun", "crun of sid"), ("runc", "runc of sid")] {
        match oracle::peer(peer) {
            Some(path) => all.push(Runtime { name, words: vec![path], runs: Cell::new(0) }),
            None => eprintln!("{name} is left out: `cargo xtask oracle peers` brings it"),
        }
    }
    all
}

/// Prints the table; the floor's median and those of the runtimes.
fn times(peers: &Peers, runtimes: &[Runtime], title: &str, rounds: usize, pause: Duration) -> Result<(f64, Vec<f64>)> {
    let mut cases = vec![Case { name: "floor".into(), run: Box::new(|| quiet(peers.floor_command())) }];
    for runtime in runtimes {
        let run = Box::new(|| quiet(runtime.command(&[], peers)));
        cases.push(Case { name: format!("{} run", runtime.name), run });
    }
    let times = interleave(&mut cases, rounds, pause)?;
    table(&format!("`run` of `true` in one bundle, {title}"), &cases, &times);
    let medians: Vec<f64> = times.iter().map(|t| median(t)).collect();
    Ok((medians[0], medians[1..].to_vec()))
}

/// Peak KiB (the median of five) and system calls of one run.
fn cost(runtime: &Runtime, peers: &Peers, dir: &Path) -> Result<(f64, f64)> {
    let peak = dir.join("peak");
    peers::compile("xtask/bench/peak.c", &peak)?;
    let mut peaks = Vec::new();
    for _ in 0..5 {
        peaks.push(sh::read(&mut runtime.command(&[&peak], peers))?.parse::<f64>()?);
    }
    let counts = dir.join("counts");
    let strace = [Path::new("strace"), Path::new("-f"), Path::new("-c"), Path::new("-o"), &counts];
    quiet(runtime.command(&strace, peers))?;
    Ok((median(&peaks), total_calls(&std::fs::read_to_string(&counts)?).context("strace printed no total")?))
}

/// The calls in strace's last line: `100.00 0.012 12 345 67 total`.
fn total_calls(counts: &str) -> Option<f64> {
    let line = counts.lines().find(|l| l.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn straces_total_is_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n 60.00    0.01      10       100        20 mmap\n\
                    100.00    0.019851          27       712       111 total\n";
        assert_eq!(super::total_calls(text), Some(712.0));
        assert_eq!(super::total_calls("nothing"), None);
    }
}
