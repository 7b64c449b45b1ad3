//! Docker's daemon, Debian's 28, with `--add-runtime`.

use std::path::PathBuf;
use std::process::Command;

use hull_testkit::{Room, busybox_tar, hull_binary, run};

use crate::words::{self, Runtime, Words};

/// The daemon, running.
pub(crate) struct Docker {
    room: Room,
    runtime: Runtime,
    root: PathBuf,
}

impl Docker {
    /// Starts it; its containers run over this, and it has to end as it began.
    fn over(runtime: Runtime) -> Self {
        let mut docker = Self::up(runtime);
        docker.room.is_calm();
        docker
    }

    /// Starts it.
    pub(crate) fn up(runtime: Runtime) -> Self {
        let docker = Self { room: Room::new(), runtime, root: oracle() };
        docker.start();
        docker
    }

    fn start(&self) {
        let dir = self.room.path().display();
        let flags = format!(
            "--data-root {dir}/data --exec-root {dir}/exec --pidfile {dir}/docker.pid -H unix://{dir}/docker.sock
             --cgroup-parent {} --storage-driver overlay2 --feature containerd-snapshotter=false
             --add-runtime hull={} --add-runtime debians={}",
            self.room.cgroup(),
            Runtime::Hull.path(&self.room).display(),
            Runtime::Runc.path(&self.room).display()
        );
        let mut command = self.room.command(self.root.join("usr/sbin/dockerd"), &flags);
        self.room.daemon("dockerd", command.env("PATH", self.path()));
        self.room.eventually("dockerd answers", || run(&mut self.command("version"), b"").code == 0);
        self.ok(&format!("import {} busybox", busybox_tar().display()));
    }

    /// A program in the room, led to the daemon.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = self.room.command(program, "");
        command
            .env("DOCKER_HOST", format!("unix://{}/docker.sock", self.room.path().display()))
            .env("PATH", self.path());
        command
    }

    /// docker-registry at 127.0.0.1:5000.
    pub(crate) fn serve_registry(&self) {
        let (dir, config) = (self.room.path().join("registry"), self.room.path().join("registry.yml"));
        let text = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:5000\n",
            dir.display()
        );
        std::fs::write(&config, text).expect("write");
        let words = format!("serve {}", config.display());
        self.room.daemon("registry", &mut self.room.command("docker-registry", &words));
        let listens = "wget -qO- http://127.0.0.1:5000/v2/";
        self.room.eventually("the registry listens", || run(&mut self.room.command("busybox", listens), b"").code == 0);
    }

    fn path(&self) -> String {
        let old = std::env::var("PATH").unwrap_or_default();
        format!("{0}/usr/bin:{0}/usr/sbin:{old}:/usr/sbin:/sbin", self.root.display())
    }
}

impl Words for Docker {
    fn room(&self) -> &Room {
        &self.room
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.program(&self.root.join("usr/bin/docker").to_string_lossy());
        command.args(words.split_whitespace());
        command
    }

    fn run_flags(&self) -> String {
        match self.runtime {
            Runtime::Hull => "--runtime hull".into(),
            Runtime::Runc => "--runtime debians".into(),
        }
    }
}

/// Where `cargo xtask oracle fetch` has unpacked it: beneath the target directory that this test is in.
pub(crate) fn oracle() -> PathBuf {
    let found =
        hull_binary().ancestors().map(|dir| dir.join("oracle/root")).find(|r| r.join("usr/sbin/dockerd").is_file());
    found.expect(
        "Docker's daemon is not beneath target/oracle: `cargo xtask oracle fetch` brings it from Debian's mirror",
    )
}

#[test]
fn hull_under_docker_passes_output_and_exit_codes() {
    words::output_and_exit_codes(&Docker::over(Runtime::Hull));
}

#[test]
fn hull_under_docker_gives_terminals() {
    words::terminals(&Docker::over(Runtime::Hull));
}

#[test]
fn hull_under_docker_pauses_updates_stops_and_kills() {
    words::lifecycle(&Docker::over(Runtime::Hull));
}

#[test]
fn hull_under_docker_refuses_what_cannot_run() {
    words::refusals(&Docker::over(Runtime::Hull));
}

#[test]
fn hull_under_docker_makes_the_boundary_that_runc_makes() {
    words::boundary_is_runcs(&mut Docker::over(Runtime::Hull), |engine, runtime| engine.runtime = runtime);
}

#[test]
fn hull_under_docker_runs_on_a_bridge_and_on_no_network() {
    let docker = Docker::over(Runtime::Hull);
    let links = "ls /sys/class/net; ping -c 1 -w 10 server >/dev/null && echo reached";
    docker.ok("network create inner");
    run(&mut docker.run("-d --name server --network inner", "exec sleep 1000"), b"").ok();
    assert_eq!(run(&mut docker.run("--rm --network inner", links), b"").ok(), "eth0\nlo\nreached");
    assert_eq!(run(&mut docker.run("--rm --network none", "ls /sys/class/net"), b"").ok(), "lo");
    docker.ok("rm -f server");
    docker.ok("network rm inner");
}

#[test]
fn runc_under_docker_as_control() {
    let docker = Docker::over(Runtime::Runc);
    words::output_and_exit_codes(&docker);
    words::terminals(&docker);
    words::lifecycle(&docker);
    words::refusals(&docker);
}
