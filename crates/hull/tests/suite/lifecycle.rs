//! create, start, stop, kill, restart, rename, rm, wait, restart policies, events.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};

use hull_testkit::{Host, eventually, hull_binary};
use serde_json::Value;

fn state(host: &Host, who: &str) -> String {
    host.inspect(who)["State"]["Status"].as_str().expect("a status").to_string()
}

#[test]
fn a_life_from_create_to_rm() {
    let host = Host::new();
    let id = host.hull(&["create", "--name", "life", "busybox", "sh", "-c", "exit 4"]).ok();
    assert_eq!(id.len(), 64);
    assert_eq!(state(&host, "life"), "created");
    assert_eq!(host.hull(&["start", "life"]).ok(), "life");
    assert_eq!(host.hull(&["wait", "life"]).ok(), "4");
    assert_eq!(state(&host, "life"), "exited");
    host.hull(&["start", "life"]).ok();
    assert_eq!(host.hull(&["wait", "life"]).ok(), "4");
    host.hull(&["rename", "life", "after"]).ok();
    assert_eq!(host.hull(&["rm", "after"]).ok(), "after");
    let err = host.hull(&["inspect", "after"]).fails(1);
    assert!(err.contains("after"), "{err}");
}

#[test]
fn stop_sends_term_waits_and_kills() {
    let host = Host::new();
    let polite = host
        .hull(&["run", "-d", "busybox", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"])
        .ok();
    host.ready(&polite);
    host.hull(&["stop", &polite]).ok();
    assert_eq!(host.inspect(&polite)["State"]["ExitCode"], 5);
    let deaf =
        host.hull(&["run", "-d", "busybox", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]).ok();
    host.ready(&deaf);
    let begin = std::time::Instant::now();
    host.hull(&["stop", "-t", "1", &deaf]).ok();
    assert!(begin.elapsed().as_secs_f64() >= 1.0);
    assert_eq!(host.inspect(&deaf)["State"]["ExitCode"], 137);
    let own = host
        .hull(&[
            "run",
            "-d",
            "--stop-signal=USR1",
            "busybox",
            "sh",
            "-c",
            "trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done",
        ])
        .ok();
    host.ready(&own);
    host.hull(&["stop", &own]).ok();
    assert_eq!(host.inspect(&own)["State"]["ExitCode"], 6);
}

#[test]
fn kill_sends_the_signal_named() {
    let host = Host::new();
    let id = host
        .hull(&["run", "-d", "busybox", "sh", "-c", "trap 'exit 8' HUP; echo ready; while :; do sleep 0.05; done"])
        .ok();
    host.ready(&id);
    host.hull(&["kill", "-s", "HUP", &id]).ok();
    assert_eq!(host.hull(&["wait", &id]).ok(), "8");
    host.hull(&["kill", &id]).fails(1);
    let err = host.hull(&["kill", "-s", "NOSUCH", &id]).fails(1);
    assert!(err.contains("NOSUCH"), "{err}");
}

#[test]
fn restart_makes_a_new_process() {
    let host = Host::new();
    let id = host.sleeper(&[]);
    let before = host.pid(&id);
    host.hull(&["restart", "-t", "0", &id]).ok();
    assert_ne!(host.pid(&id), before);
}

#[test]
fn restart_policies_are_kept() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "flaky", "--restart=on-failure:2", "busybox", "sh", "-c", "exit 1"]).ok();
    eventually("it gave up", || host.inspect("flaky")["RestartCount"] == 2 && state(&host, "flaky") == "exited");
    host.hull(&["run", "-d", "--name", "always", "--restart=always", "busybox", "sh", "-c", "sleep 0.1"]).ok();
    eventually("it came again", || host.inspect("always")["RestartCount"].as_u64() >= Some(1));
    host.hull(&["stop", "-t", "0", "always"]).ok();
    assert_eq!(state(&host, "always"), "exited");
    host.hull(&["run", "--rm", "--restart=always", "busybox", "true"]).fails(125);
}

