//! `explain`: each cause is changed, and the explanation changes with it; facts are compared with what the kernel shows from
//! outside.

use std::fs;

use hull_testkit::Host;
use serde_json::Value;

fn explain(host: &Host, args: &[&str]) -> Value {
    let text = host.hull(&[&["explain", "--json"], args].concat()).ok();
    serde_json::from_str(&text).expect("JSON")
}

fn list<'a>(of: &'a Value, key: &str) -> &'a Vec<Value> {
    of[key].as_array().unwrap_or_else(|| panic!("no list {key}: {of:#}"))
}

/// The member of a list whose `key` is `name`.
#[track_caller]
fn named<'a>(list: &'a [Value], key: &str, name: &str) -> &'a Value {
    list.iter().find(|one| one[key] == name).unwrap_or_else(|| panic!("no {name}: {list:#?}"))
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|word| word.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn processes_have_their_numbers_on_both_sides() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "one", "--user", "7:8", "busybox", "sh", "-c", "sleep 1000 & wait"]).ok();
    hull_testkit::eventually("both run", || list(&explain(&host, &["one"])["Process"], "Tree").len() == 2);
    let process = explain(&host, &["one"])["Process"].take();
    let tree = list(&process, "Tree");
    for one in tree {
        let pid = one["Pid"].as_i64().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        assert!(numbers.trim().ends_with(&format!("\t{}", one["PidInside"])), "{one:#}: {numbers}");
        assert_eq!((&one["User"], &one["UserInside"]), (&Value::from(7), &Value::from(7)));
    }
    let first = tree.iter().find(|one| one["PidInside"] == 1).expect("PID 1");
    assert_eq!(first["Pid"], host.pid("one"));
    assert_eq!(list(&process, "Above")[0]["Pid"], host.keeper_pid());
    let facts = list(&process, "Facts");
    assert_eq!(named(facts, "Name", "user on the host")["Now"], "7:8");
    assert_eq!(named(facts, "Name", "user on the host")["By"], "--user or the image's User");
    assert_eq!(named(facts, "Name", "working directory")["Now"], "/");
    host.assert_clean();
}

#[test]
fn users_of_a_user_namespace_are_told_on_both_sides() {
    let host = Host::new();
    host.sleeper(&["--name", "one", "--userns", "auto"]);
    let process = explain(&host, &["one"])["Process"].take();
    let map = &list(&process, "Uids")[0];
    let one = &list(&process, "Tree")[0];
    assert_eq!((&map["Inside"], &one["UserInside"]), (&Value::from(0), &Value::from(0)));
    assert_eq!(map["Outside"], one["User"]);
    assert!(one["User"].as_u64() > Some(0), "{process:#}");
    host.assert_clean();
}

#[test]
fn each_namespace_is_told_with_its_inode_and_its_owner() {
    let host = Host::new();
    host.sleeper(&["--name", "one"]);
    host.sleeper(&["--name", "two", "--network", "container:one", "--uts", "host", "--pid", "host"]);
    let (a, b) = (explain(&host, &["one"]), explain(&host, &["two"]));
    for (name, of) in [("one", &a), ("two", &b)] {
        let all = list(of, "Namespaces");
        assert_eq!(all.len(), 8);
        for one in all {
            let kind = one["Kind"].as_str().unwrap();
            let link = fs::read_link(format!("/proc/{}/ns/{kind}", host.pid(name))).unwrap();
            assert_eq!(link.to_string_lossy(), format!("{kind}:[{}]", one["Inode"]));
        }
    }
    let standing = |of: &Value, kind: &str| named(list(of, "Namespaces"), "Kind", kind)["Standing"].clone();
    for (kind, of_a, of_b) in [
        ("mnt", "private", "private"),
        ("net", "shared", "shared"),
        ("uts", "private", "host"),
        ("pid", "private", "host"),
        ("user", "host", "host"),
    ] {
        assert_eq!((standing(&a, kind), standing(&b, kind)), (of_a.into(), of_b.into()), "{kind}");
    }
    let net = named(list(&a, "Namespaces"), "Kind", "net");
    assert_eq!(words(&net["With"]), ["two"]);
    let uts = named(list(&b, "Namespaces"), "Kind", "uts");
    assert_eq!(uts["By"], "--uts host");
    host.hull(&["rm", "-f", "two"]).ok();
    assert_eq!(standing(&explain(&host, &["one"]), "net"), "private");
    // The line that is told enters it.
    let line = named(list(&a, "Namespaces"), "Kind", "uts")["Enter"].as_str().unwrap().to_owned();
    let mut parts = line.split(' ');
    let inside =
        std::process::Command::new(parts.next().unwrap()).args(parts).args(["--", "hostname"]).output().unwrap();
    let id: String = a["Id"].as_str().unwrap().chars().take(12).collect();
    assert_eq!(String::from_utf8_lossy(&inside.stdout).trim(), id);
    host.assert_clean();
}

