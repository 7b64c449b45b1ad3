//! create, start, run, kill, delete, state: the life of a container and what is refused in it.

use std::fs;

use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    create_then_start;
    what_is_created_has_not_run;
    run_gives_output_and_code;
    run_of_a_killed_process_gives_128_and_the_signal;
    run_removes_the_container;
    run_detached_leaves_it_running;
    the_pid_file_of_run_and_create_holds_the_pid;
    state_has_the_fields_of_the_spec;
    state_of_a_stopped_container_has_no_pid;
    state_of_a_missing_container_fails.not_over(Runtime::Crun, "names a file of its own");
    annotations_are_in_the_state;
    an_id_that_is_taken_is_refused;
    a_bad_id_is_refused.not_over(Runtime::Crun, "takes ids with slashes");
    good_ids_are_taken;
    a_started_container_cannot_be_started_again;
    a_stopped_container_cannot_be_started;
    a_missing_container_cannot_be_started_killed_or_deleted.not_over(Runtime::Crun, "names a file of its own");
    a_running_container_cannot_be_deleted;
    a_created_container_can_be_deleted;
    delete_force_ends_what_runs;
    delete_force_of_a_missing_container_succeeds;
    delete_of_a_stopped_container_removes_its_cgroup;
    a_created_container_can_be_killed;
    kill_takes_names_and_numbers;
    kill_sends_sigterm_by_default;
    an_unknown_signal_is_refused.not_over(Runtime::Crun, "takes it for signal 0");
    a_stopped_container_cannot_be_killed;
    kill_all_reaches_every_process;
    the_id_is_free_after_delete;
    the_bundle_is_the_working_directory_by_default;
    a_command_that_is_missing_fails_the_create;
    a_failed_create_leaves_nothing;
    an_unknown_verb_or_flag_is_refused;
    many_at_once;
    stdin_reaches_run;
    the_root_directory_is_private;
];

fn create_then_start(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    assert_eq!(site.status(), "created");
    site.verb("start", &[]).ok();
    assert_eq!(site.status(), "running");
    site.stop();
    site.verb("delete", &[]).ok();
    assert_eq!(site.status(), "");
}

fn what_is_created_has_not_run(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["sh", "-c", "echo ran > /ran; sleep 1000"]);
    site.create(&[]).ok();
    let pid = site.pid();
    let name = read(format!("/proc/{pid}/cmdline"));
    assert!(!name.starts_with("sh\0"), "{name}");
    assert!(!site.rootfs().join("ran").exists(), "the process ran before it was started");
    site.verb("start", &[]).ok();
    hull_testkit::eventually("it runs", || read(site.rootfs().join("ran")) == "ran\n");
    assert_eq!(site.pid(), pid, "start changed the pid");
}

fn run_gives_output_and_code(rt: Runtime) {
    let mut site = Site::new(rt);
    for code in [0, 1, 3, 42, 255] {
        let out = site.args(&["sh", "-c", &format!("echo out; echo err >&2; exit {code}")]).run(&[]);
        assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (code, "out\n", "err\n"));
    }
}

fn run_of_a_killed_process_gives_128_and_the_signal(rt: Runtime) {
    let mut site = Site::new(rt);
    // PID 1 of a pid namespace does not die of its own signals: here it has the host's.
    site.drop_namespace("pid");
    assert_eq!(site.args(&["sh", "-c", "kill -9 $$"]).run(&[]).code, 137);
    assert_eq!(site.args(&["sh", "-c", "kill -15 $$"]).run(&[]).code, 143);
}

fn run_removes_the_container(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["true"]).run(&[]).ok();
    assert_eq!(site.status(), "");
    site.run(&[]).ok();
}

fn run_detached_leaves_it_running(rt: Runtime) {
    let site = Site::new(rt);
    site.run(&["--detach"]).ok();
    assert_eq!(site.status(), "running");
    site.stop();
    site.verb("delete", &[]).ok();
    site.run(&["-d"]).ok();
    assert_eq!(site.status(), "running");
}

fn the_pid_file_of_run_and_create_holds_the_pid(rt: Runtime) {
    let site = Site::new(rt);
    let file = site.path().join("pid");
    let path = file.to_string_lossy().into_owned();
    site.create(&["--pid-file", &path]).ok();
    assert_eq!(read(&file), site.pid().to_string());
    site.verb("delete", &["--force"]).ok();
    fs::remove_file(&file).expect("rm");
    site.run(&["-d", "--pid-file", &path]).ok();
    assert_eq!(read(&file), site.pid().to_string());
}

fn state_has_the_fields_of_the_spec(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    let state = site.state();
    assert_eq!(state["id"], json!(site.id));
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], json!(site.bundle()));
    let rootfs = site.rootfs().to_string_lossy().into_owned();
    assert_eq!(state["rootfs"], if rt == Runtime::Crun { "rootfs" } else { &rootfs });
    let version = state["ociVersion"].as_str().expect("ociVersion");
    assert!(version.starts_with("1."), "{version}");
    assert!(state["pid"].as_u64().is_some_and(|pid| pid > 1), "{state}");
    assert!(state["created"].as_str().is_some_and(|t| t.starts_with("20") && t.contains('T')), "{state}");
    assert_eq!(state["owner"].as_str().unwrap_or_default(), if rt == Runtime::Crun { "root" } else { "" });
}

