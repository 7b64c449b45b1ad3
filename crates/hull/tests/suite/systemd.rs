//! Under a real systemd: the units of contrib/systemd, and an engine that the command line starts.
//!
//! Runs only where PID 1 is systemd and the machine is the test's own: `cargo xtask vm systemd` says so by
//! `HULL_TEST_SYSTEMD`. One test at a time, since units have global names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hull_testkit::{Out, busybox_tar, eventually, hull_binary, run, status_field};

const UNITS: [(&str, &str); 3] = [
    ("hull.service", include_str!("../../../../contrib/systemd/hull.service")),
    ("hull.socket", include_str!("../../../../contrib/systemd/hull.socket")),
    ("hull-containers.service", include_str!("../../../../contrib/systemd/hull-containers.service")),
];

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The machine, with or without the units; as before when it is dropped.
struct Machine {
    places: Vec<(&'static str, String)>,
    _alone: MutexGuard<'static, ()>,
}

impl Machine {
    fn own() -> Option<MutexGuard<'static, ()>> {
        if std::env::var_os("HULL_TEST_SYSTEMD").is_none() {
            eprintln!("skipped: needs a machine of its own with systemd (cargo xtask vm systemd)");
            return None;
        }
        Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// With the units installed and the socket listening.
    fn installed() -> Option<Self> {
        let machine = Self { places: Vec::new(), _alone: Self::own()? };
        for (name, text) in UNITS {
            let text = text.replace("/usr/local/bin/hull", &hull_binary().to_string_lossy());
            fs::write(unit_file(name), text).expect("write the unit");
        }
        systemctl(&["daemon-reload"]).ok();
        systemctl(&["start", "hull.socket"]).ok();
        Some(machine)
    }

    /// Without units, for an engine at places of its own.
    fn without_units(dir: &Path) -> Option<Self> {
        let places = vec![
            ("HULL_ROOT", dir.join("root").to_string_lossy().into_owned()),
            ("HULL_RUN", dir.join("run").to_string_lossy().into_owned()),
            ("HULL_HOST", format!("unix://{}/run/engine.sock", dir.display())),
        ];
        Some(Self { places, _alone: Self::own()? })
    }

    fn hull(&self, args: &[&str]) -> Out {
        let mut command = Command::new(hull_binary());
        for name in ["HULL_ROOT", "HULL_RUN", "HULL_HOST"] {
            command.env_remove(name);
        }
        run(command.args(args).envs(self.places.iter().map(|(name, value)| (*name, value.as_str()))), b"")
    }

    fn sleeper(&self) -> (String, u32) {
        self.hull(&["import", &busybox_tar().to_string_lossy(), "busybox"]).ok();
        let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.2; done";
        let id = self.hull(&["run", "-d", "busybox", "sh", "-c", script]).ok();
        eventually("it runs", || self.hull(&["logs", &id]).stdout.contains("ready"));
        let pid = self.pid(&id);
        (id, pid)
    }

    fn pid(&self, id: &str) -> u32 {
        self.hull(&["inspect", "--format", "{{.State.Pid}}", id]).ok().parse().expect("a pid")
    }

    fn keeper(&self) -> u32 {
        self.hull(&["engine", "status", "--format", "{{.Keeper.Pid}}"]).ok().parse().expect("a pid")
    }

    /// Kills the keeper and waits until another one is the unit's main process and its engine answers: a request
    /// that the engine was answering when it handed over is lost with it.
    fn kill_keeper(&self, unit: &str) {
        let before = self.keeper();
        run(Command::new("kill").args(["-KILL", &before.to_string()]), b"").ok();
        eventually("another keeper is the main process, and its engine answers", || {
            let now = self.hull(&["engine", "status", "--format", "{{.Keeper.Pid}}"]);
            let ready = self.hull(&["ps", "-q"]).code == 0 && self.hull(&["exec", &self.first(), "true"]).code == 0;
            ready
                && now.code == 0
                && now.stdout.trim() != before.to_string()
                && now.stdout.trim() == property(unit, "MainPID")
        });
    }

    /// A running container.
    fn first(&self) -> String {
        self.hull(&["ps", "-q"]).stdout.lines().next().unwrap_or_default().to_owned()
    }

    /// The container goes on as if nothing had happened, and ends as it wants to.
    fn assert_goes_on(&self, id: &str, pid: u32) {
        assert_eq!(self.pid(id), pid);
        assert_eq!(self.hull(&["exec", id, "echo", "here"]).ok(), "here");
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
        assert!(cgroup.contains("-containers.service/") && cgroup.contains(id), "{cgroup}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["status", "--no-pager", "-l", "hull*"][..], &["list-units", "--no-pager", "hull*"]] {
                eprintln!("{}", systemctl(args).stdout);
            }
            eprintln!("{}", journal());
        }
        let ids = self.hull(&["ps", "-aq"]).stdout;
        if !ids.is_empty() {
            let args: Vec<&str> = ["rm", "-f"].into_iter().chain(ids.lines()).collect();
            self.hull(&args);
        }
        if self.places.is_empty() {
            systemctl(&["stop", "hull.socket", "hull.service", "hull-containers.service"]);
            systemctl(&["reset-failed"]);
            for (name, _) in UNITS {
                let _ = fs::remove_file(unit_file(name));
            }
            systemctl(&["daemon-reload"]);
            for dir in ["/var/lib/hull", "/run/hull"] {
                let _ = fs::remove_dir_all(dir);
            }
        } else {
            self.hull(&["engine", "stop"]);
        }
    }
}

fn unit_file(name: &str) -> PathBuf {
    Path::new("/etc/systemd/system").join(name)
}

