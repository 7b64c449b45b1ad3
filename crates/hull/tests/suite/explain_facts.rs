//! `explain` beside what the kernel, `nft` and the image say themselves; and that explaining disturbs nobody.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use hull_testkit::{Host, eventually, run};
use serde_json::Value;

use crate::networks::{on_host, serve};

fn explain(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.hull(&["explain", "--json", name]).ok()).expect("JSON")
}

fn list<'a>(of: &'a Value, key: &str) -> &'a Vec<Value> {
    of[key].as_array().unwrap_or_else(|| panic!("no list {key}: {of:#}"))
}

#[track_caller]
fn named<'a>(list: &'a [Value], key: &str, name: &str) -> &'a Value {
    list.iter().find(|one| one[key] == name).unwrap_or_else(|| panic!("no {name}: {list:#?}"))
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_else(|| panic!("no text {key}: {of:#}"))
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

#[test]
fn the_line_of_each_namespace_enters_it() {
    let host = Host::new();
    host.sleeper(&["--name", "plain"]);
    host.sleeper(&["--name", "apart", "--userns", "auto", "--annotation", "hull.time=private,boottime=1h"]);
    for name in ["plain", "apart"] {
        let all = explain(&host, name);
        for one in list(&all, "Namespaces") {
            let kind = text(one, "Kind");
            let flag =
                if kind == "mnt" { "CLONE_NEWNS".to_owned() } else { format!("CLONE_NEW{}", kind.to_uppercase()) };
            assert_eq!(text(one, "Flag"), flag);
            let line = text(one, "Enter");
            if (name, kind) == ("plain", "user") {
                assert_eq!((line, text(one, "Standing") == "private"), ("", false), "nobody enters where he stands");
                continue;
            }
            // Behind the door of another mount namespace, /proc is of processes that the visitor is not among.
            let look = match kind {
                "mnt" => "cat /etc/hostname".to_owned(),
                kind => format!("readlink /proc/self/ns/{kind}"),
            };
            let seen = run(Command::new("sh").args(["-c", &format!("{line} -- {look}")]), b"").ok();
            let expected = match kind {
                "mnt" => text(&all, "Id")[..12].to_owned(),
                kind => format!("{kind}:[{}]", one["Inode"]),
            };
            assert_eq!(seen, expected, "{name}: {line}");
        }
    }
    host.assert_clean();
}

#[test]
fn parents_maps_and_programs_are_those_of_proc() {
    let host = Host::new();
    let flags = ["run", "-d", "--name", "one", "--userns", "auto", "-w", "/tmp", "busybox"];
    host.hull(&[&flags[..], &["sh", "-c", "cd /etc; sleep 1000 & cd /bin; wait"]].concat()).ok();
    let two = || list(&explain(&host, "one")["Process"], "Tree").len() == 2;
    eventually("both run", two);
    eventually("both are where they go", || {
        list(&explain(&host, "one")["Process"], "Tree").iter().any(|one| one["Directory"] == "/bin")
    });
    let process = explain(&host, "one")["Process"].take();
    let mut parent: u32 = status(host.pid("one"), "PPid").parse().expect("a number");
    let above = list(&process, "Above");
    assert_eq!(above[0]["Pid"], host.keeper_pid());
    for one in above {
        assert_eq!(one["Pid"], parent, "{above:#?}");
        parent = status(parent, "PPid").parse().expect("a number");
    }
    assert_eq!(parent, 0, "up to the machine's first process");
    for one in list(&process, "Tree") {
        for (key, link) in [("Executable", "exe"), ("Directory", "cwd")] {
            let to = fs::read_link(format!("/proc/{}/{link}", one["Pid"])).expect("a link");
            assert_eq!(text(one, key), to.to_string_lossy());
        }
    }
    for (key, file) in [("Uids", "uid_map"), ("Gids", "gid_map")] {
        let map = fs::read_to_string(format!("/proc/{}/{file}", host.pid("one"))).expect("a map");
        let map: Vec<&str> = map.split_whitespace().collect();
        let told = &list(&process, key)[0];
        assert_eq!(map, ["Inside", "Outside", "Size"].map(|key| told[key].to_string()), "{file}");
    }
    host.assert_clean();
}

