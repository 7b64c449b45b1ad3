//! Libraries that others wrote for Docker, as clients of hull: docker-py, testcontainers, dockerode and the dev containers' CLI.
//!
//! Each runs a script of what people do with it (in `clients/`), in a network namespace of its own: it has the engine's socket and nothing
//! else. `cargo xtask clients` brings them from PyPI and npm.

use std::path::{Path, PathBuf};
use std::process::Command;

use hull_testkit::{Host, Watch, run};

use crate::stack::fetched;

/// Runs a program away from every network, led to the engine, whose answers are looked at on their way, and to the libraries.
pub(crate) fn apart(host: &Host, watch: &Watch, program: &str) -> Command {
    let mut command = host.command("unshare");
    command
        .args(["--net", "--", program])
        .env("DOCKER_HOST", watch.address())
        .env("PYTHONPATH", fetched("clients/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONWARNINGS", "ignore")
        .env("CLIENTS", fetched("clients/node"))
        // COMPAT(testcontainers): its reaper is an image at Docker Hub, and hosts without it are asked to say so.
        .env("TESTCONTAINERS_RYUK_DISABLED", "true")
        .env("HOME", host.path())
        .current_dir(host.path());
    // A version manager's python3 looks for its versions at home.
    if let Some(home) = std::env::var_os("HOME") {
        command.env("PYENV_ROOT", std::env::var_os("PYENV_ROOT").unwrap_or(Path::new(&home).join(".pyenv").into()));
    }
    command
}

/// The script ends well, says so, was answered as docker's description says, by at least this many operations, and leaves nothing.
#[track_caller]
pub(crate) fn is_content(program: &str, script: &str, words: &str, operations: usize) {
    let host = Host::new();
    let watch = host.watch();
    let out = run(apart(&host, &watch, program).arg(client(script)), b"");
    assert!(out.ok().ends_with(words), "{out:?}");
    watch.is_content(operations);
    leaves_nothing(&host);
}

/// A script of `clients/`.
pub(crate) fn client(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/clients").join(script)
}

#[track_caller]
pub(crate) fn leaves_nothing(host: &Host) {
    assert_eq!(host.hull(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "");
    assert_eq!(host.hull(&["volume", "ls", "-q"]).ok(), "");
    assert_eq!(host.hull(&["network", "ls", "-q", "--filter", "type=custom"]).ok(), "");
}

#[test]
fn docker_py_works_with_hull() {
    is_content("python3", "docker_py.py", "docker-py is content", 15);
}

#[test]
fn testcontainers_for_python_works_with_hull() {
    is_content("python3", "testcontainers_py.py", "testcontainers is content", 5);
}

#[test]
fn dockerode_works_with_hull() {
    is_content("node", "dockerode.mjs", "dockerode is content", 8);
}

#[test]
fn testcontainers_for_node_works_with_hull() {
    is_content("node", "testcontainers.mjs", "testcontainers is content", 5);
}

const DEV_CONTAINER: &str = r#"{
    "image": "busybox", "overrideCommand": true, "updateRemoteUserUID": false, "remoteEnv": {"A": "b"},
    "postCreateCommand": "echo made >/tmp/made"
}"#;

#[test]
fn the_dev_containers_cli_works_with_hull() {
    let host = Host::new();
    let watch = host.watch();
    let work = host.path().join("work");
    std::fs::create_dir_all(work.join(".devcontainer")).expect("mkdir");
    std::fs::write(work.join(".devcontainer/devcontainer.json"), DEV_CONTAINER).expect("write");
    std::fs::write(work.join("source"), "mine").expect("write");
    let program = fetched("clients/node/node_modules/@devcontainers/cli/devcontainer.js");
    let docker = crate::docker::oracle().join("usr/bin/docker");
    // The first time straight from the engine, which knows its clients by their processes: this one waits for an event of a container that it
    // may have started before it asked.
    let straight = format!("unix://{}", host.socket().display());
    let told = |verb: &str, address: &str, words: &[&str]| {
        let mut command = apart(&host, &watch, "node");
        command
            .env("DOCKER_HOST", address)
            .arg(&program)
            .arg(verb)
            .arg("--workspace-folder")
            .arg(&work)
            .arg("--docker-path")
            .arg(&docker);
        run(command.args(words), b"").ok()
    };
    for address in [&straight, &watch.address()] {
        assert!(told("up", address, &[]).contains(r#""outcome":"success""#));
    }
    let script = "echo $A; cat /tmp/made source; echo theirs >made-inside";
    assert_eq!(told("exec", &watch.address(), &["sh", "-c", script]), "b\nmade\nmine");
    assert_eq!(std::fs::read_to_string(work.join("made-inside")).expect("it is there"), "theirs\n");
    watch.is_content(4);
}

/// As long as `HULL_SCHEMATHESIS` says, in seconds (`cargo xtask schemathesis`).
#[test]
fn schemathesis_finds_no_request_that_hull_fails_at() {
    let host = Host::new();
    let watch = host.watch();
    let before = host.engine_pid();
    let seconds = std::env::var("HULL_SCHEMATHESIS").unwrap_or_else(|_| "45".to_owned());
    let out = run(
        apart(&host, &watch, "python3")
            .arg(client("schemathesis_py.py"))
            .arg(hull_testkit::description())
            .arg(&seconds),
        b"",
    );
    eprintln!("{}", out.stdout);
    assert!(out.ok().ends_with("schemathesis is content"), "{out:?}");
    assert_eq!(host.engine_pid(), before, "the engine has not ended meanwhile");
    assert!(!host.log().contains("panicked"), "{}", host.log());
    watch.is_content(15);
}
