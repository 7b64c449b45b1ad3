//! The real docker CLI as a client, where it is installed.

use hull_testkit::{Host, eventually};

/// Whether there is a docker CLI; its absence is said, since these tests then show nothing.
pub(crate) fn docker() -> bool {
    let found = std::process::Command::new("docker").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("no docker CLI on this machine: its tests show nothing");
    }
    found
}

#[test]
fn the_docker_cli_runs_a_container() {
    if !docker() {
        return;
    }
    let host = Host::new();
    let out =
        host.docker(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (3, "out\n", "err\n"));
    let mut command = host.command("docker");
    let out = hull_testkit::run(command.args(["run", "--rm", "-i", "busybox", "wc", "-c"]), b"12345");
    assert_eq!(out.ok(), "5");
}

#[test]
fn the_docker_cli_manages_a_life() {
    if !docker() {
        return;
    }
    let host = Host::new();
    let id = host.docker(&["run", "-d", "--name", "d1", "-m", "64m", "busybox", "sleep", "1000"]).ok();
    assert!(host.docker(&["ps"]).ok().contains(&id[..12]));
    assert_eq!(host.docker(&["exec", "d1", "echo", "in"]).ok(), "in");
    assert_eq!(host.docker(&["inspect", "-f", "{{.HostConfig.Memory}}", "d1"]).ok(), "67108864");
    host.docker(&["pause", "d1"]).ok();
    host.docker(&["unpause", "d1"]).ok();
    assert!(host.docker(&["top", "d1"]).ok().contains("sleep 1000"));
    assert!(host.docker(&["stats", "--no-stream", "d1"]).ok().contains("64MiB"));
    host.docker(&["update", "--pids-limit", "50", "d1"]).ok();
    host.docker(&["rename", "d1", "e1"]).ok();
    host.docker(&["stop", "-t", "0", "e1"]).ok();
    assert_eq!(host.docker(&["wait", "e1"]).ok(), "137");
    host.docker(&["start", "e1"]).ok();
    host.docker(&["rm", "-f", "e1"]).ok();
    assert!(host.docker(&["images"]).ok().contains("busybox"));
    assert!(host.docker(&["info"]).ok().contains("Server Version"));
    host.docker(&["version"]).ok();
}

#[test]
fn the_docker_cli_copies_files() {
    if !docker() {
        return;
    }
    let host = Host::new();
    let (file, back) = (host.path().join("file"), host.path().join("back"));
    std::fs::write(&file, "one").expect("write");
    let (file, back) = (file.to_string_lossy(), back.to_string_lossy());
    host.docker(&["create", "--name", "d1", "--network", "none", "busybox", "cat", "/tmp/file"]).ok();
    host.docker(&["cp", &file, "d1:/tmp"]).ok();
    assert_eq!(host.docker(&["start", "-a", "d1"]).ok(), "one");
    host.docker(&["cp", "d1:/tmp/file", &back]).ok();
    assert_eq!(std::fs::read_to_string(&*back).expect("it came"), "one");
}

#[test]
fn the_docker_cli_shows_health() {
    if !docker() {
        return;
    }
    let host = Host::new();
    let flags = ["--health-cmd", "test -f /ok", "--health-interval", "150ms", "--health-retries", "1"];
    let words = [&["run", "-d", "--name", "d1", "--network", "none"][..], &flags, &["busybox", "sleep", "1000"]];
    host.docker(&words.concat()).ok();
    let status = || host.docker(&["inspect", "-f", "{{.State.Health.Status}}", "d1"]).ok();
    eventually("it is unhealthy", || status() == "unhealthy");
    host.docker(&["exec", "d1", "touch", "/ok"]).ok();
    eventually("it is healthy", || status() == "healthy");
    assert!(host.docker(&["ps", "--filter", "health=healthy"]).ok().contains("(healthy)"));
}
