//! `linux.devices` and the rules of the device cgroup.

use std::fs;

use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::Site;

cases![
    a_device_has_its_numbers_mode_and_owner;
    a_fifo;
    a_device_outside_of_dev;
    a_device_through_a_link_stays_inside;
    a_device_of_unknown_type_is_refused.not_over(Runtime::Crun, "passes over it");
    a_device_without_an_absolute_path_is_refused.not_over(Runtime::Runc, "makes it in the root").not_over(Runtime::Crun, "makes it in the root");
    the_usual_devices_work_though_all_are_denied;
    what_is_not_allowed_cannot_be_opened;
    what_is_allowed_can_be_opened;
    one_rule_does_not_turn_the_list_around;
    reading_without_writing;
    a_bad_rule_is_refused.not_over(Runtime::Crun, "leaves a cgroup behind");
];

fn with_mknod(site: &mut Site) {
    let caps = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG"]);
    site.config["process"]["capabilities"] = json!({ "bounding": caps, "permitted": caps, "effective": caps });
}

fn a_device_has_its_numbers_mode_and_owner(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["devices"] = json!([
        { "path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 1000, "gid": 2000 },
        { "path": "/dev/deep/block", "type": "b", "major": 7, "minor": 5, "fileMode": 0o600, "uid": 0, "gid": 6 },
    ]);
    // 10:229 in hex is a:e5.
    let seen = site.sh("stat -c '%F %t:%T %a %u:%g' /dev/mine /dev/deep/block");
    assert_eq!(seen, "character special file a:e5 640 1000:2000\nblock special file 7:5 600 0:6");
}

fn a_fifo(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["devices"] = json!([{ "path": "/dev/pipe", "type": "p", "fileMode": 0o622 }]);
    assert_eq!(site.sh("stat -c '%F %a' /dev/pipe"), "fifo 622");
}

fn a_device_outside_of_dev(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["devices"] =
        json!([{ "path": "/opt/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 }]);
    assert_eq!(site.sh("head -c 4 /opt/zero | wc -c"), "4");
}

fn a_device_through_a_link_stays_inside(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = site.path().join("canary");
    fs::create_dir(&canary).expect("mkdir");
    std::os::unix::fs::symlink(&canary, site.rootfs().join("out")).expect("symlink");
    site.config["linux"]["devices"] =
        json!([{ "path": "/out/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 }]);
    let out = site.args(&["true"]).run(&[]);
    assert_eq!(fs::read_dir(&canary).expect("canary").count(), 0, "{out:?}");
}

#[track_caller]
fn refused(site: &Site) {
    let out = site.create(&[]);
    assert!(out.code != 0 && !out.stderr.is_empty(), "it was taken: {out:?}");
    assert_eq!(site.status(), "");
}

fn a_device_of_unknown_type_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["devices"] = json!([{ "path": "/dev/x", "type": "z", "major": 1, "minor": 5 }]);
    refused(&site);
}

fn a_device_without_an_absolute_path_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["devices"] = json!([{ "path": "dev/x", "type": "c", "major": 1, "minor": 5 }]);
    refused(&site);
}

fn the_usual_devices_work_though_all_are_denied(rt: Runtime) {
    let mut site = Site::new(rt);
    let script = "echo x > /dev/null && echo x > /dev/zero && head -c 1 /dev/random /dev/urandom >/dev/null && (echo x > /dev/full) 2>&1 | grep -c space";
    assert_eq!(site.sh(script), "1");
}

/// What opening a node of these numbers gives, for reading and for writing.
const OPEN: &str = "mknod /node c 1 11 2>/dev/null || echo no node
    (: < /node) 2>/dev/null && echo read; (: >> /node) 2>/dev/null && echo written; rm -f /node; echo done";

fn what_is_not_allowed_cannot_be_opened(rt: Runtime) {
    let mut site = Site::new(rt);
    with_mknod(&mut site);
    site.config["linux"]["resources"]["devices"] = json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "m" }]);
    assert_eq!(site.sh(OPEN), "done");
}

fn what_is_allowed_can_be_opened(rt: Runtime) {
    let mut site = Site::new(rt);
    with_mknod(&mut site);
    site.config["linux"]["resources"]["devices"] = json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm" }]);
    assert_eq!(site.sh(OPEN), "read\nwritten\ndone");
}

fn one_rule_does_not_turn_the_list_around(rt: Runtime) {
    let mut site = Site::new(rt);
    with_mknod(&mut site);
    // GHSA-g54h-m393: denying one more thing must not allow the rest.
    site.config["linux"]["resources"]["devices"] = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "m" },
        { "allow": false, "type": "c", "major": 10, "minor": 200, "access": "rwm" },
    ]);
    assert_eq!(site.sh(OPEN), "done");
}

fn reading_without_writing(rt: Runtime) {
    let mut site = Site::new(rt);
    with_mknod(&mut site);
    site.config["linux"]["resources"]["devices"] = json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rm" }]);
    assert_eq!(site.sh(OPEN), "read\ndone");
}

fn a_bad_rule_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    for bad in [
        json!({ "allow": true, "type": "z", "major": 1, "minor": 1, "access": "r" }),
        json!({ "allow": true, "type": "c", "major": 1, "minor": 1, "access": "x" }),
    ] {
        site.config["linux"]["resources"]["devices"] = json!([{ "allow": false, "access": "rwm" }, bad]);
        refused(&site);
    }
}
