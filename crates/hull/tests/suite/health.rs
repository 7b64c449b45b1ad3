//! Health checks: what they find, count, log and tell; time limits, the start period, what follows.
//!
//! Expectations are Docker 28.5's, asked of its daemon; that a check's whole session is killed when its time is over
//! is hull's own (docker kills its first process only).

use std::fs;
use std::process::Stdio;

use hull_testkit::{Host, eventually, kill9};
use serde_json::{Value, json};

/// Flags of a check that is done often.
const OFTEN: [&str; 4] = ["--health-interval", "150ms", "--health-retries", "2"];

fn checked(host: &Host, name: &str, command: &str, flags: &[&str]) -> String {
    host.sleeper(&[&["--name", name, "--health-cmd", command][..], flags].concat())
}

fn health(host: &Host, who: &str) -> Value {
    host.inspect(who)["State"]["Health"].clone()
}

#[track_caller]
fn becomes(host: &Host, who: &str, status: &str) {
    eventually(&format!("{who} is {status}"), || health(host, who)["Status"] == status);
}

fn listed(host: &Host, filter: &str) -> String {
    host.hull(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]).ok()
}

#[test]
fn a_container_gets_unhealthy_healthy_and_unhealthy_again() {
    let host = Host::new();
    // Heard as they come: the engine remembers 256 events, and each check makes three.
    let heard = host.path().join("heard");
    let listening = fs::File::create(&heard).expect("a file");
    let format = "{{.Action}} {{.Actor.Attributes.exitCode}}";
    let mut events = host.command("hull");
    events.args(["events", "--since", "0", "--filter", "container=web", "--format", format]);
    let mut events = events.stdin(Stdio::null()).stdout(listening).spawn().expect("hull");
    checked(&host, "web", "test -f /ok && echo fine", &OFTEN);
    host.sleeper(&["--name", "plain"]);
    assert_eq!(health(&host, "plain"), Value::Null);
    becomes(&host, "web", "unhealthy");
    assert!(health(&host, "web")["FailingStreak"].as_u64() >= Some(2));
    assert!(host.hull(&["ps", "--format", "{{.Status}}", "--filter", "name=^web$"]).ok().ends_with(" (unhealthy)"));
    assert_eq!((listed(&host, "health=unhealthy"), listed(&host, "health=none")), ("web".into(), "plain".into()));
    host.hull(&["exec", "web", "touch", "/ok"]).ok();
    becomes(&host, "web", "healthy");
    let found = health(&host, "web");
    assert_eq!(found["FailingStreak"], 0);
    let last = found["Log"].as_array().and_then(|log| log.last()).cloned().expect("results");
    assert_eq!((last["ExitCode"].clone(), last["Output"].clone()), (json!(0), json!("fine\n")));
    assert!(host.hull(&["ps", "--format", "{{.Status}}", "--filter", "health=healthy"]).ok().ends_with(" (healthy)"));
    host.hull(&["exec", "web", "rm", "/ok"]).ok();
    becomes(&host, "web", "unhealthy");
    eventually("there are five results", || health(&host, "web")["Log"].as_array().map(Vec::len) == Some(5));
    let told = |what: &str| -> Vec<String> {
        let text = fs::read_to_string(&heard).expect("what was heard");
        text.lines()
            .filter(|line| line.starts_with(what))
            .map(|line| line.trim_end_matches(" <no value>").to_owned())
            .collect()
    };
    eventually("all changes are told", || told("health_status").len() >= 3);
    let changes = ["health_status: unhealthy", "health_status: healthy", "health_status: unhealthy"];
    assert_eq!(told("health_status"), changes);
    assert!(!told("exec_create: /bin/sh -c test -f /ok && echo fine").is_empty());
    assert!(!told("exec_start: /bin/sh -c test -f /ok && echo fine").is_empty());
    assert_eq!(told("exec_die").first().map(String::as_str), Some("exec_die 1"));
    events.kill().expect("it runs");
    events.wait().expect("it ends");
    let refused = host.hull(&["ps", "--filter", "health=foo"]).fails(1);
    assert!(refused.contains("must be one of none, starting, healthy, unhealthy"), "{refused}");
}

#[test]
fn a_check_that_takes_too_long_is_killed_with_all_it_started() {
    let host = Host::new();
    let flags = ["--health-interval", "1s", "--health-timeout", "800ms", "--health-retries", "1"];
    checked(&host, "slow", "echo begun; (sleep 777 &); sleep 778", &flags);
    becomes(&host, "slow", "unhealthy");
    let log = || health(&host, "slow")["Log"].as_array().cloned().unwrap_or_default();
    assert!(log().iter().all(|found| found["ExitCode"] == -1), "{:?}", log());
    // A machine may be too slow to begin within the time.
    let said = |found: &Value| found["Output"] == "Health check exceeded timeout (800ms): begun\n";
    eventually("its output is kept", || log().iter().any(said));
    eventually("nothing of it is left", || !host.hull(&["top", "slow"]).ok().contains("sleep 77"));
    assert!(host.hull(&["top", "slow"]).ok().contains("sleep 1000"));
}