#[test]
fn limits_are_told_as_asked_as_written_and_as_used() {
    let host = Host::new();
    host.sleeper(&["--name", "one", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"]);
    let limits = explain(&host, &["one"])["Limits"].take();
    let rows = list(&limits, "Limits");
    let memory = named(rows, "Name", "memory");
    assert_eq!((&memory["Asked"], &memory["Written"]), (&"67108864".into(), &"67108864".into()));
    let file = memory["File"].as_str().unwrap();
    assert_eq!(fs::read_to_string(file).unwrap().trim(), "67108864", "{file}");
    let used: u64 = memory["Used"].as_str().unwrap().parse().unwrap();
    assert!(used > 0 && used < 64 << 20, "{memory:#}");
    let cpu = named(rows, "Name", "cpu quota");
    assert_eq!((&cpu["Asked"], &cpu["By"]), (&"0.5".into(), &"--cpus".into()));
    assert!(cpu["Written"].as_str().unwrap().starts_with("50000"), "{cpu:#}");
    assert_eq!(named(rows, "Name", "tasks")["Written"], "50");
    assert_eq!(named(rows, "Name", "tasks")["Used"], "1");
    let group = list(&limits, "Groups")[0]["Path"].as_str().unwrap().to_owned();
    let members = fs::read_to_string(format!("{group}/cgroup.procs")).unwrap();
    assert_eq!(members.trim(), host.pid("one").to_string());
    host.hull(&["update", "--pids-limit", "70", "one"]).ok();
    assert_eq!(named(list(&explain(&host, &["one"])["Limits"], "Limits"), "Name", "tasks")["Written"], "70");
    host.sleeper(&["--name", "free"]);
    let free = explain(&host, &["free"])["Limits"].take();
    let memory = named(list(&free, "Limits"), "Name", "memory");
    assert_eq!((&memory["Asked"], &memory["Written"]), (&"".into(), &"no limit".into()));
    host.assert_clean();
}

#[test]
fn what_happened_at_a_limit_is_counted() {
    let host = Host::new();
    let hungry = "tail /dev/zero; while :; do :; done";
    host.hull(&[
        "run",
        "-d",
        "--name",
        "one",
        "--memory",
        "16m",
        "--memory-swap",
        "16m",
        "--cpus",
        "0.2",
        "busybox",
        "sh",
        "-c",
        hungry,
    ])
    .ok();
    let count = |limit: &str, event: &str| {
        let limits = explain(&host, &["one"])["Limits"].take();
        let event = named(list(named(list(&limits, "Limits"), "Name", limit), "Events"), "Name", event).clone();
        event["Now"].as_str().expect("a number").parse::<u64>().expect("a number")
    };
    hull_testkit::eventually("its command is killed", || count("memory", "oom_kill") == 1);
    hull_testkit::eventually("it waits for its share", || count("cpu quota", "nr_throttled") > 0);
    let page = host.hull(&["explain", "one"]).ok();
    assert!(page.contains("oom_kill 1") && page.contains("nr_throttled "), "{page}");
    host.assert_clean();
}

#[test]
fn each_mount_has_its_cause_and_changes_are_told() {
    let host = Host::new();
    let source = host.path().join("a b");
    fs::create_dir(&source).unwrap();
    let bind = format!("{}:/data:ro", source.display());
    host.sleeper(&["--name", "one", "-v", &bind, "-v", "vol:/vol", "--tmpfs", "/scratch"]);
    host.hull(&["exec", "one", "sh", "-c", "echo x > /new; rm /bin/ash"]).ok();
    let root = explain(&host, &["one"])["RootFilesystem"].take();
    let mounts = list(&root, "Mounts");
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", host.pid("one"))).unwrap();
    assert_eq!(mounts.len(), table.lines().count());
    let data = named(mounts, "Target", "/data");
    assert_eq!(data["By"], format!("-v {}:/data", source.display()));
    assert!(data["Flags"].as_str().unwrap().starts_with("ro"), "{data:#}");
    assert!(data["Root"].as_str().unwrap().ends_with("/a b"), "{data:#}");
    assert_eq!(named(mounts, "Target", "/vol")["By"], "-v vol:/vol");
    assert_eq!(named(mounts, "Target", "/scratch")["Kind"], "tmpfs");
    let changes = words(&root["Changes"]);
    assert!(changes.contains(&"A /new".to_owned()) && changes.contains(&"D /bin/ash".to_owned()), "{changes:?}");
    assert!(words(&root["Masked"]).contains(&"/proc/keys".to_owned()), "{root:#}");
    assert_eq!(list(&root, "Layers").len(), 1);
    host.sleeper(&["--name", "two", "--privileged"]);
    assert!(words(&explain(&host, &["two"])["RootFilesystem"]["Masked"]).is_empty());
    host.hull(&["rm", "-f", "one"]).ok();
    host.hull(&["volume", "rm", "vol"]).ok();
    host.assert_clean();
}

#[test]
fn rights_are_told_by_name_and_system_calls_with_their_verdict() {
    let host = Host::new();
    let of = |name: &str, flags: &[&str]| {
        host.sleeper(&[&["--name", name], flags].concat());
        explain(&host, &["--syscall", "mount,read", name])["Confinement"].take()
    };
    let plain = of("plain", &[]);
    assert_eq!(words(&plain["Kept"]).len(), 14);
    assert!(words(&plain["Dropped"]).contains(&"CAP_SYS_ADMIN".to_owned()));
    assert_eq!(plain["By"], "docker's default set");
    let mount = |of: &Value| named(list(of, "Syscalls"), "Name", "mount")["Now"].as_str().unwrap().to_owned();
    assert!(mount(&plain).starts_with("refused"), "{}", mount(&plain));
    assert_eq!(named(list(&plain, "Syscalls"), "Name", "read")["Now"], "allowed");
    let admin =
        of("admin", &["--cap-add", "SYS_ADMIN", "--ulimit", "nofile=100:200", "--security-opt", "no-new-privileges"]);
    assert_eq!((mount(&admin), &admin["By"]), ("allowed".into(), &"--cap-add SYS_ADMIN".into()));
    let files = named(list(&admin, "Facts"), "Name", "Max open files");
    assert_eq!((&files["Now"], &files["Asked"]), (&"soft 100, hard 200".into(), &"soft 100, hard 200".into()));
    assert_eq!(named(list(&admin, "Facts"), "Name", "no new privileges")["Now"], "1");
    let open = of("open", &["--security-opt", "seccomp=unconfined"]);
    assert_eq!(mount(&open), "allowed: there is no filter");
    let wrong = host.hull(&["explain", "--syscall", "no_such_call", "plain"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("no_such_call"), "{}", wrong.stderr);
    host.assert_clean();
}

#[test]
fn the_network_is_told_on_both_sides() {
    let host = Host::new();
    crate::networks::serve(&host, "web", &["-p", "8080:80", "--dns", "192.0.2.1"]);
    let network = explain(&host, &["web"])["Network"].take();
    let one = &list(&network, "Interfaces")[0];
    let own = host.inspect("web")["NetworkSettings"]["Networks"]["bridge"].clone();
    assert_eq!((&one["Name"], &one["Mac"]), (&"eth0".into(), &own["MacAddress"]));
    assert_eq!(words(&one["Addresses"])[0], format!("{}/16", own["IPAddress"].as_str().unwrap()));
    let peer = one["Peer"].as_str().unwrap();
    let links = crate::networks::on_host(&host, "cat /proc/net/dev").ok();
    for link in [peer, one["Bridge"].as_str().unwrap()] {
        assert!(links.contains(&format!("{link}:")), "{link}: {links}");
    }
    let route = named(list(&network, "Routes"), "Name", "default");
    assert_eq!(route["Now"], format!("via {} dev eth0", own["Gateway"].as_str().unwrap()));
    let resolver = named(list(&network, "Names"), "Name", "nameserver");
    assert_eq!((&resolver["Now"], &resolver["By"]), (&"192.0.2.1".into(), &"--dns".into()));
    hull_testkit::eventually("the port's way ends at its process", || {
        let network = explain(&host, &["web"])["Network"].take();
        let hops = list(named(list(&network, "Ports"), "Port", "80/tcp"), "Hops").clone();
        named(&hops, "Kind", "socket")["Says"].as_str().unwrap().starts_with("httpd (pid ")
    });
    host.sleeper(&["--name", "alone", "--network", "none"]);
    let alone = explain(&host, &["alone"])["Network"].take();
    assert_eq!((&alone["Mode"], list(&alone, "Interfaces").len()), (&"none".into(), 0));
    host.assert_clean();
}

#[test]
fn the_page_has_every_part_and_no_control_characters_of_the_container() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "one", "busybox", "sh", "-c", "sleep 1000; : \u{1b}[2J"]).ok();
    let page = host.hull(&["explain", "one"]).ok();
    for heading in ["process", "namespaces", "limits", "root file system", "confinement", "network"] {
        assert!(page.lines().any(|line| line == heading), "{heading}: {page}");
    }
    assert!(page.contains("CLONE_NEWPID") && page.contains("nsenter --target") && !page.contains('\u{1b}'), "{page}");
    let missing = host.hull(&["explain", "nobody"]);
    assert!(missing.code == 1 && missing.stderr.contains("nobody"), "{}", missing.stderr);
    host.assert_clean();
}

