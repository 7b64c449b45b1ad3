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

/// Linux 5.15 has it: works by a fallback or is refused by its name, and is never less safe.
#[track_caller]
fn works_or_names(rt: Runtime, call: &str) {
    let (out, _) = a_day(rt, &[call]);
    let named = out.code != 0 && out.stdout.is_empty() && out.stderr.contains(call);
    assert!(named || out.stdout == "0 1 2 3\nrefused\ny\n0\nrefused\n1\n", "{call}: {out:?}");
}

fn oci_without_fsopen(rt: Runtime) {
    works_or_names(rt, "fsopen");
}

fn oci_without_mount_setattr(rt: Runtime) {
    works_or_names(rt, "mount_setattr");
}

fn oci_without_all_that_is_optional(rt: Runtime) {
    works(rt, &["clone3", "openat2", "close_range", "faccessat2", "statmount", "listmount"]);
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
