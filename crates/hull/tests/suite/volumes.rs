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
fn filters_choose_volumes_and_what_is_pruned() {
    let host = Host::new();
    for (name, label) in [("one", "keep=1"), ("two", "keep=2"), ("other", "x")] {
        host.hull(&["volume", "create", "--label", label, name]).ok();
    }
    host.hull(&["create", "--name", "user", "-v", "one:/x", "busybox", "true"]).ok();
    for (filters, wanted) in [
        (&["driver=local"][..], "one\nother\ntwo"),
        (&["driver=nfs"], ""),
        (&["dangling=false"], "one"),
        (&["dangling=1", "label=keep"], "two"),
        (&["label=keep"], "one\ntwo"),
        (&["label=keep=1"], "one"),
        (&["label=keep", "label=x"], ""),
        (&["name=o", "label=keep"], "one\ntwo"),
        (&["name=one", "name=other"], "one\nother"),
    ] {
        let flags: Vec<String> = filters.iter().map(|filter| format!("--filter={filter}")).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        assert_eq!(host.hull(&[&["volume", "ls", "-q"], &flags[..]].concat()).ok(), wanted, "{filters:?}");
    }
    let left = |filter: &str| {
        host.hull(&["volume", "prune", "-af", "--filter", filter]).ok();
        host.hull(&["volume", "ls", "-q"]).ok()
    };
    assert_eq!(left("label=nosuch"), "one\nother\ntwo");
    assert_eq!(left("label!=keep"), "one\ntwo");
    assert_eq!(left("label=keep=2"), "one");
    host.hull(&["rm", "user"]).ok();
    assert_eq!(left("label=keep=1"), "");
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
        (
            json!({"Name": "v2", "DriverOpts": {"type": "nosuch", "device": "x"}}),
            400,
            "the kernel has no file system `nosuch`",
        ),
        (json!({"Name": "v2", "DriverOpts": {"type": "tmpfs", "device": "x", "size": "1m"}}), 501, "cannot be bounded"),
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

/// What a container sees mounted at /x, or nothing.
const MOUNTED: &str = "grep ' /x ' /proc/mounts || true";

#[test]
fn a_file_system_is_mounted_while_somebody_uses_the_volume() {
    let host = Host::new();
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=7,noexec"];
    host.hull(&[&["volume", "create"], &options[..], &["memory"]].concat()).ok();
    let table = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mountinfo");
    let before = table(host.engine_pid());
    host.sleeper(&["--name", "first", "-v", "memory:/x"]);
    host.hull(&["exec", "first", "sh", "-c", "echo shared > /x/file"]).ok();
    assert_eq!(table(host.engine_pid()), before, "the host sees it");
    let seen = host.sh(&["-v", "memory:/x:ro"], &format!("cat /x/file; stat -c %u /x; {MOUNTED}"));
    assert!(seen.starts_with("shared\n7\ntmpfs /x tmpfs ro,"), "{seen}");
    assert!(seen.contains("noexec") && seen.contains("size=1024k"), "{seen}");
    // Its engine may end.
    let engine = host.engine_pid();
    hull_testkit::run(std::process::Command::new("kill").args(["-9", &engine.to_string()]), b"").ok();
    hull_testkit::eventually("the next engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(host.sh(&["-v", "memory:/x"], "cat /x/file"), "shared");
    assert_eq!(host.hull(&["cp", "first:/x/file", "-"]).code, 0);
    host.hull(&["rm", "-f", "first"]).ok();
    assert_eq!(host.sh(&["-v", "memory:/x"], "ls /x"), "", "nobody used it: its content went with it");
    host.hull(&["create", "--name", "still", "-v", "memory:/x", "busybox", "true"]).ok();
    assert_eq!(host.hull(&["cp", "still:/x", "-"]).code, 0, "mounted for the copy");
    host.hull(&["rm", "still"]).ok();
    host.hull(&["volume", "rm", "memory"]).ok();
    host.assert_clean();
}

#[test]
fn a_keeper_that_is_killed_takes_no_mounted_volume_with_it() {
    let mut host = Host::new();
    let mount = "type=volume,source=memory,target=/x,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-label=a=b";
    host.sleeper(&["--name", "first", "--mount", mount]);
    host.hull(&["exec", "first", "sh", "-c", "echo kept > /x/file"]).ok();
    assert_eq!(host.hull(&["volume", "inspect", "-f", "{{.Options.type}} {{.Labels.a}}", "memory"]).ok(), "tmpfs b");
    let (keeper, engine) = (host.keeper_pid(), host.engine_pid());
    hull_testkit::run(std::process::Command::new("kill").args(["-9", &keeper.to_string()]), b"").ok();
    host.keeper_was_killed();
    hull_testkit::eventually("the next keeper has an engine", || host.answers() && host.engine_pid() != engine);
    assert_eq!(host.sh(&["-v", "memory:/x"], "cat /x/file"), "kept");
    host.hull(&["rm", "-f", "first"]).ok();
    host.hull(&["volume", "rm", "memory"]).ok();
}

#[test]
fn a_file_system_that_cannot_be_mounted_says_why() {
    let host = Host::new();
    for (options, sentence) in [
        (["type=tmpfs", "device=tmpfs", "o=bogus=3"], "Unknown parameter"),
        (["type=ext4", "device=/nosuch/device", "o="], "No such file or directory"),
    ] {
        let [kind, device, words] = options;
        host.hull(&["volume", "create", "-o", kind, "-o", device, "-o", words, "wrong"]).ok();
        let refused = host.hull(&["run", "--rm", "-v", "wrong:/x", "busybox", "true"]).fails(125);
        let told = refused.contains("error while mounting volume 'wrong': failed to mount local volume: mount");
        assert!(told && refused.to_lowercase().contains(&sentence.to_lowercase()), "{refused}");
        host.hull(&["volume", "rm", "wrong"]).ok();
    }
    let shown = host.path().join("shown");
    std::fs::create_dir(&shown).expect("mkdir");
    let device = format!("device={}", shown.display());
    host.hull(&["volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", &device, "fixed"]).ok();
    host.hull(&["run", "--rm", "-v", "fixed:/x", "busybox", "touch", "/x/new"]).fails(1);
    host.hull(&["volume", "rm", "fixed"]).ok();
    host.assert_clean();
}

#[test]
fn an_image_is_mounted_read_only_and_stays_while_it_is() {
    let host = Host::new();
    host.hull(&["create", "--name", "maker", "busybox", "true"]).ok();
    let archive = host.path().join("more.tar");
    let make =
        "mkdir -p d/data/sub && echo inside > d/data/sub/file && ln -s /data/sub d/way && tar -C d -cf more.tar .";
    hull_testkit::run(std::process::Command::new("sh").args(["-c", make]).current_dir(host.path()), b"").ok();
    host.hull_input(&["cp", "-", "maker:/"], &std::fs::read(&archive).expect("the archive")).ok();
    host.hull(&["commit", "maker", "more"]).ok();
    host.hull(&["rm", "maker"]).ok();
    let mount = |more: &str| format!("type=image,source=more,target=/x{more}");
    let see = |flags: &[&str], more: &str, script: &str| host.sh(&[&["--mount", &mount(more)], flags].concat(), script);
    // Its own files, two layers deep; nothing can be written.
    assert_eq!(
        see(&[], "", "cat /x/data/sub/file; ls -d /x/bin; touch /x/new 2>&1 | grep -o 'Read-only.*'"),
        "inside\n/x/bin\nRead-only file system"
    );
    assert_eq!(see(&[], ",image-subpath=data/sub", "ls /x"), "file");
    assert_eq!(see(&[], ",image-subpath=way/file", "cat /x"), "inside");
    assert_eq!(see(&["--userns", "auto"], "", "cat /x/data/sub/file; stat -c %u /x/data"), "inside\n0");
    for (more, sentence) in [
        (",image-subpath=nosuch", "cannot access path nosuch in image more: no such file or directory"),
        (",image-subpath=../x", "subpath must be a relative path within the volume"),
    ] {
        let refused = host.hull(&["run", "--rm", "--mount", &mount(more), "busybox", "true"]).fails(125);
        assert!(refused.contains(sentence), "{refused}");
    }
    let absent = host.hull(&["create", "--mount", "type=image,source=nosuch,target=/x", "busybox", "true"]).fails(1);
    assert!(absent.contains("no such image: nosuch"), "{absent}");
    host.sleeper(&["--name", "user", "--mount", &mount("")]);
    let shown = host.inspect("user")["Mounts"][0].clone();
    assert_eq!((&shown["Type"], &shown["Name"], &shown["RW"]), (&json!("image"), &json!("more"), &json!(false)));
    assert!(host.hull(&["rmi", "more"]).fails(1).contains("is using"), "it is in use");
    assert_eq!(host.hull(&["cp", "user:/x/data/sub/file", "-"]).code, 0);
    host.hull(&["stop", "-t", "0", "user"]).ok();
    assert_eq!(host.hull(&["cp", "user:/x/data/sub/file", "-"]).code, 0, "of one that rests, too");
    host.hull(&["rm", "user"]).ok();
    host.hull(&["rmi", "more"]).ok();
    host.assert_clean();
}
