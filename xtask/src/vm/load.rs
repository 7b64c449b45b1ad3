//! The disk that changes: the binary under test, the test executables, and the guest's scripts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::guest::{Flavour, SCRIPTS};
use super::{LIMIT_OF_ONE, LIMIT_OF_SUITE, Wish, base};
use crate::{release, sh};

/// Packages whose tests meet the kernel, in the order in which they run.
pub const PACKAGES: [&str; 10] = [
    "hull-sys",
    "hull-cgroup",
    "hull-mount",
    "hull-network",
    "hull-launch",
    "hull-snapshot",
    "hull-volume",
    "hull-logs",
    "hull-engine",
    "hull",
];

/// Builds and packs what is wished for; returns the disk.
pub fn make(dir: &Path, flavour: Flavour, wish: &Wish) -> Result<PathBuf> {
    let built = build(&wish.packages)?;
    let work = tempfile::tempdir_in(dir)?;
    let tree = work.path().join("load");
    fs::create_dir_all(tree.join("tests"))?;
    for (name, path) in &built.tests {
        stripped(path, &tree.join("tests").join(name))?;
    }
    let mut links = String::new();
    let shipped = if wish.release { Some(release::binary()?) } else { None };
    for (name, path) in &built.programs {
        let from = shipped.as_deref().filter(|_| name == "hull").unwrap_or(path);
        // The guest copies hull for each keeper: its size is time.
        sh::read(sh::cmd("strip", &["-o"]).arg(tree.join(name)).arg(from))?;
        links.push_str(&format!("{name} {}\n", path.display()));
    }
    fs::write(tree.join("links"), links)?;
    if let (true, Some(docker)) = (built.programs.contains_key("hull"), sh::which("docker")) {
        fs::copy(docker, tree.join("docker"))?;
    }
    for (name, text) in SCRIPTS {
        fs::write(tree.join(name), text)?;
    }
    fs::write(tree.join("init"), flavour.init())?;
    fs::write(tree.join("filters"), wish.filters.iter().map(|f| format!("{f}\n")).collect::<String>())?;
    let limits = format!("LIMIT={}\nLIMIT_OF_SUITE={}\n", LIMIT_OF_ONE.as_secs(), LIMIT_OF_SUITE.as_secs());
    fs::write(tree.join("limits.sh"), limits)?;
    let image = dir.join("load");
    let _ = fs::remove_file(&image);
    base::disk(&tree, &image, &format!("{}M", megabytes(&tree)? + 256))?;
    Ok(image)
}

/// What cargo has made.
#[derive(Default)]
struct Built {
    /// `hull`, and programs that only tests start. Tests know them by the path at which they were built.
    programs: BTreeMap<String, PathBuf>,
    /// By name: `<place>-<package>` for a crate's own tests, `<place>-<package>.<file>` for others.
    tests: BTreeMap<String, PathBuf>,
}

/// One cargo command for all; its errors go to the terminal. A package's integration tests make cargo
/// build its programs as well.
fn build(packages: &[String]) -> Result<Built> {
    let mut command = sh::cmd("cargo", &["test", "--no-run", "--message-format=json-render-diagnostics"]);
    for package in packages {
        command.args(["--package", package]);
    }
    eprintln!("+ cargo test --no-run --package {}", packages.join(" --package "));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let mut built = Built::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Ok(message) = serde_json::from_str::<Value>(line) {
            built.take(packages, &message);
        }
    }
    if built.tests.is_empty() {
        bail!("{} have no tests", packages.join(", "));
    }
    Ok(built)
}

impl Built {
    fn take(&mut self, packages: &[String], message: &Value) -> Option<()> {
        if message["reason"] != "compiler-artifact" {
            return None;
        }
        let path = PathBuf::from(message["executable"].as_str()?);
        let target = message["target"]["name"].as_str()?;
        let directory = message["package_id"].as_str()?.rsplit('/').next()?.split('#').next()?;
        if message["profile"]["test"] == true {
            let place = packages.iter().position(|p| p.trim_start_matches("hull-") == directory).unwrap_or(99);
            let kind = message["target"]["kind"][0].as_str()?;
            let file = if kind == "test" { format!(".{target}") } else { String::new() };
            self.tests.insert(format!("{place:02}-{directory}{file}"), path);
        } else if packages.iter().any(|p| p.trim_start_matches("hull-") == directory) {
            self.programs.insert(target.to_owned(), path);
        }
        Some(())
    }
}

/// Keeps the symbols, for backtraces; leaves the larger rest out.
fn stripped(from: &Path, to: &Path) -> Result<()> {
    sh::read(sh::cmd("strip", &["--strip-debug", "-o"]).arg(to).arg(from)).map(drop)
}

fn megabytes(tree: &Path) -> Result<u64> {
    let text = sh::read(sh::cmd("du", &["-sm"]).arg(tree))?;
    text.split_whitespace().next().and_then(|n| n.parse().ok()).context("du prints no size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_named_by_package_and_file_in_the_order_of_packages() {
        let packages = ["hull-sys".to_owned(), "hull-cgroup".to_owned(), "hull".to_owned()];
        let mut built = Built::default();
        for (id, target, kind, test) in [
            ("path+file:///x/crates/cgroup#hull-cgroup@0.1.0", "hull_cgroup", "lib", true),
            ("path+file:///x/crates/cgroup#hull-cgroup@0.1.0", "host", "test", true),
            ("path+file:///x/crates/hull#0.1.0", "hull", "bin", true),
            ("path+file:///x/crates/hull#0.1.0", "hull", "bin", false),
            ("registry+https://github.com/x#crc@1.0.0", "build-script-build", "custom-build", false),
        ] {
            let message = serde_json::json!({
                "reason": "compiler-artifact", "package_id": id, "executable": "/x/e",
                "target": {"name": target, "kind": [kind]}, "profile": {"test": test},
            });
            built.take(&packages, &message);
        }
        assert_eq!(built.tests.keys().collect::<Vec<_>>(), ["01-cgroup", "01-cgroup.host", "02-hull"]);
        assert_eq!(built.programs.keys().collect::<Vec<_>>(), ["hull"]);
    }
}
