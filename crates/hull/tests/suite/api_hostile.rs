//! The API's socket under hostile input: every endpoint refuses with a sentence, and the engine goes on.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use hull_testkit::{Answer, Host, at_rest, eventually, request};
use serde_json::{Value, json};

/// Endpoints whose path holds a name; `{}` is where. Some take a document.
const NAMED: &[(&str, &str, Option<&str>)] = &[
    ("GET", "/containers/{}/json", None),
    ("GET", "/containers/{}/top", None),
    ("GET", "/containers/{}/logs?stdout=1", None),
    ("GET", "/containers/{}/stats?stream=0", None),
    ("POST", "/containers/{}/start", None),
    ("POST", "/containers/{}/stop", None),
    ("POST", "/containers/{}/restart", None),
    ("POST", "/containers/{}/kill", None),
    ("POST", "/containers/{}/pause", None),
    ("POST", "/containers/{}/unpause", None),
    ("POST", "/containers/{}/rename?name=other", None),
    ("POST", "/containers/{}/update", Some("{}")),
    ("POST", "/containers/{}/wait", None),
    ("POST", "/containers/{}/resize?h=1&w=1", None),
    ("POST", "/containers/{}/attach?stream=1&stdout=1", None),
    ("POST", "/containers/{}/exec", Some(r#"{"Cmd":["true"]}"#)),
    ("DELETE", "/containers/{}", None),
    ("GET", "/exec/{}/json", None),
    ("POST", "/exec/{}/start", Some("{}")),
    ("POST", "/exec/{}/resize?h=1&w=1", None),
    ("GET", "/images/{}/json", None),
    ("GET", "/images/{}/history", None),
    ("POST", "/images/{}/tag?repo=x", None),
    ("DELETE", "/images/{}", None),
];

fn all_refused(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} unfit answers:\n{}", wrong.len(), wrong.join("\n"));
}

/// The engine is the same process as before, and answers.
fn still_there(host: &Host, engine: u32) {
    assert_eq!(host.engine_pid(), engine, "the engine was restarted; its log:\n{}", host.log());
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

#[test]
fn names_that_nothing_can_have_are_refused_at_every_endpoint() {
    let host = Host::new();
    let engine = host.engine_pid();
    let long = "a".repeat(1 << 20);
    let names = [
        "..",
        "%2e%2e",
        "..%2f..%2f..%2fetc%2fpasswd",
        "../../../etc/passwd",
        "%00",
        "a%00b",
        "a%0ab",
        "a%0d%0aX-Injected:%20yes",
        "%ff%fe",
        "%",
        "%zz",
        "-a",
        "%20",
        "$(id)",
        &long,
    ];
    let mut wrong = Vec::new();
    for (method, path, body) in NAMED {
        for name in names {
            let answer = host.api(method, &format!("/v1.56{}", path.replace("{}", name)), *body);
            let shown: String = name.chars().take(40).collect();
            wrong.extend(answer.complaint().map(|c| format!("{method} {path} {shown}: {c}")));
            if answer.head.contains("X-Injected") {
                wrong.push(format!("{method} {path}: a header was injected"));
            }
        }
    }
    all_refused(&wrong);
    still_there(&host, engine);
}

/// A create request with every member; valid as a document, though not all of it is supported.
fn full_create() -> Value {
    let text = r#"{
        "Hostname": "h", "Domainname": "d", "User": "0", "AttachStdin": false, "AttachStdout": true,
        "AttachStderr": true, "ExposedPorts": {"80/tcp": {}}, "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": ["A=1"], "Cmd": ["true"], "Image": "busybox", "Volumes": {"/v": {}}, "WorkingDir": "/",
        "Healthcheck": {"Test": ["NONE"], "Interval": 1, "Timeout": 1, "StartPeriod": 1, "Retries": 1},
        "Entrypoint": ["env"], "NetworkDisabled": false, "MacAddress": "02:00:00:00:00:01", "OnBuild": ["RUN x"],
        "Labels": {"k": "v"}, "StopSignal": "TERM", "StopTimeout": 1, "Shell": ["sh"],
        "HostConfig": {
            "Binds": ["/tmp:/t"], "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "NetworkMode": "none", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": false, "VolumeDriver": "",
            "VolumesFrom": ["x"], "ConsoleSize": [1, 2], "Annotations": {"a": "b"}, "CapAdd": ["CHOWN"],
            "CapDrop": ["CHOWN"], "CgroupnsMode": "private", "Dns": ["1.1.1.1"], "DnsOptions": ["x"],
            "DnsSearch": ["x"], "ExtraHosts": ["a:1.1.1.1"], "GroupAdd": ["1"], "IpcMode": "private", "Cgroup": "",
            "Links": ["x"], "OomScoreAdj": 1, "PidMode": "", "Privileged": false, "PublishAllPorts": false,
            "ReadonlyRootfs": false, "SecurityOpt": ["no-new-privileges"], "StorageOpt": {"size": "1"},
            "Tmpfs": {"/x": ""}, "UTSMode": "", "UsernsMode": "", "ShmSize": 1048576,
            "Sysctls": {"net.ipv4.ip_forward": "1"}, "Runtime": "", "Isolation": "",
            "CpuShares": 2, "Memory": 67108864, "NanoCpus": 1, "CgroupParent": "", "BlkioWeight": 10,
            "BlkioWeightDevice": [{"Path": "/dev/null", "Weight": 10}],
            "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}], "CpuPeriod": 1000, "CpuQuota": 1000,
            "CpuRealtimePeriod": 1, "CpuRealtimeRuntime": 1, "CpusetCpus": "0", "CpusetMems": "0",
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}],
            "DeviceCgroupRules": ["c 1:3 r"], "DeviceRequests": [{"Driver": "", "Count": 1, "DeviceIDs": ["x"],
            "Capabilities": [["gpu"]], "Options": {"a": "b"}}], "KernelMemory": 1, "KernelMemoryTCP": 1,
            "MemoryReservation": 1, "MemorySwap": 67108864, "MemorySwappiness": 1, "OomKillDisable": false,
            "PidsLimit": 10, "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}], "CpuCount": 1, "CpuPercent": 1,
            "IOMaximumIOps": 1, "IOMaximumBandwidth": 1, "MaskedPaths": ["/proc/x"], "ReadonlyPaths": ["/proc/x"],
            "Init": true,
            "Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/m", "ReadOnly": true, "Consistency": "",
                "BindOptions": {"Propagation": "rprivate", "NonRecursive": true, "CreateMountpoint": false},
                "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b"}, "Subpath": "x",
                    "DriverConfig": {"Name": "local", "Options": {"a": "b"}}},
                "TmpfsOptions": {"SizeBytes": 1, "Mode": 511}}]
        },
        "NetworkingConfig": {"EndpointsConfig": {"none": {"Aliases": ["a"], "MacAddress": "",
            "IPAMConfig": {"IPv4Address": "1.1.1.1"}}}}
    }"#;
    serde_json::from_str(text).expect("valid JSON")
}

