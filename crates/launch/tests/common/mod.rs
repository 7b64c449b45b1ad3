//! A keeper of its own for each test, with the test as its engine, and a busybox root file system.
#![allow(dead_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child as Process, Command};

use hull_launch::keeper::{ExitRecord, Failure, Link, Reply, Request, TERMINAL};
use hull_launch::plan::*;
use hull_mount::MountFd;
use rustix::fs::{Mode, OFlags};

/// A running keeper.
pub struct Keeper {
    pub process: Process,
    pub run: tempfile::TempDir,
    pub link: Link,
    pub engine: UnixStream,
    pub engine_pid: i32,
    pub listener: OwnedFd,
    pub server: UnixListener,
    seq: u64,
    exits: Vec<ExitRecord>,
    /// Killed at the end, so that no test leaves a process behind.
    started: Vec<OwnedFd>,
}

/// What a launch answered.
pub struct Launched {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub terminal: Option<OwnedFd>,
    pub warnings: Vec<Failure>,
}

pub const ROLE: &str = env!("CARGO_BIN_EXE_launch-role");

fn meet(server: &UnixListener) -> (Link, OwnedFd, UnixStream, i32) {
    let (engine, _) = server.accept().unwrap();
    let mut pid = [0; 4];
    let received = hull_sys::fdpass::recv(&engine, &mut pid).unwrap();
    let mut fds = received.fds.into_iter();
    let link = Link::new(fds.next().unwrap());
    (link, fds.next().unwrap(), engine, i32::from_le_bytes(pid))
}

impl Keeper {
    pub fn start() -> Self {
        Self::start_as("keeper")
    }

    /// In another role: `keeper-enosys` is a keeper whose kernel lacks the newer calls.
    pub fn start_as(role: &str) -> Self {
        // As in life, the run directory is a tmpfs.
        let run = tempfile::tempdir_in("/dev/shm").unwrap();
        let server = UnixListener::bind(run.path().join("test.sock")).unwrap();
        let process = Command::new(ROLE).arg(role).arg(run.path()).spawn().unwrap();
        let (link, listener, engine, engine_pid) = meet(&server);
        Self {
            process,
            run,
            link,
            engine,
            engine_pid,
            listener,
            server,
            seq: 0,
            exits: Vec::new(),
            started: Vec::new(),
        }
    }

    /// Ends the engine with this code and meets the next one.
    pub fn next_engine(&mut self, code: u8) {
        self.engine.write_all(&[code]).unwrap();
        self.meet_again();
    }

    pub fn meet_again(&mut self) {
        (self.link, self.listener, self.engine, self.engine_pid) = meet(&self.server);
    }

    pub fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub fn launch(&mut self, launch: Launch) -> Result<Launched, Failure> {
        let seq = self.send(launch);
        self.launched(seq)
    }

    pub fn send(&mut self, launch: Launch) -> u64 {
        let seq = self.next_seq();
        let request = Request::Launch { seq, plan: Box::new(launch.plan), hold: launch.hold };
        let fds: Vec<_> = launch.fds.iter().map(|fd| fd.as_fd()).collect();
        self.link.send(&request, &fds).unwrap();
        seq
    }