fn state_of_a_stopped_container_has_no_pid(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["true"]);
    site.up();
    site.wait_for("stopped");
    assert_eq!(site.state()["pid"], 0);
}

fn state_of_a_missing_container_fails(rt: Runtime) {
    let site = Site::new(rt);
    let said = site.verb("state", &[]).fails(1);
    assert!(said.contains("exist"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

fn annotations_are_in_the_state(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["annotations"] = json!({ "com.example.key": "value", "empty": "" });
    site.create(&[]).ok();
    let state = site.state();
    assert_eq!(state["annotations"]["com.example.key"], "value");
    assert_eq!(state["annotations"]["empty"], "");
}

fn an_id_that_is_taken_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    let pid = site.pid();
    let said = site.create(&[]).fails(1);
    assert!(said.contains("exist"), "{said}");
    assert_eq!((site.status().as_str(), site.pid()), ("created", pid));
    let out = site.run(&[]);
    assert!(out.code != 0 && out.stderr.contains("exist"), "{out:?}");
    assert_eq!(site.pid(), pid);
}

fn a_bad_id_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.write();
    let bundle = site.bundle().to_string_lossy().into_owned();
    for id in ["../escape", "a/b", "/abs", "..", ""] {
        let out = site.oci(&["create", "--bundle", &bundle, id]);
        assert!(out.code != 0 && !out.stderr.is_empty(), "{id:?}: {out:?}");
    }
    assert!(!site.path().join("escape").exists());
    assert_ne!(site.oci(&["create", "--bundle", &bundle]).code, 0, "without an id");
}

fn good_ids_are_taken(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["true"]).write();
    let bundle = site.bundle().to_string_lossy().into_owned();
    for id in ["a", "A.b_c-d+e", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"] {
        site.oci(&["run", "--bundle", &bundle, id]).ok();
    }
}

fn a_started_container_cannot_be_started_again(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    assert_ne!(site.verb("start", &[]).code, 0);
    assert_eq!(site.status(), "running");
}

fn a_stopped_container_cannot_be_started(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.stop();
    assert_ne!(site.verb("start", &[]).code, 0);
    assert_eq!(site.status(), "stopped");
}

fn a_missing_container_cannot_be_started_killed_or_deleted(rt: Runtime) {
    let site = Site::new(rt);
    for verb in ["start", "kill", "delete", "pause", "resume", "ps"] {
        let out = site.verb(verb, &[]);
        assert!(out.code != 0 && out.stderr.contains("exist"), "{verb}: {out:?}");
    }
    assert_ne!(site.exec(&[], &["true"]).code, 0);
}

fn a_running_container_cannot_be_deleted(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let said = site.verb("delete", &[]).fails(1);
    let words = if rt == Runtime::Crun { "is not in" } else { "not stopped" };
    assert!(said.contains(words), "{said}");
    assert_eq!(site.status(), "running");
}

fn a_created_container_can_be_deleted(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    site.verb("delete", &[]).ok();
    assert_eq!(site.status(), "");
}

fn delete_force_ends_what_runs(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let pid = site.pid();
    site.verb("delete", &["--force"]).ok();
    assert!(!fs::exists(format!("/proc/{pid}")).expect("proc") || read(format!("/proc/{pid}/cmdline")).is_empty());
    assert_eq!(site.status(), "");
}

fn delete_force_of_a_missing_container_succeeds(rt: Runtime) {
    let site = Site::new(rt);
    site.verb("delete", &["--force"]).ok();
}

fn delete_of_a_stopped_container_removes_its_cgroup(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    assert!(!site.cgroups().is_empty());
    site.stop();
    site.verb("delete", &[]).ok();
    assert_eq!(site.cgroups(), Vec::<std::path::PathBuf>::new());
}

fn a_created_container_can_be_killed(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    site.stop();
    site.verb("delete", &[]).ok();
}

fn kill_takes_names_and_numbers(rt: Runtime) {
    let mut site = Site::new(rt);
    let script =
        "trap 'echo one >> /got' USR1; trap 'echo two >> /got' USR2; echo ready > /got; while :; do sleep 0.01; done";
    site.args(&["sh", "-c", script]);
    site.up();
    let got = site.rootfs().join("got");
    let mut expected = "ready\n".to_owned();
    for (signal, word) in [("USR1", "one\n"), ("SIGUSR2", "two\n"), ("10", "one\n"), ("12", "two\n")] {
        hull_testkit::eventually("it has answered", || read(&got) == expected);
        site.kill(signal).ok();
        expected.push_str(word);
    }
    hull_testkit::eventually("it has answered", || read(&got) == expected);
}

