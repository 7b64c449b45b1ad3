//! `cp`: files out of and into containers, running and not. Names, kinds and refusals as Docker 28.5's, asked of its
//! daemon; of `/proc`, `/sys` and `/dev` of a running container only what is asked for by name is read.

use std::fs;
use std::os::unix::fs::MetadataExt;

use base64::Engine as _;
use hull_testkit::{Host, eventually};
use serde_json::Value;

fn text(host: &Host, name: &str) -> String {
    fs::read_to_string(host.path().join(name)).unwrap_or_else(|error| format!("{name}: {error}"))
}

/// `f` with `one`, `d/g` with `two`, on the host.
fn files(host: &Host) -> String {
    let at = host.path().join("from");
    fs::create_dir_all(at.join("d")).expect("mkdir");
    fs::write(at.join("f"), "one\n").expect("write");
    fs::write(at.join("d/g"), "two\n").expect("write");
    // In a layer's archive it would hide `x`; here it is a name.
    fs::write(at.join("d/.wh.x"), "").expect("write");
    at.to_string_lossy().into_owned()
}

#[test]
fn files_go_in_and_out_of_what_runs_and_what_does_not() {
    let host = Host::new();
    let from = files(&host);
    let to = |name: &str| host.path().join(name).to_string_lossy().into_owned();
    host.sleeper(&["--name", "up", "-v", "data:/data"]);
    let show = "cat /etc/f /d/g /new/g /data/h; ls -l /bin/sh | grep -c busybox";
    host.hull(&["create", "--name", "down", "-v", "data:/data", "busybox", "sh", "-c", show]).ok();
    for who in ["up", "down"] {
        let cp = |a: &str, b: &str| {
            host.hull(&["cp", &a.replace("C:", &format!("{who}:")), &b.replace("C:", &format!("{who}:"))])
        };
        cp(&format!("{from}/f"), "C:/etc").ok();
        cp(&format!("{from}/d"), "C:/").ok();
        cp(&format!("{from}/d"), "C:/new").ok();
        cp(&format!("{from}/f"), "C:/data/h").ok();
        cp("C:/etc/f", &to(&format!("{who}-f"))).ok();
        assert_eq!(text(&host, &format!("{who}-f")), "one\n");
        cp("C:/d", &to(&format!("{who}-d"))).ok();
        cp("C:/d/.", &to(&format!("{who}-d"))).ok();
        assert_eq!(text(&host, &format!("{who}-d/g")), "two\n");
        cp("C:/d", &to(&format!("{who}-d"))).ok();
        assert_eq!(text(&host, &format!("{who}-d/d/g")), "two\n");
        // A link is copied as one, and followed on request.
        cp("C:/bin/sh", &to(&format!("{who}-link"))).ok();
        assert!(fs::symlink_metadata(to(&format!("{who}-link"))).expect("a link").is_symlink());
        host.hull(&["cp", "-L", &format!("{who}:/bin/sh"), &to(&format!("{who}-sh"))]).ok();
        assert!(fs::symlink_metadata(to(&format!("{who}-sh"))).expect("a file").is_file());
        for (a, b, sentence) in [
            ("C:/nope".to_owned(), to("x"), "Could not find the file /nope in container"),
            (format!("{from}/f"), "C:/nope/x".to_owned(), "Could not find the file /nope in container"),
            (format!("{from}/d"), "C:/etc/passwd".to_owned(), "cannot copy directory"),
            (format!("{from}/nope"), "C:/".to_owned(), "cannot look at"),
        ] {
            let refused = cp(&a, &b).fails(1);
            assert!(refused.contains(sentence), "{who}: {refused}");
        }
        // As an archive on standard output, and from standard input.
        let archive = host.hull(&["cp", &format!("{who}:/d"), "-"]).stdout;
        assert!(archive.contains("d/g") && archive.contains("two\n"));
        assert!(cp(&format!("{from}/f"), "C:").code == 0);
    }
    host.hull(&["cp", "up:/d/g", "up:/x"]).fails(125);
    assert_eq!(host.hull(&["start", "-a", "down"]).ok(), "one\ntwo\ntwo\none\n1");
    host.hull(&["rm", "down"]).ok();
    assert_eq!(host.hull(&["exec", "up", "cat", "/etc/f", "/data/h"]).ok(), "one\none");
    assert_eq!(host.hull(&["exec", "up", "ls", "-A", "/d"]).ok(), ".wh.x\ng");
    host.hull(&["rm", "-f", "up"]).ok();
    host.hull(&["volume", "rm", "data"]).ok();
}

