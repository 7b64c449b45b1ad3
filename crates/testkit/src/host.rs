//! [`Host`]: a machine of the test's own – a mount and a network namespace – with an engine in it.
//!
//! Its root, run directory and socket are in a temporary directory; its cgroup parent bears its
//! instance. Dropping it stops the engine and checks that nothing is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{Census, Out, busybox_tar, eventually, hull_binary, run};

/// What differs from an ordinary engine.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Environment of keeper and engine.
    pub env: Vec<(String, String)>,
    /// Leave the image store empty.
    pub no_image: bool,
    /// Start no engine: the first command is to do it.
    pub no_engine: bool,
}

/// A host with one engine.
pub struct Host {
    dir: Option<tempfile::TempDir>,
    path: PathBuf,
    keeper: Option<Child>,
    before: Option<Census>,
    keeper_lost: bool,
}

impl Host {
    /// A host whose engine runs and has the image `busybox`.
    pub fn new() -> Self {
        Self::with(&Settings::default())
    }

    /// A host with settings.
    pub fn with(settings: &Settings) -> Self {
        let dir = tempfile::Builder::new().prefix("hull-test-").tempdir().expect("a temporary directory");
        let path = dir.path().to_path_buf();
        fs::create_dir_all(path.join("run")).expect("mkdir");
        let mut host = Self { dir: Some(dir), path, keeper: None, before: None, keeper_lost: false };
        if settings.no_engine {
            return host;
        }
        host.boot(settings);
        if !settings.no_image {
            host.hull(&["import", &busybox_tar().to_string_lossy(), "busybox"]).ok();
        }
        host.before = Some(Census::take(&host));
        host
    }

    /// Starts keeper and engine in new mount and network namespaces.
    pub fn boot(&mut self, settings: &Settings) {
        let log = fs::File::create(self.path.join("engine.log")).expect("a log file");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "--propagation", "private", "--"])
            .args(["sh", "-c", "ip link set lo up 2>/dev/null; exec \"$@\"", "sh"])
            .arg(hull_binary())
            .args(["keeper", "--root"])
            .arg(self.root())
            .arg("--run")
            .arg(self.run_dir())
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .envs(settings.env.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("dup"))
            .stderr(log);
        self.keeper = Some(command.spawn().expect("unshare is installed"));
        eventually("the engine answers", || {
            self.command("hull").arg("version").output().is_ok_and(|o| o.status.success())
        });
    }

    /// `<dir>`, where this host's files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The engine's root.
    pub fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// The engine's run directory.
    pub fn run_dir(&self) -> PathBuf {
        self.path.join("run")
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("run/engine.sock")
    }

    /// The keeper's pid.
    pub fn keeper_pid(&self) -> u32 {
        self.pids().1
    }

    /// The engine's pid.
    pub fn engine_pid(&self) -> u32 {
        self.pids().0
    }

    fn pids(&self) -> (u32, u32) {
        let text = self.hull(&["engine", "status", "--format", "{{.Engine.Pid}} {{.Keeper.Pid}}"]).ok();
        let mut words = text.split(' ').map(|w| w.parse().expect("a pid"));
        (words.next().expect("engine"), words.next().expect("keeper"))
    }

    /// A program with the environment that leads it to this engine. `hull` is the binary under test.
    pub fn command(&self, program: &str) -> Command {
        let mut command = if program == "hull" { Command::new(hull_binary()) } else { Command::new(program) };
        command
            .env("HULL_ROOT", self.root())
            .env("HULL_RUN", self.run_dir())
            .env("HULL_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.path.join("docker"));
        command
    }

    /// Runs `hull` with nothing on stdin.
    pub fn hull(&self, args: &[&str]) -> Out {
        run(self.command("hull").args(args), b"")
    }

    /// Runs `hull` with `input` on stdin.
    pub fn hull_input(&self, args: &[&str], input: &[u8]) -> Out {
        run(self.command("hull").args(args), input)
    }

    /// Runs the docker CLI against this engine.
    pub fn docker(&self, args: &[&str]) -> Out {
        run(self.command("docker").args(args), b"")
    }

    /// Runs a shell script in a fresh busybox container with these flags; its output.
    #[track_caller]
    pub fn sh(&self, flags: &[&str], script: &str) -> String {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["busybox", "sh", "-c", script]);
        self.hull(&args).ok()
    }

    /// Starts a detached container that sleeps, with these flags; its id.
    #[track_caller]
    pub fn sleeper(&self, flags: &[&str]) -> String {
        let mut args = vec!["run", "-d"];
        args.extend(flags);
        args.extend(["busybox", "sleep", "1000"]);
        self.hull(&args).ok()
    }

    /// `inspect` of one object.
    #[track_caller]
    pub fn inspect(&self, who: &str) -> Value {
        let text = self.hull(&["inspect", who]).ok();
        let mut list: Vec<Value> = serde_json::from_str(&text).expect("inspect prints a JSON array");
        list.remove(0)
    }

    /// The host's pid of a running container's PID 1.
    #[track_caller]
    pub fn pid(&self, who: &str) -> u32 {
        let pid = self.inspect(who)["State"]["Pid"].as_u64().expect("a pid");
        assert!(pid > 0, "{who} is not running");
        u32::try_from(pid).expect("a pid")
    }

    /// The keeper's and engine's own words so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path.join("engine.log")).unwrap_or_default()
    }

    /// Removes all containers, then compares the machine with what it was when the engine had started.
    #[track_caller]
    pub fn assert_clean(&self) {
        let ids = self.hull(&["ps", "-aq", "--no-trunc"]).ok();
        if !ids.is_empty() {
            let mut args = vec!["rm", "-fv"];
            args.extend(ids.lines());
            self.hull(&args).ok();
        }
        let before = self.before.clone().expect("the engine was started by the host");
        if self.keeper_lost {
            before.without_keeper().assert_equal_soon(|| Census::take(self).without_keeper());
        } else {
            before.assert_equal_soon(|| Census::take(self));
        }
    }

    /// Says that the test killed the keeper: the new one's descriptors and children are not compared.
    pub fn keeper_was_killed(&mut self) {
        self.keeper_lost = true;
    }

    /// Ends the engine and the keeper, containers with them.
    pub fn shut_down(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        let _ = self.command("hull").args(["engine", "stop", "--containers"]).output();
        let mut ended = false;
        for _ in 0..2000 {
            if keeper.try_wait().is_ok_and(|s| s.is_some()) {
                ended = true;
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if !ended {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        if !std::thread::panicking() {
            assert!(ended, "the keeper did not end; its log:\n{}", self.log());
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- engine log\n{}", self.log());
        } else if self.before.is_some() && self.keeper.is_some() {
            self.assert_clean();
        }
        self.shut_down();
        let left = Census::cgroups_named(&self.path);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "cgroups left behind: {left:?}");
        }
        drop(self.dir.take());
    }
}
