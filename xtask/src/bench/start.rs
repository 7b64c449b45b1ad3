//! How long a start takes: `true` from nothing to nothing, exec, fifty in a row, two hundred at once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::api::Api;
use super::peers::{self, Peers, quiet};
use super::stats::{Case, interleave, table};
use crate::engine::Engine;
use crate::{busybox, sh};

/// All tables of this benchmark.
pub fn run(binary: &Path) -> Result<()> {
    let engine = Engine::start(binary)?;
    let dir = tempfile::tempdir()?;
    let peers = Peers::new(dir.path(), &busybox::tar(dir.path())?)?;
    let (docker, podman) = (peers::docker(), peers::podman());
    for (title, rounds, pause) in [("back to back", 40, 0), ("100 ms apart", 25, 100)] {
        let mut cases = true_cases(&engine, &peers, docker.as_deref(), podman.as_deref())?;
        let times = interleave(&mut cases, rounds, Duration::from_millis(pause))?;
        table(&format!("start to exit of `true`, {title}"), &cases, &times);
    }
    exec(&engine, docker.as_deref())?;
    many(&engine, docker.as_deref())
}

fn true_cases<'a>(
    engine: &'a Engine,
    peers: &'a Peers,
    docker: Option<&'a str>,
    podman: Option<&'a Path>,
) -> Result<Vec<Case<'a>>> {
    let mut cases = peers.cases();
    let mut api = Api::connect(&engine.host())?;
    cases.push(Case { name: "hull API: create start wait rm".into(), run: Box::new(move || api.cycle()) });
    cases.push(Case {
        name: "hull run --rm --network none".into(),
        run: Box::new(|| quiet(engine.hull(&["run", "--rm", "--network", "none", "busybox", "true"]))),
    });
    if let Some(podman) = podman {
        cases.push(Case {
            name: "podman run --rm --network none".into(),
            run: Box::new(move || quiet(sh::cmd(podman, &["run", "--rm", "--network", "none", "busybox", "true"]))),
        });
    }
    if let Some(host) = docker {
        let mut api = Api::connect(host)?;
        cases.push(Case { name: "docker API: create start wait rm".into(), run: Box::new(move || api.cycle()) });
        cases.push(Case {
            name: "docker run --rm --network none".into(),
            run: Box::new(move || {
                quiet(sh::cmd("docker", &["-H", host, "run", "--rm", "--network", "none", "busybox", "true"]))
            }),
        });
    }
    Ok(cases)
}

fn exec(engine: &Engine, docker: Option<&str>) -> Result<()> {
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
    drop(cases);
    engine.read(&["rm", "-f", "bench"])?;
    if let Some(host) = docker {
        sh::read(&mut sh::cmd("docker", &["-H", host, "rm", "-f", "hull-bench"]))?;
    }
    Ok(())
}

fn many(engine: &Engine, docker: Option<&str>) -> Result<()> {
    println!("\n### many containers\n\n| | s |\n|---|---|");
    let sleeper = ["run", "-d", "--network", "none", "busybox", "sleep", "1000"];
    let begin = Instant::now();
    for _ in 0..50 {
        quiet(engine.hull(&sleeper))?;
    }
    println!("| hull: 50 started in sequence | {:.2} |", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    remove_all(|args| engine.hull(args))?;
    println!("| hull: 50 removed with rm -f in one command | {:.2} |", begin.elapsed().as_secs_f64());
    if let Some(host) = docker {
        let docker = |args: &[&str]| sh::cmd("docker", &[&["-H", host][..], args].concat());
        let begin = Instant::now();
        for _ in 0..50 {
            quiet(docker(&sleeper))?;
        }
        println!("| docker: 50 started in sequence | {:.2} |", begin.elapsed().as_secs_f64());
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
    anyhow::ensure!(failed == 0, "{failed} of 200 parallel starts failed");
    Ok(())
}

fn remove_all(engine: impl Fn(&[&str]) -> std::process::Command) -> Result<()> {
    let ids = sh::read(&mut engine(&["ps", "-aq"])).context("ps")?;
    let mut args = vec!["rm", "-f"];
    args.extend(ids.lines());
    quiet(engine(&args))
}
