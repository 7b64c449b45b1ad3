//! `hooks`: six kinds, each at its moment, with the container's state on stdin.

use std::fs;

use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    all_six_run_in_order.not_over(Runtime::Crun, "does not wait for startContainer").not_over(Runtime::Runc, "1.1 runs poststart at the end of create");
    each_gets_the_state.not_over(Runtime::Runc, "1.1 runs poststart at the end of create");
    arguments_and_environment;
    hooks_of_the_runtime_run_in_its_namespaces;
    create_container_runs_in_the_containers_namespaces_before_pivot;
    start_container_runs_inside_the_container;
    a_failing_hook_undoes_the_create;
    a_failing_start_container_hook_ends_the_container;
    a_failing_poststart_hook_is_a_failure_of_start.not_over(Runtime::Runc, "1.1 runs poststart at the end of create").not_over(Runtime::Crun, "passes over it");
    a_failing_poststop_hook_does_not_stop_the_delete.not_over(Runtime::Crun, "1.8 keeps the container then");
    a_timeout_ends_a_hook.not_over(Runtime::Crun, "1.8 waits for its output");
    a_hook_that_is_missing_fails_the_create;
    a_relative_path_is_refused.not_over(Runtime::Runc, "finds it in its working directory").not_over(Runtime::Crun, "finds it in its working directory");
    the_pid_in_the_state_is_the_containers;
];

/// A hook that runs a shell script on the host.
fn hook(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin:/usr/sbin:/sbin"] })
}

fn log(site: &Site) -> String {
    site.path().join("hooks").to_string_lossy().into_owned()
}

const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook of each kind that notes its name; those inside the container into `/tmp/hooks`.
fn noting(site: &mut Site) {
    let log = log(site);
    // startContainer runs on the container's file system: it sees the log through a mount.
    fs::write(&log, "").expect("write");
    site.mounts().push(json!({ "destination": "/tmp/hooks", "type": "bind", "source": log, "options": ["bind"] }));
    for kind in KINDS {
        let place = if kind == "startContainer" { "/tmp/hooks" } else { &log };
        site.config["hooks"][kind] =
            json!([hook(&format!("echo {kind} 1 >> {place}")), hook(&format!("echo {kind} 2 >> {place}"))]);
    }
}

fn all_six_run_in_order(rt: Runtime) {
    let mut site = Site::new(rt);
    noting(&mut site);
    site.args(&["sh", "-c", "echo process 1 >> /tmp/hooks; sleep 1000"]);
    site.create(&[]).ok();
    let both = |kind: &str| format!("{kind} 1\n{kind} 2\n");
    let created = ["prestart", "createRuntime", "createContainer"].map(both).concat();
    assert_eq!(read(log(&site)), created);
    site.verb("start", &[]).ok();
    hull_testkit::eventually("it has started", || read(log(&site)).contains("process"));
    let mut started: Vec<String> = read(log(&site)).lines().skip(6).map(str::to_owned).collect();
    // poststart and the process itself run at once.
    assert_eq!(started.drain(..2).collect::<Vec<_>>(), ["startContainer 1", "startContainer 2"]);
    started.sort();
    assert_eq!(started, ["poststart 1", "poststart 2", "process 1"]);
    site.stop();
    assert!(!read(log(&site)).contains("poststop"));
    site.verb("delete", &[]).ok();
    assert!(read(log(&site)).ends_with(&both("poststop")), "{}", read(log(&site)));
}

fn each_gets_the_state(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["annotations"] = json!({ "a": "b" });
    let dir = site.path().to_string_lossy().into_owned();
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        site.config["hooks"][kind] = json!([hook(&format!("cat > {dir}/{kind}.json"))]);
    }
    site.up();
    site.stop();
    site.verb("delete", &[]).ok();
    for (kind, status) in [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        let state: Value = serde_json::from_str(&read(format!("{dir}/{kind}.json"))).expect(kind);
        assert_eq!(state["id"], json!(site.id), "{kind}");
        assert_eq!(state["bundle"], json!(site.bundle()), "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}");
        assert_eq!(state["annotations"]["a"], "b", "{kind}");
        let expected = if rt == Runtime::Crun && status == "creating" { "created" } else { status };
        assert_eq!(state["status"], expected, "{kind}");
    }
}

fn the_pid_in_the_state_is_the_containers(rt: Runtime) {
    let mut site = Site::new(rt);
    let file = site.path().join("state.json");
    site.config["hooks"]["createRuntime"] = json!([hook(&format!("cat > {}", file.display()))]);
    site.create(&[]).ok();
    let state: Value = serde_json::from_str(&read(file)).expect("JSON");
    assert_eq!(state["pid"], site.pid());
}

fn arguments_and_environment(rt: Runtime) {
    let mut site = Site::new(rt);
    let file = site.path().join("said");
    let script = format!("echo \"$0 $1\" > {0}; env >> {0}", file.display());
    site.config["hooks"]["createRuntime"] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script, "name", "argument"], "env": ["A=b", "PATH=/usr/bin:/bin"] }]);
    site.create(&[]).ok();
    let said = read(file);
    assert!(said.starts_with("name argument\n"), "{said}");
    assert!(said.contains("\nA=b\n") && !said.contains("HULL_OCI_SITE"), "only its own environment: {said}");
}

