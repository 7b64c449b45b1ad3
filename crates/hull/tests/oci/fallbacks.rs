//! Kernels and filters that lack a call: the documented fallback works and confines as well, or the refusal names
//! what is missing. The rows of docs/kernel.md name these tests.

use hull_testkit::{Out, injected, injected_start};
use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::Site;

const WHY: &str = "each runtime falls back in its own way";

cases![
    oci_without_clone3.hull_only(WHY);
    oci_without_openat2.hull_only(WHY);
    oci_without_close_range.hull_only(WHY);
    oci_without_pidfd_open.hull_only(WHY);
    oci_without_fsopen.hull_only(WHY);
    oci_without_mount_setattr.hull_only(WHY);
    oci_without_mount_setattr_a_tree_is_changed.hull_only(WHY);
    oci_without_mount_setattr_idmapped_mounts_are_refused.hull_only(WHY);
    oci_without_pidfd_open_events_end.hull_only(WHY);
    oci_without_all_that_is_optional.hull_only(WHY);
    oci_without_openat2_links_stay_inside.hull_only(WHY);
];

fn without(site: &mut Site, calls: &[&str]) -> std::path::PathBuf {
    let log = site.path().join("strace.log");
    // Names that this strace does not know are left out.
    let known = |call: &&&str| {
        let trace = format!("trace={call}");
        hull_testkit::run(std::process::Command::new("strace").args(["-e", &trace, "true"]), b"").code == 0
    };
    let injections: Vec<String> = calls.iter().filter(known).map(|call| format!("{call}:error=ENOSYS")).collect();
    let injections: Vec<&str> = injections.iter().map(String::as_str).collect();
    site.wrapper = injected_start(&log, &injections);
    log
}

/// A container with what is usual, run in the foreground and entered; what it said and how entering it went.
fn a_day(rt: Runtime, calls: &[&str]) -> (Out, Out) {
    let mut site = Site::new(rt);
    site.up();
    let log = without(&mut site, calls);
    let entered = site.exec(&[], &["/bin/sh", "-c", "cd /proc/self/fd; echo *"]);
    site.verb("kill", &["--all"]);
    site.wrapper.clear();
    site.verb("delete", &["--force"]).ok();
    let first = injected(&log);
    let log = without(&mut site, calls);
    let source = site.path().join("source");
    std::fs::create_dir(&source).expect("mkdir");
    site.mounts().push(json!({ "destination": "/given", "type": "bind", "source": source, "options": ["bind", "ro"] }));
    site.mounts()
        .push(json!({ "destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"] }));
    let script = "cd /proc/self/fd; echo *; (echo x > /given/x) 2>/dev/null || echo refused; echo y > /scratch/y && cat /scratch/y
        cat /proc/keys | wc -c; (echo 1 > /proc/sys/vm/overcommit_memory) 2>/dev/null || echo refused; grep -c ' / ' /proc/mounts";
    let out = site.args(&["sh", "-c", script]).run(&[]);
    // Not every way needs it: then there is nothing to fall back from.
    assert!(first + injected(&log) > 0 || calls == ["pidfd_open"], "nothing was injected");
    site.wrapper.clear();
    (out, entered)
}

#[track_caller]
fn works(rt: Runtime, calls: &[&str]) {
    let (out, entered) = a_day(rt, calls);
    assert_eq!(out.stdout, "0 1 2 3\nrefused\ny\n0\nrefused\n1\n", "{calls:?}: {out:?}");
    assert_eq!(entered.stdout, "0 1 2 3\n", "{calls:?}: {entered:?}");
}

fn oci_without_clone3(rt: Runtime) {
    works(rt, &["clone3"]);
}

fn oci_without_openat2(rt: Runtime) {
    works(rt, &["openat2"]);
}

fn oci_without_close_range(rt: Runtime) {
    works(rt, &["close_range"]);
}

fn oci_without_pidfd_open(rt: Runtime) {
    works(rt, &["pidfd_open"]);
}

fn oci_without_fsopen(rt: Runtime) {
    works(rt, &["fsopen"]);
}

fn oci_without_mount_setattr(rt: Runtime) {
    works(rt, &["mount_setattr"]);
}

