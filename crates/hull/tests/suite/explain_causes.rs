//! `explain`, fact by fact: the cause is changed, and the explanation changes. And witnesses that know nothing of hull: lsns
//! and ip say the same.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use hull_testkit::{Host, Settings, eventually, run};
use serde_json::Value;

fn explain(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.hull(&["explain", "--json", name]).ok()).expect("JSON")
}

/// Of a list the member whose `Name` this is.
#[track_caller]
fn fact<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list.as_array().expect("a list").iter().find(|one| one["Name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {list:#}"))
}

#[track_caller]
fn at<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().expect("a list").iter().find(|one| one[key] == value);
    found.unwrap_or_else(|| panic!("no {value}: {list:#}"))
}

/// What was asked, what is so, and the flag.
fn told(of: &Value) -> (&str, &str, &str) {
    let text = |key: &str| of[key].as_str().expect("text");
    (text("Asked"), text("Now"), text("By"))
}

fn outside(pid: u32, namespace: &str, command: &[&str]) -> String {
    run(Command::new("nsenter").args(["-t", &pid.to_string(), namespace, "--"]).args(command), b"").ok()
}

#[test]
fn lsns_sees_the_same_namespaces() {
    let host = Host::new();
    host.sleeper(&["--name", "one", "--userns", "auto"]);
    host.sleeper(&["--name", "two", "--ipc", "host", "--cgroupns", "host"]);
    for name in ["one", "two"] {
        let pid = host.pid(name).to_string();
        let mut seen = BTreeSet::new();
        // It looks at all processes of the machine, and gives up when one of them ends meanwhile.
        eventually("lsns has seen all", || {
            let out = run(Command::new("lsns").args(["-n", "-r", "-o", "TYPE,NS", "-p", &pid]), b"");
            seen = out.stdout.lines().map(str::to_owned).collect();
            out.code == 0
        });
        let all = explain(&host, name)["Namespaces"].take();
        let all = all.as_array().expect("a list").iter();
        let all: BTreeSet<String> =
            all.map(|one| format!("{} {}", one["Kind"].as_str().expect("a kind"), one["Inode"])).collect();
        assert_eq!(all, seen, "{name}");
    }
    let kind = |name: &str, kind: &str| at(&explain(&host, name)["Namespaces"], "Kind", kind).clone();
    for (space, one, two, flag) in [
        ("user", "private", "host", "--userns auto"),
        ("ipc", "private", "host", "--ipc private"),
        ("cgroup", "private", "host", "--cgroupns private"),
    ] {
        assert_eq!((&kind("one", space)["Standing"], &kind("two", space)["Standing"]), (&one.into(), &two.into()));
        assert_eq!(kind("one", space)["By"], flag);
    }
    host.assert_clean();
}

