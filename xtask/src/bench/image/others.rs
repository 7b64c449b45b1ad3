//! Debian's registry, docker and podman, each with its data in a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::checked;
use super::make::Image;
use crate::{oracle, sh};

/// Where the registry listens, in this run's own network namespace.
pub const REGISTRY: &str = "127.0.0.1:5000";

/// docker-registry. Dropping it ends it.
pub struct Registry(Child);

impl Registry {
    /// Starts it, with its data beneath `dir`.
    pub fn start(dir: &Path) -> Result<Self> {
        let config = dir.join("registry.yml");
        let data = dir.join("registry");
        fs::create_dir_all(&data)?;
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {REGISTRY}\n",
            data.display()
        );
        fs::write(&config, text)?;
        let mut command = sh::cmd("docker-registry", &["serve"]);
        let process = command.arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let registry = Self(process);
        let url = format!("http://{REGISTRY}/v2/");
        awaited("docker-registry", || checked("curl", &["-sf", &url]).is_ok())?;
        Ok(registry)
    }

    /// Brings an image in; the address of its lowest layer.
    pub fn push(&self, image: &Image) -> Result<String> {
        let (from, to) =
            (format!("docker-archive:{}", image.archive.display()), format!("docker://{}", image.at_registry));
        checked("skopeo", &["copy", "--dest-tls-verify=false", &from, &to])?;
        let inspect = ["inspect", "--raw", "--tls-verify=false", &to];
        let manifest: Value = serde_json::from_str(&sh::read(&mut sh::cmd("skopeo", &inspect))?)?;
        let digest = manifest["layers"][0]["digest"].as_str().context("the image has no layer")?;
        let repository = image.name.split(':').next().unwrap_or_default();
        Ok(format!("http://{REGISTRY}/v2/{repository}/blobs/{digest}"))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Docker's daemon of `oracle fetch`, in this run's network namespace.
pub struct Docker {
    process: Child,
    socket: PathBuf,
    root: PathBuf,
}

impl Docker {
    /// `None` if it was not fetched.
    pub fn start(dir: &Path) -> Result<Option<Self>> {
        let root = oracle::root();
        if !root.join("usr/sbin/dockerd").is_file() {
            eprintln!("no docker to compare with: `cargo xtask oracle fetch` brings one");
            return Ok(None);
        }
        let dir = dir.join("docker");
        fs::create_dir_all(&dir)?;
        let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let path = format!("{0}/usr/bin:{0}/usr/sbin:{1}", root.display(), std::env::var("PATH").unwrap_or_default());
        let host = format!("unix://{}", at("docker.sock"));
        let mut command = sh::cmd("unshare", &["--mount", "--propagation", "private", "dockerd", "-H", &host]);
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("docker.pid")]);
        command.args(["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--storage-driver", "overlay2", "--feature", "containerd-snapshotter=false"]);
        command.env("PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(at("log"))?);
        let docker = Self { process: command.spawn()?, socket: dir.join("docker.sock"), root };
        awaited("dockerd", || sh::read(&mut docker.command(&["version"])).is_ok())?;
        Ok(Some(docker))
    }

    /// The socket's URL.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// `docker` with these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = sh::cmd(self.root.join("usr/bin/docker"), words);
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Asked, it ends its containerd, too.
        let _ = sh::cmd("kill", &[&self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// podman with a store of its own.
pub struct Podman {
    program: PathBuf,
    root: PathBuf,
}

impl Podman {
    /// `None` if it is not installed.
    pub fn new(dir: &Path) -> Option<Self> {
        let Some(program) = sh::which("podman") else {
            eprintln!("podman is not installed: left out");
            return None;
        };
        Some(Self { program, root: dir.join("podman") })
    }

    /// `podman` with these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = sh::cmd(&self.program, &["--root"]);
        command.arg(&self.root).arg("--runroot").arg(self.root.join("run")).args(words);
        command
    }
}

fn awaited(what: &str, mut is_there: impl FnMut() -> bool) -> Result<()> {
    for _ in 0..600 {
        if is_there() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("{what} did not come up within a minute")
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}
