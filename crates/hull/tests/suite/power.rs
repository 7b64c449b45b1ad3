//! The power is cut: a workload runs on a disk that records what reaches it and when it was flushed;
//! then engines start on the disk as it would have been found after a cut at this or that moment.
//!
//! `HULL_TEST_MOMENTS=200` looks at so many moments; a normal run looks at a few.

mod pulled;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hull_testkit::{Disk, Host, Settings, busybox_tar, patience, run};
use pulled::FAR;
use serde_json::Value;

/// How many cuts a normal run makes.
const MOMENTS: usize = 14;
/// How many of a normal run's further cuts fall into pulls.
const IN_PULLS: usize = 4;

/// What has been acknowledged of a container.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    id: String,
    memory: u64,
    life: Life,
}

/// What its life may be after the cut.
#[derive(Clone, Debug, PartialEq)]
enum Life {
    Created,
    /// It ran without a restart policy: that it did is not promised beyond the boot.
    Began,
    Ended(i64),
    /// It has a restart policy: it runs again.
    Runs,
}

/// What has been acknowledged.
#[derive(Clone, Debug, Default)]
struct Facts {
    containers: BTreeMap<String, Made>,
    /// Name → id.
    images: BTreeMap<String, String>,
}

/// The workload: what was acknowledged, and when.
struct Work {
    host: Host,
    disk: Disk,
    facts: Facts,
    acknowledged: Vec<(usize, Facts)>,
    /// Chain id → what the layer holds.
    layers: BTreeMap<String, String>,
    /// From when to when images were pulled.
    pulls: Vec<(usize, usize)>,
}

impl Work {
    fn begin() -> Self {
        let mut host = Host::with(&Settings { no_engine: true, ..Settings::default() });
        let disk = Disk::new(host.path(), 64);
        let setup = disk.mount(&host.root());
        host.boot(&Settings { setup, ..Settings::default() });
        let mut work = Self {
            host,
            disk,
            facts: Facts::default(),
            acknowledged: Vec::new(),
            layers: BTreeMap::new(),
            pulls: Vec::new(),
        };
        work.note(|_| ());
        work
    }

