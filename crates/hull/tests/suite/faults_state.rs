//! Damaged state: what cannot be read is set aside and named, everything else loads, and later starts go on
//! cleaning up. And exits that nobody was there to see, at whatever time the clock showed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hull_testkit::{Host, Settings, busybox_tar, eventually, kill9, run};

/// Damages the database while no engine runs.
fn damage(host: &Host, statements: &str) {
    let connection = rusqlite::Connection::open(host.root().join("state.db")).expect("the database");
    connection.execute_batch(statements).expect("SQL");
}

/// The places where something was set aside.
fn set_aside(host: &Host) -> Vec<PathBuf> {
    let entries = fs::read_dir(host.root().join("set-aside")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn restart(host: &mut Host) {
    host.shut_down();
    host.boot(&Settings::default());
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

#[test]
fn files_of_a_damaged_record_are_kept_and_the_sweep_goes_on() {
    let mut host = Host::new();
    let lost =
        host.hull(&["create", "--name", "lost", "-v", "/data", "busybox", "sh", "-c", "echo precious > /file"]).ok();
    host.hull(&["start", "-a", "lost"]).ok();
    host.hull(&["create", "--name", "whole", "busybox", "echo", "fine"]).ok();
    let volumes = count(&host.root().join("volumes"));
    host.shut_down();
    damage(&host, &format!("UPDATE containers SET body = zeroblob(40) WHERE key = '{lost}'"));
    host.boot(&Settings::default());
    assert_eq!(host.hull(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "whole");
    assert!(host.log().contains(&lost), "not named:\n{}", host.log());
    let places = set_aside(&host);
    assert_eq!(places.len(), 1, "{}", host.log());
    assert!(host.log().contains(&*places[0].to_string_lossy()), "the place is not named:\n{}", host.log());
    let kept = |place: &Path| {
        let slot = place.join("snapshots").join(&lost);
        walk(&slot).into_iter().any(|file| fs::read(&file).is_ok_and(|text| text == b"precious\n"))
    };
    assert!(kept(&places[0]), "what the container wrote is gone: {:?}", walk(&places[0]));
    // From now on it is as ever: what belongs to nobody goes, what was set aside stays.
    for start in 0..2 {
        host.shut_down();
        let strays = [host.root().join("containers/stray"), host.root().join("layers/.new-77")];
        strays.iter().for_each(|stray| fs::create_dir(stray).expect("mkdir"));
        host.boot(&Settings::default());
        assert!(strays.iter().all(|stray| !stray.exists()), "start {start}: the sweep does not go on");
        assert!(kept(&places[0]) && set_aside(&host).len() == 1, "start {start}");
    }
    assert_eq!(count(&host.root().join("volumes")), volumes, "its volume stays");
    assert_eq!(host.hull(&["start", "-a", "whole"]).ok(), "fine");
    // Nobody's any more: the census would see it.
    for volume in fs::read_dir(host.root().join("volumes")).expect("volumes").flatten() {
        fs::remove_dir_all(volume.path()).expect("rm");
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn files_of_a_damaged_database_are_kept_and_the_sweep_goes_on() {
    let mut host = Host::new();
    let lost = host.hull(&["create", "--name", "lost", "busybox", "sh", "-c", "echo precious > /file"]).ok();
    host.hull(&["start", "-a", "lost"]).ok();
    host.shut_down();
    for tail in ["", "-wal", "-shm"] {
        let path = host.root().join(format!("state.db{tail}"));
        if path.exists() {
            fs::write(path, b"a sentence, and no database").expect("write");
        }
    }
    host.boot(&Settings::default());
    assert_eq!(host.hull(&["ps", "-aq"]).ok(), "");
    let places = set_aside(&host);
    assert_eq!(places.len(), 1, "{}", host.log());
    assert!(count(&places[0].join("layers")) == 1 && count(&places[0].join("blobs")) >= 2, "{:?}", walk(&places[0]));
    assert!(places[0].join("snapshots").join(&lost).is_dir());
    host.hull(&["import", &busybox_tar().to_string_lossy(), "busybox"]).ok();
    assert_eq!(host.sh(&[], "echo fine"), "fine");
    restart(&mut host);
    assert_eq!(host.sh(&[], "echo still"), "still");
    assert!(places[0].join("snapshots").join(&lost).is_dir() && set_aside(&host).len() == 1);
}

#[test]
fn a_damaged_log_or_layer_is_named_and_all_others_load() {
    let mut host = Host::new();
    let id = host.hull(&["create", "--name", "talker", "busybox", "echo", "words"]).ok();
    host.hull(&["start", "-a", "talker"]).ok();
    host.hull(&["import", "-c", "ENV A=b", &busybox_tar().to_string_lossy(), "other"]).ok();
    let other = host.inspect("other")["Id"].as_str().expect("an id").trim_start_matches("sha256:").to_owned();
    let log = host.root().join("containers").join(&id).join("log");
    for (what, damage) in [
        ("a file in its place", (|log: &Path| fs::write(log, "no directory").expect("write")) as fn(&Path)),
        ("garbage", |log| {
            fs::create_dir(log).expect("mkdir");
            fs::write(log.join("index"), [0xa5; 300]).expect("write");
        }),
        ("zeroes", |log| {
            fs::create_dir(log).expect("mkdir");
            fs::write(log.join("index"), [0; 300]).expect("write");
        }),
    ] {
        host.shut_down();
        let _ = fs::remove_dir_all(&log);
        damage(&log);
        host.boot(&Settings::default());
        assert!(host.log().contains(&id), "{what}: not named:\n{}", host.log());
        assert_eq!(host.hull(&["start", "-a", "talker"]).ok(), "words", "{what}");
    }
    host.shut_down();
    fs::write(host.root().join("content/blobs/sha256").join(&other), "no configuration").expect("write");
    host.boot(&Settings::default());
    assert!(host.log().contains(&other), "not named:\n{}", host.log());
    assert_ne!(host.hull(&["inspect", "other"]).code, 0);
    assert_eq!(host.sh(&[], "echo fine"), "fine");
    // Brought in again, it is mended.
    host.hull(&["import", "-c", "ENV A=b", &busybox_tar().to_string_lossy(), "other"]).ok();
    assert_eq!(host.hull(&["run", "--rm", "other", "sh", "-c", "echo $A"]).ok(), "b");
    host.shut_down();
    let layers = fs::read_dir(host.root().join("layers")).expect("layers").flatten().map(|e| e.path());
    for layer in layers.filter(|layer| layer.join("layer.json").is_file()) {
        fs::write(layer.join("layer.json"), "{").expect("write");
    }
    host.boot(&Settings::default());
    assert!(host.log().contains("an image cannot be used"), "not named:\n{}", host.log());
    assert_eq!(host.hull(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "talker");
    host.hull(&["rm", "talker"]).ok();
}

const YEAR: i64 = 365 * 24 * 3600 * 1_000_000_000;

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_nanos()).expect("before 2262")
}

/// As records show a moment.
fn stamp(ns: i64) -> String {
    let at = format!("@{}", ns / 1_000_000_000);
    run(Command::new("date").args(["-u", "-d", &at, "+%Y-%m-%dT%H:%M:%SZ"]), b"").ok()
}

/// The engine sees the clock only beside times that were written down: records of a year ago and of a year
/// ahead are what it meets when the clock was set meanwhile.
#[test]
fn exits_that_no_engine_saw_are_known_whatever_the_clock_showed() {
    let mut host = Host::new();
    let names = ["past", "future", "again", "damaged", "cut", "empty", "whole"];
    let mut ids = Vec::new();
    for name in names {
        ids.push(host.hull(&["create", "--name", name, "busybox", "sh", "-c", "exit 5"]).ok());
    }
    // This one has ended before, as the clock then showed, in a year.
    host.hull(&["start", "-a", "again"]);
    for id in &ids {
        host.hull(&["start", id]).ok();
    }
    eventually("all have ended", || host.hull(&["ps", "-q"]).ok().is_empty());
    host.shut_down();
    // Back to where they ran, and ended while nobody looked.
    damage(&host, "UPDATE states SET body = json_set(body, '$.phase', 'Running', '$.pid', 4242)");
    damage(
        &host,
        &format!(
            "UPDATE states SET body = json_set(body, '$.phase', 'Exited', '$.finished', '{}') WHERE key = '{}'",
            stamp(now() + YEAR),
            ids[2]
        ),
    );
    let exits = host.run_dir().join("exits");
    let record = |id: &str, at: i64| format!(r#"{{"key":"{id}","pid":4242,"status":1792,"at_ns":{at}}}"#);
    fs::write(exits.join(&ids[0]), record(&ids[0], now() - YEAR)).expect("write");
    fs::write(exits.join(&ids[1]), record(&ids[1], now() + YEAR)).expect("write");
    fs::write(exits.join(&ids[2]), record(&ids[2], now())).expect("write");
    fs::write(exits.join(&ids[3]), [0xa5; 64]).expect("write");
    fs::write(exits.join(&ids[4]), &record(&ids[4], now())[..40]).expect("write");
    fs::write(exits.join(&ids[5]), "").expect("write");
    // Its keeper was killed before the record got its name.
    fs::write(exits.join(format!(".{}.new", ids[6])), record(&ids[6], now())).expect("write");
    host.boot(&Settings::default());
    let state = |name: &str| host.inspect(name)["State"].clone();
    for name in ["past", "future", "again", "whole"] {
        assert_eq!(host.hull(&["wait", name]).ok(), "7", "{name}: {}", state(name));
    }
    for (name, id) in [("damaged", &ids[3]), ("cut", &ids[4]), ("empty", &ids[5])] {
        assert_eq!(host.hull(&["wait", name]).ok(), "255", "{name}");
        let error = state(name)["Error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains("unknown") && error.contains("damaged"), "{name}: {error}");
        assert!(host.log().contains(id.as_str()), "{name} is not named:\n{}", host.log());
    }
    // What was learnt is not learnt twice.
    kill9(host.engine_pid());
    assert_eq!(host.hull(&["wait", "again"]).ok(), "7");
    host.hull(&["start", "again"]).ok();
    assert_eq!(host.hull(&["wait", "again"]).ok(), "5");
}

#[test]
fn with_the_clock_a_year_off_nothing_restarts_and_nothing_hangs() {
    let mut host = Host::new();
    for (name, policy) in [("plain", "no"), ("unless", "unless-stopped")] {
        host.hull(&["run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "1000"]).ok();
    }
    host.hull(&["run", "--name", "done", "--restart", "on-failure:3", "busybox", "true"]).ok();
    for name in ["plain", "unless"] {
        host.hull(&["stop", "-t", "0", name]).ok();
    }
    for offset in [YEAR, -YEAR] {
        host.shut_down();
        let at = stamp(now() + offset);
        damage(&host, &format!("UPDATE states SET body = json_set(body, '$.started', '{at}', '$.finished', '{at}')"));
        host.boot(&Settings::default());
        let shown = host.inspect("plain")["State"]["FinishedAt"].as_str().unwrap_or_default().to_owned();
        assert!(shown.starts_with(&at[..10]), "{shown}, not {at}");
        assert_eq!(host.hull(&["ps", "-q"]).ok(), "", "nothing was to start");
        assert_eq!(host.hull(&["ps", "-aq"]).ok().lines().count(), 3);
        host.hull(&["inspect", "plain", "unless", "done"]).ok();
        host.hull(&["events", "--since", "0s", "--until", "0s"]);
        host.hull(&["start", "plain"]).ok();
        assert_eq!(host.hull(&["exec", "plain", "echo", "fine"]).ok(), "fine");
        host.hull(&["stop", "-t", "0", "plain"]).ok();
        assert_eq!(host.inspect("plain")["State"]["ExitCode"], 137);
    }
}
