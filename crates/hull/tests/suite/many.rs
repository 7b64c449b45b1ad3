//! A thousand containers, and two hundred at once: no deadlock, no leak, and one more costs what the first did.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hull_testkit::{Host, eventually};

/// One connection for many requests.
struct Client(BufReader<UnixStream>);

impl Client {
    fn new(host: &Host) -> Self {
        let stream = host.dial();
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
        Self(BufReader::new(stream))
    }

    /// The status and the body.
    fn ask(&mut self, method: &str, target: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("the engine reads");
        let (mut status, mut length, mut chunked) = (0, 0, false);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("an answer");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            }
            if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            }
            chunked |= line == "transfer-encoding: chunked";
        }
        assert!(!chunked, "{method} {target}: an answer in chunks");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[track_caller]
    fn done(&mut self, method: &str, target: &str, body: &str) -> String {
        let (status, answer) = self.ask(method, target, body);
        assert!((200..300).contains(&status), "{method} {target}: {status} {answer}");
        answer
    }

    #[track_caller]
    fn create(&mut self, name: &str) {
        let body = r#"{"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"none"}}"#;
        self.done("POST", &format!("/containers/create?name={name}"), body);
    }
}

/// The shortest: what a busy machine adds is in the others.
fn shortest(times: Vec<Duration>) -> Duration {
    times.into_iter().min().expect("some")
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// Does `work` for each of so many numbers, in as many threads, each with a connection of its own.
fn at_once(host: &Host, count: usize, work: impl Fn(&mut Client, usize) + Sync) {
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..count {
            let (work, done) = (&work, &done);
            scope.spawn(move || {
                work(&mut Client::new(host), n);
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), count);
}

#[test]
fn the_thousandth_container_costs_what_the_first_did_and_all_go() {
    let host = Host::new();
    let mut client = Client::new(&host);
    let mut create = |from: usize, to: usize| -> Vec<Duration> {
        (from..to).map(|n| timed(|| client.create(&format!("c{n}")))).collect()
    };
    let first = shortest(create(0, 100));
    create(100, 900);
    let last = shortest(create(900, 1000));
    let floor = Duration::from_millis(2);
    assert!(last < 3 * first.max(floor), "the first took {first:?}, the thousandth {last:?}");
    let start =
        |client: &mut Client, n: usize| timed(|| _ = client.done("POST", &format!("/containers/c{n}/start"), ""));
    let mut client = Client::new(&host);
    let first = shortest((0..20).map(|n| start(&mut client, n)).collect());
    for n in 20..180 {
        start(&mut client, n);
    }
    let last = shortest((180..200).map(|n| start(&mut client, n)).collect());
    let floor = Duration::from_millis(10);
    assert!(last < 3 * first.max(floor), "the first start took {first:?}, the two hundredth {last:?}");
    assert_eq!(host.hull(&["ps", "-q"]).ok().lines().count(), 200);
    // A new engine finds them all.
    hull_testkit::kill9(host.engine_pid());
    assert_eq!(host.hull(&["ps", "-aq"]).ok().lines().count(), 1000);
    assert_eq!(host.hull(&["exec", "c199", "echo", "fine"]).ok(), "fine");
    at_once(&host, 40, |client, part| {
        for n in (part..1000).step_by(40) {
            client.done("DELETE", &format!("/containers/c{n}?force=1"), "");
        }
    });
    assert_eq!(host.hull(&["ps", "-aq"]).ok(), "");
    host.assert_clean();
}

#[test]
fn two_hundred_are_started_killed_and_removed_at_once() {
    let host = Host::new();
    at_once(&host, 200, |client, n| client.create(&format!("c{n}")));
    at_once(&host, 200, |client, n| _ = client.done("POST", &format!("/containers/c{n}/start"), ""));
    assert_eq!(host.hull(&["ps", "-q"]).ok().lines().count(), 200);
    at_once(&host, 200, |client, n| _ = client.done("POST", &format!("/containers/c{n}/kill"), ""));
    eventually("all have ended", || host.hull(&["ps", "-q"]).ok().is_empty());
    at_once(&host, 200, |client, n| _ = client.done("DELETE", &format!("/containers/c{n}"), ""));
    // Everybody does something else to the same few: each answer is one that fits, and none is missing.
    for n in 0..5 {
        Client::new(&host).create(&format!("d{n}"));
    }
    at_once(&host, 100, |client, n| {
        let who = format!("d{}", n % 5);
        let (method, target) = match n / 5 % 4 {
            0 => ("POST", format!("/containers/{who}/start")),
            1 => ("POST", format!("/containers/{who}/stop?t=0")),
            2 => ("POST", format!("/containers/{who}/kill")),
            _ => ("POST", format!("/containers/{who}/restart?t=0")),
        };
        let (status, answer) = client.ask(method, &target, "");
        assert!([204, 304, 409].contains(&status), "{method} {target}: {status} {answer}");
    });
    at_once(&host, 50, |client, n| {
        let (status, answer) = client.ask("DELETE", &format!("/containers/d{}?force=1", n % 5), "");
        assert!([204, 404, 409].contains(&status), "{status} {answer}");
    });
    host.assert_clean();
}
