//! The engine is killed at calls that change state, in operations on images, names and limits, and in exec; and
//! the keeper in what it does. What comes after has to be whole: the operation came about, or it did not.

use std::fs;
use std::process::Command;

use hull_testkit::{Host, Inject, busybox_tar, eventually, kill9, run};
use serde_json::Value;

/// Calls, with which of a thread's it is.
type Points<'a> = &'a [(&'a str, u32)];

/// Under emulation an attached tracer costs seconds.
fn some() -> usize {
    if std::env::var_os("HULL_TEST_SLOW").is_some() { 4 } else { 1 }
}

/// Kills the engine at each point of the operation; `check` hears whether it was acknowledged.
fn engine_killed_at(
    points: Points<'_>,
    before: &[&[&str]],
    operation: &[&str],
    check: impl Fn(&Host, bool) -> Result<(), String>,
) {
    let host = Host::new();
    let mut killed = 0;
    for (call, nth) in points.iter().step_by(some()) {
        before.iter().for_each(|step| _ = host.hull(step).ok());
        let engine = host.engine_pid();
        let inject = Inject::attach(engine, &[&format!("{call}:signal=KILL:when={nth}")]).expect("the engine lives");
        let out = host.hull(operation);
        drop(inject);
        let at = format!("{} killed at {call} {nth}", operation.join(" "));
        assert!(out.code < 128, "{at}: {out:?}");
        killed += usize::from(host.engine_pid() != engine);
        if let Err(problem) = check(&host, out.code == 0) {
            panic!("{at}: {problem}\nit said: {out:?}\nlog:\n{}", host.log());
        }
        for name in ["new:1", "loaded:1", "tagged:1"] {
            host.hull(&["rmi", "-f", name]);
        }
        // The removals are behind the answers.
        let half_made = || {
            let hidden = names(&host, "layers").into_iter().filter(|name| name.starts_with('.'));
            [names(&host, "content/ingest"), names(&host, "trash"), hidden.collect()].concat()
        };
        eventually(&format!("{at}: nothing half-made is left"), || half_made().is_empty());
        host.assert_clean();
    }
    assert!(killed * 3 >= points.len() / some(), "only {killed} of {} points were reached", points.len());
}

fn names(host: &Host, dir: &str) -> Vec<String> {
    let entries = fs::read_dir(host.root().join(dir)).expect("a directory of the engine");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn fits(holds: bool, why: impl std::fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_string()) }
}

/// The image is there, whole and usable, or not there at all.
fn image(host: &Host, name: &str, acknowledged: bool) -> Result<(), String> {
    let found = host.hull(&["images", "-q", name]).ok();
    fits(!acknowledged || !found.is_empty(), "acknowledged, and not there")?;
    if found.is_empty() {
        return Ok(());
    }
    let ran = host.hull(&["run", "--rm", name, "echo", "fine"]);
    fits(ran.stdout == "fine\n", format!("it is there and does not work: {ran:?}"))
}

#[test]
fn killed_at_every_call_of_import_and_load() {
    let busybox = busybox_tar().to_string_lossy().into_owned();
    let points = [
        ("mkdirat", 1),
        ("openat", 3),
        ("symlinkat", 7),
        ("syncfs", 1),
        ("renameat2", 1),
        ("renameat", 1),
        ("renameat", 2),
        ("fsync", 1),
        ("fsync", 2),
        ("pwrite64", 2),
        ("fdatasync", 1),
    ];
    let import = ["import", "-c", "ENV A=b", &busybox, "new:1"];
    engine_killed_at(&points, &[], &import, |host, acknowledged| image(host, "new:1", acknowledged));
    let archive = archive();
    let load = ["load", "-i", &archive.path().join("image.tar").to_string_lossy()].map(str::to_owned);
    let load: Vec<&str> = load.iter().map(String::as_str).collect();
    engine_killed_at(&points, &[], &load, |host, acknowledged| image(host, "loaded:1", acknowledged));
}

/// A docker archive of busybox and a layer on top of it.
fn archive() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("content")).expect("mkdir");
    fs::create_dir_all(at("upper/added")).expect("mkdir");
    fs::write(at("upper/added/file"), "two layers").expect("write");
    fs::copy(busybox_tar(), at("content/1.tar")).expect("copy");
    let tar = |tree: &str, out: &str| {
        run(Command::new("tar").arg("-C").arg(at(tree)).arg("-cf").arg(at(out)).arg("."), b"").ok();
    };
    tar("upper", "content/2.tar");
    let digest = |name: &str| run(Command::new("sha256sum").arg(at(name)), b"").ok()[..64].to_owned();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["true"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}","sha256:{}"]}}}}"#,
        digest("content/1.tar"),
        digest("content/2.tar")
    );
    fs::write(at("content/config.json"), config).expect("write");
    let manifest = r#"[{"Config":"config.json","RepoTags":["loaded:1"],"Layers":["1.tar","2.tar"]}]"#;
    fs::write(at("content/manifest.json"), manifest).expect("write");
    tar("content", "image.tar");
    dir
}

