//! How long a start takes: `true` from nothing to nothing, exec, fifty in a row, two hundred at once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::aims::Figures;
use super::client::Api;
use super::peers::{self, Peers, quiet};
use super::podman::Podman;
use super::stats::{Case, interleave, ratio, table};
use crate::engine::Engine;
use crate::{busybox, sh};

/// Starts between which nothing waits, and starts on a machine that has gone to rest.
const PACES: [Pace; 2] = [
    Pace { title: "back to back", rounds: 40, pause: 0, figures: ["run/floor", "run/crun", "docker/run", "api/floor"] },
    Pace {
        title: "100 ms apart",
        rounds: 25,
        pause: 100,
        figures: ["run/floor apart", "run/crun apart", "docker/run apart", "api/floor apart"],
    },
];

struct Pace {
    title: &'static str,
    rounds: usize,
    pause: u64,
    /// What the ratios of [`RATIOS`] are called among the figures.
    figures: [&'static str; 4],
}

const HULL_API: &str = "hull API: create start wait rm";
const HULL_RUN: &str = "hull run --rm --network none";
const DOCKER_RUN: &str = "docker run --rm --network none";
const RATIOS: [(&str, &str); 4] =
    [(HULL_RUN, "floor"), (HULL_RUN, "crun run"), (DOCKER_RUN, HULL_RUN), (HULL_API, "floor")];

/// All tables of this benchmark.
pub fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let engine = Engine::start(binary)?;
    let dir = tempfile::tempdir()?;
    let tar = busybox::tar(dir.path())?;
    let peers = Peers::new(dir.path(), &tar)?;
    let (docker, podman) = (peers::docker(), Podman::new(dir.path(), &tar));
    for pace in PACES {
        let mut cases = true_cases(&engine, &peers, docker.as_deref(), podman.as_ref())?;
        let times = interleave(&mut cases, pace.rounds, Duration::from_millis(pace.pause))?;
        table(&format!("start to exit of `true`, {}", pace.title), &cases, &times);
        for (name, (a, b)) in pace.figures.into_iter().zip(RATIOS) {
            ratio(&cases, &times, a, b).into_iter().for_each(|value| figures.note(name, value));
        }
    }
    exec(&engine, docker.as_deref(), figures)?;
    many(&engine, docker.as_deref(), figures)
}

fn true_cases<'a>(
    engine: &'a Engine,
    peers: &'a Peers,
    docker: Option<&'a str>,
    podman: Option<&'a Podman>,
) -> Result<Vec<Case<'a>>> {
    let mut cases = peers.cases();
    let mut api = Api::connect(&engine.host())?;
    cases.push(Case { name: HULL_API.into(), run: Box::new(move || api.cycle()) });
    cases.push(Case {
        name: HULL_RUN.into(),
        run: Box::new(|| quiet(engine.hull(&["run", "--rm", "--network", "none", "busybox", "true"]))),
    });
    if let Some(podman) = podman {
        cases.push(Case {
            name: "podman run --rm --network none".into(),
            run: Box::new(move || quiet(podman.command(&["run", "--rm", "--network", "none", "busybox", "true"]))),
        });
    }
    if let Some(host) = docker {
        let mut api = Api::connect(host)?;
        cases.push(Case { name: "docker API: create start wait rm".into(), run: Box::new(move || api.cycle()) });
        cases.push(Case {
            name: DOCKER_RUN.into(),
            run: Box::new(move || {
                quiet(sh::cmd("docker", &["-H", host, "run", "--rm", "--network", "none", "busybox", "true"]))
            }),
        });
    }
    Ok(cases)
}

fn exec(engine: &Engine, docker: Option<&str>, figures: &mut Figures) -> Result<()> {
    engine.read(&["run", "-d", "--name", "bench", "busybox", "sleep", "1000"])?;
    let mut cases =
        vec![Case { name: "hull exec".into(), run: Box::new(|| quiet(engine.hull(&["exec", "bench", "true"]))) }];
    if let Some(host) = docker {
        sh::read(&mut sh::cmd(
            "docker",
            &["-H", host, "run", "-d", "--name", "hull-bench", "--network", "none", "busybox", "sleep", "1000"],
        ))?;
        cases.push(Case {
            name: "docker exec".into(),
            run: Box::new(move || quiet(sh::cmd("docker", &["-H", host, "exec", "hull-bench", "true"]))),
        });
    }
    let times = interleave(&mut cases, 25, Duration::ZERO)?;
    table("exec of `true` in a running container", &cases, &times);
    ratio(&cases, &times, "docker exec", "hull exec").into_iter().for_each(|value| figures.note("docker/exec", value));
    drop(cases);
    engine.read(&["rm", "-f", "bench"])?;
    if let Some(host) = docker {
        sh::read(&mut sh::cmd("docker", &["-H", host, "rm", "-f", "hull-bench"]))?;
    }
    Ok(())
}

fn many(engine: &Engine, docker: Option<&str>, figures: &mut Figures) -> Result<()> {
    println!("\n### many containers\n\n| | s |\n|---|---|");
    let sleeper = ["run", "-d", "--network", "none", "busybox", "sleep", "1000"];
    let begin = Instant::now();
    for _ in 0..50 {
        quiet(engine.hull(&sleeper))?;
    }
    let hull = begin.elapsed().as_secs_f64();
    println!("| hull: 50 started in sequence | {hull:.2} |");
    let begin = Instant::now();
    remove_all(|args| engine.hull(args))?;
    println!("| hull: 50 removed with rm -f in one command | {:.2} |", begin.elapsed().as_secs_f64());
    if let Some(host) = docker {
        let docker = |args: &[&str]| sh::cmd("docker", &[&["-H", host][..], args].concat());
        let begin = Instant::now();
        for _ in 0..50 {
            quiet(docker(&sleeper))?;
        }
        let docker_took = begin.elapsed().as_secs_f64();
        println!("| docker: 50 started in sequence | {docker_took:.2} |");
        figures.note("docker/sequence", docker_took / hull);
        let begin = Instant::now();
        remove_all(docker)?;
        println!("| docker: 50 removed with rm -f in one command | {:.2} |", begin.elapsed().as_secs_f64());
    }
    let begin = Instant::now();
    let mut children = Vec::new();
    for _ in 0..200 {
        let mut command = engine.hull(&["run", "--rm", "--network", "none", "busybox", "true"]);
        children.push(command.stdout(std::process::Stdio::null()).stdin(std::process::Stdio::null()).spawn()?);
    }
    let mut failed = 0;
    for mut child in children {
        failed += u32::from(!child.wait()?.success());
    }
    println!("| hull: 200 `run --rm … true` at once, {failed} failed | {:.2} |", begin.elapsed().as_secs_f64());
    figures.note("failed", f64::from(failed));
    Ok(())
}

fn remove_all(engine: impl Fn(&[&str]) -> std::process::Command) -> Result<()> {
    let ids = sh::read(&mut engine(&["ps", "-aq"])).context("ps")?;
    let mut args = vec!["rm", "-f"];
    args.extend(ids.lines());
    quiet(engine(&args))
}
