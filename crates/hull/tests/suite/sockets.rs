//! Further sockets of an engine, and its API over standard streams.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use hull_testkit::{Host, Settings, eventually, kill9, run};

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
        ("GET", "/containers/seen/attach/ws?stream=1&stdin=1"),
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
fn a_socket_limited_to_a_label_shows_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("label.sock");
    let specs = format!("path={},access=read,label=team=web", socket.display());
    let host = Host::with(&Settings { env: vec![("HULL_SOCKETS".into(), specs)], ..Settings::default() });
    let other = host.sleeper(&["--name", "hidden", "--label", "team=db"]);
    host.sleeper(&["--name", "shown", "--label", "team=web"]);
    for (name, label) in [("v1", "team=web"), ("v2", "team=db")] {
        host.hull(&["volume", "create", "--label", label, name]).ok();
        host.hull(&["network", "create", "--label", label, &format!("n{name}")]).ok();
    }
    let exec = host.api("POST", "/containers/hidden/exec", Some(r#"{"Cmd": ["true"]}"#)).json()["Id"].clone();
    let get = |target: &str| ask(&socket, "GET", target);
    let list = get("/containers/json?all=1");
    assert!(list.contains("/shown") && !list.contains("hidden"), "{list}");
    // A filter of one's own narrows further, and nothing else.
    let list = get("/containers/json?filters=%7B%22label%22%3A%5B%22team%3Ddb%22%5D%7D");
    assert!(list.starts_with("HTTP/1.1 200") && list.ends_with("[]\n"), "{list}");
    let volumes = get("/volumes");
    assert!(volumes.contains("\"v1\"") && !volumes.contains("\"v2\""), "{volumes}");
    let networks = get("/networks");
    assert!(networks.contains("nv1") && !networks.contains("nv2") && !networks.contains("hull0"), "{networks}");
    for shown in ["/containers/shown/json", "/containers/shown/logs?stdout=1", "/volumes/v1", "/info", "/version"] {
        assert!(get(shown).starts_with("HTTP/1.1 200"), "{shown}");
    }
    for hidden in [
        "/containers/hidden/json".to_owned(),
        format!("/containers/{}/logs?stdout=1", &other[..12]),
        "/containers/nosuch/json".to_owned(),
        format!("/exec/{}/json", exec.as_str().expect("an id")),
        "/volumes/v2".to_owned(),
    ] {
        assert!(get(&hidden).starts_with("HTTP/1.1 404"), "{hidden}: {}", get(&hidden));
    }
    for refused in ["/images/json", "/system/df", "/networks/nv1", "/hull/trace/hidden", "/images/busybox/json"] {
        let answer = get(refused);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("limited to the label"), "{refused}: {answer}");
    }
    assert!(ask(&socket, "POST", "/containers/shown/stop").starts_with("HTTP/1.1 403"));
    let now = "until=".to_owned() + &host.hull(&["info", "--format", "{{.SystemTime}}"]).ok();
    let past = get(&format!("/events?since=1&{}", now.replace('+', "%2B")));
    assert!(past.contains("\"shown\"") && !past.contains("hidden"), "{past}");
    host.hull(&["network", "rm", "nv1", "nv2"]).ok();
    host.hull(&["volume", "rm", "v1", "v2"]).ok();
}