fn systemctl(args: &[&str]) -> Out {
    run(Command::new("systemctl").args(args), b"")
}

fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit]).ok()
}

fn journal() -> String {
    run(Command::new("journalctl").args(["--no-pager", "-o", "cat", "-u", "hull.service"]), b"").stdout
}

fn main_pid() -> u32 {
    property("hull.service", "MainPID").parse().expect("a pid")
}

#[test]
fn the_first_client_of_the_socket_starts_the_engine() {
    let Some(machine) = Machine::installed() else { return };
    assert_eq!(property("hull.service", "ActiveState"), "inactive");
    assert!(machine.hull(&["version"]).ok().contains("Version"));
    assert_eq!(property("hull.service", "ActiveState"), "active");
    assert_eq!(machine.keeper(), main_pid(), "the keeper is the unit's main process");
    let mode = fs::metadata("/run/hull/engine.sock").expect("the socket");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o660);
    let (id, pid) = machine.sleeper();
    machine.assert_goes_on(&id, pid);
    assert_eq!(status_field(pid, "PPid"), main_pid().to_string());
    // The unit's own cgroup hands nothing down: systemd can start a process in it at any time.
    assert_eq!(fs::read_to_string("/sys/fs/cgroup/system.slice/hull.service/cgroup.subtree_control").unwrap(), "");
    let info = machine.hull(&["info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}"]).ok();
    assert_eq!(info, "systemd 2");
    // What the engine says is in the journal, once, without an escape sequence or a panic.
    let journal = journal();
    assert!(!journal.contains('\u{1b}') && !journal.contains("panicked"), "{journal}");
}

#[test]
fn the_unit_is_restarted_and_stopped_and_started_while_containers_go_on() {
    let Some(machine) = Machine::installed() else { return };
    let (id, pid) = machine.sleeper();
    let before = main_pid();
    systemctl(&["restart", "hull.service"]).ok();
    assert_ne!(main_pid(), before);
    machine.assert_goes_on(&id, pid);

    systemctl(&["stop", "hull.socket", "hull.service"]).ok();
    assert_eq!(property("hull.service", "ActiveState"), "inactive");
    assert!(Path::new(&format!("/proc/{pid}")).exists(), "it goes on without an engine");
    systemctl(&["start", "hull.service"]).ok();
    machine.assert_goes_on(&id, pid);
    machine.hull(&["stop", "-t", "5", &id]).ok();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(property("hull.service", "Result"), "success");
    assert_eq!(machine.hull(&["run", "--rm", "busybox", "echo", "new"]).ok(), "new");
}

#[test]
fn stopping_the_unit_for_containers_ends_them_and_the_engine() {
    let Some(machine) = Machine::installed() else { return };
    let (_, pid) = machine.sleeper();
    systemctl(&["stop", "hull-containers.service"]).ok();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(property("hull.service", "ActiveState"), "inactive");
    // The socket still listens: the next client starts all of it again.
    assert_eq!(machine.hull(&["run", "--rm", "busybox", "echo", "again"]).ok(), "again");
    assert_eq!(property("hull-containers.service", "ActiveState"), "active");
}

#[test]
fn a_keeper_that_is_killed_is_started_by_systemd_and_gets_what_the_engine_kept() {
    let Some(machine) = Machine::installed() else { return };
    let (id, pid) = machine.sleeper();
    // Twice: the second one was started by systemd after a failure.
    for _ in 0..2 {
        machine.kill_keeper("hull.service");
        assert_eq!(property("hull.service", "ActiveState"), "active");
        machine.assert_goes_on(&id, pid);
    }
    assert!(!journal().contains("another keeper runs"), "{}", journal());
    // Its output still arrives, through the pipe that was handed over twice.
    machine.hull(&["exec", &id, "sh", "-c", "echo later >/proc/1/fd/1"]).ok();
    eventually("what it prints is logged", || machine.hull(&["logs", &id]).stdout.contains("later"));
}

#[test]
fn an_engine_that_a_command_starts_stands_in_units_that_go_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(machine) = Machine::without_units(dir.path()) else { return };
    let (id, pid) = machine.sleeper();
    machine.assert_goes_on(&id, pid);
    let cgroup = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
    let own = cgroup(machine.keeper());
    let unit = own.trim().rsplit('/').next().expect("a unit").to_owned();
    assert!(unit.starts_with("hull-") && unit.ends_with(".service"), "{own}");
    let containers = unit.replace(".service", "-containers.service");

    // It is not this command's process: systemd is its parent, and it can be stopped and started again.
    assert_eq!(status_field(machine.keeper(), "PPid"), "1");
    machine.hull(&["engine", "stop", "--force"]).ok();
    eventually("the unit is gone", || property(&unit, "ActiveState") == "inactive");
    assert_eq!(property(&containers, "ActiveState"), "active", "a container runs in it");
    machine.assert_goes_on(&id, pid);

    machine.kill_keeper(&unit);
    machine.assert_goes_on(&id, pid);

    machine.hull(&["engine", "stop", "--containers"]).ok();
    for unit in [&unit, &containers] {
        eventually("no unit is left", || property(unit, "LoadState") == "not-found");
    }
}

#[test]
fn where_the_unit_is_installed_a_command_starts_that_one() {
    let Some(machine) = Machine::installed() else { return };
    systemctl(&["stop", "hull.socket"]).ok();
    assert!(machine.hull(&["version"]).ok().contains("Version"));
    assert_eq!(property("hull.service", "ActiveState"), "active");
    assert_eq!(machine.keeper(), main_pid());
}