fn kill_sends_sigterm_by_default(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["sh", "-c", "trap 'echo term > /got; exit' TERM; echo ready > /got; while :; do sleep 0.01; done"]);
    site.up();
    let got = site.rootfs().join("got");
    hull_testkit::eventually("it is ready", || read(&got) == "ready\n");
    site.verb("kill", &[]).ok();
    site.wait_for("stopped");
    assert_eq!(read(got), "term\n");
}

fn an_unknown_signal_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    for signal in ["SIGNONE", "-", "x9"] {
        assert_ne!(site.kill(signal).code, 0, "{signal}");
    }
    assert_eq!(site.status(), "running");
}

fn a_stopped_container_cannot_be_killed(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.stop();
    let out = site.kill("TERM");
    assert!(out.code != 0 && !out.stderr.is_empty(), "{out:?}");
}

fn kill_all_reaches_every_process(rt: Runtime) {
    let mut site = Site::new(rt);
    // Without a pid namespace the others do not end with the first.
    site.drop_namespace("pid");
    site.args(&["sh", "-c", "sleep 1000 & sleep 1000 & echo ready > /got; wait"]);
    site.up();
    hull_testkit::eventually("it is ready", || read(site.rootfs().join("got")) == "ready\n");
    site.oci(&["kill", "--all", &site.id, "KILL"]).ok();
    site.wait_for("stopped");
    hull_testkit::eventually("all have ended", || site.members().is_empty());
}

fn the_id_is_free_after_delete(rt: Runtime) {
    let site = Site::new(rt);
    for _ in 0..2 {
        site.up();
        site.verb("delete", &["--force"]).ok();
    }
}

fn the_bundle_is_the_working_directory_by_default(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["echo", "here"]).write();
    let run = format!("cd {} && exec \"$@\"", site.bundle().display());
    site.wrapper = ["sh", "-c", &run, "sh"].map(str::to_owned).into();
    assert_eq!(site.oci(&["run", &site.id]).ok(), "here");
}

fn a_command_that_is_missing_fails_the_create(rt: Runtime) {
    let mut site = Site::new(rt);
    for command in ["not-there", "/bin/not-there", "/etc/passwd", "/etc"] {
        let out = site.args(&[command]).create(&[]);
        assert_ne!(out.code, 0, "{command}");
        assert!(out.stderr.contains(command) || rt == Runtime::Crun, "{command} is not named: {}", out.stderr);
        assert_eq!(site.status(), "", "{command}");
    }
}

fn a_failed_create_leaves_nothing(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["not-there"]);
    assert_ne!(site.create(&[]).code, 0);
    assert_eq!(site.cgroups(), Vec::<std::path::PathBuf>::new());
    assert_eq!(site.verb("state", &[]).stdout, "");
    site.args(&["true"]).run(&[]).ok();
}

fn an_unknown_verb_or_flag_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    assert_ne!(site.oci(&["no-such-verb"]).code, 0);
    assert_ne!(site.create(&["--no-such-flag"]).code, 0);
    assert_eq!(site.status(), "");
}

fn many_at_once(rt: Runtime) {
    let site = Site::new(rt);
    site.write();
    let bundle = site.bundle().to_string_lossy().into_owned();
    let ids: Vec<String> = (0..6).map(|n| format!("{}-{n}", site.id)).collect();
    // All have one cgroupsPath in one bundle: so each has a bundle of its own.
    let bundles: Vec<_> = ids.iter().map(|id| site.path().join(id)).collect();
    for (id, dir) in ids.iter().zip(&bundles) {
        fs::create_dir(dir).expect("mkdir");
        let mut config = site.config.clone();
        config["root"]["path"] = json!(format!("{bundle}/rootfs"));
        config["linux"]["cgroupsPath"] = json!(format!("/{id}"));
        fs::write(dir.join("config.json"), config.to_string()).expect("config.json");
    }
    let all = |each: &(dyn Fn(&str, &str) -> hull_testkit::Out + Sync)| {
        std::thread::scope(|scope| {
            let work = ids.iter().zip(&bundles).map(|(id, dir)| scope.spawn(move || each(id, &dir.to_string_lossy())));
            work.collect::<Vec<_>>().into_iter().for_each(|out| drop(out.join().expect("a thread").ok()));
        });
    };
    all(&|id, dir| site.oci(&["create", "--bundle", dir, id]));
    all(&|id, _| site.oci(&["start", id]));
    all(&|id, _| site.oci(&["exec", id, "true"]));
    all(&|id, _| site.oci(&["delete", "--force", id]));
}

fn stdin_reaches_run(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["cat"]).write();
    let bundle = site.bundle().to_string_lossy().into_owned();
    let out = hull_testkit::run(&mut site.runtime(&["run", "--bundle", &bundle, &site.id]), b"words\n");
    assert_eq!(out.ok(), "words");
}

fn the_root_directory_is_private(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    use std::os::unix::fs::PermissionsExt;
    for dir in [site.root(), site.root().join(&site.id)] {
        let mode = fs::metadata(&dir).expect("metadata").permissions().mode() & 0o7777;
        assert_eq!(mode & 0o022, 0, "{} has mode {mode:o}", dir.display());
    }
}