#[test]
fn ip_sees_the_same_network() {
    let host = Host::new();
    host.hull(&["network", "create", "--ipv6", "--subnet", "fd00:7::/64", "six"]).ok();
    host.sleeper(&["--name", "one", "--network", "six", "--dns-search", "example.org", "--dns-option", "ndots:2"]);
    let pid = host.pid("one");
    let network = explain(&host, "one")["Network"].take();
    let shown = outside(pid, "--net", &["ip", "-j", "addr", "show", "eth0"]);
    let link: Value = serde_json::from_str::<Value>(&shown).expect("JSON")[0].take();
    let addresses = link["addr_info"].as_array().expect("a list").iter().filter(|one| one["scope"] == "global");
    let addresses: BTreeSet<String> =
        addresses.map(|one| format!("{}/{}", one["local"].as_str().expect("an address"), one["prefixlen"])).collect();
    let eth0 = at(&network["Interfaces"], "Name", "eth0");
    let own = eth0["Addresses"].as_array().expect("a list").iter().filter_map(Value::as_str);
    let own: BTreeSet<String> = own.filter(|one| !one.starts_with("fe80:")).map(str::to_owned).collect();
    assert_eq!((own, &eth0["Mac"]), (addresses, &link["address"]));
    let mut routes = BTreeSet::new();
    for family in ["-4", "-6"] {
        let shown = outside(pid, "--net", &["ip", family, "-j", "route"]);
        for one in serde_json::from_str::<Value>(&shown).expect("JSON").as_array().expect("a list") {
            let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            let via = if word("gateway").is_empty() { String::new() } else { format!("via {} ", word("gateway")) };
            routes.insert((word("dst"), format!("{via}dev {}", word("dev"))));
        }
    }
    let word = |one: &Value, key: &str| one[key].as_str().expect("text").to_owned();
    let all = network["Routes"].as_array().expect("a list").iter();
    let all: BTreeSet<(String, String)> = all.map(|one| (word(one, "Name"), word(one, "Now"))).collect();
    assert_eq!(all, routes);
    assert!(all.iter().any(|(to, via)| to == "default" && via.starts_with("via fd00:7::1 ")), "{all:?}");
    assert_eq!(told(fact(&network["Names"], "search")), ("example.org", "example.org", "--dns-search"));
    assert!(fact(&network["Names"], "options")["Now"].as_str().expect("text").contains("ndots:2"), "{network:#}");
    // Another network comes and goes.
    host.hull(&["network", "connect", "bridge", "one"]).ok();
    let joined = explain(&host, "one")["Network"].take();
    assert_eq!(at(&joined["Interfaces"], "Network", "bridge")["By"], "--network bridge");
    host.hull(&["network", "disconnect", "bridge", "one"]).ok();
    assert_eq!(explain(&host, "one")["Network"]["Interfaces"].as_array().expect("a list").len(), 1);
    host.hull(&["rm", "-f", "one"]).ok();
    host.hull(&["network", "rm", "six"]).ok();
    host.assert_clean();
}

#[test]
fn each_cause_of_the_process_and_its_rights_is_told() {
    let host = Host::new();
    host.sleeper(&["--name", "plain"]);
    let flags = ["--init", "-w", "/tmp", "--user", "7", "--oom-score-adj", "300", "--ulimit", "core=0"];
    host.hull(&[&["run", "-d", "--name", "asked"][..], &flags, &["busybox", "sleep", "2000"]].concat()).ok();
    eventually("init has started the command", || {
        explain(&host, "asked")["Process"]["Tree"].as_array().is_some_and(|tree| tree.len() == 2)
    });
    let (plain, asked) = (explain(&host, "plain"), explain(&host, "asked"));
    let facts = |of: &'_ Value, name: &str| fact(&of["Process"]["Facts"], name).clone();
    assert_eq!(told(&facts(&plain, "command")).1, "sleep 1000");
    assert_eq!(told(&facts(&plain, "executable")).1, "/bin/busybox");
    assert_eq!(told(&facts(&asked, "command")).0, "sleep 2000");
    let directory = facts(&plain, "working directory");
    assert_eq!((told(&directory).0, told(&directory).1), ("/", "/"));
    assert_eq!(told(&facts(&asked, "working directory")), ("/tmp", "/tmp", "--workdir or the image's WorkingDir"));
    let reaped = |of: &Value| of["Process"]["ReapedBy"].as_str().expect("text").to_owned();
    assert!(reaped(&plain).ends_with("its own PID 1") && reaped(&asked).ends_with("hull's init (--init)"));
    let rights = |of: &Value, name: &str| fact(&of["Confinement"]["Facts"], name).clone();
    assert_eq!(told(&rights(&asked, "oom score")), ("300", "300", "--oom-score-adj"));
    assert_eq!(told(&rights(&plain, "oom score")).2, "");
    assert_eq!(told(&rights(&asked, "Max core file size")), ("soft 0, hard 0", "soft 0, hard 0", "--ulimit"));
    let used = |of: &Value| of["Confinement"]["Effective"].as_array().expect("a list").len();
    assert_eq!((used(&plain), used(&asked)), (14, 0), "a user that is not root uses none");
    assert!(told(&rights(&plain, "seccomp")).1.starts_with("filter ("));
    let label = fs::read_to_string(format!("/proc/{}/attr/current", host.pid("plain"))).unwrap_or_default();
    let label = label.trim_end_matches(['\0', '\n']).to_owned();
    let shown = rights(&plain, "security label");
    let none = label.is_empty() && told(&shown).1.starts_with("none: ");
    assert!(none || told(&shown).1 == label, "{shown:#}");
    host.sleeper(&["--name", "open", "--security-opt", "seccomp=unconfined"]);
    let open = rights(&explain(&host, "open"), "seccomp");
    assert!(told(&open).1.starts_with("off: ") && told(&open).2 == "--security-opt seccomp=unconfined", "{open:#}");
    host.assert_clean();
}