/// As [`ask`], with a document.
fn send(socket: &Path, method: &str, target: &str, body: &str) -> String {
    let mut answer = String::new();
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    let length = body.len();
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).expect("written");
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn through_a_socket_that_may_change_what_bears_a_label_nothing_reaches_further() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("write.sock");
    let specs = format!("path={},access=write,label=team=web", socket.display());
    let host = Host::with(&Settings { env: vec![("HULL_SOCKETS".into(), specs)], ..Settings::default() });
    let send = |method: &str, target: &str, body: &str| send(&socket, method, target, body);
    let is = |answer: &str, status: u32| answer.starts_with(&format!("HTTP/1.1 {status}"));
    host.sleeper(&["--name", "hidden", "--label", "team=db"]);
    host.sleeper(&["--name", "strong", "--label", "team=web", "--privileged"]);
    host.sleeper(&["--name", "bound", "--label", "team=web", "-v", "/etc:/host"]);
    for (name, label) in [("theirs", "team=db"), ("ours", "team=web")] {
        host.hull(&["volume", "create", "--label", label, name]).ok();
        host.hull(&["network", "create", "--label", label, &format!("net-{name}")]).ok();
    }

    // A life through the socket; what is made bears the label.
    let made = send("POST", "/volumes/create", r#"{"Name": "data"}"#);
    assert!(is(&made, 201), "{made}");
    let body = r#"{"Image": "busybox", "Cmd": ["sleep", "1000"], "Labels": {"a": "b"},
        "HostConfig": {"Binds": ["data:/data"], "NetworkMode": "net-ours", "Memory": 50000000}}"#;
    let made = send("POST", "/containers/create?name=mine", body);
    assert!(is(&made, 201), "{made}");
    assert_eq!(host.inspect("mine")["Config"]["Labels"], serde_json::json!({"a": "b", "team": "web"}));
    assert_eq!(host.hull(&["volume", "inspect", "-f", "{{.Labels.team}}", "data"]).ok(), "web");
    let through = |args: &[&str]| host.hull(&[&["-H", &format!("unix://{}", socket.display())], args].concat());
    through(&["start", "mine"]).ok();
    assert_eq!(through(&["exec", "mine", "sh", "-c", "echo in > /data/file; cat /data/file"]).ok(), "in");
    assert_eq!(through(&["run", "--rm", "-v", "data:/x", "busybox", "cat", "/x/file"]).ok(), "in");
    assert_eq!(through(&["ps", "--format", "{{.Names}}"]).ok().lines().count(), 3);
    through(&["rename", "mine", "renamed"]).ok();
    assert_eq!(through(&["cp", "renamed:/data/file", "-"]).code, 0);
    through(&["rm", "-f", "renamed"]).ok();
    through(&["volume", "rm", "data"]).ok();

    // What does not bear it is not there, whatever is asked of it.
    let before = host.inspect("hidden");
    for (method, target) in [
        ("POST", "/containers/hidden/stop"),
        ("POST", "/containers/hidden/exec"),
        ("POST", "/containers/hidden/rename?name=x"),
        ("PUT", "/containers/hidden/archive?path=/"),
        ("DELETE", "/containers/hidden?force=1"),
        ("DELETE", "/volumes/theirs"),
    ] {
        assert!(is(&send(method, target, "{}"), 404), "{target}: {}", send(method, target, "{}"));
    }
    assert_eq!(host.inspect("hidden"), before);
    for target in ["/containers/create?name=hidden", "/containers/strong/rename?name=hidden"] {
        let answer = send("POST", target, r#"{"Image": "busybox"}"#);
        assert!(is(&answer, 409) && !answer.contains(before["Id"].as_str().expect("an id")), "{answer}");
    }
    assert!(is(&send("POST", "/volumes/create", r#"{"Name": "theirs"}"#), 409));

    // Nothing that is made reaches further than what bears the label.
    let create = |more: &str| {
        let image = if more.contains("Image") { "" } else { r#""Image": "busybox", "# };
        send("POST", "/containers/create?name=x", &format!("{{{image}{more}}}"))
    };
    for (more, status, sentence) in [
        (r#""Labels": {"team": "db"}"#, 403, "bears that and no other"),
        (r#""Image": "hull/host""#, 403, "own files"),
        (r#""HostConfig": {"Privileged": true}"#, 403, "`Privileged`"),
        (r#""HostConfig": {"CapAdd": ["SYS_ADMIN"]}"#, 403, "`CapAdd`"),
        (r#""HostConfig": {"PidMode": "host"}"#, 403, "`PidMode`"),
        (r#""HostConfig": {"NetworkMode": "host"}"#, 403, "`NetworkMode`"),
        (r#""HostConfig": {"MaskedPaths": []}"#, 403, "`MaskedPaths`"),
        (r#""HostConfig": {"Binds": ["/:/host"]}"#, 400, "directories of the host cannot be had"),
        (r#""HostConfig": {"Binds": ["theirs:/x"]}"#, 400, "there is no volume theirs"),
        (r#""HostConfig": {"Binds": ["new:/x"]}"#, 400, "there is no volume new"),
        (
            r#""HostConfig": {"Mounts": [{"Type": "volume", "Source": "theirs", "Target": "/x"}]}"#,
            400,
            "no volume theirs",
        ),
        (r#""HostConfig": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}"#, 403, "type `bind`"),
        (r#""HostConfig": {"VolumesFrom": ["hidden"]}"#, 400, "No such container: hidden"),
        (r#""HostConfig": {"VolumesFrom": ["bound"]}"#, 403, "directories or the network of the host"),
        (r#""HostConfig": {"NetworkMode": "container:hidden"}"#, 400, "No such container: hidden"),
        (r#""HostConfig": {"NetworkMode": "net-theirs"}"#, 400, "there is no network net-theirs"),
        (r#""NetworkingConfig": {"EndpointsConfig": {"net-theirs": {}}}"#, 400, "there is no network net-theirs"),
        (
            r#""HostConfig": {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://127.0.0.1:1"}}}"#,
            403,
            "log driver",
        ),
    ] {
        let answer = create(more);
        assert!(is(&answer, status) && answer.contains(sentence), "{more}: {answer}");
    }
    assert!(is(
        &send(
            "POST",
            "/volumes/create",
            r#"{"Name": "y", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}}"#
        ),
        403
    ));
    for target in
        ["/networks/create", "/images/create?fromImage=x", "/containers/prune", "/commit?container=strong", "/build"]
    {
        assert!(is(&send("POST", target, "{}"), 403), "{target}");
    }
    // Into one with more power that somebody else has made, nobody goes; it can be stopped.
    for who in ["strong", "bound"] {
        for target in [format!("/containers/{who}/exec"), format!("/containers/{who}/attach?stream=1&stdin=1")] {
            assert!(is(&send("POST", &target, r#"{"Cmd": ["true"]}"#), 403), "{target}");
        }
        assert!(is(&ask(&socket, "GET", &format!("/containers/{who}/archive?path=/etc")), 403));
        through(&["stop", "-t", "0", who]).ok();
    }
    assert_eq!(host.hull(&["ps", "-a", "--format", "{{.Names}}"]).ok().lines().count(), 3);
    host.hull(&["rm", "-f", "hidden", "strong", "bound"]).ok();
    host.hull(&["network", "rm", "net-ours", "net-theirs"]).ok();
    host.hull(&["volume", "rm", "ours", "theirs"]).ok();
    host.assert_clean();
}

#[test]
fn sockets_that_cannot_be_are_refused_before_an_engine_starts() {
    let host = Host::with(&Settings { no_engine: true, ..Settings::default() });
    let taken = host.path().join("taken");
    std::fs::write(&taken, "mine").expect("write");
    for (spec, code, sentence) in [
        ("access=read".to_owned(), 125, "must be absolute"),
        ("path=/x,access=some".to_owned(), 125, "access is full, read or write"),
        ("path=/x,access=write".to_owned(), 125, "access=write needs the label"),
        ("path=/x,label=a=b".to_owned(), 125, "it needs access=read"),
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

/// A client of RFC 6455, as far as attaching needs one.
const WEBSOCKET: &str = r#"
import base64, hashlib, os, socket, struct, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(120); s.connect(sys.argv[1])
key = base64.b64encode(os.urandom(16)).decode()
s.sendall(('GET /v1.51/containers/talk/attach/ws?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n'
    'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n' % key).encode())
f = s.makefile('rb')
head = b''
while not head.endswith(b'\r\n\r\n'): head += f.read(1)
want = base64.b64encode(hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest())
assert head.startswith(b'HTTP/1.1 101') and want in head, head
def send(opcode, data):
    mask = os.urandom(4)
    s.sendall(bytes([0x80 | opcode, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
def frame():
    a, b = f.read(2)
    n = b & 127
    if n == 126: n = struct.unpack('>H', f.read(2))[0]
    if n == 127: n = struct.unpack('>Q', f.read(8))[0]
    return a & 15, f.read(n)
send(9, b'there?')
send(2, b'hello\n')
said, pong = b'', None
while b'hello' not in said or pong is None:
    op, data = frame()
    if op == 10: pong = data
    elif op == 2: said += data
    else: raise SystemExit('unexpected %d %r' % (op, data))
assert pong == b'there?', pong
send(2, b'quit\n')
while True:
    op, data = frame()
    if op == 8: break
    said += data
assert struct.unpack('>H', data[:2])[0] == 1000 and f.read() == b'', data
print(said.decode())
"#;

#[test]
fn a_container_is_attached_to_by_websocket() {
    let host = Host::new();
    let script = "while read -r line; do [ \"$line\" = quit ] && break; echo \"you said $line\"; done; echo bye";
    host.hull(&["run", "-d", "-i", "--name", "talk", "busybox", "sh", "-c", script]).ok();
    let socket = host.socket().to_string_lossy().into_owned();
    let client = run(std::process::Command::new("python3").args(["-c", WEBSOCKET, &socket]), b"");
    assert_eq!(client.ok(), "you said hello\nbye");
    let plain = host.api("GET", "/containers/talk/attach/ws?stream=1", None);
    assert_eq!(plain.status, 400, "{plain:?}");
}
