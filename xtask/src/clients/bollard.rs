//! The tests that bollard's crate ships, built beneath target/clients/bollard: programs that ask an engine and know what it answers.
//!
//! The source is the one that cargo has brought for hull's own tests of bollard, of the version that Cargo.lock names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::sh;

/// Those that need no swarm and no plugins.
const PROGRAMS: [&str; 9] = [
    "container_test",
    "distribution",
    "exec_test",
    "image_test",
    "network_test",
    "race_test",
    "system_test",
    "version_test",
    "volume_test",
];

/// The version that hull's own tests use.
pub fn version() -> Result<String> {
    Ok(package()?["version"].as_str().context("a version")?.to_owned())
}

/// Builds what is to lie in `to`: the whole of it or nothing.
pub fn build(to: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(to);
    let part = to.with_extension("part");
    let _ = fs::remove_dir_all(&part);
    let package = package()?;
    let source = Path::new(package["manifest_path"].as_str().context("a path")?).parent().context("a directory")?;
    sh::run(sh::cmd("cp", &["-r"]).arg(source).arg(&part))?;
    // A workspace of its own, with the versions that are here already.
    let manifest = part.join("Cargo.toml");
    fs::write(&manifest, fs::read_to_string(&manifest)? + "\n[workspace]\n")?;
    fs::copy(sh::root().join("Cargo.lock"), part.join("Cargo.lock"))?;
    let programs = compile(&manifest, &part.join("target"))?;
    fs::create_dir_all(part.join("programs"))?;
    for (name, program) in programs {
        fs::copy(program, part.join("programs").join(name))?;
    }
    fs::rename(part.join("programs"), to)?;
    Ok(fs::remove_dir_all(&part)?)
}

/// What cargo knows of it.
fn package() -> Result<Value> {
    let text = sh::read(&mut sh::cmd("cargo", &["metadata", "--format-version", "1", "--locked"]))?;
    let mut metadata: Value = serde_json::from_str(&text)?;
    let mut packages = metadata["packages"].as_array_mut().context("packages")?.drain(..);
    packages.find(|package| package["name"] == "bollard").context("bollard is one of the dependencies")
}

/// Names and paths of the programs.
fn compile(manifest: &Path, target: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut command = sh::cmd("cargo", &["test", "--quiet", "--no-run", "--message-format", "json-render-diagnostics"]);
    command.args(["--features", "chrono"]).arg("--manifest-path").arg(manifest).env("CARGO_TARGET_DIR", target);
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_TEST_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    for name in PROGRAMS {
        command.args(["--test", name]);
    }
    let told = sh::read(&mut command)?;
    let made = told.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let program = message["executable"].as_str()?.into();
        Some((message["target"]["name"].as_str()?.to_owned(), program))
    });
    Ok(made.collect())
}