#[test]
fn each_cause_of_a_limit_is_told_and_what_happened_at_it() {
    let host = Host::new();
    host.sleeper(&[
        "--name",
        "one",
        "--memory",
        "64m",
        "--memory-swap",
        "96m",
        "--memory-reservation",
        "32m",
        "--cpu-shares",
        "512",
        "--cpuset-cpus",
        "0",
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "25000",
        "--pids-limit",
        "5",
    ]);
    let limits = |name: &str| explain(&host, name)["Limits"]["Limits"].take();
    let all = limits("one");
    for (name, asked, by) in [
        ("memory reservation", "33554432", "--memory-reservation"),
        ("cpu weight", "512", "--cpu-shares"),
        ("cpus", "0", "--cpuset-cpus"),
        ("cpu quota", "25000", "--cpu-quota"),
    ] {
        let limit = fact(&all, name);
        assert_eq!((&limit["Asked"], &limit["By"]), (&asked.into(), &by.into()), "{limit:#}");
        let file = fs::read_to_string(limit["File"].as_str().expect("a file")).expect("a limit's file");
        assert_eq!(limit["Written"], file.trim(), "{name}");
    }
    let refused = |limits: &Value| fact(&fact(limits, "tasks")["Events"], "max")["Now"].clone();
    assert_eq!(refused(&all), "0");
    host.hull(&["exec", "one", "sh", "-c", "for i in 1 2 3 4 5 6 7; do sleep 2 & done"]);
    assert_ne!(refused(&limits("one")), "0");
    let shown = explain(&host, "one")["Limits"].take();
    let group = shown["Groups"][0]["Path"].as_str().expect("a path");
    // A kernel that counts none, and cgroup v1, have nothing to tell.
    let counted = fs::read_to_string(format!("{group}/cpu.pressure")).is_ok();
    let told = shown["Pressure"].as_array().expect("a list").iter().any(|one| one["Name"] == "cpu");
    assert_eq!(told, counted, "{shown:#}");
    host.sleeper(&["--name", "free"]);
    assert_eq!(fact(&limits("free"), "cpu weight")["Asked"], "");
    host.assert_clean();
}

#[test]
fn each_cause_of_a_mount_is_told_with_its_flags() {
    let host = Host::new();
    let source = host.path().join("source");
    fs::create_dir(&source).expect("mkdir");
    let bind = format!("{}:/data:idmap", source.display());
    host.sleeper(&["--name", "plain"]);
    host.sleeper(&["--name", "mapped", "--userns", "auto", "-v", &bind, "--read-only"]);
    host.hull(&["exec", "plain", "sh", "-c", "echo more > /more"]).ok();
    host.hull(&["commit", "plain", "second"]).ok();
    host.hull(&["run", "-d", "--name", "upper", "second", "sleep", "1000"]).ok();
    let root = |name: &str| explain(&host, name)["RootFilesystem"].take();
    let (plain, mapped, upper) = (root("plain"), root("mapped"), root("upper"));
    let data = at(&mapped["Mounts"], "Target", "/data");
    assert_eq!((&data["Idmapped"], &data["Propagation"]), (&true.into(), &"private".into()));
    assert_eq!(at(&plain["Mounts"], "Target", "/proc")["Idmapped"], false);
    let slash = |root: &Value| at(&root["Mounts"], "Target", "/").clone();
    assert_eq!(slash(&mapped)["By"], "the image's layers, --read-only");
    assert!(slash(&mapped)["Flags"].as_str().is_some_and(|flags| flags.starts_with("ro")));
    assert!(slash(&plain)["Flags"].as_str().is_some_and(|flags| flags.starts_with("rw")));
    let read_only = plain["ReadOnly"].as_array().expect("a list");
    assert!(read_only.contains(&"/proc/sys".into()), "{read_only:?}");
    let layers = |root: &Value| root["Layers"].as_array().expect("a list").clone();
    let (below, above) = (layers(&plain), layers(&upper));
    assert_eq!((below.len(), above.len(), &above[0]), (1, 2, &below[0]));
    assert_eq!((&plain["Changed"], &upper["Changed"]), (&1.into(), &0.into()));
    host.hull(&["rm", "-f", "upper"]).ok();
    host.hull(&["rmi", "second"]).ok();
    host.assert_clean();
}

