//! An engine for a demonstration or a measurement: own root, own run directory, ended when dropped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{busybox, sh};

/// A running engine with the image `busybox`.
pub struct Engine {
    binary: PathBuf,
    dir: tempfile::TempDir,
    /// Beneath /run, as by default: a tmpfs.
    run: tempfile::TempDir,
}

impl Engine {
    /// Makes the directories and starts the engine.
    pub fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, &[])
    }

    /// The same, with these variables in the engine's environment.
    pub fn start_with(binary: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("hull-").tempdir()?;
        let run = tempfile::Builder::new().prefix("hull-").tempdir_in("/run")?;
        let engine = Self { binary: binary.to_path_buf(), dir, run };
        sh::run(engine.hull(&["engine", "start"]).envs(environment.iter().copied()))?;
        let tar = busybox::tar(engine.dir.path())?;
        sh::run(engine.hull(&["import", &tar.to_string_lossy(), "busybox"]).stdout(Stdio::null()))?;
        Ok(engine)
    }

    /// `hull` with these arguments, led to this engine.
    pub fn hull(&self, args: &[&str]) -> Command {
        let (binary, environment) = self.access();
        let mut command = sh::cmd(binary, args);
        command.envs(environment);
        command
    }

    /// The binary, and the variables that lead it to this engine.
    pub fn access(&self) -> (PathBuf, Vec<(&'static str, OsString)>) {
        let environment = vec![
            ("HULL_ROOT", self.dir.path().join("root").into_os_string()),
            ("HULL_RUN", self.run.path().as_os_str().to_owned()),
            ("HULL_HOST", self.host().into()),
        ];
        (self.binary.clone(), environment)
    }

    /// Runs and returns what was printed.
    pub fn read(&self, args: &[&str]) -> Result<String> {
        sh::read(&mut self.hull(args))
    }

    /// The socket's URL.
    pub fn host(&self) -> String {
        format!("unix://{}", self.run.path().join("engine.sock").display())
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// (engine, keeper).
    pub fn pids(&self) -> Result<(u32, u32)> {
        let text = self.read(&["engine", "status", "--format", "{{.Engine.Pid}} {{.Keeper.Pid}}"])?;
        let (engine, keeper) = text.split_once(' ').unwrap_or((&text, ""));
        Ok((engine.parse()?, keeper.parse()?))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = sh::run(&mut self.hull(&["engine", "stop", "--containers"]));
    }
}