#[test]
fn killed_at_every_call_of_tag_rmi_rename_and_update() {
    let points = [("pwrite64", 1), ("pwrite64", 3), ("fdatasync", 1), ("fsync,fdatasync", 1)];
    engine_killed_at(&points, &[], &["tag", "busybox", "tagged:1"], |host, done| image(host, "tagged:1", done));
    let busybox = busybox_tar().to_string_lossy().into_owned();
    let import: &[&str] = &["import", "-c", "ENV A=b", &busybox, "new:1"];
    let more = [points.as_slice(), &[("renameat2", 1), ("renameat", 1), ("unlinkat", 1)]].concat();
    engine_killed_at(&more, &[import], &["rmi", "new:1"], |host, done| {
        fits(!done || host.hull(&["images", "-q", "new:1"]).ok().is_empty(), "acknowledged, and still there")?;
        image(host, "new:1", false)
    });
    let create: &[&str] = &["create", "--name", "old", "busybox", "true"];
    engine_killed_at(&points, &[create], &["rename", "old", "young"], |host, done| {
        let names = host.hull(&["ps", "-a", "--format", "{{.Names}}"]).ok();
        fits(names == "young" || (!done && names == "old"), format!("it is called {names:?}"))
    });
    let run: &[&str] = &["run", "-d", "--name", "old", "busybox", "sleep", "1000"];
    let update = ["update", "--memory", "64m", "--memory-swap", "64m", "old"];
    engine_killed_at(&points, &[run], &update, |host, done| {
        let memory = host.inspect("old")["HostConfig"]["Memory"].as_u64().unwrap_or(0);
        fits(memory == 64 << 20 || (!done && memory == 0), format!("its limit is {memory}"))?;
        fits(host.hull(&["exec", "old", "echo", "fine"]).stdout == "fine\n", "it does not run any more")
    });
}

#[test]
fn killed_at_every_call_of_exec() {
    let run: &[&str] = &["run", "-d", "--name", "on", "busybox", "sleep", "1000"];
    let points = [("pipe2", 1), ("sendmsg", 1), ("recvmsg", 1), ("recvmsg", 2), ("unlink,unlinkat", 1)];
    engine_killed_at(&points, &[run], &["exec", "on", "true"], |host, _| {
        fits(host.hull(&["exec", "on", "echo", "fine"]).stdout == "fine\n", "nothing can be executed any more")?;
        let exits = || fs::read_dir(host.run_dir().join("exits")).expect("exits").count();
        eventually("no exit record is left", || exits() == 0);
        Ok(())
    });
}

