//! The floor, bwrap, crun, runc, podman and docker: each as a command that runs `true` once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::stats::Case;
use crate::{oracle, sh};

/// Set for the run in namespaces of its own.
const OWN: &str = "HULL_BENCH_OWN_NAMESPACES";

/// Whether this is that run.
pub fn in_own_namespaces() -> bool {
    std::env::var_os(OWN).is_some()
}

/// Runs this program again in mount and network namespaces of its own: podman leaves files in /run, and crun
/// refuses a host with both cgroup versions mounted, so there the empty v2 tree is not.
pub fn again_in_own_namespaces(args: &[String]) -> Result<()> {
    let own = std::env::current_exe()?;
    let script =
        "ip link set lo up; umount /sys/fs/cgroup/unified 2>/dev/null; mount -t tmpfs tmpfs /run && exec \"$@\"";
    let mut command = sh::cmd("unshare", &["--mount", "--net", "--propagation", "private", "sh", "-c", script, "sh"]);
    sh::run(command.arg(own).arg("bench").args(args).env(OWN, "1"))
}

/// Runs a command silently; its failure is an error.
pub fn quiet(mut command: Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

/// Compiles one static C program.
pub fn compile(source: &str, to: &Path) -> Result<()> {
    sh::run(&mut sh::cmd("cc", &["-O2", "-static", "-o", &to.to_string_lossy(), source]))
}

/// A rootfs directory, a compiled floor and an OCI bundle.
pub struct Peers {
    /// busybox's tree.
    pub rootfs: PathBuf,
    bundle: PathBuf,
    floor: PathBuf,
}

impl Peers {
    /// Unpacks `tar` beneath `dir` and prepares everything.
    pub fn new(dir: &Path, tar: &Path) -> Result<Self> {
        let bundle = dir.join("bundle");
        let rootfs = bundle.join("rootfs");
        fs::create_dir_all(&rootfs)?;
        sh::run(&mut sh::cmd("tar", &["-C", &rootfs.to_string_lossy(), "-xf", &tar.to_string_lossy()]))?;
        let floor = dir.join("floor");
        compile("xtask/bench/floor.c", &floor)?;
        if let Some(runtime) = sh::which("runc").or_else(|| sh::which("crun")) {
            sh::run(sh::cmd(runtime, &["spec"]).current_dir(&bundle))?;
            let path = bundle.join("config.json");
            let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!(["true"]);
            if let Some(process) = config["process"].as_object_mut() {
                process.remove("rlimits");
            }
            fs::write(&path, serde_json::to_vec(&config)?)?;
        }
        Ok(Self { rootfs, bundle, floor })
    }

    /// The floor first, then every peer that is installed.
    pub fn cases(&self) -> Vec<Case<'_>> {
        let mut cases = vec![Case { name: "floor".into(), run: Box::new(|| quiet(self.floor_command())) }];
        if let Some(bwrap) = present("bwrap") {
            cases.push(Case { name: "bwrap --unshare-all".into(), run: Box::new(move || quiet(self.bwrap(&bwrap))) });
        }
        for name in ["crun", "runc"] {
            if let Some(runtime) = present(name) {
                let mut count = 0;
                cases.push(Case {
                    name: format!("{name} run"),
                    run: Box::new(move || {
                        count += 1;
                        let mut command = sh::cmd(&runtime, &["run", &format!("bench-{count}")]);
                        command.current_dir(&self.bundle);
                        quiet(command)
                    }),
                });
            }
        }
        cases
    }

    /// The directory with config.json.
    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// The floor's run of `true`.
    pub fn floor_command(&self) -> Command {
        let mut command = sh::cmd(&self.floor, &[]);
        command.arg(&self.rootfs).arg("/bin/true");
        command
    }

    fn bwrap(&self, bwrap: &Path) -> Command {
        let mut command = sh::cmd(bwrap, &["--unshare-all", "--bind"]);
        command.arg(&self.rootfs).args(["/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]);
        command
    }
}

/// The docker engine to compare with: `DOCKER_BENCH_HOST`, else a running `cargo xtask oracle`.
pub fn docker() -> Option<String> {
    let Some(host) = std::env::var("DOCKER_BENCH_HOST").ok().or_else(oracle::host) else {
        eprintln!("no docker to compare with: `cargo xtask oracle start` brings one");
        return None;
    };
    let check = sh::read(&mut sh::cmd("docker", &["-H", &host, "image", "inspect", "busybox"]));
    if let Err(error) = check {
        eprintln!("docker is left out: {error:#}");
        return None;
    }
    Some(host)
}

fn present(name: &str) -> Option<PathBuf> {
    let found = sh::which(name);
    if found.is_none() {
        eprintln!("{name} is not installed: left out");
    }
    found
}
