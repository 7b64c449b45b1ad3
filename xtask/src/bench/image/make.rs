//! The images that are measured: the same files, as one layer or as several.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::others::REGISTRY;
use crate::bench::peers::quiet;
use crate::sh;

const FILES: usize = 1200;
const FILE: usize = 147_500;
/// So many of each file's bytes cannot be compressed.
const NOISE: usize = 53_000;

/// An archive for `load`, and its layers.
pub struct Image {
    /// `bench-N:1`.
    pub name: String,
    /// The same at the registry.
    pub at_registry: String,
    /// What docker's `save` would write.
    pub archive: PathBuf,
    /// The gzipped layers.
    pub layers: Vec<PathBuf>,
}

impl Image {
    /// The files in `count` layers.
    pub fn make(dir: &Path, count: usize) -> Result<Self> {
        let dir = dir.join(format!("image-{count}"));
        let (parts, name) = (dir.join("parts"), format!("bench-{count}:1"));
        fs::create_dir_all(&parts)?;
        let (mut layers, mut diff_ids, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..count {
            let (tree, plain) = (dir.join("tree"), dir.join("layer.tar"));
            fill(&tree, at * FILES / count..(at + 1) * FILES / count)?;
            tar(&tree, &plain)?;
            fs::remove_dir_all(&tree)?;
            let sum = sh::read(&mut sh::cmd("sha256sum", &[&plain.to_string_lossy()]))?;
            let sum = sum.split_whitespace().next().context("sha256sum says nothing")?;
            diff_ids.push(format!("\"sha256:{sum}\""));
            let layer = parts.join(format!("layer-{at}.tar.gz"));
            let status = Command::new("gzip").arg("-c").arg(&plain).stdout(File::create(&layer)?).status()?;
            if !status.success() {
                bail!("gzip failed: {status}");
            }
            names.push(format!("\"layer-{at}.tar.gz\""));
            layers.push(layer);
            fs::remove_file(&plain)?;
        }
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        fs::write(parts.join("config.json"), config)?;
        let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":[{}]}}]"#, names.join(","));
        fs::write(parts.join("manifest.json"), manifest)?;
        let archive = dir.join("image.tar");
        tar(&parts, &archive)?;
        Ok(Self { at_registry: format!("{REGISTRY}/{name}"), name, archive, layers })
    }
}

fn tar(tree: &Path, to: &Path) -> Result<()> {
    let mut command = sh::cmd("tar", &["--owner=0", "--group=0", "-C"]);
    command.arg(tree).arg("-cf").arg(to).arg(".");
    quiet(command)
}

/// Files of which a part is noise and the rest text.
fn fill(tree: &Path, files: std::ops::Range<usize>) -> io::Result<()> {
    for at in files {
        let mut state = at as u64 + 1;
        let dir = tree.join(format!("dir-{}", at / 40));
        fs::create_dir_all(&dir)?;
        let mut file = BufWriter::new(File::create(dir.join(format!("file-{at}")))?);
        for _ in 0..NOISE / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes())?;
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
