//! Every answer of the API has the shape that docker's own description gives it.

use std::collections::BTreeSet;

use hull_testkit::{Answer, Host, complaints, complaints_of_refusal, described};
use serde_json::{Value, json};

/// Documents are asked for in the newest version and in some of those before.
const VERSIONS: [&str; 5] = ["1.56", "1.52", "1.51", "1.41", "1.24"];

/// Looked at apart: a stream, and what hull's store of images has not.
const APART: [&str; 2] = ["GET /events", "GET /images/{name}/attestations"];

struct Asking<'a> {
    host: &'a Host,
    seen: BTreeSet<String>,
    found: Vec<String>,
}

impl Asking<'_> {
    /// Asks, with `target` for the operation's path; the answer.
    #[track_caller]
    fn ask(&mut self, operation: &str, target: &str, body: Option<Value>) -> Value {
        self.ask_as(VERSIONS[0], operation, target, body)
    }

    #[track_caller]
    fn ask_as(&mut self, version: &str, operation: &str, target: &str, body: Option<Value>) -> Value {
        let method = operation.split(' ').next().unwrap_or_default();
        let answer =
            self.host.api(method, &format!("/v{version}{target}"), body.map(|body| body.to_string()).as_deref());
        assert!((200..300).contains(&answer.status), "{operation} at {target}: {answer:?}");
        let document = document(&answer);
        self.found.extend(complaints(operation, &document).iter().map(|found| format!("{version}: {found}")));
        self.seen.insert(operation.to_owned());
        document
    }

    #[track_caller]
    fn get(&mut self, path: &str, target: &str) -> Value {
        let documents = VERSIONS.map(|version| self.ask_as(version, &format!("GET {path}"), target, None));
        documents.into_iter().next().unwrap_or_default()
    }

    #[track_caller]
    fn post(&mut self, path: &str, target: &str, body: Value) -> Value {
        self.ask(&format!("POST {path}"), target, Some(body))
    }
}

