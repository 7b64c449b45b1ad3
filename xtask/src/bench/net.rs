//! What a network costs: a start with an address, published ports, connections through one, container to container, names.
//!
//! Docker's engine is measured in the network namespace in which it runs, hull in this one; both ends of all traffic are
//! one program of ours (`xtask/bench/traffic.c`).

mod traffic;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::traffic::{Side, Traffic};
use super::aims::Figures;
use super::peers::{self, quiet};
use super::podman::Podman;
use super::stats::{Case, interleave, median, ratio, table};
use crate::engine::Engine;
use crate::{busybox, sh};

const HULL: &str = "hull run --rm";
const HULL_NONE: &str = "hull run --rm --network none";
const COLD: &str = "hull run --rm, no pools";
const COLD_NONE: &str = "hull run --rm --network none, no pools";
const DOCKER: &str = "docker run --rm";
const PODMAN: &str = "podman run --rm";

/// How many ports a container of the measurement with many has.
const PORTS: usize = 200;

/// All tables of this benchmark.
pub fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let engine = Engine::start(binary)?;
    let dir = tempfile::tempdir()?;
    starts(&engine, binary, dir.path(), figures)?;
    ports(&engine, figures)?;
    at_once(&engine, figures)?;
    let traffic = Traffic::new(dir.path())?;
    let hull = Side::hull(&engine, &traffic)?;
    let docker = peers::docker().map(|host| Side::docker(host, &traffic)).transpose()?;
    traffic::connections(&traffic, &hull, docker.as_ref(), figures)?;
    traffic::between(&hull, docker.as_ref(), figures)?;
    traffic::names(&engine, &traffic, figures)
}

/// `true` from nothing to nothing on the default network, and without one.
fn starts(engine: &Engine, binary: &Path, dir: &Path, figures: &mut Figures) -> Result<()> {
    let cold = Engine::start_with(binary, &[("HULL_POOLS", "off")])?;
    let tar = busybox::tar(dir)?;
    let (docker, podman) = (peers::docker(), Podman::new(dir, &tar));
    let mut cases = Vec::new();
    for (name, engine, words) in [
        (HULL_NONE, engine, &["run", "--rm", "--network", "none", "busybox", "true"][..]),
        (HULL, engine, &["run", "--rm", "busybox", "true"][..]),
        (COLD_NONE, &cold, &["run", "--rm", "--network", "none", "busybox", "true"][..]),
        (COLD, &cold, &["run", "--rm", "busybox", "true"][..]),
    ] {
        cases.push(Case { name: name.into(), run: Box::new(move || quiet(engine.hull(words))) });
    }
    if let Some(podman) = &podman {
        cases.push(Case {
            name: PODMAN.into(),
            run: Box::new(move || quiet(podman.command(&["run", "--rm", "busybox", "true"]))),
        });
    }
    if let Some(host) = docker {
        let run = move || quiet(sh::cmd("docker", &["-H", &host, "run", "--rm", "busybox", "true"]));
        cases.push(Case { name: DOCKER.into(), run: Box::new(run) });
    }
    let times = interleave(&mut cases, 25, Duration::ZERO)?;
    table("start to exit of `true` on the default network", &cases, &times);
    let of = |name: &str| cases.iter().position(|case| case.name == name).map_or(f64::NAN, |at| median(&times[at]));
    figures.note("attach", of(HULL) - of(HULL_NONE));
    figures.note("attach cold", of(COLD) - of(COLD_NONE));
    ratio(&cases, &times, DOCKER, HULL).into_iter().for_each(|value| figures.note("docker/bridge", value));
    ratio(&cases, &times, PODMAN, HULL).into_iter().for_each(|value| figures.note("podman/bridge", value));
    Ok(())
}

/// What two hundred ports add to a start, and what the 5,000th costs beside the first.
fn ports(engine: &Engine, figures: &mut Figures) -> Result<()> {
    println!("\n### published ports\n\n| | ms |\n|---|---|");
    let none = median(&some_starts(engine, &[])?);
    let many = median(&some_starts(engine, &["-p", &format!("127.0.0.1:20000-{}:20000-{0}", 20000 + PORTS - 1)])?);
    println!("| a start without ports | {none:.2} |\n| a start with {PORTS} | {many:.2} |");
    figures.note("ports", many - none);
    let one = ["-p", "127.0.0.1:19999:80"];
    let first = median(&some_starts(engine, &one)?);
    for at in 0..5000 / PORTS {
        let from = 21000 + at * PORTS;
        let range = format!("127.0.0.1:{from}-{}:{from}-{0}", from + PORTS - 1);
        let name = format!("ports-{at}");
        quiet(engine.hull(&["run", "-d", "--name", &name, "-p", &range, "busybox", "sleep", "1000"]))?;
    }
    let last = median(&some_starts(engine, &one)?);
    println!(
        "| a start with one, the first port of the host | {first:.2} |\n| the same, after 5,000 others | {last:.2} |"
    );
    figures.note("port 5000", last / first);
    for at in 0..5000 / PORTS {
        quiet(engine.hull(&["rm", "-f", &format!("ports-{at}")]))?;
    }
    Ok(())
}

/// Milliseconds of some starts on the default network with these flags.
fn some_starts(engine: &Engine, flags: &[&str]) -> Result<Vec<f64>> {
    let words = [&["run", "--rm"][..], flags, &["busybox", "true"]].concat();
    quiet(engine.hull(&words))?;
    (0..15)
        .map(|_| {
            let begin = Instant::now();
            quiet(engine.hull(&words))?;
            Ok(begin.elapsed().as_secs_f64() * 1e3)
        })
        .collect()
}

/// Two hundred containers on one bridge, all at once.
fn at_once(engine: &Engine, figures: &mut Figures) -> Result<()> {
    let begin = Instant::now();
    let mut children = Vec::new();
    for _ in 0..200 {
        let mut command = engine.hull(&["run", "--rm", "busybox", "true"]);
        children.push(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
    }
    let mut failed = 0;
    for mut child in children {
        failed += u32::from(!child.wait()?.success());
    }
    let took = begin.elapsed().as_secs_f64();
    println!("\n200 containers at once on the default network: {took:.2} s, {failed} failed");
    figures.note("failed on a bridge", f64::from(failed));
    let left = engine.read(&["ps", "-aq"]).context("ps")?;
    ensure!(left.is_empty(), "containers are left: {left}");
    Ok(())
}
