//! diff, commit, export, save, prune, df and check, at the command line and by docker's endpoints.

use std::fs;
use std::process::Command;

use hull_testkit::{Host, run};

/// A container that changed something of every kind.
const CHANGES: &str = "echo more >> /etc/passwd; rm /etc/group; mkdir /made; echo x > /made/file; ln /made/file /made/hard; \
    ln -s file /made/soft; rm -r /home; mkdir /home; chmod 4755 /made/file; mkfifo /made/fifo";

fn changed(host: &Host, name: &str) {
    host.hull(&["run", "--name", name, "busybox", "sh", "-c", CHANGES]).ok();
}

#[test]
fn diff_tells_what_docker_tells_and_nothing_for_a_container_that_changed_nothing() {
    let host = Host::new();
    host.hull(&["run", "--name", "quiet", "busybox", "true"]).ok();
    assert_eq!(host.hull(&["diff", "quiet"]).ok(), "");
    changed(&host, "loud");
    let expected = [
        "C /etc",
        "D /etc/group",
        "C /etc/passwd",
        "C /home",
        "D /home/app",
        "A /made",
        "A /made/fifo",
        "A /made/file",
        "A /made/hard",
        "A /made/soft",
    ];
    let told = host.hull(&["diff", "loud"]).ok();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let err = host.hull(&["diff", "nobody"]).fails(1);
    assert!(err.contains("nobody"), "{err}");
    host.assert_clean();
}

#[test]
fn a_committed_image_is_the_container_as_it_was() {
    let host = Host::new();
    changed(&host, "from");
    let id = host
        .hull(&[
            "commit",
            "-a",
            "me",
            "-m",
            "why",
            "-c",
            "CMD [\"cat\",\"/made/hard\"]",
            "-c",
            "ENV A=b",
            "from",
            "made:1",
        ])
        .ok();
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(host.hull(&["run", "--rm", "made:1"]).ok(), "x");
    let look = "cd /; ls -lA /made /home /etc | grep -v total; tail -1 /etc/passwd; stat -c %h /made/file";
    let seen = host.hull(&["run", "--rm", "made:1", "sh", "-c", look]).ok();
    assert!(seen.contains("more") && seen.ends_with('2') && !seen.contains("group"), "{seen}");
    let image = host.inspect("made:1");
    assert_eq!((image["Author"].as_str(), image["Comment"].as_str()), (Some("me"), Some("why")));
    assert!(host.hull(&["history", "made:1"]).ok().contains("why"));
    // The exported trees of both are one.
    host.hull(&["create", "--name", "again", "made:1"]).ok();
    let (one, two) = (host.path().join("one.tar"), host.path().join("two.tar"));
    host.hull(&["export", "-o", &one.to_string_lossy(), "from"]).ok();
    host.hull(&["export", "-o", &two.to_string_lossy(), "again"]).ok();
    let list = |file: &std::path::Path| {
        let told = run(Command::new("tar").args(["--full-time", "-tvf"]).arg(file), b"").ok();
        // What starting made for its mounts is in the first one only; a directory's time is when it was touched.
        // What every container has is none of the image's.
        let made = |line: &str| [" etc/", " dev/", " .dockerenv"].iter().any(|place| line.contains(place));
        let own = |line: &&str| line.starts_with(['-', 'h', 'l', 'p']) && !made(line);
        // tar makes a column as wide as what it has met: a time of few digits in the first line changes all others.
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        told.lines().filter(own).map(words).collect::<Vec<_>>()
    };
    assert_eq!(list(&one), list(&two));
    host.assert_clean();
}

#[test]
fn a_running_container_is_paused_for_a_commit_and_goes_on() {
    let host = Host::new();
    let id = host.sleeper(&["--name", "busy"]);
    host.hull(&["exec", "busy", "sh", "-c", "echo now > /now"]).ok();
    host.hull(&["commit", "busy", "frozen"]).ok();
    assert_eq!(host.hull(&["run", "--rm", "frozen", "cat", "/now"]).ok(), "now");
    assert_eq!(host.inspect(&id)["State"]["Status"], "running");
    host.hull(&["commit", "--pause=false", "busy", "loose"]).ok();
    let err = host.hull(&["commit", "-c", "RUN x", "busy"]).fails(1);
    assert!(err.contains("RUN x"), "{err}");
    let err = host.hull(&["commit", "nobody"]).fails(1);
    assert!(err.contains("nobody"), "{err}");
}