/// The document of an answer; what becomes a stream is one document in one chunk here.
fn document(answer: &Answer) -> Value {
    if !answer.head.to_lowercase().contains("transfer-encoding: chunked") {
        return answer.json();
    }
    let (begin, end) = (answer.body.find('{'), answer.body.rfind('}'));
    let text = begin.zip(end).map_or("", |(begin, end)| &answer.body[begin..=end]);
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[test]
fn answers_have_the_shape_of_dockers_description() {
    let host = Host::new();
    let _registry = host.particular_registry();
    let mut asking = Asking { host: &host, seen: BTreeSet::new(), found: Vec::new() };
    containers(&mut asking);
    images(&mut asking, "127.0.0.1:5000/busybox");
    others(&mut asking);
    prunes(&mut asking);
    for event in events(&host) {
        asking.found.extend(complaints("GET /events", &event));
    }
    assert_eq!(asking.found, Vec::<String>::new());
    let missing: Vec<_> = described().filter(|o| !asking.seen.contains(*o) && !APART.contains(o)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    for (method, target, body) in [
        ("GET", "/containers/nosuch/json", None),
        ("POST", "/containers/create", Some("{}")),
        ("POST", "/containers/create", Some("nonsense")),
        ("DELETE", "/networks/bridge", None),
        ("GET", "/nosuch", None),
        ("POST", "/swarm/init", Some("{}")),
        ("GET", "/images/busybox/attestations", None),
    ] {
        let answer = host.api(method, target, body);
        assert_eq!(complaints_of_refusal(&answer.json()), Vec::<String>::new(), "{method} {target}: {answer:?}");
    }
}

/// One that runs with a bit of everything, and one that has ended.
fn containers(asking: &mut Asking) {
    asking.post(
        "/networks/create",
        "/networks/create",
        json!({"Name": "inner", "Internal": true, "Labels": {"a": "b"}}),
    );
    asking.post("/volumes/create", "/volumes/create", json!({"Name": "data", "Labels": {"a": "b"}}));
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"], "Env": ["A=b"], "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/anonymous": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 100_000_000},
        "HostConfig": {
            "NetworkMode": "inner", "Binds": ["data:/data", "/tmp:/host:ro"], "Memory": 67_108_864, "NanoCpus": 500_000_000,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "CapAdd": ["NET_ADMIN"], "Init": true,
            "Mounts": [{"Type": "tmpfs", "Target": "/scratch"}], "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        },
    });
    asking.post("/containers/create", "/containers/create?name=one", body);
    let ended = json!({"Image": "busybox", "Cmd": ["false"], "HostConfig": {"NetworkMode": "none"}});
    asking.post("/containers/create", "/containers/create?name=ended", ended);
    asking.get("/containers/{id}/json", "/containers/one/json");
    for name in ["one", "ended"] {
        assert_eq!(asking.host.api("POST", &format!("/containers/{name}/start"), None).status, 204);
    }
    asking.ask("POST /containers/{id}/wait", "/containers/ended/wait", None);
    asking.host.hull(&["exec", "one", "sh", "-c", "echo new >/file; rm /etc/group"]).ok();
    for name in ["one", "ended"] {
        asking.get("/containers/{id}/json", &format!("/containers/{name}/json?size=1"));
        asking.get("/containers/{id}/changes", &format!("/containers/{name}/changes"));
        asking.get("/containers/{id}/stats", &format!("/containers/{name}/stats?stream=0&one-shot=1"));
    }
    asking.get("/containers/{id}/top", "/containers/one/top");
    asking.get("/containers/json", "/containers/json?all=1&size=1");
    asking.post("/containers/{id}/update", "/containers/one/update", json!({"Memory": 134_217_728, "MemorySwap": -1}));
    let exec =
        asking.post("/containers/{id}/exec", "/containers/one/exec", json!({"Cmd": ["true"], "AttachStdout": true}));
    let exec = exec["Id"].as_str().expect("an id").to_owned();
    asking.get("/exec/{id}/json", &format!("/exec/{exec}/json"));
    assert_eq!(asking.host.api("POST", &format!("/exec/{exec}/start"), Some(r#"{"Detach": true}"#)).status, 200);
    asking.get("/exec/{id}/json", &format!("/exec/{exec}/json"));
}

fn images(asking: &mut Asking, remote: &str) {
    asking.post("/commit", "/commit?container=one&repo=made&comment=c&author=a", json!({}));
    asking.host.hull(&["tag", "busybox", remote]).ok();
    asking.host.hull(&["push", "-q", remote]).ok();
    asking.get("/distribution/{name}/json", &format!("/distribution/{remote}/json"));
    asking.get("/images/json", "/images/json?all=1&digests=1&shared-size=1");
    for name in ["busybox", "made", remote] {
        asking.get("/images/{name}/json", &format!("/images/{name}/json"));
        asking.get("/images/{name}/history", &format!("/images/{name}/history"));
    }
    asking.ask("DELETE /images/{name}", "/images/made", None);
    asking.get("/images/search", "/images/search?term=127.0.0.1:5000/busybox");
    asking.post("/auth", "/auth", json!({"serveraddress": "127.0.0.1:5000", "username": "me", "password": "secret"}));
}

fn others(asking: &mut Asking) {
    asking.get("/networks", "/networks");
    for name in ["inner", "bridge", "host", "none"] {
        asking.get("/networks/{id}", &format!("/networks/{name}"));
    }
    asking.get("/volumes", "/volumes");
    asking.get("/volumes/{name}", "/volumes/data");
    asking.get("/info", "/info");
    asking.get("/version", "/version");
    asking.get("/system/df", "/system/df");
    asking.get("/system/df", "/system/df?verbose=1&type=container&type=volume");
}

fn prunes(asking: &mut Asking) {
    asking.host.hull(&["rm", "-f", "one"]).ok();
    asking.host.hull(&["volume", "rm", "data"]).ok();
    for what in ["containers", "networks", "volumes", "images", "build"] {
        let path = format!("/{what}/prune");
        asking.post(&path, &path, json!({}));
    }
}

/// All that was told so far.
fn events(host: &Host) -> Vec<Value> {
    let text = host.hull(&["events", "--since", "0", "--until", "0s", "--format", "{{json .}}"]).ok();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.len() > 10, "{text}");
    events
}

/// Whatever docker's own client asks and gets in the tests of a life is looked at on its way.
#[test]
fn answers_to_the_docker_cli_are_as_described() {
    if !crate::docker_cli::docker() {
        return;
    }
    let host = Host::new();
    let watch = host.watch();
    let docker = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let mut command = host.command("docker");
        hull_testkit::run(command.env("DOCKER_HOST", watch.address()).args(&words), b"")
    };
    for words in [
        "network create inner",
        "volume create data",
        "run -d --name one --network inner -v data:/d -p 127.0.0.1::80 --health-cmd true busybox sleep 1000",
        "run --rm busybox true",
        "ps -a --size",
        "inspect --size one",
        "exec one touch /x",
        "top one",
        "diff one",
        "stats --no-stream one",
        "update --pids-limit 50 one",
        "rename one two",
        "port two",
        "logs two",
        "pause two",
        "unpause two",
        "commit two made",
        "images -a",
        "image inspect busybox made",
        "history busybox",
        "rmi made",
        "network inspect inner bridge",
        "network ls",
        "volume inspect data",
        "volume ls",
        "system df -v",
        "info",
        "version",
        "kill two",
        "wait two",
        "container prune -f",
        "network prune -f",
        "volume prune -af",
        "image prune -f",
    ] {
        let out = docker(words);
        assert_eq!(out.code, 0, "{words}: {out:?}");
    }
    assert_ne!(docker("inspect nosuch").code, 0);
    let (found, operations) = watch.seen();
    assert_eq!(found, Vec::<String>::new());
    assert!(operations.len() > 20, "{operations:?}");
}