#[test]
fn how_mounts_travel_is_told() {
    let setup = "mount -t tmpfs shared /mnt && mount --make-shared /mnt".to_owned();
    let host = Host::with(&Settings { setup, ..Settings::default() });
    for (mode, words) in
        [("rprivate", "private"), ("rslave", "slave: what the host mounts appears"), ("rshared", "shared")]
    {
        let id = host.sleeper(&["-v", &format!("/mnt:/data:{mode}")]);
        let mounts = explain(&host, &id)["RootFilesystem"]["Mounts"].take();
        assert_eq!(at(&mounts, "Target", "/data")["Propagation"], words, "{mode}");
    }
    host.assert_clean();
}

#[test]
fn an_engine_in_a_container_says_that_its_namespaces_are_not_the_machines() {
    let wrapper = ["unshare", "--uts", "--"].map(str::to_owned).to_vec();
    let host = Host::with(&Settings { wrapper, ..Settings::default() });
    host.sleeper(&["--name", "one", "--uts", "host", "--ipc", "host"]);
    let all = explain(&host, "one")["Namespaces"].take();
    assert_eq!(at(&all, "Kind", "uts")["Standing"], "engine");
    // Wherever this test runs itself.
    let own = fs::read_link("/proc/self/ns/ipc").expect("a namespace");
    let first = own.to_string_lossy() == "ipc:[4026531839]";
    assert_eq!(at(&all, "Kind", "ipc")["Standing"], if first { "host" } else { "engine" });
    assert!(host.hull(&["explain", "one"]).ok().contains("hull's own, which is not the machine's first"));
    host.assert_clean();
}

