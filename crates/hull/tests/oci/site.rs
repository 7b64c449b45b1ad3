//! [`Site`]: a machine of the test's own – a mount and a network namespace – with one bundle and one runtime.
//!
//! Whatever a test made is removed when it ends with `delete --force`, by the runtime under test; then mounts,
//! links, cgroups, processes and the runtime's files must be as they were.

mod clean;
mod config;
mod holder;
mod socket;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hull_testkit::{Out, busybox_tree, eventually, hull_binary};
use serde_json::{Value, json};

use crate::case::Runtime;
use clean::Picture;
use holder::Holder;
pub use socket::Received;

/// A bundle and the means to run it.
pub struct Site {
    /// Over which runtime.
    pub runtime: Runtime,
    /// The bundle's `config.json`, written before each `create` and `run`.
    pub config: Value,
    /// The container's id, which is also the last part of its cgroup's path.
    pub id: String,
    /// Options before the verb, such as `--log`.
    pub globals: Vec<String>,
    /// A program with arguments that runs the runtime, such as a tracer.
    pub wrapper: Vec<String>,
    dir: tempfile::TempDir,
    holder: Holder,
    before: Picture,
}

impl Site {
    /// A bundle of busybox that sleeps, with the usual namespaces and mounts.
    pub fn new(runtime: Runtime) -> Self {
        let dir = tempfile::Builder::new().prefix("hull-oci-").tempdir().expect("a temporary directory");
        // Users of a user namespace must reach the root file system.
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let id = dir.path().file_name().expect("a name").to_string_lossy().into_owned();
        busybox_tree(&dir.path().join("bundle/rootfs"));
        let holder = Holder::new(runtime);
        let before = Picture::take(&holder, &id);
        let config = config::usual(&id);
        Self { runtime, config, id, globals: Vec::new(), wrapper: Vec::new(), dir, holder, before }
    }

    /// A directory of the test's own, outside the bundle.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The bundle.
    pub fn bundle(&self) -> PathBuf {
        self.path().join("bundle")
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// What `--root` says.
    pub fn root(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The arguments of the container's process.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.config["process"]["args"] = json!(args);
        self
    }

    /// The namespaces that are asked for.
    pub fn namespaces(&mut self) -> &mut Vec<Value> {
        self.config["linux"]["namespaces"].as_array_mut().expect("an array")
    }

    /// Asks not for a namespace of this kind: the container has the runtime's.
    pub fn drop_namespace(&mut self, kind: &str) {
        self.namespaces().retain(|n| n["type"] != kind);
    }

    /// The mounts that are asked for.
    pub fn mounts(&mut self) -> &mut Vec<Value> {
        self.config["mounts"].as_array_mut().expect("an array")
    }

    /// The cgroups that bear the site's name.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        clean::cgroups(&self.id).into_iter().collect()
    }

    /// Removes them: those of parents that a runtime leaves.
    pub fn remove_cgroups(&self) {
        clean::clear(&clean::cgroups(&self.id));
    }

    /// The processes in those cgroups.
    pub fn members(&self) -> Vec<String> {
        let texts = self.cgroups().into_iter().map(|c| read(c.join("cgroup.procs")));
        texts.flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Writes `config.json`.
    pub fn write(&self) {
        let text = serde_json::to_vec_pretty(&self.config).expect("JSON");
        fs::write(self.bundle().join("config.json"), text).expect("config.json");
    }

    /// A program inside the site's namespaces.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.pid().to_string(), "--mount", "--net", "--"]).args(&self.wrapper).arg(program);
        command.env("HULL_OCI_SITE", &self.id);
        command
    }

    /// The runtime with these arguments after `--root` and what else stands before the verb.
    pub fn runtime(&self, args: &[&str]) -> Command {
        let mut command = match self.runtime {
            Runtime::Hull => {
                let mut command = self.inside(&hull_binary().to_string_lossy());
                command.arg("oci");
                command
            }
            Runtime::Runc | Runtime::Crun => self.inside(self.runtime.name()),
        };
        command.arg("--root").arg(self.root()).args(&self.globals).args(args);
        command
    }