#[test]
fn a_layer_is_told_with_its_digest_its_size_and_its_step() {
    let host = Host::new();
    host.hull(&["run", "--name", "step", "busybox", "sh", "-c", "head -c 1000000 /dev/zero > /zeros"]).ok();
    host.hull(&["commit", "step", "second"]).ok();
    host.hull(&["run", "-d", "--name", "one", "second", "sleep", "1000"]).ok();
    let root = explain(&host, "one")["RootFilesystem"].take();
    let layers = list(&root, "Layers");
    let digests = host.hull(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", "second"]).ok();
    let digests: Vec<String> = serde_json::from_str(&digests).expect("a list");
    let told: Vec<&str> = layers.iter().map(|layer| text(layer, "Digest")).collect();
    assert_eq!(told, digests);
    assert!(layers[1]["Size"].as_u64() >= Some(1_000_000), "{layers:#?}");
    let steps = host.hull(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", "second"]).ok();
    assert_eq!(text(&layers[1], "Step"), steps.lines().next().unwrap_or_default());
    assert!(text(&layers[1], "Step").contains("/zeros"), "{layers:#?}");
    host.hull(&["rm", "-f", "one", "step"]).ok();
    host.hull(&["rmi", "second"]).ok();
    host.assert_clean();
}

#[test]
fn rules_listeners_and_who_reaches_them_are_told() {
    let host = Host::new();
    serve(&host, "open", &["-p", "8080:80"]);
    serve(&host, "near", &["-p", "127.0.0.1:8081:80"]);
    host.hull(&["exec", "-d", "open", "nc", "-l", "-p", "7777"]).ok();
    let ports = |name: &str| explain(&host, name)["Network"]["Ports"].take();
    let port = |name: &str, port: &str| {
        let all = ports(name);
        all.as_array().expect("a list").iter().find(|one| one["Port"] == port).cloned()
    };
    eventually("both listen", || {
        let stopped =
            |one: &Value| list(one, "Hops").iter().any(|hop| hop["Kind"] == "socket" && hop["Passes"] == false);
        [port("open", "80/tcp"), port("near", "80/tcp"), port("open", "7777/tcp")]
            .iter()
            .all(|one| one.as_ref().is_some_and(|one| !stopped(one)))
    });
    let (open, near) = (port("open", "80/tcp").expect("it is told"), port("near", "80/tcp").expect("it is told"));
    let reaches = |of: &Value| named(list(of, "From"), "Who", "other machines")["Reaches"].clone();
    assert_eq!((reaches(&open), reaches(&near)), (true.into(), false.into()));
    let listener = port("open", "7777/tcp").expect("nobody published it");
    let socket = named(list(&listener, "Hops"), "Kind", "socket");
    assert!(text(socket, "Says").starts_with("nc (pid "), "{socket:#}");
    assert_eq!((reaches(&listener), port("near", "7777/tcp")), (false.into(), None));
    // The rule is in nft's table, and goes with the container.
    let rule = named(list(&open, "Hops"), "Kind", "rule").clone();
    let (table, own) = (text(&rule, "At"), host.inspect("open")["NetworkSettings"]["IPAddress"].clone());
    let own = own.as_str().expect("an address");
    let listed = || {
        let pid = host.engine_pid().to_string();
        run(Command::new("nsenter").args(["-t", &pid, "-n", "--", "nft", "list", "ruleset"]), b"").ok()
    };
    let before = listed();
    let map = table.split(' ').next_back().expect("words");
    assert!(text(&rule, "Says").contains(own) && before.contains(map), "{rule:#}: {before}");
    assert!(before.lines().any(|line| line.contains("8080") && line.contains(own)), "{before}");
    host.hull(&["rm", "-f", "open"]).ok();
    eventually("its rule goes with it", || !listed().lines().any(|line| line.contains("8080") && line.contains(own)));
    assert!(on_host(&host, "true").code == 0);
    host.assert_clean();
}

#[test]
fn limits_that_few_ask_for_are_told_if_they_were() {
    let host = Host::new();
    host.sleeper(&["--name", "plain"]);
    host.hull(&["create", "--name", "never", "--cpuset-mems", "0", "busybox", "true"]).ok();
    host.sleeper(&["--name", "bound", "--cpuset-mems", "0"]);
    let limit = |name: &str| {
        let all = explain(&host, name)["Limits"]["Limits"].take();
        all.as_array().expect("a list").iter().find(|one| one["Name"] == "cpuset.mems").cloned()
    };
    let bound = limit("bound").expect("it was asked for");
    assert_eq!((&bound["Asked"], &bound["By"], &bound["Written"]), (&"0".into(), &"--cpuset-mems".into(), &"0".into()));
    assert_eq!(fs::read_to_string(text(&bound, "File")).expect("its file").trim(), "0");
    assert_eq!((limit("plain"), limit("never").map(|one| one["Asked"].clone())), (None, Some("0".into())));
    host.assert_clean();
}

/// All that would show that somebody has touched a process that sleeps.
fn traces(host: &Host, pid: u32, group: &str) -> BTreeMap<&'static str, String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<String> = stat.rsplit(')').next().expect("fields").split_whitespace().map(str::to_owned).collect();
    let read = |name: &str| fs::read_to_string(format!("{group}/{name}")).unwrap_or_default();
    BTreeMap::from([
        ("state", fields[0].clone()),
        ("faults, of both kinds", format!("{} {}", fields[7], fields[9])),
        ("ticks", format!("{} {}", fields[11], fields[12])),
        ("began", fields[19].clone()),
        ("left the processor of its own will", status(pid, "voluntary_ctxt_switches")),
        ("left it otherwise", status(pid, "nonvoluntary_ctxt_switches")),
        ("traced by", status(pid, "TracerPid")),
        ("in its cgroup", read("cgroup.procs")),
        ("frozen", read("freezer.state") + &read("cgroup.freeze")),
        ("changed", host.hull(&["diff", "one"]).ok()),
    ])
}