/// The namespaces of the hook's process and what it sees of files.
fn seen_by(site: &mut Site, kind: &str) -> Vec<String> {
    let file = site.path().join("seen");
    let script = format!(
        "readlink /proc/self/ns/mnt /proc/self/ns/net > {0}; ls -d {1}/config.json >> {0}",
        file.display(),
        site.bundle().display()
    );
    site.config["hooks"][kind] = json!([hook(&script)]);
    site.create(&[]).ok();
    read(file).lines().map(str::to_owned).collect()
}

fn namespace(pid: u32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace").to_string_lossy().into_owned()
}

fn hooks_of_the_runtime_run_in_its_namespaces(rt: Runtime) {
    let mut site = Site::new(rt);
    let seen = seen_by(&mut site, "createRuntime");
    let own = site.to_the_end(site.inside("readlink").args(["/proc/self/ns/mnt", "/proc/self/ns/net"])).ok();
    assert_eq!(seen[..2].join("\n"), own);
}

fn create_container_runs_in_the_containers_namespaces_before_pivot(rt: Runtime) {
    let mut site = Site::new(rt);
    let seen = seen_by(&mut site, "createContainer");
    assert_eq!(seen[..2], [namespace(site.pid(), "mnt"), namespace(site.pid(), "net")]);
    assert_eq!(seen.len(), 3, "it sees the host's files");
}

fn start_container_runs_inside_the_container(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["hostname"] = json!("inside");
    site.config["hooks"]["startContainer"] =
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", "hostname > /seen; pwd >> /seen"], "env": ["PATH=/bin"] }]);
    site.create(&[]).ok();
    assert!(!site.rootfs().join("seen").exists());
    site.verb("start", &[]).ok();
    hull_testkit::eventually("the hook has run", || read(site.rootfs().join("seen")).starts_with("inside\n"));
}

fn a_failing_hook_undoes_the_create(rt: Runtime) {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut site = Site::new(rt);
        site.config["hooks"][kind] = json!([hook("echo the reason >&2; exit 3")]);
        let out = site.create(&[]);
        assert_ne!(out.code, 0, "{kind}");
        assert!(
            rt != Runtime::Hull || (out.stderr.contains(kind) && out.stderr.contains('3')),
            "{kind}: {}",
            out.stderr
        );
        assert_eq!(site.status(), "", "{kind}");
        assert_eq!(site.members(), Vec::<String>::new(), "{kind}");
    }
}

fn a_failing_start_container_hook_ends_the_container(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["sh", "-c", "echo ran > /ran; sleep 1000"]);
    site.config["hooks"]["startContainer"] = json!([{ "path": "/bin/false" }]);
    site.create(&[]).ok();
    let out = site.verb("start", &[]);
    assert!(out.code != 0 || rt != Runtime::Hull, "{out:?}");
    hull_testkit::eventually("it does not run", || site.status() != "running");
    assert!(!site.rootfs().join("ran").exists());
}

fn a_failing_poststart_hook_is_a_failure_of_start(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["hooks"]["poststart"] = json!([hook("exit 3")]);
    site.create(&[]).ok();
    assert_ne!(site.verb("start", &[]).code, 0);
}

fn a_failing_poststop_hook_does_not_stop_the_delete(rt: Runtime) {
    let mut site = Site::new(rt);
    let file = site.path().join("second");
    site.config["hooks"]["poststop"] = json!([hook("exit 3"), hook(&format!("echo second > {}", file.display()))]);
    site.up();
    site.stop();
    site.verb("delete", &[]);
    assert_eq!(site.status(), "");
    assert_eq!(site.cgroups(), Vec::<std::path::PathBuf>::new());
    assert!(rt != Runtime::Hull || read(file) == "second\n", "the hooks after it run");
}

fn a_timeout_ends_a_hook(rt: Runtime) {
    let mut site = Site::new(rt);
    let mut slow = hook("exec sleep 1000");
    slow["timeout"] = json!(1);
    site.config["hooks"]["createRuntime"] = json!([slow]);
    let begin = std::time::Instant::now();
    assert_ne!(site.create(&[]).code, 0);
    assert!(begin.elapsed().as_secs() < 30);
    assert_eq!(site.status(), "");
}

fn a_hook_that_is_missing_fails_the_create(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["hooks"]["createRuntime"] = json!([{ "path": "/not/there" }]);
    let out = site.create(&[]);
    assert!(out.code != 0 && (rt != Runtime::Hull || out.stderr.contains("/not/there")), "{out:?}");
    assert_eq!(site.status(), "");
}

fn a_relative_path_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["hooks"]["createRuntime"] = json!([{ "path": "bin/true" }]);
    assert_ne!(site.create(&[]).code, 0);
    assert_eq!(site.status(), "");
}