#[test]
fn of_a_container_that_does_not_run_it_is_told_what_was_asked() {
    let host = Host::new();
    host.hull(&[
        "create",
        "--name",
        "never",
        "--memory",
        "64m",
        "--tmpfs",
        "/scratch",
        "--cap-drop",
        "CHOWN",
        "-p",
        "8080:80",
        "--pid",
        "host",
        "--ulimit",
        "nofile=100",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    let all = explain(&host, "never");
    assert_eq!(all["Status"], "created");
    assert_eq!(
        told(fact(&all["Process"]["Facts"], "command")),
        ("sleep 1000", "", "the command, or the image's Entrypoint and Cmd")
    );
    let pid = at(&all["Namespaces"], "Kind", "pid");
    assert_eq!((&pid["By"], &pid["Inode"], &pid["Standing"]), (&"--pid host".into(), &0.into(), &"".into()));
    let memory = fact(&all["Limits"]["Limits"], "memory");
    assert_eq!((&memory["Asked"], &memory["Written"]), (&"67108864".into(), &"".into()));
    assert_eq!(at(&all["RootFilesystem"]["Mounts"], "Target", "/scratch")["By"], "--tmpfs /scratch");
    assert_eq!(all["Confinement"]["By"], "--cap-drop CHOWN");
    assert_eq!(told(fact(&all["Network"]["Names"], "port")), ("8080->80/tcp", "", "--publish"));
    let page = host.hull(&["explain", "--syscall", "mount", "never"]).ok();
    assert!(
        page.starts_with("never (") && page.contains("not running (created)") && page.contains("mount(2)"),
        "{page}"
    );
    assert!(page.contains("← 67108864 (--memory)") && !page.contains("nsenter"), "{page}");
    host.hull(&["start", "never"]).ok();
    assert_eq!(explain(&host, "never")["Status"], "running");
    host.hull(&["exec", "never", "touch", "/left"]).ok();
    host.hull(&["stop", "-t", "0", "never"]).ok();
    let ended = explain(&host, "never");
    assert_eq!((&ended["Status"], &ended["RootFilesystem"]["Changes"][0]), (&"exited".into(), &"A /left".into()));
    let apart = host.hull(&["diff-view", "never", "never"]);
    assert!(apart.code == 1 && apart.stderr.contains("is not running"), "{}", apart.stderr);
    host.assert_clean();
}

#[test]
fn colours_are_for_terminals() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "one", "busybox", "sh", "-c", "sleep 1000; : \u{1b}[2J"]).ok();
    host.sleeper(&["--name", "two", "--uts", "host"]);
    host.hull(&["run", "--name", "ended", "busybox", "sh", "-c", "echo out; exit 3"]);
    host.hull(&["run", "--name", "unborn", "busybox", "nosuchcommand"]);
    let binary = hull_testkit::hull_binary();
    let on_terminal = |words: &str, name: &str, value: &str| {
        let line = format!("{} {words}", binary.display());
        run(host.command("script").env(name, value).args(["-q", "-e", "-c", &line, "/dev/null"]), b"").ok()
    };
    for (words, expected) in [
        ("explain one", &["\u{1b}[1mnamespaces\u{1b}[0m", "\u{1b}[32mprivate\u{1b}[0m", "\u{1b}[2m← "][..]),
        ("explain --syscall mount one", &["\u{1b}[31mrefused:\u{1b}[0m"]),
        ("explain --start one", &["\u{1b}[1mone\u{1b}[0m", "\u{1b}[1mwhere the time went\u{1b}[0m"]),
        ("explain --start unborn", &["this failed\u{1b}[0m"]),
        ("why ended", &["\u{1b}[1mits last output:\u{1b}[0m"]),
        ("diff-view one two", &["\u{1b}[1mnamespaces", "\u{1b}[33m  ≠"]),
        ("ps --tree", &["\u{1b}[1mone\u{1b}[0m (", "\u{1b}[2m└─ \u{1b}[0m"]),
    ] {
        let shown = on_terminal(words, "TERM", "xterm");
        expected.iter().for_each(|piece| assert!(shown.contains(piece), "{words}: {piece:?}: {shown:?}"));
        assert!(!shown.contains("\u{1b}[2J"), "{shown:?}");
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let plain = on_terminal(words, name, value);
            assert!(!plain.contains('\u{1b}'), "{name}: {plain:?}");
        }
        // And neither in a pipe nor in a document.
        let words: Vec<&str> = words.split(' ').collect();
        assert!(!host.hull(&words).ok().contains('\u{1b}'));
        let document = host.hull(&[&words[..1], &["--json"], &words[1..]].concat()).ok();
        assert!(serde_json::from_str::<Value>(&document).is_ok() && !document.contains('\u{1b}'), "{document}");
    }
    let trees: Value = serde_json::from_str(&host.hull(&["ps", "--tree", "--json"]).ok()).expect("JSON");
    assert_eq!(at(&trees, "Name", "one")["Processes"][0]["Pid"], host.pid("one"));
    let apart: Value = serde_json::from_str(&host.hull(&["diff-view", "--json", "one", "two"]).ok()).expect("JSON");
    let uts = at(&apart["Facts"], "Name", "uts");
    assert_eq!((&uts["Values"][0], &uts["Differ"]), (&"private".into(), &true.into()));
    host.assert_clean();
}
