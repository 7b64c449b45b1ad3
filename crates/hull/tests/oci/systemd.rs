//! `--systemd-cgroup`: scopes of the systemd that runs here. Without one, and on cgroups v1, there is nothing to ask.

use std::process::Command;

use hull_testkit::{cgroup_file, eventually, on_v2};
use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::Site;

cases![
    a_scope_holds_the_container.not_over(Runtime::Crun, "speaks to the message bus alone");
    a_scope_follows_updates.not_over(Runtime::Crun, "speaks to the message bus alone");
    a_path_that_is_no_unit_is_refused;
    a_start_that_fails_leaves_no_scope.hull_only("runc leaves it to systemd");
];

/// The scope's name.
fn ask(site: &mut Site) -> String {
    site.globals = vec!["--systemd-cgroup".into()];
    site.config["linux"]["cgroupsPath"] = json!(format!("system.slice:test:{}", site.id));
    format!("test-{}.scope", site.id)
}

fn runs() -> bool {
    on_v2() && std::path::Path::new("/run/systemd/private").exists()
}

fn property(unit: &str, name: &str) -> String {
    let mut command = Command::new("systemctl");
    hull_testkit::run(command.args(["show", "--value", "--property", name, unit]), b"").ok()
}

#[track_caller]
fn is_gone(unit: &str) {
    eventually("the scope is gone", || property(unit, "ActiveState") == "inactive");
    eventually("it is forgotten", || property(unit, "LoadState") == "not-found");
}

fn a_scope_holds_the_container(rt: Runtime) {
    if !runs() {
        return;
    }
    let mut site = Site::new(rt);
    let unit = ask(&mut site);
    site.config["linux"]["resources"]["memory"] = json!({ "limit": 67_108_864 });
    site.config["linux"]["resources"]["pids"] = json!({ "limit": 33 });
    site.up();
    let path = std::fs::read_to_string(format!("/proc/{}/cgroup", site.pid())).expect("cgroup");
    assert_eq!(path.trim(), format!("0::/system.slice/{unit}"));
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!((property(&unit, "MemoryMax"), property(&unit, "TasksMax")), ("67108864".into(), "33".into()));
    assert_eq!(cgroup_file(site.pid(), ("", ""), "memory.max"), "67108864");
    assert_eq!(site.members().len(), 1, "nobody but the container is inside");
    assert_eq!(site.exec_sh(&[], "echo entered"), "entered");
    site.verb("delete", &["--force"]).ok();
    is_gone(&unit);
    // Once more, in the foreground, under the same name.
    assert_eq!(site.args(&["echo", "again"]).run(&[]).ok(), "again");
    is_gone(&unit);
}

fn a_scope_follows_updates(rt: Runtime) {
    if !runs() {
        return;
    }
    let mut site = Site::new(rt);
    let unit = ask(&mut site);
    site.up();
    site.verb(
        "update",
        &["--memory", "83886080", "--pids-limit", "44", "--cpu-quota", "20000", "--cpu-period", "50000"],
    )
    .ok();
    assert_eq!((property(&unit, "MemoryMax"), property(&unit, "TasksMax")), ("83886080".into(), "44".into()));
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "400ms");
    assert_eq!(cgroup_file(site.pid(), ("", ""), "memory.max"), "83886080");
    assert_eq!(cgroup_file(site.pid(), ("", ""), "pids.max"), "44");
    site.verb("delete", &["--force"]).ok();
    is_gone(&unit);
}

fn a_path_that_is_no_unit_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    ask(&mut site);
    for path in ["/a/b", "a:b", "a/b.slice:c:d", "a.slice:b:"] {
        site.config["linux"]["cgroupsPath"] = json!(path);
        assert_ne!(site.create(&[]).code, 0, "{path}");
    }
    site.globals.clear();
    assert_eq!(site.status(), "");
}

fn a_start_that_fails_leaves_no_scope(rt: Runtime) {
    if !runs() {
        return;
    }
    let mut site = Site::new(rt);
    let unit = ask(&mut site);
    site.config["process"]["cwd"] = json!("/bin/sh");
    let out = site.run(&[]);
    assert!(out.code != 0 && out.stderr.contains("/bin/sh"), "{out:?}");
    is_gone(&unit);
}