    /// The operation was acknowledged.
    fn note(&mut self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts);
        self.acknowledged.push((self.disk.moment(), self.facts.clone()));
    }

    fn does(&mut self, args: &[&str], change: impl FnOnce(&mut Facts)) {
        self.host.hull(args).ok();
        self.note(change);
    }

    fn create(&mut self, name: &str, flags: &[&str], command: &[&str]) {
        let args = [&["create", "--name", name], flags, &["one:1"], command].concat();
        let id = self.host.hull(&args).ok();
        let made = Made { id, memory: 0, life: Life::Created };
        self.note(|facts| _ = facts.containers.insert(name.to_owned(), made));
    }

    fn lives(&mut self, args: &[&str], name: &str, life: Life) {
        self.does(args, |facts| facts.containers.get_mut(name).expect("made before").life = life);
    }

    fn image(&mut self, args: &[&str], name: &str) {
        self.host.hull(args).ok();
        let id = self.host.inspect(name)["Id"].as_str().expect("an id").to_owned();
        self.note(|facts| _ = facts.images.insert(name.to_owned(), id));
        for layer in layers(&self.host) {
            self.layers.entry(layer.clone()).or_insert_with(|| content(&self.host, &layer));
        }
    }

    /// Pulls the image that nothing here has a layer of.
    fn pull(&mut self) {
        let begin = self.disk.moment();
        self.image(&["pull", "-q", FAR], FAR);
        self.pulls.push((begin, self.acknowledged[self.acknowledged.len() - 1].0));
    }

    fn run(&mut self) {
        let busybox = busybox_tar();
        let archive = archive(self.host.path());
        let registry = pulled::registry(&self.host);
        let busybox = busybox.to_string_lossy().into_owned();
        self.image(&["import", &busybox, "one:1"], "one:1");
        self.create("made", &["-v", "/data", "-v", "named:/named"], &["echo", "fine"]);
        self.create("ran", &[], &["sleep", "1000"]);
        self.lives(&["start", "ran"], "ran", Life::Began);
        self.create("kept", &["--restart", "unless-stopped"], &["sleep", "1000"]);
        self.lives(&["start", "kept"], "kept", Life::Runs);
        self.create("over", &["-v", "/data"], &["sh", "-c", "echo words; exit 3"]);
        self.host.hull(&["start", "over"]).ok();
        self.lives(&["wait", "over"], "over", Life::Ended(3));
        self.image(&["load", "-i", &archive], "layered:1");
        self.image(&["tag", "layered:1", "other:tag"], "other:tag");
        self.pull();
        self.does(&["rename", "ran", "renamed"], |facts| {
            let ran = facts.containers.remove("ran").expect("made before");
            facts.containers.insert("renamed".into(), ran);
        });
        self.does(&["update", "--memory", "64m", "--memory-swap", "64m", "renamed"], |facts| {
            facts.containers.get_mut("renamed").expect("made before").memory = 64 << 20;
        });
        self.lives(&["stop", "-t", "0", "renamed"], "renamed", Life::Ended(137));
        self.create("kept2", &["--restart", "unless-stopped"], &["sleep", "1000"]);
        self.lives(&["start", "kept2"], "kept2", Life::Runs);
        self.lives(&["stop", "-t", "0", "kept2"], "kept2", Life::Ended(137));
        self.does(&["rm", "-v", "over"], |facts| _ = facts.containers.remove("over"));
        self.does(&["rmi", "layered:1"], |facts| _ = facts.images.remove("layered:1"));
        self.does(&["rmi", "other:tag"], |facts| _ = facts.images.remove("other:tag"));
        self.image(&["import", "-c", "ENV A=b", &busybox, "two:1"], "two:1");
        for round in 0..4 {
            let name = format!("round{round}");
            self.create(&name, &["-v", "/data"], &["true"]);
            self.image(&["load", "-i", &archive], "layered:1");
            self.does(&["rmi", FAR], |facts| _ = facts.images.remove(FAR));
            self.pull();
            self.does(&["rm", "-f", &name], |facts| _ = facts.containers.remove(&name));
            self.does(&["rmi", "layered:1"], |facts| _ = facts.images.remove("layered:1"));
        }
        self.does(&["rm", "-f", "kept"], |facts| _ = facts.containers.remove("kept"));
        drop(registry);
        // What is done behind the answers reaches the disk as well.
        self.host.shut_down();
    }
}

/// A docker archive of busybox and a layer on top of it.
fn archive(dir: &Path) -> String {
    let digest = |path: &Path| run(Command::new("sha256sum").arg(path), b"").ok()[..64].to_owned();
    let (dir, upper) = (dir.join("archive"), dir.join("upper"));
    fs::create_dir_all(&dir).expect("mkdir");
    fs::create_dir_all(upper.join("added")).expect("mkdir");
    for n in 0..20 {
        fs::write(upper.join(format!("added/{n}")), vec![n; 20_000]).expect("write");
    }
    fs::copy(busybox_tar(), dir.join("1.tar")).expect("copy");
    let tar = |tree: &Path, out: &Path| {
        run(Command::new("tar").args(["--owner=0", "--group=0", "-C"]).arg(tree).arg("-cf").arg(out).arg("."), b"")
            .ok();
    };
    tar(&upper, &dir.join("2.tar"));
    let (one, two) = (digest(&dir.join("1.tar")), digest(&dir.join("2.tar")));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["true"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{one}","sha256:{two}"]}}}}"#
    );
    fs::write(dir.join("config.json"), config).expect("write");
    let manifest = r#"[{"Config":"config.json","RepoTags":["layered:1"],"Layers":["1.tar","2.tar"]}]"#;
    fs::write(dir.join("manifest.json"), manifest).expect("write");
    let out = dir.with_extension("tar");
    tar(&dir, &out);
    out.to_string_lossy().into_owned()
}

/// The engine's root, which is mounted where only it sees it.
fn root(host: &Host) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", host.engine_pid(), host.root().display()))
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn layers(host: &Host) -> BTreeSet<String> {
    names(&root(host).join("layers"))
}