#[test]
fn a_commit_in_a_user_namespace_has_the_ids_inside() {
    let host = Host::new();
    let made =
        host.hull(&["run", "--userns", "auto", "--name", "mapped", "busybox", "sh", "-c", "echo x > /f; chown 7:8 /f"]);
    if made.code != 0 && made.stderr.contains("user namespace") {
        // The kernel or the file system has no idmapped mounts: `run` said so.
        return;
    }
    made.ok();
    host.hull(&["commit", "mapped", "inside"]).ok();
    assert_eq!(host.hull(&["run", "--rm", "inside", "stat", "-c", "%u:%g", "/f"]).ok(), "7:8");
    assert_eq!(host.hull(&["diff", "mapped"]).ok(), "A /f");
}

#[test]
fn save_and_load_bring_images_from_one_engine_to_another() {
    let host = Host::new();
    changed(&host, "from");
    host.hull(&["commit", "from", "made:1"]).ok();
    let file = host.path().join("both.tar");
    host.hull(&["save", "-o", &file.to_string_lossy(), "made:1", "busybox"]).ok();
    let streamed = host.command("hull").args(["save", "made:1", "busybox"]).output().expect("hull runs").stdout;
    assert_eq!(streamed, fs::read(&file).expect("written"));
    let other = Host::new();
    let said = other.hull(&["load", "-i", &file.to_string_lossy()]).ok();
    assert!(said.contains("Loaded image: made:1") && said.contains("Loaded image: busybox:latest"), "{said}");
    assert_eq!(other.hull(&["run", "--rm", "made:1", "cat", "/made/hard"]).ok(), "x");
    // A name that does not exist leaves no file behind, not even half of one.
    let nothing = host.path().join("nothing.tar");
    host.hull(&["save", "-o", &nothing.to_string_lossy(), "made:1", "nobody"]).fails(1);
    let left = fs::read_dir(host.path())
        .expect("dir")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains("nothing")));
    assert_eq!(left.count(), 0);
}

#[test]
fn pruning_spares_what_is_used_and_frees_what_df_promised() {
    let host = Host::new();
    changed(&host, "stopped");
    let up = host.sleeper(&["--name", "up"]);
    host.hull(&["commit", "stopped", "made:1"]).ok();
    host.hull(&["commit", "stopped", "made:1"]).ok();
    let images = host.hull(&["images", "-q", "--filter", "dangling=true"]).ok();
    assert_eq!(images.lines().count(), 1, "the first one lost its name: {images}");
    assert!(host.hull(&["images", "-q", "--filter", "until=24h"]).ok().is_empty());
    let table = host.hull(&["system", "df"]).ok();
    assert!(table.starts_with("TYPE") && table.contains("RECLAIMABLE"), "{table}");
    assert!(host.hull(&["system", "df", "-v"]).ok().contains("UNIQUE SIZE"));
    // Without a yes nothing happens.
    let asked = host.hull_input(&["system", "prune"], b"n\n").ok();
    assert!(asked.contains("[y/N]"), "{asked}");
    assert_eq!(host.hull(&["ps", "-aq"]).ok().lines().count(), 2);
    assert!(host.hull(&["image", "prune", "-f"]).ok().contains("deleted: sha256:"));
    let said = host.hull(&["system", "prune", "-f", "-a"]).ok();
    assert!(said.contains("Deleted Containers:") && said.contains("untagged: made:1"), "{said}");
    assert_eq!(host.hull(&["ps", "-aq", "--no-trunc"]).ok(), up);
    assert!(host.hull(&["images"]).ok().contains("busybox"), "the running container's image stays");
    let err = host.hull(&["image", "prune", "-f", "--filter", "colour=red"]).fails(1);
    assert!(err.contains("colour"), "{err}");
}