/// Each cell as Docker 28.5 has it, asked of its daemon.
#[test]
fn a_person_or_an_update_ends_what_a_policy_repeats() {
    let host = Host::new();
    let failing = |name: &str, policy: &str| {
        host.hull(&["run", "-d", "--name", name, "--restart", policy, "busybox", "false"]).ok();
    };
    let count = |name: &str| host.inspect(name)["RestartCount"].as_u64().expect("a count");
    // Whatever ends it by `kill`, it was a person.
    host.hull(&["run", "-d", "--name", "killed", "--restart", "always", "busybox", "sleep", "1000"]).ok();
    host.hull(&["kill", "killed"]).ok();
    let script = "trap 'exit 3' HUP; echo ready; while :; do sleep 0.05; done";
    host.hull(&["run", "-d", "--name", "asked", "--restart", "always", "busybox", "sh", "-c", script]).ok();
    host.ready("asked");
    host.hull(&["kill", "-s", "HUP", "asked"]).ok();
    // Success is the end of `on-failure`.
    host.hull(&["run", "-d", "--name", "done", "--restart", "on-failure", "busybox", "true"]).ok();
    for (name, code) in [("killed", 137), ("asked", 3), ("done", 0)] {
        eventually("it rests", || state(&host, name) == "exited");
        assert_eq!((count(name), host.inspect(name)["State"]["ExitCode"].as_u64()), (0, Some(code)), "{name}");
    }
    // While it waits for its next start.
    let waiting = ["stopped", "updated", "removed"];
    waiting.iter().for_each(|name| failing(name, "always"));
    for name in waiting {
        // More than six seconds then, each time twice as long as before.
        eventually("it waits for its next start", || count(name) >= 6 && state(&host, name) == "restarting");
    }
    let refused = host.hull(&["rm", "removed"]).fails(1);
    assert!(
        refused.contains("container is restarting: stop the container before removing or force remove"),
        "{refused}"
    );
    host.hull(&["rm", "-f", "removed"]).ok();
    host.hull(&["stop", "stopped"]).ok();
    host.hull(&["update", "--restart", "no", "updated"]).ok();
    for name in ["stopped", "updated"] {
        eventually("it rests", || state(&host, name) == "exited");
    }
    // A client's restart counts anew.
    host.hull(&["run", "-d", "--name", "again", "--restart", "always", "busybox", "sh", "-c", "sleep 0.2; exit 1"])
        .ok();
    eventually("it came again", || count("again") >= 1);
    host.hull(&["update", "--restart", "on-failure:7", "again"]).ok();
    let policy = host.inspect("again")["HostConfig"]["RestartPolicy"].clone();
    assert_eq!(policy, serde_json::json!({"Name": "on-failure", "MaximumRetryCount": 7}));
    host.hull(&["stop", "-t", "0", "again"]).ok();
    host.hull(&["update", "--restart", "no", "again"]).ok();
    host.hull(&["start", "again"]).ok();
    assert_eq!(count("again"), 0);
    // What goes with its run cannot come again.
    host.hull(&["run", "-d", "--rm", "--name", "brief", "busybox", "sleep", "1000"]).ok();
    let refused = host.hull(&["update", "--restart", "always", "brief"]).fails(1);
    assert!(refused.contains("AutoRemove is enabled"), "{refused}");
    host.assert_clean();
}

#[test]
fn names_are_unique_and_found_by_prefix() {
    let host = Host::new();
    let id = host.hull(&["create", "--name", "one", "busybox", "true"]).ok();
    let err = host.hull(&["create", "--name", "one", "busybox", "true"]).fails(1);
    assert!(err.contains("already in use") && err.contains(&id), "{err}");
    assert_eq!(host.inspect(&id[..6])["Name"], "/one");
    let made = host.hull(&["create", "busybox", "true"]).ok();
    let name = host.inspect(&made)["Name"].as_str().expect("a name").to_string();
    assert!(name.contains('_'), "{name}");
}

#[test]
fn a_running_container_is_not_removed_without_force() {
    let host = Host::new();
    let id = host.sleeper(&["--name", "r1"]);
    let err = host.hull(&["rm", "r1"]).fails(1);
    assert!(err.contains("running"), "{err}");
    host.hull(&["rm", "-f", &id]).ok();
    // As docker: said, no failure, and not among what was removed.
    let absent = host.hull(&["rm", "-f", "nosuch"]);
    assert_eq!((absent.code, absent.stdout.as_str()), (0, ""), "{absent:?}");
    assert!(absent.stderr.contains("No such container: nosuch"), "{absent:?}");
    host.hull(&["rm", "nosuch"]).fails(1);
}

#[test]
fn rm_of_itself_leaves_nothing() {
    let host = Host::new();
    host.hull(&["run", "--rm", "--name", "gone", "busybox", "true"]).ok();
    host.hull(&["inspect", "gone"]).fails(1);
    host.assert_clean();
}