/// The pointers of all members of a document.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let below: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (escape(k), v)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => return,
    };
    for (key, value) in below {
        let path = format!("{at}/{key}");
        pointers(value, &path, into);
        into.push(path);
    }
}

fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Every member of the document replaced by every value of another type, and numbers by numbers that
/// no integer is: each has to be refused with 400 and a sentence.
fn wrong_types(host: &Host, target: &str, document: &Value) -> Vec<String> {
    let others = [json!(true), json!("x"), json!(7), json!([1]), json!([[]]), json!({"x": 1})];
    let numbers = ["1e400", "0.5", "99999999999999999999999999", "-99999999999999999999999999", "\"1\""];
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    pointers(document, "", &mut all);
    for path in &all {
        let own = document.pointer(path).expect("it was found there");
        // COMPAT(docker 28): one word instead of a list of words.
        let word = |v: &Value| (path == "/Cmd" || path == "/Entrypoint") && v.is_string();
        // serde takes a list for a struct, member by member.
        let list = |v: &Value| own.is_object() && v.is_array();
        let differs = |v: &&Value| !same_type(own, v) && !word(v) && !list(v);
        let mut texts: Vec<String> = others.iter().filter(differs).map(Value::to_string).collect();
        if own.is_number() {
            texts.extend(numbers.map(String::from));
        }
        for text in texts {
            let mut changed = document.clone();
            *changed.pointer_mut(path).expect("as above") = json!("@here@");
            let answer = host.api("POST", target, Some(&changed.to_string().replace("\"@here@\"", &text)));
            let complaint = answer.complaint().or((answer.status != 400).then(|| answer.status.to_string()));
            wrong.extend(complaint.map(|c| format!("{target} {path} = {text}: {c}")));
        }
    }
    wrong
}