#[test]
fn what_differs_between_two_boundaries_is_shown_side_by_side() {
    let host = Host::new();
    host.sleeper(&["--name", "one", "--memory", "64m"]);
    host.sleeper(&["--name", "two", "--memory", "64m"]);
    host.sleeper(&[
        "--name",
        "third",
        "--memory",
        "32m",
        "--cap-drop",
        "CHOWN",
        "--uts",
        "host",
        "--tmpfs",
        "/scratch",
    ]);
    let same = host.hull(&["diff-view", "one", "two"]).ok();
    assert_eq!(same, "one and two have the same boundary");
    let shown = host.hull(&["diff-view", "one", "third"]).ok();
    let row = |name: &str| {
        let line = shown.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        line.unwrap_or_else(|| panic!("{name}: {shown}")).split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("memory"), "67108864 33554432");
    assert_eq!(row("CAP_CHOWN"), "kept dropped");
    assert_eq!(row("uts"), "private the host's");
    assert!(row("/scratch").starts_with("– tmpfs"), "{shown}");
    assert!(!shown.contains("CAP_KILL"), "{shown}");
    assert!(host.hull(&["diff-view", "--all", "one", "two"]).ok().contains("CAP_KILL"));
    host.assert_clean();
}

#[test]
fn processes_are_shown_as_a_tree() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "one", "busybox", "sh", "-c", "sleep 1000 & sleep 2000 & wait"]).ok();
    hull_testkit::eventually("all run", || host.hull(&["ps", "--tree"]).stdout.lines().count() == 4);
    let shown = host.hull(&["ps", "--tree"]).ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("one (") && lines[0].contains("of busybox: Up"), "{shown}");
    assert_eq!(lines[1], format!("└─ {} root sh -c sleep 1000 & sleep 2000 & wait", host.pid("one")));
    assert!(lines[2].starts_with("   ├─ ") && lines[3].starts_with("   └─ "), "{shown}");
    let wrong = host.hull(&["ps", "--tree", "--quiet"]);
    assert_ne!(wrong.code, 0, "{}", wrong.stdout);
    host.assert_clean();
}

