//! Bundles that are refused, each before any effect and with a sentence that names what is wrong.

use std::fs;

use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::Site;

cases![
    without_config_json;
    without_a_bundle;
    with_json_that_is_none;
    without_a_root_file_system;
    with_an_absolute_root_path;
    with_a_root_that_is_a_file;
    without_a_process;
    without_arguments.not_over(Runtime::Crun, "1.8 fails when it starts");
    with_a_relative_cwd.not_over(Runtime::Crun, "takes it");
    with_an_unknown_namespace;
    with_a_namespace_twice.not_over(Runtime::Crun, "takes it");
    with_a_version_of_the_future.not_over(Runtime::Runc, "1.1 does not look at it");
    unknown_fields_are_ignored;
];

#[track_caller]
fn refused(site: &Site, words: &[&str]) {
    let out = site.create(&[]);
    refusal(site, &out, words);
}

#[track_caller]
fn refusal(site: &Site, out: &hull_testkit::Out, words: &[&str]) {
    assert_ne!(out.code, 0, "it was taken");
    if site.runtime == Runtime::Hull {
        assert!(words.is_empty() || words.iter().any(|w| out.stderr.contains(w)), "{}", out.stderr);
        assert_eq!(out.stderr.trim_end().lines().count(), 1, "one line: {}", out.stderr);
    }
    assert_eq!(site.status(), "");
    assert_eq!(site.cgroups(), Vec::<std::path::PathBuf>::new());
}

fn without_config_json(rt: Runtime) {
    let site = Site::new(rt);
    let bundle = site.bundle().to_string_lossy().into_owned();
    let out = site.oci(&["create", "--bundle", &bundle, &site.id]);
    refusal(&site, &out, &["config.json"]);
}

fn without_a_bundle(rt: Runtime) {
    let site = Site::new(rt);
    let bundle = site.path().join("nothing").to_string_lossy().into_owned();
    let out = site.oci(&["create", "--bundle", &bundle, &site.id]);
    refusal(&site, &out, &["nothing"]);
}

fn with_json_that_is_none(rt: Runtime) {
    let site = Site::new(rt);
    let bundle = site.bundle().to_string_lossy().into_owned();
    for text in ["", "{", "[]", "{]", "null", "{\"ociVersion\": 1}", "{\"process\": {\"args\": \"sh\"}}"] {
        fs::write(site.bundle().join("config.json"), text).expect("write");
        let out = site.oci(&["create", "--bundle", &bundle, &site.id]);
        refusal(&site, &out, &["config.json", "ociVersion", "process"]);
    }
}

fn without_a_root_file_system(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["root"]["path"] = json!("missing");
    refused(&site, &["missing"]);
}

fn with_an_absolute_root_path(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["root"]["path"] = json!(site.rootfs());
    assert_eq!(site.sh("echo fine"), "fine");
}

fn with_a_root_that_is_a_file(rt: Runtime) {
    let mut site = Site::new(rt);
    fs::write(site.bundle().join("file"), "").expect("write");
    site.config["root"]["path"] = json!("file");
    refused(&site, &["file"]);
}

fn without_a_process(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config.as_object_mut().expect("an object").remove("process");
    refused(&site, &["process"]);
}

fn without_arguments(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&[]);
    refused(&site, &["args"]);
    site.config["process"].as_object_mut().expect("an object").remove("args");
    refused(&site, &["args"]);
}

fn with_a_relative_cwd(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["cwd"] = json!("tmp");
    refused(&site, &["cwd", "absolute"]);
}

fn with_an_unknown_namespace(rt: Runtime) {
    let mut site = Site::new(rt);
    site.namespaces().push(json!({ "type": "wonder" }));
    refused(&site, &["wonder"]);
}

fn with_a_namespace_twice(rt: Runtime) {
    let mut site = Site::new(rt);
    site.namespaces().push(json!({ "type": "ipc" }));
    refused(&site, &["ipc"]);
}

fn with_a_version_of_the_future(rt: Runtime) {
    let mut site = Site::new(rt);
    for version in ["2.0.0", "nonsense"] {
        site.config["ociVersion"] = json!(version);
        refused(&site, &["ociVersion"]);
    }
}

fn unknown_fields_are_ignored(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["somethingNew"] = json!({ "a": [1, 2] });
    site.config["process"]["somethingNew"] = Value::Null;
    assert_eq!(site.sh("echo fine"), "fine");
}
