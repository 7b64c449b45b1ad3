//! Clients of every version of the API get what theirs has; what a newer one adds works.

use hull_testkit::{Host, run};
use serde_json::{Value, json};

/// The answer to a client of this version.
#[track_caller]
fn get(host: &Host, version: &str, target: &str) -> Value {
    let answer = host.api("GET", &format!("/v{version}{target}"), None);
    assert_eq!(answer.status, 200, "{version} {target}: {answer:?}");
    answer.json()
}

#[track_caller]
fn post(host: &Host, version: &str, target: &str, body: &Value) -> Value {
    let answer = host.api("POST", &format!("/v{version}{target}"), Some(&body.to_string()));
    assert!((200..300).contains(&answer.status), "{version} {target}: {answer:?}");
    answer.json()
}

#[test]
fn every_version_is_answered_and_gets_the_shape_it_knows() {
    let host = Host::new();
    let flags = ["--name", "one", "--health-cmd", "true", "--label", "a=b", "--annotation", "kind=test"];
    host.sleeper(&flags);
    for minor in 24..=56 {
        let version = get(&host, &format!("1.{minor}"), "/version");
        assert_eq!((&version["ApiVersion"], &version["MinAPIVersion"]), (&json!("1.56"), &json!("1.24")));
        assert_eq!(get(&host, &format!("1.{minor}"), "/containers/one/json")["State"]["Running"], true);
    }
    for version in ["1.23", "1.57", "2.0"] {
        assert_eq!(host.api("GET", &format!("/v{version}/info"), None).status, 400, "{version}");
    }
    // What is there in which version: target, pointer to the field, first and last version that has it.
    for (target, field, first, last) in [
        ("/containers/one/json", "/NetworkSettings/IPAddress", 24, 51),
        ("/containers/one/json", "/NetworkSettings/Networks/bridge/IPAddress", 24, 56),
        ("/containers/one/json", "/Config/OnBuild", 24, 51),
        ("/containers/json", "/0/Health/Status", 52, 56),
        ("/images/busybox/json", "/Author", 24, 51),
        ("/images/busybox/json", "/Config/Volumes", 24, 51),
        ("/images/busybox/json", "/Config/Hostname", 24, 49),
        ("/networks/bridge", "/Status/IPAM/Subnets", 52, 56),
        ("/info", "/FirewallBackend/Driver", 49, 56),
        ("/containers/one/stats?stream=0&one-shot=1", "/os_type", 52, 56),
        ("/events?since=1&until=2", "", 24, 56),
        ("/system/df", "/LayersSize", 24, 52),
        ("/system/df", "/ImageUsage/TotalCount", 52, 56),
        ("/system/df?verbose=1", "/LayersSize", 24, 51),
        ("/system/df?verbose=1", "/ContainerUsage/Items/0/Id", 52, 56),
        ("/system/df?type=volume", "/ImageUsage", 57, 57),
        ("/system/df?type=volume", "/VolumeUsage/TotalCount", 52, 56),
    ] {
        for minor in [24, 41, 48, 49, 50, 51, 52, 53, 56] {
            let answer = host.api("GET", &format!("/v1.{minor}{target}"), None);
            let text = answer.body.find('{').zip(answer.body.rfind('}')).map(|(from, to)| &answer.body[from..=to]);
            let list = answer.body.trim_start().starts_with('[');
            let document =
                if list { answer.json() } else { serde_json::from_str(text.unwrap_or("null")).expect("JSON") };
            let there = document.pointer(field).is_some();
            assert_eq!(there, (first..=last).contains(&minor), "{field} of {target} in 1.{minor}: {answer:?}");
        }
    }
    let status = &get(&host, "1.56", "/networks/bridge")["Status"]["IPAM"]["Subnets"];
    let subnet = status.as_object().and_then(|subnets| subnets.values().next()).expect("a subnet");
    assert_eq!(subnet["IPsInUse"], 4, "the net's own, the one for all, the gateway, the container: {subnet}");
}

#[test]
fn events_come_in_the_type_that_is_asked_for_and_without_what_is_gone() {
    let host = Host::new();
    host.hull(&["create", "--name", "one", "busybox", "true"]).ok();
    let ask = |version: &str, accept: &str| {
        let target =
            format!("/v{version}/events?since=1&until=99999999999&filters=%7B%22event%22%3A%5B%22create%22%5D%7D");
        let target = target.replace("99999999999", &format!("{}", soon()));
        let request = format!("GET {target} HTTP/1.1\r\nHost: d\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        host.raw(request.as_bytes())
    };
    for (version, accept, kind, begin, old) in [
        ("1.51", "", "application/json", '{', true),
        ("1.52", "application/json-seq", "application/json-seq", '\u{1e}', false),
        ("1.53", "application/jsonl", "application/jsonl", '{', false),
        ("1.56", "application/x-ndjson, text/plain", "application/x-ndjson", '{', false),
    ] {
        let answer = ask(version, accept);
        assert!(answer.head.contains(&format!("Content-Type: {kind}\r\n")), "{answer:?}");
        let line = answer.body.lines().find(|line| line.contains("\"create\"")).expect("the event");
        assert!(line.starts_with(begin), "{line:?}");
        assert_eq!(line.contains("\"status\"") && line.contains("\"from\""), old, "{line}");
    }
}

/// Now, in seconds: the end of the events that are asked for.
fn soon() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs() + 1
}

