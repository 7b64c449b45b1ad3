//! [`Host`]: a machine of the test's own – a mount and a network namespace – with an engine in it.
//!
//! Its root, run directory and socket are in a temporary directory; its cgroup parent bears its
//! instance. Dropping it stops the engine and checks that nothing is left.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Census, Out, busybox_tar, eventually, hull_binary, patience, run, status_field};

/// What differs from an ordinary engine.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Environment of keeper and engine.
    pub env: Vec<(String, String)>,
    /// Leave the image store empty.
    pub no_image: bool,
    /// Start no engine: the first command is to do it.
    pub no_engine: bool,
    /// Shell commands in the host's own namespaces, before the keeper starts.
    pub setup: String,
    /// The root lies on a tmpfs of this size, in the host's own mount namespace.
    pub root_size: Option<String>,
    /// A program with arguments that the keeper is started by, such as a tracer.
    pub wrapper: Vec<String>,
}

/// A host with one engine.
pub struct Host {
    dir: Option<tempfile::TempDir>,
    path: PathBuf,
    keeper: Option<Child>,
    before: Option<Census>,
    keeper_lost: bool,
    /// Nobody but this host cleans up after it.
    power_cut: bool,
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
        let mut host = Self { dir: Some(dir), path, keeper: None, before: None, keeper_lost: false, power_cut: false };
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
    #[track_caller]
    pub fn boot(&mut self, settings: &Settings) {
        if let Err(log) = self.try_boot(settings) {
            panic!("the keeper ended or no engine answers; its log:\n{log}");
        }
        self.power_cut = false;
        if self.before.is_some() {
            // Another mount namespace has other numbers.
            let mounts = Census::take(self).mounts;
            self.before.iter_mut().for_each(|before| before.mounts.clone_from(&mounts));
        }
    }

    /// As [`Host::boot`]; if the keeper ends before an engine answers, or none answers in time, what they said.
    pub fn try_boot(&mut self, settings: &Settings) -> Result<(), String> {
        let log = fs::File::create(self.path.join("engine.log")).expect("a log file");
        let root = settings.root_size.as_ref().map_or_else(String::new, |size| {
            let root = self.root();
            format!("mkdir -p {0}; mount -t tmpfs -o size={size} root {0}", root.display())
        });
        let script = format!("ip link set lo up 2>/dev/null; {root}\n{}\nexec \"$@\"", settings.setup);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "--propagation", "private", "--", "sh", "-c", &script, "sh"])
            .args(&settings.wrapper)
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
        let mut keeper = command.spawn().expect("unshare is installed");
        let deadline = Instant::now() + patience();
        let up = loop {
            if self.answers() {
                break true;
            }
            if keeper.try_wait().is_ok_and(|status| status.is_some()) {
                break false;
            }
            if Instant::now() > deadline {
                break false;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.keeper = Some(keeper);
        if up { Ok(()) } else { Err(self.log()) }
    }

    /// Whether an engine answers within a second.
    pub fn answers(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::os::unix::net::UnixStream::connect(self.socket()) else { return false };
        let mut status = [0; 12];
        let asked = stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
            && stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").is_ok();
        asked && stream.read_exact(&mut status).is_ok() && status == *b"HTTP/1.1 200"
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

    /// The most memory that the engine ever had, in MiB, without what is mapped of its program: a build for tests is many times as big.
    pub fn engine_peak(&self) -> u64 {
        let engine = self.engine_pid();
        let kib = |field: &str| {
            let text = status_field(engine, field);
            text.trim_end_matches(" kB").parse::<u64>().unwrap_or_else(|_| panic!("{field}: {text:?}"))
        };
        // The program lies in a memfd.
        (kib("VmHWM") - kib("RssFile") - kib("RssShmem")).div_ceil(1024)
    }

    fn pids(&self) -> (u32, u32) {
        let mut text = String::new();
        // An engine that gives way to the next one answers nobody.
        eventually("the engine says who it is", || {
            let out = self.hull(&["engine", "status", "--format", "{{.Engine.Pid}} {{.Keeper.Pid}}"]);
            text.clone_from(&out.stdout);
            out.code == 0
        });
        let mut words = text.trim_end().split(' ').map(|w| w.parse().expect("a pid"));
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

    /// Waits until the container has printed `ready`.
    #[track_caller]
    pub fn ready(&self, who: &str) {
        eventually("the container says that it is ready", || self.hull(&["logs", who]).stdout.contains("ready"));
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

    /// Keeper, engine and every container end in one moment, and nobody cleans up: as when the power is cut.
    pub fn cut_power(&mut self) {
        let path = self.path.to_string_lossy().into_owned();
        let mut pids: Vec<u32> = processes().filter(|(_, words)| words.contains(&path)).map(|(pid, _)| pid).collect();
        for file in ["cgroup.procs", "tasks"] {
            let texts = Census::cgroups_named(&self.path).into_iter().map(|g| fs::read_to_string(g.join(file)));
            pids.extend(texts.flatten().flat_map(|t| t.lines().filter_map(|l| l.parse().ok()).collect::<Vec<u32>>()));
        }
        // Stopped first, so that none sees another one end.
        for signal in ["-STOP", "-KILL"] {
            let _ =
                Command::new("kill").arg(signal).args(pids.iter().map(u32::to_string)).stderr(Stdio::null()).status();
        }
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.wait();
        }
        self.power_cut = true;
    }

    /// Ends the engine and the keeper, containers with them.
    pub fn shut_down(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        let _ = self.command("hull").args(["engine", "stop", "--containers"]).output();
        let deadline = Instant::now() + patience();
        let ended = loop {
            if keeper.try_wait().is_ok_and(|s| s.is_some()) {
                break true;
            }
            if Instant::now() > deadline {
                break false;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if !ended {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        if !std::thread::panicking() {
            assert!(ended, "the keeper did not end; its log:\n{}", self.log());
        }
    }
}

/// Every process with its command line.
fn processes() -> impl Iterator<Item = (u32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| {
        let pid: u32 = e.file_name().to_str()?.parse().ok()?;
        let words = fs::read(e.path().join("cmdline")).ok()?;
        (pid != std::process::id()).then(|| (pid, String::from_utf8_lossy(&words).into_owned()))
    })
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut verdict = Ok(());
        if std::thread::panicking() {
            eprintln!("--- engine log\n{}", self.log());
        } else if self.before.is_some() && self.keeper.is_some() {
            verdict = catch_unwind(AssertUnwindSafe(|| self.assert_clean()));
        }
        // Whatever the verdict is, nothing goes on running.
        verdict = verdict.and(catch_unwind(AssertUnwindSafe(|| self.shut_down())));
        let mut left = Census::all_cgroups_named(&self.path);
        if self.power_cut || verdict.is_err() || std::thread::panicking() || !left.is_empty() {
            if self.power_cut {
                left.clear();
            }
            self.cut_power();
            Census::remove_cgroups_named(&self.path);
        }
        drop(self.dir.take());
        if std::thread::panicking() {
            return;
        }
        if let Err(panic) = verdict {
            resume_unwind(panic);
        }
        assert!(left.is_empty(), "cgroups left behind: {left:?}");
    }
}
