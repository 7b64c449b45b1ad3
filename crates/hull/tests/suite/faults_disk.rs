//! Disks that fail or are full, operation by operation: each is refused with a sentence and undone, and
//! what only reads or removes goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hull_testkit::{Host, Inject, Out, Settings, busybox_tar, eventually, kill9, run};

const FAILING: &[&str] = &["input/output error", "i/o error"];
const FULL: &[&str] = &["no space left", "is full"];

/// The containers with their states, and the images with their names.
fn picture(host: &Host) -> String {
    let containers = host.hull(&["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"]).ok();
    let images = host.hull(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]).ok();
    let mut lines: Vec<&str> = containers.lines().chain(images.lines()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A docker archive with busybox as its only layer.
fn archive(host: &Host) -> String {
    let dir = host.path().join("archive");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::copy(busybox_tar(), dir.join("1.tar")).expect("copy");
    let digest = run(Command::new("sha256sum").arg(dir.join("1.tar")), b"").ok()[..64].to_owned();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["true"],"Labels":{{"by":"load"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
    );
    fs::write(dir.join("config.json"), config).expect("write");
    let manifest = r#"[{"Config":"config.json","RepoTags":["loaded:1"],"Layers":["1.tar"]}]"#;
    fs::write(dir.join("manifest.json"), manifest).expect("write");
    let out = host.path().join("image.tar");
    run(Command::new("tar").arg("-C").arg(&dir).arg("-cf").arg(&out).arg("."), b"").ok();
    out.to_string_lossy().into_owned()
}

/// One of each kind.
fn furnish(host: &Host) {
    host.hull(&["create", "--name", "made", "-v", "/data", "busybox", "true"]).ok();
    host.hull(&["create", "--name", "lasting", "--restart", "always", "busybox", "sleep", "1000"]).ok();
    host.sleeper(&["--name", "up"]);
    host.hull(&["tag", "busybox", "second:1"]).ok();
}

/// Every operation that acknowledges a change, and that leaves things as they were when it fails.
fn operations(archive: &str) -> Vec<Vec<String>> {
    let busybox = busybox_tar().to_string_lossy().into_owned();
    let rows: [&[&str]; 11] = [
        &["create", "--name", "not", "-v", "/data", "busybox", "true"],
        &["rename", "made", "not"],
        &["update", "--memory", "64m", "--memory-swap", "64m", "made"],
        &["rm", "-v", "made"],
        &["tag", "busybox", "not:1"],
        &["rmi", "second:1"],
        &["load", "-i", archive],
        &["import", &busybox, "not:2"],
        &["import", "-c", "ENV A=b", &busybox, "busybox"],
        &["start", "lasting"],
        &["restart", "lasting"],
    ];
    rows.iter().map(|row| row.iter().map(|word| (*word).to_owned()).collect()).collect()
}

fn hull(host: &Host, words: &[String]) -> Out {
    host.hull(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_disk_that_cannot_sync_fails_each_operation_and_undoes_it() {
    let host = Host::new();
    furnish(&host);
    let archive = archive(&host);
    let before = picture(&host);
    {
        let faults = ["fsync:error=EIO", "fdatasync:error=EIO", "syncfs:error=EIO"];
        let inject = Inject::attach(host.engine_pid(), &faults).expect("the engine lives");
        for operation in operations(&archive) {
            let at = operation.join(" ");
            hull(&host, &operation).refuses(&at, FAILING);
            let unchanged = || picture(&host).replace("lasting exited", "lasting created") == before;
            eventually(&format!("{at}: everything is as before"), unchanged);
        }
        // It has ended all the same: that is said, and so is what the disk did not take.
        let stop = host.hull(&["stop", "-t", "0", "up"]);
        stop.refuses("stop", FAILING);
        assert!(stop.stderr.contains("does not run any more"), "{}", stop.stderr);
        assert_eq!(host.inspect("up")["State"]["ExitCode"], 137);
        assert!(inject.count() > 10, "nothing was injected");
    }
    // The same is true for the next engine, and on a disk that works everything works.
    kill9(host.engine_pid());
    assert_eq!(host.inspect("up")["State"]["ExitCode"], 137, "{}", host.log());
    for operation in operations(&archive).iter().filter(|operation| operation[0] != "import") {
        hull(&host, operation);
    }
    assert_eq!(host.inspect("lasting")["State"]["Running"], true);
    assert_eq!(host.inspect("loaded:1")["Config"]["Labels"]["by"], "load");
    assert_eq!(host.hull(&["ps", "-aq", "--filter", "name=made"]).ok(), "");
    for name in ["not:1", "loaded:1", "second:1"] {
        host.hull(&["rmi", name]);
    }
    host.assert_clean();
}

/// The engine's root, which is mounted where only it sees it.
fn root(host: &Host) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", host.engine_pid(), host.root().display()))
}

/// Takes every byte, or with `inodes` every inode, that is left.
fn fill(root: &Path, inodes: bool) {
    let filler = root.join("filler");
    fs::create_dir(&filler).expect("mkdir");
    if inodes {
        (0..).map(|n| fs::File::create(filler.join(format!("{n}")))).find(Result::is_err);
        return;
    }
    for block in ["64k", "4k", "1"] {
        let out = filler.join(block);
        let copy = run(
            Command::new("dd").arg("if=/dev/zero").arg(format!("bs={block}")).arg(format!("of={}", out.display())),
            b"",
        );
        assert_ne!(copy.code, 0, "there was no end to the room");
    }
}

#[test]
fn without_room_or_inodes_each_operation_is_refused_and_rm_goes_on() {
    for inodes in [false, true] {
        let what = if inodes { "no inodes" } else { "no room" };
        let size = if inodes { "64m,nr_inodes=1500" } else { "32m" };
        let host = Host::with(&Settings { root_size: Some(size.into()), ..Settings::default() });
        furnish(&host);
        for n in 0..8 {
            host.hull(&["create", "--name", &format!("more{n}"), "-v", "/data", "busybox", "true"]).ok();
        }
        let archive = archive(&host);
        fill(&root(&host), inodes);
        let mut refused = 0;
        for operation in operations(&archive) {
            let at = format!("{what}: {}", operation.join(" "));
            let before = picture(&host);
            let out = hull(&host, &operation);
            if out.code == 0 {
                // There was room for it; the next ones want what it changed.
                for undo in [&["rm", "-v", "not"][..], &["create", "--name", "made", "busybox", "true"]] {
                    host.hull(undo);
                }
            } else {
                refused += 1;
                out.refuses(&at, FULL);
                let unchanged = || picture(&host).replace("lasting exited", "lasting created") == before;
                eventually(&format!("{at}: everything is as before"), unchanged);
            }
        }
        assert!(refused >= 3, "{what}: only {refused} were refused");
        // Removing takes no room; nor does the next engine's start.
        for n in 0..4 {
            host.hull(&["rm", "-v", &format!("more{n}")]).ok();
        }
        kill9(host.engine_pid());
        for n in 4..8 {
            host.hull(&["rm", &format!("more{n}")]).ok();
        }
        assert_eq!(host.hull(&["ps", "-aq", "--filter", "name=more"]).ok(), "", "{what}");
        assert_eq!(host.inspect("up")["State"]["Running"], true);
        assert_eq!(host.hull(&["exec", "up", "echo", "fine"]).ok(), "fine", "{what}");
        fs::remove_dir_all(root(&host).join("filler")).expect("rm");
        assert_eq!(host.sh(&["-v", "/data"], "echo room again"), "room again", "{what}");
        for name in ["second:1", "not:1", "not:2", "loaded:1"] {
            host.hull(&["rmi", name]);
        }
    }
}
