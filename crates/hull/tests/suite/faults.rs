//! The engine or the keeper dies: containers go on, exit codes are known, no line is lost.

use std::fs;
use std::process::Command;
use std::time::Duration;

use hull_testkit::{Host, Settings, eventually, run};

fn kill9(pid: u32) {
    run(Command::new("kill").args(["-9", &pid.to_string()]), b"").ok();
}

#[test]
fn the_engine_is_killed_while_a_container_runs() {
    let host = Host::new();
    let id = host.sleeper(&["--name", "on"]);
    let (pid, engine) = (host.pid(&id), host.engine_pid());
    kill9(engine);
    host.hull(&["ps"]).ok();
    assert_ne!(host.engine_pid(), engine);
    assert_eq!(host.pid("on"), pid, "the same process");
    assert_eq!(host.hull(&["exec", "on", "echo", "here"]).ok(), "here");
    host.hull(&["stop", "-t", "0", "on"]).ok();
    assert_eq!(host.inspect("on")["State"]["ExitCode"], 137);
}

#[test]
fn a_container_exits_while_the_engine_is_dead() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "brief", "busybox", "sh", "-c", "sleep 0.3; exit 23"]).ok();
    for _ in 0..8 {
        kill9(host.engine_pid());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(host.hull(&["wait", "brief"]).ok(), "23");
}

#[test]
fn no_log_line_is_lost_or_doubled_when_the_engine_is_killed() {
    let host = Host::new();
    host.hull(&[
        "run",
        "-d",
        "--name",
        "talker",
        "busybox",
        "sh",
        "-c",
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done",
    ])
    .ok();
    for _ in 0..10 {
        kill9(host.engine_pid());
        std::thread::sleep(Duration::from_millis(15));
    }
    assert_eq!(host.hull(&["wait", "talker"]).ok(), "0");
    let logged = host.hull(&["logs", "talker"]).ok();
    let expected: Vec<String> = (0..20000).map(|n| format!("line {n}")).collect();
    let got: Vec<&str> = logged.lines().collect();
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().zip(&expected).all(|(a, b)| a == b));
}

#[test]
fn the_keeper_is_killed_and_containers_go_on() {
    let mut host = Host::new();
    let id = host.sleeper(&["--name", "orphan"]);
    let (pid, keeper, engine) = (host.pid(&id), host.keeper_pid(), host.engine_pid());
    kill9(keeper);
    // The old engine is still asked until it gives way; who adopted it is not its keeper.
    eventually("there is a new keeper, and its engine", || host.answers() && host.engine_pid() != engine);
    assert_ne!(host.keeper_pid(), keeper);
    assert_eq!(host.pid("orphan"), pid);
    assert_eq!(host.sh(&[], "echo new"), "new", "and new ones start");
    host.hull(&["stop", "-t", "0", "orphan"]).ok();
    assert!(host.inspect("orphan")["State"]["Running"] == false);
    host.hull(&["rm", "-f", "orphan"]).ok();
    host.keeper_was_killed();
    host.assert_clean();
}

#[test]
fn killed_at_any_moment_nothing_half_made_stays() {
    let host = Host::new();
    for delay in [0, 1, 2, 3, 5, 8, 13, 21] {
        let mut child = host
            .command("hull")
            .args(["run", "--rm", "busybox", "true"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("hull");
        std::thread::sleep(Duration::from_millis(delay));
        kill9(host.engine_pid());
        eventually("the client ends", || child.try_wait().is_ok_and(|s| s.is_some()));
    }
    // Its create may have been cut off before the answer: then it is as made, and nobody knows its id.
    let all_made = |states: String| states.lines().all(|state| state == "created");
    eventually("every --rm container that was started is gone", || {
        all_made(host.hull(&["ps", "-a", "--format", "{{.State}}"]).stdout)
    });
    host.assert_clean();
}

#[test]
fn a_state_file_of_garbage_is_set_aside_and_named() {
    let mut host = Host::new();
    host.hull(&["create", "--name", "kept", "busybox", "true"]).ok();
    host.shut_down();
    for name in ["state.db", "state.db-wal"] {
        let path = host.root().join(name);
        if path.exists() {
            fs::write(&path, b"this is not a database, it is a sentence").expect("write");
        }
    }
    host.boot(&Settings::default());
    host.hull(&["ps", "-a"]).ok();
    assert!(host.log().contains("state.db"), "the log names the file: {}", host.log());
}

#[test]
fn the_first_command_starts_an_engine() {
    let host = Host::with(&Settings { no_engine: true, ..Settings::default() });
    let children: Vec<_> = (0..4)
        .map(|_| host.command("hull").args(["ps", "-q"]).stdout(std::process::Stdio::null()).spawn().expect("hull"))
        .collect();
    for mut child in children {
        assert!(child.wait().expect("ends").success());
    }
    let keeper = host.keeper_pid();
    host.hull(&["engine", "stop", "--containers"]).ok();
    eventually("the keeper ends", || !std::path::Path::new(&format!("/proc/{keeper}")).exists());
    let out = host.hull(&["engine", "status"]);
    assert_ne!(out.code, 0, "status does not start one: {}", out.stdout);
}

#[test]
fn cgroups_of_engines_that_are_no_more_go_with_the_next_start() {
    let left = |host: &Host| hull_testkit::Census::all_cgroups_named(host.path());
    let (mut gone, mut cut, alive) = (Host::new(), Host::new(), Host::new());
    for host in [&mut gone, &mut cut] {
        host.sleeper(&[]);
        host.cut_power();
        assert!(!left(host).is_empty(), "nobody has cleaned up");
    }
    let (before, beside) = (left(&cut), left(&alive));
    fs::remove_dir_all(gone.run_dir()).expect("rm");
    let next = Host::new();
    assert_eq!(left(&gone), std::collections::BTreeSet::new());
    assert_eq!(left(&cut), before, "its run directory is there: its own next start cleans up");
    assert_eq!(left(&alive), beside);
    next.assert_clean();
}