/// The older way has no call for a tree: each mount in it is changed, and what a bind is not asked for stays.
fn oci_without_mount_setattr_a_tree_is_changed(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = site.path().join("source");
    std::fs::create_dir_all(source.join("below")).expect("mkdir");
    let mut mount = site.inside("mount");
    mount.args(["-t", "tmpfs", "-o", "nodev,noatime", "tmpfs"]).arg(source.join("below"));
    hull_testkit::run(&mut mount, b"").ok();
    for (at, options) in [["rbind", "rro"], ["rbind", "ro"]].iter().enumerate() {
        let target = format!("/given{at}");
        site.mounts().push(json!({ "destination": target, "type": "bind", "source": source, "options": options }));
    }
    site.mounts().push(json!({ "destination": "/memory", "type": "tmpfs", "source": "memory",
        "options": ["mode=0711", "size=1m", "ro", "noexec", "strictatime"] }));
    site.config["root"]["readonly"] = json!(true);
    let log = without(&mut site, &["mount_setattr", "fsopen"]);
    let script = "for d in / /given0 /given0/below /given1 /given1/below /memory; do
        (echo x > $d/x) 2>/dev/null && echo $d written; done
        awk '$2 ~ /given.\\/below/ { print $4 }' /proc/mounts
        stat -c %a /memory; awk '$2 == \"/memory\" { print $1, $3, $4 }' /proc/mounts";
    let out = site.args(&["sh", "-c", script]).run(&[]).ok();
    assert!(injected(&log) > 0, "nothing was injected");
    site.wrapper.clear();
    hull_testkit::run(site.inside("umount").arg(source.join("below")), b"").ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "/given1/below written", "{out}");
    let has = |line: &str, words: &[&str]| words.iter().all(|word| line.split(',').any(|one| one == *word));
    assert!(has(lines[1], &["ro", "nodev", "noatime"]) && has(lines[2], &["rw", "nodev", "noatime"]), "{out}");
    assert_eq!(lines[3], "711", "{out}");
    let memory: Vec<&str> = lines[4].split(' ').collect();
    assert!(memory[..2] == ["memory", "tmpfs"] && has(memory[2], &["ro", "noexec", "size=1024k"]), "{out}");
    assert!(!memory[2].contains("relatime"), "{out}");
}

fn oci_without_mount_setattr_idmapped_mounts_are_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = site.path().join("source");
    std::fs::create_dir(&source).expect("mkdir");
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 1000 }]);
    site.mounts()
        .push(json!({ "destination": "/given", "type": "bind", "source": source, "options": ["bind", "idmap"],
        "uidMappings": map, "gidMappings": map }));
    let log = without(&mut site, &["mount_setattr"]);
    let out = site.args(&["true"]).run(&[]);
    assert!(out.code != 0 && out.stderr.contains("mount_setattr") && out.stderr.contains("idmap"), "{out:?}");
    assert!(injected(&log) > 0, "nothing was injected");
    site.wrapper.clear();
}

/// The end of the container is seen, too.
fn oci_without_pidfd_open_events_end(rt: Runtime) {
    let mut site = Site::new(rt);
    site.up();
    let pid = site.pid().to_string();
    let log = without(&mut site, &["pidfd_open"]);
    let told = site.path().join("events");
    let mut command = site.runtime(&["events", "--interval", "100ms", &site.id]);
    let mut events = command.stdout(std::fs::File::create(&told).expect("create")).spawn().expect("spawn");
    let lines = || crate::site::read(&told).lines().filter(|line| line.contains("\"stats\"")).count();
    // While it runs they go on.
    hull_testkit::eventually("there are events", || lines() >= 3);
    assert!(injected(&log) > 0 && events.try_wait().expect("wait").is_none());
    hull_testkit::run(std::process::Command::new("kill").args(["-9", &pid]), b"").ok();
    hull_testkit::eventually("the events end", || events.try_wait().expect("wait").is_some());
    site.wrapper.clear();
    site.verb("delete", &["--force"]).ok();
}

fn oci_without_all_that_is_optional(rt: Runtime) {
    works(
        rt,
        &[
            "clone3",
            "openat2",
            "fsopen",
            "mount_setattr",
            "close_range",
            "pidfd_open",
            "faccessat2",
            "statmount",
            "listmount",
        ],
    );
}

fn oci_without_openat2_links_stay_inside(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = site.path().join("canary");
    std::fs::create_dir(&canary).expect("mkdir");
    std::os::unix::fs::symlink(&canary, site.rootfs().join("out")).expect("symlink");
    std::os::unix::fs::symlink("../../../../../../..", site.rootfs().join("up")).expect("symlink");
    without(&mut site, &["openat2"]);
    site.args(&["true"]);
    for target in [
        format!("/up{}/made", canary.display()),
        "/out/made".into(),
        format!("/proc/self/root{}/made", canary.display()),
    ] {
        site.mounts().push(json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": [] }));
        let out = site.run(&[]);
        assert_eq!(std::fs::read_dir(&canary).expect("canary").count(), 0, "{target}: {out:?}");
        site.mounts().pop();
    }
    site.wrapper.clear();
}
