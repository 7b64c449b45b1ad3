//! [`Room`]: mount, network and process namespaces of a test's own, for an engine that is not hull's.
//!
//! Whatever the engine starts ends with the room: its first process is PID 1 of its process namespace. `/run` and `/dev/shm`
//! are its own, its network has a loopback alone, and its cgroups have one parent that bears the room's name.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{children, hull_binary, run, within};

/// Reaps what is orphaned: dash waits for every child while it waits for one.
const SETUP: &str = "ip link set lo up
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o size=64m tmpfs /dev/shm
mkdir /run/lock
sleep infinity &
: >\"$1\"
wait";

/// Other engines are slower than hull, and many of them run at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// A room. Dropping it ends everything in it; what was left behind until then is a failure.
pub struct Room {
    dir: tempfile::TempDir,
    unshare: Child,
    init: u32,
    daemons: RefCell<Vec<Child>>,
    calm: Option<Calm>,
}

/// What a room looks like when no container is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Calm {
    processes: Vec<String>,
    mounts: Vec<String>,
    links: Vec<String>,
    cgroups: BTreeSet<PathBuf>,
}

impl Room {
    /// An empty room.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("hull-room-").tempdir().expect("a temporary directory");
        let ready = dir.path().join("ready");
        let unshare = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"])
            .args(["--", "sh", "-c", SETUP, "sh"])
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("unshare is installed");
        let mut room = Self { dir, unshare, init: 0, daemons: RefCell::default(), calm: None };
        room.eventually("the room is ready", || ready.is_file());
        room.init = children(room.unshare.id())[0];
        fs::create_dir(room.path().join("bin")).expect("mkdir");
        symlink(hull_binary(), room.hull_oci()).expect("symlink");
        room
    }

    /// A directory of the room's own.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// hull under the name that makes it an OCI runtime.
    pub fn hull_oci(&self) -> PathBuf {
        self.path().join("bin/hull-oci")
    }

    /// The parent of the room's cgroups.
    pub fn cgroup(&self) -> String {
        let name = self.path().file_name().unwrap_or_default();
        format!("/{}", name.to_string_lossy())
    }

    /// A program inside, `words` split at spaces.
    pub fn command(&self, program: impl AsRef<OsStr>, words: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--mount", "--net", "--pid", "--"]).arg(program);
        command.args(words.split_whitespace()).current_dir("/").env("TMPDIR", self.path());
        command
    }

    /// Starts a program that stays, its words in `<name>.log`.
    pub fn daemon(&self, name: &str, command: &mut Command) {
        let log = fs::File::create(self.log_of(name)).expect("a log file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("dup")).stderr(log);
        self.daemons.borrow_mut().push(command.spawn().expect("nsenter is installed"));
    }

    /// What a daemon has said.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_of(name)).unwrap_or_default()
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.log"))
    }

    /// Waits until `check` holds; panics after a minute.
    #[track_caller]
    pub fn eventually(&self, what: &str, check: impl FnMut() -> bool) {
        within(PATIENCE, what, check);
    }

    /// Whether no process is in it.
    pub fn is_empty(&self) -> bool {
        self.processes() == ["sh", "sleep"]
    }

    /// Says that the engine is up and no container is there: so the room must look when it ends.
    pub fn is_calm(&mut self) {
        self.calm = Some(self.look());
    }

    /// Waits until the room looks as it did when it was calm.
    #[track_caller]
    pub fn assert_calm(&self) {
        let Some(calm) = &self.calm else { return };
        let mut last = None;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let now = self.look();
            if now == *calm {
                return;
            }
            last = Some(now);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(Some(calm), last.as_ref(), "something was left behind in the room");
    }

    fn look(&self) -> Calm {
        let lines = |text: String, field: usize| -> Vec<String> {
            let mut all: Vec<String> = text.lines().filter_map(|l| l.split(' ').nth(field).map(String::from)).collect();
            all.sort();
            all
        };
        let links = run(&mut self.command("ip", "-o link"), b"").stdout;
        // podman keeps a cgroup for its monitors, and now and then a mount of its storage on itself.
        let name = self.cgroup().trim_start_matches('/').to_string();
        let storage = self.path().join("root/overlay");
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", self.init)).unwrap_or_default();
        let cgroups = self.cgroups().into_iter().filter(|dir| !dir.ends_with(&name) && !dir.ends_with("conmon"));
        Calm {
            processes: self.processes(),
            mounts: lines(mounts, 4).into_iter().filter(|m| Path::new(m) != storage).collect(),
            links: lines(links, 1),
            cgroups: cgroups.collect(),
        }
    }

    /// The names of the processes in the room.
    fn processes(&self) -> Vec<String> {
        let comm = |pid: u32| Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_string());
        let mut names: Vec<String> = self.pids().into_iter().filter_map(comm).collect();
        names.sort();
        names
    }

    /// Every process that began in the room, by the host's number: those of containers too.
    pub fn pids(&self) -> Vec<u32> {
        let mut found = vec![];
        let mut open = vec![self.init];
        while let Some(pid) = open.pop() {
            found.push(pid);
            open.extend(children(pid));
        }
        found
    }

    /// Every cgroup whose path has the room's name in it.
    pub fn cgroups(&self) -> BTreeSet<PathBuf> {
        let name = self.cgroup();
        let name = name.trim_start_matches('/');
        let mut found = BTreeSet::new();
        let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|t| t.is_dir()) || entry.file_name() == "process_api" {
                    continue;
                }
                if entry.path().to_string_lossy().contains(name) {
                    found.insert(entry.path());
                }
                open.push(entry.path());
            }
        }
        found
    }

    /// Ends all that is inside and removes the cgroups.
    fn close(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        for daemon in self.daemons.get_mut() {
            let _ = daemon.wait();
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Deepest first.
            let left = self.cgroups().iter().rev().filter(|dir| fs::remove_dir(dir).is_err()).count();
            if left == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let verdict = if std::thread::panicking() {
            Ok(())
        } else {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.assert_calm()))
        };
        self.close();
        if let Err(panic) = verdict {
            std::panic::resume_unwind(panic);
        }
    }
}