#[test]
fn image_check_finds_and_repairs_a_flipped_byte() {
    let host = Host::new();
    assert!(host.hull(&["image", "check"]).ok().contains(" 0 broken"));
    let layers = host.root().join("layers");
    let layer = fs::read_dir(&layers).expect("layers").next().expect("one").expect("readable").path();
    let file = layer.join("fs/etc/passwd");
    let whole = fs::read(&file).expect("passwd");
    fs::write(&file, [b"x", &whole[..]].concat()).expect("write");
    let told = host.hull(&["image", "check"]);
    assert!(told.stdout.contains("broken: layer") && told.stdout.contains("busybox"), "{}", told.stdout);
    host.hull(&["image", "check"]).fails(1);
    assert!(host.hull(&["image", "check", "--repair"]).ok().contains("repaired: layer"));
    assert_eq!(fs::read(&file).expect("passwd"), whole);
    assert!(host.hull(&["image", "check"]).ok().contains(" 0 broken"));
}

#[test]
fn a_hostile_configuration_is_refused_or_confined() {
    let host = Host::new();
    let layer = hull_testkit::busybox_tar();
    let digest = "import hashlib,sys;print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())";
    let diff_id = run(Command::new("python3").args(["-c", digest]).arg(&layer), b"").ok();
    let canary = host.path().join("canary");
    let up = format!("/../../../../../../../../{}", canary.display());
    let rows = [
        ("user", r#"{"User":"4294967296"}"#.to_owned()),
        ("nul", r#"{"Env":["A\u0000B=1"]}"#.to_owned()),
        ("line", r#"{"Env":["A=1\nLD_PRELOAD=/x"],"Labels":{"a\nb":"\u0000"}}"#.to_owned()),
        ("nameless", r#"{"Env":["=x","","NOVALUE"]}"#.to_owned()),
        ("fd", r#"{"WorkingDir":"/proc/self/fd/7"}"#.to_owned()),
        ("up", format!(r#"{{"WorkingDir":"{up}"}}"#)),
        ("volume", format!(r#"{{"Volumes":{{"{up}":{{}}}}}}"#)),
        ("odd", r#"{"Volumes":{"":{},"relative":{},"/proc":{},"/":{}}}"#.to_owned()),
        ("empty", r#"{"Entrypoint":[""],"Cmd":["",""]}"#.to_owned()),
        ("signal", r#"{"StopSignal":"SIGNONE","ExposedPorts":{"99999/tcp":{},"x":{}}}"#.to_owned()),
    ];
    for (name, config) in rows {
        let dir = host.path().join(name);
        fs::create_dir_all(&dir).expect("mkdir");
        fs::copy(&layer, dir.join("layer.tar")).expect("copy");
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
        );
        fs::write(dir.join("config.json"), text).expect("write");
        let items = format!(r#"[{{"Config":"config.json","RepoTags":["hostile:{name}"],"Layers":["layer.tar"]}}]"#);
        fs::write(dir.join("manifest.json"), items).expect("write");
        let file = dir.with_extension("tar");
        run(Command::new("tar").arg("-C").arg(&dir).arg("-cf").arg(&file).arg("."), b"").ok();
        if host.hull(&["load", "-i", &file.to_string_lossy()]).code != 0 {
            continue;
        }
        let ran = host.hull(&["run", "--rm", &format!("hostile:{name}"), "/bin/id", "-u"]);
        let refused = matches!(ran.code, 125..=127);
        assert!(refused || ran.stdout.trim() == "0", "{name}: {} {}{}", ran.code, ran.stdout, ran.stderr);
        if matches!(name, "user" | "fd") {
            assert!(refused, "{name}: {}", ran.stdout);
        }
        assert!(host.hull(&["images"]).ok().contains("hostile"), "the engine goes on after {name}");
        assert!(!canary.exists(), "{name}");
    }
    host.assert_clean();
}