/// Kills the keeper at each point of the operation on the container `one`.
fn keeper_killed_at(points: Points<'_>, before: &[&str], operation: &[&str]) {
    let mut killed = 0;
    for (call, nth) in points.iter().step_by(some()) {
        let mut host = Host::new();
        host.hull(before).ok();
        let bystander = host.sleeper(&["--name", "bystander"]);
        let (pid, keeper, engine) = (host.pid(&bystander), host.keeper_pid(), host.engine_pid());
        let at = format!("{} with the keeper killed at {call} {nth}", operation.join(" "));
        let out = {
            let fault = format!("{call}:signal=KILL:when={nth}");
            let _inject = Inject::attach(keeper, &[&fault]).expect("the keeper lives");
            host.hull(operation)
        };
        assert!(out.code < 128, "{at}: {out:?}");
        eventually(&format!("{at}: keeper and engine are there"), || {
            // The engine of a keeper that was killed goes on answering until it gives way to the next one's.
            host.answers() && (runs(keeper) || host.engine_pid() != engine)
        });
        killed += usize::from(host.keeper_pid() != keeper);
        assert_eq!(host.pid("bystander"), pid, "{at}: a container that has nothing to do with it goes on");
        assert_eq!(host.hull(&["exec", "bystander", "echo", "fine"]).ok(), "fine", "{at}");
        let state = || host.inspect("one")["State"].clone();
        eventually(&format!("{at}: its state is true"), || truth(&state()));
        if operation[0] == "stop" {
            // What was not acknowledged can be asked for again.
            if out.code != 0 && state()["Running"] == true {
                host.hull(operation).ok();
            }
            assert_eq!(state()["Running"], false, "{at}");
        }
        host.hull(&["rm", "-f", "one"]).ok();
        host.hull(&["create", "--name", "one", "busybox", "true"]).ok();
        host.hull(&["start", "-a", "one"]).ok();
        host.keeper_was_killed();
        host.assert_clean();
    }
    assert!(killed * 2 >= points.len() / some(), "only {killed} of {} points were reached", points.len());
}

/// Whether the process is there and has not ended.
fn runs(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(')').is_some_and(|(_, fields)| !matches!(fields.trim_start().get(..1), Some("Z" | "X") | None))
}

/// Whether what is said of a process is so.
fn truth(state: &Value) -> bool {
    let pid = state["Pid"].as_u64().unwrap_or(0);
    let lives = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
    match state["Status"].as_str().unwrap_or_default() {
        "running" => lives,
        "created" => pid == 0,
        // Nobody saw its end: then that is said.
        "exited" if state["ExitCode"] == 255 => state["Error"].as_str().is_some_and(|why| why.contains("unknown")),
        "exited" => pid == 0,
        _ => false,
    }
}

#[test]
fn the_keeper_is_killed_at_every_call_of_start() {
    let create = ["create", "--name", "one", "busybox", "sleep", "1000"];
    let points = [("recvmsg", 1), ("clone3,clone", 1), ("epoll_ctl", 1), ("sendmsg", 1)];
    keeper_killed_at(&points, &create, &["start", "one"]);
}

#[test]
fn the_keeper_is_killed_at_every_call_of_stop_and_exec() {
    let run = ["run", "-d", "--name", "one", "busybox", "sleep", "1000"];
    let points = [("wait4,waitid", 1), ("renameat,renameat2", 1), ("sendmsg", 1)];
    keeper_killed_at(&points, &run, &["stop", "-t", "0", "one"]);
    let points = [("clone3,clone", 1), ("sendmsg", 1)];
    keeper_killed_at(&points, &run, &["exec", "one", "true"]);
}

#[test]
fn killed_together_keeper_and_engine_leave_containers_that_the_next_ones_find() {
    let mut host = Host::new();
    let id = host.sleeper(&["--name", "one"]);
    let pid = host.pid(&id);
    let (keeper, engine) = (host.keeper_pid(), host.engine_pid());
    kill9(keeper);
    kill9(engine);
    eventually("keeper and engine are gone", || {
        let gone = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"));
        gone(keeper) && gone(engine)
    });
    host.boot(&hull_testkit::Settings::default());
    assert_eq!(host.pid("one"), pid, "the same process: {}", host.log());
    host.hull(&["stop", "-t", "0", "one"]).ok();
    assert_eq!(host.inspect("one")["State"]["Running"], false);
    host.hull(&["rm", "one"]).ok();
    host.keeper_was_killed();
    host.assert_clean();
}