#[test]
fn a_mask_for_new_files_holds_for_the_command_and_for_what_is_executed_beside_it() {
    let host = Host::new();
    let body = json!({"Image": "busybox", "Cmd": ["sh", "-c", "umask; sleep 1000"], "HostConfig": {"Umask": 0o077, "NetworkMode": "none"}});
    for (name, version, mask) in [("new", "1.56", "0077"), ("old", "1.55", "0022")] {
        post(&host, version, &format!("/containers/create?name={name}"), &body);
        host.hull(&["start", name]).ok();
        hull_testkit::eventually("it says its mask", || host.hull(&["logs", name]).stdout.trim() == mask);
        assert_eq!(host.hull(&["exec", name, "sh", "-c", "umask"]).ok(), mask, "{version}");
    }
    let wrong = json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Umask": 0o1000}});
    let answer = host.api("POST", "/v1.56/containers/create", Some(&wrong.to_string()));
    assert!(answer.status == 400 && answer.message().contains("Umask"), "{answer:?}");
}

#[test]
fn requests_of_newer_versions_are_honoured_or_refused_by_name() {
    let host = Host::new();
    host.hull(&["create", "--name", "one", "--annotation", "kind=test", "--annotation", "x=y", "busybox", "true"]).ok();
    host.hull(&["create", "--name", "two", "busybox", "true"]).ok();
    for (filter, found) in [("kind=test", 1), ("x", 1), ("kind=other", 0)] {
        let target = format!("/containers/json?all=1&filters=%7B%22annotation%22%3A%5B%22{filter}%22%5D%7D");
        assert_eq!(get(&host, "1.56", &target).as_array().map(Vec::len), Some(found), "{filter}");
    }
    // A container's address is its endpoint's from 1.52 on.
    let mac = "02:42:ac:11:00:09";
    let body = json!({"Image": "busybox", "MacAddress": mac, "Cmd": ["sleep", "1000"]});
    for (name, version, given) in [("was", "1.51", true), ("is", "1.52", false)] {
        let created = post(&host, version, &format!("/containers/create?name={name}"), &body);
        assert_eq!(created["Warnings"].to_string().contains("MacAddress"), !given, "{created}");
        host.hull(&["start", name]).ok();
        assert_eq!(host.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["MacAddress"] == mac, given);
        host.hull(&["rm", "-f", name]).ok();
    }
    host.hull(&["network", "create", "more"]).ok();
    host.sleeper(&["--name", "joins"]);
    let joins = json!({"Container": "joins", "EndpointConfig": {"MacAddress": "02:42:ac:11:00:0a"}});
    post(&host, "1.54", "/networks/more/connect", &joins);
    let link = host.hull(&["exec", "joins", "cat", "/sys/class/net/eth1/address"]).ok();
    assert_eq!(link, "02:42:ac:11:00:0a");
    // Of platforms there is one.
    let own =
        run(host.command("hull").args(["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "busybox"]), b"").ok();
    for (platform, status) in [(own.as_str(), 200), ("linux/s390x", 404), ("%7B%7D", 400)] {
        for verb in ["json", "history", "get"] {
            let answer = host.api("GET", &format!("/v1.56/images/busybox/{verb}?platform={platform}"), None);
            assert_eq!(answer.status, status, "{verb} {platform}: {}", answer.head);
        }
    }
    let both = host.api("GET", "/v1.56/images/busybox/json?platform=linux/amd64&manifests=1", None);
    assert_eq!(both.status, 400, "{both:?}");
    for (method, target) in
        [("POST", "/images/load?platform=linux/s390x"), ("DELETE", "/images/busybox?platforms=linux/s390x")]
    {
        let answer = host.api(method, &format!("/v1.56{target}"), None);
        assert_eq!(answer.status, 501, "{answer:?}");
        assert!(answer.message().contains("platform") || answer.message().contains("s390x"), "{answer:?}");
    }
    assert_eq!(host.api("GET", "/v1.55/images/busybox/attestations", None).status, 501);
    host.hull(&["rm", "-f", "joins"]).ok();
    host.hull(&["network", "rm", "more"]).ok();
    // What is pruned is told line by line, and as a whole.
    let told = host.api("POST", "/v1.56/containers/prune?stream=1", None);
    assert!(told.head.contains("application/jsonl"), "{told:?}");
    let lines: Vec<Value> =
        told.body.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect();
    assert_eq!(lines.len(), 3, "{told:?}");
    assert_eq!(lines[0]["status"], "deleted");
    assert_eq!(lines[2]["aux"]["ContainersDeleted"].as_array().map(Vec::len), Some(2));
}
