//! `explain --start` and `run --explain`: the causes of a start's steps are changed, and its story changes with them.

use std::time::Instant;

use hull_testkit::Host;
use serde_json::Value;

fn story(host: &Host, who: &str) -> Value {
    serde_json::from_str(&host.hull(&["explain", "--start", "--json", who]).ok()).expect("JSON")
}

fn steps(of: &Value) -> &Vec<Value> {
    of["Steps"].as_array().unwrap_or_else(|| panic!("no steps: {of:#}"))
}

/// Whether a step says exactly this.
fn has(of: &Value, what: &str) -> bool {
    steps(of).iter().any(|step| step["What"] == what)
}

/// The first step whose words begin so.
#[track_caller]
fn place(of: &Value, what: &str) -> usize {
    let found = steps(of).iter().position(|step| step["What"].as_str().is_some_and(|words| words.starts_with(what)));
    found.unwrap_or_else(|| panic!("no step `{what}`: {of:#}"))
}

fn number(of: &Value, key: &str) -> i64 {
    of[key].as_i64().unwrap_or_else(|| panic!("no number {key}: {of:#}"))
}

#[test]
fn the_steps_follow_each_other_and_fill_the_whole_time() {
    let host = Host::new();
    host.hull(&["create", "--name", "one", "busybox", "sleep", "1000"]).ok();
    let begun = Instant::now();
    host.hull(&["start", "one"]).ok();
    let waited = i64::try_from(begun.elapsed().as_nanos()).unwrap();
    let story = story(&host, "one");
    let mut end = 0;
    for step in steps(&story) {
        assert_eq!(number(step, "At"), end, "{story:#}");
        end += number(step, "Took");
    }
    assert_eq!(end, number(&story, "Took"));
    assert!(end > 0 && end < waited, "{end} ns of {waited}");
    // The engine prepares, the keeper clones, the child walks the plan, the engine hears of it.
    let who: Vec<&str> = steps(&story).iter().map(|step| step["By"].as_str().unwrap()).collect();
    let runs: Vec<&str> = who.chunk_by(|a, b| a == b).map(|run| run[0]).collect();
    assert_eq!(runs, ["engine", "keeper", "child", "engine"], "{story:#}");
    let order = [
        "put the root file system together",
        "make its cgroup",
        "compile the plan",
        "hand the plan",
        "clone the process with its",
        "attach the root file system",
        "mount proc at `/proc`",
        "change the root",
        "load the seccomp filter",
        "execve",
        "hear of it",
    ];
    let places: Vec<usize> = order.iter().map(|what| place(&story, what)).collect();
    assert!(places.is_sorted(), "{places:?}: {story:#}");
    host.assert_clean();
}

#[test]
fn each_cause_has_its_step() {
    let host = Host::new();
    host.sleeper(&["--name", "plain"]);
    let more = ["--name", "more", "--hostname", "nest", "--user", "7:8", "--tmpfs", "/scratch", "-w", "/deep/down"];
    let rest = ["--ulimit", "core=0", "--sysctl", "net.ipv4.ip_default_ttl=99", "--security-opt", "seccomp=unconfined"];
    host.sleeper(&[&more[..], &rest].concat());
    let (plain, more) = (story(&host, "plain"), story(&host, "more"));
    for what in [
        "set the host name `nest`",
        "become user 7 and group 8",
        "mount tmpfs at `/scratch`",
        "change to `/deep/down`",
        "set the limit core to 0:0",
        "set the sysctl `net/ipv4/ip_default_ttl` to `99`",
    ] {
        assert!(has(&more, what), "{what}: {more:#}");
        assert!(!has(&plain, what), "{what}: {plain:#}");
    }
    let filters = |of: &Value| steps(of).iter().any(|step| step["What"].as_str().unwrap().contains("seccomp filter ("));
    assert!(filters(&plain) && !filters(&more));
    let id: String = plain["Id"].as_str().unwrap().chars().take(12).collect();
    assert!(has(&plain, &format!("set the host name `{id}`")), "{plain:#}");
    host.assert_clean();
}