/// Names, modes, owners, links and contents of a layer, in short.
fn content(host: &Host, layer: &str) -> String {
    let script = "cd \"$1\" && { find . -printf '%p %y %m %U:%G %l\\n' | sort; cat ../layer.json; \
                  find . -type f -print0 | sort -z | xargs -0r sha256sum; } | sha256sum";
    let dir = root(host).join("layers").join(layer).join("fs");
    run(Command::new("sh").args(["-c", script, "sh"]).arg(dir), b"").ok()
}

/// A fixed sequence of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % below
    }
}

#[test]
fn after_a_power_cut_at_any_moment_everything_acknowledged_is_there() {
    let mut work = Work::begin();
    work.run();
    let wanted = std::env::var("HULL_TEST_MOMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(MOMENTS);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (first, last) = (work.acknowledged[1].0, work.disk.moment());
    for n in 0..wanted + IN_PULLS {
        // Half of them right after an acknowledgement, when only a flush can have brought it to the disk.
        let (moment, survive) = if n >= wanted {
            let (begin, end) = work.pulls[(n - wanted) % work.pulls.len()];
            (begin + numbers.next(end - begin), [0, 50, 100][n % 3])
        } else if n % 2 == 0 {
            (work.acknowledged[1 + n / 2 * 5 % (work.acknowledged.len() - 1)].0, 0)
        } else {
            (first + numbers.next(last - first), [0, 50, 100][n / 2 % 3])
        };
        let image = work.host.path().join("cut");
        work.disk.cut(moment, || numbers.next(100) < survive, &image).expect("the disk after the cut");
        let at = format!("cut {n} at {moment} of {last}, {survive} % of what was not flushed stays");
        look(&work, moment, &image, &at, n >= wanted);
    }
}

/// Starts an engine on the disk and compares.
fn look(work: &Work, moment: usize, image: &Path, at: &str, pull: bool) {
    let mut host = Host::with(&Settings { no_engine: true, ..Settings::default() });
    let boot = host.path().join("boot_id");
    fs::write(&boot, "12345678-9abc-4def-8123-456789abcdef\n").expect("write");
    let (image, root, boot) = (image.display(), host.root(), boot.display());
    let setup = format!(
        "mkdir -p {root} && mount -t ext4 -o loop {image} {root} || exit 1; mount --bind {boot} /proc/sys/kernel/random/boot_id",
        root = root.display()
    );
    if let Err(log) = host.try_boot(&Settings { setup, ..Settings::default() }) {
        panic!("{at}: no engine starts:\n{log}");
    }
    let next = work.acknowledged.iter().position(|(when, _)| *when > moment);
    let next = next.unwrap_or(work.acknowledged.len());
    let (before, after) = (&work.acknowledged[next - 1].1, &work.acknowledged[next.min(work.acknowledged.len() - 1)].1);
    let problems = compare(&host, before, after);
    assert!(problems.is_empty(), "{at}: {problems:#?}\nacknowledged: {before:#?}\nlog:\n{}", host.log());
    let problems = whole(&host, &work.layers);
    assert!(problems.is_empty(), "{at}: {problems:#?}\nlog:\n{}", host.log());
    if before.containers.contains_key("made") {
        assert_eq!(host.hull(&["start", "-a", "made"]).ok(), "fine", "{at}");
    }
    if before.images.contains_key("layered:1") && after.images.contains_key("layered:1") {
        host.hull(&["run", "--rm", "layered:1"]).ok();
    }
    if pull {
        pulled::again(&work.host, &host, at);
    }
    // At once: to be stopped with the engine takes their grace time.
    let ids = host.hull(&["ps", "-aq"]).ok();
    if !ids.is_empty() {
        host.hull(&[&["rm", "-fv"][..], &ids.lines().collect::<Vec<_>>()].concat()).ok();
    }
}

/// Containers and images against what was acknowledged before the cut, and what may have followed.
fn compare(host: &Host, before: &Facts, after: &Facts) -> Vec<String> {
    let mut problems = Vec::new();
    let ids = host.hull(&["ps", "-aq", "--no-trunc"]).ok();
    let mut seen: BTreeMap<String, Value> = ids
        .lines()
        .map(|id| host.inspect(id))
        .map(|v| (v["Name"].as_str().expect("a name")[1..].to_owned(), v))
        .collect();
    if ![before.containers.len(), after.containers.len()].contains(&seen.len()) {
        problems.push(format!("{} containers: {:?}", seen.len(), seen.keys()));
    }
    let known: BTreeSet<&String> = before.containers.keys().chain(after.containers.keys()).collect();
    for name in known {
        let (was, is) = (before.containers.get(name), after.containers.get(name));
        match seen.remove(name) {
            None if was.is_some() && is.is_some() => problems.push(format!("{name} is lost")),
            None => {}
            Some(found) => {
                let made = was.or(is).expect("known");
                if found["Id"] != made.id.as_str() {
                    problems.push(format!("{name} has another id"));
                }
                let memory = found["HostConfig"]["Memory"].as_u64().unwrap_or(0);
                if ![was, is].into_iter().flatten().any(|made| made.memory == memory) {
                    problems.push(format!("{name} has {memory} of memory"));
                }
                // Of what was under way any state is right.
                if was == is && !lives(host, name, &made.life) {
                    problems.push(format!("{name}: {:?}, but {}", made.life, host.inspect(name)["State"]));
                }
            }
        }
    }
    problems.extend(seen.keys().map(|name| format!("{name} is of nobody")));
    let listed = host.hull(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]).ok();
    let mut listed: BTreeMap<&str, &str> = listed.lines().filter_map(|l| l.split_once(' ')).collect();
    let known: BTreeSet<&String> = before.images.keys().chain(after.images.keys()).collect();
    for name in known {
        let found = listed.remove(name.as_str());
        let fits = |facts: &Facts| facts.images.get(name).map(String::as_str) == found;
        if !fits(before) && !fits(after) {
            problems.push(format!("image {name}: {found:?}"));
        }
    }
    problems.extend(listed.keys().map(|name| format!("image {name} is of nobody")));
    problems
}