#[test]
fn failures_of_the_start_period_do_not_count_until_a_check_succeeds() {
    let host = Host::new();
    let flags = ["--health-start-period", "1h", "--health-start-interval", "100ms", "--health-interval", "200ms"];
    checked(&host, "early", "test -f /ok", &[&flags[..], &["--health-retries", "1"]].concat());
    eventually("it has failed often", || health(&host, "early")["Log"].as_array().map(Vec::len) == Some(5));
    let found = health(&host, "early");
    assert_eq!((&found["Status"], &found["FailingStreak"]), (&json!("starting"), &json!(0)));
    assert!(host.hull(&["ps", "--format", "{{.Status}}"]).ok().ends_with(" (health: starting)"));
    host.hull(&["exec", "early", "touch", "/ok"]).ok();
    becomes(&host, "early", "healthy");
    host.hull(&["exec", "early", "rm", "/ok"]).ok();
    becomes(&host, "early", "unhealthy");
}

#[test]
fn an_images_check_is_run_and_the_request_changes_parts_of_it() {
    let host = Host::new();
    let tar = hull_testkit::busybox_tar().to_string_lossy().into_owned();
    let change = "HEALTHCHECK --interval=150ms --retries=7 CMD echo $(id -u) $A $PWD";
    host.hull(&["import", "--change", change, &tar, "checked"]).ok();
    let run = |name: &str, flags: &[&str]| {
        let words = [&["run", "-d", "--name", name, "-u", "1000", "-e", "A=b", "-w", "/tmp"][..], flags];
        host.hull(&[&words.concat()[..], &["checked", "sleep", "1000"]].concat()).ok()
    };
    run("own", &[]);
    becomes(&host, "own", "healthy");
    assert_eq!(health(&host, "own")["Log"][0]["Output"], "1000 b /tmp\n");
    run("off", &["--no-healthcheck"]);
    assert_eq!(health(&host, "off"), Value::Null);
    run("other", &["--health-cmd", "exit 3"]);
    let config = host.inspect("other")["Config"]["Healthcheck"].clone();
    assert_eq!(config, json!({"Test": ["CMD-SHELL", "exit 3"], "Interval": 150_000_000, "Retries": 7}));
    becomes(&host, "other", "unhealthy");
    assert_eq!(health(&host, "other")["Log"][0]["ExitCode"], 3);
    // The exec form, of a command that is not there; before the first start there is no health.
    let body = json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"},
        "Healthcheck": {"Test": ["CMD", "/nonexistent"], "Interval": 150_000_000, "Retries": 1}});
    let made = host.api("POST", "/containers/create?name=none", Some(&body.to_string()));
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(health(&host, "none"), Value::Null);
    host.hull(&["start", "none"]).ok();
    becomes(&host, "none", "unhealthy");
    let first = health(&host, "none")["Log"][0].clone();
    assert_eq!(first["ExitCode"], -1);
    assert!(first["Output"].as_str().is_some_and(|text| text.contains("/nonexistent")), "{first}");
}

#[test]
fn what_is_paused_or_stopped_is_not_checked() {
    let host = Host::new();
    checked(&host, "idle", "true", &OFTEN);
    becomes(&host, "idle", "healthy");
    host.hull(&["pause", "idle"]).ok();
    let paused = health(&host, "idle");
    assert_eq!(paused["Status"], "unhealthy");
    assert!(host.hull(&["ps", "--format", "{{.Status}}"]).ok().ends_with(" (Paused)"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(health(&host, "idle"), paused);
    host.hull(&["unpause", "idle"]).ok();
    becomes(&host, "idle", "healthy");
    host.hull(&["stop", "-t", "0", "idle"]).ok();
    let stopped = health(&host, "idle");
    assert_eq!(stopped["Status"], "unhealthy");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(health(&host, "idle"), stopped);
    host.hull(&["start", "idle"]).ok();
    becomes(&host, "idle", "healthy");
    let end = |found: &Value| found["Log"].as_array().and_then(|log| log.last()?["End"].as_str().map(str::to_owned));
    // The next engine begins anew.
    kill9(host.engine_pid());
    let before = end(&health(&host, "idle"));
    eventually("the next engine has checked it", || {
        let found = health(&host, "idle");
        found["Status"] == "healthy" && end(&found) > before
    });
}

#[test]
fn an_unhealthy_container_is_killed_restarted_or_stopped_as_asked() {
    let host = Host::new();
    let failing = |name: &str, action: &str, more: &[&str]| {
        let flags = [&OFTEN[..], &["--health-on-failure", action, "--stop-timeout", "0"], more].concat();
        checked(&host, name, "false", &flags);
    };
    failing("kill", "kill", &["--restart", "always"]);
    eventually("the policy started it again", || host.inspect("kill")["RestartCount"].as_u64() >= Some(1));
    failing("stop", "stop", &["--restart", "always"]);
    eventually("it is stopped", || host.inspect("stop")["State"]["Status"] == "exited");
    failing("again", "restart", &[]);
    let started = || host.inspect("again")["State"]["StartedAt"].as_str().map(str::to_owned);
    let first = started();
    eventually("it was restarted", || started() > first);
    failing("none", "none", &[]);
    becomes(&host, "none", "unhealthy");
    assert_eq!(host.inspect("none")["State"]["Status"], "running");
    for (flags, word) in [
        (&["--health-on-failure", "kill"][..], "without a health check"),
        (&["--health-cmd", "true", "--health-on-failure", "explode"], "explode"),
        (&["--health-cmd", "true", "--health-interval", "10us"], "Interval in Healthcheck cannot be less than 1ms"),
        (&["--health-cmd", "true", "--no-healthcheck"], "--no-healthcheck"),
    ] {
        let refused = host.hull(&[&["run", "--rm"], flags, &["busybox", "true"]].concat()).fails(125);
        assert!(refused.contains(word), "{refused}");
    }
}
