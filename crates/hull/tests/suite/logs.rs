//! `hull logs`: streams, times, tails, bounds.

use hull_testkit::Host;

#[test]
fn logs_keep_streams_order_tail_and_time() {
    let host = Host::new();
    host.hull(&["run", "--name", "l1", "busybox", "sh", "-c", "for i in 1 2 3; do echo out$i; echo err$i >&2; done"])
        .ok();
    let all = host.hull(&["logs", "l1"]);
    assert_eq!((all.stdout.as_str(), all.stderr.as_str()), ("out1\nout2\nout3\n", "err1\nerr2\nerr3\n"));
    let tail = host.hull(&["logs", "--tail", "2", "l1"]);
    assert_eq!(tail.stdout.lines().count() + tail.stderr.lines().count(), 2);
    let stamped = host.hull(&["logs", "-t", "l1"]).ok();
    assert!(
        stamped.lines().all(|l| l.split(' ').next().is_some_and(|t| t.ends_with('Z') && t.len() == 30)),
        "{stamped}"
    );
    assert_eq!(host.hull(&["logs", "--since", "2100-01-01T00:00:00Z", "l1"]).ok(), "");
    assert_eq!(host.hull(&["logs", "--until", "2000-01-01T00:00:00Z", "l1"]).ok(), "");
}

#[test]
fn follow_ends_with_the_container() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "f1", "busybox", "sh", "-c", "echo one; sleep 0.5; echo two"]).ok();
    assert_eq!(host.hull(&["logs", "-f", "f1"]).ok(), "one\ntwo");
}

#[test]
fn a_line_without_newline_is_not_lost() {
    let host = Host::new();
    host.hull(&["run", "--name", "n1", "busybox", "printf", "no newline"]).ok();
    assert_eq!(host.hull(&["logs", "n1"]).stdout, "no newline");
}

#[test]
fn a_flood_is_bounded_and_the_engine_answers() {
    let host = Host::new();
    let id = host
        .hull(&[
            "run",
            "-d",
            "--log-opt",
            "max-size=1m",
            "--log-opt",
            "max-file=2",
            "busybox",
            "sh",
            "-c",
            "yes 0123456789012345678901234567890123456789 | head -c 60000000; echo; echo the end",
        ])
        .ok();
    host.hull(&["ps"]).ok();
    assert_eq!(host.hull(&["wait", &id]).ok(), "0");
    let used = hull_testkit::run(
        std::process::Command::new("du").arg("-sk").arg(host.root().join("containers").join(&id)),
        b"",
    )
    .ok();
    let kib: u64 = used.split_whitespace().next().and_then(|w| w.parse().ok()).expect("a size");
    assert!(kib < 8 * 1024, "{kib} KiB are kept");
    assert_eq!(host.hull(&["logs", "--tail", "1", &id]).ok(), "the end");
}

/// A service of datagrams at a path of the test's.
fn service(path: &std::path::Path) -> std::os::unix::net::UnixDatagram {
    let socket = std::os::unix::net::UnixDatagram::bind(path).expect("bind");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("a timeout");
    socket
}

