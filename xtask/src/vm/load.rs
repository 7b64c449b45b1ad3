//! The disk that changes: the binary under test and the test executables of the crates that meet the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::{dir, guest};
use crate::sh;

/// Packages whose tests run in the guest too.
const PACKAGES: [&str; 8] =
    ["hull-sys", "hull-mount", "hull-cgroup", "hull-launch", "hull-snapshot", "hull-network", "hull-logs", "hull"];

/// Builds and packs; `script` is what the guest runs.
pub fn make(script: &str) -> Result<PathBuf> {
    let work = tempfile::tempdir_in(dir())?;
    let tree = work.path().join("load");
    fs::create_dir_all(tree.join("tests"))?;
    sh::run(&mut sh::cmd("cargo", &["build", "--package", "hull"]))?;
    stripped(&sh::built("debug")?, &tree.join("hull"))?;
    for (name, path) in executables()? {
        stripped(&path, &tree.join("tests").join(name))?;
    }
    if let Some(docker) = sh::which("docker") {
        fs::copy(docker, tree.join("docker"))?;
    }
    fs::write(tree.join("setup"), guest::setup())?;
    fs::write(tree.join("init"), script)?;
    let disk = dir().join("load.ext4");
    let _ = fs::remove_file(&disk);
    sh::run(&mut sh::cmd("mkfs.ext4", &["-q", "-d", &tree.to_string_lossy(), &disk.to_string_lossy(), "1G"]))?;
    Ok(disk)
}

/// (name, path) of each test executable.
fn executables() -> Result<Vec<(String, PathBuf)>> {
    let mut command = sh::cmd("cargo", &["test", "--no-run", "--message-format=json"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    let text = sh::read(&mut command)?;
    let messages = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let tests = messages.filter(|m| m["reason"] == "compiler-artifact" && m["profile"]["test"] == true);
    Ok(tests
        .filter_map(|m| {
            let path = PathBuf::from(m["executable"].as_str()?);
            let name = format!(
                "{}-{}",
                m["package_id"].as_str()?.rsplit('/').next()?.split('#').next()?,
                m["target"]["name"].as_str()?
            );
            Some((name, path))
        })
        .collect())
}

fn stripped(from: &Path, to: &Path) -> Result<()> {
    sh::run(&mut sh::cmd("strip", &["-o", &to.to_string_lossy(), &from.to_string_lossy()]))
}
