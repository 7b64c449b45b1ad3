//! A registry that lies, stalls, truncates and sends elsewhere: nothing is tagged, nothing leaks, and what can be
//! resumed is.

use std::fs;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use hull_testkit::{Host, Settings, eventually, request, run};

const HERE: &str = "127.0.0.1:5000";

fn host(etc: &tempfile::TempDir) -> Host {
    patient_host(etc, 60)
}

/// A host whose engine gives a silent registry so many seconds.
fn patient_host(etc: &tempfile::TempDir, seconds: u32) -> Host {
    fs::write(etc.path().join("registries.json"), format!(r#"{{"patience":{seconds}}}"#)).expect("write");
    let env = vec![("HULL_ETC".to_owned(), etc.path().to_string_lossy().into_owned())];
    Host::with(&Settings { env, ..Settings::default() })
}

/// What is on its way in, in the store; what is on its way out is of no concern.
fn on_its_way(host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.root().join("content/ingest")).expect("the store");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with("gone-")).collect()
}

fn blobs(host: &Host) -> usize {
    fs::read_dir(host.root().join("content/blobs/sha256")).expect("the store").count()
}

#[test]
fn nothing_of_a_misbehaving_registrys_image_becomes_visible() {
    let rows = [
        ("truncates", "broke off"),
        ("wrong", "has digest"),
        ("endless", "more bytes"),
        ("both", "index and a manifest at once"),
        ("huge", "more than 4194304 bytes"),
        ("foreign", "foreign layers"),
        ("small", "bytes"),
        ("file", "neither https nor http"),
        ("circle", "circle"),
        ("limited", "toomanyrequests"),
        ("limited", "try again in 60 minutes"),
    ];
    nothing_becomes_visible(60, &rows);
    nothing_becomes_visible(2, &[("stalls", "silent")]);
}

/// Each mode's pull fails with these words, by an engine with so much patience.
fn nothing_becomes_visible(patience: u32, rows: &[(&str, &str)]) {
    let etc = tempfile::tempdir().expect("a directory");
    let host = patient_host(&etc, patience);
    let registry = host.hostile_registry();
    let before = (host.hull(&["images", "-aq"]).ok(), blobs(&host));
    for (mode, part) in rows {
        let out = host.hull(&["pull", &format!("{HERE}/{mode}/x:1")]);
        assert_eq!(out.code, 1, "{mode}: {}{}", out.stdout, out.stderr);
        assert!(out.stderr.contains(part), "{mode}: {}", out.stderr);
        assert!(out.stderr.lines().count() <= 3, "{mode}: {}", out.stderr);
        assert_eq!((host.hull(&["images", "-aq"]).ok(), blobs(&host)), before, "{mode}");
        // A beginning may stay to be resumed; never more than one per blob.
        let left = on_its_way(&host);
        assert!(left.len() <= 1 && left.iter().all(|name| name.starts_with("partial-")), "{mode}: {left:?}");
    }
    drop(registry);
}

