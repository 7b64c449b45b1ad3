//! Copies and mounts of files that a container controls: whatever it puts there, nothing of the host is read, written or run.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use hull_testkit::{Host, Inject, eventually, run};

/// A directory of the host with a secret in it.
fn canary(host: &Host) -> String {
    let at = host.path().join("canary");
    fs::create_dir(&at).expect("mkdir");
    fs::write(at.join("secret"), "the host's").expect("write");
    at.to_string_lossy().into_owned()
}

/// CVE-2018-15664: by renaming, what is a directory is a link to the host's at every other look.
#[test]
fn a_thousand_copies_stay_in_a_container_that_renames_meanwhile() {
    let host = Host::new();
    let canary = canary(&host);
    let swap = format!(
        "mkdir /x; echo own >/x/secret; ln -s {canary} /l; echo ready
         while :; do mv /x /z; mv /l /x; mv /x /l; mv /z /x; done"
    );
    host.hull(&["run", "-d", "--name", "race", "busybox", "sh", "-c", &swap]).ok();
    host.ready("race");
    fs::write(host.path().join("evil"), "evil").expect("write");
    let archive = run(Command::new("tar").args(["-c", "evil"]).current_dir(host.path()), b"").ok();
    let rounds = if std::env::var_os("HULL_TEST_SLOW").is_some() { 20 } else { 500 };
    let (mut came, mut went) = (0, 0);
    for _ in 0..rounds {
        went += u32::from(host.api("PUT", "/containers/race/archive?path=/x", Some(&archive)).status == 200);
        let answer = host.api("GET", "/containers/race/archive?path=/x/secret", None);
        assert!([200, 404].contains(&answer.status), "{answer:?}");
        assert!(!answer.body.contains("the host's"), "{answer:?}");
        came += u32::from(answer.body.contains("own\n"));
    }
    assert!(came > 0 && went > 0, "{came} came and {went} went");
    let names: Vec<_> = fs::read_dir(&canary).expect("canary").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["secret"]);
    eventually("the container still runs", || host.inspect("race")["State"]["Status"] == "running");
}

/// The files that a process has mapped.
fn mapped(pid: u32) -> BTreeSet<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    maps.lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|name| name.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

/// CVE-2019-14271, CVE-2022-1227: helpers and libraries of the container's that a copy could run on the host.
#[test]
fn nothing_of_a_container_is_run_or_loaded_by_what_copies() {
    let host = Host::new();
    let canary = canary(&host);
    let traps = format!(
        r#"printf '#!/bin/sh\ntouch {canary}/run\n' >/trap; chmod +x /trap
        mkdir -p /usr/bin /usr/sbin /lib/x86_64-linux-gnu /lib64 /home
        for name in tar unpigz pigz gzip zstd xz bzip2 cp nsenter newuidmap runc; do
            for dir in /bin /usr/bin /usr/sbin; do rm -f $dir/$name; ln /trap $dir/$name; done
        done
        for name in libnss_files.so.2 libnss_evil.so.2 libc.so.6; do
            for dir in /lib /lib64 /lib/x86_64-linux-gnu; do cp /trap $dir/$name 2>/dev/null || cat /trap >$dir/$name; done
        done
        echo 'passwd: evil files' >/etc/nsswitch.conf; echo /lib/libnss_evil.so.2 >/etc/ld.so.preload
        echo ready; exec sleep 1000"#
    );
    host.hull(&["run", "-d", "--name", "traps", "--user", "0", "busybox", "sh", "-c", &traps]).ok();
    host.ready("traps");
    fs::write(host.path().join("file"), "mine").expect("write");
    let path = |name: &str| host.path().join(name).to_string_lossy().into_owned();
    let engine = host.engine_pid();
    let before = mapped(engine);
    let watch = Inject::attach(engine, &["execve:error=EACCES", "execveat:error=EACCES"]).expect("it runs");
    for words in [
        &["cp", "-a", &path("file"), "traps:/home"][..],
        &["cp", "traps:/home/file", &path("back")],
        &["cp", "-a", "traps:/etc", &path("etc")],
        &["diff", "traps"],
        &["top", "traps"],
        &["export", "-o", &path("whole.tar"), "traps"],
        &["commit", "traps", "trapped"],
        &["save", "-o", &path("saved.tar"), "trapped"],
        &["rmi", "trapped"],
        &["load", "-i", &path("saved.tar")],
    ] {
        host.hull(words).ok();
    }
    assert_eq!(watch.count(), 0, "the engine starts no program");
    drop(watch);
    let loaded: Vec<_> = mapped(engine).difference(&before).filter(|name| name.contains(".so")).cloned().collect();
    assert_eq!(loaded, Vec::<String>::new());
    assert!(!host.path().join("canary/run").exists());
    host.hull(&["rm", "-f", "traps"]).ok();
    host.hull(&["rmi", "trapped"]).ok();
}

#[test]
fn absolute_links_of_a_container_lead_within_it() {
    let host = Host::new();
    let canary = canary(&host);
    let links = format!(
        "mkdir -p /run /var; rm -rf /var/run; ln -s /run /var/run; ln -s {canary} /away; ln -s {canary}/secret /peek
         echo ready; exec sleep 1000"
    );
    host.hull(&["run", "-d", "--name", "links", "busybox", "sh", "-c", &links]).ok();
    host.ready("links");
    fs::write(host.path().join("file"), "mine").expect("write");
    let (file, back) = (host.path().join("file"), host.path().join("back"));
    let (file, back) = (file.to_string_lossy(), back.to_string_lossy());
    for _ in ["running", "stopped"] {
        host.hull(&["cp", &file, "links:/var/run/file"]).ok();
        host.hull(&["cp", "links:/run/file", &back]).ok();
        assert_eq!(fs::read_to_string(&*back).expect("it came"), "mine");
        for words in [
            &["cp", &file, "links:/away/file"][..],
            &["cp", "links:/away/secret", &back],
            &["cp", "-L", "links:/peek", &back],
        ] {
            assert_ne!(host.hull(words).code, 0, "{words:?}");
        }
        host.hull(&["stop", "-t", "0", "links"]).ok();
    }
    let names: Vec<_> = fs::read_dir(&canary).expect("canary").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["secret"]);
}

#[test]
fn a_volumes_subpath_stays_in_the_volume() {
    let host = Host::new();
    host.sh(
        &["-v", "data:/d"],
        "mkdir /d/in; echo mine >/d/in/f; ln -s / /d/out; ln -s ../../../../etc /d/up; ln -s /in /d/way",
    );
    let see = |sub: &str, script: &str| {
        let mount = format!("type=volume,source=data,target=/x,volume-subpath={sub}");
        host.hull(&["run", "--rm", "--mount", &mount, "busybox", "sh", "-c", script])
    };
    assert_eq!(see("in", "cat /x/f").ok(), "mine");
    assert_eq!(see("way/f", "cat /x").ok(), "mine");
    assert_eq!(see("out", "ls /x").ok(), "in\nout\nup\nway");
    for sub in ["up", "up/passwd", "out/etc", "../data", "nosuch"] {
        let refused = see(sub, "true").fails(125);
        assert!(
            refused.contains("cannot access path") || refused.contains("must be a relative path"),
            "{sub}: {refused}"
        );
    }
    host.hull(&["volume", "rm", "data"]).ok();
}