    /// Runs the runtime to its end.
    pub fn oci(&self, args: &[&str]) -> Out {
        self.to_the_end(&mut self.runtime(args))
    }

    /// Runs a command to its end. Its output goes to files: a container that goes on holds them open, as it would a pipe.
    pub fn to_the_end(&self, command: &mut Command) -> Out {
        let name = format!("{command:?}");
        let file = |what: &str| tempfile::Builder::new().prefix(what).tempfile_in(self.path()).expect("a scratch file");
        let (out, err) = (file("out-"), file("err-"));
        command.stdin(Stdio::null()).stdout(out.reopen().expect("reopen")).stderr(err.reopen().expect("reopen"));
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait for a child") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{name} did not end within a minute; it said {}", read(err.path()));
            }
            std::thread::sleep(Duration::from_micros(500));
        };
        use std::os::unix::process::ExitStatusExt;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Out { code, stdout: read(out.path()), stderr: read(err.path()) }
    }

    /// `run` with these flags, in the foreground.
    pub fn run(&self, flags: &[&str]) -> Out {
        self.made("run", flags)
    }

    /// `create` with these flags.
    pub fn create(&self, flags: &[&str]) -> Out {
        self.made("create", flags)
    }

    fn made(&self, verb: &str, flags: &[&str]) -> Out {
        self.write();
        let bundle = self.bundle().to_string_lossy().into_owned();
        let mut args = vec![verb, "--bundle", &bundle];
        args.extend(flags);
        args.push(&self.id);
        self.oci(&args)
    }

    /// What a shell script in the container prints.
    #[track_caller]
    pub fn sh(&mut self, script: &str) -> String {
        let usual = self.config["process"]["args"].clone();
        let out = self.args(&["sh", "-c", script]).run(&[]);
        self.config["process"]["args"] = usual;
        out.ok()
    }

    /// Creates and starts the container.
    #[track_caller]
    pub fn up(&self) {
        self.create(&[]).ok();
        self.verb("start", &[]).ok();
    }

    /// A verb with flags and the container's id.
    pub fn verb(&self, verb: &str, flags: &[&str]) -> Out {
        let mut args = vec![verb];
        args.extend(flags);
        args.push(&self.id);
        self.oci(&args)
    }

    /// `kill` with a signal.
    pub fn kill(&self, signal: &str) -> Out {
        self.oci(&["kill", &self.id, signal])
    }

    /// `exec` with flags and a command.
    pub fn exec(&self, flags: &[&str], command: &[&str]) -> Out {
        let mut args = vec!["exec"];
        args.extend(flags);
        args.push(&self.id);
        args.extend(command);
        self.oci(&args)
    }

    /// What a shell script prints that is executed in the running container.
    #[track_caller]
    pub fn exec_sh(&self, flags: &[&str], script: &str) -> String {
        self.exec(flags, &["/bin/sh", "-c", script]).ok()
    }

    /// What `state` prints.
    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.verb("state", &[]).ok()).expect("state prints JSON")
    }

    /// The status that `state` prints; empty if there is no such container.
    pub fn status(&self) -> String {
        let out = self.verb("state", &[]);
        let state: Value = serde_json::from_str(&out.stdout).unwrap_or_default();
        state["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The pid of the container's first process on the host.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let pid = self.state()["pid"].as_u64().expect("a pid");
        assert!(pid > 0, "it does not run");
        u32::try_from(pid).expect("a pid")
    }

    /// Waits until the container has this status.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        eventually(&format!("it is {status}"), || self.status() == status);
    }

    /// Ends the container's process with SIGKILL and waits until it is stopped.
    #[track_caller]
    pub fn stop(&self) {
        self.kill("KILL").ok();
        self.wait_for("stopped");
    }
}

/// What a file holds, as text; nothing if it is not there.
pub fn read(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Gives a tree to a user and their group.
pub fn give(tree: &Path, id: u32) {
    std::os::unix::fs::lchown(tree, Some(id), Some(id)).expect("chown");
    if tree.is_dir() && !tree.is_symlink() {
        for entry in fs::read_dir(tree).expect("a directory").flatten() {
            give(&entry.path(), id);
        }
    }
}
