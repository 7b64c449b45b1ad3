//! import, load, images, rmi: what an archive becomes, and what is refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use hull_testkit::{Host, run};

const DIGEST: &str = "import hashlib,sys;print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())";

fn sha256(path: &Path) -> String {
    run(Command::new("python3").args(["-c", DIGEST]).arg(path), b"").ok()
}

fn tar(tree: &Path, out: &Path) {
    run(Command::new("tar").args(["--owner=0", "--group=0", "-C"]).arg(tree).arg("-cf").arg(out).arg("."), b"").ok();
}

/// A docker archive of busybox plus a layer that adds a file, hides one and empties a directory.
fn archive(host: &Host, wrong_diff_id: bool) -> std::path::PathBuf {
    let dir = host.path().join("archive");
    let upper = host.path().join("upper");
    fs::create_dir_all(upper.join("added")).expect("mkdir");
    fs::create_dir_all(upper.join("etc")).expect("mkdir");
    fs::create_dir_all(upper.join("home")).expect("mkdir");
    fs::write(upper.join("added/file"), "two layers\n").expect("write");
    fs::write(upper.join("etc/.wh.group"), "").expect("write");
    fs::write(upper.join("home/.wh..wh..opq"), "").expect("write");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::copy(hull_testkit::busybox_tar(), dir.join("1.tar")).expect("copy");
    tar(&upper, &dir.join("2.tar"));
    let (one, mut two) = (sha256(&dir.join("1.tar")), sha256(&dir.join("2.tar")));
    if wrong_diff_id {
        two = "0".repeat(64);
    }
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin","FROM=config"],"Cmd":["cat","/added/file"],"WorkingDir":"/added","User":"app","Labels":{{"a":"b"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{one}","sha256:{two}"]}},"history":[{{"created_by":"one"}},{{"created_by":"two"}}]}}"#
    );
    fs::write(dir.join("config.json"), config).expect("write");
    fs::write(
        dir.join("manifest.json"),
        r#"[{"Config":"config.json","RepoTags":["layered:1"],"Layers":["1.tar","2.tar"]}]"#,
    )
    .expect("write");
    let out = host.path().join("image.tar");
    tar(&dir, &out);
    out
}

#[test]
fn a_docker_archive_is_loaded_and_its_config_honoured() {
    let host = Host::new();
    let file = archive(&host, false);
    let said = host.hull(&["load", "-i", &file.to_string_lossy()]).ok();
    assert_eq!(said, "Loaded image: layered:1");
    assert_eq!(host.hull(&["run", "--rm", "layered:1"]).ok(), "two layers");
    let seen = host.hull(&["run", "--rm", "layered:1", "sh", "-c", "echo $FROM; pwd; ls -A /home; ls /etc"]).ok();
    assert_eq!(seen, "config\n/added\nhostname\nhosts\nmtab\npasswd\nresolv.conf");
    let image = host.inspect("layered:1");
    assert_eq!(image["Config"]["Labels"]["a"], "b");
    assert_eq!(image["RootFS"]["Layers"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_compressed_archive_is_loaded_from_stdin() {
    let host = Host::new();
    let file = archive(&host, false);
    for tool in ["gzip", "zstd"] {
        let packed = Command::new(tool).arg("-c").arg(&file).output().expect("installed").stdout;
        assert_eq!(host.hull_input(&["load"], &packed).ok(), "Loaded image: layered:1", "{tool}");
    }
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused() {
    let host = Host::new();
    let file = archive(&host, true);
    let err = host.hull(&["load", "-i", &file.to_string_lossy()]).fails(1);
    assert!(err.contains("sha256:0000"), "{err}");
    assert!(!host.hull(&["images"]).ok().contains("layered"), "nothing was tagged");
}

#[test]
fn import_takes_changes_and_images_lists_it() {
    let host = Host::new();
    let tar = hull_testkit::busybox_tar();
    let id = host
        .hull(&[
            "import",
            "--change",
            "CMD [\"echo\",\"changed\"]",
            "--change",
            "ENV A=b",
            "-m",
            "why",
            &tar.to_string_lossy(),
            "mine:2",
        ])
        .ok();
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(host.hull(&["run", "--rm", "mine:2"]).ok(), "changed");
    let table = host.hull(&["images"]).ok();
    assert!(table.starts_with("REPOSITORY") && table.contains("mine") && !table.contains("hull/host"), "{table}");
    assert_eq!(host.hull(&["images", "-q", "--no-trunc", "mine"]).ok(), id);
    assert!(host.hull(&["history", "mine:2"]).ok().contains("why"));
}

#[test]
fn rmi_untags_then_deletes_and_refuses_what_is_in_use() {
    let host = Host::new();
    host.hull(&["tag", "busybox", "other:tag"]).ok();
    assert_eq!(host.hull(&["rmi", "other:tag"]).ok(), "Untagged: other:tag");
    host.hull(&["create", "--name", "user", "busybox", "true"]).ok();
    let err = host.hull(&["rmi", "busybox"]).fails(1);
    assert!(err.contains("user") || err.contains("container"), "{err}");
    host.hull(&["rm", "user"]).ok();
    assert!(host.hull(&["rmi", "busybox"]).ok().contains("Deleted: sha256:"));
    assert_eq!(host.hull(&["images", "busybox", "-q"]).ok(), "");
    // What is built in cannot be removed, and is in no list of what to remove.
    assert!(host.hull(&["rmi", "hull/host"]).fails(1).contains("hull/host"));
    assert_eq!(host.hull(&["images", "-aq"]).ok(), "");
    assert_eq!(host.hull(&["images", "hull/host", "--format", "{{.Repository}}"]).ok(), "hull/host");
    assert_eq!(host.hull(&["info", "--format", "{{.Images}}"]).ok(), "0");
    assert_eq!(host.hull(&["run", "--rm", "hull/host", "echo", "here"]).ok(), "here");
}

#[test]
fn garbage_is_not_an_image() {
    let host = Host::new();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"hello there, this is no archive"),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00rubbish"),
    ] {
        let out = host.hull_input(&["load"], bytes);
        assert_eq!(out.code, 1, "{name}: {}", out.stdout);
        assert!(out.stderr.lines().count() <= 3, "{name}: {}", out.stderr);
    }
}
