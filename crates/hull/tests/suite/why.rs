//! `why`: deaths are staged, with hull's own command line and with docker's, and each is named rightly.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use hull_testkit::Host;
use serde_json::Value;

fn why(host: &Host, who: &str) -> Value {
    serde_json::from_str(&host.hull(&["why", "--json", who]).ok()).expect("JSON")
}

/// That the paragraph on `who` says all of `words`.
#[track_caller]
fn says(host: &Host, who: &str, words: &[&str]) -> Value {
    let found = why(host, who);
    let text = found["Why"].as_str().expect("a paragraph");
    for word in words {
        assert!(text.contains(word), "{who}: {word}: {found:#}");
    }
    found
}

/// A client: hull's command line or docker's.
type Client = fn(&Host, &[&str]) -> hull_testkit::Out;

const CLIENTS: [(&str, Client); 2] = [("hull", Host::hull), ("docker", Host::docker)];

/// Starts a container that shall end, and waits for its end.
fn ran(host: &Host, client: Client, name: &str, flags: &[&str], command: &[&str]) {
    let args = [&["run", "-d", "--network", "none", "--name", name], flags, &["busybox"], command].concat();
    let out = client(host, &args);
    if out.code == 0 {
        host.hull(&["wait", name]).ok();
    }
}

#[test]
fn what_ends_by_itself_is_told_apart() {
    let host = Host::new();
    for (via, client) in CLIENTS {
        let name = |of: &str| format!("{of}-{via}");
        ran(&host, client, &name("good"), &[], &["true"]);
        ran(&host, client, &name("bad"), &[], &["sh", "-c", "echo first; echo disk on fire >&2; exit 3"]);
        ran(&host, client, &name("child"), &[], &["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]);
        ran(&host, client, &name("missing"), &[], &["nosuchcommand"]);
        says(&host, &name("good"), &["by itself", "success"]);
        let bad = says(&host, &name("bad"), &["by itself", "`sh` returned exit code 3"]);
        assert_eq!(bad["LastLines"][1], "disk on fire");
        says(&host, &name("child"), &["exit code 137", "a command of its own was ended by SIGKILL"]);
        says(&host, &name("missing"), &["did not start", "nosuchcommand"]);
    }
    host.assert_clean();
}

/// The path that dynamic programs of this machine name as their loader.
fn loader() -> &'static str {
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" }
}

#[test]
fn what_cannot_be_executed_is_told_with_its_cause() {
    let host = Host::new();
    let file = |name: &str, content: &[u8]| {
        let path = host.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:/x", path.display())
    };
    // The head of an ELF file for s390x.
    let mut foreign = b"\x7fELF\x02\x02\x01".to_vec();
    foreign.resize(64, 0);
    foreign[16..20].copy_from_slice(&[0, 2, 0, 22]);
    let (foreign, script) = (file("foreign", &foreign), file("script", b"#!/no/such/interpreter\n"));
    for (via, client) in CLIENTS {
        let name = |of: &str| format!("{of}-{via}");
        ran(&host, client, &name("foreign"), &["-v", &foreign], &["/x"]);
        ran(&host, client, &name("script"), &["-v", &script], &["/x"]);
        // A program of this machine with its loader, and without its libraries.
        let loader = format!("{0}:{0}", loader());
        ran(&host, client, &name("bare"), &["-v", &loader, "-v", "/usr/bin/env:/x"], &["/x"]);
        says(
            &host,
            &name("foreign"),
            &["did not start", "exec format error", "the file is for s390x, this machine is"],
        );
        says(&host, &name("script"), &["did not start", "/no/such/interpreter"]);
        says(&host, &name("bare"), &["the loader of `/x` did not find the library `libc.so.6`"]);
    }
    host.assert_clean();
}

#[test]
fn who_sent_a_signal_is_told() {
    let host = Host::new();
    let deaf = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"];
    for (via, client) in CLIENTS {
        let start = |of: &str, command: &[&str]| {
            let name = format!("{of}-{via}");
            let args = [&["run", "-d", "--network", "none", "--name", &name, "busybox"], command].concat();
            client(&host, &args).ok();
            host.ready(&name);
            name
        };
        let killed = start("killed", &deaf);
        client(&host, &["kill", &killed]).ok();
        says(&host, &killed, &["SIGKILL", "which hull sent", "a client sent it (`kill`)"]);
        let stopped = start("stopped", &deaf);
        client(&host, &["stop", "-t", "1", &stopped]).ok();
        let found = says(&host, &stopped, &["SIGKILL", "asked it to stop", "1 s after SIGTERM it had not ended"]);
        assert!(found["Hint"].as_str().unwrap().contains("--init"), "{found:#}");
        let obeyed = start("obeyed", &["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"]);
        client(&host, &["stop", &obeyed]).ok();
        says(&host, &obeyed, &["by itself", "after hull had sent SIGTERM", "asked it to stop"]);
        let foreign = start("foreign", &deaf);
        let pid = host.pid(&foreign).to_string();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        host.hull(&["wait", &foreign]).ok();
        says(&host, &foreign, &["SIGKILL", "hull did not send it", "137"]);
        // A PID 1 of a namespace of its own ignores such signals.
        let fault = format!("fault-{via}");
        ran(&host, client, &fault, &["--pid", "host"], &["sh", "-c", "kill -SEGV $$"]);
        says(&host, &fault, &["SIGSEGV", "a fault of its program"]);
    }
    host.assert_clean();
}

#[test]
fn limits_filters_and_foreign_files_are_named() {
    let host = Host::new();
    let profile = host.path().join("profile.json");
    let rules = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_KILL_PROCESS"}]}"#;
    fs::write(&profile, rules).unwrap();
    let seccomp = format!("seccomp={}", profile.display());
    let closed = host.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let bind = format!("{}:/data", closed.display());
    for (via, client) in CLIENTS {
        let name = |of: &str| format!("{of}-{via}");
        ran(&host, client, &name("hungry"), &["--memory", "16m", "--memory-swap", "16m"], &["tail", "/dev/zero"]);
        let hungry = says(&host, &name("hungry"), &["for want of memory", "16.8MB", "--memory", "137"]);
        assert!(
            hungry["Evidence"].as_array().unwrap().iter().any(|fact| fact["Name"] == "killed for memory"),
            "{hungry:#}"
        );
        // Where the kernel's log can be read, and has not forgotten it.
        let log = hull_testkit::run(&mut Command::new("dmesg"), b"").stdout;
        if log.lines().any(|line| line.contains("oom-kill:") && line.contains(hungry["Id"].as_str().unwrap())) {
            says(&host, &name("hungry"), &["the kernel chose process ", " (tail) total-vm:"]);
        }
        let filtered = name("filtered");
        let wait = ["sh", "-c", "until [ -e /go ]; do sleep 0.1; done; exec mkdir /new"];
        client(
            &host,
            &[&["run", "-d", "--name", &filtered, "--security-opt", &seccomp, "busybox"], &wait[..]].concat(),
        )
        .ok();
        let pid = host.pid(&filtered);
        host.hull(&["exec", &filtered, "touch", "/go"]).ok();
        host.hull(&["wait", &filtered]).ok();
        says(&host, &filtered, &["SIGSYS", "seccomp filter"]);
        // Where the kernel keeps audit records, and has told by now, it names the call.
        let log = hull_testkit::run(&mut Command::new("dmesg"), b"").stdout;
        if log.lines().any(|line| line.contains("type=1326 ") && line.contains(&format!(" pid={pid} "))) {
            says(&host, &filtered, &["it made the system call `mkdir"]);
        }
        if via == "hull" {
            // Whoever waits in the foreground is told at once, also of what is removed.
            let flags = ["run", "--rm", "--memory", "16m", "--memory-swap", "16m", "busybox", "tail", "/dev/zero"];
            let told = host.hull(&flags);
            assert_eq!(told.code, 137, "{told:?}");
            assert!(told.stderr.contains("for want of memory") && told.stderr.contains("hint:"), "{}", told.stderr);
            let silent = host.hull(&["run", "--rm", "busybox", "sh", "-c", "exit 9"]);
            assert_eq!((silent.code, silent.stderr.as_str()), (9, ""));
        }
        ran(&host, client, &name("closed"), &["--user", "1000", "-v", &bind], &["touch", "/data/x"]);
        let found = says(&host, &name("closed"), &["by itself", "exit code 1"]);
        let fact = found["Evidence"].as_array().unwrap().iter().find(|fact| fact["Name"] == "bind mount /data");
        let now = fact.unwrap_or_else(|| panic!("{found:#}"))["Now"].as_str().unwrap().to_owned();
        assert!(now.contains("belongs to 0:0, mode 0700") && now.contains("ran as 1000"), "{now}");
    }
    // Root of a user namespace is somebody else outside, and root outside is nobody inside. (docker's client knows no `auto`.)
    ran(&host, Host::hull, "shut", &["--userns", "auto", "-v", &bind], &["touch", "/data/x"]);
    let found = says(&host, "shut", &["by itself", "exit code 1"]);
    let fact = found["Evidence"].as_array().unwrap().iter().find(|fact| fact["Name"] == "bind mount /data");
    let now = fact.unwrap_or_else(|| panic!("{found:#}"))["Now"].as_str().unwrap().to_owned();
    assert!(now.contains("belongs to 0:0 (inside nobody:nobody)") && now.contains("ran as root (outside "), "{now}");
    host.assert_clean();
}

#[test]
fn health_checks_policies_and_removed_containers_are_told() {
    let host = Host::new();
    let health = ["--health-cmd", "echo no answer; false", "--health-interval", "100ms", "--health-retries", "1"];
    ran(&host, Host::hull, "sick", &[&health[..], &["--health-on-failure", "kill"]].concat(), &["sleep", "1000"]);
    let sick = says(&host, "sick", &["SIGKILL", "its health check found it unhealthy"]);
    let last = sick["Evidence"].as_array().unwrap().iter().find(|fact| fact["Name"] == "last health check").unwrap();
    assert!(last["Now"].as_str().unwrap().contains("no answer"), "{sick:#}");
    for (via, client) in CLIENTS {
        let (again, brief) = (format!("again-{via}"), format!("brief-{via}"));
        client(&host, &["run", "-d", "--name", &again, "--restart", "on-failure:1", "busybox", "false"]).ok();
        hull_testkit::eventually("the policy gives up", || {
            why(&host, &again)["Why"].as_str().unwrap().contains("leaves it, after 1 restarts")
        });
        client(&host, &["run", "--rm", "--name", &brief, "busybox", "sh", "-c", "echo gone; exit 5"]);
        let found = says(&host, &brief, &["exit code 5"]);
        assert_eq!((&found["Removed"], &found["LastLines"][0]), (&true.into(), &"gone".into()));
    }
    host.sleeper(&["--name", "lives"]);
    says(&host, "lives", &["is running"]);
    host.hull(&["create", "--name", "fresh", "busybox", "true"]).ok();
    says(&host, "fresh", &["was never started"]);
    let page = host.hull(&["why", "sick"]).ok();
    assert!(page.starts_with("`sick` was ended by SIGKILL") && page.contains("last health check"), "{page}");
    let nobody = host.hull(&["why", "nobody"]);
    assert!(nobody.code == 1 && nobody.stderr.contains("No such container: nobody"), "{}", nobody.stderr);
    host.assert_clean();
}

#[test]
fn an_engine_that_was_shut_down_is_named() {
    let mut host = Host::new();
    let deaf = "trap '' TERM; echo ready; while :; do sleep 1; done";
    host.hull(&[
        "run",
        "-d",
        "--name",
        "obeys",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done",
    ])
    .ok();
    host.hull(&["run", "-d", "--name", "deaf", "--stop-timeout", "1", "busybox", "sh", "-c", deaf]).ok();
    host.ready("obeys");
    host.ready("deaf");
    host.shut_down();
    host.boot(&hull_testkit::Settings::default());
    says(&host, "obeys", &["after hull had sent SIGTERM", "the engine was shut down"]);
    says(&host, "deaf", &["SIGKILL", "the engine was shut down, and 1 s after SIGTERM it had not ended"]);
    host.assert_clean();
}

#[test]
fn why_a_removed_container_ended_outlives_the_engine() {
    let mut host = Host::new();
    host.hull(&["run", "--name", "kept", "busybox", "sh", "-c", "echo last words; exit 7"]);
    host.hull(&["rm", "kept"]).ok();
    host.hull(&["run", "--rm", "--name", "brief", "busybox", "false"]);
    let (kept, brief) = (why(&host, "kept"), why(&host, "brief"));
    assert_eq!((&kept["ExitCode"], &kept["LastLines"][0]), (&7.into(), &"last words".into()));
    host.hull(&["engine", "restart"]).ok();
    assert_eq!((why(&host, "kept"), why(&host, "brief")), (kept.clone(), brief.clone()));
    let engine = host.engine_pid();
    assert!(Command::new("kill").args(["-9", &engine.to_string()]).status().expect("kill").success());
    hull_testkit::eventually("another engine answers", || host.engine_pid() != engine);
    assert_eq!((why(&host, "kept"), why(&host, &kept["Id"].as_str().unwrap()[..12])), (kept.clone(), kept.clone()));
    assert_eq!(why(&host, "brief"), brief);
    // Torn or hostile rows take nothing along.
    host.shut_down();
    let rows = rusqlite::Connection::open(host.root().join("state.db")).expect("the database");
    for (key, body) in [("0", "{\"Id\":"), ("1", "[]"), ("~", "\u{1b}[2J"), ("2", "{\"Name\":\"kept\",\"Id\":\"\"}")] {
        rows.execute("INSERT INTO postmortems VALUES (?1, 1, ?2)", (key, body.as_bytes())).expect("insert");
    }
    drop(rows);
    host.boot(&hull_testkit::Settings::default());
    assert_eq!(why(&host, "kept"), kept);
    host.assert_clean();
}
