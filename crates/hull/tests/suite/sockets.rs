//! Further sockets of an engine, and its API over standard streams.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use hull_testkit::{Host, Settings, eventually, kill9};

/// The status line and all that follows; empty if nobody listens.
fn ask(socket: &Path, method: &str, target: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = UnixStream::connect(socket) {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        // An engine that is killed meanwhile has not answered.
        if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err() {
            answer.clear();
        }
    }
    answer
}

#[test]
fn a_socket_for_reading_shows_everything_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (read, full) = (dir.path().join("read.sock"), dir.path().join("full.sock"));
    let specs = format!("path={},access=read,mode=0666;path={}", read.display(), full.display());
    let mut host = Host::with(&Settings { env: vec![("HULL_SOCKETS".into(), specs)], ..Settings::default() });
    host.sleeper(&["--name", "seen"]);
    let mode = |path: &Path| std::fs::metadata(path).expect("a socket").permissions().mode() & 0o777;
    assert_eq!((mode(&read), mode(&full)), (0o666, 0o660));
    for target in ["/_ping", "/v1.51/containers/json", "/containers/seen/json", "/images/json", "/info"] {
        assert!(ask(&read, "GET", target).starts_with("HTTP/1.1 200"), "{target}");
    }
    for (method, target) in [
        ("POST", "/containers/seen/stop"),
        ("DELETE", "/containers/seen?force=1"),
        ("POST", "/containers/seen/exec"),
        ("POST", "/images/load"),
        ("PUT", "/containers/seen/archive?path=/"),
        ("GET", "/containers/seen/archive?path=/etc"),
        ("GET", "/v1.51/containers/seen/export"),
        ("GET", "/images/busybox/get"),
    ] {
        let answer = ask(&read, method, target);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("for reading only"), "{target}: {answer}");
    }
    assert_eq!(host.inspect("seen")["State"]["Status"], "running");
    assert!(ask(&full, "POST", "/containers/seen/pause").starts_with("HTTP/1.1 204"));
    // The next engine listens again.
    kill9(host.engine_pid());
    eventually("both are back", || {
        ask(&read, "GET", "/_ping").starts_with("HTTP/1.1 200")
            && ask(&full, "GET", "/_ping").starts_with("HTTP/1.1 200")
    });
    assert!(ask(&full, "POST", "/containers/seen/unpause").starts_with("HTTP/1.1 204"));
    host.assert_clean();
    host.shut_down();
    assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0, "their names go with the engine");
}

#[test]
fn sockets_that_cannot_be_are_refused_before_an_engine_starts() {
    let host = Host::with(&Settings { no_engine: true, ..Settings::default() });
    let taken = host.path().join("taken");
    std::fs::write(&taken, "mine").expect("write");
    for (spec, code, sentence) in [
        ("access=read".to_owned(), 125, "must be absolute"),
        ("path=/x,access=write".to_owned(), 125, "access is full or read"),
        ("path=/x,mode=0666".to_owned(), 125, "everybody would be root"),
        ("path=/nonexistent/x".to_owned(), 1, "is missing"),
        (format!("path={}", taken.display()), 1, "is no socket"),
    ] {
        let refused = host.hull(&["engine", "start", "--socket", &spec]).fails(code);
        assert!(refused.contains(sentence), "{spec}: {refused}");
    }
    assert!(!host.answers());
    let running = Host::new();
    let refused = running.hull(&["engine", "start", "--docker-socket"]).fails(1);
    assert!(refused.contains("an engine runs already"), "{refused}");
}

#[test]
fn the_api_is_spoken_over_standard_streams() {
    let host = Host::new();
    let request = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /nosuch HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
    let said = host.hull_input(&["system", "dial-stdio"], request).ok();
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.contains("HTTP/1.1 404 Not Found"), "{said}");
}

/// docker-py reads a head through a buffer and the rest past it: what came together with the head would be lost.
#[test]
fn the_head_of_a_hijacked_answer_comes_alone() {
    let host = Host::new();
    host.sleeper(&["--name", "quick"]);
    let body = r#"{"Cmd": ["echo", "hi"], "AttachStdout": true}"#;
    let made = host.api("POST", "/containers/quick/exec", Some(body));
    let id = made.json()["Id"].as_str().expect("an id").to_owned();
    let mut stream = host.dial();
    let head = format!(
        "POST /exec/{id}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(head.as_bytes()).expect("written");
    // Meanwhile the process has written and ended.
    eventually("it has ended", || host.api("GET", &format!("/exec/{id}/json"), None).json()["ExitCode"] == 0);
    let mut piece = [0; 4096];
    let mut read = || {
        let count = stream.read(&mut piece).expect("read");
        String::from_utf8_lossy(&piece[..count]).into_owned()
    };
    let (first, second) = (read(), read());
    assert!(first.starts_with("HTTP/1.1 ") && first.ends_with("\r\n\r\n"), "{first:?}");
    assert!(second.ends_with("hi\n"), "{second:?}");
}
