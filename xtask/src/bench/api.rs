//! The Engine API with 500 containers: hull beside Docker's own engine, both asked by the same client and by the same CLI.
//!
//! Hull's containers have run and ended; docker's are only created, since 500 starts take it two minutes.

mod calls;
mod events;
mod output;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::aims::Figures;
use super::client::Api;
use super::image::others::Docker;
use super::memory::pss;
use super::peers::quiet;
use super::stats::{Case, interleave, median, table};
use crate::engine::Engine;
use crate::{busybox, sh};

const CONTAINERS: usize = 500;
const ROUNDS: usize = 15;

/// One of the two, and how it is reached.
struct Side {
    name: &'static str,
    host: String,
}

impl Side {
    fn api(&self) -> Result<Api> {
        Api::connect(&self.host)
    }

    /// docker's CLI, led to this engine.
    fn cli(&self, words: &[&str]) -> Command {
        let mut command = sh::cmd("docker", words);
        command.env("DOCKER_HOST", &self.host);
        command
    }

    fn row(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }
}

/// All tables of this benchmark.
pub fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let engine = Engine::start(binary)?;
    let docker = Docker::start(dir.path())?;
    let mut sides = vec![Side { name: "hull", host: engine.host() }];
    if let Some(docker) = &docker {
        let tar = busybox::tar(dir.path())?;
        quiet(docker.command(&["import", &tar.to_string_lossy(), "busybox"]))?;
        sides.push(Side { name: "docker", host: docker.host() });
    }
    populate(&sides)?;
    memory(&engine, figures)?;
    calls::run(&sides, figures)?;
    round_trips(&sides, figures)?;
    events::run(&sides, figures)?;
    copies(&sides, dir.path(), figures)?;
    output::run(&sides, dir.path(), figures)
}

/// Makes the containers; the last of them runs.
fn populate(sides: &[Side]) -> Result<()> {
    for side in sides {
        let mut api = side.api()?;
        for n in 0..CONTAINERS {
            let name = format!("bench-{n}");
            let last = n + 1 == CONTAINERS;
            let command = if last { r#"["sleep","100000"]"# } else { r#"["true"]"# };
            let body = format!(
                r#"{{"Image":"busybox","Cmd":{command},"Labels":{{"bench":"{n}"}},"HostConfig":{{"NetworkMode":"none"}}}}"#
            );
            api.call("POST", &format!("/containers/create?name={name}"), &body)?;
            if side.name == "hull" || last {
                api.call("POST", &format!("/containers/{name}/start"), "")?;
            }
            if side.name == "hull" && !last {
                api.call("POST", &format!("/containers/{name}/wait"), "")?;
            }
        }
    }
    Ok(())
}

fn running() -> String {
    format!("bench-{}", CONTAINERS - 1)
}

fn memory(engine: &Engine, figures: &mut Figures) -> Result<()> {
    let (server, keeper) = engine.pids()?;
    let mib = |pid| Ok::<_, anyhow::Error>(pss(pid)? as f64 / 1024.0);
    let (server, keeper) = (mib(server)?, mib(keeper)?);
    println!(
        "\n### memory with {CONTAINERS} containers that have ended\n\nengine {server:.1} MiB PSS, keeper {keeper:.1}"
    );
    figures.note("500 ended", server);
    Ok(())
}

/// What a person waits for: docker's CLI, its own start included.
fn round_trips(sides: &[Side], figures: &mut Figures) -> Result<()> {
    let running = running();
    for (title, figure, words) in [
        ("`docker version`", "docker/version", vec!["version"]),
        ("`docker ps -a` of 500", "docker/ps", vec!["ps", "-a"]),
        ("`docker inspect`", "docker/inspect", vec!["inspect", "bench-7"]),
        ("`docker exec` of `true`", "docker/exec by docker", vec!["exec", &running, "true"]),
    ] {
        compare(title, figure, sides, ROUNDS, figures, |side| quiet(side.cli(&words)))?;
    }
    Ok(())
}

/// `docker cp` of one file of 200 MB into a running container and out of it.
fn copies(sides: &[Side], dir: &Path, figures: &mut Figures) -> Result<()> {
    let (file, back) = (dir.join("200MB"), dir.join("back"));
    sh::run(&mut sh::cmd("sh", &["-c", "head -c 200000000 /dev/urandom > \"$0\"", &file.to_string_lossy()]))?;
    let (file, back) = (file.to_string_lossy().into_owned(), back.to_string_lossy().into_owned());
    let inside = format!("{}:/200MB", running());
    compare("`docker cp` of 200 MB in", "docker/cp in", sides, 5, figures, |side| {
        quiet(side.cli(&["cp", "-q", &file, &inside]))
    })?;
    compare("`docker cp` of 200 MB out", "docker/cp out", sides, 5, figures, |side| {
        quiet(side.cli(&["cp", "-q", &inside, &back]))
    })?;
    if fs::metadata(&back)?.len() != 200_000_000 {
        bail!("what was copied came back shorter");
    }
    Ok(fs::remove_file(&file)?)
}

/// Times one thing on each side in turn; notes how many times docker takes it.
fn compare(
    title: &str,
    figure: &'static str,
    sides: &[Side],
    rounds: usize,
    figures: &mut Figures,
    work: impl Fn(&Side) -> Result<()>,
) -> Result<()> {
    let mut cases: Vec<Case> =
        sides.iter().map(|side| Case { name: side.name.into(), run: Box::new(|| work(side)) }).collect();
    let times = interleave(&mut cases, rounds, Duration::ZERO)?;
    table(title, &cases, &times);
    if let [hull, docker] = &times[..] {
        figures.note(figure, median(docker) / median(hull));
    }
    Ok(())
}