fn message(socket: &std::os::unix::net::UnixDatagram) -> String {
    let mut buffer = vec![0; 65536];
    let length = socket.recv(&mut buffer).expect("a message");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn lines_are_handed_on_to_syslog_and_kept_to_be_read() {
    let host = Host::new();
    let path = host.path().join("syslog.sock");
    let socket = service(&path);
    let address = format!("syslog-address=unixgram://{}", path.display());
    let flags = ["--log-driver", "syslog", "--log-opt", &address, "--log-opt", "tag={{.Name}}"];
    let run = |name: &str, script: &str| {
        let line = [&["run", "-d", "--name", name], &flags[..], &["busybox", "sh", "-c", script]].concat();
        host.hull(&line).ok();
        host.hull(&["wait", name]).ok()
    };
    run("talker", "echo one; printf last >&2");
    let (one, last) = (message(&socket), message(&socket));
    assert!(one.starts_with("<30>") && one.contains(" talker[") && one.ends_with("]: one\n"), "{one}");
    assert!(last.starts_with("<27>") && last.ends_with("]: last\n"), "{last}");
    let read = host.hull(&["logs", "talker"]);
    assert_eq!((read.stdout.as_str(), read.stderr.as_str()), ("one\n", "last"));
    // Nobody reads the socket, which takes a few messages: the container ends all the same, and its log is whole.
    assert_eq!(run("flood", "i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done"), "0");
    assert_eq!(host.hull(&["logs", "flood"]).ok().lines().count(), 5000);
    // The service goes, and another comes.
    drop(socket);
    std::fs::remove_file(&path).expect("rm");
    let refused = host.hull(&[&["create"], &flags[..], &["busybox", "true"]].concat()).fails(1);
    assert!(refused.contains("no such file or directory"), "{refused}");
    let socket = service(&path);
    host.hull(
        &[
            &["run", "-d", "--name", "steady"],
            &flags[..],
            &["busybox", "sh", "-c", "while :; do echo tick; sleep 0.1; done"],
        ]
        .concat(),
    )
    .ok();
    assert!(message(&socket).ends_with("tick\n"));
    drop(socket);
    std::fs::remove_file(&path).expect("rm");
    let ticks = || host.hull(&["logs", "steady"]).ok().lines().count();
    let before = ticks();
    hull_testkit::eventually("it goes on without the service", || ticks() > before + 2);
    let socket = service(&path);
    assert!(message(&socket).ends_with("tick\n"), "the service is found again");
    let unkept =
        [&["run", "-d", "--name", "unkept", "--log-opt", "cache-disabled=true"], &flags[..], &["busybox", "true"]]
            .concat();
    host.hull(&unkept).ok();
    assert!(host.hull(&["logs", "unkept"]).fails(1).contains("configured logging driver does not support reading"));
    host.assert_clean();
}

#[test]
fn lines_are_handed_on_to_the_journal() {
    let setup = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal";
    let host = Host::with(&hull_testkit::Settings { setup: setup.to_owned(), ..Default::default() });
    let journal = ["--log-driver", "journald", "--label", "tier=web", "--log-opt", "labels=tier"];
    let refused = host.hull(&[&["create"], &journal[..], &["busybox", "true"]].concat()).fails(1);
    assert!(refused.contains("journald is not enabled on this host"), "{refused}");
    let path = format!("/proc/{}/root/run/systemd/journal/socket", host.engine_pid());
    let socket = service(std::path::Path::new(&path));
    host.hull(&[&["run", "--name", "talker"], &journal[..], &["busybox", "echo", "hello"]].concat()).ok();
    let entry = message(&socket);
    for field in ["MESSAGE=hello\n", "PRIORITY=6\n", "CONTAINER_NAME=talker\n", "IMAGE_NAME=busybox\n", "TIER=web\n"] {
        assert!(entry.contains(field), "{field}: {entry}");
    }
    assert_eq!(host.hull(&["logs", "talker"]).ok(), "hello");
}

/// A server with a certificate of its own, which writes what it is told to a file.
const LISTENER: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('server.pem', 'server.key')
server = socket.create_server(('127.0.0.1', 6514))
open('listens', 'w').close()
while True:
    try:
        stream = context.wrap_socket(server.accept()[0], server_side=True)
        while data := stream.recv(4096):
            with open('told', 'ab') as file: file.write(data)
    except OSError:
        pass
"#;

#[test]
fn lines_are_handed_on_to_syslog_within_tls_if_the_server_is_vouched_for_or_anybody_is_believed() {
    let host = Host::new();
    let at = |name: &str| host.path().join(name);
    crate::dockerd::certificates(host.path(), "127.0.0.1");
    let mut server = host.inside("python3");
    let mut server = server.args(["-c", LISTENER]).current_dir(host.path()).spawn().expect("python3");
    hull_testkit::eventually("the server listens", || at("listens").exists());
    let say = |word: &str, believed: &str| {
        let flags =
            ["--log-driver", "syslog", "--log-opt", "syslog-address=tcp+tls://127.0.0.1:6514", "--log-opt", believed];
        host.hull(&[&["run", "--rm", "--network", "none"], &flags[..], &["busybox", "echo", word]].concat()).ok()
    };
    let authority = |name: &str| format!("syslog-tls-ca-cert={}", at(name).display());
    let told = || std::fs::read_to_string(at("told")).unwrap_or_default();
    // What a stranger would be told is told nobody; the container does not notice.
    assert_eq!(say("secret", &authority("strange.pem")), "secret");
    assert_eq!(say("anybody", "syslog-tls-skip-verify=true"), "anybody");
    assert_eq!(say("hello", &authority("ca.pem")), "hello");
    let patience = std::time::Instant::now() + hull_testkit::patience();
    let all_told = || told().contains(": hello\n") && told().contains(": anybody\n");
    while !all_told() && std::time::Instant::now() < patience {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Whatever came of it, the server ends.
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    assert!(all_told(), "the server was told: {}", told());
    assert!(!told().contains("secret"), "{}", told());
}

/// What docker 28.5 prints.
#[test]
fn details_are_the_labels_and_variables_that_the_options_name() {
    let host = Host::new();
    let run = |name: &str, flags: &[&str]| {
        host.hull(&[&["run", "--name", name], flags, &["busybox", "sh", "-c", "echo hi; echo; printf x"]].concat()).ok()
    };
    run("marked", &["--label", "a=1", "-e", "E1=a b,c=d", "--log-opt", "labels=a,nope", "--log-opt", "env=E1"]);
    let shown = host.hull(&["logs", "--details", "marked"]).stdout;
    assert_eq!(shown, "E1=a+b%2Cc%3Dd,a=1 hi\nE1=a+b%2Cc%3Dd,a=1 \nE1=a+b%2Cc%3Dd,a=1 x");
    let stamped = host.hull(&["logs", "--details", "-t", "marked"]).stdout;
    assert!(stamped.lines().all(|line| line.get(30..).is_some_and(|rest| rest.starts_with(" E1="))), "{stamped}");
    run("tagged", &["--log-opt", "tag={{.Name}}/{{.ImageName}}"]);
    assert!(host.hull(&["logs", "--details", "tagged"]).stdout.starts_with("tag=tagged%2Fbusybox hi\n"));
    let described = ["--log-opt", "labels-regex=^a|z$", "--log-opt", "env-regex=^E[0-9]$"];
    run("described", &[&["--label", "a=1", "--label", "b=2", "-e", "E1=x", "-e", "EE=y"], &described[..]].concat());
    assert!(host.hull(&["logs", "--details", "described"]).stdout.starts_with("E1=x,a=1 hi\n"));
    run("plain", &[]);
    assert_eq!(host.hull(&["logs", "--details", "plain"]).stdout, " hi\n \n x");
}

#[test]
fn a_log_is_read_while_its_front_is_given_up() {
    let host = Host::new();
    let script =
        "i=0; while [ $i -lt 20000 ]; do echo $i-0123456789012345678901234567890123456789; i=$((i+1)); done; echo end";
    let bounds = ["--log-opt", "max-size=50k", "--log-opt", "max-file=2"];
    host.hull(&[&["run", "-d", "--name", "long"], &bounds[..], &["busybox", "sh", "-c", script]].concat()).ok();
    // Whatever is given up meanwhile: what is shown is in order, and the end is there.
    let followed = host.hull(&["logs", "-f", "long"]).ok();
    assert!(followed.ends_with("end"), "{}", followed.len());
    let numbers: Vec<u32> = followed.lines().filter_map(|line| line.split('-').next()?.parse().ok()).collect();
    assert!(numbers.windows(2).filter(|pair| pair[0] >= pair[1]).count() <= 1, "out of order");
    assert_eq!(host.hull(&["wait", "long"]).ok(), "0");
    let kept = host.hull(&["logs", "long"]).ok();
    // What came together, up to a pipe's 64 KiB, is given up together.
    assert!(kept.ends_with("end") && kept.len() < 200_000 && kept.len() > 30_000, "{}", kept.len());
    let tail = host.hull(&["logs", "--tail", "3", "long"]).ok();
    let wanted: Vec<&str> = kept.lines().rev().take(3).collect();
    assert_eq!(tail.lines().rev().collect::<Vec<_>>(), wanted);
    assert_eq!(host.hull(&["logs", "--until", "2000-01-01T00:00:00Z", "long"]).ok(), "");
    assert_eq!(host.hull(&["logs", "--since", "1h", "--tail", "1", "long"]).ok(), "end");
}

#[test]
fn what_would_be_in_rotated_files_is_compressed_where_that_is_asked_for() {
    let host = Host::new();
    let script = "i=0; while [ $i -lt 30000 ]; do echo $i-0123456789012345678901234567890123456789; i=$((i+1)); done";
    let run = |name: &str, compress: &str| {
        let bounds = ["--log-opt", "max-size=100k", "--log-opt", "max-file=50", "--log-opt", compress];
        host.hull(&[&["run", "--name", name], &bounds[..], &["busybox", "sh", "-c", script]].concat()).ok();
        host.root().join("containers").join(host.inspect(name)["Id"].as_str().expect("an id")).join("log")
    };
    let packed = |dir: &std::path::Path| {
        let names = std::fs::read_dir(dir).expect("the log").flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".zst")).count()
    };
    let (plain, compressed) = (run("plain", "compress=false"), run("packed", "compress=true"));
    assert_eq!(packed(&plain), 0);
    assert!(packed(&compressed) >= 3, "{}", packed(&compressed));
    let logs = |args: &[&str]| host.hull(&[&["logs"], args].concat()).ok();
    let whole = logs(&["plain"]);
    assert_eq!(whole.lines().count(), 30_000);
    assert_eq!(logs(&["packed"]), whole);
    // The next engine reads the same, and the tail is no different.
    hull_testkit::kill9(host.engine_pid());
    hull_testkit::eventually("the next engine answers", || host.answers());
    assert_eq!(logs(&["packed"]), whole);
    assert_eq!(logs(&["--tail", "20000", "packed"]), logs(&["--tail", "20000", "plain"]));
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up() {
    use std::io::Write;
    let host = Host::new();
    let script = "read go; yes 0123456789012345678901234567890123456789 | head -c 8000000; echo; echo the end";
    host.hull(&["create", "-i", "--name", "loud", "busybox", "sh", "-c", script]).ok();
    host.hull(&["start", "loud"]).ok();
    let mut stalled = Vec::new();
    for target in ["logs?follow=1&stdout=1", "logs?follow=1&stdout=1&timestamps=1", "attach?stream=1&stdout=1"] {
        let mut stream = host.dial();
        let method = if target.starts_with("logs") { "GET" } else { "POST" };
        write!(stream, "{method} /containers/loud/{target} HTTP/1.1\r\nHost: d\r\n\r\n").expect("write");
        stalled.push(stream);
    }
    let mut input = host.dial();
    write!(input, "POST /containers/loud/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n\r\ngo\n").expect("write");
    assert_eq!(host.hull(&["wait", "loud"]).ok(), "0");
    assert!(host.hull(&["logs", "--tail", "1", "loud"]).ok().ends_with("the end"));
    drop((stalled, input));
    host.assert_clean();
}
