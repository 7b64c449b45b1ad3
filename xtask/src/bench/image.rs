//! Images: one large gzip layer brought in, written out and removed, beside `zcat | tar x`.
//!
//! The image is made here: 177 MB of files that gzip to about 64. Removing and what each program needs to
//! be ready for the next run is not timed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::peers::quiet;
use super::stats::{self, Case};
use crate::engine::Engine;
use crate::sh;

const ROUNDS: usize = 5;
const FILES: usize = 1200;
const FILE: usize = 147_500;
/// So many of each file's bytes cannot be compressed.
const NOISE: usize = 53_000;

/// Load, save and remove.
pub fn run(binary: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let image = Image::make(dir.path())?;
    let engine = Engine::start(binary)?;
    let podman = sh::which("podman").map(|program| Podman { program, root: dir.path().join("podman") });
    if podman.is_none() {
        eprintln!("podman is not installed: left out");
    }
    load(&image, &engine, podman.as_ref())?;
    save_and_remove(&image, &engine)
}

fn load(image: &Image, engine: &Engine, podman: Option<&Podman>) -> Result<()> {
    let mut times: Vec<(String, Vec<f64>)> = Vec::new();
    let mut note = |name: &str, round: usize, spent: Duration| {
        let at = times.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            times.push((name.to_owned(), Vec::new()));
            times.len() - 1
        });
        if round > 0 {
            times[at].1.push(spent.as_secs_f64() * 1e3);
        }
    };
    let archive = image.archive.to_string_lossy();
    for round in 0..=ROUNDS {
        note("zcat, tar x", round, image.floor()?);
        note("hull load", round, timed(|| quiet(engine.hull(&["load", "-q", "-i", &archive])))?);
        quiet(engine.hull(&["rmi", "bench:1"]))?;
        if let Some(podman) = podman {
            note("podman load", round, timed(|| quiet(podman.command(&["load", "-q", "-i", &archive])))?);
            quiet(podman.command(&["rmi", "-f", "-a"]))?;
        }
    }
    print("load of a 177 MB image, one gzip layer", times);
    Ok(())
}

fn save_and_remove(image: &Image, engine: &Engine) -> Result<()> {
    let archive = image.archive.to_string_lossy();
    let out = image.dir.join("saved.tar");
    let out = out.to_string_lossy();
    let (mut save, mut remove) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        quiet(engine.hull(&["load", "-q", "-i", &archive]))?;
        save.push(timed(|| quiet(engine.hull(&["save", "-o", &out, "bench:1"])))?.as_secs_f64() * 1e3);
        remove.push(timed(|| quiet(engine.hull(&["rmi", "bench:1"])))?.as_secs_f64() * 1e3);
    }
    print("save and rmi of the same image", vec![("hull save".into(), save), ("hull rmi".into(), remove)]);
    Ok(())
}

fn print(title: &str, times: Vec<(String, Vec<f64>)>) {
    let (names, times): (Vec<String>, Vec<Vec<f64>>) = times.into_iter().unzip();
    let cases: Vec<Case<'_>> = names.into_iter().map(|name| Case { name, run: Box::new(|| Ok(())) }).collect();
    stats::table(title, &cases, &times);
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}

/// The archive and its layer.
struct Image {
    dir: PathBuf,
    archive: PathBuf,
    layer: PathBuf,
}

impl Image {
    fn make(dir: &Path) -> Result<Self> {
        let image = Self { dir: dir.to_owned(), archive: dir.join("image.tar"), layer: dir.join("image/layer.tar.gz") };
        let (tree, parts) = (dir.join("tree"), dir.join("image"));
        fs::create_dir_all(&parts)?;
        fill(&tree)?;
        let plain = dir.join("layer.tar");
        tar(&tree, &plain)?;
        let sum = sh::read(&mut sh::cmd("sha256sum", &[&plain.to_string_lossy()]))?;
        let diff_id = sum.split_whitespace().next().context("sha256sum says nothing")?;
        let status = Command::new("gzip").arg("-c").arg(&plain).stdout(File::create(&image.layer)?).status()?;
        if !status.success() {
            bail!("gzip failed: {status}");
        }
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
        );
        fs::write(parts.join("config.json"), config)?;
        fs::write(
            parts.join("manifest.json"),
            r#"[{"Config":"config.json","RepoTags":["bench:1"],"Layers":["layer.tar.gz"]}]"#,
        )?;
        tar(&parts, &image.archive)?;
        fs::remove_dir_all(&tree)?;
        Ok(image)
    }

    /// What no program can do without: undo the compression and make the files.
    fn floor(&self) -> Result<Duration> {
        let to = self.dir.join("floor");
        fs::create_dir_all(&to)?;
        let script = "zcat \"$1\" | tar -x -C \"$2\" -f -";
        let mut command = sh::cmd("sh", &["-c", script, "sh"]);
        command.arg(&self.layer).arg(&to);
        let spent = timed(|| quiet(command))?;
        fs::remove_dir_all(&to)?;
        Ok(spent)
    }
}

fn tar(tree: &Path, to: &Path) -> Result<()> {
    let mut command = sh::cmd("tar", &["--owner=0", "--group=0", "-C"]);
    quiet({
        command.arg(tree).arg("-cf").arg(to).arg(".");
        command
    })
}

/// Files of which a part is noise and the rest text.
fn fill(tree: &Path) -> io::Result<()> {
    let mut state = 1_u64;
    for at in 0..FILES {
        let dir = tree.join(format!("dir-{}", at / 40));
        fs::create_dir_all(&dir)?;
        let mut file = BufWriter::new(File::create(dir.join(format!("file-{at}")))?);
        for _ in 0..NOISE / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes())?;
        }
        let line = format!("a line of file {at} that says what all its others say\n");
        let mut left = FILE - NOISE;
        while left > 0 {
            let take = left.min(line.len());
            file.write_all(&line.as_bytes()[..take])?;
            left -= take;
        }
        file.flush()?;
    }
    Ok(())
}

/// podman with a store of its own.
struct Podman {
    program: PathBuf,
    root: PathBuf,
}

impl Podman {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = sh::cmd(&self.program, &["--root"]);
        command.arg(&self.root).arg("--runroot").arg(self.root.join("run")).args(args);
        command
    }
}