#[test]
fn explaining_disturbs_nobody() {
    let host = Host::new();
    host.sleeper(&["--name", "one", "--memory", "64m", "-p", "8080:80"]);
    host.sleeper(&["--name", "other"]);
    let pid = host.pid("one");
    let first = explain(&host, "one");
    let memory = named(list(&first["Limits"], "Limits"), "Name", "memory");
    let directory = std::path::Path::new(text(memory, "File")).parent().expect("a directory").to_string_lossy();
    let seen = || traces(&host, pid, &directory);
    eventually("it sleeps", || {
        let before = seen();
        before["state"] == "S"
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
            && {
                std::thread::sleep(std::time::Duration::from_millis(50));
                seen() == before
            }
    });
    let used = || {
        explain(&host, "one")["Limits"]["Limits"]
            .as_array()
            .map(|all| text(named(all, "Name", "memory"), "Used").parse::<u64>().expect("bytes"))
    };
    let (before, memory) = (seen(), used());
    for words in [
        "explain one",
        "explain --syscall mount one",
        "explain --by-hand one",
        "explain --start one",
        "diff-view one other",
        "ps --tree",
        "why one",
    ] {
        for _ in 0..5 {
            host.hull(&words.split(' ').collect::<Vec<_>>()).ok();
        }
    }
    assert_eq!(seen(), before);
    assert!(used() <= memory, "nothing is read on its account: {memory:?}, {:?}", used());
    host.assert_clean();
}