fn lives(host: &Host, name: &str, life: &Life) -> bool {
    let fits = || {
        let state = host.inspect(name)["State"].clone();
        match life {
            Life::Created => state["Status"] == "created",
            Life::Began => state["Status"] == "created" || state["Status"] == "exited",
            Life::Ended(code) => state["Status"] == "exited" && state["ExitCode"] == *code,
            // What the record says of the run before the cut has no process.
            Life::Runs => state["Status"] == "running" && state["Pid"] != 0,
        }
    };
    // That a run has ended with the power is noticed in a moment; a start waits for a busy disk as long as it takes.
    let deadline = Instant::now() + 2 * patience();
    loop {
        let is = fits();
        if is || Instant::now() > deadline {
            return is;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether everything that is visible beneath the root is whole.
fn whole(host: &Host, layers_then: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    let root = root(host);
    for layer in layers(host) {
        if layers_then.get(&layer) != Some(&content(host, &layer)) {
            problems.push(format!("layer {layer} is not what it was"));
        }
    }
    for blob in names(&root.join("content/blobs/sha256")) {
        let digest = run(Command::new("sha256sum").arg(root.join("content/blobs/sha256").join(&blob)), b"").ok();
        if !digest.starts_with(&blob) {
            problems.push(format!("blob {blob} has another content"));
        }
    }
    let ids: BTreeSet<String> = host.hull(&["ps", "-aq", "--no-trunc"]).ok().lines().map(str::to_owned).collect();
    problems.extend(names(&root.join("containers")).difference(&ids).map(|id| format!("files of no container: {id}")));
    for volume in names(&root.join("volumes")) {
        let text = fs::read(root.join("volumes").join(&volume).join("volume.json")).unwrap_or_default();
        if serde_json::from_slice::<Value>(&text).is_err() {
            problems.push(format!("volume {volume} is half made"));
        }
    }
    // The beginning of a blob stays for the next pull.
    let left = names(&root.join("content/ingest")).into_iter().filter(|name| !name.starts_with("partial-"));
    problems.extend(left.map(|name| format!("left in content/ingest: {name}")));
    problems
}
