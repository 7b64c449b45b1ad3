//! The runtime is killed at any step, or what it wrote is damaged: `delete --force` leaves nothing.

use std::fs;

use hull_testkit::{injected, injected_start};
use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    a_create_that_is_killed_at_any_call_is_cleaned.hull_only("they leave what delete --force does not find");
    a_delete_that_is_killed_at_any_call_can_be_repeated.hull_only("they leave what delete --force does not find");
    the_init_is_killed_before_start;
    a_damaged_state_is_named_and_deleted.hull_only("they ask for a hand");
    a_damaged_state_does_not_hide_the_others.hull_only("they ask for a hand");
    an_interrupted_create_can_be_tried_again.hull_only("they leave what delete --force does not find");
];

/// The calls that change something.
const CALLS: [&str; 12] = [
    "mkdirat",
    "mkdir",
    "openat",
    "write",
    "clone3",
    "renameat",
    "renameat2",
    "rename",
    "socketpair",
    "unlinkat",
    "mount",
    "fsync",
];

/// Kills the runtime at the `nth` of these calls during `verb`; whether it came so far.
fn killed_at(site: &mut Site, call: &str, nth: usize, run: impl Fn(&Site)) -> bool {
    let log = site.path().join("strace.log");
    let injection = format!("{call}:signal=KILL:when={nth}");
    // Not into children: they are what must not be left.
    site.wrapper =
        injected_start(&log, &[&injection]).into_iter().filter(|w| w != "-f" && w != "--seccomp-bpf").collect();
    run(site);
    site.wrapper.clear();
    injected(&log) > 0 || read(&log).contains("+++ killed")
}

fn nothing_left(site: &Site, what: &str) {
    site.verb("delete", &["--force"]).ok();
    assert_eq!(site.status(), "", "{what}");
    hull_testkit::eventually(what, || site.members().is_empty() && site.cgroups().is_empty());
}

fn a_create_that_is_killed_at_any_call_is_cleaned(rt: Runtime) {
    let mut site = Site::new(rt);
    let mut times = 0;
    for call in CALLS {
        // The later ones of many alike: every third.
        for nth in [1, 2, 3, 4, 6, 9, 12, 16, 20, 30, 40] {
            let hit = killed_at(&mut site, call, nth, |site| drop(site.create(&[])));
            nothing_left(&site, &format!("{call} {nth}"));
            if !hit {
                break;
            }
            times += 1;
        }
    }
    assert!(times >= 10, "it was killed {times} times only");
    site.up();
}

fn a_delete_that_is_killed_at_any_call_can_be_repeated(rt: Runtime) {
    let mut site = Site::new(rt);
    let mut times = 0;
    for call in ["openat", "unlinkat", "rmdir", "unlink", "renameat", "pidfd_send_signal"] {
        for nth in [1, 2, 3, 5, 8, 12] {
            site.up();
            let hit = killed_at(&mut site, call, nth, |site| drop(site.verb("delete", &["--force"])));
            nothing_left(&site, &format!("{call} {nth}"));
            if !hit {
                break;
            }
            times += 1;
        }
    }
    assert!(times >= 4, "it was killed {times} times only");
}

fn the_init_is_killed_before_start(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    let pid = site.pid().to_string();
    hull_testkit::run(std::process::Command::new("kill").args(["-9", &pid]), b"").ok();
    site.wait_for("stopped");
    assert_ne!(site.verb("start", &[]).code, 0);
    site.verb("delete", &[]).ok();
}

/// The files that the runtime keeps of the container.
fn files(site: &Site) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(site.root().join(&site.id)).expect("its directory").flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_file())).map(|e| e.path()).collect()
}

fn a_damaged_state_is_named_and_deleted(rt: Runtime) {
    let site = Site::new(rt);
    for damage in [&b""[..], b"{", b"\0\0\0\0\0\0\0\0", b"{\"id\": 7}", b"[]"] {
        site.up();
        for file in files(&site) {
            fs::write(file, damage).expect("write");
        }
        let out = site.verb("state", &[]);
        assert!(out.code != 0 && !out.stderr.contains("panicked") && out.stderr.contains(&site.id), "{out:?}");
        nothing_left(&site, "a damaged state");
    }
}

fn a_damaged_state_does_not_hide_the_others(rt: Runtime) {
    let mut site = Site::new(rt);
    site.up();
    let first = site.id.clone();
    for file in files(&site) {
        fs::write(file, "garbage").expect("write");
    }
    site.id = format!("{first}-2");
    site.config["linux"]["cgroupsPath"] = json!(format!("/{first}-2"));
    site.up();
    let out = site.oci(&["list", "-q"]);
    assert!(out.stdout.lines().any(|l| l == site.id), "{out:?}");
    site.verb("delete", &["--force"]).ok();
    site.id = first;
    nothing_left(&site, "a damaged state");
}

fn an_interrupted_create_can_be_tried_again(rt: Runtime) {
    let mut site = Site::new(rt);
    assert!(killed_at(&mut site, "write", 1, |site| drop(site.create(&[]))));
    site.verb("delete", &["--force"]).ok();
    site.up();
    assert_eq!(site.exec_sh(&[], "echo fine"), "fine");
}
