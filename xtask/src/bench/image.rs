//! Images: brought in, written out and removed, beside what no program can do without and beside docker and podman.
//!
//! The images are made here: 177 MB of files that gzip to about 64, as one layer and as ten. What a program needs to be
//! ready for the next round is not timed. Ratios are of minima.

mod make;
pub mod others;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use self::make::Image;
use self::others::{Docker, Podman, Registry};
use super::aims::Figures;
use super::peers::quiet;
use super::stats::{self, Case};
use crate::engine::Engine;
use crate::{apt, sh};

const ROUNDS: usize = 5;
const NEEDS: &[apt::Need] =
    &[("docker-registry", "docker-registry"), ("skopeo", "skopeo"), ("curl", "curl"), ("tar", "tar")];

/// Who can pull, load and remove.
struct Bench<'a> {
    dir: &'a Path,
    engine: &'a Engine,
    docker: Option<&'a Docker>,
    podman: Option<&'a Podman>,
}

/// Load, pull, save and remove.
pub fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    apt::ensure(NEEDS)?;
    let dir = tempfile::tempdir()?;
    let (one, ten) = (Image::make(dir.path(), 1)?, Image::make(dir.path(), 10)?);
    let engine = Engine::start(binary)?;
    let docker = Docker::start(dir.path())?;
    let podman = Podman::new(dir.path());
    let registry = Registry::start(dir.path())?;
    let blob = registry.push(&one)?;
    registry.push(&ten)?;
    let bench = Bench { dir: dir.path(), engine: &engine, docker: docker.as_ref(), podman: podman.as_ref() };
    bench.load(&one, figures)?;
    bench.pull(&one, &blob, figures)?;
    bench.pull_ten(&ten, figures)?;
    bench.save(&one)
}

impl Bench<'_> {
    fn load(&self, image: &Image, figures: &mut Figures) -> Result<()> {
        let archive = image.archive.to_string_lossy().into_owned();
        let words = ["load", "-q", "-i", &archive];
        let mut rows = Rows::default();
        let mut peak = Peak::of(self.engine)?;
        for round in 0..=ROUNDS {
            let script = format!("zcat '{}' | tar -x -C \"$1\" -f -", image.layers[0].display());
            self.floor(round, &mut rows, "zcat, tar x", &script)?;
            peak.begin()?;
            rows.time(round, "hull load", || quiet(self.engine.hull(&words)))?;
            peak.end()?;
            quiet(self.engine.hull(&["rmi", &image.name]))?;
            if let Some(docker) = self.docker {
                rows.time(round, "docker load", || quiet(docker.command(&words)))?;
                quiet(docker.command(&["rmi", &image.name]))?;
            }
            if let Some(podman) = self.podman {
                rows.time(round, "podman load", || quiet(podman.command(&words)))?;
                quiet(podman.command(&["rmi", "-f", "-a"]))?;
            }
        }
        rows.print("load of a 177 MB image, one gzip layer");
        rows.note(figures, "docker/load", "docker load", "hull load");
        peak.note(figures, "load peak");
        Ok(())
    }

    fn pull(&self, image: &Image, blob: &str, figures: &mut Figures) -> Result<()> {
        let mut rows = Rows::default();
        let mut peak = Peak::of(self.engine)?;
        for round in 0..=ROUNDS {
            let script = format!("curl -s '{blob}' | zcat | tar -x -C \"$1\" -f -");
            self.floor(round, &mut rows, "curl, zcat, tar x", &script)?;
            self.pull_by_hull(image, round, &mut rows, &mut peak)?;
            if let Some(docker) = self.docker {
                rows.time(round, "docker pull", || quiet(docker.command(&["pull", "-q", &image.at_registry])))?;
                rows.time(round, "docker rmi", || quiet(docker.command(&["rmi", &image.at_registry])))?;
            }
        }
        rows.print("pull of a 177 MB image, one gzip layer, and rmi of it");
        rows.note(figures, "pull/floor", "hull pull", "curl, zcat, tar x");
        rows.note(figures, "docker/pull", "docker pull", "hull pull");
        rows.note(figures, "docker/rmi", "docker rmi", "hull rmi");
        if let Some(least) = rows.least("hull rmi") {
            figures.note("rmi", least);
        }
        peak.note(figures, "pull peak");
        Ok(())
    }

    fn pull_ten(&self, image: &Image, figures: &mut Figures) -> Result<()> {
        let mut rows = Rows::default();
        let mut peak = Peak::of(self.engine)?;
        for round in 0..=ROUNDS {
            self.pull_by_hull(image, round, &mut rows, &mut peak)?;
            if let Some(docker) = self.docker {
                rows.time(round, "docker pull", || quiet(docker.command(&["pull", "-q", &image.at_registry])))?;
                quiet(docker.command(&["rmi", &image.at_registry]))?;
            }
            if let Some(podman) = self.podman {
                let words = ["pull", "-q", "--tls-verify=false", &image.at_registry];
                rows.time(round, "podman pull", || quiet(podman.command(&words)))?;
                quiet(podman.command(&["rmi", "-f", "-a"]))?;
            }
        }
        rows.print("pull of the same files as ten layers, and rmi");
        rows.note(figures, "ten/podman", "hull pull", "podman pull");
        peak.note(figures, "ten peak");
        Ok(())
    }

    fn pull_by_hull(&self, image: &Image, round: usize, rows: &mut Rows, peak: &mut Peak) -> Result<()> {
        peak.begin()?;
        rows.time(round, "hull pull", || quiet(self.engine.hull(&["pull", "-q", &image.at_registry])))?;
        peak.end()?;
        rows.time(round, "hull rmi", || quiet(self.engine.hull(&["rmi", &image.at_registry])))
    }

    fn save(&self, image: &Image) -> Result<()> {
        let archive = image.archive.to_string_lossy().into_owned();
        let out = self.dir.join("saved.tar").to_string_lossy().into_owned();
        let mut rows = Rows::default();
        for round in 0..=ROUNDS {
            quiet(self.engine.hull(&["load", "-q", "-i", &archive]))?;
            rows.time(round, "hull save", || quiet(self.engine.hull(&["save", "-o", &out, &image.name])))?;
            quiet(self.engine.hull(&["rmi", &image.name]))?;
            if let Some(docker) = self.docker {
                quiet(docker.command(&["load", "-q", "-i", &archive]))?;
                rows.time(round, "docker save", || quiet(docker.command(&["save", "-o", &out, &image.name])))?;
                quiet(docker.command(&["rmi", &image.name]))?;
            }
        }
        rows.print("save of the image of one layer");
        Ok(())
    }

    /// Times a script that fills an empty directory.
    fn floor(&self, round: usize, rows: &mut Rows, name: &'static str, script: &str) -> Result<()> {
        let to = self.dir.join("floor");
        fs::create_dir(&to)?;
        let mut command = sh::cmd("sh", &["-c", script, "sh"]);
        command.arg(&to);
        rows.time(round, name, || quiet(command))?;
        Ok(fs::remove_dir_all(&to)?)
    }
}