#[test]
fn owners_are_those_inside_the_container() {
    let host = Host::new();
    let from = files(&host);
    for userns in [&[][..], &["--userns", "auto"]] {
        let flags = [userns, &["-u", "1000:1001", "--name", "own"]].concat();
        host.hull(&[&["create"], &flags[..], &["busybox", "stat", "-c", "%u:%g", "/tmp/f", "/tmp/g"]].concat()).ok();
        host.hull(&["cp", &format!("{from}/f"), "own:/tmp/f"]).ok();
        host.hull(&["cp", "-a", &format!("{from}/d/g"), "own:/tmp/g"]).ok();
        assert_eq!(host.hull(&["start", "-a", "own"]).ok(), "0:0\n1000:1001");
        let back = host.path().join("back");
        host.hull(&["cp", "-a", "own:/tmp/g", &back.to_string_lossy()]).ok();
        let stat = fs::metadata(&back).expect("it came");
        assert_eq!((stat.uid(), stat.gid()), (1000, 1001));
        host.hull(&["rm", "own"]).ok();
    }
}

#[test]
fn the_api_describes_paths_and_refuses_what_cannot_be() {
    let host = Host::new();
    host.sleeper(&["--name", "api"]);
    let stat = |path: &str| -> Value {
        let answer = host.api("HEAD", &format!("/containers/api/archive?path={path}"), None);
        let line = answer.head.lines().find_map(|line| line.strip_prefix("X-Docker-Container-Path-Stat: "));
        let text = base64::engine::general_purpose::STANDARD.decode(line.expect("the header")).expect("base64");
        serde_json::from_slice(&text).expect("JSON")
    };
    let link = stat("/bin/sh");
    assert_eq!((&link["name"], &link["mode"]), (&"sh".into(), &134_218_239_u32.into()));
    assert!(link["linkTarget"].as_str().is_some_and(|target| target.ends_with("/busybox")), "{link}");
    for (path, name) in [("/", "/"), ("/etc", "etc"), ("/etc/", "etc"), ("/etc/.", "."), ("etc", "etc")] {
        assert_eq!(stat(path)["name"], name, "{path}");
    }
    for (method, target, status, sentence) in [
        ("GET", "?path=/nope", 404, "Could not find the file /nope in container api"),
        ("GET", "", 400, "bad parameter: path cannot be empty"),
        ("PUT", "?path=/nope", 404, "Could not find the file /nope in container api"),
        ("PUT", "?path=/etc/passwd", 400, "extraction point is not a directory"),
        ("PUT", "?path=", 400, "bad parameter: path cannot be empty"),
    ] {
        let answer = host.api(method, &format!("/containers/api/archive{target}"), Some("{}"));
        assert_eq!((answer.status, answer.message()), (status, sentence.to_owned()), "{method} {target}");
    }
    let answer = host.api("PUT", "/containers/api/archive?path=/etc", Some("this is no archive"));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(host.api("GET", "/containers/nosuch/archive?path=/", None).status, 404);
}

/// CVE-2018-15664: a directory becomes a link to the host's while it is copied into.
#[test]
fn a_path_that_changes_while_it_is_copied_stays_in_the_container() {
    let host = Host::new();
    let canary = host.path().join("canary");
    fs::create_dir(&canary).expect("mkdir");
    fs::write(canary.join("secret"), "the host's").expect("write");
    fs::write(host.path().join("evil"), "evil").expect("write");
    let swap = format!(
        "echo ready; while :; do rm -rf /x; ln -s {} /x; rm /x; mkdir /x; echo own > /x/secret; done",
        canary.display()
    );
    host.hull(&["run", "-d", "--name", "race", "busybox", "sh", "-c", &swap]).ok();
    host.ready("race");
    let (evil, out) = (host.path().join("evil"), host.path().join("out"));
    // Under emulation a command costs a second.
    let rounds = if std::env::var_os("HULL_TEST_SLOW").is_some() { 5 } else { 40 };
    let mut copied = 0;
    for _ in 0..rounds {
        copied += i32::from(host.hull(&["cp", &evil.to_string_lossy(), "race:/x/evil"]).code == 0);
        if host.hull(&["cp", "race:/x/secret", &out.to_string_lossy()]).code == 0 {
            assert_ne!(fs::read_to_string(&out).expect("a file"), "the host's");
        }
    }
    eprintln!("{copied} of {rounds} went in");
    let names: Vec<_> = fs::read_dir(&canary).expect("canary").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(fs::read_to_string(canary.join("secret")).expect("canary"), "the host's");
    eventually("the container still runs", || host.inspect("race")["State"]["Status"] == "running");
}