#[test]
fn every_member_of_every_document_is_checked_for_its_type() {
    let host = Host::new();
    let engine = host.engine_pid();
    let id = host.sleeper(&[]);
    let mut wrong = wrong_types(&host, "/containers/create", &full_create());
    let update = json!({"Memory": 67108864, "MemorySwap": -1, "CpuShares": 2, "NanoCpus": 1, "PidsLimit": 7,
        "CpusetCpus": "0", "BlkioWeight": 10, "Devices": [], "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}});
    wrong.extend(wrong_types(&host, &format!("/containers/{id}/update"), &update));
    let exec = json!({"User": "0", "Privileged": false, "Tty": false, "ConsoleSize": [1, 2], "AttachStdin": false,
        "AttachStdout": true, "AttachStderr": true, "DetachKeys": "", "Env": ["A=1"], "WorkingDir": "/", "Cmd": ["true"]});
    wrong.extend(wrong_types(&host, &format!("/containers/{id}/exec"), &exec));
    let made = host.api("POST", &format!("/containers/{id}/exec"), Some(&exec.to_string()));
    let exec_id = made.json()["Id"].as_str().expect("an exec id").to_owned();
    let start = json!({"Detach": false, "Tty": false, "ConsoleSize": [1, 2]});
    wrong.extend(wrong_types(&host, &format!("/exec/{exec_id}/start"), &start));
    all_refused(&wrong);
    still_there(&host, engine);
}

#[test]
fn null_is_the_zero_value_of_every_member() {
    let host = Host::new();
    let document = json!({"Image": "busybox", "Hostname": null, "User": null, "Env": null, "Cmd": null, "Volumes": null,
        "Labels": null, "Tty": null, "Healthcheck": null, "StopTimeout": null, "ExposedPorts": null,
        "HostConfig": {"Binds": null, "Memory": null, "Mounts": null, "PidsLimit": null, "Ulimits": null, "Tmpfs": null,
        "RestartPolicy": null, "LogConfig": null, "ConsoleSize": null, "CapAdd": null, "Init": null},
        "NetworkingConfig": null});
    let answer = host.api("POST", "/containers/create", Some(&document.to_string()));
    // COMPAT(docker 28): busybox as it is imported has no command of its own.
    assert!(answer.status == 201 || answer.message().contains("command"), "{answer:?}");
    let mut with_command = document;
    with_command["Cmd"] = json!(["true"]);
    assert_eq!(host.api("POST", "/containers/create", Some(&with_command.to_string())).status, 201);
    for body in ["null", "[]", "7", "\"x\"", "true", "{", "", " ", "{}{}", "{\"Image\":}", "\u{feff}{}", "{'a':1}"] {
        let answer = host.api("POST", "/containers/create", Some(body));
        assert_eq!(answer.complaint(), None, "{body:?}");
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
    }
}

#[test]
fn deep_and_large_documents_are_bounded() {
    let host = Host::new();
    let engine = host.engine_pid();
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let large = "x".repeat(9 << 20);
    let rows = [
        deep("[", "]"),
        format!("{{\"Image\":{}}}", deep("[", "]")),
        format!("{{\"HostConfig\":{}1{}}}", "{\"HostConfig\":".repeat(50_000), "}".repeat(50_000)),
        format!("{{\"Labels\":{}}}", "{\"a\":".repeat(100_000)),
        format!("{{\"Image\":\"{large}\"}}"),
    ];
    for row in &rows {
        let answer = host.api("POST", "/containers/create", Some(row));
        assert_eq!(answer.complaint(), None, "{} bytes", row.len());
        assert_eq!(answer.status, 400, "{} bytes", row.len());
    }
    let unknown = format!("{{\"Image\":\"busybox\",\"Cmd\":[\"true\"],\"Unknown\":{}}}", deep("[", "]"));
    let answer = host.api("POST", "/containers/create", Some(&unknown));
    assert!(matches!(answer.status, 201 | 400), "{answer:?}");
    still_there(&host, engine);
}

#[test]
fn strings_that_the_kernel_cannot_take_are_refused_before_any_effect() {
    let host = Host::new();
    let long = "x".repeat(1 << 20);
    let rows = [
        json!({"Cmd": ["a\u{0}b"]}),
        json!({"Cmd": ["true", long]}),
        json!({"Entrypoint": ["\u{0}"]}),
        json!({"Env": ["A=\u{0}"]}),
        json!({"Env": [format!("A={long}")]}),
        json!({"WorkingDir": "/\u{0}"}),
        json!({"WorkingDir": format!("/{long}")}),
        json!({"User": "\u{0}"}),
        json!({"User": "a\nb"}),
        json!({"User": long}),
        json!({"Hostname": "a\nb"}),
        json!({"Hostname": "a\u{0}"}),
        json!({"Hostname": long}),
        json!({"Domainname": long}),
        json!({"Image": "../busybox"}),
        json!({"Image": "busy\nbox"}),
        json!({"Image": "\u{0}"}),
        json!({"Image": long}),
        json!({"StopSignal": "../9"}),
        json!({"Volumes": {"/a\u{0}": {}}}),
        json!({"Volumes": {"relative": {}}}),
        json!({"HostConfig": {"Binds": ["/tmp\u{0}:/x"]}}),
        json!({"HostConfig": {"Binds": ["/tmp:/x\n"]}}),
        json!({"HostConfig": {"Binds": ["../etc:/x"]}}),
        json!({"HostConfig": {"Binds": ["/tmp:/x:rw,nonsense"]}}),
        json!({"HostConfig": {"Binds": [format!("/{long}:/x")]}}),
        json!({"HostConfig": {"Tmpfs": {"/x": "size=1,\u{0}"}}}),
        json!({"HostConfig": {"Tmpfs": {"/x": "size=1m\nnr_inodes=1"}}}),
        json!({"HostConfig": {"Tmpfs": {"../x": ""}}}),
        json!({"HostConfig": {"Sysctls": {"net/../kernel/core_pattern": "x"}}}),
        json!({"HostConfig": {"Sysctls": {"net.ipv4/../../kernel.core_pattern": "x"}}}),
        json!({"HostConfig": {"Sysctls": {"kernel.core_pattern": "x"}}}),
        json!({"HostConfig": {"Sysctls": {"net.ipv4.\u{0}": "x"}}}),
        json!({"HostConfig": {"CgroupParent": "../../x"}}),
        json!({"HostConfig": {"CgroupParent": "/a\nb"}}),
        json!({"HostConfig": {"CpusetCpus": "0\n1"}}),
        json!({"HostConfig": {"Devices": [{"PathOnHost": "/dev/../etc/passwd", "PathInContainer": "/x"}]}}),
        json!({"HostConfig": {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/x\u{0}"}]}}),
        json!({"HostConfig": {"DeviceCgroupRules": ["a *:* rwm\nb"]}}),
        json!({"HostConfig": {"MaskedPaths": ["relative"]}}),
        json!({"HostConfig": {"ReadonlyPaths": ["/\u{0}"]}}),
        json!({"HostConfig": {"GroupAdd": ["a\nb"]}}),
        json!({"HostConfig": {"ExtraHosts": ["a\n127.0.0.1 b:1.1.1.1"]}}),
        json!({"HostConfig": {"Dns": ["1.1.1.1\nsearch evil"]}}),
        json!({"HostConfig": {"DnsSearch": ["a\nnameserver 6.6.6.6"]}}),
        json!({"HostConfig": {"Memory": i64::MIN}}),
        json!({"HostConfig": {"Memory": -5}}),
        json!({"HostConfig": {"NanoCpus": i64::MAX}}),
        json!({"HostConfig": {"ShmSize": i64::MIN}}),
        json!({"HostConfig": {"OomScoreAdj": i64::MAX}}),
        json!({"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": i64::MAX, "Hard": 1}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "volume", "Source": "../x", "Target": "/x"}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x\u{0}"}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": i64::MIN}}]}}),
    ];
    let mut wrong = Vec::new();
    for row in rows {
        let mut document = json!({"Image": "busybox", "Cmd": ["true"]});
        for (key, value) in row.as_object().expect("an object") {
            document[key] = value.clone();
        }
        let answer = host.api("POST", "/containers/create", Some(&document.to_string()));
        let shown: String = row.to_string().chars().take(90).collect();
        wrong.extend(answer.complaint().map(|c| format!("{shown}: {c}")));
    }
    all_refused(&wrong);
    assert_eq!(host.hull(&["ps", "-aq"]).ok(), "", "a refusal left something");
}