#[test]
fn ps_lists_filters_and_formats() {
    let host = Host::new();
    let running = host.sleeper(&["--name", "up", "--label", "k=v"]);
    host.hull(&["run", "--name", "down", "busybox", "sh", "-c", "exit 3"]).fails(3);
    let table = host.hull(&["ps"]).ok();
    assert!(table.starts_with("CONTAINER ID   IMAGE"), "{table}");
    assert!(
        table.contains(&running[..12])
            && table.contains("\"sleep 1000\"")
            && table.contains("up")
            && !table.contains("down"),
        "{table}"
    );
    for (filter, expected) in
        [("status=exited", "down"), ("name=up", "up"), ("label=k=v", "up"), ("exited=3", "down"), ("id=nothing", "")]
    {
        assert_eq!(host.hull(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]).ok(), expected, "{filter}");
    }
    assert_eq!(host.hull(&["ps", "-q", "--no-trunc"]).ok(), running);
    let json: Value = serde_json::from_str(&host.hull(&["ps", "--format", "json"]).ok()).expect("json");
    assert_eq!(json["Names"], "up");
    assert!(host.hull(&["ps", "-a", "--format", "table {{.ID}}\t{{.Status}}"]).ok().contains("Exited (3)"));
    host.hull(&["ps", "--filter", "nosuch=1"]).fails(1);
}

#[test]
fn events_tell_the_life() {
    let host = Host::new();
    let since = host.hull(&["info", "--format", "{{.SystemTime}}"]).ok();
    host.hull(&["run", "--rm", "--name", "e1", "busybox", "sh", "-c", "exit 2"]).fails(2);
    let until = || {
        host.hull(&[
            "events",
            "--since",
            &since,
            "--until",
            "0s",
            "--filter",
            "container=e1",
            "--format",
            "{{.Action}}",
        ])
        .ok()
    };
    eventually("it is destroyed", || until().contains("destroy"));
    let actions: Vec<String> = until().lines().map(String::from).collect();
    let positions: Vec<Option<usize>> =
        ["create", "start", "die", "destroy"].iter().map(|a| actions.iter().position(|b| b == a)).collect();
    assert!(positions.iter().all(Option::is_some) && positions.is_sorted(), "{actions:?}");
    let filter = ["--since", &since, "--until", "0s", "--filter", "type=network"];
    let format = ["--format", "{{.Action}} {{.Actor.Attributes.name}}"];
    let networks = host.hull(&[&["events"], &filter[..], &format].concat()).ok();
    assert_eq!(networks, "connect bridge\ndisconnect bridge");
}

/// The dev containers' CLI starts `docker events` and at once the container that it is to tell of.
#[test]
fn events_tell_what_happened_since_their_command_began() {
    let host = Host::new();
    let run = "run --rm --network none --name";
    let events = "events --filter event=start --format {{.Actor.Attributes.name}}";
    let first = |script: &str, meanwhile: &dyn Fn()| {
        let file = host.path().join("told");
        let out = File::create(&file).expect("a file");
        let mut child =
            host.command("sh").args(["-c", script, "sh"]).arg(hull_binary()).stdout(out).spawn().expect("sh");
        eventually("an event is told", || {
            meanwhile();
            fs::read_to_string(&file).is_ok_and(|told| told.contains('\n'))
        });
        child.kill().expect("kill");
        child.wait().expect("wait");
        fs::read_to_string(&file).expect("read").lines().next().expect("a line").to_owned()
    };
    // One process from before the container's start on, which is the command in the end.
    assert_eq!(first(&format!("\"$1\" {run} before busybox true; exec \"$1\" {events}"), &|| {}), "before");
    // One that begins after a container's start hears of what comes. A process's beginning is told in hundredths of a second.
    host.hull(&["run", "--rm", "--network", "none", "busybox", "sleep", "0.1"]).ok();
    let next = || drop(host.hull(&["run", "--rm", "--network", "none", "--name", "new", "busybox", "true"]));
    assert_eq!(first(&format!("exec \"$1\" {events}"), &next), "new");
}

#[test]
fn many_at_once_none_lost() {
    let host = Host::new();
    let children: Vec<_> = (0..24)
        .map(|n| {
            host.command("hull")
                .args(["run", "--rm", "busybox", "echo", &n.to_string()])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("hull")
        })
        .collect();
    for (n, child) in children.into_iter().enumerate() {
        let out = child.wait_with_output().expect("ends");
        assert!(out.status.success());
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), n.to_string());
    }
}

