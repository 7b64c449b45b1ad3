//! Registries within a [`Host`]'s own network: Debian's docker-registry, and one that misbehaves.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{Host, Out, eventually, run};

/// A registry. Dropping it ends it.
pub struct Registry {
    process: Child,
    log: PathBuf,
}

/// How docker-registry is to be reached.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// `address:port`.
    pub address: String,
    /// More of its configuration, as YAML below `http:`.
    pub http: String,
    /// More of its configuration, as YAML.
    pub more: String,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self { address: "127.0.0.1:5000".to_owned(), http: String::new(), more: String::new() }
    }
}

impl Host {
    /// A program in this host's network.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = self.command("nsenter");
        command.args(["--net", "-t", &self.keeper_pid().to_string(), "--", program]);
        command
    }

    /// Starts docker-registry in this host's network.
    #[track_caller]
    pub fn registry(&self, settings: &RegistrySettings) -> Registry {
        let dir = self.path().join(format!("registry-{}", settings.address.replace([':', '.'], "-")));
        fs::create_dir_all(dir.join("data")).expect("mkdir");
        let RegistrySettings { address, http, more } = settings;
        let config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n{http}\n{more}\n",
            dir.join("data").display()
        );
        fs::write(dir.join("config.yml"), config).expect("write");
        let mut command = self.inside("docker-registry");
        command.arg("serve").arg(dir.join("config.yml"));
        self.serve(command, dir.join("log"), address)
    }

    /// Starts the registry that misbehaves at 127.0.0.1:5000, and another host of it at 127.0.0.2:6000.
    #[track_caller]
    pub fn hostile_registry(&self) -> Registry {
        self.hostile_registry_at(&[])
    }

    /// The same, at further places: `address:port`, for TLS with `=certificate,key` behind it.
    #[track_caller]
    pub fn hostile_registry_at(&self, places: &[String]) -> Registry {
        let script = self.path().join("hostile.py");
        fs::write(&script, include_str!("registry/hostile.py")).expect("write");
        let log = self.path().join("hostile.log");
        let mut command = self.inside("python3");
        command.arg(script).arg(&log).args(places);
        self.serve(command, log, "127.0.0.1:5000")
    }

    /// Starts the registry with customs of its own at 127.0.0.1:5000 and 127.0.0.2:5000, with a proxy that leads to the
    /// former at 127.0.0.3:3128.
    #[track_caller]
    pub fn particular_registry(&self) -> Registry {
        let script = self.path().join("particular.py");
        fs::write(&script, include_str!("registry/particular.py")).expect("write");
        let log = self.path().join("particular.log");
        let mut command = self.inside("python3");
        command.arg(script).arg(&log);
        self.serve(command, log, "127.0.0.1:5000")
    }

    fn serve(&self, mut command: Command, log: PathBuf, address: &str) -> Registry {
        let said = fs::File::options().create(true).append(true).open(&log).expect("a log");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().expect("nsenter");
        let registry = Registry { process, log };
        let (host, port) = address.rsplit_once(':').expect("a port");
        let probe = format!("import socket; socket.create_connection(('{host}', {port})).close()");
        eventually("the registry listens", || run(self.inside("python3").args(["-c", &probe]), b"").code == 0);
        registry
    }

    /// Runs skopeo in this host's network.
    pub fn skopeo(&self, args: &[&str]) -> Out {
        run(self.inside("skopeo").args(args), b"")
    }
}

impl Registry {
    /// The requests that a registry of the kit had.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
