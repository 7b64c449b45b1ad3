//! Debian's podman with `--runtime`.

use std::fs;
use std::process::Command;

use hull_testkit::{Room, busybox_tar, run};

use crate::words::{self, Runtime, Words};

struct Podman {
    room: Room,
    runtime: Runtime,
}

impl Podman {
    fn over(runtime: Runtime) -> Self {
        let mut podman = Self { room: Room::new(), runtime };
        // Raising a limit takes CAP_SYS_RESOURCE, which root in a container lacks.
        let conf = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\ncgroup_manager = \"cgroupfs\"\n\
                    events_logger = \"file\"\nruntime_supports_json = [\"hull-oci\", \"runc\"]\n";
        fs::write(podman.room.path().join("containers.conf"), conf).expect("write");
        podman.ok(&format!("import {} busybox", busybox_tar().display()));
        // The first container leaves what podman keeps: a mount of its storage on itself.
        run(&mut podman.run("--rm", "true"), b"").ok();
        podman.room.eventually("podman has cleaned up", || podman.room.is_empty());
        podman.room.is_calm();
        podman
    }
}

impl Words for Podman {
    fn room(&self) -> &Room {
        &self.room
    }

    fn command(&self, words: &str) -> Command {
        let dir = self.room.path();
        let state = format!(
            "--root {0}/root --runroot {0}/run --tmpdir {0}/libpod --log-level error --runtime {1} {words}",
            dir.display(),
            self.runtime.path(&self.room).display()
        );
        let mut command = self.room.command("podman", &state);
        command.env("CONTAINERS_CONF", dir.join("containers.conf"));
        command
    }

    fn run_flags(&self) -> String {
        format!("--network none --cgroup-parent {}", self.room.cgroup())
    }
}

#[test]
fn hull_under_podman_passes_output_and_exit_codes() {
    words::output_and_exit_codes(&Podman::over(Runtime::Hull));
}

#[test]
fn hull_under_podman_gives_terminals() {
    words::terminals(&Podman::over(Runtime::Hull));
}

#[test]
fn hull_under_podman_pauses_updates_stops_and_kills() {
    words::lifecycle(&Podman::over(Runtime::Hull));
}

#[test]
fn hull_under_podman_refuses_what_cannot_run() {
    words::refusals(&Podman::over(Runtime::Hull));
}

#[test]
fn hull_under_podman_makes_the_boundary_that_runc_makes() {
    words::boundary_is_runcs(&mut Podman::over(Runtime::Hull), |engine, runtime| engine.runtime = runtime);
}

#[test]
fn hull_under_podman_answers_a_health_check() {
    let podman = Podman::over(Runtime::Hull);
    let check = "-d --name one --health-interval disable --health-cmd";
    let mut command = podman.command(&format!("run {} {check}", podman.run_flags()));
    run(command.arg("test -f /tmp/well").args(["busybox", "sleep", "1000"]), b"").ok();
    run(&mut podman.command("healthcheck run one"), b"").fails(1);
    run(&mut podman.exec("", "one", "touch /tmp/well"), b"").ok();
    podman.room.eventually("it is well", || run(&mut podman.command("healthcheck run one"), b"").code == 0);
    podman.ok("rm -f -t 0 one");
}

#[test]
fn runc_under_podman_as_control() {
    let podman = Podman::over(Runtime::Runc);
    words::output_and_exit_codes(&podman);
    words::terminals(&podman);
    words::lifecycle(&podman);
    words::refusals(&podman);
}
