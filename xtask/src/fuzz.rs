//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, which learns from coverage, several at a time.
//!
//! Any toolchain can build them: the counters come from a pass of LLVM that rustc takes by name, so no nightly is needed.
//! Without it there is no address sanitizer: what is looked for are panics, broken promises, hangs and memory without
//! bounds. `cargo +nightly fuzz run --features libfuzzer TARGET` adds it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::{apt, sh};

/// libFuzzer is C++ and is compiled along.
const NEEDS: &[apt::Need] = &[("c++", "g++")];
const SECONDS: u64 = 60;

/// Counters at every edge, and what is compared.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// One target's run. An input that takes longer than this, or a process that grows larger, is a finding.
const BOUNDS: [&str; 4] = ["-timeout=20", "-rss_limit_mb=1024", "-max_len=65536", "-print_final_stats=1"];

/// What is asked for.
struct Asked {
    seconds: u64,
    /// What libFuzzer's choices begin with; by chance without it.
    seed: Option<u64>,
    targets: Vec<String>,
}

/// Builds the targets, runs them, and fails if one of them found something.
pub fn run(args: &[String]) -> Result<()> {
    let asked = read(args)?;
    apt::ensure(NEEDS)?;
    let place = sh::target().join("fuzz");
    let bin = build(&place)?;
    for dir in ["corpus", "found", "log"] {
        fs::create_dir_all(place.join(dir)).with_context(|| format!("mkdir {}", place.join(dir).display()))?;
    }
    let Asked { seconds, seed, targets } = asked;
    let waiting = Mutex::new(VecDeque::from(targets));
    let failed = Mutex::new(Vec::new());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    match one(&target, (seconds, seed), &bin, &place) {
                        Ok(line) => println!("{line}"),
                        Err(error) => {
                            println!("{target:<10} {error:#}");
                            failed.lock().unwrap_or_else(PoisonError::into_inner).push(target);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { bail!("findings in: {}", failed.join(", ")) }
}

fn read(args: &[String]) -> Result<Asked> {
    let known = known()?;
    let mut asked = Asked { seconds: SECONDS, seed: None, targets: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = |option: &str| {
            let number = args.next().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
            number.with_context(|| format!("`{option}` wants a number"))
        };
        if arg == "--seconds" {
            asked.seconds = number(arg)?;
        } else if arg == "--seed" {
            asked.seed = Some(number(arg)?);
        } else if known.contains(arg) {
            asked.targets.push(arg.clone());
        } else {
            bail!("unknown target `{arg}`; there are {}", known.join(", "));
        }
    }
    if asked.targets.is_empty() {
        asked.targets = known;
    }
    Ok(asked)
}

/// The names of all targets.
fn known() -> Result<Vec<String>> {
    let dir = sh::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

/// Builds all of them beneath `place`; returns the directory of the programs.
fn build(place: &Path) -> Result<PathBuf> {
    let mut command =
        sh::cmd("cargo", &["build", "--quiet", "--package", "hull-fuzz", "--features", "libfuzzer", "--bins"]);
    command.args(["--profile", "fuzz", "--target-dir"]).arg(place);
    sh::run(command.env("RUSTFLAGS", COVERAGE).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    let host = sh::read(&mut sh::cmd("rustc", &["--print", "host-tuple"]))?;
    Ok(place.join(host).join("fuzz"))
}

/// Runs one target. What it learns is kept in `place` and is where the next run begins; seeds stay as they are.
fn one(target: &str, (seconds, seed): (u64, Option<u64>), bin: &Path, place: &Path) -> Result<String> {
    let learned = place.join("corpus").join(target);
    fs::create_dir_all(&learned)?;
    let log = place.join("log").join(target);
    let mut command = sh::cmd(bin.join(target), &BOUNDS);
    command.arg(format!("-max_total_time={seconds}"));
    command.args(seed.map(|seed| format!("-seed={seed}")));
    command.arg(format!("-artifact_prefix={}/{target}-", place.join("found").display()));
    command.arg(&learned).arg(sh::root().join("fuzz/corpus").join(target));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let status = command.status().with_context(|| format!("start {}", bin.join(target).display()))?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        bail!("{}", finding(&said, &log));
    }
    let count = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).unwrap_or("?");
    let last = said.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
    let (coverage, corpus) = (after(last, "cov: "), after(last, "corp: "));
    Ok(format!("{target:<10} {:>9} inputs, {coverage} edges covered, corpus {corpus}: nothing found", count.trim()))
}

/// The word behind `label`.
fn after<'a>(line: &'a str, label: &str) -> &'a str {
    line.split_once(label).and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or("?")
}

/// Why it stopped, and the input that shows it.
fn finding(said: &str, log: &Path) -> String {
    let why = said.lines().find(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    let detail = said.lines().skip_while(|line| Some(*line) != why).skip(1).take(3).collect::<Vec<_>>().join("\n    ");
    let input = said.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path.trim());
    match (why, input) {
        (Some(why), Some(input)) => {
            format!(
                "{why}\n    {detail}\n  input: {input}\n  (once mended it belongs into fuzz/corpus; all that was said: {})",
                log.display()
            )
        }
        _ => format!("ended early: {}", log.display()),
    }
}