/// Times in milliseconds by name; the first round of each warms up.
#[derive(Default)]
struct Rows(Vec<(&'static str, Vec<f64>)>);

impl Rows {
    fn time(&mut self, round: usize, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let begin = Instant::now();
        work()?;
        let spent = begin.elapsed().as_secs_f64() * 1e3;
        let at = self.0.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.0.push((name, Vec::new()));
            self.0.len() - 1
        });
        if round > 0 {
            self.0[at].1.push(spent);
        }
        Ok(())
    }

    fn least(&self, name: &str) -> Option<f64> {
        let (_, times) = self.0.iter().find(|(known, _)| *known == name)?;
        times.iter().copied().reduce(f64::min)
    }

    /// Notes how many times `b` it takes `a`, if both were there.
    fn note(&self, figures: &mut Figures, figure: &'static str, a: &str, b: &str) {
        if let (Some(a), Some(b)) = (self.least(a), self.least(b)) {
            figures.note(figure, a / b);
        }
    }

    fn print(&self, title: &str) {
        let cases: Vec<Case<'_>> =
            self.0.iter().map(|(name, _)| Case { name: (*name).into(), run: Box::new(|| Ok(())) }).collect();
        let times: Vec<Vec<f64>> = self.0.iter().map(|(_, times)| times.clone()).collect();
        stats::table(title, &cases, &times);
    }
}

/// The most memory that the engine had.
struct Peak {
    pid: u32,
    most: u64,
}

impl Peak {
    fn of(engine: &Engine) -> Result<Self> {
        Ok(Self { pid: engine.pids()?.0, most: 0 })
    }

    /// Forgets what was before (proc(5): clear_refs).
    fn begin(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid), "5")?)
    }

    fn end(&mut self) -> Result<()> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        self.most = self.most.max(line.trim().trim_end_matches(" kB").parse()?);
        Ok(())
    }

    fn note(&self, figures: &mut Figures, figure: &'static str) {
        let most = self.most as f64 / 1024.0;
        println!("\nthe engine's memory at its peak: {most:.0} MiB");
        figures.note(figure, most);
    }
}

/// Runs and checks a command whose words are given.
fn checked(program: &str, words: &[&str]) -> Result<()> {
    let command: Command = sh::cmd(program, words);
    quiet(command)
}