#[test]
fn a_filter_that_forbids_the_clock_is_not_asked() {
    let host = Host::new();
    let profile = host.path().join("no-clock.json");
    let rule = r#"{"names": ["clock_gettime"], "action": "SCMP_ACT_KILL_PROCESS"}"#;
    std::fs::write(&profile, format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#)).unwrap();
    host.sleeper(&["--name", "one", "--security-opt", &format!("seccomp={}", profile.display())]);
    let story = story(&host, "one");
    let last = &steps(&story)[place(&story, "execve")];
    assert!(last["What"].as_str().unwrap().contains("not timed"), "{story:#}");
    let load = &steps(&story)[place(&story, "load the seccomp filter")];
    assert!(!load["What"].as_str().unwrap().contains("not timed"), "{story:#}");
    host.assert_clean();
}

#[test]
fn run_tells_the_story_beside_the_output_and_keeps_the_exit_code() {
    let host = Host::new();
    let ran = host.hull(&["run", "--rm", "--explain", "--name", "brief", "busybox", "sh", "-c", "echo out; exit 7"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (7, "out\n"), "{}", ran.stderr);
    for part in ["brief (", "of busybox: started in ", "execve", "where the time went", "the command line waited "] {
        assert!(ran.stderr.contains(part), "no {part}: {}", ran.stderr);
    }
    // It is gone, and its story is not.
    assert!(host.hull(&["explain", "--start", "brief"]).ok().contains("where the time went"));
    let unknown = host.hull(&["explain", "--start", "nobody"]).fails(1);
    assert!(unknown.contains("No such container: nobody"), "{unknown}");
    let ran = host.hull(&["run", "-d", "--explain", "--name", "long", "busybox", "sleep", "1000"]);
    assert_eq!((ran.code, ran.stdout.trim().len()), (0, 64), "{}", ran.stderr);
    assert!(ran.stderr.contains("where the time went"), "{}", ran.stderr);
    host.assert_clean();
}

/// The story of a start that failed: its last step, which did, and why.
#[track_caller]
fn failed(host: &Host, who: &str) -> (String, String, String) {
    let story = story(host, who);
    let (last, before) = steps(&story).split_last().expect("steps");
    assert!(last["Failed"] == true && before.iter().all(|step| step["Failed"] == false), "{story:#}");
    let mut end = 0;
    for step in steps(&story) {
        assert_eq!(number(step, "At"), end, "{story:#}");
        end += number(step, "Took");
    }
    assert_eq!(end, number(&story, "Took"));
    let text = |of: &Value, key: &str| of[key].as_str().expect("text").to_owned();
    (text(last, "By"), text(last, "What"), text(&story, "Error"))
}

#[test]
fn a_start_that_failed_is_told_until_the_step_that_did() {
    let host = Host::new();
    let gone = host.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let bind = format!("type=bind,source={},target=/data", gone.display());
    for (name, flags, command) in [
        ("missing", &[][..], "nosuchcommand"),
        ("placeless", &["-w", "/bin/busybox"], "true"),
        ("unset", &["--sysctl", "net.ipv4.ip_default_ttl=999999"], "true"),
        ("sourceless", &["--mount", &bind], "true"),
    ] {
        host.hull(&[&["create", "--name", name], flags, &["busybox", command]].concat()).ok();
    }
    std::fs::remove_dir(&gone).unwrap();
    for (name, by, what, why) in [
        ("missing", "child", "execve", "nosuchcommand"),
        ("placeless", "child", "change to `/bin/busybox`", "/bin/busybox"),
        ("unset", "child", "set the sysctl `net/ipv4/ip_default_ttl` to `999999`", "ip_default_ttl"),
        ("sourceless", "engine", "open what is mounted", "gone"),
    ] {
        assert_ne!(host.hull(&["start", name]).code, 0, "{name}");
        let (last, step, error) = failed(&host, name);
        assert!(last == by && step.starts_with(what) && error.contains(why), "{name}: {last} {step}: {error}");
        assert_eq!(error, host.inspect(name)["State"]["Error"], "{name}");
    }
    let page = host.hull(&["explain", "--start", "missing"]).ok();
    assert!(page.contains(" of busybox: did not start, failed after ") && page.contains(": this failed\n"), "{page}");
    // The next start is another story.
    std::fs::create_dir(&gone).unwrap();
    host.hull(&["start", "sourceless"]).ok();
    let mended = story(&host, "sourceless");
    assert!(mended["Error"] == "" && steps(&mended).iter().all(|step| step["Failed"] == false), "{mended:#}");
    let ran = host.hull(&["run", "--rm", "--explain", "--name", "brief", "busybox", "nosuchcommand"]);
    assert!(ran.code == 127 && ran.stderr.contains("where the time went"), "{}: {}", ran.code, ran.stderr);
    assert_eq!(failed(&host, "brief").0, "child");
    host.assert_clean();
}

#[test]
fn an_engine_that_did_not_see_the_start_says_so() {
    let host = Host::new();
    host.sleeper(&["--name", "one"]);
    host.hull(&["engine", "restart"]).ok();
    let told = host.hull(&["explain", "--start", "one"]).fails(1);
    assert!(told.contains("was not seen by this engine"), "{told}");
    host.hull(&["restart", "-t", "0", "one"]).ok();
    assert!(has(&story(&host, "one"), "attach the root file system"));
    host.assert_clean();
}
