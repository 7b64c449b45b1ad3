//! Volumes as objects of their own. Refusals are in Docker 28.5's words, asked of its daemon.

use hull_testkit::Host;
use serde_json::json;

fn names(host: &Host, filter: &str) -> String {
    host.hull(&["volume", "ls", "-q", "--filter", filter]).ok()
}

#[test]
fn volumes_are_made_shown_used_and_removed() {
    let host = Host::new();
    assert_eq!(host.hull(&["volume", "create", "--label", "a=b", "data"]).ok(), "data");
    // One that is there is the answer, as it is.
    assert_eq!(host.hull(&["volume", "create", "--label", "a=c", "data"]).ok(), "data");
    assert_eq!(host.hull(&["volume", "inspect", "-f", "{{.Labels.a}} {{.Driver}}", "data"]).ok(), "b local");
    let anonymous = host.hull(&["volume", "create"]).ok();
    assert_eq!(anonymous.len(), 64);
    host.sleeper(&["--name", "user", "-v", "data:/data", "-v", "/own"]);
    host.hull(&["exec", "user", "sh", "-c", "echo 12345 > /data/file"]).ok();
    assert_eq!(host.sh(&["-v", "data:/x"], "cat /x/file"), "12345");
    assert_eq!(names(&host, "dangling=true"), anonymous);
    assert_eq!((names(&host, "label=a"), names(&host, "name=dat"), names(&host, "label=z")), {
        let data = || "data".to_owned();
        (data(), data(), String::new())
    });
    let refused = host.hull(&["volume", "rm", "data"]).fails(1);
    assert!(refused.contains("remove data: volume is in use - ["), "{refused}");
    let df = host.hull(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}"]).ok();
    assert!(df.contains("Local Volumes 3 2 6B"), "{df}");
    // Anonymous ones that nobody uses, then all that nobody uses.
    assert!(host.hull(&["volume", "prune", "-f"]).ok().contains(&anonymous));
    assert_eq!(names(&host, "dangling=true"), "");
    host.hull(&["rm", "-f", "user"]).ok();
    assert!(!host.hull(&["volume", "prune", "-f"]).ok().contains("data"));
    let pruned = host.hull(&["volume", "prune", "-f", "-a"]).ok();
    assert!(pruned.contains("data") && pruned.ends_with("Total reclaimed space: 6B"), "{pruned}");
    assert_eq!(host.hull(&["volume", "ls", "-q"]).ok(), "");
    let refused = host.hull(&["volume", "rm", "data"]).fails(1);
    assert!(refused.contains("get data: no such volume"), "{refused}");
    host.hull(&["volume", "rm", "-f", "data"]).ok();
}

#[test]
fn a_volume_can_show_a_directory_of_the_host() {
    let host = Host::new();
    let shown = host.path().join("shown");
    let make = |device: &str| {
        let device = format!("device={device}");
        host.hull(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "bound"])
    };
    make(&shown.to_string_lossy()).ok();
    let refused = host.hull(&["run", "--rm", "-v", "bound:/x", "busybox", "true"]).fails(125);
    assert!(refused.contains("failed to mount local volume"), "{refused}");
    std::fs::create_dir(&shown).expect("mkdir");
    std::fs::write(shown.join("mine"), "seen").expect("write");
    assert_eq!(host.sh(&["-v", "bound:/x"], "cat /x/mine; touch /x/theirs"), "seen");
    assert!(shown.join("theirs").exists());
    host.hull(&["volume", "rm", "bound"]).ok();
    assert!(shown.join("mine").exists(), "what it showed is the host's");
}

#[test]
fn what_cannot_be_a_volume_is_refused() {
    let host = Host::new();
    for (body, status, sentence) in [
        (
            json!({"Name": "v2", "Driver": "foo"}),
            404,
            "create v2: error looking up volume plugin foo: plugin \"foo\" not found",
        ),
        (json!({"Name": "v2", "DriverOpts": {"foo": "bar"}}), 400, "create v2: invalid option: \"foo\""),
        (json!({"Name": "v2", "DriverOpts": {"type": "none"}}), 400, "create v2: missing required option: \"device\""),
        (json!({"Name": "v2", "DriverOpts": {"device": "/tmp"}}), 400, "create v2: missing required option: \"type\""),
        (json!({"Name": "v2", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}}), 501, "type=tmpfs,o="),
        (json!({"Name": "a/b"}), 400, "create a/b: \"a/b\" includes invalid characters for a local volume name"),
        (json!({"Name": "../../x"}), 400, "includes invalid characters"),
        (json!({"Name": "v2", "ClusterVolumeSpec": {}}), 501, "cluster volumes"),
    ] {
        let answer = host.api("POST", "/volumes/create", Some(&body.to_string()));
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.message().contains(sentence), "{body}: {}", answer.message());
    }
    for (method, target, status, sentence) in [
        ("GET", "/volumes/nope", 404, "get nope: no such volume"),
        ("GET", "/volumes/..", 404, "no such volume"),
        ("DELETE", "/volumes/%2e%2e%2fx", 404, "no such volume"),
        ("GET", "/volumes?filters=%7B%22foo%22:%7B%22x%22:true%7D%7D", 400, "invalid filter 'foo'"),
        ("GET", "/volumes?filters=%7B%22dangling%22:%7B%22x%22:true%7D%7D", 400, "invalid filter 'dangling=[x]'"),
        ("PUT", "/volumes/nope?version=1", 503, "volume update only valid for cluster volumes"),
    ] {
        let answer = host.api(method, target, None);
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert!(answer.message().contains(sentence), "{target}: {}", answer.message());
    }
    assert_eq!(host.hull(&["volume", "ls", "-q"]).ok(), "");
}