    pub fn launched(&mut self, wanted: u64) -> Result<Launched, Failure> {
        let mut warnings = Vec::new();
        loop {
            let (reply, fds) = self.link.recv().unwrap();
            match reply {
                Reply::Launched { seq, pid, terminal, .. } if seq == wanted => {
                    let mut fds = fds.into_iter();
                    let pidfd = fds.next().unwrap();
                    self.started.push(pidfd.try_clone().unwrap());
                    let terminal = terminal.then(|| fds.next().unwrap());
                    return Ok(Launched { pid, pidfd, terminal, warnings });
                }
                Reply::Failed { seq, failure, .. } if seq == wanted => return Err(failure),
                Reply::Warned { failure, .. } => warnings.push(failure),
                Reply::Exited(record) => self.exits.push(record),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// The exit of a key.
    pub fn exited(&mut self, key: &str) -> ExitRecord {
        loop {
            if let Some(index) = self.exits.iter().position(|record| record.key == key) {
                return self.exits.remove(index);
            }
            match self.link.recv().unwrap().0 {
                Reply::Exited(record) => self.exits.push(record),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Exit code of a key, with the record checked.
    pub fn code(&mut self, key: &str) -> i32 {
        let record = self.exited(key);
        let file = std::fs::read(self.run.path().join("exits").join(key)).unwrap();
        assert_eq!(serde_json::from_slice::<ExitRecord>(&file).unwrap(), record);
        hull_sys::process::exit_code(record.status)
    }

    /// Runs to the end; stdout and the exit code.
    pub fn output(&mut self, mut launch: Launch) -> (String, i32) {
        let mut reader = launch.capture();
        let key = launch.plan.key.clone();
        if let Err(failure) = self.launch(launch) {
            panic!("{failure:?}");
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (text, self.code(&key))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        for pidfd in &self.started {
            _ = hull_sys::pidfd::send_signal(pidfd, 9);
        }
        _ = self.link.send(&Request::Shutdown, &[]);
        _ = self.engine.shutdown(std::net::Shutdown::Both);
        _ = self.process.wait();
    }
}

/// A plan with its descriptors.
pub struct Launch {
    pub plan: LaunchPlan,
    pub fds: Vec<OwnedFd>,
    pub hold: Vec<(String, Slot)>,
}

impl Launch {
    pub fn new(key: &str, argv: &[&str]) -> Self {
        let c = |text: &&str| CString::new(*text).unwrap();
        let plan = LaunchPlan {
            key: key.into(),
            clone: Clone3::default(),
            steps: Vec::new(),
            exec: Exec {
                candidates: vec![c(&argv[0])],
                argv: argv.iter().map(c).collect(),
                env: vec![c"PATH=/bin".into()],
            },
        };
        Self { plan, fds: Vec::new(), hold: Vec::new() }
    }

    pub fn slot(&mut self, fd: impl Into<OwnedFd>) -> Slot {
        self.fds.push(fd.into());
        Slot(self.fds.len() as u16 - 1)
    }

    pub fn step(&mut self, step: Step) -> &mut Self {
        self.plan.steps.push(step);
        self
    }

    /// stdout and stderr into a pipe whose other end is returned, unless stdio is set.
    pub fn capture(&mut self) -> File {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let null = self.slot(File::open("/dev/null").unwrap());
        let out = self.slot(writer);
        let at = self.plan.steps.iter().position(|s| matches!(s, Step::PivotRoot));
        let at = at.map_or(0, |at| at + 1);
        let stdio = Step::Stdio { stdin: null, stdout: out, stderr: out, owner: None };
        self.plan.steps.insert(at, stdio);
        reader.into()
    }
}

pub fn target(path: &str) -> Target {
    Target { path: path.into(), create: Some(Node::Dir) }
}

pub fn new_mount(fstype: &str, path: &str, options: &[(&str, &str)]) -> Step {
    let options = options.iter().map(|(k, v)| ((*k).into(), (!v.is_empty()).then(|| (*v).into()))).collect();
    Step::NewMount { fstype: fstype.into(), options, attrs: Attrs::default(), target: target(path) }
}

/// A directory with busybox and the usual places.
pub fn rootfs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["bin", "proc", "sys", "dev", "tmp", "etc"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    std::fs::copy("/usr/bin/busybox", dir.path().join("bin/busybox")).unwrap();
    for name in ["sh", "true", "cat", "id", "sleep", "hostname", "ls", "mount", "ps", "tty", "stty"] {
        std::os::unix::fs::symlink("busybox", dir.path().join("bin").join(name)).unwrap();
    }
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

pub fn open_path(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// An ordinary container: own pid, mount, uts, ipc and network namespace, proc, dev, the root.
pub fn container(key: &str, rootfs: &Path, argv: &[&str]) -> Launch {
    let mut launch = Launch::new(key, argv);
    launch.plan.clone.new =
        Namespaces::PID.and(Namespaces::MOUNT).and(Namespaces::UTS).and(Namespaces::IPC).and(Namespaces::NETWORK);
    let mount: MountFd = hull_mount::bind(open_path(rootfs), false).unwrap();
    let mount = launch.slot(mount.into_fd());
    launch.step(Step::Hostname("inside".into())).step(Step::LoopbackUp);
    launch.step(Step::AttachRoot { mount, attrs: Attrs::default() });
    launch.step(new_mount("proc", "/proc", &[]));
    launch.step(new_mount("tmpfs", "/dev", &[("mode", "755"), ("size", "64k")]));
    let pts = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    launch.step(new_mount("devpts", "/dev/pts", &pts));
    launch.step(Step::Symlink { path: "/dev/ptmx".into(), to: "pts/ptmx".into() });
    launch.step(Step::Device {
        path: "/dev/null".into(),
        kind: 0o020_000,
        major: 1,
        minor: 3,
        mode: 0o666,
        uid: 0,
        gid: 0,
    });
    launch.step(Step::PivotRoot);
    launch
}

pub const TERMINAL_NAME: &str = TERMINAL;

/// A launch of `sh -c script`.
pub fn sh(key: &str, root: &Path, script: &str) -> Launch {
    container(key, root, &["/bin/sh", "-c", script])
}

/// Inserts steps before the pivot.
pub fn before_pivot(launch: &mut Launch, steps: Vec<Step>) {
    let at = launch.plan.steps.iter().position(|s| matches!(s, Step::PivotRoot)).unwrap();
    launch.plan.steps.splice(at..at, steps);
}