#[test]
fn credentials_stay_with_the_registry_that_they_are_for() {
    let etc = tempfile::tempdir().expect("a directory");
    let host = host(&etc);
    let registry = host.hostile_registry();
    fs::create_dir_all(host.path().join("docker")).expect("mkdir");
    let config = format!(r#"{{"auths":{{"{HERE}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#);
    fs::write(host.path().join("docker/config.json"), config).expect("write");
    // Redirected to another host, the layer comes and the password does not go.
    host.hull(&["pull", "-q", &format!("{HERE}/basic/x:1")]).ok();
    let err = host.hull(&["pull", &format!("{HERE}/realm/x:1")]).fails(1);
    assert!(err.contains("no kin of the registry"), "{err}");
    let requests = registry.requests();
    let elsewhere: Vec<_> = requests.iter().filter(|request| request["host"] == "127.0.0.2").collect();
    assert!(elsewhere.iter().any(|request| request["path"].as_str().is_some_and(|path| path.starts_with("/blob/"))));
    assert!(elsewhere.iter().all(|request| request["auth"].is_null()), "{elsewhere:?}");
    assert!(requests.iter().any(|request| request["auth"] == "Basic bWU6c2VjcmV0"), "the registry itself got it");
}

#[test]
fn ranges_are_used_resumed_and_not_believed() {
    let etc = tempfile::tempdir().expect("a directory");
    let host = host(&etc);
    let registry = host.hostile_registry();
    for mode in ["liar", "large", "flaky"] {
        host.hull(&["pull", "-q", &format!("{HERE}/{mode}/x:1")]).ok();
        host.hull(&["rmi", "-f", &format!("{HERE}/{mode}/x:1")]).ok();
        assert_eq!(on_its_way(&host), Vec::<String>::new(), "{mode}");
    }
    let starts = |mode: &str| -> Vec<u64> {
        let of = |path: &str| path.starts_with(&format!("/v2/{mode}/")) && path.contains("/blobs/");
        let all = registry.requests().into_iter().filter(|request| request["path"].as_str().is_some_and(of));
        let start = |range: &str| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok();
        all.filter_map(|request| start(request["range"].as_str()?)).collect()
    };
    assert!(starts("large").len() >= 5, "a large blob comes in parts: {:?}", starts("large"));
    let resumed = starts("flaky").iter().any(|start| start % (4 << 20) != 0);
    assert!(resumed, "what broke off in the middle of a part was resumed there: {:?}", starts("flaky"));
}

#[test]
fn a_hundred_pulls_of_one_blob_share_one_download_and_one_may_be_killed() {
    let etc = tempfile::tempdir().expect("a directory");
    let host = host(&etc);
    let registry = host.hostile_registry();
    let target = format!("/images/create?fromImage={HERE}/slow/x&tag=1");
    let ask = request("POST", &target, None);
    let mut first = host.dial();
    first.write_all(&ask).expect("sent");
    let mut head = [0; 64];
    first.read_exact(&mut head).expect("it began");
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = host.dial();
                    stream.set_read_timeout(Some(Duration::from_secs(110))).expect("a timeout");
                    stream.write_all(&ask).expect("sent");
                    let mut text = String::new();
                    stream.read_to_string(&mut text).expect("an answer");
                    text
                })
            })
            .collect();
        // The one that was first, and makes the image, is killed.
        eventually("the blob is on its way", || on_its_way(&host).iter().any(|name| name.starts_with("partial-")));
        drop(first);
        for pull in pulls {
            let text = pull.join().expect("a pull");
            assert!(text.contains("Status: "), "{text}");
        }
    });
    assert_eq!(on_its_way(&host), Vec::<String>::new());
    let layer = |request: &serde_json::Value| {
        request["path"].as_str().is_some_and(|path| path.contains("/blobs/")) && !request["range"].is_null()
    };
    let parts = registry.requests().iter().filter(|request| layer(request)).count();
    // 20 MiB in parts of 4 MiB are six, and those in flight when the first was killed may come again.
    assert!(parts <= 12, "{parts} parts were fetched");
    let peak = host.engine_peak();
    assert!(peak < 128, "the engine had {peak} MiB at its peak");
}