#[test]
fn parameters_and_filters_are_checked() {
    let host = Host::new();
    let engine = host.engine_pid();
    let id = host.sleeper(&["--name", "target"]);
    let exec = host.api("POST", &format!("/containers/{id}/exec"), Some(r#"{"Cmd":["true"]}"#));
    let exec = exec.json()["Id"].as_str().expect("an exec id").to_owned();
    let long = "x".repeat(30_000);
    let mut rows: Vec<(&str, String)> = Vec::new();
    let huge = "99999999999999999999";
    for verb in ["stop", "restart"] {
        rows.extend(["x", huge, "1.5"].map(|t| ("POST", format!("/containers/target/{verb}?t={t}"))));
        rows.push(("POST", format!("/containers/target/{verb}?signal=NOSUCH")));
    }
    for size in ["", "?h=x&w=1", "?h=-1&w=1", "?h=1", "?h=70000&w=1", &format!("?h={huge}&w=1")] {
        rows.push(("POST", format!("/containers/target/resize{size}")));
        rows.push(("POST", format!("/exec/{exec}/resize{size}")));
    }
    for query in ["", "stdout=1&since=x", "stdout=1&until=..%2f"] {
        rows.push(("GET", format!("/containers/target/logs?{query}")));
    }
    rows.extend(
        ["NOSUCH", "-1", "999", "%0a", "9%00"].map(|s| ("POST", format!("/containers/target/kill?signal={s}"))),
    );
    rows.push(("POST", "/containers/target/wait?condition=nonsense".into()));
    rows.push(("GET", "/containers/target/stats?stream=1&one-shot=1".into()));
    rows.extend(["x", huge].map(|l| ("GET", format!("/containers/json?limit={l}"))));
    for name in ["", "..%2fx", "a%2fb", "a%0ab", "%00", "-a", "a%20b", &long] {
        rows.push(("POST", format!("/containers/target/rename?name={name}")));
        if !name.is_empty() {
            rows.push(("POST", format!("/containers/create?name={name}")));
        }
    }
    for query in
        ["", "fromSrc=http%3a%2f%2fx", "fromImage=..%2fx", "fromSrc=-&repo=UPPER", "fromSrc=-&repo=..%2f..%2fx"]
    {
        rows.push(("POST", format!("/images/create?{query}")));
    }
    for query in [
        "",
        "repo=UPPER",
        "repo=..%2f..%2fx",
        "repo=a%0ab",
        "repo=a&tag=..%2fx",
        "repo=a&tag=%00",
        &format!("repo={long}"),
    ] {
        rows.push(("POST", format!("/images/busybox/tag?{query}")));
    }
    rows.extend(["x", "..%2f"].map(|m| ("GET", format!("/events?since={m}"))));
    rows.extend(["/v9.99/info", "/v1.1/info", "/v1.99999999999/info"].map(|p| ("GET", p.to_owned())));
    let bad_filters =
        ["{", "[]", "\"x\"", "1", "{\"status\":1}", "{\"status\":[1]}", "{\"nosuch\":[\"x\"]}", "{\"a\":{\"b\":1}}"];
    for filters in bad_filters {
        let coded: String = filters.bytes().map(|b| format!("%{b:02x}")).collect();
        rows.extend(["/containers/json", "/images/json", "/events"].map(|p| ("GET", format!("{p}?filters={coded}"))));
    }
    rows.push(("GET", "/containers/json?filters=%7b%22status%22%3a%5b%22nosuch%22%5d%7d".into()));
    let mut wrong = Vec::new();
    for (method, target) in &rows {
        let body = target.starts_with("/containers/create").then_some(r#"{"Image":"busybox","Cmd":["true"]}"#);
        let shown: String = target.chars().take(90).collect();
        wrong.extend(host.api(method, target, body).complaint().map(|c| format!("{method} {shown}: {c}")));
    }
    all_refused(&wrong);
    // What docker's filters take as text is only compared.
    for value in ["../x", "a\\nb", "\\u0000", "(", &long] {
        let filters = format!("{{\"name\":[\"{value}\"],\"label\":[\"{value}\"],\"id\":[\"{value}\"]}}");
        let coded: String = filters.bytes().map(|b| format!("%{b:02x}")).collect();
        let answer = host.api("GET", &format!("/containers/json?all=1&filters={coded}"), None);
        assert!(answer.status < 500, "{value:.40}: {answer:?}");
    }
    assert_eq!(host.pid("target"), host.pid(&id));
    still_there(&host, engine);
}

#[test]
fn requests_that_two_readers_could_read_differently_are_refused() {
    let host = Host::new();
    let engine = host.engine_pid();
    let headers =
        |text: &str| format!("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n{text}");
    let million = "a".repeat(1 << 20);
    let many: String = (0..20_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let rows = [
        headers("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
        headers("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"),
        headers("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        headers("Content-Length: -1\r\n\r\n"),
        headers("Content-Length: 99999999999999999999\r\n\r\n"),
        headers("Content-Length: 0x2\r\n\r\n{}"),
        headers("Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
        headers("Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        headers("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}"),
        headers(&format!("X: {million}\r\n\r\n")),
        headers(&format!("{many}\r\n")),
        headers(&million),
        format!("GET /{million} HTTP/1.1\r\nHost: d\r\n\r\n"),
        format!("{million} / HTTP/1.1\r\nHost: d\r\n\r\n"),
        million,
        "GET / HTTP/1.1\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(),
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n".into(),
        "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET /_ping HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n".into(),
    ];
    let mut wrong = Vec::new();
    for row in rows {
        let answer = host.raw(row.as_bytes());
        let shown: String = row.chars().take(140).collect();
        let complaint = answer.complaint().or((answer.status != 400).then(|| answer.status.to_string()));
        wrong.extend(complaint.map(|c| format!("{shown:?}: {c}")));
    }
    all_refused(&wrong);
    // Nothing behind a refused request is read as another one.
    let smuggled = headers(
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n",
    );
    let answer = host.raw(smuggled.as_bytes());
    assert!(answer.status == 400 && !answer.body.contains("HTTP/1.1"), "{answer:?}");
    for method in ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"] {
        let answer = host.api(method, "/containers/json", None);
        assert!((400..500).contains(&answer.status), "{method}: {answer:?}");
    }
    still_there(&host, engine);
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count())
}

fn resident_kib(pid: u32) -> u64 {
    let line = hull_testkit::status_field(pid, "VmRSS");
    line.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}

/// Sends a request and reads the answer's head, so that the engine is known to work on it.
fn open(host: &Host, method: &str, target: &str, body: Option<&str>) -> UnixStream {
    let mut stream = host.dial();
    stream.write_all(&request(method, target, body)).expect("send");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 101"), "{method} {target}: {head}");
    stream
}

/// One stream of each kind that stays open, half of them shut down in our direction, and one connection whose
/// request never comes to its end.
fn half_open(host: &Host, id: &str, shut: bool) -> Vec<UnixStream> {
    let exec = json!({"Cmd": ["cat"], "AttachStdin": true, "AttachStdout": true});
    let made = host.api("POST", &format!("/containers/{id}/exec"), Some(&exec.to_string()));
    let exec = made.json()["Id"].as_str().expect("an exec id").to_owned();
    let mut streams = vec![
        open(host, "POST", &format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1"), None),
        open(host, "GET", &format!("/containers/{id}/logs?stdout=1&follow=1"), None),
        open(host, "POST", &format!("/containers/{id}/wait"), None),
        open(host, "GET", &format!("/containers/{id}/stats"), None),
        open(host, "GET", "/events", None),
        open(host, "POST", &format!("/exec/{exec}/start"), Some("{}")),
    ];
    if shut {
        streams.iter().for_each(|s| s.shutdown(Shutdown::Write).expect("shutdown"));
    }
    for text in [
        "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Le",
        "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let mut stream = host.dial();
        stream.write_all(text.as_bytes()).expect("send");
        streams.push(stream);
    }
    streams
}

#[test]
fn half_open_connections_cost_nothing_once_their_clients_are_gone() {
    let host = Host::new();
    let (engine, keeper) = (host.engine_pid(), host.keeper_pid());
    let id = host.hull(&["run", "-d", "busybox", "sh", "-c", "echo begin; sleep 1000"]).ok();
    // Whatever is made once, on first use, is there before counting.
    drop(half_open(&host, &id, false));
    for _ in 0..3 {
        assert_eq!(host.sh(&[], "echo fine"), "fine");
    }
    let before = (at_rest(|| descriptors(engine)), at_rest(|| descriptors(keeper)));
    let memory = resident_kib(engine);
    let streams: Vec<UnixStream> = (0..40).flat_map(|n| half_open(&host, &id, n % 2 == 0)).collect();
    eventually("the connections are open", || descriptors(engine) >= before.0 + streams.len() / 2);
    assert_eq!(host.hull(&["ps", "-q", "--no-trunc"]).ok(), id);
    assert_eq!(host.sh(&[], "echo fine"), "fine", "other clients are served meanwhile");
    drop(streams);
    eventually("engine and keeper have closed what belonged to them", || {
        descriptors(engine) <= before.0 && descriptors(keeper) <= before.1
    });
    let grown = resident_kib(engine).saturating_sub(memory);
    assert!(grown < 48 * 1024, "the engine kept {grown} KiB for {} connections", 8 * 40);
    eventually("the execs have ended with their input", || host.hull(&["top", &id]).ok().lines().count() == 2);
    still_there(&host, engine);
}

#[test]
fn a_slow_reader_of_events_is_dropped_alone() {
    const EVENTS: usize = 2600;
    let host = Host::new();
    let engine = host.engine_pid();
    let label = format!("big={}", "x".repeat(4096));
    let id = host.sleeper(&["--label", &label]);
    let mut slow = open(&host, "GET", "/events", None);
    let mut fast = open(&host, "GET", "/events", None);
    let reading = std::thread::spawn(move || {
        let (mut bytes, mut piece, mut seen) = (Vec::new(), vec![0; 1 << 16], 0);
        while seen < EVENTS {
            match fast.read(&mut piece) {
                Ok(count @ 1..) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
            while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
                seen += usize::from(String::from_utf8_lossy(&bytes[..end]).contains("\"Action\":\"kill\""));
                bytes.drain(..=end);
            }
        }
        seen
    });
    let mut caller = host.dial();
    for _ in 0..EVENTS {
        let text = format!("POST /containers/{id}/kill?signal=CONT HTTP/1.1\r\nHost: d\r\n\r\n");
        caller.write_all(text.as_bytes()).expect("send");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            caller.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&head));
    }
    assert_eq!(reading.join().expect("reader"), EVENTS, "the reader that keeps up gets every event");
    let mut late = Vec::new();
    slow.read_to_end(&mut late).expect("the slow reader's connection is ended, not forgotten");
    let got = String::from_utf8_lossy(&late).matches("\"Action\":\"kill\"").count();
    assert!(got < EVENTS, "the slow one was meant to lag behind; it got {got}");
    still_there(&host, engine);
}

#[test]
fn the_socket_is_for_its_owner_and_group() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::new();
    let mode = fs::metadata(host.socket()).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let answer: Answer = host.api("GET", "/_ping", None);
    assert_eq!((answer.status, answer.body.as_str()), (200, "OK"));
}