#[test]
fn what_was_stopped_with_the_engine_comes_back_with_the_next_one() {
    let mut host = Host::new();
    for (name, policy) in [("always", "always"), ("unless", "unless-stopped"), ("failure", "on-failure"), ("no", "no")]
    {
        host.sleeper(&["--name", name, "--restart", policy, "--stop-timeout", "1"]);
    }
    for (name, policy) in [("mine", "unless-stopped"), ("mine-always", "always")] {
        host.sleeper(&["--name", name, "--restart", policy]);
        host.hull(&["stop", "-t", "0", name]).ok();
    }
    host.hull(&["update", "--restart", "unless-stopped", "unless"]).ok();
    host.shut_down();
    host.boot(&hull_testkit::Settings::default());
    host.keeper_was_killed();
    for (name, runs) in
        [("always", true), ("unless", true), ("failure", true), ("no", false), ("mine", false), ("mine-always", true)]
    {
        // One that its policy is about to start counts as running, and has no process yet.
        let is_so = || {
            let state = &host.inspect(name)["State"];
            state["Running"] == runs && (state["Pid"] != 0) == runs
        };
        eventually(&format!("{name} runs: {runs}"), is_so);
    }
    // It is the policy's again: an exit that nobody asked for is followed by a start.
    let before = host.pid("always");
    hull_testkit::kill9(before);
    eventually("it runs anew", || {
        let state = &host.inspect("always")["State"];
        state["Running"] == true && state["Pid"].as_u64().is_some_and(|pid| pid > 0 && pid != u64::from(before))
    });
}

/// COMPAT(docker 28): its daemon starts them whenever it starts; what docker does after it was told to end, hull does then.
#[test]
fn what_a_person_stopped_comes_back_after_an_engine_that_was_told_to_end_and_after_no_other() {
    let mut host = Host::new();
    for (name, policy) in [("always", "always"), ("unless", "unless-stopped"), ("failure", "on-failure"), ("no", "no")]
    {
        host.sleeper(&["--name", name, "--restart", policy]);
        host.hull(&["stop", "-t", "0", name]).ok();
    }
    host.hull(&["create", "--name", "new", "--restart", "always", "busybox", "sleep", "1000"]).ok();
    let resting = |host: &Host| {
        for name in ["always", "unless", "failure", "no"] {
            assert_eq!(state(host, name), "exited", "{name}");
        }
    };
    let engine = host.engine_pid();
    hull_testkit::kill9(engine);
    eventually("the next engine answers", || host.answers() && host.engine_pid() != engine);
    resting(&host);
    host.hull(&["engine", "restart"]).ok();
    resting(&host);
    host.shut_down();
    host.boot(&hull_testkit::Settings::default());
    host.keeper_was_killed();
    for name in ["always", "failure"] {
        eventually(&format!("{name} runs"), || host.inspect(name)["State"]["Pid"] != 0);
    }
    for (name, is) in [("unless", "exited"), ("no", "exited"), ("new", "created")] {
        assert_eq!(state(&host, name), is, "{name}");
    }
    // That was one start: the engine after it does not follow the same word again.
    host.hull(&["stop", "-t", "0", "always", "failure"]).ok();
    let engine = host.engine_pid();
    hull_testkit::kill9(engine);
    eventually("the next engine answers", || host.answers() && host.engine_pid() != engine);
    resting(&host);
}

/// Traefik looks at each event, at once, and not again until the next one.
#[test]
fn whoever_hears_of_a_change_and_looks_finds_it_so() {
    const TIMES: usize = 15;
    let host = Host::new();
    let mut events = host.dial();
    events.write_all(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n").expect("send");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..TIMES {
                let id = host.sleeper(&["--network", "none"]);
                host.hull(&["rm", "-f", &id]).ok();
            }
        });
        let mut gone = 0;
        let lines = BufReader::new(events).lines().map_while(Result::ok);
        for line in lines.filter(|line| line.starts_with('{')) {
            let event: Value = serde_json::from_str(&line).expect("JSON");
            let id = event["Actor"]["ID"].as_str().unwrap_or_default();
            match event["Action"].as_str().unwrap_or_default() {
                "die" => assert!(!host.api("GET", "/containers/json", None).body.contains(id), "it runs: {line}"),
                "destroy" => {
                    assert_eq!(host.api("GET", &format!("/containers/{id}/json"), None).status, 404, "{line}");
                    gone += 1;
                }
                _ => {}
            }
            if gone == TIMES {
                break;
            }
        }
        assert_eq!(gone, TIMES);
    });
}