#[test]
fn tools_stand_beside_a_container_and_write_nothing_to_it() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "one", "--user", "7", "busybox", "sh", "-c", "echo ready; sleep 1000"]).ok();
    host.ready("one");
    host.hull(&["exec", "--user", "0", "one", "sh", "-c", "echo mine > /marker"]).ok();
    let before = host.hull(&["diff", "one"]).ok();
    let script = "cat /proc/1/root/marker; tr '\\0' ' ' < /proc/1/cmdline; readlink /proc/self/ns/net; touch /tools";
    for image in [&["--image", "busybox"][..], &[]] {
        let shown = host.hull(&[&["debug"], image, &["one", "sh", "-c", script]].concat()).ok();
        let net = fs::read_link(format!("/proc/{}/ns/net", host.pid("one"))).unwrap();
        for expected in ["mine", "sleep 1000", &*net.to_string_lossy()] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
    }
    assert_eq!(host.hull(&["diff", "one"]).ok(), before);
    let shifted = host.sleeper(&["--userns", "auto"]);
    assert_eq!(host.hull(&["debug", "--image", "busybox", &shifted, "cat", "/proc/1/comm"]).ok(), "sleep");
    host.hull(&["stop", "-t", "0", "one"]).ok();
    let stopped = host.hull(&["debug", "one"]);
    assert!(stopped.code == 1 && stopped.stderr.contains("is not running"), "{}", stopped.stderr);
    host.assert_clean();
}
