//! podman beside hull: a storage and a configuration of its own, so that nothing of the system's is touched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::sh;

/// Limits that root without CAP_SYS_RESOURCE may set; events would go to a journal that is not there.
const CONFIGURATION: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
events_logger = "none"
"#;

/// podman with the image `busybox`.
pub struct Podman {
    program: PathBuf,
    dir: PathBuf,
}

impl Podman {
    /// Imports `tar`. `None`, and why: there is no podman, or it does not work here.
    pub fn new(dir: &Path, tar: &Path) -> Option<Self> {
        let Some(program) = sh::which("podman") else {
            eprintln!("podman is not installed: left out");
            return None;
        };
        let podman = Self { program, dir: dir.join("podman") };
        match podman.import(tar) {
            Ok(()) => Some(podman),
            Err(error) => {
                eprintln!("podman is left out: {error:#}");
                None
            }
        }
    }

    fn import(&self, tar: &Path) -> Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        std::fs::write(self.dir.join("containers.conf"), CONFIGURATION)?;
        sh::read(&mut self.command(&["import", &tar.to_string_lossy(), "busybox"])).map(drop)?;
        sh::read(&mut self.command(&["run", "--rm", "--network", "none", "busybox", "true"])).map(drop)
    }

    /// `podman` with these arguments. Debian's crun refuses some hosts, so the runtime is runc.
    pub fn command(&self, args: &[&str]) -> Command {
        let at = |name: &str| self.dir.join(name).to_string_lossy().into_owned();
        let mut command = sh::cmd(&self.program, &["--root", &at("root"), "--runroot", &at("run")]);
        command.args(["--tmpdir", &at("tmp"), "--cgroup-manager", "cgroupfs", "--runtime", "runc"]);
        command.args(["--storage-driver", "overlay"]).args(args).env("CONTAINERS_CONF", at("containers.conf"));
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Its root file systems are mounts beneath the directory that is about to be removed.
        let stopped = self.command(&["rm", "--all", "--force"]).stdout(Stdio::null()).status();
        let unmounted =
            sh::cmd("umount", &["--recursive"]).arg(self.dir.join("root/overlay")).stderr(Stdio::null()).status();
        if let Err(error) = stopped.and(unmounted).context("clean up after podman") {
            eprintln!("{error:#}");
        }
    }
}