#[test]
fn an_interrupted_pull_leaves_nothing_visible_and_is_resumed_by_the_next_engine() {
    let etc = tempfile::tempdir().expect("a directory");
    let host = host(&etc);
    let registry = host.hostile_registry();
    let before = host.hull(&["images", "-aq"]).ok();
    let engine = host.engine_pid();
    let mut pull = host.command("hull").args(["pull", &format!("{HERE}/slow/x:1")]).spawn().expect("hull");
    let begun = || {
        let place = host.root().join("content/ingest");
        let sizes = fs::read_dir(place).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
        sizes.map(|meta| meta.len()).any(|size| size >= 4 << 20)
    };
    eventually("some of it has come", begun);
    std::process::Command::new("kill").args(["-9", &engine.to_string()]).status().expect("kill");
    let _ = pull.wait();
    let until = Instant::now() + hull_testkit::patience();
    while !host.answers() && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(host.hull(&["images", "-aq"]).ok(), before);
    let asked = registry.requests().len();
    host.hull(&["pull", "-q", &format!("{HERE}/slow/x:1")]).ok();
    let later = registry.requests().split_off(asked);
    let from_start = later.iter().any(|request| {
        request["path"].as_str().is_some_and(|path| path.contains("/blobs/"))
            && request["range"].as_str().is_some_and(|range| range.starts_with("bytes=0-"))
    });
    assert!(!from_start, "it went on where it stood: {later:?}");
    assert_eq!(on_its_way(&host), Vec::<String>::new());
}

#[test]
fn what_was_left_of_a_blob_is_not_believed_to_be_its_beginning() {
    let etc = tempfile::tempdir().expect("a directory");
    let host = host(&etc);
    let registry = host.hostile_registry();
    let name = format!("{HERE}/honest/x:1");
    let manifest: serde_json::Value =
        serde_json::from_str(&host.hull(&["manifest", "inspect", &name]).ok()).expect("JSON");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("SHA-256");
    let left = host.root().join(format!("content/ingest/partial-{layer}"));
    fs::write(left, vec![b'x'; 300_000]).expect("write");
    host.hull(&["pull", "-q", &name]).ok();
    assert!(host.hull(&["image", "check"]).ok().contains(" 0 broken"));
    assert_eq!(on_its_way(&host), Vec::<String>::new());
    let asked = |from: &str| {
        registry.requests().iter().any(|request| request["range"].as_str().is_some_and(|range| range.starts_with(from)))
    };
    assert!(asked("bytes=300000-"), "it was tried: {:?}", registry.requests());
}

#[test]
fn no_step_down_from_https_to_http_is_taken() {
    let etc = tempfile::tempdir().expect("a directory");
    // Even where the plain address may be spoken to.
    fs::write(etc.path().join("registries.json"), r#"{"patience":60,"insecure":["10.77.0.1:5000"]}"#).expect("write");
    let env = vec![("HULL_ETC".to_owned(), etc.path().to_string_lossy().into_owned())];
    let setup = "ip addr add 10.77.0.1/32 dev lo".to_owned();
    let host = Host::with(&Settings { env, setup, ..Settings::default() });
    let certs = etc.path().join("certs.d/10.77.0.1:5443");
    fs::create_dir_all(&certs).expect("mkdir");
    let (cert, key) = (certs.join("ca.crt"), etc.path().join("key"));
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=x", "-addext", "subjectAltName=IP:10.77.0.1"]).arg("-keyout").arg(&key);
    run(openssl.arg("-out").arg(&cert), b"").ok();
    let secure = format!("10.77.0.1:5443={},{}", cert.display(), key.display());
    let registry = host.hostile_registry_at(&["10.77.0.1:5000".to_owned(), secure]);
    // That the addresses are right is shown by what is allowed.
    host.hull(&["pull", "-q", "10.77.0.1:5000/downgrade/x:1"]).ok();
    host.hull(&["rmi", "10.77.0.1:5000/downgrade/x:1"]).ok();
    let plain = || registry.requests().iter().filter(|asked| asked["path"].as_str().is_some_and(is_led_to)).count();
    let before = plain();
    assert!(before > 0);
    for mode in ["downgrade", "plainrealm"] {
        let err = host.hull(&["pull", &format!("10.77.0.1:5443/{mode}/x:1")]).fails(1);
        assert!(err.contains("a step down from https to http"), "{mode}: {err}");
    }
    assert_eq!(plain(), before);
}

/// Only who follows a redirect or a realm asks for these.
fn is_led_to(path: &str) -> bool {
    path.starts_with("/blob/") || path.starts_with("/token")
}
